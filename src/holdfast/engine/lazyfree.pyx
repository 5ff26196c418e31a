"""Lazy freeing: values that left the keyspace are freed in slices.

What it is: the consumer of `Keyspace.lazy_first`, a queue of detached values
(UNLINK, FLUSHALL ASYNC, the lazyfree options). Redis hands them to a thread;
here one thread owns the memory, so it frees a bounded number of blocks between
ticks. What it is not: the choice of what is freed so (`ks_dispose`, `ks_flush`).

A value is taken apart where it stands: the progress is in the value itself and
in `Detached.at`, so a slice can end after any bucket or node.
"""

from holdfast.engine.heap cimport Heap, heap_free
from holdfast.engine.keyspace cimport (
    DETACHED_RECORDS, HASH_TABLE, LIST_QUICK, SET_TABLE, ZSET_TREE, Detached, Keyspace, Record, SortedSet,
    free_value, ks_free_record)
from holdfast.engine.ordered cimport ordered_drain
from holdfast.engine.quicklist cimport Quicklist, ql_drain
from holdfast.engine.table cimport Table, table_drain

cdef enum:
    NODE_WORTH = 4      # a node of a list or a tree is a block of kilobytes: counts as so many


cdef void release_entry(void* entry, void* arg) noexcept nogil:
    heap_free(<Heap*>arg, entry)


cdef void release_record(void* entry, void* arg) noexcept nogil:
    ks_free_record(<Keyspace*>arg, <Record*>entry)


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
        if table_drain(h, <Table*>d.ptr, &d.at, release_record, ks, allocations):
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
