# Eviction: making room when maxmemory is reached.

from libc.stdint cimport int64_t
from holdfast.engine.state cimport Engine

# Engine.maxmemory_policy, in the order of POLICIES in eviction.pyx.
cdef enum Policy:
    NO_EVICTION = 0
    ALLKEYS_LRU = 1
    ALLKEYS_LFU = 2
    ALLKEYS_RANDOM = 3
    VOLATILE_LRU = 4
    VOLATILE_LFU = 5
    VOLATILE_RANDOM = 6
    VOLATILE_TTL = 7

# Bytes that maxmemory counts: the data and the clients' buffers, not those of replicas.
cdef int64_t counted_bytes(Engine e) noexcept
# Evict until the data fits, or for as long as tenacity allows (then Engine.evicting is set
# and the node goes on between ticks). False: it does not fit, and nothing may be evicted.
cdef bint make_room(Engine e) except? False
