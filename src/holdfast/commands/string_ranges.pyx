"""Parts of strings: APPEND, STRLEN, GETRANGE, SUBSTR and SETRANGE (https://redis.io/commands/?group=string).

The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy
from holdfast.commands.options cimport arg_int
from holdfast.commands.strings cimport store
from holdfast.commands.text cimport grow_text, is_string_or_none, length_allowed
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_STRING, changed
from holdfast.engine.keyspace cimport ks_read, ks_write
from holdfast.engine.record cimport Record, record_string
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_bulk, reply_error, reply_int
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec


cdef int append(Session s, Call* c) except -1:
    cdef char scratch[24]
    cdef Slice more = c.argv[2]
    cdef Record* r = ks_write(&s.engine.ks, s.db, c.argv[1])
    cdef size_t before, length = more.len
    cdef char* p
    if not is_string_or_none(s, r):
        return 0
    if r == NULL:
        store(s, c.argv[1], more, -1, False)
    else:
        before = record_string(r, scratch).len
        if not length_allowed(s, before, more.len):
            return 0
        p = grow_text(s, c.argv[1], r, before + more.len, &length)
        memcpy(p + before, more.ptr, more.len)
    changed(s, c.argv[1], NOTIFY_STRING, b"append", 1)
    reply_int(s, length)
    return 0


cdef int str_len(Session s, Call* c) except -1:
    cdef char scratch[24]
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if is_string_or_none(s, r):
        reply_int(s, record_string(r, scratch).len if r != NULL else 0)
    return 0


cdef int get_range(Session s, Call* c) except -1:
    cdef char scratch[24]
    cdef Record* r
    cdef Slice text
    cdef int64_t start, end, n
    if not arg_int(s, c.argv[2], &start) or not arg_int(s, c.argv[3], &end):
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if not is_string_or_none(s, r):
        return 0
    if r == NULL or (start < 0 and end < 0 and start > end):
        reply_bulk(s, b"", 0)
        return 0
    text = record_string(r, scratch)
    n = <int64_t>text.len
    start = max(start + n, 0) if start < 0 else start
    end = max(end + n, 0) if end < 0 else end
    end = min(end, n - 1)
    if start > end:
        reply_bulk(s, b"", 0)
    else:
        reply_bulk(s, text.ptr + start, end - start + 1)
    return 0


cdef int set_range(Session s, Call* c) except -1:
    cdef char scratch[24]
    cdef Slice value = c.argv[3]
    cdef Record* r
    cdef int64_t offset
    cdef size_t length
    cdef char* p
    if not arg_int(s, c.argv[2], &offset):
        return 0
    if offset < 0:
        reply_error(s, b"ERR offset is out of range")
        return 0
    r = ks_write(&s.engine.ks, s.db, c.argv[1])
    if not is_string_or_none(s, r):
        return 0
    if value.len == 0:
        reply_int(s, record_string(r, scratch).len if r != NULL else 0)
        return 0
    if not length_allowed(s, offset, value.len):
        return 0
    p = grow_text(s, c.argv[1], r, <size_t>offset + value.len, &length)
    memcpy(p + offset, value.ptr, value.len)
    changed(s, c.argv[1], NOTIFY_STRING, b"setrange", 1)
    reply_int(s, length)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, append, Spec(
        "append", 3, "write denyoom fast", (1, 1, 1), "string", "2.0.0", "Add text to the end of a string.",
        "O(1) amortized", key_specs=(KeySpec("RW insert"),)))
    command(e, str_len, Spec(
        "strlen", 2, "readonly fast", (1, 1, 1), "string", "2.2.0", "Return the length of a string in bytes.",
        "O(1)", key_specs=(KeySpec("RO"),)))
    for name, since, summary in (
            ("getrange", "2.4.0", "Return a part of a string."),
            ("substr", "1.0.0", "Return a part of a string (the old name of GETRANGE).")):
        command(e, get_range, Spec(
            name, 4, "readonly", (1, 1, 1), "string", since, summary, "O(N), N being the length of the part",
            key_specs=(KeySpec("RO access"),)))
    command(e, set_range, Spec(
        "setrange", 4, "write denyoom", (1, 1, 1), "string", "2.2.0",
        "Overwrite a part of a string from an offset on.", "O(M), M being the length of the value",
        key_specs=(KeySpec("RW update"),)))
    return 0
