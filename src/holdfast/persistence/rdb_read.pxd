# Whole RDB files, read as bytes come in.

from libc.stdint cimport int64_t, uint64_t
from holdfast.engine.buf cimport Buf
from holdfast.engine.keyspace cimport Database, Keyspace
from holdfast.engine.rdb_window cimport Decoder
from holdfast.engine.state cimport Engine

cdef class RdbReader:
    cdef Engine engine
    cdef Decoder decoder
    cdef Buf rest               # bytes that wait for what follows them
    cdef uint64_t offset        # of the first byte of `rest` in the file
    cdef uint64_t crc
    cdef uint64_t summed        # offset up to which crc has been taken
    cdef bint check_seal, skip_expired, sealed
    cdef int stage
    cdef readonly int version
    cdef readonly bint ended
    cdef readonly dict fields
    cdef readonly list functions
    cdef readonly uint64_t keys, expired, empty, volatile, keys_told
    cdef readonly int64_t total_bytes
    # of the key under way
    cdef Database* db
    cdef bytes key
    cdef int type
    cdef int64_t expire_ms, idle_s
    cdef int frequency
    cdef uint64_t key_at        # offset of the key under way
    cdef const char* fault

    cdef int read_item(self) except -2
    cdef int read_head(self) except -2
    cdef int read_opcode(self, int opcode) except -2
    cdef int read_key(self) except -2
    cdef int read_module_aux(self) except -2
    cdef int refuse_type(self, const char* name) except -2
    cdef int make_room(self, uint64_t keys) except -2
    cdef int keep(self, Keyspace* ks) except -2
    cdef void forget_key(self) noexcept
    cdef int fail(self, const char* why) noexcept
    cdef void sum_to(self, const unsigned char* p, uint64_t upto) noexcept
