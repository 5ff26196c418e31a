# Probes of the table, for tests only: nothing is offered to other Cython modules.
