"""MONITOR: every executed request, to whoever watches (https://redis.io/commands/monitor/)."""

from holdfast.engine.buf cimport slice_bytes
from holdfast.engine.reply cimport reply_raw, wake
from holdfast.engine.state cimport S_SCRIPT, S_UNIX, Call, Engine, Session


_ESCAPES = {
    ord('"'): b'\\"', ord("\\"): b"\\\\", 10: b"\\n", 13: b"\\r", 9: b"\\t", 7: b"\\a", 8: b"\\b",
}
_SHOWN = [
    _ESCAPES.get(c, bytes((c,)) if 32 <= c < 127 else b"\\x%02x" % c) for c in range(256)
]


cdef bytes quoted(bytes text):
    return b'"' + b"".join([_SHOWN[c] for c in text]) + b'"'


cdef int feed_monitors(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Session watcher
    cdef int i
    cdef bytes shown
    where = "lua" if s.flags & S_SCRIPT else (f"unix:{str(s.address).removesuffix(":0")}" if s.flags & S_UNIX else s.address)
    line = b"%d.%06d [%d %s] " % (e.ks.now_ms // 1000, e.ks.now_ms % 1000 * 1000, s.db.id, str(where).encode())
    call = [slice_bytes(c.argv[i]) for i in range(c.argc)]
    if e.redact is not None:
        call = e.redact(call)
    line += b" ".join([quoted(each) for each in call])
    shown = b"+%s\r\n" % line
    for watcher in e.monitors:
        reply_raw(watcher, <const char*>shown, len(shown))
        wake(watcher)
    return 0
