"""Where replies end: the scanner of RESP2 and RESP3 that keeps no byte.

What it is: the little that a proxy has to know of a reply, its end. Bytes go on
as they came; the scanner counts the values that a reply still lacks. It may be
fed whole streams or single bytes. Requests are arrays of bulk strings, so the
same scanner finds the end of a request that is passed on while it arrives.
What it is not: a reader of values.

How to read it: `scan_reply` is one loop over three states: inside a body
(`bulk`), inside a header line (`mark`), between lines. A bulk string that is there
whole, as most are, is one step (`whole_bulk`). A nested aggregate needs
no stack: one that holds n values makes the reply lack n - 1 more.
"""

from libc.stdint cimport int64_t
from libc.string cimport memchr, memset


cdef inline bint is_line(char mark) noexcept nogil:
    """Types whose value ends with their line."""
    return (mark == c'+' or mark == c'-' or mark == c':' or mark == c',' or mark == c'#' or mark == c'('
            or mark == c'_')


cdef inline bint counts(char mark) noexcept nogil:
    """Types whose line is a number of bytes or values."""
    return (mark == c'$' or mark == c'*' or mark == c'%' or mark == c'~' or mark == c'>' or mark == c'|'
            or mark == c'=' or mark == c'!')


cdef inline void end_line(Scan* s) noexcept nogil:
    """A header line is read whole: what its value still lacks."""
    cdef char mark = s.mark
    s.mark = 0
    if is_line(mark):
        s.left -= 1
    elif mark == c'$' or mark == c'=' or mark == c'!':
        if s.negative:
            s.left -= 1
        else:
            s.bulk = s.number + 2
    elif mark == c'|':
        s.left += 2 * s.number
    elif s.negative:
        s.left -= 1
    else:
        s.left += (2 * s.number if mark == c'%' else s.number) - 1


cdef Py_ssize_t scan_reply(Scan* s, const char* p, size_t n) noexcept nogil:
    cdef size_t at = 0, whole
    cdef const char* newline
    cdef char c
    if n == 0:
        return 0
    if s.left == 0:
        s.left = 1
        s.is_push = p[0] == c'>'
    while at < n:
        if s.bulk:
            if <size_t>s.bulk > n - at:
                s.bulk -= n - at
                return n
            at += s.bulk
            s.bulk = 0
            s.left -= 1
        elif s.mark == 0:
            whole = whole_bulk(p + at, n - at)
            if whole:
                at += whole
                s.left -= 1
                if s.left == 0:
                    return at
                continue
            s.mark = p[at]
            at += 1
            s.number = 0
            s.negative = False
            if not (is_line(s.mark) or counts(s.mark)):
                return SCAN_BROKEN
            continue
        elif is_line(s.mark):
            newline = <const char*>memchr(p + at, c'\n', n - at)
            if newline == NULL:
                return n
            at = newline - p + 1
            end_line(s)
        else:
            c = p[at]
            at += 1
            if c'0' <= c <= c'9':
                s.number = s.number * 10 + (c - c'0')
                if s.number > (<int64_t>1 << 40):
                    return SCAN_BROKEN
                continue
            if c == c'-' and s.number == 0:
                s.negative = True
                continue
            if c == c'\r':
                continue
            if c != c'\n':
                return SCAN_BROKEN
            end_line(s)
        if s.left == 0:
            return at
    return n


def cut_replies(chunks):
    """Cut a stream that comes in chunks into replies."""
    cdef Scan s
    cdef bytes chunk
    cdef Py_ssize_t used
    cdef list replies = []
    cdef bytes open_reply = b""
    memset(&s, 0, sizeof(Scan))
    for chunk in chunks:
        while chunk:
            used = scan_reply(&s, chunk, len(chunk))
            if used < 0:
                raise ValueError(f"not a reply: {chunk[:80]!r}")
            open_reply += chunk[:used]
            chunk = chunk[used:]
            if s.left == 0:
                replies.append(open_reply)
                open_reply = b""
    return replies
