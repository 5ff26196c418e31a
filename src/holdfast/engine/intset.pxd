# The intset: sorted integers of 16, 32 or 64 bits in one allocation, in the
# layout that RDB files hold (u32 width in bytes, u32 count, values, little endian).

from libc.stdint cimport int64_t, uint8_t, uint32_t
from holdfast.engine.heap cimport Heap

ctypedef uint8_t* Intset

cdef Intset intset_new(Heap* h) noexcept nogil
cdef void intset_free(Heap* h, Intset s) noexcept nogil
cdef Intset intset_copy(Heap* h, Intset s) noexcept nogil
cdef uint32_t intset_count(Intset s) noexcept nogil
cdef size_t intset_bytes(Intset s) noexcept nogil
cdef bint intset_contains(Intset s, int64_t value) noexcept nogil
cdef int64_t intset_at(Intset s, uint32_t index) noexcept nogil
# *changed tells whether the value was new (was there).
cdef Intset intset_add(Heap* h, Intset s, int64_t value, bint* changed) noexcept nogil
cdef Intset intset_remove(Heap* h, Intset s, int64_t value, bint* changed) noexcept nogil
# True when `n` bytes at `p` are one whole, well-formed intset; an empty one is refused, as Redis
# refuses it in files. Bytes from outside are to pass this before any other function sees them.
cdef bint intset_valid(const uint8_t* p, size_t n) noexcept nogil
