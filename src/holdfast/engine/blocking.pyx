"""Sessions that wait: for keys, for acknowledgements, for the end of a pause.

What it is: a parked session keeps its request as bytes. When a key that it
waits for holds what the command is about (BLPOP: a list), the request runs
again, as if it had just arrived; if it finds nothing it stays parked with its
old deadline. Sessions that wait for the same key are served first come, first
served.

What it is not: a timer. `next_deadline_ms` tells the node when to call
`expire_parked`.

Keys are served after the command that filled them, EXEC and scripts as a
whole, never in between: what a transaction pushed and took away again wakes
nobody. A request that is served may fill a key in its turn (BLMOVE); that key
comes next, after all that wait for the present one (`serve_ready` does not
nest). While a pause is in force nobody is served; its end does it.
"""

from collections import OrderedDict
from heapq import heapify, heappop, heappush

from libc.math cimport isnan
from libc.stdint cimport int64_t, uint32_t
from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_free, slice_bytes, slice_of
from holdfast.engine.dispatch cimport serve
from holdfast.engine.keyspace cimport Database, ks_is_expired, ks_peek
from holdfast.engine.numbers cimport parse_long_double
from holdfast.engine.record cimport TYPE_LIST, TYPE_ZSET, Record, type_of
from holdfast.engine.reply cimport reply_error, reply_error_bytes, reply_null, reply_null_array, wake
from holdfast.engine.request cimport encode_call, run_nested
from holdfast.engine.state cimport (
    GUARD_PAUSED, S_BLOCKED, S_CLOSE_AFTER, S_CLOSING, S_DENY_BLOCKING, S_PAUSED, S_REPLICA, S_RETRY, Call,
    Engine, Session)

cdef enum:                          # bits of CATEGORIES in commands/spec.py
    CATEGORY_SORTED_SET = 1 << 4
    CATEGORY_LIST = 1 << 5
    STALE_DEADLINES = 1024          # so many may lie in the heap before it is swept


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
        if len(e.deadlines) >= STALE_DEADLINES and len(e.deadlines) > 2 * len(e.sessions):
            sweep_deadlines(e)
        heappush(e.deadlines, (until_ms, s.blocked_token, s.id))
    return 0


cdef bint awaited(Engine e, tuple deadline) except? False:
    """Whether a deadline is still that of a parked session."""
    cdef Session s = e.sessions.get(deadline[2])
    return s is not None and s.blocked_token == deadline[1] and s.flags & S_BLOCKED != 0


cdef int sweep_deadlines(Engine e) except -1:
    """Drop the deadlines of sessions that were served long before their time."""
    e.deadlines[:] = [deadline for deadline in e.deadlines if awaited(e, deadline)]
    heapify(e.deadlines)
    return 0


cdef int park_for_keys(
        Session s, Call* c, Slice* keys, int count, int64_t until_ms, int null_reply) except -1:
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
        waiting = e.blocked_keys.get(place)
        if waiting is None:
            e.blocked_keys[place] = waiting = OrderedDict()
        waiting[s] = None
    s.blocked_reply = 0                 # on timeout, whatever the command
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
            if waiting is not None:
                waiting.pop(s, None)
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


cdef int retry(Session s, uint32_t flag) except -1:
    """Run the parked request again, with this flag set. Afterwards the session is parked still, or free."""
    cdef Buf request = s.parked
    s.parked.ptr = NULL
    s.parked.len = 0
    s.parked.cap = 0
    s.flags = (s.flags & ~S_BLOCKED) | flag
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


cdef bint wants(Session s, int type) noexcept:
    """Whether the parked command of a session is about values of this type."""
    cdef uint32_t categories = s.last_command.categories if s.last_command != NULL else 0
    if type == TYPE_LIST:
        return categories & CATEGORY_LIST != 0
    return type == TYPE_ZSET and categories & CATEGORY_SORTED_SET != 0


cdef int type_at(Engine e, tuple place) except -2:
    """The type of the value at (database, key), -1: there is none."""
    cdef Record* r = ks_peek(&e.ks, &e.ks.dbs[<int>place[0]], slice_of(place[1]))
    return -1 if r == NULL or ks_is_expired(&e.ks, r) else type_of(r)


cdef int serve_key(Engine e, tuple place) except -1:
    """Try those who wait for a key, first come first, as long as it holds something for them."""
    cdef Session s
    cdef object waiting = e.blocked_keys.get(place)
    cdef Py_ssize_t chances = len(waiting) if waiting is not None else 0
    cdef int type
    while chances > 0 and waiting:
        type = type_at(e, place)
        for s in waiting:
            if wants(s, type):
                break
        else:
            return 0
        chances -= 1
        retry(s, S_RETRY)
        if s in waiting:                # in vain; the others have their chance before it comes again
            waiting.move_to_end(s)
    return 0


cdef int serve_ready(Engine e) except -1:
    cdef list places
    if e.depth or e.guard & GUARD_PAUSED:
        return 0
    while e.ready_keys:
        places = e.ready_keys
        e.ready_keys = []
        for place in places:
            serve_key(e, place)
    return 0


cdef bint park_for_pause(Session s, Call* c, bint writes) except? False:
    cdef Engine e = s.engine
    if s.flags & (S_DENY_BLOCKING | S_REPLICA) or not e.node.pauses(s, writes):
        return False
    park_request(s, c, "pause")
    return True


cdef int park_request(Session s, Call* c, object reason) except -1:
    keep_request(s, c)
    s.flags |= S_PAUSED
    return park(s, reason, 0, None)


def resume_paused(Engine engine):
    """Run the requests that a pause held back (its end, CLIENT UNPAUSE), in the order of their coming.

    Within a command they wait for the end of the tick: they are requests of their own, whose effects are
    not the command's and whose replies may have to wait for acknowledgements.
    """
    cdef Session s
    cdef list paused = [s for s in engine.sessions.values() if (<Session>s).flags & S_PAUSED]
    paused.sort(key=parked_since)
    if engine.depth:
        engine.unblocked.extend([s for s in paused if s not in engine.unblocked])
        return
    for s in paused:
        run_paused(s)
    serve_ready(engine)
    serve(engine)


cdef int run_paused(Session s) except -1:
    s.flags &= ~(S_PAUSED | S_BLOCKED)
    s.blocked_on = None
    retry(s, 0)
    if s.out.len:
        wake(s)
    return 0


def parked_since(Session session):
    """Tell the order in which sessions were parked."""
    return session.blocked_token


def next_deadline_ms(Engine engine):
    """Return when the next parked session times out (milliseconds since 1970), or None."""
    while engine.deadlines:
        if awaited(engine, engine.deadlines[0]):
            return engine.deadlines[0][0]
        heappop(engine.deadlines)
    return None


def expire_parked(Engine engine):
    """Answer the parked sessions whose time is over at the engine's present time."""
    cdef Session s
    while True:
        until = next_deadline_ms(engine)
        if until is None or until > engine.ks.now_ms:
            break
        _, _, number = heappop(engine.deadlines)
        s = engine.sessions[number]
        answer_timeout(s)
    serve(engine)


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


def refuse_parked(Engine engine):
    """Send away the sessions that wait for keys: this node became a replica and cannot serve them."""
    cdef Session s
    for s in list(engine.sessions.values()):
        if s.flags & S_BLOCKED and isinstance(s.blocked_on, list):
            reply_error(s, b"UNBLOCKED force unblock from blocking operation, instance state changed "
                        b"(master -> replica?)")
            s.flags |= S_CLOSE_AFTER
            unpark(s)


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
