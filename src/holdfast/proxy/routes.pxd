# Routes by key prefix: one door, several pools.

from holdfast.proxy.shapes cimport Target

cdef class RouteTarget(Target):
    """Its `shards` are those of the pools one after the other."""
    cdef public list whole
    cdef list prefixes                  # longest first
    cdef list targets                   # of each prefix
    cdef list begins                    # where the target's shards begin, of each prefix
