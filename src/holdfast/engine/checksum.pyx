"""CRC16 and CRC64 of Redis, and the hash slot of a key.

What this is: CRC16 XMODEM (polynomial 0x1021) decides the slot of a key in a
cluster; CRC64 Jones (0xad93d23594c935a9, reflected, begins at 0, no final
exclusive-or) ends RDB files and DUMP payloads.

What this is not: protection against intent. Both are linear; anyone can forge
them.

How to read it: the tables are constants, computed once at import. Both take
eight bytes a step ("slicing by eight"): table k holds what a byte does to the
sum when k more bytes follow it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memchr

cdef enum:
    SLOT_MASK = 16383

cdef uint16_t CRC16_TABLES[8][256]
cdef uint64_t CRC64_TABLES[8][256]


cdef void compute_tables() noexcept nogil:
    cdef uint64_t reflected = 0x95AC9329AC4BC9B5ULL     # the polynomial, lowest bit first
    cdef uint64_t wide
    cdef uint16_t narrow
    cdef unsigned byte, table
    for byte in range(256):
        narrow = <uint16_t>(byte << 8)
        wide = byte
        for _ in range(8):
            narrow = <uint16_t>(narrow << 1 ^ 0x1021) if narrow & 0x8000 else <uint16_t>(narrow << 1)
            wide = wide >> 1 ^ reflected if wide & 1 else wide >> 1
        CRC16_TABLES[0][byte] = narrow
        CRC64_TABLES[0][byte] = wide
    for table in range(1, 8):
        for byte in range(256):
            wide = CRC64_TABLES[table - 1][byte]
            CRC64_TABLES[table][byte] = wide >> 8 ^ CRC64_TABLES[0][wide & 255]
            narrow = CRC16_TABLES[table - 1][byte]
            CRC16_TABLES[table][byte] = <uint16_t>(narrow << 8) ^ CRC16_TABLES[0][narrow >> 8]


compute_tables()


cdef uint16_t crc16(const char* p, size_t n) noexcept nogil:
    cdef const uint8_t* at = <const uint8_t*>p
    cdef const uint8_t* end = at + n
    cdef uint16_t crc = 0
    while end - at >= 8:
        crc = (
            CRC16_TABLES[7][(crc >> 8) ^ at[0]] ^ CRC16_TABLES[6][(crc & 255) ^ at[1]]
            ^ CRC16_TABLES[5][at[2]] ^ CRC16_TABLES[4][at[3]] ^ CRC16_TABLES[3][at[4]]
            ^ CRC16_TABLES[2][at[5]] ^ CRC16_TABLES[1][at[6]] ^ CRC16_TABLES[0][at[7]]
        )
        at += 8
    while at < end:
        crc = <uint16_t>(crc << 8) ^ CRC16_TABLES[0][(crc >> 8) ^ at[0]]
        at += 1
    return crc


cdef uint64_t crc64(uint64_t crc, const void* p, size_t n) noexcept nogil:
    cdef const uint8_t* at = <const uint8_t*>p
    while n >= 8:
        crc ^= (
            <uint64_t>at[0] | <uint64_t>at[1] << 8 | <uint64_t>at[2] << 16 | <uint64_t>at[3] << 24
            | <uint64_t>at[4] << 32 | <uint64_t>at[5] << 40 | <uint64_t>at[6] << 48 | <uint64_t>at[7] << 56
        )
        crc = (
            CRC64_TABLES[7][crc & 255] ^ CRC64_TABLES[6][crc >> 8 & 255]
            ^ CRC64_TABLES[5][crc >> 16 & 255] ^ CRC64_TABLES[4][crc >> 24 & 255]
            ^ CRC64_TABLES[3][crc >> 32 & 255] ^ CRC64_TABLES[2][crc >> 40 & 255]
            ^ CRC64_TABLES[1][crc >> 48 & 255] ^ CRC64_TABLES[0][crc >> 56]
        )
        at += 8
        n -= 8
    while n:
        crc = crc >> 8 ^ CRC64_TABLES[0][(crc ^ at[0]) & 255]
        at += 1
        n -= 1
    return crc


cdef int key_slot(const char* p, size_t n) noexcept nogil:
    """The part between the first "{" and the first "}" after it counts alone, unless it is empty."""
    cdef const char* opened = <const char*>memchr(p, c'{', n) if n else NULL
    cdef const char* closed = NULL
    if opened != NULL:
        opened += 1
        closed = <const char*>memchr(opened, c'}', p + n - opened)
    if closed != NULL and closed != opened:
        return crc16(opened, closed - opened) & SLOT_MASK
    return crc16(p, n) & SLOT_MASK
