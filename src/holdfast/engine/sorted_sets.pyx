"""Sorted sets as values: a listpack of member, score, member, score ... or a tree.

What this is: the sorted set without its key, for commands, for loaders and for
whoever computes one. What this is not: commands, replies, or anything that
knows a session.

How to read it: making and converting, asking, editing, ranges, walking. In both
forms members stand in the order of (score, bytes). A listpack keeps whole
scores as integers, others as their shortest text; so it does not know -0 from
0, as in Redis 7.2.
"""

from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp
from holdfast.engine.buf cimport Slice
from holdfast.engine.full_forms cimport SortedSet, new_member, new_sorted_set
from holdfast.engine.heap cimport heap_free
from holdfast.engine.listpack cimport (
    Listpack, LpValue, lp_append, lp_count, lp_delete, lp_find, lp_first, lp_fits, lp_get, lp_insert, lp_last,
    lp_new, lp_next, lp_prev, lp_seek, lp_text)
from holdfast.engine.numbers cimport format_double, format_int64, parse_double
from holdfast.engine.ordered cimport (
    Member, OrderedCursor, member_key, ordered_append, ordered_insert, ordered_lex_from, ordered_lex_to,
    ordered_next, ordered_prev, ordered_rank, ordered_rank_from, ordered_rank_to, ordered_remove,
    ordered_rescore, ordered_seek)
from holdfast.engine.record cimport ZSET_PACK, ZSET_TREE, free_value
from holdfast.engine.table cimport (
    random_u64, table_add, table_count, table_expand, table_find, table_hash, table_pop, table_random,
    table_shrink)

cdef enum:
    WHOLE_SCORE_MAX = 1 << 62       # larger whole scores are kept as text


cdef inline SortedSet* tree_of(ZsetValue* v) noexcept nogil:
    return <SortedSet*>v.ptr


cdef inline Listpack pack_of(ZsetValue* v) noexcept nogil:
    return <Listpack>v.ptr


# ---- scores in a listpack ----

cdef double score_at(uint8_t* at) noexcept nogil:
    cdef LpValue value
    cdef double score = 0
    lp_get(at, &value)
    if value.text.ptr == NULL:
        return <double>value.number
    parse_double(value.text.ptr, value.text.len, &score)
    return score


cdef size_t format_score(char* p, double score) noexcept nogil:
    if -<double>WHOLE_SCORE_MAX <= score <= <double>WHOLE_SCORE_MAX and <double><int64_t>score == score:
        return format_int64(p, <int64_t>score)
    return format_double(p, score)


cdef void pack_insert(
        ZsetRules* rules, ZsetValue* v, uint8_t* at, const char* p, size_t n, double score) noexcept nogil:
    """Insert member and score before `at` (NULL: at the end)."""
    cdef char digits[48]
    cdef size_t length = format_score(digits, score)
    cdef Listpack lp
    cdef uint8_t* moved
    if at == NULL:
        lp = lp_append(rules.heap, pack_of(v), p, n)
        v.ptr = lp_append(rules.heap, lp, digits, length)
        return
    lp = lp_insert(rules.heap, pack_of(v), at, p, n, &moved)
    v.ptr = lp_insert(rules.heap, lp, lp_next(lp, moved), digits, length, NULL)


cdef int compare_text(Slice a, const char* p, size_t n) noexcept nogil:
    cdef int order = memcmp(a.ptr, p, a.len if a.len < n else n)
    if order != 0:
        return order
    return (a.len > n) - (a.len < n)


cdef uint8_t* pack_place(Listpack lp, const char* p, size_t n, double score) noexcept nogil:
    """The first member that is to stand behind the new one, or NULL."""
    cdef uint8_t* at = lp_first(lp)
    cdef uint8_t* score_place
    cdef double here
    cdef char digits[24]
    while at != NULL:
        score_place = lp_next(lp, at)
        here = score_at(score_place)
        if here > score or (here == score and compare_text(lp_text(at, digits), p, n) > 0):
            return at
        at = lp_next(lp, score_place)
    return NULL


cdef inline uint8_t* pack_find(Listpack lp, const char* p, size_t n) noexcept nogil:
    return lp_find(lp, lp_first(lp), p, n, 1)


# ---- making and converting ----

cdef inline bint suits_pack(ZsetRules* rules, size_t entries, size_t longest) noexcept nogil:
    return <int64_t>entries <= rules.listpack_entries and <int64_t>longest <= rules.listpack_value


cdef ZsetValue zset_new(ZsetRules* rules, size_t entries, size_t longest) noexcept nogil:
    cdef ZsetValue v
    if suits_pack(rules, entries, longest):
        v.kind = ZSET_PACK
        v.ptr = lp_new(rules.heap, 0)
        return v
    v.kind = ZSET_TREE
    v.ptr = new_sorted_set(rules.heap, rules.seed)
    table_expand(rules.heap, &tree_of(&v).table, entries)
    return v


cdef void zset_prepare(ZsetRules* rules, ZsetValue* v, size_t entries, size_t longest) noexcept nogil:
    if v.kind == ZSET_PACK and not suits_pack(rules, entries, longest):
        zset_to_tree(rules, v, entries)


cdef Member* tree_add(
        ZsetRules* rules, SortedSet* z, const char* p, size_t n, double score,
        uint64_t hashed) noexcept nogil:
    cdef Member* m = new_member(rules.heap, p, n, score)
    table_add(rules.heap, &z.table, m, hashed)
    return m


cdef void zset_to_tree(ZsetRules* rules, ZsetValue* v, size_t entries) noexcept nogil:
    cdef SortedSet* z
    cdef ZsetCursor c
    cdef ZsetMember m
    cdef size_t count
    if v.kind == ZSET_TREE:
        return
    count = zset_count(v)
    z = new_sorted_set(rules.heap, rules.seed)
    table_expand(rules.heap, &z.table, entries if entries > count else count)
    zset_walk(v, 0, False, True, &c)
    while zset_next(&c, &m):
        ordered_append(rules.heap, z.order, tree_add(
            rules, z, m.text.ptr, m.text.len, m.score, table_hash(&z.table, m.text.ptr, m.text.len)))
    free_value(rules.heap, v.kind, v.ptr)
    v.kind = ZSET_TREE
    v.ptr = z


# ---- asking ----

cdef size_t zset_count(ZsetValue* v) noexcept nogil:
    if v.kind == ZSET_TREE:
        return table_count(&tree_of(v).table)
    return lp_count(pack_of(v)) // 2


cdef Member* tree_find(SortedSet* z, const char* p, size_t n) noexcept nogil:
    cdef void** slot = table_find(&z.table, p, n, table_hash(&z.table, p, n))
    return <Member*>slot[0] if slot != NULL else NULL


cdef bint zset_score(ZsetValue* v, const char* p, size_t n, double* score) noexcept nogil:
    cdef Member* m
    cdef uint8_t* at
    if v.kind == ZSET_TREE:
        m = tree_find(tree_of(v), p, n)
        if m == NULL:
            return False
        score[0] = m.score
        return True
    at = pack_find(pack_of(v), p, n)
    if at == NULL:
        return False
    score[0] = score_at(lp_next(pack_of(v), at))
    return True


cdef int64_t zset_rank(ZsetValue* v, const char* p, size_t n, double* score) noexcept nogil:
    cdef Member* m
    cdef uint8_t* at
    cdef uint8_t* found
    cdef int64_t elements = 0
    if v.kind == ZSET_TREE:
        m = tree_find(tree_of(v), p, n)
        if m == NULL:
            return -1
        if score != NULL:
            score[0] = m.score
        return <int64_t>ordered_rank(tree_of(v).order, m)
    found = pack_find(pack_of(v), p, n)
    if found == NULL:
        return -1
    if score != NULL:
        score[0] = score_at(lp_next(pack_of(v), found))
    at = lp_first(pack_of(v))
    while at != found:
        at = lp_next(pack_of(v), at)
        elements += 1
    return elements // 2


# ---- editing ----

cdef inline int admit_score(int flags, double now, double* score) noexcept nogil:
    """What becomes of a member that has the score `now`; *score: its new one."""
    cdef double fresh = score[0]
    if flags & ZADD_NX:
        return ZADD_SKIPPED
    if flags & ZADD_INCR:
        fresh += now
        if isnan(fresh):
            return ZADD_NAN
    if (flags & ZADD_LT and fresh >= now) or (flags & ZADD_GT and fresh <= now):
        return ZADD_SKIPPED
    score[0] = fresh
    return ZADD_UPDATED if fresh != now else ZADD_SAME


cdef int add_to_tree(
        ZsetRules* rules, SortedSet* z, const char* p, size_t n, int flags, double* score) noexcept nogil:
    cdef uint64_t hashed = table_hash(&z.table, p, n)
    cdef void** slot = table_find(&z.table, p, n, hashed)
    cdef Member* m
    cdef int outcome
    if slot == NULL:
        if flags & ZADD_XX:
            return ZADD_SKIPPED
        ordered_insert(rules.heap, z.order, tree_add(rules, z, p, n, score[0], hashed))
        return ZADD_ADDED
    m = <Member*>slot[0]
    outcome = admit_score(flags, m.score, score)
    if outcome == ZADD_UPDATED:
        ordered_rescore(rules.heap, z.order, m, score[0])
    return outcome


cdef int zset_add(
        ZsetRules* rules, ZsetValue* v, const char* p, size_t n, int flags, double* score) noexcept nogil:
    cdef uint8_t* at
    cdef int outcome
    if v.kind == ZSET_TREE:
        return add_to_tree(rules, tree_of(v), p, n, flags, score)
    at = pack_find(pack_of(v), p, n)
    if at != NULL:
        outcome = admit_score(flags, score_at(lp_next(pack_of(v), at)), score)
        if outcome == ZADD_UPDATED:
            v.ptr = lp_delete(rules.heap, pack_of(v), at, 2, NULL)
            pack_insert(rules, v, pack_place(pack_of(v), p, n, score[0]), p, n, score[0])
        return outcome
    if flags & ZADD_XX:
        return ZADD_SKIPPED
    if not suits_pack(rules, zset_count(v) + 1, n) or not lp_fits(pack_of(v), n + 48):
        zset_to_tree(rules, v, zset_count(v) + 1)
        return add_to_tree(rules, tree_of(v), p, n, flags, score)
    pack_insert(rules, v, pack_place(pack_of(v), p, n, score[0]), p, n, score[0])
    return ZADD_ADDED


cdef void zset_append(ZsetRules* rules, ZsetValue* v, const char* p, size_t n, double score) noexcept nogil:
    cdef SortedSet* z
    if v.kind == ZSET_PACK:
        if suits_pack(rules, zset_count(v) + 1, n) and lp_fits(pack_of(v), n + 48):
            pack_insert(rules, v, NULL, p, n, score)
            return
        zset_to_tree(rules, v, zset_count(v) + 1)
    z = tree_of(v)
    ordered_append(rules.heap, z.order, tree_add(rules, z, p, n, score, table_hash(&z.table, p, n)))


cdef void remove_from_tree(ZsetRules* rules, SortedSet* z, Member* m) noexcept nogil:
    cdef const char* key = member_key(m)
    ordered_remove(rules.heap, z.order, m)
    table_pop(rules.heap, &z.table, key, m.klen, table_hash(&z.table, key, m.klen))
    heap_free(rules.heap, m)


cdef bint zset_remove(ZsetRules* rules, ZsetValue* v, const char* p, size_t n) noexcept nogil:
    cdef SortedSet* z
    cdef Member* m
    cdef uint8_t* at
    if v.kind == ZSET_TREE:
        z = tree_of(v)
        m = <Member*>table_pop(rules.heap, &z.table, p, n, table_hash(&z.table, p, n))
        if m == NULL:
            return False
        ordered_remove(rules.heap, z.order, m)
        heap_free(rules.heap, m)
        table_shrink(rules.heap, &z.table)
        return True
    at = pack_find(pack_of(v), p, n)
    if at == NULL:
        return False
    v.ptr = lp_delete(rules.heap, pack_of(v), at, 2, NULL)
    return True


cdef void zset_remove_ranks(ZsetRules* rules, ZsetValue* v, size_t first, size_t end) noexcept nogil:
    cdef OrderedCursor c
    cdef size_t left = end - first
    if left == 0:
        return
    if v.kind == ZSET_PACK:
        v.ptr = lp_delete(
            rules.heap, pack_of(v), lp_seek(pack_of(v), 2 * <long>first), <unsigned int>(2 * left), NULL)
        return
    while left:
        remove_from_tree(rules, tree_of(v), ordered_seek(tree_of(v).order, first, &c))
        left -= 1
    table_shrink(rules.heap, &tree_of(v).table)


# ---- ranges ----

cdef inline bint score_from(ScoreRange* range, double score) noexcept nogil:
    return score > range.low if range.low_open else score >= range.low


cdef inline bint score_to(ScoreRange* range, double score) noexcept nogil:
    return score < range.high if range.high_open else score <= range.high


cdef void zset_score_ranks(ZsetValue* v, ScoreRange* range, size_t* first, size_t* end) noexcept nogil:
    cdef ZsetCursor c
    cdef ZsetMember m
    if v.kind == ZSET_TREE:
        first[0] = ordered_rank_from(tree_of(v).order, range.low, not range.low_open)
        end[0] = ordered_rank_to(tree_of(v).order, range.high, not range.high_open)
    else:
        first[0] = 0
        end[0] = 0
        zset_walk(v, 0, False, True, &c)
        while zset_next(&c, &m) and score_to(range, m.score):
            end[0] += 1
            if not score_from(range, m.score):
                first[0] += 1
    if end[0] < first[0]:
        end[0] = first[0]


cdef bint text_from(LexBound* low, Slice text) noexcept nogil:
    cdef int order
    if low.infinite:
        return low.infinite < 0
    order = compare_text(text, low.text.ptr, low.text.len)
    return order > 0 or (order == 0 and not low.open)


cdef bint text_to(LexBound* high, Slice text) noexcept nogil:
    cdef int order
    if high.infinite:
        return high.infinite > 0
    order = compare_text(text, high.text.ptr, high.text.len)
    return order < 0 or (order == 0 and not high.open)


cdef void zset_lex_ranks(ZsetValue* v, LexRange* range, size_t* first, size_t* end) noexcept nogil:
    cdef ZsetCursor c
    cdef ZsetMember m
    cdef LexBound* low = &range.low
    cdef LexBound* high = &range.high
    if v.kind == ZSET_TREE:
        first[0] = 0 if low.infinite < 0 else zset_count(v)
        if not low.infinite:
            first[0] = ordered_lex_from(tree_of(v).order, low.text.ptr, low.text.len, not low.open)
        end[0] = 0 if high.infinite < 0 else zset_count(v)
        if not high.infinite:
            end[0] = ordered_lex_to(tree_of(v).order, high.text.ptr, high.text.len, not high.open)
    else:
        first[0] = 0
        zset_walk(v, 0, False, False, &c)
        while zset_next(&c, &m):
            if text_from(low, m.text):
                break
            first[0] += 1
        end[0] = first[0]
        if first[0] == zset_count(v):
            return
        while text_to(high, m.text):
            end[0] += 1
            if not zset_next(&c, &m):
                break
    if end[0] < first[0]:
        end[0] = first[0]


# ---- walking ----

cdef inline void member_of(ZsetMember* out, Member* m) noexcept nogil:
    out.text.ptr = member_key(m)
    out.text.len = m.klen
    out.score = m.score


cdef void zset_walk(ZsetValue* v, size_t rank, bint reverse, bint with_scores, ZsetCursor* c) noexcept nogil:
    c.value = v[0]
    c.reverse = reverse
    c.with_scores = with_scores
    if v.kind == ZSET_TREE:
        c.member = ordered_seek(tree_of(v).order, rank, &c.tree)
    else:
        c.at = lp_seek(pack_of(v), 2 * <long>rank)


cdef bint zset_next(ZsetCursor* c, ZsetMember* m) noexcept nogil:
    cdef Listpack lp
    cdef uint8_t* score_place
    if c.value.kind == ZSET_TREE:
        if c.member == NULL:
            return False
        member_of(m, <Member*>c.member)
        c.member = ordered_prev(&c.tree) if c.reverse else ordered_next(&c.tree)
        return True
    if c.at == NULL:
        return False
    lp = <Listpack>c.value.ptr
    m.text = lp_text(c.at, c.digits)
    score_place = lp_next(lp, c.at)
    if c.with_scores:
        m.score = score_at(score_place)
    if c.reverse:
        c.at = lp_prev(lp, c.at)
        if c.at != NULL:
            c.at = lp_prev(lp, c.at)
    else:
        c.at = lp_next(lp, score_place)
    return True


cdef void member_of_pack(Listpack lp, uint8_t* at, ZsetMember* m, char* digits) noexcept nogil:
    m.text = lp_text(at, digits)
    m.score = score_at(lp_next(lp, at))


cdef void zset_end(ZsetValue* v, bint highest, ZsetMember* m, char* digits) noexcept nogil:
    cdef OrderedCursor c
    cdef Listpack lp
    if v.kind == ZSET_TREE:
        member_of(m, ordered_seek(tree_of(v).order, zset_count(v) - 1 if highest else 0, &c))
        return
    lp = pack_of(v)
    member_of_pack(lp, lp_prev(lp, lp_last(lp)) if highest else lp_first(lp), m, digits)


cdef void zset_random(ZsetValue* v, uint64_t* rng, ZsetMember* m, char* digits) noexcept nogil:
    cdef Listpack lp
    if v.kind == ZSET_TREE:
        member_of(m, <Member*>table_random(&tree_of(v).table, rng))
        return
    lp = pack_of(v)
    member_of_pack(lp, lp_seek(lp, 2 * <long>(random_u64(rng) % zset_count(v))), m, digits)
