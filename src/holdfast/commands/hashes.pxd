# Hash commands. The index of the family is `register` in hashes.pyx.
from holdfast.engine.buf cimport Slice
from holdfast.engine.record cimport Record
from holdfast.engine.state cimport Engine, Session

cpdef int register(Engine e) except -1

# The hash of a key for a read or a write. NULL with *wrong false: there is no
# such key; with *wrong true: answered with WRONGTYPE.
cdef Record* hash_read(Session s, Slice key, bint* wrong) noexcept
cdef Record* hash_write(Session s, Slice key, bint* wrong) noexcept
