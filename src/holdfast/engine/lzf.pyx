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
from libc.string cimport memcpy, memset

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
    STEP = 16                   # bytes that are copied at once
    DISTANCE_MAX = 8192
    TABLE_BITS_MIN = 8
    TABLE_BITS_MAX = 14
    MISSES_A_STEP_BITS = 6      # after 64 bytes without a repeat, look at every second place, ...


cdef inline uint32_t three_bytes(const uint8_t* p) noexcept nogil:
    """Three bytes as one number; four must be readable."""
    cdef uint32_t four
    memcpy(&four, p, 4)
    return four << 8        # little endian: the fourth falls out at the top


cdef inline uint32_t slot_of(uint32_t three, unsigned bits) noexcept nogil:
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


cdef inline uint8_t* put_literals(
    uint8_t* to, uint8_t* limit, const uint8_t* p, size_t n, const uint8_t* end
) noexcept nogil:
    """Write `n` bytes as they are; NULL when there is no room. What is read ends at `end`."""
    cdef size_t run
    # Mostly a few bytes: copying a fixed 32, where both sides have them, spares a call.
    if n <= LITERALS_MAX and end - p >= LITERALS_MAX and limit - to > LITERALS_MAX:
        if n:
            to[0] = <uint8_t>(n - 1)
            memcpy(to + 1, p, LITERALS_MAX)
            to += n + 1
        return to
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
    cdef uint32_t three, slot

    if n > UINT32_MAX:
        return 0
    while bits < TABLE_BITS_MAX and <size_t>1 << bits < n:
        bits += 1
    memset(table, 0, <size_t>4 << bits)
    while at + REPEAT_MIN < n:
        three = three_bytes(p + at)
        slot = slot_of(three, bits)
        earlier = table[slot]
        table[slot] = <uint32_t>at
        distance = at - earlier - 1
        # An empty slot says 0, which is a place like any other: the bytes decide.
        if earlier >= at or distance >= DISTANCE_MAX or three_bytes(p + earlier) != three:
            at += 1 + ((at - literals_from) >> MISSES_A_STEP_BITS)
            continue
        to = put_literals(to, limit, p + literals_from, at - literals_from, p + n)
        if to == NULL:
            return 0
        most = n - at if n - at < REPEAT_MAX else REPEAT_MAX
        length = REPEAT_MIN + equal_length(p + earlier + REPEAT_MIN, p + at + REPEAT_MIN, most - REPEAT_MIN)
        if limit - to < (2 if length < 9 else 3):
            return 0
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
        if at + 2 <= n:
            table[slot_of(three_bytes(p + at - 2), bits)] = <uint32_t>(at - 2)
    to = put_literals(to, limit, p + literals_from, n - literals_from, p + n)
    return to - <uint8_t*>out if to != NULL else 0


cdef size_t lzf_decompress(const void* src, size_t n, void* out, size_t room) noexcept nogil:
    cdef const uint8_t* p = <const uint8_t*>src
    cdef const uint8_t* end = p + n
    cdef uint8_t* to = <uint8_t*>out
    cdef uint8_t* limit = to + room
    cdef const uint8_t* earlier
    cdef uint8_t* repeated
    cdef size_t length, distance
    cdef uint8_t item

    while p < end:
        item = p[0]
        p += 1
        if item < LITERALS_MAX:
            length = item + 1
            if <size_t>(end - p) < length or <size_t>(limit - to) < length:
                return 0
            if end - p >= LITERALS_MAX and limit - to >= LITERALS_MAX:
                memcpy(to, p, LITERALS_MAX)     # a fixed 32 spares a call
            else:
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
        if distance >= STEP and <size_t>(limit - to) >= length + STEP:
            repeated = to + length
            while to < repeated:    # sixteen at a time, the last ones beyond the end
                memcpy(to, earlier, STEP)
                to += STEP
                earlier += STEP
            to = repeated
        elif distance >= length:
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
