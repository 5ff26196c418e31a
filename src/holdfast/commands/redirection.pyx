"""ASKING, READONLY, READWRITE: what a client says of itself to a cluster node.

What it is: three flags of a session (https://redis.io/commands/asking/ and around it). What
it is not: what they lead to, which is `holdfast.engine.slots`.

The index of the family is `register` at the end.
"""

from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_error, reply_ok
from holdfast.engine.state cimport GUARD_ASKING, S_ASKING, S_READONLY, Call, Engine, Session

from holdfast.commands.spec import Spec


cdef bint in_cluster(Session s) except? False:
    if s.engine.slots == NULL:
        reply_error(s, b"ERR This instance has cluster support disabled")
        return False
    return True


cdef int asking(Session s, Call* c) except -1:
    if in_cluster(s):
        s.flags |= S_ASKING
        s.guard |= GUARD_ASKING
        reply_ok(s)
    return 0


cdef int readonly(Session s, Call* c) except -1:
    if in_cluster(s):
        s.flags |= S_READONLY
        reply_ok(s)
    return 0


cdef int readwrite(Session s, Call* c) except -1:
    if in_cluster(s):
        s.flags &= ~S_READONLY
        reply_ok(s)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, asking, Spec(
        "asking", 1, "fast", group="cluster", since="3.0.0",
        summary="Let the next request use a slot that is being moved here.", complexity="O(1)",
        categories="connection"))
    command(e, readonly, Spec(
        "readonly", 1, "fast loading stale", group="cluster", since="3.0.0",
        summary="Read from this replica without being sent to its primary.", complexity="O(1)",
        categories="connection"))
    command(e, readwrite, Spec(
        "readwrite", 1, "fast loading stale", group="cluster", since="3.0.0",
        summary="End READONLY.", complexity="O(1)", categories="connection"))
    return 0
