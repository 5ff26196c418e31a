"""The effects stream: what AOF and replicas get of each change.

What it is: the writer of `Engine.stream`, RESP commands with a SELECT where the
database changes. What it is not: sending or saving; the end of the tick hands
the stream to whoever takes it. With nobody there (`stream_on` false) nothing is
written and nothing counted.

Every effect is deterministic: what depends on luck, on the clock or on the
order of a table is replaced by its outcome before it comes here.
"""

from libc.stdint cimport int64_t
from libc.string cimport strlen
from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_free, buf_insert
from holdfast.engine.numbers cimport format_int64
from holdfast.engine.request cimport encode_call
from holdfast.engine.state cimport Call, Engine


cdef void bulk(Buf* b, const char* p, size_t n) noexcept:
    cdef char text[32]
    cdef size_t k
    text[0] = c'$'
    k = 1 + format_int64(text + 1, n)
    text[k] = c'\r'
    text[k + 1] = c'\n'
    buf_append(b, text, k + 2)
    buf_append(b, p, n)
    buf_append(b, b"\r\n", 2)


cdef void select_database(Engine e, int db) noexcept:
    cdef char digits[24]
    if e.stream_db == db:
        return
    e.stream_db = db
    buf_append(&e.stream, b"*2\r\n$6\r\nSELECT\r\n", 16)
    bulk(&e.stream, digits, format_int64(digits, db))


cdef void start_effect(Engine e, int db) noexcept:
    if e.unit_depth:
        if e.unit_effects == 0:
            select_database(e, db)
            e.unit_start = e.stream.len
        e.unit_effects += 1
    select_database(e, db)


cdef void effect_begin(Engine e, int db, int argc) noexcept:
    cdef char text[32]
    cdef size_t n
    e.call_effects += 1
    if not e.stream_on:
        return
    start_effect(e, db)
    text[0] = c'*'
    n = 1 + format_int64(text + 1, argc)
    text[n] = c'\r'
    text[n + 1] = c'\n'
    buf_append(&e.stream, text, n + 2)


cdef void effect_arg(Engine e, const char* p, size_t n) noexcept:
    if e.stream_on:
        bulk(&e.stream, p, n)


cdef void effect_slice(Engine e, Slice s) noexcept:
    effect_arg(e, s.ptr, s.len)


cdef void effect_int(Engine e, int64_t value) noexcept:
    cdef char digits[24]
    effect_arg(e, digits, format_int64(digits, value))


cdef void effect_key(Engine e, int db, const char* name, Slice key) noexcept:
    effect_begin(e, db, 2)
    effect_arg(e, name, strlen(name))
    effect_slice(e, key)


cdef void effect_none(Engine e) noexcept:
    e.call_effects += 1


cdef void effect_aside(Engine e, int db, const char* name, Slice key) noexcept:
    effect_key(e, db, name, key)
    e.call_effects -= 1


cdef void effect_request(Engine e, int db, Call* c) noexcept:
    if not e.stream_on:
        return
    start_effect(e, db)
    if c.raw.len:
        buf_append(&e.stream, c.raw.ptr, c.raw.len)
    else:
        encode_call(&e.stream, c.argv, c.argc)


cdef void unit_open(Engine e) noexcept:
    if e.unit_depth == 0:
        e.unit_effects = 0
    e.unit_depth += 1


cdef void unit_close(Engine e) noexcept:
    e.unit_depth -= 1
    if e.unit_depth == 0 and e.unit_effects > 1:
        buf_insert(&e.stream, e.unit_start, b"*1\r\n$5\r\nMULTI\r\n", 15)
        buf_append(&e.stream, b"*1\r\n$4\r\nEXEC\r\n", 14)


cdef size_t effects_before_unit(Engine e) noexcept nogil:
    return e.unit_start if e.unit_depth and e.unit_effects else e.stream.len


cdef class EffectSink:
    """Who takes the effects of each tick where they stand: no Python object is made. To be inherited."""

    cdef int take_effects(self, const char* p, size_t n) except -1:
        raise NotImplementedError


cdef int hand_out(Engine e, list sinks) except -1:
    """Hand the effects to their takers; what these add themselves is part of what comes next."""
    cdef Buf chunk = e.stream
    cdef bytes copied = None
    if chunk.len == 0:
        return 0
    e.stream_offset += chunk.len
    e.stream.ptr = NULL
    e.stream.len = 0
    e.stream.cap = 0
    try:
        for sink in sinks:
            if isinstance(sink, EffectSink):
                (<EffectSink>sink).take_effects(chunk.ptr, chunk.len)
            else:
                if copied is None:
                    copied = chunk.ptr[:chunk.len]
                sink(copied)
    finally:
        if e.stream.ptr == NULL:
            e.stream = chunk
            e.stream.len = 0
        else:
            buf_free(&chunk)
    return 0


def take_stream(Engine engine):
    """Return the effects of this tick as bytes (None: there are none) and begin anew."""
    cdef bytes chunk
    if engine.stream.len == 0:
        return None
    chunk = engine.stream.ptr[:engine.stream.len]
    engine.stream_offset += engine.stream.len
    engine.stream.len = 0
    return chunk


def stream_database(Engine engine):
    """Return the database that is selected at the end of the stream, 0 if the next effect says it anyhow."""
    return max(engine.stream_db, 0)


def forget_database(Engine engine):
    """Let the next effect begin with SELECT (a new reader joins the stream)."""
    engine.stream_db = -1


def append_command(Engine engine, bytes command):
    """Add a command of the node's own, in RESP (a sign of life, a set record); it belongs to no database."""
    if engine.stream_on:
        buf_append(&engine.stream, <const char*>command, len(command))
