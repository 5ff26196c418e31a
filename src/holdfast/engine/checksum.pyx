"""CRC16 and CRC64 of Redis, and the hash slot of a key.

What this is: CRC16 XMODEM (polynomial 0x1021) decides the slot of a key in a
cluster; CRC64 Jones (0xad93d23594c935a9, reflected, begins at 0, no final
exclusive-or) ends RDB files and DUMP payloads.

What this is not: protection against intent. Both are linear; anyone can forge
them.

How to read it: the tables are constants, computed once at import. Both take
eight bytes a step ("slicing by eight"): table k holds what a byte does to the
sum when k more bytes follow it. Where the processor multiplies without carries
(x86-64), long runs are first folded: 128 bits that stand a distance of d bits
before others count there as their product with x^d modulo the polynomial (V.
Gopal et al., "Fast CRC Computation Using PCLMULQDQ"); what 64 bytes side by
side have become at the end is then summed as if it were the message.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memchr

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <immintrin.h>
    static int hf_can_fold(void) { __builtin_cpu_init(); return __builtin_cpu_supports("pclmul") != 0; }
    __attribute__((target("pclmul"))) static inline __m128i hf_carry(__m128i x, __m128i by) {
        return _mm_xor_si128(_mm_clmulepi64_si128(x, by, 0x00), _mm_clmulepi64_si128(x, by, 0x11));
    }
    __attribute__((target("pclmul"))) static size_t hf_fold(
            uint64_t crc, const uint8_t* p, size_t n, const uint64_t* far, uint8_t* out) {
        const __m128i by = _mm_loadu_si128((const __m128i*)far);
        const uint8_t* from = p;
        __m128i x[4];
        int i;
        for (i = 0; i < 4; i++) x[i] = _mm_loadu_si128((const __m128i*)p + i);
        x[0] = _mm_xor_si128(x[0], _mm_cvtsi64_si128((long long)crc));
        for (p += 64, n -= 64; n >= 64; p += 64, n -= 64)
            for (i = 0; i < 4; i++)
                x[i] = _mm_xor_si128(hf_carry(x[i], by), _mm_loadu_si128((const __m128i*)p + i));
        memcpy(out, x, 64);
        return (size_t)(p - from);
    }
    #else
    static int hf_can_fold(void) { return 0; }
    static size_t hf_fold(uint64_t crc, const uint8_t* p, size_t n, const uint64_t* far, uint8_t* out) {
        (void)crc; (void)p; (void)n; (void)far; (void)out;
        return 0;
    }
    #endif
    """
    bint hf_can_fold() noexcept nogil
    # Fold `n` bytes (64 or more) to the 64 at `out`; returns how many of them were taken.
    size_t hf_fold(uint64_t crc, const uint8_t* p, size_t n, const uint64_t* far, uint8_t* out) noexcept nogil

cdef enum:
    SLOT_MASK = 16383
    FOLDED_BYTES = 64
    FOLD_FROM_BYTES = 256       # shorter runs are not worth it

cdef uint16_t CRC16_TABLES[8][256]
cdef uint64_t CRC64_TABLES[8][256]
cdef uint64_t FAR[2]            # x to the 512 + 63 and to the 512 - 1, reflected: what folding multiplies by
cdef bint CAN_FOLD = hf_can_fold()


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
    wide = 1ULL << 63                                   # x to the 0
    for byte in range(512 + 63):
        if byte == 512 - 1:
            FAR[1] = wide
        wide = wide >> 1 ^ reflected if wide & 1 else wide >> 1
    FAR[0] = wide


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
    cdef uint8_t folded[FOLDED_BYTES]
    cdef size_t taken
    if n < FOLD_FROM_BYTES or not CAN_FOLD:
        return crc64_by_table(crc, <const uint8_t*>p, n)
    taken = hf_fold(crc, <const uint8_t*>p, n, FAR, folded)
    crc = crc64_by_table(0, folded, FOLDED_BYTES)
    return crc64_by_table(crc, <const uint8_t*>p + taken, n - taken)


cdef uint64_t crc64_by_table(uint64_t crc, const uint8_t* at, size_t n) noexcept nogil:
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
