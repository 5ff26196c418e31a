# How recently and how often a key was used: the clock of LRU, the counter of LFU.

from libc.stdint cimport int64_t, uint32_t
from holdfast.engine.keyspace cimport Keyspace
from holdfast.engine.record cimport Record, record_lru, record_set_lru

cdef enum:
    LFU_START = 5       # counter of a new key, so that it is not evicted at once


cdef inline uint32_t lfu_now(Keyspace* ks) noexcept nogil:
    """Minutes, 16 bits."""
    return <uint32_t>((ks.now_ms // 60000) & 0xFFFF)


# Decay, then count one access with falling probability (Redis's LFU).
cdef uint32_t lfu_touch(Keyspace* ks, uint32_t lru) noexcept nogil


cdef inline void touch(Keyspace* ks, Record* r) noexcept nogil:
    """Note an access."""
    if ks.lfu:
        record_set_lru(r, lfu_touch(ks, record_lru(r)))
    else:
        record_set_lru(r, ks.lru_clock)


cdef inline void touch_new(Keyspace* ks, Record* r) noexcept nogil:
    """Note the beginning of a key."""
    record_set_lru(r, (lfu_now(ks) << 8) | LFU_START if ks.lfu else ks.lru_clock)

cdef int64_t ks_idle_seconds(Keyspace* ks, Record* r) noexcept nogil    # LRU
cdef uint32_t ks_frequency(Keyspace* ks, Record* r) noexcept nogil      # LFU counter, decayed until now
