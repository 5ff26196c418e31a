# Requests of a pipeline, cut ahead of their execution.

from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport PREFETCH_MAX
from holdfast.engine.state cimport Call

cdef enum:
    AHEAD_WORDS = 6 * PREFETCH_MAX

cdef struct Batch:
    Call calls[PREFETCH_MAX]
    Slice words[AHEAD_WORDS]    # the arguments of all calls
    Slice keys[PREFETCH_MAX]    # the second argument of each call that has one: a key, most likely
    int key_count

# Cut whole, small requests out of [p, end); how many. What is odd in any way is left to `parse_request`.
cdef int parse_ahead(const char* p, const char* end, Batch* batch) noexcept nogil
