# The listpack: a compact sequence of strings and integers in one allocation,
# in the layout that RDB files hold, so that saving and loading are copies.
#
# A Listpack is the raw bytes: u32 total bytes, u16 element count (65535 =
# unknown), elements, 0xFF. Elements are addressed by pointer; an edit returns
# the new base pointer (the block may have moved) and positions are found
# again through the out-parameters.
#
# Rules of use. Editing text may be borrowed from the very listpack that is
# edited. Out-parameters may be NULL where they do not interest. No edit may
# take a listpack over LP_BYTES_MAX: ask lp_fits first where texts may be large
# (a process that ignores this is ended, as on running out of memory). Bytes
# from outside are to pass lp_valid before any other function sees them.

from libc.stdint cimport int64_t, uint8_t, uint32_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap

ctypedef uint8_t* Listpack

cdef enum:
    LP_BYTES_MAX = 1 << 30

# An element's value: a string (text.ptr != NULL) or an integer.
cdef struct LpValue:
    Slice text          # borrowed from the listpack; ptr NULL when integer
    int64_t number

# `room` is only a hint: bytes to set aside, header and end mark included.
cdef Listpack lp_new(Heap* h, size_t room) noexcept nogil
cdef void lp_free(Heap* h, Listpack lp) noexcept nogil
cdef Listpack lp_copy(Heap* h, Listpack lp) noexcept nogil
cdef uint32_t lp_bytes(Listpack lp) noexcept nogil
# Walks a listpack of 65535 elements and more; writes the count back when it is known again.
cdef uint32_t lp_count(Listpack lp) noexcept nogil
# Give back the room that edits left over (a listpack that will hardly change again).
cdef Listpack lp_fit(Heap* h, Listpack lp) noexcept nogil
# True when text of `n` bytes more keeps the listpack within LP_BYTES_MAX.
cdef bint lp_fits(Listpack lp, size_t n) noexcept nogil

# Walking. NULL at either end. lp_seek takes negative indexes from the tail.
cdef uint8_t* lp_first(Listpack lp) noexcept nogil
cdef uint8_t* lp_last(Listpack lp) noexcept nogil
cdef uint8_t* lp_next(Listpack lp, uint8_t* at) noexcept nogil
cdef uint8_t* lp_prev(Listpack lp, uint8_t* at) noexcept nogil
cdef uint8_t* lp_seek(Listpack lp, long index) noexcept nogil

cdef void lp_get(uint8_t* at, LpValue* out) noexcept nogil
# The element as text: borrowed, or formatted into `scratch` (24 bytes).
cdef Slice lp_text(uint8_t* at, char* scratch) noexcept nogil
cdef bint lp_equal(uint8_t* at, const char* p, size_t n) noexcept nogil
# First element equal to the text at `start` (NULL: none) or later, looking at one and
# skipping `skip` after each (skip=1 looks at the keys of a field-value list).
cdef uint8_t* lp_find(Listpack lp, uint8_t* start, const char* p, size_t n, int skip) noexcept nogil

# Editing. Text that is a canonical int64 is stored as integer.
cdef Listpack lp_append(Heap* h, Listpack lp, const char* p, size_t n) noexcept nogil
cdef Listpack lp_append_int(Heap* h, Listpack lp, int64_t value) noexcept nogil
cdef Listpack lp_prepend(Heap* h, Listpack lp, const char* p, size_t n) noexcept nogil
# Insert before `at` (NULL: append). *moved is the new element.
cdef Listpack lp_insert(
        Heap* h, Listpack lp, uint8_t* at, const char* p, size_t n, uint8_t** moved) noexcept nogil
cdef Listpack lp_replace(
        Heap* h, Listpack lp, uint8_t* at, const char* p, size_t n, uint8_t** moved) noexcept nogil
cdef Listpack lp_replace_int(Heap* h, Listpack lp, uint8_t* at, int64_t value, uint8_t** moved) noexcept nogil
# Delete `count` elements from `at` on (all there are, if fewer). *following is the element after them, or
# NULL.
cdef Listpack lp_delete(Heap* h, Listpack lp, uint8_t* at, uint32_t count, uint8_t** following) noexcept nogil

# True when `n` bytes at `p` are one whole, well-formed listpack (deep check:
# every element walked forwards, each back-length true).
cdef bint lp_valid(const uint8_t* p, size_t n) noexcept nogil
# Bytes that one element of this text takes, back-length included.
cdef size_t lp_entry_bytes(const char* p, size_t n) noexcept nogil
