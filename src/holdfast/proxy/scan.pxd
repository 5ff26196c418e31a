# Where replies end: the scanner of RESP2 and RESP3 that keeps no byte.

from libc.stdint cimport int64_t

cdef struct Scan:
    int64_t left        # values that the reply under way still lacks; 0: between replies
    int64_t bulk        # bytes of a body (its CRLF included) that are still to come
    int64_t number      # of the header line being read
    char mark           # the type of that line; 0: none is being read
    bint negative
    bint is_push        # the reply under way is a push (RESP3), which answers nothing

cdef enum:
    SCAN_BROKEN = -1    # no reply: what came is no RESP

# The bytes of a bulk string that is there whole, from its mark to its end; 0: it is not, or something else.
cdef inline size_t whole_bulk(const char* p, size_t n) noexcept nogil:
    cdef size_t at = 1, size = 0
    if n == 0 or p[0] != c'$':
        return 0
    while at < n and c'0' <= p[at] <= c'9' and at < 11:
        size = size * 10 + (p[at] - c'0')
        at += 1
    size += at + 4
    return size if at > 1 and size <= n and p[at] == c'\r' and p[at + 1] == c'\n' else 0

# Go on with the reply under way, or begin one: how many of the `n` bytes belong to it (SCAN_BROKEN: none).
# `s.left` is 0 when it is complete.
cdef Py_ssize_t scan_reply(Scan* s, const char* p, size_t n) noexcept nogil
