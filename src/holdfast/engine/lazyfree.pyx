"""Lazy freeing: values that left the keyspace are freed in slices.

What it is: `Keyspace.lazy_first`, a queue of detached values (UNLINK, FLUSHALL
ASYNC, the lazyfree options): how they come into it and how they go. Redis hands
them to a thread; here one thread owns the memory, so it frees a bounded number of
blocks between ticks. What it is not: the choice of what is freed so (`ks_dispose`,
`ks_flush`).

A value is taken apart where it stands: the progress is in the value itself and
in `Detached.at`, so a slice can end after any bucket or node.
"""

from libc.stdint cimport int64_t
from holdfast.engine.full_forms cimport SortedSet
from holdfast.engine.heap cimport Heap, heap_free, heap_zalloc
from holdfast.engine.keyspace cimport DETACHED_RECORDS, Detached, Keyspace
from holdfast.engine.ordered cimport ordered_drain
from holdfast.engine.quicklist cimport Quicklist, ql_drain
from holdfast.engine.record cimport (
    HASH_TABLE, LIST_QUICK, SET_TABLE, ZSET_TREE, Record, free_record, free_value)
from holdfast.engine.table cimport Table, table_count, table_drain

cdef enum:
    LAZY_WORTH = 64     # allocations of a value from which on it is freed between ticks
    NODE_WORTH = 4      # a node of a list or a tree is a block of kilobytes: counts as so many


cdef bint lazy_worth(int kind, void* ptr) noexcept nogil:
    if kind == LIST_QUICK:
        return (<Quicklist*>ptr).nodes > LAZY_WORTH
    if kind == SET_TABLE or kind == HASH_TABLE or kind == ZSET_TREE:    # a SortedSet begins with its table
        return table_count(<Table*>ptr) > LAZY_WORTH
    return False


cdef void lazy_detach(Keyspace* ks, int kind, void* ptr, size_t objects, int64_t bytes) noexcept nogil:
    cdef Detached* d = <Detached*>heap_zalloc(&ks.heap, sizeof(Detached))
    d.kind = kind
    d.ptr = ptr
    d.objects = objects
    d.bytes = bytes
    ks.lazy_bytes += bytes
    if ks.lazy_last == NULL:
        ks.lazy_first = d
    else:
        ks.lazy_last.next = d
    ks.lazy_last = d
    ks.lazy_pending += objects


cdef void release_entry(void* entry, void* arg) noexcept nogil:
    heap_free(<Heap*>arg, entry)


cdef void release_record(void* entry, void* arg) noexcept nogil:
    free_record(<Heap*>arg, <Record*>entry)


cdef bint drain(Keyspace* ks, Detached* d, int allocations) noexcept nogil:
    """Take a value apart; False: nothing is left of it."""
    cdef Heap* h = &ks.heap
    cdef SortedSet* z
    if d.kind == LIST_QUICK:
        return ql_drain(h, <Quicklist*>d.ptr, allocations // NODE_WORTH + 1)
    if d.kind == ZSET_TREE:
        z = <SortedSet*>d.ptr
        if z.order != NULL:
            if not ordered_drain(h, z.order, allocations // NODE_WORTH + 1):
                z.order = NULL
            return True
        if table_drain(h, &z.table, &d.at, release_entry, h, allocations):
            return True
    elif d.kind == SET_TABLE or d.kind == HASH_TABLE:
        if table_drain(h, <Table*>d.ptr, &d.at, release_entry, h, allocations):
            return True
    elif d.kind == DETACHED_RECORDS:
        if table_drain(h, <Table*>d.ptr, &d.at, release_record, h, allocations):
            return True
    else:
        free_value(h, d.kind, d.ptr)
        return False
    heap_free(h, d.ptr)
    return False


cdef bint lazy_step(Keyspace* ks, int allocations) noexcept nogil:
    cdef Detached* d = ks.lazy_first
    if d == NULL:
        return False
    if drain(ks, d, allocations):
        return True
    ks.lazy_first = d.next
    if d.next == NULL:
        ks.lazy_last = NULL
    ks.lazy_pending -= d.objects
    ks.lazy_freed += d.objects
    ks.lazy_bytes -= d.bytes
    heap_free(&ks.heap, d)
    return ks.lazy_first != NULL


cdef void lazy_finish(Keyspace* ks) noexcept nogil:
    while lazy_step(ks, 1 << 20):
        pass
