# The quicklist: a list of listpacks, for lists too long for one.
#
# Nodes hold up to `fill` elements or bytes (list-max-listpack-size: positive
# counts elements, -1..-5 mean 4, 8, 16, 32, 64 KiB); an element larger than a
# node (or of Heap.plain_from bytes, where that is set) stands alone as a plain
# node. `compress` (list-compress-depth) nodes at each end stay raw and the rest
# are LZF-compressed.

from libc.stdint cimport int64_t, uint8_t, uint32_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap

cdef struct QuickNode:
    QuickNode* prev
    QuickNode* next
    uint8_t* entry      # a listpack, one plain element, or compressed bytes
    uint32_t size       # bytes of the listpack or of the plain element, uncompressed
    uint32_t packed     # bytes of `entry` when compressed, else 0
    uint32_t count      # elements
    bint plain

cdef struct Quicklist:
    QuickNode* head
    QuickNode* tail
    size_t count        # elements
    size_t nodes
    int fill
    int compress
    QuickNode* opened   # raw for a cursor though `compress` would pack it, or NULL

# A place in a quicklist. Any edit that does not take the cursor ends it; with
# compress > 0 so does seeking with another cursor.
cdef struct QuickCursor:
    Quicklist* list
    QuickNode* node     # NULL: past an end
    uint8_t* at         # element in node's listpack (NULL in a plain node)
    long offset         # index of the element in its node, from 0

cdef Quicklist* ql_new(Heap* h, int fill, int compress) noexcept nogil
cdef void ql_free(Heap* h, Quicklist* ql) noexcept nogil
# The same in slices, for a list that nothing uses any more: up to `nodes` nodes. False: all is freed.
cdef bint ql_drain(Heap* h, Quicklist* ql, int nodes) noexcept nogil
cdef Quicklist* ql_copy(Heap* h, Quicklist* ql) noexcept nogil
cdef void ql_push_head(Heap* h, Quicklist* ql, const char* p, size_t n) noexcept nogil
cdef void ql_push_tail(Heap* h, Quicklist* ql, const char* p, size_t n) noexcept nogil
# Append a whole listpack (taken over) or one plain element (copied), as loaders do.
cdef void ql_append_listpack(Heap* h, Quicklist* ql, uint8_t* lp) noexcept nogil
cdef void ql_append_plain(Heap* h, Quicklist* ql, const char* p, size_t n) noexcept nogil
# The element at an end as text (borrowed, or in scratch of 24 bytes); then drop it.
cdef bint ql_peek(Heap* h, Quicklist* ql, bint head, Slice* out, char* scratch) noexcept nogil
cdef void ql_drop(Heap* h, Quicklist* ql, bint head) noexcept nogil
# Cursors: False when there is no such element. Negative indexes count from the tail.
cdef bint ql_seek(Heap* h, Quicklist* ql, long index, QuickCursor* c) noexcept nogil
cdef bint ql_next(Heap* h, QuickCursor* c) noexcept nogil
cdef bint ql_prev(Heap* h, QuickCursor* c) noexcept nogil
cdef Slice ql_text(QuickCursor* c, char* scratch) noexcept nogil
cdef bint ql_equal(QuickCursor* c, const char* p, size_t n) noexcept nogil
cdef void ql_insert(Heap* h, QuickCursor* c, const char* p, size_t n, bint after) noexcept nogil
cdef void ql_replace(Heap* h, QuickCursor* c, const char* p, size_t n) noexcept nogil
# Delete the element under the cursor; the cursor moves to the next (or, with
# backwards, the previous) element. False when there is none.
cdef bint ql_delete(Heap* h, QuickCursor* c, bint backwards) noexcept nogil
cdef size_t ql_delete_range(Heap* h, Quicklist* ql, long start, size_t count) noexcept nogil
cdef size_t ql_bytes(Quicklist* ql) noexcept nogil
# True when every rule of the list holds (tests; walks all of it).
cdef bint ql_check(Heap* h, Quicklist* ql) noexcept nogil
