"""Taking the lowest or highest members, waiting for them if need be.

What this is: ZPOPMIN, ZPOPMAX, ZMPOP and their blocking forms
(https://redis.io/commands/zmpop/). The index is `register` at the end.

How to read it: `pop` takes members from one sorted set and replies in one of four
shapes; the commands find the key. A blocking command that finds nothing parks
the session; the same request runs again when a key is ready.
"""

from libc.stdint cimport INT64_MAX, int64_t
from holdfast.commands.members cimport arg_count, arg_within, delete_emptied, is_zset, zset_rules
from holdfast.commands.options cimport arg_is
from holdfast.engine.blocking cimport park_for_keys, read_timeout
from holdfast.engine.buf cimport Slice
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_int, effect_slice
from holdfast.engine.events cimport NOTIFY_ZSET, changed
from holdfast.engine.keyspace cimport ks_write
from holdfast.engine.record cimport Record, record_set_value
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_double, reply_null_array, reply_slice, reply_syntax_error)
from holdfast.engine.sorted_sets cimport (
    ZsetCursor, ZsetMember, ZsetRules, ZsetValue, zset_count, zset_end, zset_next, zset_of, zset_remove_ranks,
    zset_walk)
from holdfast.engine.state cimport S_RETRY, Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef enum Shape:            # of the reply
    FLAT                    # member score member score ...
    NESTED                  # [member score] [member score] ...
    KEY_FLAT                # key member score
    KEY_NESTED              # key [[member score] ...]


cdef void reply_head(Session s, Slice key, size_t count, int shape) noexcept:
    if shape == FLAT:
        reply_array(s, 2 * count)
    elif shape == NESTED:
        reply_array(s, count)
    elif shape == KEY_FLAT:
        reply_array(s, 2 * count + 1)
        reply_slice(s, key)
    else:
        reply_array(s, 2)
        reply_slice(s, key)
        reply_array(s, count)


cdef inline void reply_popped(Session s, ZsetMember* m, int shape) noexcept:
    if shape == NESTED or shape == KEY_NESTED:
        reply_array(s, 2)
    reply_bulk(s, m.text.ptr, m.text.len)
    reply_double(s, m.score)


cdef int pop(Session s, Slice key, Record* r, bint highest, int64_t wanted, int shape) except -1:
    """Take up to `wanted` members, at least one, of a sorted set that is there; the reply tells how many."""
    cdef ZsetRules rules = zset_rules(s.engine)
    cdef ZsetValue v = zset_of(r)
    cdef ZsetMember m
    cdef ZsetCursor walk
    cdef char digits[24]
    cdef size_t size = zset_count(&v)
    cdef size_t count = <size_t>wanted if <size_t>wanted < size else size
    cdef size_t told = 0
    reply_head(s, key, count, shape)
    if count == 1:
        zset_end(&v, highest, &m, digits)
        reply_popped(s, &m, shape)
    else:
        zset_walk(&v, size - 1 if highest else 0, highest, True, &walk)
        while told < count:
            zset_next(&walk, &m)
            reply_popped(s, &m, shape)
            told += 1
    changed(s, key, NOTIFY_ZSET, b"zpopmax" if highest else b"zpopmin", count)
    if count == size:
        delete_emptied(s, key)
        return 0
    zset_remove_ranks(&rules, &v, size - count if highest else 0, size if highest else count)
    record_set_value(r, v.kind, v.ptr)
    return 0


cdef int pop_command(Session s, Call* c, bint highest) except -1:
    cdef Record* r
    cdef int64_t count = 1
    if c.argc > 3:
        reply_syntax_error(s)
        return 0
    if c.argc == 3 and not arg_count(s, c.argv[2], &count):
        return 0
    r = ks_write(&s.engine.ks, s.db, c.argv[1])
    if r == NULL:
        reply_array(s, 0)
    elif is_zset(s, r):
        if count == 0:
            reply_array(s, 0)
        else:
            pop(s, c.argv[1], r, highest, count, NESTED if s.resp == 3 and c.argc == 3 else FLAT)
    return 0


cdef int zpopmin(Session s, Call* c) except -1:
    return pop_command(s, c, False)


cdef int zpopmax(Session s, Call* c) except -1:
    return pop_command(s, c, True)


# ---- several keys ----

cdef Record* first_there(Session s, Slice* keys, int count, int* index, bint* answered) noexcept:
    """The first of the keys that exists; *answered: it is no sorted set."""
    cdef Record* r
    cdef int i
    answered[0] = False
    for i in range(count):
        r = ks_write(&s.engine.ks, s.db, keys[i])
        if r == NULL:
            continue
        if not is_zset(s, r):
            answered[0] = True
            return NULL
        index[0] = i
        return r
    return NULL


cdef void propagate_pop(Session s, Slice key, bint highest, int64_t count) noexcept:
    """ZPOPMIN or ZPOPMAX of this key, with a count unless it is 0."""
    cdef Engine e = s.engine
    effect_begin(e, s.db.id, 3 if count else 2)
    effect_arg(e, b"ZPOPMAX" if highest else b"ZPOPMIN", 7)
    effect_slice(e, key)
    if count:
        effect_int(e, count)


cdef int pop_first(Session s, Slice* keys, int count, bint highest, int64_t wanted, bint* done) except -1:
    """Pop from the first key that is there; *done: there was one, or an error was the answer.

    `wanted` 0: one member, replied flat, as BZPOPMIN does.
    """
    cdef Record* r
    cdef ZsetValue v
    cdef int64_t size
    cdef int i = 0
    r = first_there(s, keys, count, &i, done)
    if r == NULL:
        return 0
    done[0] = True
    v = zset_of(r)
    size = <int64_t>zset_count(&v)
    propagate_pop(s, keys[i], highest, wanted if wanted < size else size)
    return pop(s, keys[i], r, highest, wanted if wanted else 1, KEY_NESTED if wanted else KEY_FLAT)


cdef int pop_or_park(
        Session s, Call* c, Slice* keys, int count, bint highest, int64_t wanted, Slice timeout) except -1:
    cdef int64_t until_ms = 0
    cdef bint done = False
    if not s.flags & S_RETRY and not read_timeout(s, timeout, &until_ms):
        return 0
    pop_first(s, keys, count, highest, wanted, &done)
    if not done:
        park_for_keys(s, c, keys, count, until_ms, 0)
    return 0


cdef int bzpopmin(Session s, Call* c) except -1:
    return pop_or_park(s, c, c.argv + 1, c.argc - 2, False, 0, c.argv[c.argc - 1])


cdef int bzpopmax(Session s, Call* c) except -1:
    return pop_or_park(s, c, c.argv + 1, c.argc - 2, True, 0, c.argv[c.argc - 1])


cdef bint parse_many(
        Session s, Call* c, int number_at, int* keys, bint* highest, int64_t* wanted) noexcept:
    """numkeys key ... MIN|MAX [COUNT count] from argv[number_at] on."""
    cdef int64_t number
    cdef int i
    if not arg_within(s, c.argv[number_at], 1, INT64_MAX, b"ERR numkeys should be greater than 0", &number):
        return False
    if number >= c.argc - number_at - 1:
        reply_syntax_error(s)
        return False
    keys[0] = <int>number
    i = number_at + keys[0] + 1
    highest[0] = arg_is(c.argv[i], b"max")
    wanted[0] = 0
    if not highest[0] and not arg_is(c.argv[i], b"min"):
        reply_syntax_error(s)
        return False
    i += 1
    while i < c.argc:
        if wanted[0] or not arg_is(c.argv[i], b"count") or i + 1 == c.argc:
            reply_syntax_error(s)
            return False
        if not arg_within(s, c.argv[i + 1], 1, INT64_MAX, b"ERR count should be greater than 0", wanted):
            return False
        i += 2
    if wanted[0] == 0:
        wanted[0] = 1
    return True


cdef int zmpop(Session s, Call* c) except -1:
    cdef int count
    cdef bint highest, done
    cdef int64_t wanted
    if parse_many(s, c, 1, &count, &highest, &wanted):
        pop_first(s, c.argv + 2, count, highest, wanted, &done)
        if not done:
            reply_null_array(s)
    return 0


cdef int bzmpop(Session s, Call* c) except -1:
    cdef int count
    cdef bint highest
    cdef int64_t wanted
    if parse_many(s, c, 2, &count, &highest, &wanted):
        pop_or_park(s, c, c.argv + 3, count, highest, wanted, c.argv[1])
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    takes = "RW access delete"
    popped = "O(log(N)*M) where N is the number of members and M of those popped"
    popped_of_keys = "O(K)+O(M*log(N)), K being the number of keys, N of members and M of those popped"
    command(e, zpopmin, Spec(
        "zpopmin", -2, "write fast", (1, 1, 1), "sorted_set", "5.0.0",
        "Remove and return the members with the lowest scores.", popped, key_specs=(KeySpec(takes),)))
    command(e, zpopmax, Spec(
        "zpopmax", -2, "write fast", (1, 1, 1), "sorted_set", "5.0.0",
        "Remove and return the members with the highest scores.", popped, key_specs=(KeySpec(takes),)))
    command(e, zmpop, Spec(
        "zmpop", -4, "write movablekeys", (0, 0, 0), "sorted_set", "7.0.0",
        "Pop members from the first sorted set that is there.", popped_of_keys,
        key_specs=(KeySpec(takes, keynum=0),)))
    command(e, bzpopmin, Spec(
        "bzpopmin", -3, "write fast blocking", (1, -2, 1), "sorted_set", "5.0.0",
        "Pop the member with the lowest score, waiting for one if need be.", "O(log(N))",
        key_specs=(KeySpec(takes, last=-2),)))
    command(e, bzpopmax, Spec(
        "bzpopmax", -3, "write fast blocking", (1, -2, 1), "sorted_set", "5.0.0",
        "Pop the member with the highest score, waiting for one if need be.", "O(log(N))",
        key_specs=(KeySpec(takes, last=-2),)))
    command(e, bzmpop, Spec(
        "bzmpop", -5, "write blocking movablekeys", (0, 0, 0), "sorted_set", "7.0.0",
        "Pop members from the first sorted set that is there, waiting for one if need be.", popped_of_keys,
        key_specs=(KeySpec(takes, begin=2, keynum=0),)))
    return 0
