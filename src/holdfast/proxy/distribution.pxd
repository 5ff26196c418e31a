# Which of a pool's servers a hash belongs to: ketama, modula, random.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum Kind:
    KETAMA
    MODULA
    RANDOM

cdef struct Point:
    uint32_t value
    uint32_t index      # of the server

cdef class Distribution:
    cdef readonly str name
    cdef Kind kind
    cdef Point* points
    cdef readonly uint32_t point_count
    cdef uint32_t* starts       # of ketama: each of 4096 parts of the circle, its server or its first point
    cdef uint64_t luck          # of random: state of its generator
    # The server of a hash; the circle must not be empty.
    cdef uint32_t dispatch(self, uint32_t hashed) noexcept nogil
    cdef void clear(self) noexcept
