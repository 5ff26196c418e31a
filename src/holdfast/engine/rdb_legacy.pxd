# Layouts of older RDB files, turned into listpacks: ziplists (until Redis 6.2) and zipmaps (until 2.4).

from libc.stdint cimport uint8_t
from holdfast.engine.heap cimport Heap

# NULL when the bytes are not sound. The bytes stay the caller's.
cdef uint8_t* ziplist_to_listpack(Heap* h, const uint8_t* p, size_t n) noexcept nogil
# Fields and values in turn.
cdef uint8_t* zipmap_to_listpack(Heap* h, const uint8_t* p, size_t n) noexcept nogil
