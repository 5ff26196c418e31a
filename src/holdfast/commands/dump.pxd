# DUMP and RESTORE.

from holdfast.engine.rdb_encode cimport Sink
from holdfast.engine.record cimport Record
from holdfast.engine.state cimport Engine

# The payload of a value: type, value, version, checksum.
cdef void put_payload(Sink* s, Record* r) noexcept nogil
cpdef int register(Engine e) except -1
