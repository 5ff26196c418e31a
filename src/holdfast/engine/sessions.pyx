"""Sessions seen from outside: what CLIENT, RESET, MONITOR and the connection's end need.

What it is: doors for Python into attributes that only C sees, and the two acts
that touch everything a session can be in: `release` (it goes, or is reset) and
`reset` (RESET, https://redis.io/commands/reset/). What it is not: policy; who
may be killed or must go is decided in `holdfast.server.clients`.
"""

from libc.stdint cimport uint32_t
from holdfast.engine.buf cimport buf_free
from holdfast.engine.reply cimport wake
from holdfast.engine.state cimport (
    GUARD_ASKING, GUARD_MONITORED, GUARD_MULTI, GUARD_MUTED, GUARD_NO_AUTH, GUARD_NO_TOUCH, GUARD_PAUSED,
    GUARD_SENT_AWAY, GUARD_SUBSCRIBED,
    S_ASKING, S_BLOCKED, S_CLOSE_AFTER, S_CLOSING, S_DENY_BLOCKING, S_DIRTY_CAS,
    S_DIRTY_EXEC, S_EXECUTING, S_MONITOR, S_MULTI, S_NO_EVICT, S_NO_TOUCH, S_PAUSED, S_PRIMARY, S_PUBSUB,
    S_READONLY, S_REPLICA, S_REPLY_OFF, S_REPLY_SKIP, S_REPLY_SKIP_NEXT, S_UNIX, Engine, Session)

from holdfast.engine.events import leave

# Bits of Session.flags and of the guards, for Python.
CLOSING = S_CLOSING
CLOSE_AFTER = S_CLOSE_AFTER
BLOCKED = S_BLOCKED
MULTI = S_MULTI
DIRTY_CAS = S_DIRTY_CAS
MONITOR = S_MONITOR
REPLICA = S_REPLICA
PRIMARY = S_PRIMARY
PUBSUB = S_PUBSUB
DENY_BLOCKING = S_DENY_BLOCKING
NO_EVICT = S_NO_EVICT
NO_TOUCH = S_NO_TOUCH
READONLY = S_READONLY
UNIX = S_UNIX
PAUSED = S_PAUSED
NOT_AUTHENTICATED = GUARD_NO_AUTH
ENGINE_PAUSED = GUARD_PAUSED
SENT_AWAY = GUARD_SENT_AWAY


def facts(Session s):
    """Return what CLIENT LIST tells of a session, as a dict."""
    return {
        "db": s.db.id,
        "sub": len(s.channels) if s.channels else 0,
        "psub": len(s.patterns) if s.patterns else 0,
        "ssub": len(s.shard_channels) if s.shard_channels else 0,
        "multi": s.queued if shown_flags(s) & S_MULTI else -1,
        "watch": len(s.watched) if s.watched else 0,
        "input": s.input.len,
        "input_free": s.input.cap - s.input.len,
        "queue": s.queue.len,
        "output": s.out.len,
        "output_room": s.out.cap,
        "command": s.last_command.name.decode() if s.last_command != NULL else "NULL",
    }


cdef uint32_t shown_flags(Session s) noexcept:
    """The session's flags as CLIENT LIST tells them: while EXEC runs, the transaction still is."""
    return s.flags | S_MULTI if s.flags & S_EXECUTING and s.queued else s.flags


def flags_to_show(Session s):
    """Return the session's flags as CLIENT LIST tells them."""
    return shown_flags(s)


def last_command(Session s):
    """Return the name of the command that the session ran last, or None."""
    return s.last_command.name.decode() if s.last_command != NULL else None


def set_protocol(Session s, int version):
    """Speak RESP2 or RESP3 from the next reply on."""
    s.resp = version
    if s.flags & S_PUBSUB and version == 2:
        s.guard |= GUARD_SUBSCRIBED
    else:
        s.guard &= ~GUARD_SUBSCRIBED


def select(Session s, int database):
    """Select a database that exists."""
    assert 0 <= database < s.engine.ks.db_count
    s.db = &s.engine.ks.dbs[database]


def start_monitor(Session s):
    """Let the session see every executed request."""
    if not s.flags & S_MONITOR:
        s.flags |= S_MONITOR
        s.engine.monitors.append(s)
        s.engine.guard |= GUARD_MONITORED


def set_replies(Session s, str mode):
    """CLIENT REPLY: mode is "on", "off" or "skip" (the next reply only)."""
    if mode == "on":
        s.flags &= ~(S_REPLY_OFF | S_REPLY_SKIP | S_REPLY_SKIP_NEXT)
    elif mode == "off":
        s.flags |= S_REPLY_OFF
    elif not s.flags & S_REPLY_OFF:
        s.flags |= S_REPLY_SKIP_NEXT
    if s.flags & (S_REPLY_OFF | S_REPLY_SKIP_NEXT):
        s.guard |= GUARD_MUTED


def set_no_touch(Session s, bint on):
    """CLIENT NO-TOUCH."""
    if on:
        s.flags |= S_NO_TOUCH
        s.guard |= GUARD_NO_TOUCH
    else:
        s.flags &= ~S_NO_TOUCH
        s.guard &= ~GUARD_NO_TOUCH


def close_soon(Session s):
    """See that the session's connection closes: at once, or with S_CLOSE_AFTER after its replies."""
    wake(s)


cdef int release_session(Session s) except -1:
    cdef Engine e = s.engine
    leave(s)
    if s.flags & S_MONITOR:
        if s in e.monitors:
            e.monitors.remove(s)
        if not e.monitors:
            e.guard &= ~GUARD_MONITORED
    s.flags &= ~(S_MONITOR | S_DIRTY_CAS)
    return 0


def release(Session s):
    """Forget what the engine's tables know of a session: subscriptions, watched keys, MONITOR."""
    release_session(s)


def reset(Session s):
    """Make a session as it was when its client connected; authentication is the caller's."""
    release_session(s)
    buf_free(&s.queue)
    s.queued = 0
    s.queued_flags = 0
    s.queued_slot = -1
    s.flags &= ~(
        S_MULTI | S_DIRTY_CAS | S_DIRTY_EXEC | S_REPLY_OFF | S_REPLY_SKIP | S_REPLY_SKIP_NEXT | S_ASKING
        | S_READONLY | S_NO_EVICT | S_NO_TOUCH)
    s.guard &= ~(GUARD_MULTI | GUARD_MUTED | GUARD_NO_TOUCH | GUARD_ASKING)
    s.db = &s.engine.ks.dbs[0]
    s.resp = 2
    s.name = None


def used_by_tables(Engine e):
    """Return counts of the engine's tables that INFO tells."""
    return {
        "blocking_keys": len(e.blocked_keys),
        "channels": len(e.channels),
        "patterns": len(e.patterns),
        "shard_channels": len(e.shard_channels),
        "watched_keys": len(e.watchers),
        "stream": e.stream.cap,
    }


def keyspace_facts(Engine e):
    """Return counters of the keyspace that INFO tells."""
    return {
        "hits": e.ks.hits,
        "misses": e.ks.misses,
        "expired": e.ks.expired,
        "lazy_bytes": e.ks.lazy_bytes,
        "lru_clock": e.ks.lru_clock,
        "heap_peak": max(e.ks.heap.peak, e.ks.heap.used),
    }


def reset_keyspace_counters(Engine e):
    """Begin the counters of the keyspace anew (CONFIG RESETSTAT)."""
    e.ks.hits = e.ks.misses = e.ks.expired = 0
    e.ks.heap.peak = e.ks.heap.used


def note_peak(Engine e):
    """Remember the largest size of the data."""
    if e.ks.heap.used > e.ks.heap.peak:
        e.ks.heap.peak = e.ks.heap.used


def average_ttl_ms(Engine e, int database):
    """Return the average time to live in a database, in milliseconds, as sampled by the expiry cycle."""
    return <long long>e.ks.dbs[database].avg_ttl_ms
