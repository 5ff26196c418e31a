"""Connection commands of the hot path (https://redis.io/commands/?group=connection).

The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_not_integer, reply_ok, reply_slice, reply_status)
from holdfast.engine.state cimport GUARD_CLUSTER, GUARD_SUBSCRIBED, S_CLOSE_AFTER, Call, Engine, Session

from holdfast.commands.spec import Spec


cdef int ping(Session s, Call* c) except -1:
    if c.argc > 2:
        reply_error(s, b"ERR wrong number of arguments for 'ping' command")
    elif s.guard & GUARD_SUBSCRIBED:
        reply_array(s, 2)
        reply_bulk(s, b"pong", 4)
        if c.argc == 2:
            reply_slice(s, c.argv[1])
        else:
            reply_bulk(s, b"", 0)
    elif c.argc == 2:
        reply_slice(s, c.argv[1])
    else:
        reply_status(s, b"PONG")
    return 0


cdef int echo(Session s, Call* c) except -1:
    reply_slice(s, c.argv[1])
    return 0


cdef int quit_(Session s, Call* c) except -1:
    reply_ok(s)
    s.flags |= S_CLOSE_AFTER
    return 0


cdef int select(Session s, Call* c) except -1:
    cdef int64_t number
    if not parse_int64(c.argv[1].ptr, c.argv[1].len, &number):
        reply_not_integer(s)
    elif number < -2147483648 or number > 2147483647:
        reply_error(s, b"ERR value is out of range, value must between -2147483648 and 2147483647")
    elif number != 0 and s.engine.guard & GUARD_CLUSTER:
        reply_error(s, b"ERR SELECT is not allowed in cluster mode")
    elif number < 0 or number >= s.engine.ks.db_count:
        reply_error(s, b"ERR DB index is out of range")
    else:
        s.db = &s.engine.ks.dbs[number]
        reply_ok(s)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, ping, Spec(
        "ping", -1, "fast", group="connection", summary="Answer PONG, or the given message.",
        complexity="O(1)"))
    command(e, echo, Spec(
        "echo", 2, "loading stale fast", group="connection", summary="Answer the given message.",
        complexity="O(1)"))
    command(e, quit_, Spec(
        "quit", -1, "noscript loading stale fast no_auth allow_busy transaction", group="connection",
        summary="Close the connection.", complexity="O(1)"))
    command(e, select, Spec(
        "select", 2, "loading stale fast", group="connection", summary="Change the selected database.",
        complexity="O(1)"))
    return 0
