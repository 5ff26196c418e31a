# Hashes of an RDB.

from libc.stdint cimport uint8_t, uint64_t
from holdfast.engine.rdb_window cimport Decoder

# A listpack of sound layout; d.value owns it.
cdef int take_hash_listpack(Decoder* d, uint8_t* lp) noexcept nogil
# A hash of `d.total` fields; `room` of them are trusted before they are seen.
cdef void begin_hash(Decoder* d, uint64_t room) noexcept nogil
cdef int read_hash_field(Decoder* d) noexcept nogil
cdef int finish_hash(Decoder* d) noexcept nogil
