# The table: byte strings to entries, for keyspaces, hashes, sets and sorted sets.
#
# An entry is one heap block that begins with its key's length (u32) and holds
# the key's bytes at a fixed offset, the same in one table. The table owns the
# slots, not the entries. Buckets are 64 bytes: seven entry pointers, a byte of
# hash for each, and a presence byte; a full bucket's last pointer leads to a
# child bucket. Growth and shrinking are incremental: each edit moves a bucket.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from holdfast.engine.heap cimport Heap

cdef struct Bucket:
    uint8_t present         # bit i: slot i is taken; bit 7: slot 6 leads to a child bucket
    uint8_t tags[7]         # a byte of each entry's hash
    void* slots[7]

cdef struct HashKey:        # of SipHash, drawn by the node
    uint64_t k0
    uint64_t k1

cdef struct Table:
    Bucket* buckets[2]      # [1] only while it is moving
    uint8_t bits[2]         # log2 of the bucket counts
    uint8_t key_offset      # where an entry's key begins
    size_t count[2]         # entries
    int64_t moving          # next bucket of [0] to move, or -1
    uint32_t paused         # >0: no moving (an iteration is under way)
    HashKey* seed

ctypedef void (*visit_t)(void* entry, void** slot, void* arg) noexcept nogil

cdef struct TableCursor:    # a plain walk over all entries; the table must not change
    Table* table
    Bucket* bucket
    size_t index
    int which
    int slot

cdef uint64_t siphash(const char* p, size_t n, HashKey* key) noexcept nogil

cdef void table_init(Table* t, int key_offset, HashKey* seed) noexcept nogil
# Free the buckets, not the entries.
cdef void table_clear(Heap* h, Table* t) noexcept nogil
cdef inline size_t table_count(Table* t) noexcept nogil:
    return t.count[0] + t.count[1]
# Bytes of the buckets.
cdef size_t table_bytes(Table* t) noexcept nogil

# The slot that holds the key's entry, or NULL. *slot may be overwritten with
# an entry of the same key; it is valid until the next edit of the table.
cdef void** table_find(Table* t, const char* p, size_t n, uint64_t hashed) noexcept nogil
# Let the cache fetch the key's bucket; later, once that has arrived, its entry.
cdef void table_prefetch_bucket(Table* t, uint64_t hashed) noexcept nogil
cdef void table_prefetch_entry(Table* t, uint64_t hashed) noexcept nogil
# Add an entry whose key is not there yet.
cdef void table_add(Heap* h, Table* t, void* entry, uint64_t hashed) noexcept nogil
# Take the key's entry out and return it, or NULL.
cdef void* table_pop(Heap* h, Table* t, const char* p, size_t n, uint64_t hashed) noexcept nogil
# Make room for this many entries at once (loading).
cdef void table_expand(Heap* h, Table* t, size_t entries) noexcept nogil
# Move up to `buckets` buckets if a resize is under way; True while it is.
cdef bint table_step(Heap* h, Table* t, int buckets) noexcept nogil
# Shrink when mostly empty. Called after deletions and by the cron.
cdef void table_shrink(Heap* h, Table* t) noexcept nogil

# SCAN: visit a bucket, return the next cursor (0: done). Every entry that is
# there from start to end is visited at least once, across resizes.
cdef uint64_t table_scan(Table* t, uint64_t cursor, visit_t visit, void* arg) noexcept nogil
# A random entry, close to uniform in O(1); NULL when empty.
cdef void* table_random(Table* t, uint64_t* rng) noexcept nogil
# Up to `n` entries near a random place, for eviction; how many were found.
cdef int table_sample(Table* t, void** out, int n, uint64_t* rng) noexcept nogil

# Free a table that nothing uses any more in slices: call `release` on up to about `entries`
# entries from bucket *at on, give the emptied memory back. False: all is freed, the table is empty.
ctypedef void (*release_t)(void* entry, void* arg) noexcept nogil
cdef bint table_drain(Heap* h, Table* t, size_t* at, release_t release, void* arg, int entries) noexcept nogil

cdef void table_walk(Table* t, TableCursor* c) noexcept nogil
cdef void* table_walk_next(TableCursor* c) noexcept nogil

cdef uint64_t random_u64(uint64_t* rng) noexcept nogil


cdef inline uint64_t table_hash(Table* t, const char* p, size_t n) noexcept nogil:
    return siphash(p, n, t.seed)
