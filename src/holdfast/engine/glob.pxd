# Glob-style patterns as KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET use them.

cdef bint glob_match(const char* pattern, size_t plen, const char* text, size_t n, bint nocase) noexcept nogil
