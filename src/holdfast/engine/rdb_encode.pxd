# Values and records in RDB form, written into a sink. C only: a forked child runs it.

from libc.stdint cimport int64_t, uint64_t
from holdfast.engine.buf cimport Buf
from holdfast.engine.keyspace cimport Keyspace
from holdfast.engine.record cimport Record

# Where the bytes go: a buffer that grows, or, with `drain`, one that is emptied
# whenever it holds SINK_BYTES. The owner of the sink frees `buf`.
cdef struct Sink:
    Buf buf
    void (*drain)(Sink* s) noexcept nogil
    void* owner
    bint compress           # LZF for strings that gain by it

cdef enum:
    SINK_BYTES = 256 * 1024

cdef inline void sink_drain(Sink* s) noexcept nogil:
    """Empty the buffer if it is full enough and somebody takes it."""
    if s.drain != NULL and s.buf.len >= SINK_BYTES:
        s.drain(s)

cdef void put_byte(Sink* s, int byte) noexcept nogil
cdef void put_length(Sink* s, uint64_t n) noexcept nogil
cdef void put_string(Sink* s, const char* p, size_t n) noexcept nogil
# The type byte of a record's value, then the value.
cdef int rdb_type(Record* r) noexcept nogil
cdef void put_value(Sink* s, Record* r) noexcept nogil
# A record as it stands in a file: expiry, idle time or frequency, type, key, value.
cdef void put_record(Sink* s, Keyspace* ks, Record* r, bint idle, bint frequency) noexcept nogil
