"""List commands at the ends of a list (https://redis.io/commands/?group=list).

What it is: pushing, popping and moving, and the parts that `list_places` (the
middle of a list) and `list_blocking` (waiting for elements) share. What it is
not: the forms of a list; those are in `engine/lists`.

The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from holdfast.commands.options cimport arg_is
from holdfast.engine.blocking cimport signal_ready
from holdfast.engine.buf cimport Slice
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_int, effect_slice
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_LIST, changed, notify
from holdfast.engine.keyspace cimport ks_delete, ks_peek, ks_read, ks_set_value, ks_write
from holdfast.engine.lists cimport (
    ListCursor, ListValue, list_count, list_delete_range, list_drop, list_expect, list_keep, list_new,
    list_next, list_peek, list_prev, list_push, list_seek, list_shrink, list_text, list_value)
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport TYPE_LIST, Record, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_error_bytes, reply_int, reply_null, reply_null_array,
    reply_slice, reply_syntax_error, reply_wrong_type)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef const char* NOT_POSITIVE = b"ERR value is out of range, must be positive"


# ---- what all list commands share

cdef Record* of_list(Session s, Record* r, bint* wrong) noexcept:
    wrong[0] = False
    if r != NULL and type_of(r) != TYPE_LIST:
        reply_wrong_type(s)
        wrong[0] = True
        return NULL
    return r


cdef Record* list_read(Session s, Slice key, bint* wrong) noexcept:
    return of_list(s, ks_read(&s.engine.ks, s.db, key), wrong)


cdef Record* list_write(Session s, Slice key, bint* wrong) noexcept:
    return of_list(s, ks_write(&s.engine.ks, s.db, key), wrong)


cdef void removed(Session s, Record* r, Slice key, const char* event, int64_t count) noexcept:
    cdef Engine e = s.engine
    cdef ListValue v = list_value(r)
    cdef bint emptied = list_count(&v) == 0
    if emptied:
        ks_delete(&e.ks, s.db, key)
    else:
        list_shrink(&e.ks.heap, &v, <int>e.list_max_listpack_size, True)
        list_keep(r, &v)
    changed(s, key, NOTIFY_LIST, event, count)
    if emptied:
        notify(e, s.db, NOTIFY_GENERIC, b"del", key)


cdef bint read_side(Session s, Slice arg, bint* head) noexcept:
    head[0] = arg_is(arg, b"left")
    if head[0] or arg_is(arg, b"right"):
        return True
    reply_syntax_error(s)
    return False


# ---- pushing

cdef int push(Session s, Call* c, bint head, bint only_existing) except -1:
    cdef Engine e = s.engine
    cdef bint wrong
    cdef Record* r = list_write(s, c.argv[1], &wrong)
    cdef ListValue v
    cdef size_t bytes = 0
    cdef int i
    if wrong:
        return 0
    if r == NULL and only_existing:
        reply_int(s, 0)
        return 0
    for i in range(2, c.argc):
        bytes += c.argv[i].len
    v = list_value(r) if r != NULL else list_new(&e.ks.heap, bytes if c.argc == 3 else 0)
    list_expect(&e.ks.heap, &v, bytes, c.argc - 2, <int>e.list_max_listpack_size, <int>e.list_compress_depth)
    for i in range(2, c.argc):
        list_push(&e.ks.heap, &v, c.argv[i].ptr, c.argv[i].len, head)
    if r != NULL:
        list_keep(r, &v)
    else:
        ks_set_value(&e.ks, s.db, c.argv[1], v.kind, v.ptr, -1, False)
    changed(s, c.argv[1], NOTIFY_LIST, b"lpush" if head else b"rpush", c.argc - 2)
    reply_int(s, list_count(&v))
    signal_ready(e, s.db, c.argv[1])
    return 0


cdef int lpush(Session s, Call* c) except -1:
    return push(s, c, True, False)


cdef int rpush(Session s, Call* c) except -1:
    return push(s, c, False, False)


cdef int lpushx(Session s, Call* c) except -1:
    return push(s, c, True, True)


cdef int rpushx(Session s, Call* c) except -1:
    return push(s, c, False, True)


# ---- popping

cdef void pop_one(Session s, Record* r, Slice key, bint head) noexcept:
    cdef ListValue v = list_value(r)
    cdef char scratch[24]
    cdef Slice text
    list_peek(&s.engine.ks.heap, &v, head, &text, scratch)
    reply_slice(s, text)
    list_drop(&s.engine.ks.heap, &v, head)
    list_keep(r, &v)
    removed(s, r, key, b"lpop" if head else b"rpop", 1)


cdef int64_t pop_many(Session s, Record* r, Slice key, bint head, int64_t count) noexcept:
    """Pop up to `count` elements as reply: an array. Returns how many."""
    cdef ListValue v = list_value(r)
    cdef int64_t length = list_count(&v)
    if count > length:
        count = length
    reply_range(s, r, 0 if head else -1, count, not head)
    list_delete_range(&s.engine.ks.heap, &v, 0 if head else -count, count)
    list_keep(r, &v)
    removed(s, r, key, b"lpop" if head else b"rpop", count)
    return count


cdef void reply_range(Session s, Record* r, long start, size_t count, bint backwards) noexcept:
    cdef ListValue v = list_value(r)
    cdef ListCursor at
    cdef char scratch[24]
    cdef Slice text
    reply_array(s, count)
    list_seek(&s.engine.ks.heap, &v, start, &at)
    while count:
        text = list_text(&at, scratch)
        reply_bulk(s, text.ptr, text.len)
        count -= 1
        if backwards:
            list_prev(&s.engine.ks.heap, &at)
        else:
            list_next(&s.engine.ks.heap, &at)


cdef int pop(Session s, Call* c, bint head) except -1:
    cdef int64_t count = 1
    cdef bint wrong
    cdef Record* r
    if c.argc > 3:
        reply_error_bytes(s, b"ERR wrong number of arguments for '%s' command" % <bytes>c.command.name)
        return 0
    if c.argc == 3 and (not parse_int64(c.argv[2].ptr, c.argv[2].len, &count) or count < 0):
        reply_error(s, NOT_POSITIVE)
        return 0
    r = list_write(s, c.argv[1], &wrong)
    if wrong:
        return 0
    if c.argc == 2:
        if r == NULL:
            reply_null(s)
        else:
            pop_one(s, r, c.argv[1], head)
    elif r == NULL:
        reply_null_array(s)
    elif count == 0:
        reply_array(s, 0)
    else:
        pop_many(s, r, c.argv[1], head, count)
    return 0


cdef int lpop(Session s, Call* c) except -1:
    return pop(s, c, True)


cdef int rpop(Session s, Call* c) except -1:
    return pop(s, c, False)


cdef bint read_pop_options(Session s, Call* c, int first, int64_t* keys, bint* head, int64_t* count) noexcept:
    cdef int64_t side
    cdef int i
    cdef bint counted = False
    count[0] = 1
    if not parse_int64(c.argv[first].ptr, c.argv[first].len, keys) or keys[0] < 1:
        reply_error(s, b"ERR numkeys should be greater than 0")
        return False
    if keys[0] >= c.argc - first - 1:
        reply_syntax_error(s)
        return False
    side = first + keys[0] + 1
    if not read_side(s, c.argv[side], head):
        return False
    i = <int>side + 1
    while i < c.argc:
        if counted or i + 1 == c.argc or not arg_is(c.argv[i], b"count"):
            reply_syntax_error(s)
            return False
        if not parse_int64(c.argv[i + 1].ptr, c.argv[i + 1].len, count) or count[0] < 1:
            reply_error(s, b"ERR count should be greater than 0")
            return False
        counted = True
        i += 2
    return True


cdef void effect_pop(Engine e, int db, Slice key, bint head, int64_t count) noexcept:
    """The effect of popping several: LPOP|RPOP key count."""
    effect_begin(e, db, 3)
    effect_arg(e, b"LPOP" if head else b"RPOP", 4)
    effect_slice(e, key)
    effect_int(e, count)


cdef bint pop_from_first(Session s, Slice* keys, int number, bint head, int64_t count) noexcept:
    # As all here: what is wrong goes into the reply, nothing that it calls raises.
    cdef Record* r
    cdef bint wrong
    cdef int i
    for i in range(number):
        r = list_write(s, keys[i], &wrong)
        if wrong:
            return True
        if r != NULL:
            reply_array(s, 2)
            reply_slice(s, keys[i])
            effect_pop(s.engine, s.db.id, keys[i], head, pop_many(s, r, keys[i], head, count))
            return True
    return False


cdef int lmpop(Session s, Call* c) except -1:
    cdef int64_t keys, count
    cdef bint head
    if not read_pop_options(s, c, 1, &keys, &head, &count):
        return 0
    if not pop_from_first(s, c.argv + 2, <int>keys, head, count):
        reply_null_array(s)
    return 0


# ---- length, moving

cdef int llen(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r = list_read(s, c.argv[1], &wrong)
    cdef ListValue v
    if r != NULL:
        v = list_value(r)
        reply_int(s, list_count(&v))
    elif not wrong:
        reply_int(s, 0)
    return 0


cdef bint move_one(Session s, Call* c, bint from_head, bint to_head, bint* missing) except? False:
    cdef Engine e = s.engine
    cdef bint wrong
    cdef Record* r = list_write(s, c.argv[1], &wrong)
    cdef ListValue v
    cdef Slice text
    cdef char scratch[24]
    missing[0] = r == NULL and not wrong
    if r == NULL:
        return False
    list_write(s, c.argv[2], &wrong)
    if wrong:
        return False
    r = ks_peek(&e.ks, s.db, c.argv[1])
    v = list_value(r)
    list_peek(&e.ks.heap, &v, from_head, &text, scratch)
    reply_slice(s, text)
    list_drop(&e.ks.heap, &v, from_head)
    list_keep(r, &v)
    # The element lives on in the reply that was just written.
    text.ptr = s.out.ptr + s.out.len - 2 - text.len
    r = ks_peek(&e.ks, s.db, c.argv[2])
    v = list_value(r) if r != NULL else list_new(&e.ks.heap, text.len)
    list_expect(&e.ks.heap, &v, text.len, 1, <int>e.list_max_listpack_size, <int>e.list_compress_depth)
    list_push(&e.ks.heap, &v, text.ptr, text.len, to_head)
    if r != NULL:
        list_keep(r, &v)
    else:
        ks_set_value(&e.ks, s.db, c.argv[2], v.kind, v.ptr, -1, False)
    changed(s, c.argv[2], NOTIFY_LIST, b"lpush" if to_head else b"rpush", 0)
    removed(s, ks_peek(&e.ks, s.db, c.argv[1]), c.argv[1], b"lpop" if from_head else b"rpop", 1)
    signal_ready(e, s.db, c.argv[2])
    return True


cdef int move(Session s, Call* c, bint from_head, bint to_head) except -1:
    cdef bint missing
    if not move_one(s, c, from_head, to_head, &missing) and missing:
        reply_null(s)
    return 0


cdef int lmove(Session s, Call* c) except -1:
    cdef bint from_head, to_head
    if not read_side(s, c.argv[3], &from_head) or not read_side(s, c.argv[4], &to_head):
        return 0
    return move(s, c, from_head, to_head)


cdef int rpoplpush(Session s, Call* c) except -1:
    return move(s, c, False, True)


cpdef int register(Engine e) except -1:
    """The index of the family."""
    one = (1, 1, 1)
    insert = (KeySpec("RW insert"),)
    take = (KeySpec("RW access delete"),)
    both = (KeySpec("RW access delete"), KeySpec("RW insert", 2))
    each = "O(1) for each element"
    command(e, lpush, Spec(
        "lpush", -3, "write denyoom fast", one, "list", "1.0.0",
        "Put elements before the head of a list, which begins to exist if need be.", each, key_specs=insert))
    command(e, rpush, Spec(
        "rpush", -3, "write denyoom fast", one, "list", "1.0.0",
        "Put elements behind the tail of a list, which begins to exist if need be.", each, key_specs=insert))
    command(e, lpushx, Spec(
        "lpushx", -3, "write denyoom fast", one, "list", "2.2.0",
        "Put elements before the head of a list that exists.", each, key_specs=insert))
    command(e, rpushx, Spec(
        "rpushx", -3, "write denyoom fast", one, "list", "2.2.0",
        "Put elements behind the tail of a list that exists.", each, key_specs=insert))
    command(e, lpop, Spec(
        "lpop", -2, "write fast", one, "list", "1.0.0",
        "Take the first elements of a list.", "O(N), N elements taken", key_specs=take))
    command(e, rpop, Spec(
        "rpop", -2, "write fast", one, "list", "1.0.0",
        "Take the last elements of a list.", "O(N), N elements taken", key_specs=take))
    command(e, lmpop, Spec(
        "lmpop", -4, "write movablekeys", group="list", since="7.0.0",
        summary="Take elements from the first of several lists that exists.",
        complexity="O(N+M), N keys and M elements taken",
        key_specs=(KeySpec("RW access delete", keynum=0),)))
    command(e, llen, Spec(
        "llen", 2, "readonly fast", one, "list", "1.0.0", "Return how many elements a list has.", "O(1)",
        key_specs=(KeySpec("RO"),)))
    command(e, lmove, Spec(
        "lmove", 5, "write denyoom", (1, 2, 1), "list", "6.2.0",
        "Move an element from an end of one list to an end of another.", "O(1)", key_specs=both))
    command(e, rpoplpush, Spec(
        "rpoplpush", 3, "write denyoom", (1, 2, 1), "list", "1.2.0",
        "Move the last element of one list to the head of another.", "O(1)", key_specs=both))
    return 0
