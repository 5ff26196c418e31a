# Lists of an RDB.

from libc.stdint cimport uint8_t
from holdfast.engine.rdb_window cimport Decoder

# A listpack of sound layout; it is taken over.
cdef int take_list_listpack(Decoder* d, uint8_t* lp) noexcept nogil
cdef void begin_list(Decoder* d) noexcept nogil
cdef int read_list_element(Decoder* d) noexcept nogil
# A node of a quicklist: a ziplist, a listpack or a plain element.
cdef int read_list_node(Decoder* d) noexcept nogil
cdef int finish_list(Decoder* d) noexcept nogil
