# Records as the commands that make them (an AOF base without RDB).

from holdfast.engine.rdb_encode cimport Sink
from holdfast.engine.record cimport Record

cdef void put_select(Sink* s, int db) noexcept nogil
cdef void put_commands(Sink* s, Record* r) noexcept nogil
