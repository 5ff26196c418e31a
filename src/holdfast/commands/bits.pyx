"""Bits of strings: SETBIT, GETBIT, BITCOUNT, BITPOS (https://redis.io/commands/?group=bitmap).

What it is: strings as arrays of bits, bit 0 being the highest of byte 0. What it
is not: BITOP (`bit_operations`) and BITFIELD (`bitfield`). The index of the
family is `register` at the end.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.commands.text cimport grow_text, is_string_or_none
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_STRING, changed
from holdfast.engine.keyspace cimport ks_read, ks_write
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport Record, record_string
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_error, reply_int, reply_syntax_error
from holdfast.engine.state cimport S_LOADER, S_PRIMARY, Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint64_t hf_bits_word(const unsigned char *p) { uint64_t w; memcpy(&w, p, 8); return w; }
    /* Bits set in [p, p + n): eight bytes a step (Hacker's Delight, figure 5-2). */
    static inline uint64_t hf_bits_count(const unsigned char *p, size_t n) {
        uint64_t total = 0, x;
        while (n) {
            size_t step = n < 8 ? n : 8;
            x = 0;
            memcpy(&x, p, step);
            x = x - ((x >> 1) & 0x5555555555555555ULL);
            x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
            total += (x * 0x0101010101010101ULL) >> 56;
            p += step; n -= step;
        }
        return total;
    }
    """
    uint64_t hf_bits_word(const unsigned char* p) noexcept nogil
    uint64_t hf_bits_count(const unsigned char* p, size_t n) noexcept nogil

cdef struct BitRange:   # 0 <= first and last < bits of the string; none when first > last
    int64_t first       # bits, both ends included
    int64_t last


# ---- one bit ----

cdef bint bit_offset(Session s, Slice arg, int bits, uint64_t* out) noexcept:
    cdef int64_t value = 0
    cdef bint fields = bits > 0 and arg.len > 0 and arg.ptr[0] == c'#'
    cdef bint good = parse_int64(arg.ptr + fields, arg.len - fields, &value) and value >= 0
    if good and fields:
        good = value <= INT64_MAX // bits
        value = value * bits if good else 0
    if good and not s.flags & (S_PRIMARY | S_LOADER):
        good = (value >> 3) < s.engine.proto_max_bulk_len
    if not good:
        reply_error(s, b"ERR bit offset is not an integer or out of range")
    out[0] = <uint64_t>value
    return good


cdef int setbit(Session s, Call* c) except -1:
    cdef uint64_t offset
    cdef int64_t on
    cdef Record* r
    cdef char scratch[24]
    cdef size_t before, length
    cdef char* p
    cdef int shift, old
    if not bit_offset(s, c.argv[2], 0, &offset):
        return 0
    if not parse_int64(c.argv[3].ptr, c.argv[3].len, &on) or on & ~1:
        reply_error(s, b"ERR bit is not an integer or out of range")
        return 0
    r = ks_write(&s.engine.ks, s.db, c.argv[1])
    if not is_string_or_none(s, r):
        return 0
    before = record_string(r, scratch).len if r != NULL else 0
    p = grow_text(s, c.argv[1], r, (offset >> 3) + 1, &length)
    shift = 7 - <int>(offset & 7)
    old = (<uint8_t>p[offset >> 3] >> shift) & 1
    if length != before or old != on:
        p[offset >> 3] = <char>((<uint8_t>p[offset >> 3] & ~(1 << shift)) | (<int>on << shift))
        changed(s, c.argv[1], NOTIFY_STRING, b"setbit", 1)
    reply_int(s, old)
    return 0


cdef int getbit(Session s, Call* c) except -1:
    cdef uint64_t offset
    cdef Record* r
    cdef char scratch[24]
    cdef Slice text
    cdef int bit = 0
    if not bit_offset(s, c.argv[2], 0, &offset):
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if not is_string_or_none(s, r):
        return 0
    if r != NULL:
        text = record_string(r, scratch)
        if offset >> 3 < text.len:
            bit = (<uint8_t>text.ptr[offset >> 3] >> (7 - <int>(offset & 7))) & 1
    reply_int(s, bit)
    return 0


# ---- ranges of bits ----

cdef bint bit_unit(Session s, Slice arg, bint* bits) noexcept:
    """BIT or BYTE; False: answered with an error."""
    bits[0] = arg_is(arg, b"bit")
    if bits[0] or arg_is(arg, b"byte"):
        return True
    reply_syntax_error(s)
    return False


cdef BitRange bit_range(int64_t start, int64_t end, int64_t length, bint bits) noexcept nogil:
    """The bits from `start` to `end`, counted in bits or bytes, from the end when negative."""
    cdef BitRange found
    cdef int64_t total = length * 8 if bits else length
    start = max(start + total, 0) if start < 0 else start
    end = max(end + total, 0) if end < 0 else end
    end = min(end, total - 1)
    if start > end:
        found.first = 0
        found.last = -1
        return found
    found.first = start if bits else start * 8
    found.last = end if bits else end * 8 + 7
    return found


cdef int64_t count_bits(const unsigned char* p, BitRange range_) noexcept nogil:
    cdef int64_t first = range_.first >> 3, last = range_.last >> 3
    cdef unsigned char edge
    cdef int64_t total
    if range_.first > range_.last:
        return 0
    total = hf_bits_count(p + first, last - first + 1)
    edge = p[first] & <unsigned char>(0xFF00 >> (range_.first & 7))     # bits before the range
    total -= hf_bits_count(&edge, 1)
    edge = p[last] & <unsigned char>(0x7F >> (range_.last & 7))         # bits behind it
    return total - hf_bits_count(&edge, 1)


cdef int bitcount(Session s, Call* c) except -1:
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef char scratch[24]
    cdef Slice text
    cdef int64_t start = 0, end = -1
    cdef bint bits = False
    if r == NULL or not is_string_or_none(s, r):
        if r == NULL:
            reply_int(s, 0)
        return 0
    if c.argc == 4 or c.argc == 5:
        if not arg_int(s, c.argv[2], &start) or not arg_int(s, c.argv[3], &end):
            return 0
        if start < 0 and end < 0 and start > end:
            reply_int(s, 0)
            return 0
        if c.argc == 5 and not bit_unit(s, c.argv[4], &bits):
            return 0
    elif c.argc != 2:
        reply_syntax_error(s)
        return 0
    text = record_string(r, scratch)
    reply_int(s, count_bits(<const unsigned char*>text.ptr, bit_range(start, end, text.len, bits)))
    return 0


cdef int64_t find_bit(const unsigned char* p, BitRange range_, int bit) noexcept nogil:
    """The first such bit in the range, or -1."""
    cdef int64_t at = range_.first
    cdef unsigned char plain = 0 if bit else 0xFF       # a byte without such a bit
    cdef uint64_t plain_word = 0 if bit else ~<uint64_t>0
    while at <= range_.last:
        if at & 7 == 0:
            while at + 63 <= range_.last and hf_bits_word(p + (at >> 3)) == plain_word:
                at += 64
            while at + 7 <= range_.last and p[at >> 3] == plain:
                at += 8
            if at > range_.last:
                return -1
        if (p[at >> 3] >> (7 - (at & 7))) & 1 == bit:
            return at
        at += 1
    return -1


cdef int bitpos(Session s, Call* c) except -1:
    cdef Record* r
    cdef char scratch[24]
    cdef Slice text
    cdef BitRange where
    cdef int64_t bit, start = 0, end = -1, found
    cdef bint bits = False
    if not arg_int(s, c.argv[2], &bit):
        return 0
    if bit & ~1:
        reply_error(s, b"ERR The bit argument must be 1 or 0.")
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r == NULL or not is_string_or_none(s, r):
        if r == NULL:
            reply_int(s, -1 if bit else 0)
        return 0
    if c.argc > 6:
        reply_syntax_error(s)
        return 0
    if c.argc > 3 and not arg_int(s, c.argv[3], &start):
        return 0
    if c.argc == 6 and not bit_unit(s, c.argv[5], &bits):
        return 0
    if c.argc > 4 and not arg_int(s, c.argv[4], &end):
        return 0
    text = record_string(r, scratch)
    where = bit_range(start, end, text.len, bits)
    found = find_bit(<const unsigned char*>text.ptr, where, <int>bit)
    if found < 0 and bit == 0 and c.argc < 5 and where.first <= where.last:
        found = <int64_t>text.len * 8       # without an end the string is followed by zeros
    reply_int(s, found)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, setbit, Spec(
        "setbit", 4, "write denyoom", (1, 1, 1), "bitmap", "2.2.0", "Set or clear a bit of a string.", "O(1)",
        key_specs=(KeySpec("RW access update"),)))
    command(e, getbit, Spec(
        "getbit", 3, "readonly fast", (1, 1, 1), "bitmap", "2.2.0", "Return a bit of a string.", "O(1)",
        key_specs=(KeySpec("RO access"),)))
    command(e, bitcount, Spec(
        "bitcount", -2, "readonly", (1, 1, 1), "bitmap", "2.6.0", "Count the set bits of a string.", "O(N)",
        key_specs=(KeySpec("RO access"),)))
    command(e, bitpos, Spec(
        "bitpos", -3, "readonly", (1, 1, 1), "bitmap", "2.8.7",
        "Find the first set or clear bit of a string.", "O(N)",
        key_specs=(KeySpec("RO access"),)))
    return 0
