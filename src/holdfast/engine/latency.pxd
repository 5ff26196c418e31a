# Histograms of how long commands took, for LATENCY HISTOGRAM and INFO latencystats.
#
# Nanoseconds up to about a second in 3,072 places: exact below 256, then 128
# places a doubling (an error below 1 %), which is the shape that Redis uses.

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc
from holdfast.engine.state cimport Command

cdef enum:
    LATENCY_PLACES = 3072
    LATENCY_MAX_NS = 1000000000

cdef extern from *:
    """
    #define hf_leading_zeros(v) __builtin_clzll(v)
    """
    int hf_leading_zeros(uint64_t v) noexcept nogil


cdef inline int latency_place(uint64_t ns) noexcept nogil:
    cdef int shift
    if ns < 256:
        return <int>ns
    if ns > LATENCY_MAX_NS:
        ns = LATENCY_MAX_NS
    shift = 56 - hf_leading_zeros(ns)
    return shift * 128 + <int>(ns >> shift)


cdef inline void latency_add(Command* c, uint64_t ns) noexcept nogil:
    if c.latency == NULL:
        c.latency = <uint32_t*>calloc(LATENCY_PLACES, sizeof(uint32_t))
        if c.latency == NULL:
            return
    c.latency[latency_place(ns)] += 1
