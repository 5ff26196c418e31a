"""Replies, in the protocol version of the session.

What it is: the writer half of RESP2 and RESP3, into the session's output
buffer. What it is not: sending; the end of the tick does that. An error reply
counts itself (INFO errorstats) and marks the command as failed.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy, strlen
from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_insert, buf_reserve
from holdfast.engine.numbers cimport format_double, format_int64
from holdfast.engine.state cimport S_PENDING, Engine, Session

from holdfast.engine.values import NO_REPLY, CommandError, OrderedSet, Pairs, Push, Raw, Status, Verbatim


cdef inline void head(Session s, char mark, int64_t value) noexcept:
    """Write mark, number, CRLF."""
    cdef Buf* b = &s.out
    cdef char* p
    buf_reserve(b, 32)
    p = b.ptr + b.len
    p[0] = mark
    if 0 <= value < 10:
        p[1] = <char>(c'0' + value)
        p += 2
    else:
        p += 1 + format_int64(p + 1, value)
    p[0] = c'\r'
    p[1] = c'\n'
    b.len = p + 2 - b.ptr


cdef void reply_raw(Session s, const char* p, size_t n) noexcept:
    buf_append(&s.out, p, n)


cdef void reply_ok(Session s) noexcept:
    buf_append(&s.out, b"+OK\r\n", 5)


cdef void reply_status(Session s, const char* text) noexcept:
    buf_append(&s.out, b"+", 1)
    buf_append(&s.out, text, strlen(text))
    buf_append(&s.out, b"\r\n", 2)


cdef void count_error(Session s, bytes text) noexcept:
    cdef bytes code = text.split(b" ", 1)[0]
    cdef Engine e = s.engine
    e.error_counts[code] = e.error_counts.get(code, 0) + 1
    if s.last_command != NULL:
        s.last_command.failed += 1


cdef void reply_error(Session s, const char* text) noexcept:
    cdef size_t n = strlen(text)
    buf_append(&s.out, b"-", 1)
    buf_append(&s.out, text, n)
    buf_append(&s.out, b"\r\n", 2)
    count_error(s, text[:n])


cdef void reply_error_bytes(Session s, bytes text):
    text = text.strip(b"\r\n").replace(b"\r", b" ").replace(b"\n", b" ")
    buf_append(&s.out, b"-", 1)
    buf_append(&s.out, text, len(text))
    buf_append(&s.out, b"\r\n", 2)
    count_error(s, text)


cdef void reply_wrong_type(Session s) noexcept:
    reply_error(s, b"WRONGTYPE Operation against a key holding the wrong kind of value")


cdef void reply_syntax_error(Session s) noexcept:
    reply_error(s, b"ERR syntax error")


cdef void reply_not_integer(Session s) noexcept:
    reply_error(s, b"ERR value is not an integer or out of range")


cdef void reply_not_float(Session s) noexcept:
    reply_error(s, b"ERR value is not a valid float")


cdef void reply_no_such_key(Session s) noexcept:
    reply_error(s, b"ERR no such key")


cdef void reply_int(Session s, int64_t value) noexcept:
    head(s, c':', value)


cdef void reply_bulk(Session s, const char* p, size_t n) noexcept:
    cdef Buf* b = &s.out
    buf_reserve(b, n + 34)
    head(s, c'$', n)
    memcpy(b.ptr + b.len, p, n)
    b.len += n
    b.ptr[b.len] = c'\r'
    b.ptr[b.len + 1] = c'\n'
    b.len += 2


cdef void reply_slice(Session s, Slice text) noexcept:
    reply_bulk(s, text.ptr, text.len)


cdef void reply_text(Session s, const char* text) noexcept:
    reply_bulk(s, text, strlen(text))


cdef void reply_null(Session s) noexcept:
    if s.resp == 3:
        buf_append(&s.out, b"_\r\n", 3)
    else:
        buf_append(&s.out, b"$-1\r\n", 5)


cdef void reply_null_array(Session s) noexcept:
    if s.resp == 3:
        buf_append(&s.out, b"_\r\n", 3)
    else:
        buf_append(&s.out, b"*-1\r\n", 5)


cdef void reply_array(Session s, size_t count) noexcept:
    head(s, c'*', count)


cdef void reply_map(Session s, size_t pairs) noexcept:
    if s.resp == 3:
        head(s, c'%', pairs)
    else:
        head(s, c'*', 2 * pairs)


cdef void reply_set(Session s, size_t count) noexcept:
    head(s, c'~' if s.resp == 3 else c'*', count)


cdef void reply_push(Session s, size_t count) noexcept:
    head(s, c'>' if s.resp == 3 else c'*', count)


cdef void reply_bool(Session s, bint value) noexcept:
    if s.resp == 3:
        buf_append(&s.out, b"#t\r\n" if value else b"#f\r\n", 4)
    else:
        reply_int(s, 1 if value else 0)


cdef void reply_double(Session s, double value) noexcept:
    cdef char digits[48]
    cdef size_t n = format_double(digits, value)
    if s.resp == 3:
        buf_append(&s.out, b",", 1)
        buf_append(&s.out, digits, n)
        buf_append(&s.out, b"\r\n", 2)
    else:
        reply_bulk(s, digits, n)


cdef void reply_verbatim(Session s, const char* kind, const char* p, size_t n) noexcept:
    if s.resp != 3:
        reply_bulk(s, p, n)
        return
    head(s, c'=', n + 4)
    buf_append(&s.out, kind, 3)
    buf_append(&s.out, b":", 1)
    buf_append(&s.out, p, n)
    buf_append(&s.out, b"\r\n", 2)


cdef size_t reply_later(Session s) noexcept:
    return s.out.len


cdef void head_at(Session s, size_t at, char mark, size_t count) noexcept:
    cdef char text[32]
    cdef size_t n
    text[0] = mark
    n = 1 + format_int64(text + 1, count)
    text[n] = c'\r'
    text[n + 1] = c'\n'
    buf_insert(&s.out, at, text, n + 2)


cdef void reply_array_at(Session s, size_t at, size_t count) noexcept:
    head_at(s, at, c'*', count)


cdef void reply_set_at(Session s, size_t at, size_t count) noexcept:
    head_at(s, at, c'~' if s.resp == 3 else c'*', count)


cdef void reply_map_at(Session s, size_t at, size_t pairs) noexcept:
    if s.resp == 3:
        head_at(s, at, c'%', pairs)
    else:
        head_at(s, at, c'*', 2 * pairs)


cdef int reply_value(Session s, object value) except -1:
    cdef bytes text
    if value is None:
        reply_null(s)
    elif value is NO_REPLY:
        pass
    elif isinstance(value, bytes):
        if isinstance(value, Raw):
            reply_raw(s, <bytes>value, len(<bytes>value))
        else:
            reply_bulk(s, <bytes>value, len(<bytes>value))
    elif isinstance(value, bool):
        reply_bool(s, value)
    elif isinstance(value, int):
        reply_int(s, value)
    elif isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape")
        if isinstance(value, Status):
            reply_status(s, text)
        elif isinstance(value, Verbatim):
            reply_verbatim(s, b"txt", text, len(text))
        else:
            reply_bulk(s, text, len(text))
    elif isinstance(value, float):
        reply_double(s, value)
    elif isinstance(value, dict):
        reply_map(s, len(value))
        for key, item in value.items():
            reply_value(s, key)
            reply_value(s, item)
    elif isinstance(value, Pairs):
        reply_map(s, len(value))
        for key, item in value:
            reply_value(s, key)
            reply_value(s, item)
    elif isinstance(value, OrderedSet):
        reply_set(s, len(value))
        for item in value:
            reply_value(s, item)
    elif isinstance(value, Push):
        reply_push(s, len(value))
        for item in value:
            reply_value(s, item)
    elif isinstance(value, (list, tuple)):
        reply_array(s, len(value))
        for item in value:
            reply_value(s, item)
    elif isinstance(value, (set, frozenset)):
        reply_set(s, len(value))
        for item in value:
            reply_value(s, item)
    elif isinstance(value, CommandError):
        reply_error_bytes(s, str(value).encode("utf-8", "surrogateescape"))
    else:
        raise TypeError(f"no reply form for {type(value).__name__}")
    return 0


cdef void wake(Session s) noexcept:
    cdef Engine e = s.engine
    if not s.flags & S_PENDING:
        s.flags |= S_PENDING
        e.pending.append(s)
    if not e.tick_open and e.open_tick is not None:
        e.open_tick()


def send_value(Session session, value):
    """Reply to a session outside of a command of its own (a wait that ends); it leaves with this tick."""
    if isinstance(value, CommandError):
        reply_error_bytes(session, str(value).encode("utf-8", "surrogateescape"))
    else:
        reply_value(session, value)
    wake(session)
