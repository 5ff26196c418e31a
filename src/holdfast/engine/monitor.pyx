"""MONITOR: every executed request, to whoever watches (https://redis.io/commands/monitor/)."""

from holdfast.engine.buf cimport slice_bytes
from holdfast.engine.reply cimport reply_status, wake
from holdfast.engine.state cimport S_SCRIPT, S_UNIX, Call, Engine, Session


cdef bytes quoted(bytes text):
    cdef bytearray out = bytearray(b'"')
    cdef int c
    for c in text:
        if c == c'"' or c == c'\\':
            out += b"\\" + bytes((c,))
        elif c == c'\n':
            out += b"\\n"
        elif c == c'\r':
            out += b"\\r"
        elif c == c'\t':
            out += b"\\t"
        elif c == 7:
            out += b"\\a"
        elif c == 8:
            out += b"\\b"
        elif 32 <= c < 127:
            out.append(c)
        else:
            out += b"\\x%02x" % c
    out += b'"'
    return bytes(out)


cdef int feed_monitors(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Session watcher
    cdef int i
    where = "lua" if s.flags & S_SCRIPT else (f"unix:{s.address}" if s.flags & S_UNIX else s.address)
    line = b"%d.%06d [%d %s] " % (e.ks.now_ms // 1000, e.ks.now_ms % 1000 * 1000, s.db.id, str(where).encode())
    line += b" ".join([quoted(slice_bytes(c.argv[i])) for i in range(c.argc)])
    for watcher in e.monitors:
        reply_status(watcher, line)
        wake(watcher)
    return 0
