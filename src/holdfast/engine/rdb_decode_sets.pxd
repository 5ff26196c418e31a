# Sets of an RDB.

from libc.stdint cimport uint8_t, uint64_t
from holdfast.engine.rdb_window cimport Decoder

# A blob that is an intset, or a listpack of sound layout; d.value owns it.
cdef int take_intset(Decoder* d, uint8_t* block, size_t n) noexcept nogil
cdef int take_set_listpack(Decoder* d, uint8_t* lp) noexcept nogil
# A set of `d.total` members; `room` of them are trusted before they are seen.
cdef void begin_set(Decoder* d, uint64_t room) noexcept nogil
cdef int read_set_member(Decoder* d) noexcept nogil
cdef int finish_set(Decoder* d) noexcept nogil
