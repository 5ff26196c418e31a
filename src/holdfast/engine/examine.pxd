# Records seen from outside: what DEBUG OBJECT, MEMORY USAGE and their kin tell.

from holdfast.engine.record cimport Record

# Bytes of the value in an RDB file, without type and key.
cdef size_t saved_bytes(Record* r) noexcept
