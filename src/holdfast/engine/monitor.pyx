"""MONITOR: every executed request, to whoever watches (https://redis.io/commands/monitor/)."""

from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_free, buf_reserve, slice_bytes, slice_of
from holdfast.engine.reply cimport reply_raw, wake
from holdfast.engine.state cimport S_SCRIPT, S_UNIX, Call, Engine, Session


cdef void append_quoted(Buf* out, Slice text) noexcept:
    """Append a text in double quotes, as redis-cli shows strings."""
    cdef size_t i
    cdef unsigned char c
    cdef char* p
    cdef const char* digits = b"0123456789abcdef"
    cdef const char* letters = b"abtn..r"
    buf_reserve(out, text.len * 4 + 2)
    p = out.ptr + out.len
    p[0] = c'"'
    p += 1
    for i in range(text.len):
        c = <unsigned char>text.ptr[i]
        if c == c'"' or c == c'\\':
            p[0] = c'\\'
            p[1] = <char>c
            p += 2
        elif 32 <= c < 127:
            p[0] = <char>c
            p += 1
        elif 7 <= c <= 13 and c != 11 and c != 12:
            p[0] = c'\\'
            p[1] = letters[c - 7]
            p += 2
        else:
            p[0] = c'\\'
            p[1] = c'x'
            p[2] = digits[c >> 4]
            p[3] = digits[c & 15]
            p += 4
    p[0] = c'"'
    out.len = p + 1 - out.ptr


cdef int feed_monitors(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Session watcher
    cdef int i
    cdef Buf line
    cdef bytes head
    cdef list call
    where = s.address
    if s.flags & S_SCRIPT:
        where = "lua"
    elif s.flags & S_UNIX:
        where = "unix:" + str(s.address).removesuffix(":0")
    head = b"+%d.%06d [%d %s]" % (
        e.ks.now_ms // 1000, e.ks.now_ms % 1000 * 1000, s.db.id, str(where).encode())
    line.ptr = NULL
    line.len = line.cap = 0
    buf_append(&line, head, len(head))
    call = [slice_bytes(c.argv[i]) for i in range(c.argc)]
    if e.redact is not None:
        call = e.redact(call)
    for each in call:
        buf_append(&line, b" ", 1)
        append_quoted(&line, slice_of(each))
    buf_append(&line, b"\r\n", 2)
    for watcher in list(e.monitors):
        reply_raw(watcher, line.ptr, line.len)
        wake(watcher)
    buf_free(&line)
    return 0
