# Probes of the leaf modules, for tests only: nothing is offered to other Cython modules.
