"""Inline requests: a line of words, as a person types it.

What it is: a line cut into arguments by shell-like quoting
(https://redis.io/docs/reference/protocol-spec/#inline-commands). What it is not: where
the line ends, or requests of programs (`request`). `server/config/words.py` does the
same for configuration files, before there is an engine.
"""

from libc.string cimport memchr, memcpy
from holdfast.engine.buf cimport buf_reserve
from holdfast.engine.state cimport Call, Engine, Session

SPACES = b" \t\r\n\v\f\0"
ENDS = b" \t\r\n\0"
ESCAPES = {ord("n"): b"\n", ord("r"): b"\r", ord("t"): b"\t", ord("b"): b"\b", ord("a"): b"\a"}
HEX = b"0123456789abcdefABCDEF"


cdef int split_inline(Session s, const char* p, size_t n, Call* c) except -2:
    cdef Engine e = s.engine
    if memchr(p, c'"', n) == NULL and memchr(p, c"'", n) == NULL:
        return split_plain(e, p, n, c)
    return split_quoted(s, p, n, c)


cdef inline bint is_space(char c) noexcept nogil:
    return c == c' ' or (c'\t' <= c <= c'\r') or c == 0


cdef inline bint ends_word(char c) noexcept nogil:
    return c == c' ' or c == c'\t' or c == c'\r' or c == c'\n' or c == 0


cdef int split_plain(Engine e, const char* p, size_t n, Call* c) noexcept:
    cdef size_t at = 0, start
    cdef int argc = 0
    while True:
        while at < n and is_space(p[at]):
            at += 1
        if at >= n:
            break
        start = at
        while at < n and not ends_word(p[at]):
            at += 1
        ensure_argv(e, argc + 1)
        e.argv[argc].ptr = p + start
        e.argv[argc].len = at - start
        argc += 1
    c.argv = e.argv
    c.argc = argc
    c.raw.ptr = NULL
    c.raw.len = 0
    return 1


cdef int split_quoted(Session s, const char* p, size_t n, Call* c) except -2:
    cdef Engine e = s.engine
    cdef list words = split_words(p[:n])
    cdef bytes joined
    cdef int i
    cdef size_t at = 0
    if words is None:
        return 0
    joined = b"".join(words)
    ensure_argv(e, <int>len(words) + 1)
    buf_reserve(&s.input, len(joined) + 1)      # scratch behind the unparsed input
    memcpy(s.input.ptr + s.input.len, <const char*>joined, len(joined))
    for i in range(<int>len(words)):
        e.argv[i].ptr = s.input.ptr + s.input.len + at
        e.argv[i].len = len(<bytes>words[i])
        at += len(<bytes>words[i])
    c.argv = e.argv
    c.argc = <int>len(words)
    c.raw.ptr = NULL
    c.raw.len = 0
    return 1


cdef list split_words(bytes line):
    """Split a line as Redis's inline protocol does; None: unbalanced quotes."""
    cdef list words = []
    cdef size_t i = 0, n = len(line)
    cdef int c, quote
    while True:
        while i < n and line[i] in SPACES:
            i += 1
        if i >= n:
            return words
        word = bytearray()
        while i < n and line[i] not in ENDS:
            c = line[i]
            i += 1
            if c != c'"' and c != c"'":
                word.append(c)
                continue
            quote = c
            while True:
                if i >= n:
                    return None
                c = line[i]
                if c == quote:
                    i += 1
                    if i < n and line[i] not in SPACES:
                        return None
                    break
                if (c == c'\\' and quote == c'"' and i + 3 < n and line[i + 1] == c'x'
                        and line[i + 2] in HEX and line[i + 3] in HEX):
                    word.append(int(line[i + 2:i + 4], 16))
                    i += 4
                elif c == c'\\' and i + 1 < n and (quote == c'"' or line[i + 1] == quote):
                    word += ESCAPES.get(line[i + 1], line[i + 1:i + 2])
                    i += 2
                else:
                    word.append(c)
                    i += 1
            break
        words.append(bytes(word))
