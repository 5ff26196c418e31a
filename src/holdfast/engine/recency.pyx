"""How recently and how often a key was used: the clock of LRU, the counter of LFU.

What it is: the 24 bits that each record has for it, noted at an access, and read.
With LRU they are the clock in seconds, with LFU minutes (16) and a counter (8) that
grows ever more slowly and loses one for each decay time without an access. What it is
not: who is evicted (`eviction`).
"""

from libc.stdint cimport int64_t, uint32_t
from holdfast.engine.keyspace cimport Keyspace
from holdfast.engine.record cimport Record, record_lru
from holdfast.engine.table cimport random_u64


cdef uint32_t lfu_decayed(Keyspace* ks, uint32_t lru) noexcept nogil:
    """The counter, less one for each decay time since the last access."""
    cdef uint32_t counter = lru & 0xFF
    cdef uint32_t elapsed = (lfu_now(ks) - (lru >> 8)) & 0xFFFF
    cdef uint32_t periods
    if ks.lfu_decay_min <= 0:
        return counter
    periods = elapsed // <uint32_t>ks.lfu_decay_min
    return counter - periods if counter > periods else 0


cdef uint32_t lfu_touch(Keyspace* ks, uint32_t lru) noexcept nogil:
    """Decay, then count one access with falling probability (Redis's LFU)."""
    cdef uint32_t counter = lfu_decayed(ks, lru)
    cdef double base
    if counter < 255:
        base = <double>counter - LFU_START
        if base < 0:
            base = 0
        if (<double>(random_u64(&ks.rng) >> 11) * (1.0 / 9007199254740992.0)
                < 1.0 / (base * ks.lfu_log_factor + 1)):
            counter += 1
    return (lfu_now(ks) << 8) | counter


cdef int64_t ks_idle_seconds(Keyspace* ks, Record* r) noexcept nogil:
    return (ks.lru_clock - record_lru(r)) & 0xFFFFFF


cdef uint32_t ks_frequency(Keyspace* ks, Record* r) noexcept nogil:
    return lfu_decayed(ks, record_lru(r))
