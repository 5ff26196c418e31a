"""Bits of strings: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP (https://redis.io/commands/?group=bitmap).

What it is: strings as arrays of bits, bit 0 being the highest of byte 0. What it
is not: BITFIELD, whose numbers have a module of their own (`bitfield`). The
index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcpy, memset
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.commands.text cimport grow_text, is_string_or_none
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_STRING, changed
from holdfast.engine.heap cimport heap_alloc
from holdfast.engine.keyspace cimport (
    STR_BUFFER, TYPE_STRING, Record, Text, ks_delete, ks_read, ks_set_value, ks_write, record_string, text_bytes,
    type_of)
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_error, reply_int, reply_syntax_error, reply_wrong_type
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
    /* to = to OP from, for n bytes. */
    #define HF_BITS_LOOP(OP) do { \
        for (; n >= 8; n -= 8, to += 8, from += 8) { \
            uint64_t x = hf_bits_word(to) OP hf_bits_word(from); memcpy(to, &x, 8); } \
        for (; n; n--, to++, from++) *to = (unsigned char)(*to OP *from); } while (0)
    static inline void hf_bits_and(unsigned char *to, const unsigned char *from, size_t n) { HF_BITS_LOOP(&); }
    static inline void hf_bits_or(unsigned char *to, const unsigned char *from, size_t n) { HF_BITS_LOOP(|); }
    static inline void hf_bits_xor(unsigned char *to, const unsigned char *from, size_t n) { HF_BITS_LOOP(^); }
    """
    uint64_t hf_bits_word(const unsigned char* p) noexcept nogil
    uint64_t hf_bits_count(const unsigned char* p, size_t n) noexcept nogil
    void hf_bits_and(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil
    void hf_bits_or(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil
    void hf_bits_xor(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil

cdef enum BitOperation:
    BIT_NONE
    BIT_AND
    BIT_OR
    BIT_XOR
    BIT_NOT

cdef struct BitRange:   # 0 <= first and last < bits of the string; none when first > last
    int64_t first       # bits, both ends included
    int64_t last


# ---- one bit ----

cdef bint bit_offset(Session s, Slice arg, int bits, uint64_t* out) noexcept:
    cdef int64_t value = 0
    cdef bint fields = bits > 0 and arg.len > 0 and arg.ptr[0] == c'#'
    cdef bint good = parse_int64(arg.ptr + fields, arg.len - fields, &value) and value >= 0
    if good and fields:
        good = value <= 9223372036854775807 // bits
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


# ---- operations on whole strings ----

cdef int bit_operation(Slice arg) noexcept nogil:
    if arg_is(arg, b"and"):
        return BIT_AND
    if arg_is(arg, b"or"):
        return BIT_OR
    if arg_is(arg, b"xor"):
        return BIT_XOR
    return BIT_NOT if arg_is(arg, b"not") else BIT_NONE


cdef void combine(unsigned char* to, size_t length, Slice* sources, int count, int operation) noexcept nogil:
    """Shorter sources count as padded with zeros."""
    cdef int i
    cdef size_t j
    memcpy(to, sources[0].ptr, sources[0].len)
    memset(to + sources[0].len, 0, length - sources[0].len)
    if operation == BIT_NOT:
        for j in range(length):
            to[j] = ~to[j]
    for i in range(1, count):
        if operation == BIT_AND:
            hf_bits_and(to, <const unsigned char*>sources[i].ptr, sources[i].len)
            memset(to + sources[i].len, 0, length - sources[i].len)
        elif operation == BIT_OR:
            hf_bits_or(to, <const unsigned char*>sources[i].ptr, sources[i].len)
        else:
            hf_bits_xor(to, <const unsigned char*>sources[i].ptr, sources[i].len)


cdef bint find_sources(Session s, Call* c, Slice* sources, char* digits) noexcept:
    """The strings of argv[3:], a missing one being empty; False: answered with an error.

    Looking up moves no record, so the slices stay good; a number is written
    into its 24 bytes of `digits`.
    """
    cdef Record* r
    cdef int i
    for i in range(3, c.argc):
        r = ks_read(&s.engine.ks, s.db, c.argv[i])
        if r == NULL:
            sources[i - 3].ptr = digits
            sources[i - 3].len = 0
        elif type_of(r) != TYPE_STRING:
            reply_wrong_type(s)
            return False
        else:
            sources[i - 3] = record_string(r, digits + 24 * (i - 3))
    return True


cdef int bitop(Session s, Call* c) except -1:
    cdef int operation = bit_operation(c.argv[1])
    cdef int i, count = c.argc - 3
    cdef size_t length = 0
    cdef Slice* sources
    cdef Text* text = NULL
    if operation == BIT_NONE:
        reply_syntax_error(s)
        return 0
    if operation == BIT_NOT and count != 1:
        reply_error(s, b"ERR BITOP NOT must be called with a single source key.")
        return 0
    sources = <Slice*>malloc(count * (sizeof(Slice) + 24))
    if sources == NULL:
        abort()
    if not find_sources(s, c, sources, <char*>(sources + count)):
        free(sources)
        return 0
    for i in range(count):
        length = max(length, sources[i].len)
    if length:
        text = <Text*>heap_alloc(&s.engine.ks.heap, sizeof(Text) + length)
        text.len = length
        combine(<unsigned char*>text_bytes(text), length, sources, count, operation)
    free(sources)
    if length:
        ks_set_value(&s.engine.ks, s.db, c.argv[2], STR_BUFFER, text, -1, False)
        changed(s, c.argv[2], NOTIFY_STRING, b"set", 1)
    elif ks_delete(&s.engine.ks, s.db, c.argv[2]):
        changed(s, c.argv[2], NOTIFY_GENERIC, b"del", 1)
    reply_int(s, length)
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
        "bitpos", -3, "readonly", (1, 1, 1), "bitmap", "2.8.7", "Find the first set or clear bit of a string.", "O(N)",
        key_specs=(KeySpec("RO access"),)))
    command(e, bitop, Spec(
        "bitop", -4, "write denyoom", (2, -1, 1), "bitmap", "2.6.0", "Combine strings bit by bit into a key.", "O(N)",
        key_specs=(KeySpec("OW update", begin=2), KeySpec("RO access", begin=3, last=-1))))
    return 0
