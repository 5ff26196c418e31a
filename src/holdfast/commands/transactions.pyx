"""Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH (https://redis.io/docs/manual/transactions/).

What it is: the session keeps queued requests as they came, as bytes
(`Session.queue`, counted among the client's buffers); EXEC cuts them again and
calls each, and what they change leaves as one unit. What it is not: queueing,
which `dispatch` does, or the table of watched keys (`events`).

Whether writes may run at all was asked when EXEC was admitted, with the flags
of everything queued; the queued calls are not asked again.

The index of the family is `register` at the end.
"""

from libc.stdlib cimport free
from holdfast.engine.buf cimport Buf, Slice, buf_free
from holdfast.engine.dispatch cimport call_command, look_up
from holdfast.engine.effects cimport effect_none, unit_close, unit_open
from holdfast.engine.events cimport unwatch, watch, watched_key_expired
from holdfast.engine.monitor cimport feed_monitors
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_array, reply_error, reply_null_array, reply_ok
from holdfast.engine.request cimport parse_request
from holdfast.engine.state cimport (
    CMD_ADMIN, CMD_SKIP_MONITOR, GUARD_MONITORED, GUARD_MULTI, S_DENY_BLOCKING, S_DIRTY_CAS, S_DIRTY_EXEC,
    S_EXECUTING,
    S_MULTI, Call, Engine, Session)

from holdfast.commands.spec import KeySpec, Spec


cpdef int discard_transaction(Session s) except -1:
    buf_free(&s.queue)
    s.queued = 0
    s.queued_flags = 0
    s.flags &= ~(S_MULTI | S_DIRTY_EXEC)
    s.guard &= ~GUARD_MULTI
    unwatch(s)
    return 0


cdef int multi(Session s, Call* c) except -1:
    if s.flags & S_MULTI:
        reply_error(s, b"ERR MULTI calls can not be nested")
        return 0
    s.flags |= S_MULTI
    s.guard |= GUARD_MULTI
    reply_ok(s)
    return 0


cdef int discard(Session s, Call* c) except -1:
    if not s.flags & S_MULTI:
        reply_error(s, b"ERR DISCARD without MULTI")
        return 0
    discard_transaction(s)
    reply_ok(s)
    return 0


cdef int run_queue(Session s, const char* p, size_t n) except -1:
    """Call each request in [p, p + n); the arguments of EXEC itself stay where they are."""
    cdef Engine e = s.engine
    cdef Slice* argv = e.argv
    cdef int argv_cap = e.argv_cap
    cdef size_t at = 0, used = 0
    cdef Call c
    e.argv = NULL
    e.argv_cap = 0
    try:
        while at < n and parse_request(s, p + at, n - at, &used, &c) == 1:
            at += used
            c.command = look_up(s, &c)
            if c.command == NULL:
                continue
            if e.guard & GUARD_MONITORED and not c.command.flags & (CMD_ADMIN | CMD_SKIP_MONITOR):
                feed_monitors(s, &c)
            call_command(s, &c)
    finally:
        free(e.argv)
        e.argv = argv
        e.argv_cap = argv_cap
    return 0


cdef int exec_(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Buf queue
    cdef int queued
    if not s.flags & S_MULTI:
        reply_error(s, b"ERR EXEC without MULTI")
        return 0
    if s.flags & S_DIRTY_EXEC:
        discard_transaction(s)
        reply_error(s, b"EXECABORT Transaction discarded because of previous errors.")
        return 0
    if s.flags & S_DIRTY_CAS or watched_key_expired(s):
        discard_transaction(s)
        reply_null_array(s)
        return 0
    queue = s.queue
    queued = s.queued
    s.queue.ptr = NULL
    s.queue.len = 0
    s.queue.cap = 0
    discard_transaction(s)
    reply_array(s, queued)
    s.flags |= S_EXECUTING | S_DENY_BLOCKING
    unit_open(e)
    try:
        run_queue(s, queue.ptr, queue.len)
    finally:
        unit_close(e)
        s.flags &= ~(S_EXECUTING | S_DENY_BLOCKING)
        buf_free(&queue)
        effect_none(e)          # the calls have propagated; EXEC itself does not
    return 0


cdef int watch_(Session s, Call* c) except -1:
    cdef int i
    if s.flags & S_MULTI:
        reply_error(s, b"ERR WATCH inside MULTI is not allowed")
        return 0
    if not s.flags & S_DIRTY_CAS:       # else EXEC fails whatever else is watched
        for i in range(1, c.argc):
            watch(s, c.argv[i])
    reply_ok(s)
    return 0


cdef int unwatch_(Session s, Call* c) except -1:
    unwatch(s)
    reply_ok(s)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, multi, Spec(
        "multi", 1, "noscript loading stale fast allow_busy transaction", group="transactions", since="1.2.0",
        summary="Begin a transaction: queue what follows.", complexity="O(1)"))
    command(e, exec_, Spec(
        "exec", 1, "noscript loading stale skip_slowlog transaction", group="transactions", since="1.2.0",
        summary="Run the queued commands.", complexity="Depends on commands in the transaction"))
    command(e, discard, Spec(
        "discard", 1, "noscript loading stale fast allow_busy transaction", group="transactions",
        since="2.0.0",
        summary="Drop the queued commands.", complexity="O(N), when N is the number of queued commands"))
    command(e, watch_, Spec(
        "watch", -2, "noscript loading stale fast allow_busy transaction", (1, -1, 1), group="transactions",
        since="2.2.0", summary="Let the next EXEC fail if one of the keys changes before.",
        complexity="O(1) for every key.", key_specs=(KeySpec("RO", 1, last=-1),)))
    command(e, unwatch_, Spec(
        "unwatch", 1, "noscript loading stale fast allow_busy", group="transactions", since="2.2.0",
        summary="Forget all watched keys.", complexity="O(1)"))
    return 0
