"""Lists of an RDB: as one listpack, node by node, or element by element.

All are gathered in a quicklist; one that fits a listpack becomes that in the end.
"""

from libc.stdint cimport uint8_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport heap_free
from holdfast.engine.listpack cimport LP_BYTES_MAX, lp_count, lp_valid
from holdfast.engine.quicklist cimport (
    QuickNode, Quicklist, ql_append_listpack, ql_append_plain, ql_free, ql_new, ql_push_tail)
from holdfast.engine.rdb_format cimport (
    QUICKLIST_PACKED, QUICKLIST_PLAIN, RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2)
from holdfast.engine.rdb_legacy cimport ziplist_to_listpack
from holdfast.engine.rdb_proof cimport LOOSE, UNSURE, prove_at_a_glance
from holdfast.engine.rdb_window cimport (
    faulty, read_length, read_string, read_blob, Decoder, DECODED, NEEDS_MORE)
from holdfast.engine.record cimport LIST_PACK, LIST_QUICK


cdef int take_list_listpack(Decoder* d, uint8_t* lp) noexcept nogil:
    begin_list(d)
    ql_append_listpack(d.heap, <Quicklist*>d.value, lp)
    return finish_list(d)


cdef void begin_list(Decoder* d) noexcept nogil:
    d.kind = LIST_QUICK
    d.value = ql_new(d.heap, d.list_fill, d.list_compress)


cdef int read_list_element(Decoder* d) noexcept nogil:
    cdef char digits[24]
    cdef Slice text
    cdef int rc = read_string(d, &text, digits, 0)
    if rc == DECODED:
        if text.len > LP_BYTES_MAX:
            return faulty(d, b"a list element that is too large")
        ql_push_tail(d.heap, <Quicklist*>d.value, text.ptr, text.len)
    return rc


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


cdef bint list_fits_listpack(Decoder* d, size_t size, size_t count) noexcept nogil:
    cdef int step
    if d.list_fill >= 0:
        return count <= <size_t>(d.list_fill if d.list_fill else 1) and size <= 8192
    step = -d.list_fill - 1
    return size <= <size_t>4096 << (step if step < 5 else 4)
