"""Lengths and strings of the RDB format, read from a window of bytes.

What it is: the layer below all values: each function reads one thing, or leaves
the window where it was. What it is not: values (`rdb_decode`) or files
(`holdfast.persistence.rdb_read`).

How to read it: lengths, then strings in their four forms, then blobs, which become
compact values.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from holdfast.engine.buf cimport Slice, buf_reserve
from holdfast.engine.heap cimport heap_alloc, heap_free
from holdfast.engine.listpack cimport LP_BYTES_MAX
from holdfast.engine.lzf cimport lzf_decompress
from holdfast.engine.numbers cimport format_int64, parse_int64
from holdfast.engine.rdb_format cimport STRING_INT8, STRING_INT16, STRING_INT32, STRING_LZF
from holdfast.engine.record cimport STR_INLINE, STR_INT

cdef enum:
    LZF_GAIN_MOST = 88          # three bytes of LZF give 264 at most


cdef int read_length(Decoder* d, uint64_t* out, int* special) noexcept nogil:
    cdef const uint8_t* p = d.at
    cdef size_t have = d.end - p
    cdef uint64_t n = 0
    cdef int i, width
    cdef uint8_t head
    if special != NULL:
        special[0] = -1
    if have == 0:
        return NEEDS_MORE
    head = p[0]
    if head < 0x40:
        out[0] = head
        d.at += 1
        return DECODED
    if head < 0x80:
        if have < 2:
            return NEEDS_MORE
        out[0] = (<uint64_t>(head & 0x3F) << 8) | p[1]
        d.at += 2
        return DECODED
    if head >= 0xC0:
        if special == NULL:
            return faulty(d, b"a length was expected, not a special form")
        special[0] = head & 0x3F
        d.at += 1
        return DECODED
    if head > 0x81:
        return faulty(d, b"unknown length encoding")
    width = 4 if head == 0x80 else 8
    if have < <size_t>width + 1:
        return NEEDS_MORE
    for i in range(width):
        n = n << 8 | p[1 + i]
    out[0] = n
    d.at += width + 1
    return DECODED


cdef int read_integer(Decoder* d, int form, int64_t* out) noexcept nogil:
    """The rest of a string that is an integer."""
    cdef size_t have = d.end - d.at
    cdef const uint8_t* p = d.at
    cdef size_t width = 1 if form == STRING_INT8 else 2 if form == STRING_INT16 else 4
    if have < width:
        return NEEDS_MORE
    if width == 1:
        out[0] = <int8_t>p[0]
    elif width == 2:
        out[0] = <int16_t>(p[0] | <uint32_t>p[1] << 8)
    else:
        out[0] = <int32_t>(p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24)
    d.at += width
    return DECODED


cdef int read_lzf_sizes(Decoder* d, uint64_t* packed, uint64_t* raw) noexcept nogil:
    """The two lengths of a compressed string, whose bytes are all in the window."""
    cdef int rc = read_length(d, packed, NULL)
    if rc == DECODED:
        rc = read_length(d, raw, NULL)
    if rc != DECODED:
        return rc
    if packed[0] == 0 or raw[0] == 0 or raw[0] // LZF_GAIN_MOST > packed[0]:
        return faulty(d, b"a compressed string with impossible lengths")
    return DECODED if <uint64_t>(d.end - d.at) >= packed[0] else NEEDS_MORE


cdef int read_any_string(Decoder* d, Slice* out, char* digits, int which) noexcept nogil:
    cdef const uint8_t* mark = d.at
    cdef uint64_t n = 0, raw = 0
    cdef int64_t number = 0
    cdef int special = -1
    cdef int rc = read_length(d, &n, &special)
    if rc != DECODED:
        return rc
    if special < 0:
        if <uint64_t>(d.end - d.at) < n:
            d.at = mark
            return NEEDS_MORE
        out.ptr = <const char*>d.at
        out.len = n
        d.at += n
        return DECODED
    if special == STRING_LZF:
        rc = read_lzf_sizes(d, &n, &raw)
        if rc == DECODED:
            d.scratch[which].len = 0
            buf_reserve(&d.scratch[which], raw)
            if lzf_decompress(d.at, n, d.scratch[which].ptr, raw) != raw:
                return faulty(d, b"a compressed string that does not decompress")
            out.ptr = d.scratch[which].ptr
            out.len = raw
            d.at += n
            return DECODED
    elif special <= STRING_INT32:
        rc = read_integer(d, special, &number)
        if rc == DECODED:
            out.ptr = digits
            out.len = format_int64(digits, number)
            return DECODED
    else:
        rc = faulty(d, b"unknown string encoding")
    if rc == NEEDS_MORE:
        d.at = mark
    return rc


cdef int read_blob(Decoder* d, uint8_t** out, size_t* out_bytes) noexcept nogil:
    """A string as a heap block of its own (a listpack or intset in the making)."""
    cdef const uint8_t* mark = d.at
    cdef uint64_t n = 0, raw = 0
    cdef int special = -1
    cdef int rc = read_length(d, &n, &special)
    cdef uint8_t* block
    if rc == DECODED and special == STRING_LZF:
        rc = read_lzf_sizes(d, &n, &raw)
        if rc == DECODED and raw > LP_BYTES_MAX:
            return faulty(d, b"a compact value that is too large")
        if rc == DECODED:
            block = <uint8_t*>heap_alloc(d.heap, raw)
            if lzf_decompress(d.at, n, block, raw) != raw:
                heap_free(d.heap, block)
                return faulty(d, b"a compressed string that does not decompress")
            out[0] = block
            out_bytes[0] = raw
            d.at += n
            return DECODED
    elif rc == DECODED and special >= 0:
        return faulty(d, b"a number where a compact value was expected")
    elif rc == DECODED:
        if n > LP_BYTES_MAX:
            return faulty(d, b"a compact value that is too large")
        if <uint64_t>(d.end - d.at) >= n:
            block = <uint8_t*>heap_alloc(d.heap, n if n else 1)
            memcpy(block, d.at, n)
            out[0] = block
            out_bytes[0] = n
            d.at += n
            return DECODED
        rc = NEEDS_MORE
    if rc == NEEDS_MORE:
        d.at = mark
    return rc


cdef int decode_string(Decoder* d) noexcept nogil:
    cdef const uint8_t* mark = d.at
    cdef uint64_t n = 0
    cdef int special = -1
    cdef int rc = read_length(d, &n, &special)
    if rc == DECODED and 0 <= special <= STRING_INT32:
        rc = read_integer(d, special, &d.number)
        if rc == NEEDS_MORE:
            d.at = mark
        d.kind = STR_INT
        return rc
    if rc != DECODED:
        return rc
    d.at = mark
    rc = read_string(d, &d.text, NULL, 0)
    d.kind = STR_INLINE
    if rc == DECODED and d.text.len <= 20 and parse_int64(d.text.ptr, d.text.len, &d.number):
        d.kind = STR_INT
    return rc
