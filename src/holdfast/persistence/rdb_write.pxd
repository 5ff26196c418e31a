# Whole snapshots of a keyspace, as an RDB or as commands. The C part runs in a forked child too.

from libc.stdint cimport int32_t, uint64_t
from holdfast.engine.keyspace cimport Keyspace
from holdfast.engine.rdb_encode cimport Sink
from holdfast.engine.record cimport Record
from holdfast.engine.state cimport Engine

# A file (or pipe) that a sink is drained into.
cdef struct Target:
    int fd
    int error               # errno of the first failure; then nothing more is written
    bint checksum           # CRC64 at the end, else zeros
    bint early_sync         # let the kernel write back every few MB, so that the last sync is short
    uint64_t crc
    uint64_t written
    uint64_t handed         # bytes handed to early write-back
    uint64_t keys
    int report_fd           # progress goes there, -1: nowhere
    uint64_t reported

# What a child tells its parent: 32 bytes each time.
cdef struct Report:
    uint64_t keys
    uint64_t written
    uint64_t cow_bytes
    int32_t error
    int32_t done

cdef struct Plan:           # what is written
    const char* head        # everything before the first database
    size_t head_bytes
    bint commands           # SELECT, RPUSH, ... instead of an RDB
    bint idle, frequency    # LRU or LFU of each key
    bint compress

cdef void target_init(Target* t, int fd) noexcept nogil
cdef void sink_to(Sink* s, Target* t) noexcept nogil
# Write everything to the sink's target; errno of what went wrong, or 0.
cdef int write_keyspace(Keyspace* ks, Plan* plan, Target* t) noexcept nogil
cdef void put_database(Sink* s, Keyspace* ks, Plan* plan, int db, bint first) noexcept nogil
cdef void put_planned(Sink* s, Keyspace* ks, Plan* plan, Record* r) noexcept nogil
cdef void tell(Target* t, uint64_t cow_bytes, bint done) noexcept nogil
