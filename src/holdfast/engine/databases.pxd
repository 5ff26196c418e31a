# Whole databases: made, emptied, exchanged, freed.

from libc.stdint cimport uint64_t
from holdfast.engine.keyspace cimport Database, Keyspace

cdef void keyspace_init(Keyspace* ks, int databases, int tables, uint64_t seed) noexcept nogil
cdef void keyspace_free(Keyspace* ks) noexcept nogil
# Empty a database, at once or (lazily) between ticks. A running snapshot gets every record that it lacks
# first.
cdef void ks_flush(Keyspace* ks, Database* db, bint lazily) noexcept
# Exchange what two databases hold; a running snapshot gets what it lacks of both first.
cdef void ks_swap(Keyspace* ks, Database* a, Database* b) noexcept
