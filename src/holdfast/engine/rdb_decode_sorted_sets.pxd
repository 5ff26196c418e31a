# Sorted sets of an RDB.

from libc.stdint cimport uint8_t
from holdfast.engine.rdb_window cimport Decoder

# A listpack of members and scores whose layout is sound; d.value owns it.
cdef int take_sorted_listpack(Decoder* d, uint8_t* lp) noexcept nogil
cdef int read_sorted_member(Decoder* d) noexcept nogil
# All members are there.
cdef int finish_sorted_set(Decoder* d) noexcept nogil
