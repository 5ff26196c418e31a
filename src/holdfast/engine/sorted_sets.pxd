# Sorted sets as values: a listpack of member, score, member, score ... or a tree.
#
# A ZsetValue is what a record of type sorted set holds; every function that may
# change its form takes it by pointer, and the caller puts it back
# (record_set_value). Every range comes down to ranks [first, end) from the
# lowest score up.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap
from holdfast.engine.ordered cimport OrderedCursor
from holdfast.engine.record cimport Record, kind_of
from holdfast.engine.table cimport HashKey

cdef struct ZsetValue:
    int kind                # ZSET_PACK or ZSET_TREE
    void* ptr

cdef struct ZsetRules:      # where sorted sets live, and when they become trees (the configuration)
    Heap* heap
    HashKey* seed
    int64_t listpack_entries
    int64_t listpack_value  # bytes of a member

cdef struct ZsetMember:
    Slice text
    double score

cdef struct ZsetCursor:     # a walk; the sorted set must not change
    ZsetValue value
    bint reverse
    bint with_scores        # False: scores are not read
    uint8_t* at
    OrderedCursor tree
    void* member
    char digits[24]         # text of the present member, if it is a number in a listpack

cdef enum ZaddFlag:
    ZADD_INCR = 1 << 0
    ZADD_NX = 1 << 1
    ZADD_XX = 1 << 2
    ZADD_GT = 1 << 3
    ZADD_LT = 1 << 4

cdef enum ZaddOutcome:
    ZADD_SKIPPED            # a flag forbade it
    ZADD_SAME               # it had that score already
    ZADD_ADDED
    ZADD_UPDATED
    ZADD_NAN                # inf and -inf were added up: nothing done

cdef struct ScoreRange:
    double low, high
    bint low_open, high_open    # the bound itself is not in the range

cdef struct LexBound:
    int infinite            # -1 "-", +1 "+", 0: `text` counts
    Slice text
    bint open               # the bound itself is not in the range

cdef struct LexRange:
    LexBound low, high

cdef inline ZsetValue zset_of(Record* r) noexcept nogil:
    cdef ZsetValue v
    v.kind = kind_of(r)
    v.ptr = r.value.ptr
    return v

# An empty sorted set that suits this many members, the longest of this many bytes.
cdef ZsetValue zset_new(ZsetRules* rules, size_t entries, size_t longest) noexcept nogil
# Take the tree form at once if this is about to be added.
cdef void zset_prepare(ZsetRules* rules, ZsetValue* v, size_t entries, size_t longest) noexcept nogil
cdef void zset_to_tree(ZsetRules* rules, ZsetValue* v, size_t entries) noexcept nogil
cdef size_t zset_count(ZsetValue* v) noexcept nogil
cdef bint zset_score(ZsetValue* v, const char* p, size_t n, double* score) noexcept nogil
# Rank from 0 of the lowest, or -1; `score` may be NULL.
cdef int64_t zset_rank(ZsetValue* v, const char* p, size_t n, double* score) noexcept nogil
# *score becomes the score that the member has now (not when it was skipped).
cdef int zset_add(
    ZsetRules* rules, ZsetValue* v, const char* p, size_t n, int flags, double* score) noexcept nogil
# A member that is not there and not less than the last one (loading, results).
cdef void zset_append(ZsetRules* rules, ZsetValue* v, const char* p, size_t n, double score) noexcept nogil
cdef bint zset_remove(ZsetRules* rules, ZsetValue* v, const char* p, size_t n) noexcept nogil
# Remove ranks [first, end); 0 <= first <= end <= count.
cdef void zset_remove_ranks(ZsetRules* rules, ZsetValue* v, size_t first, size_t end) noexcept nogil
cdef void zset_score_ranks(ZsetValue* v, ScoreRange* range, size_t* first, size_t* end) noexcept nogil
cdef void zset_lex_ranks(ZsetValue* v, LexRange* range, size_t* first, size_t* end) noexcept nogil
# Walk from a rank on, upwards or (reverse) downwards.
cdef void zset_walk(ZsetValue* v, size_t rank, bint reverse, bint with_scores, ZsetCursor* c) noexcept nogil
cdef bint zset_next(ZsetCursor* c, ZsetMember* m) noexcept nogil
# The lowest or highest member of a sorted set that is not empty; `digits` has room for 24 bytes.
cdef void zset_end(ZsetValue* v, bint highest, ZsetMember* m, char* digits) noexcept nogil
# A random member of a sorted set that is not empty.
cdef void zset_random(ZsetValue* v, uint64_t* rng, ZsetMember* m, char* digits) noexcept nogil
