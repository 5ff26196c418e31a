# Inline requests: a line of words, as a person types it.

from libc.stdlib cimport abort, realloc
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Call, Engine, Session


cdef inline void ensure_argv(Engine e, int argc) noexcept:
    """Let there be room for so many arguments."""
    if argc > e.argv_cap:
        e.argv_cap = argc + argc // 2 + 16
        e.argv = <Slice*>realloc(e.argv, e.argv_cap * sizeof(Slice))
        if e.argv == NULL:
            abort()


# Cut a line into arguments by shell-like quoting (0: unbalanced quotes).
#
# Without quotes the words are borrowed from the line. Unquoted they live in
# the free space behind the session's unparsed input until the call is over.
cdef int split_inline(Session s, const char* p, size_t n, Call* c) except -2
