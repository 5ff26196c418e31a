"""Upkeep: what the engine does for itself between requests, in bounded slices.

What it is: doors for the node's cron to lazy freeing, to the resizing of the
keyspace's tables, and to the measuring of clients' buffers. What it is not: a
clock; each call is bounded by a number of steps, and the caller stops when its
time is over.
"""

from libc.stdint cimport int64_t
from holdfast.engine.keyspace cimport Database
from holdfast.engine.lazyfree cimport lazy_step
from holdfast.engine.state cimport S_REPLICA, Engine, Session
from holdfast.engine.table cimport table_shrink, table_step

cdef enum:
    TABLES_PER_STEP = 1024      # in cluster mode a database has 16384


def free_some(Engine e, int allocations):
    """Free up to about `allocations` blocks of values that were deleted lazily; tell whether more waits."""
    return bool(lazy_step(&e.ks, allocations))


def step_tables(Engine e, int buckets, int turn=0):
    """Move up to `buckets` buckets of each keyspace table that is resizing; tell whether one still is.

    In cluster mode a call looks at a run of the slots' tables; `turn` counts the calls.
    """
    cdef Database* db
    cdef int i, j, first, last
    cdef bint busy = False
    for i in range(e.ks.db_count):
        db = &e.ks.dbs[i]
        first = 0
        last = db.tables
        if db.tables > TABLES_PER_STEP:
            first = (turn % (db.tables // TABLES_PER_STEP)) * TABLES_PER_STEP
            last = first + TABLES_PER_STEP
        for j in range(first, last):
            table_shrink(&e.ks.heap, &db.table[j])
            if db.table[j].moving >= 0 and table_step(&e.ks.heap, &db.table[j], buckets):
                busy = True
    return busy


def measure_clients(Engine e):
    """Measure the buffers that maxmemory counts: those of all clients but replicas. Return their bytes."""
    cdef Session s
    cdef int64_t total = 0
    for s in e.sessions.values():
        if not s.flags & S_REPLICA:
            total += s.out.cap + s.input.cap + s.queue.cap + s.parked.cap
    e.client_bytes = total
    return total


def facts(Engine e):
    """Return what INFO tells of lazy freeing."""
    return {"lazyfree_pending_objects": e.ks.lazy_pending, "lazyfreed_objects": e.ks.lazy_freed}


def reset_facts(Engine e):
    """Begin the counters of expiry, eviction and lazy freeing anew (CONFIG RESETSTAT)."""
    e.ks.expired = 0
    e.ks.lazy_freed = 0
    e.stat_evicted = 0
    e.stat_expired_time_cap = 0
    e.stat_expire_cycle_us = 0
    e.stat_eviction_exceeded_us = 0
    e.expired_stale_perc = 0
