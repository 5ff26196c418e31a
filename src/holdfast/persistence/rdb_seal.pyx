# cython: language_level=3
"""Finds where an RDB ends by its seal, without understanding what is in it.

An RDB ends with the byte 0xFF and the CRC64 (Jones) of everything before, in
little endian. Wherever a byte 0xFF stands and the next eight bytes are that
checksum, the RDB is whole and ends there; that it happens by chance has odds
of one in 2**64. So an append-only file with an RDB in front can be checked, and
its commands found, even where the RDB itself is not read. It says nothing of
keys, and cannot find the end of an RDB written with `rdbchecksum no`.

How to read it: `SealFinder.look` is fed chunks of the file in order.
"""

from libc.stdint cimport uint8_t, uint64_t

cdef uint64_t POLYNOMIAL = 0x95ac9329ac4bc9b5ULL     # 0xad93d23594c935a9, bits reversed


cdef class SealFinder:
    def __cinit__(self):
        cdef int i, _bit
        cdef uint64_t value
        for i in range(256):
            value = <uint64_t>i
            for _bit in range(8):
                value = (value >> 1) ^ POLYNOMIAL if value & 1 else value >> 1
            self.checksums[i] = value
        self.crc = 0
        self.kept = b""
        self.offset = 0

    cpdef long long look(self, bytes chunk):
        """Take the next bytes; return the offset after the seal, or -1 if it was not yet seen."""
        cdef bytes joined = self.kept + chunk
        cdef const uint8_t* p = <const uint8_t*><const char*>joined
        cdef Py_ssize_t n = len(joined), i = 0
        cdef uint64_t crc = self.crc, seal
        cdef int k
        cdef bint found = False
        with nogil:
            while i + 9 <= n:
                crc = self.checksums[(crc ^ p[i]) & 255] ^ (crc >> 8)
                if p[i] == 255:
                    seal = 0
                    for k in range(8):
                        seal |= <uint64_t>p[i + 1 + k] << (8 * k)
                    if seal == crc:
                        found = True
                        break
                i += 1
        if found:
            return self.offset + i + 9
        self.crc = crc
        self.kept = joined[i:]
        self.offset += i
        return -1
