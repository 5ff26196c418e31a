"""Questions about members of sorted sets: score, rank, number, random ones, scanning.

The index is `register` at the end (https://redis.io/commands/?group=sorted-set).
What this is not: ranges; they are in `zset_range`.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from holdfast.commands.members cimport DRAWS_MAX, arg_draws, is_zset, reply_member, reply_members_head
from holdfast.commands.options cimport arg_is
from holdfast.commands.scan cimport (
    ScanOptions, scan_begin, scan_cursor, scan_end, scan_nothing, scan_options, scan_table_values, scan_wants)
from holdfast.engine.full_forms cimport SortedSet
from holdfast.engine.keyspace cimport ks_read
from holdfast.engine.numbers cimport format_double
from holdfast.engine.ordered cimport Member, member_key
from holdfast.engine.record cimport ZSET_TREE, Record
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_double, reply_error, reply_error_bytes, reply_int, reply_null,
    reply_null_array,
    reply_slice, reply_syntax_error)
from holdfast.engine.sampling cimport table_draw, take_next
from holdfast.engine.sorted_sets cimport (
    ZsetCursor, ZsetMember, ZsetValue, zset_count, zset_next, zset_of, zset_random, zset_rank, zset_score,
    zset_walk)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec


cdef int zcard(Session s, Call* c) except -1:
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef ZsetValue v
    if r == NULL:
        reply_int(s, 0)
    elif is_zset(s, r):
        v = zset_of(r)
        reply_int(s, zset_count(&v))
    return 0


cdef int zscore(Session s, Call* c) except -1:
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef ZsetValue v
    cdef double score
    if r == NULL:
        reply_null(s)
        return 0
    if not is_zset(s, r):
        return 0
    v = zset_of(r)
    if zset_score(&v, c.argv[2].ptr, c.argv[2].len, &score):
        reply_double(s, score)
    else:
        reply_null(s)
    return 0


cdef int zmscore(Session s, Call* c) except -1:
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef ZsetValue v
    cdef double score
    cdef int i
    if r != NULL:
        if not is_zset(s, r):
            return 0
        v = zset_of(r)
    reply_array(s, c.argc - 2)
    for i in range(2, c.argc):
        if r != NULL and zset_score(&v, c.argv[i].ptr, c.argv[i].len, &score):
            reply_double(s, score)
        else:
            reply_null(s)
    return 0


# ---- rank ----

cdef int rank_of(Session s, Call* c, bint reverse) except -1:
    cdef Record* r
    cdef ZsetValue v
    cdef double score
    cdef int64_t rank = -1
    cdef bint with_score = c.argc == 4
    if c.argc > 4:
        reply_error_bytes(s, b"ERR wrong number of arguments for '%s' command" % <bytes>c.command.name)
        return 0
    if with_score and not arg_is(c.argv[3], b"withscore"):
        reply_syntax_error(s)
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r != NULL:
        if not is_zset(s, r):
            return 0
        v = zset_of(r)
        rank = zset_rank(&v, c.argv[2].ptr, c.argv[2].len, &score if with_score else NULL)
    if rank < 0:
        if with_score:
            reply_null_array(s)
        else:
            reply_null(s)
        return 0
    if with_score:
        reply_array(s, 2)
    reply_int(s, <int64_t>zset_count(&v) - 1 - rank if reverse else rank)
    if with_score:
        reply_double(s, score)
    return 0


cdef int zrank(Session s, Call* c) except -1:
    return rank_of(s, c, False)


cdef int zrevrank(Session s, Call* c) except -1:
    return rank_of(s, c, True)


# ---- drawing by lot ----

cdef int zrandmember(Session s, Call* c) except -1:
    cdef Record* r
    cdef ZsetValue v
    cdef ZsetMember m
    cdef char digits[24]
    cdef int64_t count = 0
    cdef bint with_scores = c.argc == 4
    cdef size_t size
    if c.argc >= 3:
        if not arg_draws(s, c.argv[2], &count):
            return 0
        if c.argc > 4 or (with_scores and not arg_is(c.argv[3], b"withscores")):
            reply_syntax_error(s)
            return 0
        if with_scores and not -(INT64_MAX // 2) <= count <= INT64_MAX // 2:
            reply_error(s, b"ERR value is out of range")
            return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r == NULL:
        if c.argc == 2:
            reply_null(s)
        else:
            reply_array(s, 0)
        return 0
    if not is_zset(s, r):
        return 0
    v = zset_of(r)
    size = zset_count(&v)
    if c.argc == 2:
        zset_random(&v, &s.engine.ks.rng, &m, digits)
        reply_slice(s, m.text)
    elif count < 0:
        reply_repeated(s, &v, -count, with_scores)
    else:
        reply_distinct(s, &v, <size_t>count if <size_t>count < size else size, with_scores)
    return 0


cdef int reply_repeated(Session s, ZsetValue* v, int64_t count, bint with_scores) except -1:
    cdef ZsetMember m
    cdef char digits[24]
    if count > DRAWS_MAX:
        reply_error(s, b"ERR value is out of range")
        return 0
    reply_members_head(s, count, with_scores)
    while count:
        zset_random(v, &s.engine.ks.rng, &m, digits)
        reply_member(s, m.text.ptr, m.text.len, m.score, with_scores)
        count -= 1
    return 0


cdef int reply_distinct(Session s, ZsetValue* v, size_t count, bint with_scores) except -1:
    """`count` different members, at most all of them."""
    cdef ZsetCursor walk
    cdef ZsetMember m
    cdef Member* member
    cdef size_t left = zset_count(v)
    cdef size_t i
    cdef void** drawn
    reply_members_head(s, count, with_scores)
    if v.kind == ZSET_TREE and count < left:
        drawn = <void**>malloc((count + 1) * sizeof(void*))
        if drawn == NULL:
            abort()
        table_draw(&(<SortedSet*>v.ptr).table, drawn, count, &s.engine.ks.rng)
        for i in range(count):
            member = <Member*>drawn[i]
            reply_member(s, member_key(member), member.klen, member.score, with_scores)
        free(drawn)
        return 0
    zset_walk(v, 0, False, with_scores, &walk)
    while count:
        zset_next(&walk, &m)
        if take_next(count, left, &s.engine.ks.rng):
            reply_member(s, m.text.ptr, m.text.len, m.score, with_scores)
            count -= 1
        left -= 1
    return 0


# ---- scanning ----

cdef int zscan(Session s, Call* c) except -1:
    cdef uint64_t cursor
    cdef Record* r
    cdef ZsetValue v
    cdef ZsetCursor walk
    cdef ZsetMember m
    cdef ScanOptions options
    cdef size_t at, count = 0
    cdef char digits[48]
    if not scan_cursor(s, c.argv[2], &cursor):
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r == NULL:
        scan_nothing(s)
        return 0
    if not is_zset(s, r) or not scan_options(s, c, 3, False, &options):
        return 0
    v = zset_of(r)
    if v.kind == ZSET_TREE:
        return scan_table_values(s, c, &(<SortedSet*>v.ptr).table, ZSET_TREE, cursor, &options)
    at = scan_begin(s, 0)
    zset_walk(&v, 0, False, True, &walk)
    while zset_next(&walk, &m):
        if scan_wants(&options, m.text.ptr, m.text.len):
            reply_bulk(s, m.text.ptr, m.text.len)
            reply_bulk(s, digits, format_double(digits, m.score))
            count += 2
    scan_end(s, at, count)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    reads = (KeySpec("RO access"),)
    by_lot = ("nondeterministic_output",)
    command(e, zcard, Spec(
        "zcard", 2, "readonly fast", (1, 1, 1), "sorted_set", "1.2.0", "Return the number of members.",
        "O(1)",
        key_specs=(KeySpec("RO"),)))
    command(e, zscore, Spec(
        "zscore", 3, "readonly fast", (1, 1, 1), "sorted_set", "1.2.0", "Return the score of a member.",
        "O(1)",
        key_specs=reads))
    command(e, zmscore, Spec(
        "zmscore", -3, "readonly fast", (1, 1, 1), "sorted_set", "6.2.0",
        "Return the scores of some members.",
        "O(N) where N is the number of members asked for", key_specs=reads))
    command(e, zrank, Spec(
        "zrank", -3, "readonly fast", (1, 1, 1), "sorted_set", "2.0.0",
        "Return how many members stand below a member.", "O(log(N))", key_specs=reads))
    command(e, zrevrank, Spec(
        "zrevrank", -3, "readonly fast", (1, 1, 1), "sorted_set", "2.0.0",
        "Return how many members stand above a member.", "O(log(N))", key_specs=reads))
    command(e, zrandmember, Spec(
        "zrandmember", -2, "readonly", (1, 1, 1), "sorted_set", "6.2.0",
        "Return random members of a sorted set.",
        "O(N) where N is the number of members returned", key_specs=reads, tips=by_lot))
    command(e, zscan, Spec(
        "zscan", -3, "readonly", (1, 1, 1), "sorted_set", "2.8.0",
        "Go through members and scores of a sorted set, some at a time.",
        "O(1) a call, O(N) for all N members",
        key_specs=reads, tips=by_lot))
    return 0
