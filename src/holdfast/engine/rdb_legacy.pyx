"""Layouts of older RDB files, turned into listpacks.

What it is: readers of the ziplist (compact lists, hashes and sorted sets until
Redis 6.2) and of the zipmap (hashes until 2.4). What it is not: values of ours;
nothing here is kept in memory in its old layout.

A ziplist: u32 bytes, u32 offset of the last entry, u16 count (65535: not
known), entries, 0xFF. An entry: the length of the one before it (one byte, or
0xFE and u32), an encoding, the content:

    00xxxxxx                string of up to 63 bytes
    01xxxxxx x8             string of up to 16383 bytes
    10000000 u32 big endian longer string
    11000000 11010000 11100000 11110000 11111110    integer of 16, 32, 64, 24, 8 bits
    1111xxxx                integer x - 1 (0..12)

A zipmap: u8 count, then for each field: length, bytes, length of the value, one
byte that counts unused bytes after it, value, unused bytes; 0xFF. A length is
one byte below 254, or 254 and u32.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy
from holdfast.engine.heap cimport Heap
from holdfast.engine.listpack cimport LP_BYTES_MAX, lp_append, lp_append_int, lp_free, lp_new

cdef enum:
    ZIPLIST_HEADER = 10
    COUNT_UNKNOWN = 65535
    END_MARK = 0xFF
    BIG_PREVIOUS = 0xFE
    ZIPMAP_BIG = 254
    # A listpack may take some bytes more an entry than what it is made of.
    SOURCE_BYTES_MOST = LP_BYTES_MAX // 8


cdef inline uint32_t get_u32(const uint8_t* p) noexcept nogil:
    cdef uint32_t v
    memcpy(&v, p, 4)
    return v


cdef inline int64_t integer_at(const uint8_t* p, int bytes) noexcept nogil:
    cdef int16_t narrow
    cdef int32_t middle
    cdef int64_t wide
    if bytes == 1:
        return <int8_t>p[0]
    if bytes == 2:
        memcpy(&narrow, p, 2)
        return narrow
    if bytes == 3:
        middle = <int32_t>((<uint32_t>p[0] << 8) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 24))
        return middle >> 8
    if bytes == 4:
        memcpy(&middle, p, 4)
        return middle
    memcpy(&wide, p, 8)
    return wide


cdef inline int integer_bytes(uint8_t encoding) noexcept nogil:
    if encoding == 0xC0:
        return 2
    if encoding == 0xD0:
        return 4
    if encoding == 0xE0:
        return 8
    if encoding == 0xF0:
        return 3
    if encoding == 0xFE:
        return 1
    return 0


cdef uint8_t* ziplist_to_listpack(Heap* h, const uint8_t* p, size_t n) noexcept nogil:
    cdef size_t at = ZIPLIST_HEADER
    cdef size_t last = n - 1
    cdef size_t start, head, body, previous = 0, last_entry = ZIPLIST_HEADER
    cdef uint32_t count = 0, told
    cdef uint8_t encoding
    cdef uint8_t* lp
    if n < ZIPLIST_HEADER + 1 or n > SOURCE_BYTES_MOST or get_u32(p) != n or p[last] != END_MARK:
        return NULL
    lp = lp_new(h, n)
    while at < last:
        start = at
        if p[at] == BIG_PREVIOUS:
            if last - at < 5 or get_u32(p + at + 1) != previous:
                break
            at += 5
        else:
            if p[at] != previous:
                break
            at += 1
        if at >= last:
            break
        encoding = p[at]
        head = 1
        body = 0
        if encoding < 0x40:
            body = encoding
        elif encoding < 0x80:
            head = 2
            if last - at < 2:
                break
            body = (<size_t>(encoding & 0x3F) << 8) | p[at + 1]
        elif encoding < 0xC0:
            head = 5
            if encoding != 0x80 or last - at < 5:
                break
            body = <size_t>p[at + 1] << 24 | <size_t>p[at + 2] << 16 | <size_t>p[at + 3] << 8 | p[at + 4]
        elif not 0xF1 <= encoding <= 0xFD:
            body = integer_bytes(encoding)
            if body == 0:
                break
        if head + body > last - at:
            break
        if encoding < 0xC0:
            lp = lp_append(h, lp, <const char*>p + at + head, body)
        elif body:
            lp = lp_append_int(h, lp, integer_at(p + at + 1, <int>body))
        else:
            lp = lp_append_int(h, lp, (encoding & 0x0F) - 1)
        at += head + body
        previous = at - start
        last_entry = start
        count += 1
    else:
        told = p[8] | <uint32_t>p[9] << 8
        if (told == COUNT_UNKNOWN or told == count) and get_u32(p + 4) == last_entry:
            return lp
    lp_free(h, lp)
    return NULL


cdef bint zipmap_length(const uint8_t* p, size_t n, size_t* at, size_t* out) noexcept nogil:
    if at[0] >= n or p[at[0]] > ZIPMAP_BIG:
        return False
    if p[at[0]] < ZIPMAP_BIG:
        out[0] = p[at[0]]
        at[0] += 1
        return True
    if n - at[0] < 5:
        return False
    out[0] = get_u32(p + at[0] + 1)
    at[0] += 5
    return True


cdef uint8_t* zipmap_to_listpack(Heap* h, const uint8_t* p, size_t n) noexcept nogil:
    cdef size_t at = 1, last = n - 1, size = 0, unused
    cdef uint32_t count = 0
    cdef uint8_t* lp
    if n < 2 or n > SOURCE_BYTES_MOST or p[last] != END_MARK:
        return NULL
    lp = lp_new(h, n)
    while at < last:
        if not zipmap_length(p, last, &at, &size) or size > last - at:
            break
        lp = lp_append(h, lp, <const char*>p + at, size)
        at += size
        if not zipmap_length(p, last, &at, &size) or at >= last:
            break
        unused = p[at]
        at += 1
        if size > last - at or unused > last - at - size:
            break
        lp = lp_append(h, lp, <const char*>p + at, size)
        at += size + unused
        count += 1
    else:
        if p[0] >= ZIPMAP_BIG or p[0] == count:
            return lp
    lp_free(h, lp)
    return NULL
