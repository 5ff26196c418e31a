# Memory of one engine: malloc with exact accounting.
#
# Every byte of user data is allocated here, so that `used` is what the
# allocator really handed out (its rounding and its 8-byte header included).
# Running out of memory ends the process, as in Redis: maxmemory is the limit
# to set. Not thread-safe: one engine, one thread.

from libc.stdlib cimport abort, calloc, free, malloc, realloc
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <stddef.h>
    #if defined(__APPLE__)
    #include <malloc/malloc.h>
    #define hf_usable(p) malloc_size(p)
    #else
    #include <malloc.h>
    #define hf_usable(p) malloc_usable_size(p)
    #endif
    /* glibc keeps small freed blocks apart until a large request makes it join all of them at once:
       seconds, after ten million keys were deleted. Joined at once they cost little each. Large
       blocks are always mapped: zeros need no writing, and freed they go back to the system. What is
       free at the heap's end stays up to 16 MB: reply buffers come and go there, and to give each back
       would cost a page fault for every four kilobytes sent. */
    static inline void hf_prepare_allocator(void) {
    #ifdef __GLIBC__
        mallopt(M_MXFAST, 0);
        mallopt(M_MMAP_THRESHOLD, 256 * 1024);
        mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
    #endif
    }
    """
    size_t hf_usable(void* p) noexcept nogil
    void hf_prepare_allocator() noexcept nogil

cdef struct Heap:
    size_t used     # bytes handed out by the allocator, overhead included
    size_t peak     # largest `used` seen at the end of a tick
    size_t plain_from   # list elements of so many bytes stand alone (0: as their list's fill says)

cdef enum:
    HEAP_OVERHEAD = 8   # what the allocator keeps in front of a block


cdef inline void* heap_alloc(Heap* h, size_t n) noexcept nogil:
    cdef void* p = malloc(n)
    if p == NULL:
        abort()
    h.used += hf_usable(p) + HEAP_OVERHEAD
    return p


cdef inline void* heap_zalloc(Heap* h, size_t n) noexcept nogil:
    """A block of zeros (untouched pages when it is large)."""
    cdef void* p = calloc(1, n)
    if p == NULL:
        abort()
    h.used += hf_usable(p) + HEAP_OVERHEAD
    return p


cdef inline void* heap_copy(Heap* h, const void* p, size_t n) noexcept nogil:
    """A block with these `n` bytes."""
    cdef void* fresh = heap_alloc(h, n)
    memcpy(fresh, p, n)
    return fresh


cdef inline void* heap_realloc(Heap* h, void* p, size_t n) noexcept nogil:
    cdef size_t before = hf_usable(p) + HEAP_OVERHEAD if p != NULL else 0
    p = realloc(p, n)
    if p == NULL:
        abort()
    h.used += hf_usable(p) + HEAP_OVERHEAD - before
    return p


cdef inline void heap_free(Heap* h, void* p) noexcept nogil:
    if p != NULL:
        h.used -= hf_usable(p) + HEAP_OVERHEAD
        free(p)


cdef inline size_t heap_size(void* p) noexcept nogil:
    """Bytes that a block costs, overhead included."""
    return hf_usable(p) + HEAP_OVERHEAD if p != NULL else 0
