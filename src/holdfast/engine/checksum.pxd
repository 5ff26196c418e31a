# CRC16 (XMODEM, hash slots) and CRC64 (Jones, RDB) of Redis.

from libc.stdint cimport uint8_t, uint16_t, uint64_t

cdef uint16_t crc16(const char* p, size_t n) noexcept nogil
cdef uint64_t crc64(uint64_t crc, const void* p, size_t n) noexcept nogil
# Slot of a key: CRC16 mod 16384 of the hash tag, or of the whole key.
cdef int key_slot(const char* p, size_t n) noexcept nogil
