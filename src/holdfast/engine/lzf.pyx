"""LZF compression in the stream format that RDB files and quicklists hold.

What this is: a compressor and a decompressor written from the description of
the format; what either writes, liblzf reads, and the other way round.

What this is not: the same bytes as liblzf's compressor gives. A stream is one
of many that decompress alike; ours depends on the input alone (the table of
positions starts empty), so that a run replays exactly.

How to read it: a stream is a sequence of items, told apart by the first byte.

    000LLLLL                        L + 1 bytes follow as they are
    LLLooooo oooooooo               repeat L + 2 bytes from o + 1 bytes back (L = 1..6)
    111ooooo LLLLLLLL oooooooo      repeat L + 9 bytes from o + 1 bytes back
"""

from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

cdef extern from *:
    """
    #if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    #define hf_equal_bytes(x) (__builtin_ctzll(x) >> 3)
    #else
    #define hf_equal_bytes(x) (__builtin_clzll(x) >> 3)
    #endif
    """
    unsigned hf_equal_bytes(uint64_t difference) noexcept nogil

cdef enum:
    LITERALS_MAX = 32
    REPEAT_MIN = 3
    REPEAT_MAX = 264
    DISTANCE_MAX = 8192
    TABLE_BITS_MIN = 8
    TABLE_BITS_MAX = 14
    MISSES_A_STEP_BITS = 6      # after 64 bytes without a repeat, look at every second place, ...


cdef inline uint32_t slot_of(const uint8_t* p, unsigned bits) noexcept nogil:
    cdef uint32_t three = <uint32_t>p[0] << 16 | <uint32_t>p[1] << 8 | p[2]
    return (three * 2654435761U) >> (32 - bits)


cdef inline size_t equal_length(const uint8_t* a, const uint8_t* b, size_t limit) noexcept nogil:
    """Bytes, up to `limit`, in which `a` and `b` agree."""
    cdef size_t n = 0
    cdef uint64_t x, y
    while n + 8 <= limit:
        memcpy(&x, a + n, 8)
        memcpy(&y, b + n, 8)
        if x != y:
            return n + hf_equal_bytes(x ^ y)
        n += 8
    while n < limit and a[n] == b[n]:
        n += 1
    return n


cdef inline uint8_t* put_literals(uint8_t* to, uint8_t* limit, const uint8_t* p, size_t n) noexcept nogil:
    """Write `n` bytes as they are; NULL when there is no room."""
    cdef size_t run
    while n:
        run = n if n < LITERALS_MAX else LITERALS_MAX
        if <size_t>(limit - to) < run + 1:
            return NULL
        to[0] = <uint8_t>(run - 1)
        memcpy(to + 1, p, run)
        to += run + 1
        p += run
        n -= run
    return to


cdef size_t lzf_compress(const void* src, size_t n, void* out, size_t room) noexcept nogil:
    cdef const uint8_t* p = <const uint8_t*>src
    cdef uint8_t* to = <uint8_t*>out
    cdef uint8_t* limit = to + room
    cdef uint32_t table[1 << TABLE_BITS_MAX]
    cdef unsigned bits = TABLE_BITS_MIN
    cdef size_t at = 0, literals_from = 0, earlier, distance, length, most
    cdef uint32_t slot

    if n > UINT32_MAX:
        return 0
    while bits < TABLE_BITS_MAX and <size_t>1 << bits < n:
        bits += 1
    memset(table, 0, <size_t>4 << bits)
    while at + REPEAT_MIN <= n:
        slot = slot_of(p + at, bits)
        earlier = table[slot]
        table[slot] = <uint32_t>at
        distance = at - earlier - 1
        # An empty slot says 0, which is a place like any other: the bytes decide.
        if earlier >= at or distance >= DISTANCE_MAX or memcmp(p + earlier, p + at, REPEAT_MIN) != 0:
            at += 1 + ((at - literals_from) >> MISSES_A_STEP_BITS)
            continue
        to = put_literals(to, limit, p + literals_from, at - literals_from)
        if to == NULL or limit - to < 3:
            return 0
        most = n - at if n - at < REPEAT_MAX else REPEAT_MAX
        length = REPEAT_MIN + equal_length(p + earlier + REPEAT_MIN, p + at + REPEAT_MIN, most - REPEAT_MIN)
        if length < 9:
            to[0] = <uint8_t>((length - 2) << 5 | distance >> 8)
            to += 1
        else:
            to[0] = <uint8_t>(7 << 5 | distance >> 8)
            to[1] = <uint8_t>(length - 9)
            to += 2
        to[0] = <uint8_t>distance
        to += 1
        at += length
        literals_from = at
        if at + 1 <= n:
            table[slot_of(p + at - 2, bits)] = <uint32_t>(at - 2)
    to = put_literals(to, limit, p + literals_from, n - literals_from)
    return to - <uint8_t*>out if to != NULL else 0


cdef size_t lzf_decompress(const void* src, size_t n, void* out, size_t room) noexcept nogil:
    cdef const uint8_t* p = <const uint8_t*>src
    cdef const uint8_t* end = p + n
    cdef uint8_t* to = <uint8_t*>out
    cdef uint8_t* limit = to + room
    cdef const uint8_t* earlier
    cdef size_t length, distance
    cdef uint8_t item

    while p < end:
        item = p[0]
        p += 1
        if item < LITERALS_MAX:
            length = item + 1
            if <size_t>(end - p) < length or <size_t>(limit - to) < length:
                return 0
            memcpy(to, p, length)
            p += length
            to += length
            continue
        length = (item >> 5) + 2
        if item >> 5 == 7:
            if p == end:
                return 0
            length += p[0]
            p += 1
        if p == end:
            return 0
        distance = (<size_t>(item & 31) << 8 | p[0]) + 1
        p += 1
        if distance > <size_t>(to - <uint8_t*>out) or length > <size_t>(limit - to):
            return 0
        earlier = to - distance
        if distance >= length:
            memcpy(to, earlier, length)
            to += length
        elif distance == 1:
            memset(to, earlier[0], length)
            to += length
        else:
            while length:       # the bytes repeat themselves: one by one
                to[0] = earlier[0]
                to += 1
                earlier += 1
                length -= 1
    return to - <uint8_t*>out
