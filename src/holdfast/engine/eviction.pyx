"""Eviction: making room when maxmemory is reached."""

from holdfast.engine.state cimport Engine


cdef bint make_room(Engine e) except? False:
    return e.maxmemory == 0 or e.ks.heap.used <= <size_t>e.maxmemory
