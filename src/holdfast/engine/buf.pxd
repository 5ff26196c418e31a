# A growing byte buffer and a borrowed slice of bytes.
#
# Buf owns its memory (plain malloc: these are client buffers, counted apart
# from the data set). Slice borrows: it is valid while the buffer that it
# points into is not touched.

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport abort, free, realloc
from libc.string cimport memcmp, memcpy, memmove

cdef struct Slice:
    const char* ptr
    size_t len

cdef struct Buf:
    char* ptr
    size_t len
    size_t cap


cdef inline void buf_reserve(Buf* b, size_t more) noexcept nogil:
    """Make room for `more` bytes after `len`."""
    cdef size_t need = b.len + more
    cdef size_t cap
    if need <= b.cap:
        return
    cap = b.cap * 2 if b.cap else 256
    if b.cap > (1 << 24):
        cap = b.cap + (b.cap >> 2)
    if cap < need:
        cap = need
    b.ptr = <char*>realloc(b.ptr, cap)
    if b.ptr == NULL:
        abort()
    b.cap = cap


cdef inline void buf_append(Buf* b, const char* p, size_t n) noexcept nogil:
    buf_reserve(b, n)
    memcpy(b.ptr + b.len, p, n)
    b.len += n


cdef inline void buf_insert(Buf* b, size_t at, const char* p, size_t n) noexcept nogil:
    """Insert `n` bytes at position `at`, moving what follows."""
    buf_reserve(b, n)
    memmove(b.ptr + at + n, b.ptr + at, b.len - at)
    memcpy(b.ptr + at, p, n)
    b.len += n


cdef inline void buf_free(Buf* b) noexcept nogil:
    free(b.ptr)
    b.ptr = NULL
    b.len = 0
    b.cap = 0


cdef inline void buf_consume(Buf* b, size_t n) noexcept nogil:
    """Drop the first `n` bytes."""
    if n >= b.len:
        b.len = 0
    else:
        memmove(b.ptr, b.ptr + n, b.len - n)
        b.len -= n


cdef inline bint slice_equal(Slice a, Slice b) noexcept nogil:
    return a.len == b.len and memcmp(a.ptr, b.ptr, a.len) == 0


cdef inline Slice slice_of(bytes value):
    """Borrow the bytes of a Python object that outlives the slice."""
    cdef Slice s
    s.ptr = <const char*>value
    s.len = len(value)
    return s


cdef inline bytes slice_bytes(Slice s):
    return s.ptr[:s.len]
