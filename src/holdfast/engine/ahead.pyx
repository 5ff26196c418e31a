"""Requests of a pipeline, cut ahead of their execution.

What it is: a parser for the plain case, arrays of short bulk strings that are
there whole. Keys of a pipeline lie all over the memory, and each miss of the
cache costs as much as the rest of a GET; with several requests cut at once the
misses overlap. What it is not: the judge of requests. At anything odd (an error,
an inline command, a long argument, the end of what came) it stops, and
`request.parse_request` has the word.
"""

from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport PREFETCH_MAX
from holdfast.engine.state cimport Call


cdef inline const char* small_number(const char* p, const char* end, size_t* out) noexcept nogil:
    """Read a number of up to four digits and CRLF; NULL: something else."""
    cdef size_t value = 0
    cdef const char* q = p
    while q < end and c'0' <= q[0] <= c'9' and q - p < 4:
        value = value * 10 + (q[0] - c'0')
        q += 1
    if q == p or end - q < 2 or q[0] != c'\r' or (p[0] == c'0' and q - p > 1):
        return NULL
    out[0] = value
    return q + 2


cdef int parse_ahead(const char* p, const char* end, Batch* batch) noexcept nogil:
    cdef int count = 0, taken = 0
    cdef size_t words, size, i
    cdef const char* at = p
    cdef Call* c
    cdef Slice* argv
    batch.key_count = 0
    while count < PREFETCH_MAX and end - at >= 4 and at[0] == c'*':
        at = small_number(at + 1, end, &words)
        if at == NULL or words == 0 or words > <size_t>(AHEAD_WORDS - taken):
            break
        argv = &batch.words[taken]
        i = 0
        while i < words and end - at >= 4 and at[0] == c'$':
            at = small_number(at + 1, end, &size)
            if at == NULL or <size_t>(end - at) < size + 2:
                break
            argv[i].ptr = at
            argv[i].len = size
            at += size + 2
            i += 1
        if i < words:
            break
        c = &batch.calls[count]
        c.argv = argv
        c.argc = <int>words
        c.raw.ptr = p
        c.raw.len = at - p
        if words > 1:
            batch.keys[batch.key_count] = argv[1]
            batch.key_count += 1
        taken += <int>words
        count += 1
        p = at
    return count
