"""Probes of the table and of an engine without a server, for tests only.

What this is: thin Python doors to C functions, as in `probes`. What this is
not: an API of the product. `TableProbe` owns a heap and a table of set entries;
`take_replies` reads what a session would send.
"""

from libc.stdint cimport uint64_t

from holdfast.engine.full_forms cimport SET_KEY, new_set_entry
from holdfast.engine.heap cimport Heap, heap_free, hf_prepare_allocator
from holdfast.engine.state cimport Session
from holdfast.engine.table cimport (
    HashKey, Table, TableCursor, table_add, table_clear, table_count, table_drain, table_expand,
    table_find, table_hash, table_init, table_pop, table_random, table_sample, table_scan, table_shrink,
    table_step, table_walk, table_walk_next)

cdef extern from *:
    """
    #include <time.h>
    static inline unsigned long long hf_probe_nanos(void) {
        struct timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (unsigned long long)t.tv_sec * 1000000000ULL + (unsigned long long)t.tv_nsec;
    }
    """
    unsigned long long hf_probe_nanos() noexcept nogil


cdef bytes key_of(void* entry):
    return (<char*>entry)[SET_KEY:SET_KEY + (<unsigned*>entry)[0]]


cdef void keep(void* entry, void** slot, void* arg) noexcept nogil:
    with gil:
        (<list>arg).append(key_of(entry))


cdef void release(void* entry, void* arg) noexcept nogil:
    heap_free(<Heap*>arg, entry)


cdef class TableProbe:
    cdef Heap heap
    cdef HashKey seed
    cdef Table table
    cdef uint64_t rng

    def __cinit__(self, uint64_t seed=1):
        hf_prepare_allocator()
        self.heap.used = 0
        self.seed.k0 = seed
        self.seed.k1 = ~seed
        self.rng = seed
        table_init(&self.table, SET_KEY, &self.seed)

    def __dealloc__(self):
        self.close()

    def __len__(self):
        return table_count(&self.table)

    @property
    def used(self):
        return self.heap.used

    @property
    def moving(self):
        return self.table.moving >= 0

    @property
    def bits(self):
        return self.table.bits[0]

    cdef uint64_t hashed(self, bytes key):
        return table_hash(&self.table, key, len(key))

    def add(self, key: bytes):
        table_add(&self.heap, &self.table, new_set_entry(&self.heap, key, len(key)), self.hashed(key))

    def find(self, key: bytes):
        return table_find(&self.table, key, len(key), self.hashed(key)) != NULL

    def pop(self, key: bytes):
        cdef void* entry = table_pop(&self.heap, &self.table, key, len(key), self.hashed(key))
        heap_free(&self.heap, entry)
        return entry != NULL

    def expand(self, entries: int):
        table_expand(&self.heap, &self.table, entries)

    def step(self, buckets: int):
        return bool(table_step(&self.heap, &self.table, buckets))

    def shrink(self):
        table_shrink(&self.heap, &self.table)

    def scan(self, cursor: int):
        found = []
        after = table_scan(&self.table, cursor, keep, <void*>found)
        return after, found

    def random(self):
        cdef void* entry = table_random(&self.table, &self.rng)
        return key_of(entry) if entry != NULL else None

    def sample(self, n: int):
        cdef void* found[64]
        cdef int i
        return [key_of(found[i]) for i in range(table_sample(&self.table, found, n, &self.rng))]

    def walk(self):
        cdef TableCursor c
        cdef void* entry
        found = []
        table_walk(&self.table, &c)
        entry = table_walk_next(&c)
        while entry != NULL:
            found.append(key_of(entry))
            entry = table_walk_next(&c)
        return found

    def drain(self, entries: int):
        cdef size_t at = 0
        cdef int slices = 1
        while table_drain(&self.heap, &self.table, &at, release, &self.heap, entries):
            slices += 1
        return slices

    def longest_add_us(self, keys: int):
        """Add that many keys; return the microseconds (of this thread) of the longest single addition."""
        cdef unsigned long long start, took, longest = 0
        cdef long i, count = keys
        cdef char text[24]
        cdef void* entry
        cdef uint64_t hashed
        for i in range(count):
            (<long*>text)[0] = i
            entry = new_set_entry(&self.heap, text, sizeof(long))
            hashed = table_hash(&self.table, text, sizeof(long))
            start = hf_probe_nanos()
            table_add(&self.heap, &self.table, entry, hashed)
            took = hf_probe_nanos() - start
            if took > longest:
                longest = took
        return longest / 1000

    def close(self):
        cdef TableCursor c
        cdef void* entry
        table_walk(&self.table, &c)
        entry = table_walk_next(&c)
        while entry != NULL:
            heap_free(&self.heap, entry)
            entry = table_walk_next(&c)
        table_clear(&self.heap, &self.table)
        return self.heap.used


def take_replies(Session session):
    """The replies that wait in a session; they are gone from it then."""
    replies = session.out.ptr[:session.out.len]
    session.out.len = 0
    return replies
