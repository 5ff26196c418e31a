# Full forms of values: sets and hashes as tables, sorted sets as a table and a tree.
#
# Their entries, and how all is made, copied, measured and freed. What a set, a hash or
# a sorted set is in either form is told in `sets`, `hashes` and `sorted_sets`.

from libc.stdint cimport uint32_t
from holdfast.engine.heap cimport Heap
from holdfast.engine.ordered cimport Member, Ordered
from holdfast.engine.table cimport HashKey, Table

# An entry of a hash in table form: value bytes follow the key bytes.
cdef struct HashEntry:
    uint32_t klen
    uint32_t vlen

cdef enum:
    HASH_KEY = 8        # offsets of the key bytes
    SET_KEY = 4

cdef struct SortedSet:
    Table table         # of Member, by bytes
    Ordered* order      # the same members, by (score, bytes)


cdef inline char* hash_entry_key(HashEntry* e) noexcept nogil:
    return <char*>e + HASH_KEY


cdef inline char* hash_entry_value(HashEntry* e) noexcept nogil:
    return <char*>e + HASH_KEY + e.klen


# ---- sets and hashes (shared by their commands and loaders) ----
cdef Table* new_table(Heap* h, int key_offset, HashKey* seed) noexcept nogil
cdef void* new_set_entry(Heap* h, const char* p, size_t n) noexcept nogil
cdef HashEntry* new_hash_entry(Heap* h, const char* key, size_t klen, const char* p, size_t n) noexcept nogil
cdef Table* copy_table(Heap* h, Table* source, bint is_hash) noexcept nogil
# Free the entries and the table.
cdef void free_table(Heap* h, Table* t) noexcept nogil
# Bytes of the entries and the buckets; samples 0: all of them, else an estimate.
cdef size_t table_value_bytes(Table* t, size_t samples) noexcept nogil

# ---- sorted sets ----
cdef SortedSet* new_sorted_set(Heap* h, HashKey* seed) noexcept nogil
cdef Member* new_member(Heap* h, const char* p, size_t n, double score) noexcept nogil
cdef SortedSet* copy_sorted_set(Heap* h, SortedSet* source) noexcept nogil
cdef void free_sorted_set(Heap* h, SortedSet* z) noexcept nogil
