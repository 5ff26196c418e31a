"""Requests: bytes of a client cut into calls, executed in order.

What it is: the reader half of RESP (arrays of bulk strings; lines go to
`inline_requests`), which cuts arguments out of the buffer in place. What it is
not: execution; each whole request goes to `dispatch.execute`.

How to read it: `feed` takes what arrived, `run` executes as much as it may,
`parse_request` cuts one request. Of a pipeline `parse_ahead` cuts several small
ones first (`ahead`), so that the cache fetches all their keys at once. A request
that is not whole stays in the session's `input`; of a long array the arguments
found so far are remembered, so that receiving it in parts does not cost a scan
each time.

A session stops executing while more than OUTPUT_PAUSE bytes of replies wait:
a client that sends and never reads holds no more than that.

Limits and error texts are those of Redis
(https://redis.io/docs/reference/protocol-spec/).
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport abort, free, realloc
from libc.string cimport memchr, memcmp, memcpy
from holdfast.engine.ahead cimport Batch, parse_ahead
from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_consume, buf_free, buf_reserve
from holdfast.engine.dispatch cimport execute, serve
from holdfast.engine.huge_pages cimport follow_heap
from holdfast.engine.inline_requests cimport ensure_argv, split_inline
from holdfast.engine.keyspace cimport PREFETCH_MAX, Database, know_slot, ks_prefetch
from holdfast.engine.numbers cimport format_int64, parse_int64
from holdfast.engine.reply cimport reply_error, reply_error_bytes, wake
from holdfast.engine.state cimport (
    GUARD_NO_AUTH, OUTPUT_PAUSE, S_BLOCKED, S_CLOSE_AFTER, S_CLOSING, S_DENY_BLOCKING, S_LOADER, S_MULTI,
    S_PRIMARY, Call, Engine, Session)

cdef enum:
    INLINE_MAX = 64 * 1024
    REMEMBER_FROM = 64          # arguments from which a partial request is remembered
    KEEP_INPUT = 64 * 1024      # an empty input buffer larger than this is given back


cdef int protocol_error(Session s, const char* text) noexcept:
    reply_error(s, text)
    return -1


cdef inline int64_t line_number(const char* p, const char* end) noexcept nogil:
    """The decimal number in [p, end), or -2 when it is none (-1 is allowed)."""
    cdef int64_t v = 0
    cdef const char* q = p
    if p == end or end - p > 10:
        if parse_int64(p, end - p, &v):
            return v
        return -(<int64_t>1 << 62)
    if p[0] == c'0':
        return 0 if end - p == 1 else -(<int64_t>1 << 62)
    while q < end:
        if q[0] < c'0' or q[0] > c'9':
            if parse_int64(p, end - p, &v):
                return v
            return -(<int64_t>1 << 62)
        v = v * 10 + (q[0] - c'0')
        q += 1
    return v


cdef inline const char* find_cr(const char* p, size_t n) noexcept nogil:
    """The next CR: near ones by a short loop, far ones by memchr."""
    cdef size_t i, near = 12 if n > 12 else n
    for i in range(near):
        if p[i] == c'\r':
            return p + i
    if n <= 12:
        return NULL
    return <const char*>memchr(p + 12, c'\r', n - 12)


cdef int parse_array(Session s, const char* p, size_t n, size_t* used, Call* c) except -2:
    cdef Engine e = s.engine
    cdef const char* at
    cdef const char* cr
    cdef const char* end = p + n
    cdef int64_t total, size
    cdef int argc = 0
    cdef Slice* argv
    if s.partial != NULL:
        total = s.partial_total
        argc = s.partial_argc
        at = p + s.partial_at
        ensure_argv(e, argc + 64)
        memcpy(e.argv, s.partial, argc * sizeof(Slice))
    else:
        cr = find_cr(p + 1, n - 1)
        if cr == NULL:
            if n > INLINE_MAX:
                return protocol_error(s, b"ERR Protocol error: too big mbulk count string")
            return 0
        if cr + 1 >= end:
            return 0
        total = line_number(p + 1, cr)
        if total < -(1 << 31) or total > <int64_t>2147483647:
            return protocol_error(s, b"ERR Protocol error: invalid multibulk length")
        if total > 10 and s.guard & GUARD_NO_AUTH:
            return protocol_error(s, b"ERR Protocol error: unauthenticated multibulk length")
        at = cr + 2
        if total <= 0:
            c.argc = 0
            used[0] = at - p
            return 1
        ensure_argv(e, <int>(total if total < 64 else 64))
    argv = e.argv
    while argc < total:
        if at >= end:
            break
        cr = find_cr(at, end - at)
        if cr == NULL:
            if end - at > INLINE_MAX:
                return protocol_error(s, b"ERR Protocol error: too big bulk count string")
            break
        if cr + 1 >= end:
            break
        if at[0] != c'$':
            reply_error_bytes(s, b"ERR Protocol error: expected '$', got '" + at[:1] + b"'")
            return -1
        size = line_number(at + 1, cr)
        if size < 0 or (size > e.proto_max_bulk_len and not s.flags & (S_PRIMARY | S_LOADER)):
            return protocol_error(s, b"ERR Protocol error: invalid bulk length")
        if size > 16384 and s.guard & GUARD_NO_AUTH:
            return protocol_error(s, b"ERR Protocol error: unauthenticated bulk length")
        if end - cr < size + 4:
            s.input_need = (cr - p) + size + 4
            break
        if argc == e.argv_cap:
            ensure_argv(e, argc + 1)
            argv = e.argv
        argv[argc].ptr = cr + 2
        argv[argc].len = size
        argc += 1
        at = cr + 4 + size
    if argc < total:
        if argc >= REMEMBER_FROM:
            remember(s, p, at, argc, <int>total)
        return 0
    if s.partial != NULL:
        # what was remembered are offsets from the request's first byte
        for size in range(s.partial_argc):
            argv[size].ptr = p + <size_t>argv[size].ptr
        free(s.partial)
        s.partial = NULL
    c.argv = argv
    c.argc = argc
    c.raw.ptr = p
    c.raw.len = at - p
    used[0] = at - p
    return 1


cdef void remember(Session s, const char* p, const char* at, int argc, int total) noexcept:
    cdef int i
    cdef int known = s.partial_argc if s.partial != NULL else 0
    cdef Slice* argv = s.engine.argv
    s.partial = <Slice*>realloc(s.partial, argc * sizeof(Slice))
    if s.partial == NULL:
        abort()
    for i in range(known, argc):
        s.partial[i].ptr = <const char*><size_t>(argv[i].ptr - p)
        s.partial[i].len = argv[i].len
    s.partial_argc = argc
    s.partial_total = total
    s.partial_at = at - p


cdef int parse_request(Session s, const char* p, size_t n, size_t* used, Call* c) except -2:
    cdef const char* newline
    cdef size_t line
    cdef int rc
    if p[0] == c'*':
        return parse_array(s, p, n, used, c)
    newline = <const char*>memchr(p, c'\n', n)
    if newline == NULL:
        if n > INLINE_MAX:
            return protocol_error(s, b"ERR Protocol error: too big inline request")
        return 0
    line = newline - p
    used[0] = line + 1
    if line and p[line - 1] == c'\r':
        line -= 1
    if line > INLINE_MAX:
        return protocol_error(s, b"ERR Protocol error: too big inline request")
    rc = split_inline(s, p, line, c)
    if rc == 0:
        return protocol_error(s, b"ERR Protocol error: unbalanced quotes in request")
    return rc


cdef inline bint may_run(Session s) noexcept:
    return not s.flags & (S_BLOCKED | S_CLOSING | S_CLOSE_AFTER) and s.out.len <= OUTPUT_PAUSE


cdef size_t run_batch(Session s, Batch* batch, int count) except <size_t>-1:
    """Execute requests cut ahead, as many as may run; return how many bytes they took."""
    cdef size_t used = 0
    cdef Database* db = s.db
    cdef int slots[PREFETCH_MAX]
    cdef bint slots_known = db.tables > 1 and batch.key_count > 1
    cdef int i, key = 0
    if batch.key_count > 1:
        ks_prefetch(db, batch.keys, batch.key_count, 1, slots)
    for i in range(count):
        used += batch.calls[i].raw.len
        if slots_known and batch.calls[i].argc > 1:
            know_slot(db, batch.keys[key], slots[key])
            key += 1
        execute(s, &batch.calls[i])
        if not may_run(s):
            break
    db.known_key = NULL
    return used


cdef size_t run(Session s, const char* p, size_t n) except <size_t>-1:
    """Execute the whole requests in [p, p + n); return how many bytes they took."""
    cdef Engine e = s.engine
    cdef size_t at = 0, used = 0
    cdef Batch batch
    cdef Call c
    cdef int rc
    s.input_need = 0
    while at < n and may_run(s):
        e.lap_ns = 0
        if s.partial == NULL and not s.guard & GUARD_NO_AUTH:
            rc = parse_ahead(p + at, p + n, &batch)
            if rc:
                at += run_batch(s, &batch, rc)
                continue
        rc = parse_request(s, p + at, n - at, &used, &c)
        if rc == 0:
            break
        if rc < 0:
            s.flags |= S_CLOSE_AFTER
            return n
        at += used
        if c.argc:
            execute(s, &c)
    e.lap_ns = 0
    return at


cdef int feed(Session s, const char* p, size_t n) except -1:
    cdef size_t used = 0
    cdef Engine e = s.engine
    s.bytes_in += n
    if s.input.len == 0 and may_run(s):
        used = run(s, p, n)
        if used < n:
            if s.input_need > 65536 and s.input_need < <size_t>e.query_buffer_limit:
                buf_reserve(&s.input, s.input_need)
            buf_append(&s.input, p + used, n - used)
    else:
        buf_append(&s.input, p, n)
        if s.input.len >= s.input_need:
            proceed(s)
    if s.input.len > <size_t>e.query_buffer_limit:
        s.flags |= S_CLOSING
    if s.out.len or s.flags & (S_CLOSING | S_CLOSE_AFTER):
        wake(s)
    if e.unblocked:
        serve(e)
    return 0


cdef int proceed(Session s) except -1:
    """Execute what waits in the input; the buffer is lent out while requests borrow from it."""
    cdef Buf held
    cdef size_t used
    if s.input.len == 0 or not may_run(s):
        return 0
    held = s.input
    s.input.ptr = NULL
    s.input.len = 0
    s.input.cap = 0
    try:
        used = run(s, held.ptr, held.len)
    finally:
        buf_free(&s.input)
        s.input = held
    buf_consume(&s.input, used)
    if s.input.len == 0 and s.input.cap > KEEP_INPUT:
        buf_free(&s.input)
    if s.out.len or s.flags & (S_CLOSING | S_CLOSE_AFTER):
        wake(s)
    return 0


cdef void encode_call(Buf* out, Slice* argv, int argc) noexcept nogil:
    cdef char digits[32]
    cdef size_t n
    cdef int i
    digits[0] = c'*'
    n = 1 + format_int64(digits + 1, argc)
    buf_append(out, digits, n)
    buf_append(out, b"\r\n", 2)
    for i in range(argc):
        digits[0] = c'$'
        n = 1 + format_int64(digits + 1, argv[i].len)
        digits[n] = c'\r'
        digits[n + 1] = c'\n'
        buf_append(out, digits, n + 2)
        buf_append(out, argv[i].ptr, argv[i].len)
        buf_append(out, b"\r\n", 2)


cdef int run_nested(Session s, const char* p, size_t n) except -1:
    cdef Engine e = s.engine
    cdef Slice* argv = e.argv
    cdef int argv_cap = e.argv_cap
    e.argv = NULL
    e.argv_cap = 0
    cdef size_t at = 0, used = 0
    cdef Call c
    try:
        while at < n and parse_request(s, p + at, n - at, &used, &c) == 1:
            at += used
            execute(s, &c)
    finally:
        free(e.argv)
        e.argv = argv
        e.argv_cap = argv_cap
    return 0


def receive(Session session, const unsigned char[::1] chunk not None):
    """Take bytes that a client sent; execute every complete request in them."""
    if chunk.shape[0]:
        feed(session, <const char*>&chunk[0], chunk.shape[0])


def resume(Session session):
    """Execute what waits in the session's input, if it may run again."""
    proceed(session)
    if session.engine.unblocked:
        serve(session.engine)


def execute_stream(Session session, const unsigned char[::1] chunk not None):
    """Execute the complete requests in `chunk` and return how many bytes they took.

    For loaders and for the stream from a primary: nothing is kept, the caller
    hands the rest in again with what follows.
    """
    if chunk.shape[0] == 0:
        return 0
    follow_heap()
    return run(session, <const char*>&chunk[0], chunk.shape[0])


cdef list apply_requests(Session s, const char* p, size_t n, Applied* applied):
    cdef size_t at = 0, used = 0
    cdef Call c
    cdef int rc
    cdef list records = None
    applied.settled = 0
    s.input_need = 0
    while at < n:
        s.flags |= S_DENY_BLOCKING
        rc = parse_request(s, p + at, n - at, &used, &c)
        if rc == 0:
            break
        if rc < 0:
            s.out.len = 0
            raise ValueError(f"not a request: {p[at:at + min(n - at, 80)]!r}")
        at += used
        if c.argc == 2 and c.argv[1].len > 13 and memcmp(c.argv[1].ptr, b"holdfast-set:", 13) == 0:
            if records is None:
                records = []
            records.append(c.argv[1].ptr[:c.argv[1].len])
        if c.argc:
            execute(s, &c)
        if not s.flags & S_MULTI:
            applied.settled = at
    if s.engine.unblocked:
        serve(s.engine)
    applied.taken = at
    applied.needed = s.input_need
    return records


def apply_stream(Session session, bytes chunk not None):
    """Execute the complete requests of a primary's stream; return how many bytes they took. ValueError."""
    cdef Applied applied
    apply_requests(session, chunk, len(chunk), &applied)
    return applied.taken
