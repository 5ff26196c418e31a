"""Full forms of values: sets and hashes as tables, sorted sets as a table and a tree.

What it is: values that have outgrown a listpack or an intset, with their entries:
made, copied, measured, freed. A list's full form is a `quicklist`. What it is
not: when a value changes its form, or what is in it (`sets`, `hashes`, `sorted_sets`).

How to read it: first what sets and hashes share, then sorted sets.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy
from holdfast.engine.heap cimport Heap, heap_alloc, heap_copy, heap_free, heap_size
from holdfast.engine.ordered cimport (
    MEMBER_KEY, Member, OrderedCursor, member_key, ordered_append, ordered_free, ordered_new, ordered_next,
    ordered_seek)
from holdfast.engine.table cimport (
    HashKey, Table, TableCursor, table_add, table_bytes, table_clear, table_count, table_expand, table_hash,
    table_init, table_walk, table_walk_next)


# ---- sets and hashes ----

cdef Table* new_table(Heap* h, int key_offset, HashKey* seed) noexcept nogil:
    cdef Table* t = <Table*>heap_alloc(h, sizeof(Table))
    table_init(t, key_offset, seed)
    return t


cdef void* new_set_entry(Heap* h, const char* p, size_t n) noexcept nogil:
    cdef char* entry = <char*>heap_alloc(h, SET_KEY + n)
    (<uint32_t*>entry)[0] = <uint32_t>n
    memcpy(entry + SET_KEY, p, n)
    return entry


cdef HashEntry* new_hash_entry(Heap* h, const char* key, size_t klen, const char* p, size_t n) noexcept nogil:
    cdef HashEntry* e = <HashEntry*>heap_alloc(h, HASH_KEY + klen + n)
    e.klen = <uint32_t>klen
    e.vlen = <uint32_t>n
    memcpy(hash_entry_key(e), key, klen)
    memcpy(hash_entry_value(e), p, n)
    return e


cdef Table* copy_table(Heap* h, Table* source, bint is_hash) noexcept nogil:
    cdef Table* t = new_table(h, source.key_offset, source.seed)
    cdef TableCursor c
    cdef void* entry
    cdef size_t n
    table_expand(h, t, table_count(source))
    table_walk(source, &c)
    entry = table_walk_next(&c)
    while entry != NULL:
        n = (<uint32_t*>entry)[0]
        entry = heap_copy(h, entry, HASH_KEY + n + (<HashEntry*>entry).vlen if is_hash else SET_KEY + n)
        table_add(h, t, entry, table_hash(t, <char*>entry + t.key_offset, n))
        entry = table_walk_next(&c)
    return t


cdef size_t table_value_bytes(Table* t, size_t samples) noexcept nogil:
    cdef TableCursor c
    cdef size_t seen = 0, total = 0
    cdef void* entry
    table_walk(t, &c)
    entry = table_walk_next(&c)
    while entry != NULL and (samples == 0 or seen < samples):
        total += heap_size(entry)
        seen += 1
        entry = table_walk_next(&c)
    if seen:
        total = <size_t>(<double>total / seen * table_count(t))
    return total + table_bytes(t)


cdef void free_entries(Heap* h, Table* t) noexcept nogil:
    cdef TableCursor c
    cdef void* entry
    table_walk(t, &c)
    entry = table_walk_next(&c)
    while entry != NULL:
        heap_free(h, entry)
        entry = table_walk_next(&c)
    table_clear(h, t)


cdef void free_table(Heap* h, Table* t) noexcept nogil:
    free_entries(h, t)
    heap_free(h, t)


# ---- sorted sets ----

cdef SortedSet* new_sorted_set(Heap* h, HashKey* seed) noexcept nogil:
    cdef SortedSet* z = <SortedSet*>heap_alloc(h, sizeof(SortedSet))
    table_init(&z.table, MEMBER_KEY, seed)
    z.order = ordered_new(h)
    return z


cdef Member* new_member(Heap* h, const char* p, size_t n, double score) noexcept nogil:
    cdef Member* m = <Member*>heap_alloc(h, MEMBER_KEY + n)
    m.klen = <uint32_t>n
    m.score = score
    memcpy(member_key(m), p, n)
    return m


cdef SortedSet* copy_sorted_set(Heap* h, SortedSet* source) noexcept nogil:
    cdef SortedSet* z = new_sorted_set(h, source.table.seed)
    cdef OrderedCursor c
    cdef Member* m = ordered_seek(source.order, 0, &c)
    table_expand(h, &z.table, table_count(&source.table))
    while m != NULL:
        m = new_member(h, member_key(m), m.klen, m.score)
        table_add(h, &z.table, m, table_hash(&z.table, member_key(m), m.klen))
        ordered_append(h, z.order, m)
        m = ordered_next(&c)
    return z


cdef void free_sorted_set(Heap* h, SortedSet* z) noexcept nogil:
    ordered_free(h, z.order)
    free_entries(h, &z.table)
    heap_free(h, z)
