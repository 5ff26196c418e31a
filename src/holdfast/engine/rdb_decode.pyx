"""Values in the form of RDB files and DUMP payloads, read into their final shape.

What it is: the reading half of the format's inner part: every encoding that
Redis ever wrote for strings, lists, sets, sorted sets and hashes. Listpacks and
intsets are taken as they lie once they proved sound; a value larger than our
thresholds allow for its form is turned into the next. What it is not: files
(`holdfast.persistence.rdb_read`) or layouts that Redis no longer writes
(`rdb_legacy` turns those into listpacks).

Nothing is believed: lengths against what is there, back-lengths, the order of
intsets, scores, and that no member comes twice.

How to read it: lengths and strings, then `begin_value` and `read_element` by
type, then `finish_value`, which chooses the form.
"""

from libc.math cimport isnan
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, qsort, realloc
from libc.string cimport memcpy, memset
from holdfast.engine.buf cimport Slice, buf_free, buf_reserve
from holdfast.engine.heap cimport Heap, heap_alloc, heap_free
from holdfast.engine.intset cimport intset_add, intset_at, intset_count, intset_new, intset_valid
from holdfast.engine.keyspace cimport (
    HASH_KEY, HASH_PACK, HASH_TABLE, LIST_PACK, LIST_QUICK, SET_INT, SET_KEY, SET_PACK, SET_TABLE,
    STR_INLINE, STR_INT,
    ZSET_PACK, ZSET_TREE, Database, Keyspace, Record, SortedSet, free_value,
    ks_set_number,
    ks_set_string, ks_set_value, new_hash_entry, new_member, new_set_entry, new_sorted_set, new_table)
from holdfast.engine.listpack cimport (
    LP_BYTES_MAX, LpValue, lp_append, lp_append_int, lp_count, lp_entry_bytes, lp_first, lp_fits,
    lp_free,
    lp_get, lp_new, lp_next, lp_text, lp_valid)
from holdfast.engine.lzf cimport lzf_decompress
from holdfast.engine.numbers cimport format_double, format_int64, parse_double, parse_int64
from holdfast.engine.ordered cimport Member, member_key, ordered_append, ordered_compare
from holdfast.engine.quicklist cimport (
    QuickNode, Quicklist, ql_append_listpack, ql_append_plain, ql_free, ql_new, ql_push_tail)
from holdfast.engine.rdb_format cimport (
    QUICKLIST_PACKED, QUICKLIST_PLAIN, RDB_HASH, RDB_HASH_LISTPACK, RDB_HASH_LISTPACK_EX,
    RDB_HASH_ZIPLIST, RDB_HASH_ZIPMAP, RDB_LIST, RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2, RDB_LIST_ZIPLIST,
    RDB_MODULE_2, RDB_MODULE_PRE_GA, RDB_SET, RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_STREAM, RDB_STREAM_2,
    RDB_STREAM_3,
    RDB_STRING, RDB_ZSET, RDB_ZSET_2, RDB_ZSET_LISTPACK, RDB_ZSET_ZIPLIST, STRING_INT8, STRING_INT16,
    STRING_INT32,
    STRING_LZF)
from holdfast.engine.rdb_legacy cimport ziplist_to_listpack, zipmap_to_listpack
from holdfast.engine.rdb_proof cimport (
    LOOSE, MEMBERS, PAIRS, SCORED, SOUND, UNSURE, has_twins, prove_at_a_glance)
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport (
    Table, table_add, table_expand, table_find, table_hash)

cdef enum:
    LZF_GAIN_MOST = 88          # three bytes of LZF give 264 at most
    EXPAND_MOST = 1 << 16       # room that a count is trusted with before its elements are seen
    ELEMENT_BYTES_MOST = 0x7FFFFFFF     # of a member of a table
    MEMBERS_FROM = 16

cdef double DOUBLE_INT_MOST = 4503599627370496.0    # 2**52: integers below are exact


cdef void decoder_init(Decoder* d, Engine e) noexcept:
    memset(d, 0, sizeof(Decoder))
    d.heap = &e.ks.heap
    d.seed = &e.ks.seed
    d.hash_entries = e.hash_max_listpack_entries
    d.hash_value = e.hash_max_listpack_value
    d.set_ints = e.set_max_intset_entries
    d.set_entries = e.set_max_listpack_entries
    d.set_value = e.set_max_listpack_value
    d.zset_entries = e.zset_max_listpack_entries
    d.zset_value = e.zset_max_listpack_value
    d.list_fill = <int>e.list_max_listpack_size
    d.list_compress = <int>e.list_compress_depth


cdef void drop_decoded(Decoder* d) noexcept nogil:
    cdef size_t i
    for i in range(d.member_count):
        heap_free(d.heap, d.members[i])
    d.member_count = 0
    if d.value != NULL:
        free_value(d.heap, d.kind, d.value)
        d.value = NULL
    d.begun = False


cdef void decoder_clear(Decoder* d) noexcept nogil:
    drop_decoded(d)
    free(d.members)
    d.members = NULL
    d.member_cap = 0
    buf_free(&d.scratch[0])
    buf_free(&d.scratch[1])


cdef inline int faulty(Decoder* d, const char* why) noexcept nogil:
    d.fault = why
    return FAULTY


# ---- lengths and strings ----

cdef int read_length(Decoder* d, uint64_t* out, int* special) noexcept nogil:
    cdef const uint8_t* p = d.at
    cdef size_t have = d.end - p
    cdef uint64_t n = 0
    cdef int i, width
    cdef uint8_t head
    if special != NULL:
        special[0] = -1
    if have == 0:
        return NEEDS_MORE
    head = p[0]
    if head < 0x40:
        out[0] = head
        d.at += 1
        return DECODED
    if head < 0x80:
        if have < 2:
            return NEEDS_MORE
        out[0] = (<uint64_t>(head & 0x3F) << 8) | p[1]
        d.at += 2
        return DECODED
    if head >= 0xC0:
        if special == NULL:
            return faulty(d, b"a length was expected, not a special form")
        special[0] = head & 0x3F
        d.at += 1
        return DECODED
    if head > 0x81:
        return faulty(d, b"unknown length encoding")
    width = 4 if head == 0x80 else 8
    if have < <size_t>width + 1:
        return NEEDS_MORE
    for i in range(width):
        n = n << 8 | p[1 + i]
    out[0] = n
    d.at += width + 1
    return DECODED


cdef int read_fixed64(Decoder* d, uint64_t* out) noexcept nogil:
    cdef int i
    cdef uint64_t n = 0
    if d.end - d.at < 8:
        return NEEDS_MORE
    for i in range(8):
        n |= <uint64_t>d.at[i] << (8 * i)
    out[0] = n
    d.at += 8
    return DECODED


cdef int read_integer(Decoder* d, int form, int64_t* out) noexcept nogil:
    """The rest of a string that is an integer."""
    cdef size_t have = d.end - d.at
    cdef const uint8_t* p = d.at
    cdef size_t width = 1 if form == STRING_INT8 else 2 if form == STRING_INT16 else 4
    if have < width:
        return NEEDS_MORE
    if width == 1:
        out[0] = <int8_t>p[0]
    elif width == 2:
        out[0] = <int16_t>(p[0] | <uint32_t>p[1] << 8)
    else:
        out[0] = <int32_t>(p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24)
    d.at += width
    return DECODED


cdef int read_lzf_sizes(Decoder* d, uint64_t* packed, uint64_t* raw) noexcept nogil:
    """The two lengths of a compressed string, whose bytes are all in the window."""
    cdef int rc = read_length(d, packed, NULL)
    if rc == DECODED:
        rc = read_length(d, raw, NULL)
    if rc != DECODED:
        return rc
    if packed[0] == 0 or raw[0] == 0 or raw[0] // LZF_GAIN_MOST > packed[0]:
        return faulty(d, b"a compressed string with impossible lengths")
    return DECODED if <uint64_t>(d.end - d.at) >= packed[0] else NEEDS_MORE


cdef int read_string(Decoder* d, Slice* out, char* digits, int which) noexcept nogil:
    cdef const uint8_t* mark = d.at
    cdef uint64_t n = 0, raw = 0
    cdef int64_t number = 0
    cdef int special = -1
    cdef int rc = read_length(d, &n, &special)
    if rc != DECODED:
        return rc
    if special < 0:
        if <uint64_t>(d.end - d.at) < n:
            d.at = mark
            return NEEDS_MORE
        out.ptr = <const char*>d.at
        out.len = n
        d.at += n
        return DECODED
    if special == STRING_LZF:
        rc = read_lzf_sizes(d, &n, &raw)
        if rc == DECODED:
            d.scratch[which].len = 0
            buf_reserve(&d.scratch[which], raw)
            if lzf_decompress(d.at, n, d.scratch[which].ptr, raw) != raw:
                return faulty(d, b"a compressed string that does not decompress")
            out.ptr = d.scratch[which].ptr
            out.len = raw
            d.at += n
            return DECODED
    elif special <= STRING_INT32:
        rc = read_integer(d, special, &number)
        if rc == DECODED:
            out.ptr = digits
            out.len = format_int64(digits, number)
            return DECODED
    else:
        rc = faulty(d, b"unknown string encoding")
    if rc == NEEDS_MORE:
        d.at = mark
    return rc


cdef int read_blob(Decoder* d, uint8_t** out, size_t* out_bytes) noexcept nogil:
    """A string as a heap block of its own (a listpack or intset in the making)."""
    cdef const uint8_t* mark = d.at
    cdef uint64_t n = 0, raw = 0
    cdef int special = -1
    cdef int rc = read_length(d, &n, &special)
    cdef uint8_t* block
    if rc == DECODED and special == STRING_LZF:
        rc = read_lzf_sizes(d, &n, &raw)
        if rc == DECODED and raw > LP_BYTES_MAX:
            return faulty(d, b"a compact value that is too large")
        if rc == DECODED:
            block = <uint8_t*>heap_alloc(d.heap, raw)
            if lzf_decompress(d.at, n, block, raw) != raw:
                heap_free(d.heap, block)
                return faulty(d, b"a compressed string that does not decompress")
            out[0] = block
            out_bytes[0] = raw
            d.at += n
            return DECODED
    elif rc == DECODED and special >= 0:
        return faulty(d, b"a number where a compact value was expected")
    elif rc == DECODED:
        if n > LP_BYTES_MAX:
            return faulty(d, b"a compact value that is too large")
        if <uint64_t>(d.end - d.at) >= n:
            block = <uint8_t*>heap_alloc(d.heap, n if n else 1)
            memcpy(block, d.at, n)
            out[0] = block
            out_bytes[0] = n
            d.at += n
            return DECODED
        rc = NEEDS_MORE
    if rc == NEEDS_MORE:
        d.at = mark
    return rc


# ---- from compact to full forms ----

cdef bint add_to_set(Decoder* d, Table* t, const char* p, size_t n) noexcept nogil:
    cdef uint64_t hashed = table_hash(t, p, n)
    if table_find(t, p, n, hashed) != NULL:
        return False
    table_add(d.heap, t, new_set_entry(d.heap, p, n), hashed)
    return True


cdef Table* table_of_set(Decoder* d, int kind, uint8_t* compact) noexcept nogil:
    """A table with the members of a sound intset or listpack, which is freed; NULL: one comes twice."""
    cdef Table* t = new_table(d.heap, SET_KEY, d.seed)
    cdef char digits[24]
    cdef Slice text
    cdef uint8_t* at
    cdef uint32_t i
    if kind == SET_INT:
        table_expand(d.heap, t, intset_count(compact))
        for i in range(intset_count(compact)):
            add_to_set(d, t, digits, format_int64(digits, intset_at(compact, i)))
    else:
        table_expand(d.heap, t, lp_count(compact))
        at = lp_first(compact)
        while at != NULL:
            text = lp_text(at, digits)
            if not add_to_set(d, t, text.ptr, text.len):
                free_value(d.heap, SET_TABLE, t)
                t = NULL
                break
            at = lp_next(compact, at)
    heap_free(d.heap, compact)
    return t


cdef bint add_to_hash(Decoder* d, Table* t, Slice key, Slice value) noexcept nogil:
    cdef uint64_t hashed = table_hash(t, key.ptr, key.len)
    if table_find(t, key.ptr, key.len, hashed) != NULL:
        return False
    table_add(d.heap, t, new_hash_entry(d.heap, key.ptr, key.len, value.ptr, value.len), hashed)
    return True


cdef Table* table_of_hash(Decoder* d, uint8_t* lp) noexcept nogil:
    cdef Table* t = new_table(d.heap, HASH_KEY, d.seed)
    cdef char digits[24]
    cdef char more_digits[24]
    cdef uint8_t* at = lp_first(lp)
    cdef uint8_t* after
    table_expand(d.heap, t, lp_count(lp) // 2)
    while at != NULL:
        after = lp_next(lp, at)
        if not add_to_hash(d, t, lp_text(at, digits), lp_text(after, more_digits)):
            free_value(d.heap, HASH_TABLE, t)
            t = NULL
            break
        at = lp_next(lp, after)
    heap_free(d.heap, lp)
    return t


# ---- sorted sets ----

cdef void add_member(Decoder* d, const char* p, size_t n, double score) noexcept nogil:
    if d.member_count == d.member_cap:
        d.member_cap = d.member_cap * 2 if d.member_cap else MEMBERS_FROM
        d.members = <Member**>realloc(d.members, d.member_cap * sizeof(Member*))
        if d.members == NULL:
            abort()
    d.members[d.member_count] = new_member(d.heap, p, n, score)
    d.member_count += 1


cdef int compare_members(const void* a, const void* b) noexcept nogil:
    cdef Member* m = (<Member**>a)[0]
    cdef Member* o = (<Member**>b)[0]
    return ordered_compare(m.score, member_key(m), m.klen, o.score, member_key(o), o.klen)


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


cdef uint8_t* append_score(Heap* h, uint8_t* lp, double score) noexcept nogil:
    cdef char text[40]
    if -DOUBLE_INT_MOST < score < DOUBLE_INT_MOST and <double><int64_t>score == score:
        return lp_append_int(h, lp, <int64_t>score)
    return lp_append(h, lp, text, format_double(text, score))


cdef bint members_fit_listpack(Decoder* d) noexcept nogil:
    cdef size_t i, bytes = 0
    if <int64_t>d.member_count > d.zset_entries:
        return False
    for i in range(d.member_count):
        bytes += d.members[i].klen + 64
        if <int64_t>d.members[i].klen > d.zset_value or bytes > LP_BYTES_MAX:
            return False
    return True


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


cdef inline bint element_score(uint8_t* at, double* out) noexcept nogil:
    cdef LpValue v
    lp_get(at, &v)
    if v.text.ptr == NULL:
        out[0] = <double>v.number
        return True
    return parse_double(v.text.ptr, v.text.len, out) and not isnan(out[0])


cdef int take_sorted_listpack(Decoder* d, uint8_t* lp) noexcept nogil:
    """A listpack of members and scores whose layout is sound; d.value owns it."""
    cdef uint8_t* at = lp_first(lp)
    cdef uint8_t* score_at
    cdef char digits[24]
    cdef char last_digits[24]
    cdef Slice text, last
    cdef double score = 0, last_score = 0
    cdef bint rising = True
    cdef uint8_t* last_at = NULL
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


# ---- lists ----

cdef bint list_fits_listpack(Decoder* d, size_t size, size_t count) noexcept nogil:
    cdef int step
    if d.list_fill >= 0:
        return count <= <size_t>(d.list_fill if d.list_fill else 1) and size <= 8192
    step = -d.list_fill - 1
    return size <= <size_t>4096 << (step if step < 5 else 4)


cdef int finish_list(Decoder* d) noexcept nogil:
    cdef Quicklist* ql = <Quicklist*>d.value
    cdef QuickNode* node = ql.head
    if ql.count == 0:
        d.empty = True
        return faulty(d, b"an empty list")
    if ql.nodes == 1 and not node.plain and not node.packed and list_fits_listpack(d, node.size, node.count):
        d.kind = LIST_PACK
        d.value = node.entry
        node.entry = NULL
        ql_free(d.heap, ql)
    return DECODED


cdef int read_list_node(Decoder* d) noexcept nogil:
    """A node of a quicklist: a ziplist, a listpack or a plain element."""
    cdef const uint8_t* mark = d.at
    cdef uint64_t container = QUICKLIST_PACKED
    cdef uint8_t* block = NULL
    cdef uint8_t* lp
    cdef size_t n = 0
    cdef int rc = DECODED
    cdef Quicklist* ql = <Quicklist*>d.value
    if d.type == RDB_LIST_QUICKLIST_2:
        rc = read_length(d, &container, NULL)
    if rc == DECODED:
        rc = read_blob(d, &block, &n)
    if rc == NEEDS_MORE:
        d.at = mark
    if rc != DECODED:
        return rc
    if container == QUICKLIST_PLAIN and d.type == RDB_LIST_QUICKLIST_2:
        ql_append_plain(d.heap, ql, <char*>block, n)
        heap_free(d.heap, block)
        return DECODED
    if container != QUICKLIST_PACKED:
        heap_free(d.heap, block)
        return faulty(d, b"unknown container of a list's node")
    if d.type == RDB_LIST_QUICKLIST:
        lp = ziplist_to_listpack(d.heap, block, n)
        heap_free(d.heap, block)
        if lp == NULL:
            return faulty(d, b"a damaged ziplist")
        block = lp
    elif prove_at_a_glance(block, n, LOOSE) == UNSURE and not lp_valid(block, n):
        heap_free(d.heap, block)
        return faulty(d, b"a damaged listpack")
    if lp_count(block) == 0:
        heap_free(d.heap, block)
        return DECODED
    ql_append_listpack(d.heap, ql, block)
    return DECODED


# ---- elements ----

cdef int read_list_element(Decoder* d) noexcept nogil:
    cdef char digits[24]
    cdef Slice text
    cdef int rc = read_string(d, &text, digits, 0)
    if rc == DECODED:
        if text.len > LP_BYTES_MAX:
            return faulty(d, b"a list element that is too large")
        ql_push_tail(d.heap, <Quicklist*>d.value, text.ptr, text.len)
    return rc


cdef int widen_set(Decoder* d, size_t bytes) noexcept nogil:
    """The set's next form, able to hold any string of this length."""
    cdef uint8_t* compact = <uint8_t*>d.value
    cdef uint8_t* lp
    cdef Table* t
    cdef uint32_t i
    if d.kind == SET_INT and <int64_t>d.total <= d.set_entries and <int64_t>bytes <= d.set_value:
        lp = lp_new(d.heap, 64)
        for i in range(intset_count(compact)):
            lp = lp_append_int(d.heap, lp, intset_at(compact, i))
        heap_free(d.heap, compact)
        d.kind = SET_PACK
        d.value = lp
        return DECODED
    t = table_of_set(d, d.kind, compact)
    d.kind = SET_TABLE
    d.value = t
    if t == NULL:
        return faulty(d, b"a set holds a member twice")
    return DECODED


cdef int read_set_member(Decoder* d) noexcept nogil:
    cdef char digits[24]
    cdef Slice text
    cdef int64_t number = 0
    cdef bint fresh = True
    cdef int rc = read_string(d, &text, digits, 0)
    if rc != DECODED:
        return rc
    if text.len > ELEMENT_BYTES_MOST:
        return faulty(d, b"a set member that is too large")
    if d.kind == SET_INT:
        if text.len <= 20 and parse_int64(text.ptr, text.len, &number):
            d.value = intset_add(d.heap, <uint8_t*>d.value, number, &fresh)
            return DECODED if fresh else faulty(d, b"a set holds a member twice")
        rc = widen_set(d, text.len)
    if rc == DECODED and d.kind == SET_PACK:
        if (<int64_t>text.len <= d.set_value
                and lp_fits(<uint8_t*>d.value, lp_entry_bytes(text.ptr, text.len))):
            d.value = lp_append(d.heap, <uint8_t*>d.value, text.ptr, text.len)
            return DECODED
        rc = widen_set(d, text.len)
    if rc == DECODED and not add_to_set(d, <Table*>d.value, text.ptr, text.len):
        return faulty(d, b"a set holds a member twice")
    return rc


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


cdef int read_hash_field(Decoder* d) noexcept nogil:
    cdef const uint8_t* mark = d.at
    cdef char digits[24]
    cdef char more_digits[24]
    cdef Slice key, value
    cdef uint8_t* lp
    cdef Table* t
    cdef int rc = read_string(d, &key, digits, 0)
    if rc == DECODED:
        rc = read_string(d, &value, more_digits, 1)
    if rc == NEEDS_MORE:
        d.at = mark
    if rc != DECODED:
        return rc
    if key.len > ELEMENT_BYTES_MOST or value.len > ELEMENT_BYTES_MOST:
        return faulty(d, b"a hash field that is too large")
    if d.kind == HASH_PACK:
        lp = <uint8_t*>d.value
        if <int64_t>key.len <= d.hash_value and <int64_t>value.len <= d.hash_value \
                and lp_fits(lp, key.len + value.len + 32):
            lp = lp_append(d.heap, lp, key.ptr, key.len)
            d.value = lp_append(d.heap, lp, value.ptr, value.len)
            return DECODED
        t = table_of_hash(d, lp)
        d.kind = HASH_TABLE
        d.value = t
        if t == NULL:
            return faulty(d, b"a hash holds a field twice")
    if not add_to_hash(d, <Table*>d.value, key, value):
        return faulty(d, b"a hash holds a field twice")
    return DECODED


# ---- values ----

cdef int decode_string(Decoder* d) noexcept nogil:
    cdef const uint8_t* mark = d.at
    cdef uint64_t n = 0
    cdef int special = -1
    cdef int rc = read_length(d, &n, &special)
    if rc == DECODED and 0 <= special <= STRING_INT32:
        rc = read_integer(d, special, &d.number)
        if rc == NEEDS_MORE:
            d.at = mark
        d.kind = STR_INT
        return rc
    if rc != DECODED:
        return rc
    d.at = mark
    rc = read_string(d, &d.text, NULL, 0)
    d.kind = STR_INLINE
    if rc == DECODED and d.text.len <= 20 and parse_int64(d.text.ptr, d.text.len, &d.number):
        d.kind = STR_INT
    return rc


cdef inline bint proved_at_a_glance(Decoder* d, uint8_t* block, size_t n) noexcept nogil:
    """Whether a listpack is sound and may stay as it is; its kind is set then."""
    cdef int64_t count = block[4] | <int64_t>block[5] << 8 if n > 6 else 0
    if count == 0:
        return False
    if d.type == RDB_HASH_LISTPACK:
        d.kind = HASH_PACK
        return count // 2 <= d.hash_entries and prove_at_a_glance(block, n, PAIRS) == SOUND
    if d.type == RDB_ZSET_LISTPACK:
        d.kind = ZSET_PACK
        return count // 2 <= d.zset_entries and prove_at_a_glance(block, n, SCORED) == SOUND
    d.kind = SET_PACK
    return count <= d.set_entries and prove_at_a_glance(block, n, MEMBERS) == SOUND


cdef int take_compact(Decoder* d, uint8_t* block, size_t n) noexcept nogil:
    """A value that came as one blob: prove it sound, choose its form. d.value owns what is left of it."""
    cdef int type = d.type
    cdef Table* t
    cdef uint8_t* lp
    d.kind = LIST_PACK          # any kind that is freed as one block
    d.value = block
    if type == RDB_SET_INTSET:
        if not intset_valid(block, n):
            d.empty = n == 8 and block[4] == 0 and block[5] == 0 and block[6] == 0 and block[7] == 0
            return faulty(d, b"a damaged intset")
        d.kind = SET_INT
        if <int64_t>intset_count(block) > d.set_ints:
            d.value = table_of_set(d, SET_INT, block)
            d.kind = SET_TABLE
        return DECODED
    if (type == RDB_HASH_ZIPMAP or type == RDB_LIST_ZIPLIST or type == RDB_ZSET_ZIPLIST
            or type == RDB_HASH_ZIPLIST):
        if type == RDB_HASH_ZIPMAP:
            lp = zipmap_to_listpack(d.heap, block, n)
        else:
            lp = ziplist_to_listpack(d.heap, block, n)
        d.value = lp
        heap_free(d.heap, block)
        if lp == NULL:
            return faulty(d, b"a damaged ziplist or zipmap")
        block = lp
    elif proved_at_a_glance(d, block, n):
        return DECODED
    elif not lp_valid(block, n):
        return faulty(d, b"a damaged listpack")
    if lp_count(block) == 0:
        d.empty = True
        return faulty(d, b"an empty value")
    if type == RDB_ZSET_LISTPACK or type == RDB_ZSET_ZIPLIST:
        d.kind = ZSET_PACK
        return take_sorted_listpack(d, block)
    if type == RDB_SET_LISTPACK:
        d.kind = SET_PACK
        if <int64_t>lp_count(block) > d.set_entries:
            t = table_of_set(d, SET_PACK, block)
            d.kind = SET_TABLE
            d.value = t
            return faulty(d, b"a set holds a member twice") if t == NULL else DECODED
        return faulty(d, b"a set holds a member twice") if has_twins(block, False, d.seed) else DECODED
    if type == RDB_LIST_ZIPLIST:
        d.value = ql_new(d.heap, d.list_fill, d.list_compress)
        d.kind = LIST_QUICK
        ql_append_listpack(d.heap, <Quicklist*>d.value, block)
        return finish_list(d)
    d.kind = HASH_PACK
    if lp_count(block) % 2:
        return faulty(d, b"a hash without a last value")
    if <int64_t>(lp_count(block) // 2) > d.hash_entries:
        t = table_of_hash(d, block)
        d.kind = HASH_TABLE
        d.value = t
        return faulty(d, b"a hash holds a field twice") if t == NULL else DECODED
    return faulty(d, b"a hash holds a field twice") if has_twins(block, True, d.seed) else DECODED


cdef int begin_counted(Decoder* d) noexcept nogil:
    """The count of a value that comes element by element, and what it is gathered in."""
    cdef int type = d.type
    cdef uint64_t room
    cdef int rc = read_length(d, &d.total, NULL)
    if rc != DECODED:
        return rc
    if d.total == 0:
        d.empty = True
        return faulty(d, b"an empty value")
    d.left = d.total
    room = d.total if d.total < EXPAND_MOST else EXPAND_MOST
    if type == RDB_LIST or type == RDB_LIST_QUICKLIST or type == RDB_LIST_QUICKLIST_2:
        d.kind = LIST_QUICK
        d.value = ql_new(d.heap, d.list_fill, d.list_compress)
    elif type == RDB_SET:
        if d.total <= <uint64_t>(d.set_ints if d.set_ints > d.set_entries else d.set_entries):
            d.kind = SET_INT
            d.value = intset_new(d.heap)
        else:
            d.kind = SET_TABLE
            d.value = new_table(d.heap, SET_KEY, d.seed)
            table_expand(d.heap, <Table*>d.value, room)
    elif type == RDB_HASH:
        if d.total <= <uint64_t>d.hash_entries:
            d.kind = HASH_PACK
            d.value = lp_new(d.heap, 64)
        else:
            d.kind = HASH_TABLE
            d.value = new_table(d.heap, HASH_KEY, d.seed)
            table_expand(d.heap, <Table*>d.value, room)
    return DECODED


cdef int read_element(Decoder* d) noexcept nogil:
    cdef int type = d.type
    if type == RDB_LIST:
        return read_list_element(d)
    if type == RDB_SET:
        return read_set_member(d)
    if type == RDB_HASH:
        return read_hash_field(d)
    if type == RDB_ZSET or type == RDB_ZSET_2:
        return read_sorted_member(d)
    return read_list_node(d)


cdef int finish_counted(Decoder* d) noexcept nogil:
    cdef int rc = DECODED
    if d.kind == LIST_QUICK and d.value != NULL and d.type != RDB_ZSET and d.type != RDB_ZSET_2:
        return finish_list(d)
    if d.type == RDB_ZSET or d.type == RDB_ZSET_2:
        return finish_sorted_set(d)
    if d.kind == SET_INT and <int64_t>intset_count(<uint8_t*>d.value) > d.set_ints:
        rc = widen_set(d, 20)
    if rc == DECODED and d.kind == SET_PACK and has_twins(<uint8_t*>d.value, False, d.seed):
        return faulty(d, b"a set holds a member twice")
    if d.kind == HASH_PACK and has_twins(<uint8_t*>d.value, True, d.seed):
        return faulty(d, b"a hash holds a field twice")
    return rc


cdef bint is_compact(int type) noexcept nogil:
    return (type == RDB_HASH_ZIPMAP or type == RDB_LIST_ZIPLIST or type == RDB_SET_INTSET
            or type == RDB_ZSET_ZIPLIST
            or type == RDB_HASH_ZIPLIST or type == RDB_HASH_LISTPACK or type == RDB_ZSET_LISTPACK
            or type == RDB_SET_LISTPACK)


cdef const char* foreign_type(int type) noexcept nogil:
    if type == RDB_STREAM or type == RDB_STREAM_2 or type == RDB_STREAM_3:
        return b"a stream"
    if type == RDB_MODULE_PRE_GA or type == RDB_MODULE_2:
        return b"a module's value"
    if 22 <= type <= RDB_HASH_LISTPACK_EX:
        return b"a hash whose fields expire"
    if type <= RDB_ZSET_2 or is_compact(type) or type == RDB_LIST_QUICKLIST or type == RDB_LIST_QUICKLIST_2:
        return NULL
    return b"of an unknown type"


cdef int decode(Decoder* d, int type) noexcept nogil:
    cdef uint8_t* block = NULL
    cdef size_t n = 0
    cdef int rc
    if type == RDB_STRING:
        return decode_string(d)
    if is_compact(type):
        d.type = type
        rc = read_blob(d, &block, &n)
        return take_compact(d, block, n) if rc == DECODED else rc
    if not d.begun:
        if foreign_type(type) != NULL:
            return faulty(d, foreign_type(type))
        d.type = type
        d.kind = 0
        rc = begin_counted(d)
        if rc != DECODED:
            return rc
        d.begun = True
    while d.left:
        rc = read_element(d)
        if rc != DECODED:
            return rc
        d.left -= 1
    d.begun = False
    return finish_counted(d)


cdef int decode_value(Decoder* d, int type) noexcept nogil:
    cdef int rc = decode(d, type)
    if rc == FAULTY:
        drop_decoded(d)
    return rc


cdef Record* store_decoded(Decoder* d, Keyspace* ks, Database* db, Slice key, int64_t at_ms) noexcept:
    cdef void* value = d.value
    if d.kind == STR_INT:
        return ks_set_number(ks, db, key, d.number, at_ms, False)
    if d.kind == STR_INLINE:
        return ks_set_string(ks, db, key, d.text.ptr, d.text.len, at_ms, False)
    d.value = NULL
    return ks_set_value(ks, db, key, d.kind, value, at_ms, False)
