"""Sorted sets of an RDB: as a listpack, or member by member.

Members are gathered in `Decoder.members`, brought into order, and become a listpack
or a tree in the end. How to read it: whole sorted sets, then members and their
scores, then `finish_sorted_set`.
"""

from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport abort, qsort, realloc
from libc.string cimport memcpy
from holdfast.engine.buf cimport Slice
from holdfast.engine.full_forms cimport SortedSet, new_member, new_sorted_set
from holdfast.engine.heap cimport Heap, heap_free
from holdfast.engine.listpack cimport (
    LP_BYTES_MAX, LpValue, lp_append, lp_append_int, lp_count, lp_first, lp_free, lp_get, lp_new, lp_next,
    lp_text)
from holdfast.engine.numbers cimport format_double, parse_double
from holdfast.engine.ordered cimport Member, member_key, ordered_append, ordered_compare
from holdfast.engine.rdb_format cimport RDB_ZSET
from holdfast.engine.rdb_proof cimport has_twins
from holdfast.engine.rdb_window cimport (
    faulty, read_string, read_fixed64, Decoder, DECODED, NEEDS_MORE, ELEMENT_BYTES_MOST)
from holdfast.engine.record cimport ZSET_PACK, ZSET_TREE
from holdfast.engine.table cimport table_add, table_expand, table_find, table_hash

cdef enum:
    MEMBERS_FROM = 16

cdef double DOUBLE_INT_MOST = 4503599627370496.0    # 2**52: integers below are exact


cdef int take_sorted_listpack(Decoder* d, uint8_t* lp) noexcept nogil:
    cdef uint8_t* at = lp_first(lp)
    cdef uint8_t* score_at
    cdef char digits[24]
    cdef char last_digits[24]
    cdef Slice text, last
    cdef double score = 0, last_score = 0
    cdef bint rising = True
    cdef uint8_t* last_at = NULL
    d.kind = ZSET_PACK
    if lp_count(lp) % 2:
        return faulty(d, b"a sorted set without a last score")
    while at != NULL:
        score_at = lp_next(lp, at)
        if not element_score(score_at, &score):
            return faulty(d, b"a score that is no number")
        if last_at != NULL and rising and score <= last_score:
            text = lp_text(at, digits)
            last = lp_text(last_at, last_digits)
            rising = ordered_compare(last_score, last.ptr, last.len, score, text.ptr, text.len) < 0
        last_at = at
        last_score = score
        at = lp_next(lp, score_at)
    if rising and <int64_t>(lp_count(lp) // 2) <= d.zset_entries:
        return faulty(d, b"a sorted set holds a member twice") if has_twins(lp, True, d.seed) else DECODED
    at = lp_first(lp)
    while at != NULL:
        text = lp_text(at, digits)
        score_at = lp_next(lp, at)
        element_score(score_at, &score)
        add_member(d, text.ptr, text.len, score)
        at = lp_next(lp, score_at)
    d.value = NULL
    lp_free(d.heap, lp)
    return finish_sorted_set(d)


cdef inline bint element_score(uint8_t* at, double* out) noexcept nogil:
    cdef LpValue v
    lp_get(at, &v)
    if v.text.ptr == NULL:
        out[0] = <double>v.number
        return True
    return parse_double(v.text.ptr, v.text.len, out) and not isnan(out[0])


cdef int read_sorted_member(Decoder* d) noexcept nogil:
    cdef const uint8_t* mark = d.at
    cdef char digits[24]
    cdef Slice text
    cdef double score = 0
    cdef uint64_t bits = 0
    cdef int rc = read_string(d, &text, digits, 0)
    if rc == DECODED and d.type == RDB_ZSET:
        rc = read_text_score(d, &score)
    elif rc == DECODED:
        rc = read_fixed64(d, &bits)
        memcpy(&score, &bits, 8)
    if rc == NEEDS_MORE:
        d.at = mark
    if rc != DECODED:
        return rc
    if isnan(score):
        return faulty(d, b"a score that is no number")
    if text.len > ELEMENT_BYTES_MOST:
        return faulty(d, b"a sorted set member that is too large")
    add_member(d, text.ptr, text.len, score)
    return DECODED


cdef int read_text_score(Decoder* d, double* score) noexcept nogil:
    cdef uint8_t n
    if d.at == d.end:
        return NEEDS_MORE
    n = d.at[0]
    if n == 253:
        return faulty(d, b"a score that is no number")
    if n >= 254:
        score[0] = 1e308 * 10
        if n == 255:
            score[0] = -score[0]
        d.at += 1
        return DECODED
    if <size_t>(d.end - d.at) < <size_t>n + 1:
        return NEEDS_MORE
    if not parse_double(<const char*>d.at + 1, n, score) or isnan(score[0]):
        return faulty(d, b"a score that is no number")
    d.at += n + 1
    return DECODED


cdef void add_member(Decoder* d, const char* p, size_t n, double score) noexcept nogil:
    if d.member_count == d.member_cap:
        d.member_cap = d.member_cap * 2 if d.member_cap else MEMBERS_FROM
        d.members = <Member**>realloc(d.members, d.member_cap * sizeof(Member*))
        if d.members == NULL:
            abort()
    d.members[d.member_count] = new_member(d.heap, p, n, score)
    d.member_count += 1


cdef int finish_sorted_set(Decoder* d) noexcept nogil:
    cdef SortedSet* z
    cdef Member* m
    cdef uint8_t* lp
    cdef uint64_t hashed
    cdef size_t i
    order_members(d)
    if members_fit_listpack(d):
        lp = lp_new(d.heap, 64)
        for i in range(d.member_count):
            lp = lp_append(d.heap, lp, member_key(d.members[i]), d.members[i].klen)
            lp = append_score(d.heap, lp, d.members[i].score)
            heap_free(d.heap, d.members[i])
        d.member_count = 0
        d.kind = ZSET_PACK
        d.value = lp
        return faulty(d, b"a sorted set holds a member twice") if has_twins(lp, True, d.seed) else DECODED
    z = new_sorted_set(d.heap, d.seed)
    table_expand(d.heap, &z.table, d.member_count)
    d.kind = ZSET_TREE
    d.value = z
    for i in range(d.member_count):
        m = d.members[i]
        hashed = table_hash(&z.table, member_key(m), m.klen)
        if table_find(&z.table, member_key(m), m.klen, hashed) != NULL:
            d.member_count -= i         # the rest is still ours alone
            for hashed in range(d.member_count):
                d.members[hashed] = d.members[i + hashed]
            return faulty(d, b"a sorted set holds a member twice")
        table_add(d.heap, &z.table, m, hashed)
        ordered_append(d.heap, z.order, m)
    d.member_count = 0
    return DECODED


cdef void order_members(Decoder* d) noexcept nogil:
    """Bring the members into rising order; mostly they come in falling or rising order."""
    cdef size_t i, n = d.member_count
    cdef Member* swap
    cdef bint rising = True
    if n > 1 and compare_members(&d.members[0], &d.members[n - 1]) > 0:
        for i in range(n // 2):
            swap = d.members[i]
            d.members[i] = d.members[n - 1 - i]
            d.members[n - 1 - i] = swap
    for i in range(1, n):
        if compare_members(&d.members[i - 1], &d.members[i]) > 0:
            rising = False
            break
    if not rising:
        qsort(d.members, n, sizeof(Member*), compare_members)


cdef int compare_members(const void* a, const void* b) noexcept nogil:
    cdef Member* m = (<Member**>a)[0]
    cdef Member* o = (<Member**>b)[0]
    return ordered_compare(m.score, member_key(m), m.klen, o.score, member_key(o), o.klen)


cdef bint members_fit_listpack(Decoder* d) noexcept nogil:
    cdef size_t i, bytes = 0
    if <int64_t>d.member_count > d.zset_entries:
        return False
    for i in range(d.member_count):
        bytes += d.members[i].klen + 64
        if <int64_t>d.members[i].klen > d.zset_value or bytes > LP_BYTES_MAX:
            return False
    return True


cdef uint8_t* append_score(Heap* h, uint8_t* lp, double score) noexcept nogil:
    cdef char text[40]
    if -DOUBLE_INT_MOST < score < DOUBLE_INT_MOST and <double><int64_t>score == score:
        return lp_append_int(h, lp, <int64_t>score)
    return lp_append(h, lp, text, format_double(text, score))
