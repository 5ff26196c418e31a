# Probes of the ordered tree and the quicklist, for tests only: nothing is offered to other Cython modules.
