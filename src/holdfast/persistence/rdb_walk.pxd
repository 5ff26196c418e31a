# A snapshot written in slices between ticks, where there is no fork.

from holdfast.engine.keyspace cimport Database
from holdfast.engine.rdb_encode cimport Sink
from holdfast.engine.record cimport Record
from holdfast.engine.state cimport Engine
from libc.stdint cimport uint64_t
from holdfast.persistence.rdb_write cimport Plan

cdef class SnapshotWalk:
    cdef Engine engine
    cdef Sink sink
    cdef Plan plan
    cdef bytes head
    cdef bint checksum
    cdef uint64_t crc
    cdef readonly bint ended
    cdef readonly uint64_t keys, keys_told
    cdef unsigned char mark         # what records that were written carry
    cdef int db, table, last_db
    cdef bint begun_db
    cdef uint64_t cursor
    cdef set announced

    cdef void write_record(self, Database* db, Record* r) noexcept
    cdef void finish(self) noexcept
