# The seal of an RDB: the byte 0xFF followed by the CRC64 of all that stands before.

from libc.stdint cimport uint64_t

cdef class SealFinder:
    cdef uint64_t checksums[256]
    cdef uint64_t crc
    cdef bytes kept             # bytes not yet decided on (fewer than 9)
    cdef readonly long long offset      # of the first byte in `kept`

    cpdef long long look(self, bytes chunk)
