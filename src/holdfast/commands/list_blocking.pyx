"""List commands that wait for an element (https://redis.io/commands/blpop/).

What it is: the list commands that park the client where there is nothing to
pop. What it is not: waiting itself; `engine/blocking` keeps the parked request
and runs it again, through the very handlers below, when a key has a list.

What they propagate is what they did when they were served: LPOP, RPOP, LMOVE,
RPOPLPUSH. The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from holdfast.commands.lists cimport (
    list_write, move_one, pop_from_first, pop_one, read_pop_options, read_side)
from holdfast.engine.blocking cimport park_for_keys, read_timeout
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_key, effect_slice
from holdfast.engine.record cimport Record
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_array, reply_slice
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef enum NullReply:        # of park_for_keys
    NULL_ARRAY = 0
    NULL_BULK = 1


cdef int blocking_pop(Session s, Call* c, bint head) except -1:
    cdef int64_t until_ms
    cdef bint wrong
    cdef Record* r
    cdef int i
    if not read_timeout(s, c.argv[c.argc - 1], &until_ms):
        return 0
    for i in range(1, c.argc - 1):
        r = list_write(s, c.argv[i], &wrong)
        if wrong:
            return 0
        if r != NULL:
            reply_array(s, 2)
            reply_slice(s, c.argv[i])
            pop_one(s, r, c.argv[i], head)
            effect_key(s.engine, s.db.id, b"LPOP" if head else b"RPOP", c.argv[i])
            return 0
    return park_for_keys(s, c, c.argv + 1, c.argc - 2, until_ms, NULL_ARRAY)


cdef int blpop(Session s, Call* c) except -1:
    return blocking_pop(s, c, True)


cdef int brpop(Session s, Call* c) except -1:
    return blocking_pop(s, c, False)


cdef int blmpop(Session s, Call* c) except -1:
    cdef int64_t until_ms, keys, count
    cdef bint head
    if not read_timeout(s, c.argv[1], &until_ms) or not read_pop_options(s, c, 2, &keys, &head, &count):
        return 0
    if pop_from_first(s, c.argv + 3, <int>keys, head, count):
        return 0
    return park_for_keys(s, c, c.argv + 3, <int>keys, until_ms, NULL_ARRAY)


cdef int blmove(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef int64_t until_ms
    cdef bint from_head, to_head, missing
    cdef int i
    if not read_side(s, c.argv[3], &from_head) or not read_side(s, c.argv[4], &to_head):
        return 0
    if not read_timeout(s, c.argv[5], &until_ms):
        return 0
    if move_one(s, c, from_head, to_head, &missing):
        effect_begin(e, s.db.id, 5)
        effect_arg(e, b"LMOVE", 5)
        for i in range(1, 5):
            effect_slice(e, c.argv[i])
        return 0
    return park_for_keys(s, c, c.argv + 1, 1, until_ms, NULL_BULK) if missing else 0


cdef int brpoplpush(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef int64_t until_ms
    cdef bint missing
    if not read_timeout(s, c.argv[3], &until_ms):
        return 0
    if move_one(s, c, False, True, &missing):
        effect_begin(e, s.db.id, 3)
        effect_arg(e, b"RPOPLPUSH", 9)
        effect_slice(e, c.argv[1])
        effect_slice(e, c.argv[2])
        return 0
    return park_for_keys(s, c, c.argv + 1, 1, until_ms, NULL_BULK) if missing else 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    several = (KeySpec("RW access delete", last=-2),)
    both = (KeySpec("RW access delete"), KeySpec("RW insert", 2))
    command(e, blpop, Spec(
        "blpop", -3, "write blocking", (1, -2, 1), "list", "2.0.0",
        "Take the first element of the first of several lists that exists; wait for one.", "O(N), N keys",
        key_specs=several))
    command(e, brpop, Spec(
        "brpop", -3, "write blocking", (1, -2, 1), "list", "2.0.0",
        "Take the last element of the first of several lists that exists; wait for one.", "O(N), N keys",
        key_specs=several))
    command(e, blmpop, Spec(
        "blmpop", -5, "write blocking movablekeys", group="list", since="7.0.0",
        summary="Take elements from the first of several lists that exists; wait for one.",
        complexity="O(N+M), N keys and M elements taken",
        key_specs=(KeySpec("RW access delete", 2, keynum=0),)))
    command(e, blmove, Spec(
        "blmove", 6, "write denyoom blocking", (1, 2, 1), "list", "6.2.0",
        "Move an element from an end of one list to an end of another; wait for one.", "O(1)",
        key_specs=both))
    command(e, brpoplpush, Spec(
        "brpoplpush", 4, "write denyoom blocking", (1, 2, 1), "list", "2.2.0",
        "Move the last element of one list to the head of another; wait for one.", "O(1)", key_specs=both))
    return 0
