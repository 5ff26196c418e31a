"""Sessions that wait: for keys, for acknowledgements, for the end of a pause.

What it is: a parked session keeps its request as bytes. When a key that it
waits for gets something, the request runs again, as if it had just arrived; if
it finds nothing it stays parked with its old deadline. Sessions that wait for
the same key are served first come, first served.

What it is not: a timer. `next_deadline_ms` tells the node when to call
`expire_parked`.
"""

from heapq import heappop, heappush

from libc.math cimport isinf, isnan
from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_free, slice_bytes
from holdfast.engine.keyspace cimport Database
from holdfast.engine.numbers cimport parse_long_double
from holdfast.engine.reply cimport reply_error, reply_error_bytes, reply_null, reply_null_array, wake
from holdfast.engine.request cimport encode_call, run_nested
from holdfast.engine.state cimport (
    GUARD_PAUSED, S_BLOCKED, S_CLOSING, S_DENY_BLOCKING, S_PAUSED, S_REPLICA, S_RETRY, Call, Engine, Session)


cdef bint read_timeout(Session s, Slice text, int64_t* until_ms) noexcept:
    cdef long double seconds
    cdef Engine e = s.engine
    if not parse_long_double(text.ptr, text.len, &seconds) or isnan(<double>seconds):
        reply_error(s, b"ERR timeout is not a float or out of range")
        return False
    if seconds < 0:
        reply_error(s, b"ERR timeout is negative")
        return False
    if seconds * 1000 > <long double>9223372036854775807.0 - e.ks.now_ms:
        reply_error(s, b"ERR timeout is out of range")
        return False
    until_ms[0] = 0
    if seconds > 0:
        until_ms[0] = e.ks.now_ms + <int64_t>(seconds * 1000)
        if <long double><int64_t>(seconds * 1000) < seconds * 1000:
            until_ms[0] += 1
    return True


cdef void keep_request(Session s, Call* c) noexcept:
    s.parked.len = 0
    if c.raw.len:
        buf_append(&s.parked, c.raw.ptr, c.raw.len)
    else:
        encode_call(&s.parked, c.argv, c.argc)


cdef int start_timer(Session s, int64_t until_ms) except -1:
    cdef Engine e = s.engine
    s.blocked_until_ms = until_ms
    s.blocked_token = e.next_token
    e.next_token += 1
    if until_ms:
        heappush(e.deadlines, (until_ms, s.blocked_token, s.id))
    return 0


cdef int park_for_keys(Session s, Call* c, Slice* keys, int count, int64_t until_ms, int null_reply) except -1:
    cdef Engine e = s.engine
    cdef int i
    cdef tuple place
    if s.flags & S_DENY_BLOCKING:
        if null_reply == 0:
            reply_null_array(s)
        else:
            reply_null(s)
        return 0
    if s.flags & S_RETRY:           # tried again in vain: parked as before
        s.flags |= S_BLOCKED
        return 0
    keep_request(s, c)
    s.blocked_on = []
    for i in range(count):
        place = (s.db.id, slice_bytes(keys[i]))
        if place in s.blocked_on:
            continue
        s.blocked_on.append(place)
        e.blocked_keys.setdefault(place, []).append(s)
    s.blocked_reply = null_reply
    s.flags |= S_BLOCKED
    return start_timer(s, until_ms)


cdef int park(Session s, object reason, int64_t until_ms, object on_timeout) except -1:
    s.blocked_on = reason
    s.blocked_reply = 2
    s.blocked_timeout = on_timeout
    s.flags |= S_BLOCKED
    return start_timer(s, until_ms)


cdef int forget_keys(Session s) except -1:
    cdef Engine e = s.engine
    if isinstance(s.blocked_on, list):
        for place in s.blocked_on:
            waiting = e.blocked_keys.get(place)
            if waiting is not None and s in waiting:
                waiting.remove(s)
                if not waiting:
                    del e.blocked_keys[place]
    s.blocked_on = None
    return 0


cdef int unpark(Session s) except -1:
    forget_keys(s)
    s.blocked_timeout = None
    s.blocked_token = 0
    s.blocked_until_ms = 0
    s.flags &= ~(S_BLOCKED | S_PAUSED)
    buf_free(&s.parked)
    if s.out.len:
        wake(s)
    if s.input.len:
        s.engine.unblocked.append(s)
    return 0


cdef void signal_ready(Engine e, Database* db, Slice key) noexcept:
    cdef tuple place
    if not e.blocked_keys:
        return
    place = (db.id, slice_bytes(key))
    if place in e.blocked_keys and place not in e.ready_keys:
        e.ready_keys.append(place)


cdef int retry(Session s) except -1:
    """Run the parked request again. Afterwards the session is parked still, or free."""
    cdef Buf request = s.parked
    s.parked.ptr = NULL
    s.parked.len = 0
    s.parked.cap = 0
    s.flags = (s.flags & ~S_BLOCKED) | S_RETRY
    try:
        run_nested(s, request.ptr, request.len)
    finally:
        s.flags &= ~S_RETRY
        if s.flags & S_BLOCKED and s.parked.ptr == NULL:
            s.parked = request
        else:
            buf_free(&request)
    if not s.flags & S_BLOCKED:
        unpark(s)
    return 0


cdef int serve_ready(Engine e) except -1:
    cdef Session s
    cdef list places
    if e.depth:
        return 0
    while e.ready_keys:
        places = e.ready_keys
        e.ready_keys = []
        for place in places:
            for s in list(e.blocked_keys.get(place, ())):
                if s.flags & S_BLOCKED and s.blocked_on is not None and place in s.blocked_on:
                    retry(s)
    return 0


cdef bint park_for_pause(Session s, Call* c, bint writes) except? False:
    cdef Engine e = s.engine
    if s.flags & (S_DENY_BLOCKING | S_REPLICA) or not e.node.pauses(writes):
        return False
    keep_request(s, c)
    s.flags |= S_PAUSED
    park(s, "pause", 0, None)
    return True


def resume_paused(Engine engine):
    """Run the requests that a pause held back (its end, CLIENT UNPAUSE)."""
    cdef Session s
    for s in list(engine.sessions.values()):
        if s.flags & S_PAUSED:
            s.flags &= ~(S_PAUSED | S_BLOCKED)
            s.blocked_on = None
            retry(s)
            if s.out.len:
                wake(s)


def next_deadline_ms(Engine engine):
    """Return when the next parked session times out (milliseconds since 1970), or None."""
    cdef Session s
    while engine.deadlines:
        until, token, number = engine.deadlines[0]
        s = engine.sessions.get(number)
        if s is not None and s.blocked_token == token and s.flags & S_BLOCKED:
            return until
        heappop(engine.deadlines)
    return None


def expire_parked(Engine engine):
    """Answer the parked sessions whose time is over at the engine's present time."""
    cdef Session s
    while True:
        until = next_deadline_ms(engine)
        if until is None or until > engine.ks.now_ms:
            return
        _, _, number = heappop(engine.deadlines)
        s = engine.sessions[number]
        answer_timeout(s)


cdef int answer_timeout(Session s) except -1:
    on_timeout = s.blocked_timeout
    if s.blocked_reply == 0:
        reply_null_array(s)
    elif s.blocked_reply == 1:
        reply_null(s)
    elif on_timeout is not None:
        on_timeout(s)
    return unpark(s)


def unblock(Session session, bint as_error=False):
    """End the wait of a parked session (CLIENT UNBLOCK); False: it was not parked, or by a pause."""
    if not session.flags & S_BLOCKED or session.flags & S_PAUSED:
        return False
    if as_error:
        reply_error(session, b"UNBLOCKED client unblocked via CLIENT UNBLOCK")
        unpark(session)
    else:
        answer_timeout(session)
    return True


def abandon(Session session):
    """Forget a session that is being closed."""
    forget_keys(session)
    session.blocked_token = 0
    session.flags = (session.flags & ~S_BLOCKED) | S_CLOSING


def unpark_session(Session session):
    """End a wait whose reply has been written."""
    unpark(session)


def park_session(Session session, reason, int64_t until_ms, on_timeout):
    """Park a session for a reason of the caller's; `on_timeout(session)` writes its reply."""
    park(session, reason, until_ms, on_timeout)


def unpark_with_error(Session session, bytes text):
    """End the wait of a parked session with an error reply."""
    if session.flags & S_BLOCKED:
        reply_error_bytes(session, text)
        unpark(session)
