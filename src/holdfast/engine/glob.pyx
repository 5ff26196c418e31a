"""Glob-style patterns: ``*``, ``?``, ``[a-z]``, ``[^a]`` and ``\\`` as escape.

Matching takes O(pattern x text) in the worst case: after a mismatch only the
last ``*`` is tried again, further to the right, so that hostile patterns do
not explode (https://redis.io/commands/keys/).
"""


cdef inline unsigned char lower(unsigned char c) noexcept nogil:
    return c + 32 if c'A' <= c <= c'Z' else c


cdef bint match_class(const char* p, size_t n, size_t* at, unsigned char c, bint nocase) noexcept nogil:
    """Match `c` with the class that begins after '[' at *at; leaves *at behind its ']'."""
    cdef size_t i = at[0]
    cdef bint negate = i < n and p[i] == c'^'
    cdef bint hit = False
    cdef unsigned char a, b, swap
    if negate:
        i += 1
    while True:
        if i >= n:
            break
        if p[i] == c'\\' and i + 1 < n:
            i += 1
            if <unsigned char>p[i] == c or (nocase and lower(p[i]) == lower(c)):
                hit = True
            i += 1
            continue
        if p[i] == c']':
            i += 1
            break
        if i + 2 < n and p[i + 1] == c'-':
            a = p[i]
            b = p[i + 2]
            if a > b:
                swap = a
                a = b
                b = swap
            if nocase:
                a = lower(a)
                b = lower(b)
                if a <= lower(c) <= b:
                    hit = True
            elif a <= c <= b:
                hit = True
            i += 3
            continue
        if <unsigned char>p[i] == c or (nocase and lower(p[i]) == lower(c)):
            hit = True
        i += 1
    at[0] = i
    return hit != negate


cdef bint glob_match(
        const char* pattern, size_t plen, const char* text, size_t n, bint nocase) noexcept nogil:
    cdef size_t i = 0, j = 0, after
    cdef size_t star = <size_t>-1, mark = 0
    cdef bint ok
    cdef unsigned char c
    while j < n:
        ok = False
        if i < plen:
            c = pattern[i]
            if c == c'*':
                star = i
                mark = j
                i += 1
                continue
            if c == c'?':
                ok = True
                after = i + 1
            elif c == c'[':
                after = i + 1
                ok = match_class(pattern, plen, &after, <unsigned char>text[j], nocase)
            else:
                after = i + 1
                if c == c'\\' and i + 1 < plen:
                    c = pattern[i + 1]
                    after = i + 2
                ok = c == <unsigned char>text[j] or (nocase and lower(c) == lower(text[j]))
        if ok:
            i = after
            j += 1
        elif star != <size_t>-1:
            mark += 1
            j = mark
            i = star + 1
        else:
            return False
    while i < plen and pattern[i] == c'*':
        i += 1
    return i == plen


def matches(bytes pattern, bytes text, bint nocase=False):
    """Tell whether the text matches the glob pattern."""
    return glob_match(pattern, len(pattern), text, len(text), nocase)
