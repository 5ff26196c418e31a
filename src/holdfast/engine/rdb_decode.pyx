"""Values in the form of RDB files and DUMP payloads, read into their final shape.

What it is: the reading half of the format's inner part: every encoding that
Redis ever wrote for strings, lists, sets, sorted sets and hashes. Listpacks and
intsets are taken as they lie once they proved sound; a value larger than our
thresholds allow for its form is turned into the next. What it is not: files
(`holdfast.persistence.rdb_read`) or layouts that Redis no longer writes
(`rdb_legacy` turns those into listpacks).

Nothing is believed: lengths against what is there, back-lengths, the order of
intsets, scores, and that no member comes twice.

How to read it: `decode` takes strings from `rdb_window`; a value that comes as one
blob goes to `take_compact`, one that comes by elements to `begin_counted`,
`read_element`, `finish_counted`. Each asks the family: `rdb_decode_lists`,
`rdb_decode_sets`, `rdb_decode_sorted_sets`, `rdb_decode_hashes`.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset
from holdfast.engine.buf cimport Slice, buf_free
from holdfast.engine.heap cimport heap_free
from holdfast.engine.keyspace cimport Database, Keyspace, ks_set_number, ks_set_string, ks_set_value
from holdfast.engine.listpack cimport lp_count, lp_valid
from holdfast.engine.rdb_decode_hashes cimport begin_hash, read_hash_field, finish_hash, take_hash_listpack
from holdfast.engine.rdb_decode_lists cimport (
    begin_list, read_list_element, read_list_node, finish_list, take_list_listpack)
from holdfast.engine.rdb_decode_sets cimport (
    begin_set, read_set_member, finish_set, take_intset, take_set_listpack)
from holdfast.engine.rdb_decode_sorted_sets cimport (
    read_sorted_member, finish_sorted_set, take_sorted_listpack)
from holdfast.engine.rdb_format cimport (
    RDB_HASH, RDB_HASH_LISTPACK, RDB_HASH_LISTPACK_EX, RDB_HASH_ZIPLIST, RDB_HASH_ZIPMAP, RDB_LIST,
    RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2, RDB_LIST_ZIPLIST, RDB_MODULE_2, RDB_MODULE_PRE_GA, RDB_SET,
    RDB_SET_INTSET, RDB_SET_LISTPACK, RDB_STREAM, RDB_STREAM_2, RDB_STREAM_3, RDB_STRING, RDB_ZSET,
    RDB_ZSET_2, RDB_ZSET_LISTPACK, RDB_ZSET_ZIPLIST)
from holdfast.engine.rdb_legacy cimport ziplist_to_listpack, zipmap_to_listpack
from holdfast.engine.rdb_proof cimport MEMBERS, PAIRS, SCORED, SOUND, prove_at_a_glance
from holdfast.engine.rdb_window cimport (
    faulty, read_length, read_blob, Decoder, DECODED, FAULTY, decode_string)
from holdfast.engine.record cimport (
    HASH_PACK, LIST_PACK, SET_PACK, STR_INLINE, STR_INT, ZSET_PACK, Record, free_value)
from holdfast.engine.state cimport Engine

cdef enum:
    EXPAND_MOST = 1 << 16       # room that a count is trusted with before its elements are seen


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


cdef int decode_value(Decoder* d, int type) noexcept nogil:
    cdef int rc = decode(d, type)
    if rc == FAULTY:
        drop_decoded(d)
    return rc


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


# ---- values that come as one blob ----

cdef int take_compact(Decoder* d, uint8_t* block, size_t n) noexcept nogil:
    """A value that came as one blob: prove it sound, choose its form. d.value owns what is left of it."""
    cdef int type = d.type
    d.kind = LIST_PACK          # any kind that is freed as one block
    d.value = block
    if type == RDB_SET_INTSET:
        return take_intset(d, block, n)
    if (type == RDB_HASH_ZIPMAP or type == RDB_LIST_ZIPLIST or type == RDB_ZSET_ZIPLIST
            or type == RDB_HASH_ZIPLIST):
        if type == RDB_HASH_ZIPMAP:
            d.value = zipmap_to_listpack(d.heap, block, n)
        else:
            d.value = ziplist_to_listpack(d.heap, block, n)
        heap_free(d.heap, block)
        if d.value == NULL:
            return faulty(d, b"a damaged ziplist or zipmap")
    elif proved_at_a_glance(d, block, n):
        return DECODED
    elif not lp_valid(block, n):
        return faulty(d, b"a damaged listpack")
    return take_listpack(d, <uint8_t*>d.value)


cdef int take_listpack(Decoder* d, uint8_t* lp) noexcept nogil:
    """A listpack whose layout is sound, of any type; d.value owns it."""
    cdef int type = d.type
    if lp_count(lp) == 0:
        d.empty = True
        return faulty(d, b"an empty value")
    if type == RDB_ZSET_LISTPACK or type == RDB_ZSET_ZIPLIST:
        return take_sorted_listpack(d, lp)
    if type == RDB_SET_LISTPACK:
        return take_set_listpack(d, lp)
    if type == RDB_LIST_ZIPLIST:
        return take_list_listpack(d, lp)
    return take_hash_listpack(d, lp)


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


# ---- values that come element by element ----

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
        begin_list(d)
    elif type == RDB_SET:
        begin_set(d, room)
    elif type == RDB_HASH:
        begin_hash(d, room)
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
    cdef int type = d.type
    if type == RDB_ZSET or type == RDB_ZSET_2:
        return finish_sorted_set(d)
    if type == RDB_SET:
        return finish_set(d)
    if type == RDB_HASH:
        return finish_hash(d)
    return finish_list(d)


# ---- what becomes of it ----

cdef Record* store_decoded(Decoder* d, Keyspace* ks, Database* db, Slice key, int64_t at_ms) noexcept:
    cdef void* value = d.value
    if d.kind == STR_INT:
        return ks_set_number(ks, db, key, d.number, at_ms, False)
    if d.kind == STR_INLINE:
        return ks_set_string(ks, db, key, d.text.ptr, d.text.len, at_ms, False)
    d.value = NULL
    return ks_set_value(ks, db, key, d.kind, value, at_ms, False)
