"""BITOP: whole strings combined bit by bit (https://redis.io/commands/bitop/).

What it is: AND, OR, XOR and NOT, eight bytes a step; the outcome is a new
string. What it is not: the other commands on bits (`bits`, `bitfield`).
"""

from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcpy, memset
from holdfast.commands.options cimport arg_is
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_STRING, changed
from holdfast.engine.heap cimport heap_alloc
from holdfast.engine.keyspace cimport ks_delete, ks_read, ks_set_value
from holdfast.engine.record cimport STR_BUFFER, TYPE_STRING, Record, Text, record_string, text_bytes, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_error, reply_int, reply_syntax_error, reply_wrong_type
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint64_t hf_bits_word(const unsigned char *p) { uint64_t w; memcpy(&w, p, 8); return w; }
    /* to = to OP from, for n bytes. */
    #define HF_BITS_LOOP(OP) do { \
        for (; n >= 8; n -= 8, to += 8, from += 8) { \
            uint64_t x = hf_bits_word(to) OP hf_bits_word(from); memcpy(to, &x, 8); } \
        for (; n; n--, to++, from++) *to = (unsigned char)(*to OP *from); } while (0)
    static inline void hf_bits_and(
        unsigned char *to, const unsigned char *from, size_t n) { HF_BITS_LOOP(&); }
    static inline void hf_bits_or(unsigned char *to, const unsigned char *from, size_t n) { HF_BITS_LOOP(|); }
    static inline void hf_bits_xor(
        unsigned char *to, const unsigned char *from, size_t n) { HF_BITS_LOOP(^); }
    """
    void hf_bits_and(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil
    void hf_bits_or(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil
    void hf_bits_xor(unsigned char* to, const unsigned char* source, size_t n) noexcept nogil

cdef enum BitOperation:
    BIT_NONE
    BIT_AND
    BIT_OR
    BIT_XOR
    BIT_NOT


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
    command(e, bitop, Spec(
        "bitop", -4, "write denyoom", (2, -1, 1), "bitmap", "2.6.0",
        "Combine strings bit by bit into a key.", "O(N)",
        key_specs=(KeySpec("OW update", begin=2), KeySpec("RO access", begin=3, last=-1))))
    return 0
