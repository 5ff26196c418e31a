"""Strings edited in place: growing them, and the limit of their length.

What it is: what APPEND, SETRANGE, SETBIT and BITFIELD share. What it is not: a
command. A string that was edited is "raw" from then on, as in Redis.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport heap_zalloc
from holdfast.engine.keyspace cimport ks_set_value, ks_text
from holdfast.engine.record cimport STR_BUFFER, TYPE_STRING, Record, Text, text_bytes, type_of
from holdfast.engine.reply cimport reply_error, reply_wrong_type
from holdfast.engine.state cimport S_LOADER, S_PRIMARY, Session


cdef bint is_string_or_none(Session s, Record* r) noexcept:
    if r == NULL or type_of(r) == TYPE_STRING:
        return True
    reply_wrong_type(s)
    return False


cdef bint length_allowed(Session s, int64_t size, int64_t more) noexcept:
    cdef int64_t limit = s.engine.proto_max_bulk_len
    if s.flags & (S_PRIMARY | S_LOADER) or (size <= limit and more <= limit - size):
        return True
    reply_error(s, b"ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    return False


cdef char* grow_text(Session s, Slice key, Record* r, size_t size, size_t* length) noexcept:
    cdef Text* text
    if r == NULL:
        text = <Text*>heap_zalloc(&s.engine.ks.heap, sizeof(Text) + size)
        text.len = size
        ks_set_value(&s.engine.ks, s.db, key, STR_BUFFER, text, -1, False)
    else:
        r = ks_text(&s.engine.ks, s.db, r, size)
        text = <Text*>r.value.ptr
        if text.len < size:
            memset(text_bytes(text) + text.len, 0, size - text.len)
            text.len = size
    length[0] = text.len
    return text_bytes(text)
