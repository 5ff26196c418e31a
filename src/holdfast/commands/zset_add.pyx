"""Adding to sorted sets and removing from them: ZADD, ZINCRBY, ZREM.

What this is: commands that name members (https://redis.io/commands/?group=sorted-set).
The index is `register` at the end. What this is not: removal by range
(`zset_range`) or from an end (`zset_pop`).
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport abort, free, malloc
from holdfast.commands.members cimport create_key, delete_emptied, is_zset, zset_rules
from holdfast.commands.options cimport arg_is
from holdfast.engine.blocking cimport signal_ready
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_ZSET, changed
from holdfast.engine.keyspace cimport ks_write
from holdfast.engine.numbers cimport parse_double
from holdfast.engine.record cimport Record, record_set_value
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_double, reply_error, reply_int, reply_not_float, reply_null, reply_syntax_error)
from holdfast.engine.sorted_sets cimport (
    ZADD_ADDED, ZADD_GT, ZADD_INCR, ZADD_LT, ZADD_NAN, ZADD_NX, ZADD_SKIPPED, ZADD_UPDATED, ZADD_XX,
    ZsetRules,
    ZsetValue, zset_add, zset_count, zset_new, zset_of, zset_prepare, zset_remove)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef enum:
    SCORES_AT_HAND = 32         # pairs whose scores need no allocation


cdef struct AddOptions:
    int flags                   # ZADD_*
    bint count_updates          # CH
    int first                   # argv index of the first score


cdef int flag_of(Slice word) noexcept nogil:
    if arg_is(word, b"nx"):
        return ZADD_NX
    if arg_is(word, b"xx"):
        return ZADD_XX
    if arg_is(word, b"gt"):
        return ZADD_GT
    if arg_is(word, b"lt"):
        return ZADD_LT
    if arg_is(word, b"incr"):
        return ZADD_INCR
    return 0


cdef inline bint is_number_like(Slice word) noexcept nogil:
    """A quick look that spares most scores the comparison with every option."""
    return word.len > 0 and (c'0' <= word.ptr[0] <= c'9' or word.ptr[0] == c'-')


cdef bint parse_add_options(Session s, Call* c, AddOptions* o) noexcept:
    cdef int flag, pairs
    o.first = 2
    o.count_updates = False
    while o.first < c.argc and not is_number_like(c.argv[o.first]):
        flag = flag_of(c.argv[o.first])
        o.flags |= flag
        if flag == 0:
            if not arg_is(c.argv[o.first], b"ch"):
                break
            o.count_updates = True
        o.first += 1
    pairs = c.argc - o.first
    if pairs == 0 or pairs % 2:
        reply_syntax_error(s)
    elif o.flags & ZADD_NX and o.flags & ZADD_XX:
        reply_error(s, b"ERR XX and NX options at the same time are not compatible")
    elif (o.flags & ZADD_NX and o.flags & (ZADD_GT | ZADD_LT)) or (o.flags & ZADD_GT and o.flags & ZADD_LT):
        reply_error(s, b"ERR GT, LT, and/or NX options at the same time are not compatible")
    elif o.flags & ZADD_INCR and pairs > 2:
        reply_error(s, b"ERR INCR option supports a single increment-element pair")
    else:
        return True
    return False


cdef bint parse_scores(Session s, Slice* pairs, int count, double* scores, size_t* longest) noexcept:
    """Read all scores before anything is added: a command is done whole or not at all."""
    cdef int i
    longest[0] = 0
    for i in range(count):
        if not parse_double(pairs[2 * i].ptr, pairs[2 * i].len, &scores[i]):
            reply_not_float(s)
            return False
        if pairs[2 * i + 1].len > longest[0]:
            longest[0] = pairs[2 * i + 1].len
    return True


cdef int add_pairs(Session s, Call* c, AddOptions* o) except -1:
    cdef double at_hand[SCORES_AT_HAND]
    cdef double* scores = at_hand
    cdef int count = (c.argc - o.first) // 2
    cdef size_t longest
    if count > SCORES_AT_HAND:
        scores = <double*>malloc(count * sizeof(double))
        if scores == NULL:
            abort()
    if parse_scores(s, c.argv + o.first, count, scores, &longest):
        add_scored(s, c.argv[1], c.argv + o.first, count, scores, longest, o)
    if scores != at_hand:
        free(scores)
    return 0


cdef int add_scored(
        Session s, Slice key, Slice* pairs, int count, double* scores, size_t longest,
        AddOptions* o) except -1:
    cdef Engine e = s.engine
    cdef ZsetRules rules = zset_rules(e)
    cdef Record* r = ks_write(&e.ks, s.db, key)
    cdef ZsetValue v
    cdef int i
    cdef int outcome = ZADD_SKIPPED
    cdef int64_t added = 0, updated = 0
    cdef bint is_new = r == NULL
    if not is_new and not is_zset(s, r):
        return 0
    if is_new and o.flags & ZADD_XX:
        reply_outcome(s, o, ZADD_SKIPPED, 0, 0, 0)
        return 0
    if is_new:
        v = zset_new(&rules, count, longest)
        r = create_key(s, key, v.kind, v.ptr)
    else:
        v = zset_of(r)
        zset_prepare(&rules, &v, count, longest)
    for i in range(count):
        outcome = zset_add(&rules, &v, pairs[2 * i + 1].ptr, pairs[2 * i + 1].len, o.flags, &scores[i])
        added += outcome == ZADD_ADDED
        updated += outcome == ZADD_UPDATED
    record_set_value(r, v.kind, v.ptr)
    if added + updated:
        changed(s, key, NOTIFY_ZSET, b"zincr" if o.flags & ZADD_INCR else b"zadd", added + updated)
    if is_new:
        signal_ready(e, s.db, key)
    reply_outcome(s, o, outcome, scores[count - 1], added, updated)
    return 0


cdef void reply_outcome(
        Session s, AddOptions* o, int outcome, double score, int64_t added, int64_t updated) noexcept:
    if not o.flags & ZADD_INCR:
        reply_int(s, added + updated if o.count_updates else added)
    elif outcome == ZADD_NAN:
        reply_error(s, b"ERR resulting score is not a number (NaN)")
    elif outcome == ZADD_SKIPPED:
        reply_null(s)
    else:
        reply_double(s, score)


cdef int zadd(Session s, Call* c) except -1:
    cdef AddOptions o
    o.flags = 0
    if parse_add_options(s, c, &o):
        add_pairs(s, c, &o)
    return 0


cdef int zincrby(Session s, Call* c) except -1:
    cdef AddOptions o
    o.flags = ZADD_INCR
    o.count_updates = False
    o.first = 2
    return add_pairs(s, c, &o)


cdef int zrem(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef ZsetRules rules = zset_rules(e)
    cdef Record* r = ks_write(&e.ks, s.db, c.argv[1])
    cdef ZsetValue v
    cdef int64_t removed = 0
    cdef bint emptied = False
    cdef int i
    if r == NULL:
        reply_int(s, 0)
        return 0
    if not is_zset(s, r):
        return 0
    v = zset_of(r)
    for i in range(2, c.argc):
        if zset_remove(&rules, &v, c.argv[i].ptr, c.argv[i].len):
            removed += 1
            emptied = zset_count(&v) == 0
            if emptied:
                break
    record_set_value(r, v.kind, v.ptr)
    if removed:
        changed(s, c.argv[1], NOTIFY_ZSET, b"zrem", removed)
        if emptied:
            delete_emptied(s, c.argv[1])
    reply_int(s, removed)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, zadd, Spec(
        "zadd", -4, "write denyoom fast", (1, 1, 1), "sorted_set", "1.2.0",
        "Add members to a sorted set, or change their scores.", "O(log(N)) for each member",
        key_specs=(KeySpec("RW update"),)))
    command(e, zincrby, Spec(
        "zincrby", 4, "write denyoom fast", (1, 1, 1), "sorted_set", "1.2.0", "Add to the score of a member.",
        "O(log(N)) where N is the number of members", key_specs=(KeySpec("RW access update"),)))
    command(e, zrem, Spec(
        "zrem", -3, "write fast", (1, 1, 1), "sorted_set", "1.2.0",
        "Remove members from a sorted set; an empty one is deleted.",
        "O(M*log(N)) where N is the number of members and M of those to remove",
        key_specs=(KeySpec("RW delete"),)))
    return 0
