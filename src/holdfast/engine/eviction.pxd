# Eviction: making room when maxmemory is reached.

from holdfast.engine.state cimport Engine

# Evict until the data fits. False: it does not, and nothing more may be evicted.
cdef bint make_room(Engine e) except? False
