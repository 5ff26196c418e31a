"""Ranges of sorted sets: by rank, by score, by name; told, stored, counted, removed.

What this is: ZRANGE and its older kin, ZRANGESTORE, ZCOUNT, ZLEXCOUNT, ZREMRANGEBY*
(https://redis.io/commands/zrange/). The index is `register` at the end.

How to read it: a `Request` is what the arguments ask for; `resolve` turns it into
ranks [first, end) from the lowest score up; the commands do something with them.
"""

from libc.math cimport isnan
from libc.stdint cimport int64_t
from libc.stdlib cimport abort, free, malloc, strtod
from libc.string cimport memcpy, memset
from holdfast.commands.members cimport (
    delete_destination, delete_emptied, is_zset, reply_member, reply_members_head, store_key, zset_rules)
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.blocking cimport signal_ready
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_ZSET, changed
from holdfast.engine.keyspace cimport ks_read, ks_write
from holdfast.engine.numbers cimport parse_double
from holdfast.engine.record cimport Record, record_set_value
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_array, reply_error, reply_int, reply_syntax_error
from holdfast.engine.sorted_sets cimport (
    LexBound, LexRange, ScoreRange, ZsetCursor, ZsetMember, ZsetRules, ZsetValue, zset_append, zset_count,
    zset_lex_ranks, zset_new, zset_next, zset_of, zset_remove_ranks, zset_score_ranks, zset_walk)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef enum By:
    BY_RANK
    BY_SCORE
    BY_LEX

cdef struct Request:
    int by
    bint reverse
    bint with_scores
    int64_t start, stop         # BY_RANK: as given, negative ones from the end
    ScoreRange scores           # BY_SCORE
    LexRange names              # BY_LEX
    int64_t offset, limit       # of what was found; a negative limit: all


# ---- bounds ----

cdef bint parse_loose_double(const char* p, size_t n, double* out) noexcept nogil:
    """A bound, which Redis reads with strtod alone: "" is 0, spaces in front are fine, 1e400 is inf."""
    cdef char stack[64]
    cdef char* text = stack
    cdef char* end = NULL
    cdef bint whole
    if parse_double(p, n, out):
        return True
    if n >= sizeof(stack):
        text = <char*>malloc(n + 1)
        if text == NULL:
            abort()
    memcpy(text, p, n)
    text[n] = 0
    out[0] = strtod(text, &end)
    whole = end[0] == 0
    if text != stack:
        free(text)
    return whole and not isnan(out[0])


cdef bint parse_score_bound(Slice text, double* bound, bint* is_open) noexcept nogil:
    is_open[0] = text.len > 0 and text.ptr[0] == c'('
    return parse_loose_double(text.ptr + is_open[0], text.len - is_open[0], bound)


cdef bint parse_lex_bound(Slice text, LexBound* bound) noexcept nogil:
    memset(bound, 0, sizeof(LexBound))
    if text.len == 0:
        return False
    if text.ptr[0] == c'-' or text.ptr[0] == c'+':
        bound.infinite = 1 if text.ptr[0] == c'+' else -1
        return text.len == 1
    bound.open = text.ptr[0] == c'('
    bound.text.ptr = text.ptr + 1
    bound.text.len = text.len - 1
    return bound.open or text.ptr[0] == c'['


cdef bint parse_bounds(Session s, Request* q, Slice low, Slice high) noexcept:
    """Read the two ends; False: answered."""
    if q.by == BY_RANK:
        return arg_int(s, low, &q.start) and arg_int(s, high, &q.stop)
    if q.by == BY_SCORE:
        if parse_score_bound(low, &q.scores.low, &q.scores.low_open) and parse_score_bound(
                high, &q.scores.high, &q.scores.high_open):
            return True
        reply_error(s, b"ERR min or max is not a float")
        return False
    if parse_lex_bound(low, &q.names.low) and parse_lex_bound(high, &q.names.high):
        return True
    reply_error(s, b"ERR min or max not valid string range item")
    return False


# ---- ranks ----

cdef void rank_range(Request* q, int64_t count, size_t* first, size_t* end) noexcept nogil:
    """The ranks that start and stop mean, counted from the end if reversed."""
    cdef int64_t start = q.start + count if q.start < 0 else q.start
    cdef int64_t stop = q.stop + count if q.stop < 0 else q.stop
    if start < 0:
        start = 0
    if stop >= count:
        stop = count - 1
    first[0] = 0
    end[0] = 0
    if start > stop or start >= count:
        return
    first[0] = <size_t>(count - 1 - stop if q.reverse else start)
    end[0] = first[0] + <size_t>(stop - start + 1)


cdef void apply_limit(Request* q, size_t* first, size_t* end) noexcept nogil:
    cdef size_t found = end[0] - first[0]
    cdef size_t left
    if q.offset < 0 or <size_t>q.offset >= found:
        end[0] = first[0]
        return
    left = found - <size_t>q.offset
    if q.limit >= 0 and <size_t>q.limit < left:
        left = <size_t>q.limit
    if q.reverse:
        end[0] -= <size_t>q.offset
        first[0] = end[0] - left
    else:
        first[0] += <size_t>q.offset
        end[0] = first[0] + left


cdef void resolve(Request* q, ZsetValue* v, size_t* first, size_t* end) noexcept nogil:
    if q.by == BY_RANK:
        rank_range(q, zset_count(v), first, end)
        return
    if q.by == BY_SCORE:
        zset_score_ranks(v, &q.scores, first, end)
    else:
        zset_lex_ranks(v, &q.names, first, end)
    apply_limit(q, first, end)


# ---- ZRANGE and its kin ----

cdef void start_request(Request* q, int by, bint reverse) noexcept nogil:
    memset(q, 0, sizeof(Request))
    q.by = by
    q.reverse = reverse
    q.limit = -1


cdef bint parse_options(Session s, Call* c, int first, bint is_general, bint is_store, Request* q) noexcept:
    """Options from argv[first] on; only the general forms take REV, BYSCORE and BYLEX."""
    cdef int i = first
    cdef bint by_given = False
    while i < c.argc:
        if not is_store and arg_is(c.argv[i], b"withscores"):
            q.with_scores = True
        elif arg_is(c.argv[i], b"limit") and i + 2 < c.argc:
            if not arg_int(s, c.argv[i + 1], &q.offset) or not arg_int(s, c.argv[i + 2], &q.limit):
                return False
            i += 2
        elif is_general and not q.reverse and arg_is(c.argv[i], b"rev"):
            q.reverse = True
        elif is_general and not by_given and arg_is(c.argv[i], b"bylex"):
            q.by = BY_LEX
            by_given = True
        elif is_general and not by_given and arg_is(c.argv[i], b"byscore"):
            q.by = BY_SCORE
            by_given = True
        else:
            reply_syntax_error(s)
            return False
        i += 1
    if q.limit != -1 and q.by == BY_RANK:
        reply_error(
            s, b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
        return False
    if q.with_scores and q.by == BY_LEX:
        reply_error(s, b"ERR syntax error, WITHSCORES not supported in combination with BYLEX")
        return False
    return True


cdef bint parse_request(Session s, Call* c, int key_at, bint is_general, bint is_store, Request* q) noexcept:
    cdef Slice low = c.argv[key_at + 1]
    cdef Slice high = c.argv[key_at + 2]
    if c.argc > key_at + 3 and not parse_options(s, c, key_at + 3, is_general, is_store, q):
        return False
    if q.reverse and q.by != BY_RANK:
        return parse_bounds(s, q, high, low)
    return parse_bounds(s, q, low, high)


cdef int range_command(Session s, Call* c, int by, bint reverse, bint is_general) except -1:
    cdef Request q
    cdef Record* r
    cdef ZsetValue v
    cdef ZsetCursor walk
    cdef ZsetMember m
    cdef size_t first, end
    start_request(&q, by, reverse)
    if not parse_request(s, c, 1, is_general, False, &q):
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r == NULL:
        reply_array(s, 0)
        return 0
    if not is_zset(s, r):
        return 0
    v = zset_of(r)
    resolve(&q, &v, &first, &end)
    reply_members_head(s, end - first, q.with_scores)
    if first == end:
        return 0
    zset_walk(&v, end - 1 if q.reverse else first, q.reverse, q.with_scores, &walk)
    while first < end:
        zset_next(&walk, &m)
        reply_member(s, m.text.ptr, m.text.len, m.score, q.with_scores)
        first += 1
    return 0


cdef int zrange(Session s, Call* c) except -1:
    return range_command(s, c, BY_RANK, False, True)


cdef int zrevrange(Session s, Call* c) except -1:
    return range_command(s, c, BY_RANK, True, False)


cdef int zrangebyscore(Session s, Call* c) except -1:
    return range_command(s, c, BY_SCORE, False, False)


cdef int zrevrangebyscore(Session s, Call* c) except -1:
    return range_command(s, c, BY_SCORE, True, False)


cdef int zrangebylex(Session s, Call* c) except -1:
    return range_command(s, c, BY_LEX, False, False)


cdef int zrevrangebylex(Session s, Call* c) except -1:
    return range_command(s, c, BY_LEX, True, False)


cdef int zrangestore(Session s, Call* c) except -1:
    cdef ZsetRules rules = zset_rules(s.engine)
    cdef Request q
    cdef Record* r
    cdef ZsetValue source, result
    cdef ZsetCursor walk
    cdef ZsetMember m
    cdef size_t first = 0, end = 0
    start_request(&q, BY_RANK, False)
    if not parse_request(s, c, 2, True, True, &q):
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[2])
    if r != NULL:
        if not is_zset(s, r):
            return 0
        source = zset_of(r)
        resolve(&q, &source, &first, &end)
    if first == end:
        delete_destination(s, c.argv[1])
        reply_int(s, 0)
        return 0
    result = zset_new(&rules, end - first if q.by == BY_RANK else 0, 0)
    zset_walk(&source, first, False, True, &walk)
    while zset_count(&result) < end - first:
        zset_next(&walk, &m)
        zset_append(&rules, &result, m.text.ptr, m.text.len, m.score)
    store_key(s, c.argv[1], result.kind, result.ptr)
    changed(s, c.argv[1], NOTIFY_ZSET, b"zrangestore", 1)
    signal_ready(s.engine, s.db, c.argv[1])
    reply_int(s, end - first)
    return 0


# ---- counting and removing ----

cdef int count_command(Session s, Call* c, int by) except -1:
    cdef Request q
    cdef Record* r
    cdef ZsetValue v
    cdef size_t first, end
    start_request(&q, by, False)
    if not parse_bounds(s, &q, c.argv[2], c.argv[3]):
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r == NULL:
        reply_int(s, 0)
    elif is_zset(s, r):
        v = zset_of(r)
        resolve(&q, &v, &first, &end)
        reply_int(s, end - first)
    return 0


cdef int zcount(Session s, Call* c) except -1:
    return count_command(s, c, BY_SCORE)


cdef int zlexcount(Session s, Call* c) except -1:
    return count_command(s, c, BY_LEX)


cdef int remove_command(Session s, Call* c, int by, const char* event) except -1:
    cdef Engine e = s.engine
    cdef ZsetRules rules = zset_rules(e)
    cdef Request q
    cdef Record* r
    cdef ZsetValue v
    cdef size_t first, end
    start_request(&q, by, False)
    if not parse_bounds(s, &q, c.argv[2], c.argv[3]):
        return 0
    r = ks_write(&e.ks, s.db, c.argv[1])
    if r == NULL:
        reply_int(s, 0)
        return 0
    if not is_zset(s, r):
        return 0
    v = zset_of(r)
    resolve(&q, &v, &first, &end)
    if end > first:
        if end - first < zset_count(&v):
            zset_remove_ranks(&rules, &v, first, end)
            record_set_value(r, v.kind, v.ptr)
            changed(s, c.argv[1], NOTIFY_ZSET, event, end - first)
        else:
            changed(s, c.argv[1], NOTIFY_ZSET, event, end - first)
            delete_emptied(s, c.argv[1])
    reply_int(s, end - first)
    return 0


cdef int zremrangebyrank(Session s, Call* c) except -1:
    return remove_command(s, c, BY_RANK, b"zremrangebyrank")


cdef int zremrangebyscore(Session s, Call* c) except -1:
    return remove_command(s, c, BY_SCORE, b"zremrangebyscore")


cdef int zremrangebylex(Session s, Call* c) except -1:
    return remove_command(s, c, BY_LEX, b"zremrangebylex")


cdef object told(str name, str since, str summary):
    return Spec(
        name, -4, "readonly", (1, 1, 1), "sorted_set", since, summary,
        "O(log(N)+M) where N is the number of members and M of those returned",
        key_specs=(KeySpec("RO access"),))


cdef object counted(str name, str since, str summary):
    return Spec(
        name, 4, "readonly fast", (1, 1, 1), "sorted_set", since, summary,
        "O(log(N)) where N is the number of members", key_specs=(KeySpec("RO access"),))


cdef object removed(str name, str since, str summary):
    return Spec(
        name, 4, "write", (1, 1, 1), "sorted_set", since, summary,
        "O(log(N)+M) where N is the number of members and M of those removed",
        key_specs=(KeySpec("RW delete"),))


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, zrange, told("zrange", "1.2.0", "Return members in a range of ranks, scores or names."))
    command(e, zrevrange, told("zrevrange", "1.2.0", "Return members in a range of ranks, highest first."))
    command(e, zrangebyscore, told("zrangebyscore", "1.0.5", "Return members in a range of scores."))
    command(e, zrevrangebyscore, told(
        "zrevrangebyscore", "2.2.0", "Return members in a range of scores, highest first."))
    command(e, zrangebylex, told("zrangebylex", "2.8.9", "Return members in a range of names."))
    command(e, zrevrangebylex, told(
        "zrevrangebylex", "2.8.9", "Return members in a range of names, last first."))
    command(e, zrangestore, Spec(
        "zrangestore", -5, "write denyoom", (1, 2, 1), "sorted_set", "6.2.0",
        "Store a range of a sorted set in a key.",
        "O(log(N)+M) where N is the number of members and M of those stored",
        key_specs=(KeySpec("OW update"), KeySpec("RO access", begin=2))))
    command(e, zcount, counted("zcount", "2.0.0", "Return how many members are in a range of scores."))
    command(e, zlexcount, counted("zlexcount", "2.8.9", "Return how many members are in a range of names."))
    command(e, zremrangebyrank, removed("zremrangebyrank", "2.0.0", "Remove members in a range of ranks."))
    command(e, zremrangebyscore, removed("zremrangebyscore", "1.2.0", "Remove members in a range of scores."))
    command(e, zremrangebylex, removed("zremrangebylex", "2.8.9", "Remove members in a range of names."))
    return 0
