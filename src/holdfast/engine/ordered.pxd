# The ordered tree: members ordered by (score, bytes), with rank in O(log n).
#
# A B+tree whose leaves hold pointers to members and whose inner nodes hold
# counts. The tree does not own the members; the sorted set's table does.

from libc.stdint cimport int64_t, uint8_t, uint32_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap

# A member: one allocation, the bytes follow the header. `klen` first, as the
# table wants it (key at MEMBER_KEY).
cdef struct Member:
    uint32_t klen
    uint32_t _unused
    double score

cdef enum:
    MEMBER_KEY = 16     # offset of the member's bytes

cdef struct Ordered        # opaque: see ordered.pyx

# A place in the tree, valid until the next edit.
cdef struct OrderedCursor:
    void* leaf
    int index

cdef inline char* member_key(Member* m) noexcept nogil:
    return <char*>m + MEMBER_KEY

cdef Ordered* ordered_new(Heap* h) noexcept nogil
cdef void ordered_free(Heap* h, Ordered* t) noexcept nogil
# The same in slices, for a tree that nothing uses any more: about `nodes` nodes. False: all is freed.
cdef bint ordered_drain(Heap* h, Ordered* t, int nodes) noexcept nogil
cdef size_t ordered_count(Ordered* t) noexcept nogil
cdef size_t ordered_bytes(Ordered* t) noexcept nogil
# Order of (score, bytes) pairs: <0, 0, >0.
cdef int ordered_compare(
    double score_a, const char* a, size_t a_len, double score_b, const char* b, size_t b_len
) noexcept nogil
cdef void ordered_insert(Heap* h, Ordered* t, Member* m) noexcept nogil
# The member must be in the tree under its present score.
cdef void ordered_remove(Heap* h, Ordered* t, Member* m) noexcept nogil
# Replace the pointer of a member whose allocation moved (same score and bytes).
cdef void ordered_moved(Ordered* t, Member* old, Member* fresh) noexcept nogil
cdef void ordered_rescore(Heap* h, Ordered* t, Member* m, double score) noexcept nogil
# Rank from 0 of a member that is in the tree.
cdef size_t ordered_rank(Ordered* t, Member* m) noexcept nogil
# Members before the first with score > bound (inclusive=False) or >= bound
# (inclusive=True: `bound` itself is in the range): ranks of a score range are
# [ordered_rank_from(min, min_inclusive), ordered_rank_to(max, max_inclusive)).
cdef size_t ordered_rank_from(Ordered* t, double bound, bint inclusive) noexcept nogil
cdef size_t ordered_rank_to(Ordered* t, double bound, bint inclusive) noexcept nogil
# The same by bytes, for sets whose scores are all equal (ZRANGEBYLEX).
cdef size_t ordered_lex_from(Ordered* t, const char* p, size_t n, bint inclusive) noexcept nogil
cdef size_t ordered_lex_to(Ordered* t, const char* p, size_t n, bint inclusive) noexcept nogil
# Cursor at a rank; NULL members past the ends.
cdef Member* ordered_seek(Ordered* t, size_t rank, OrderedCursor* c) noexcept nogil
cdef Member* ordered_next(OrderedCursor* c) noexcept nogil
cdef Member* ordered_prev(OrderedCursor* c) noexcept nogil
# Bulk: append in order while loading (each not less than the last).
cdef void ordered_append(Heap* h, Ordered* t, Member* m) noexcept nogil
# True when every rule of the tree holds (tests; walks all of it).
cdef bint ordered_check(Ordered* t) noexcept nogil
