"""Eviction: making room when maxmemory is reached (https://redis.io/docs/reference/eviction/).

What it is: the eight policies. LRU, LFU and TTL are approximate, as in Redis:
each round a few keys of every database are drawn (maxmemory-samples) and enter
a pool of the best candidates so far; the best of the pool goes. What it is not:
how keys age (`keyspace.touch`).

How to read it: `make_room`, `choose`, `fill_pool`.

The pool holds copies of keys, not records: a key may be gone, or have become
younger, before its turn comes. Memory waiting to be freed lazily is freed first.
"""

from libc.math cimport pow
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport abort, calloc
from libc.string cimport memcmp, memcpy, memmove
from holdfast.engine.buf cimport Slice
from holdfast.engine.effects cimport effect_aside
from holdfast.engine.events cimport NOTIFY_EVICTED, notify, touch_watched
from holdfast.engine.keyspace cimport Database, ks_dispose, ks_fair_table, ks_peek, ks_random, ks_take
from holdfast.engine.lazyfree cimport lazy_step
from holdfast.engine.recency cimport ks_frequency, ks_idle_seconds
from holdfast.engine.record cimport FLAG_EXPIRES, Record, expires_at, record_key_slice
from holdfast.engine.state cimport (
    GUARD_FENCED, GUARD_LOADING, GUARD_MAXMEMORY, GUARD_PAUSED, GUARD_REPLICA, Engine)
from holdfast.engine.table cimport Table, random_u64, table_sample

POLICIES = (
    "noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random",
    "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl")

cdef enum:
    POOL_SIZE = 16
    SAMPLES_MAX = 64
    KEY_MAX = 1024          # longer keys are candidates only in the round that draws them
    KEYS_PER_CLOCK = 16     # the stopwatch is read once in so many evictions
    LAZY_SLICE = 4096

cdef struct Candidate:
    bint taken
    int db
    uint32_t klen
    uint64_t score          # the higher, the sooner it goes
    char key[KEY_MAX]

cdef struct Pool:
    Candidate* order[POOL_SIZE]     # by rising score; free ones last
    Candidate places[POOL_SIZE]

cdef struct Choice:
    Database* db
    Record* record          # NULL: nothing to evict


cdef inline bint is_volatile(int policy) noexcept nogil:
    return policy >= VOLATILE_LRU


# ---- the pool ----

cdef Pool* pool_of(Engine e) noexcept:
    cdef Pool* pool = <Pool*>e.eviction_pool
    cdef int i
    if pool == NULL:
        pool = <Pool*>calloc(1, sizeof(Pool))
        if pool == NULL:
            abort()
        for i in range(POOL_SIZE):
            pool.order[i] = &pool.places[i]
        e.eviction_pool = pool
    return pool


cdef uint64_t score_of(Engine e, Record* r) noexcept nogil:
    cdef int policy = e.maxmemory_policy
    if policy == ALLKEYS_LRU or policy == VOLATILE_LRU:
        return <uint64_t>ks_idle_seconds(&e.ks, r)
    if policy == ALLKEYS_LFU or policy == VOLATILE_LFU:
        return 255 - ks_frequency(&e.ks, r)
    return <uint64_t>(INT64_MAX - expires_at(r))


cdef void offer(Pool* pool, Database* db, Record* r, uint64_t score) noexcept nogil:
    """Let a key into the pool if there is room or it is better than the worst there."""
    cdef Slice key = record_key_slice(r)
    cdef Candidate* fresh
    cdef int i, place = 0
    if key.len > KEY_MAX:
        return
    for i in range(POOL_SIZE):
        if pool.order[i].taken and pool.order[i].db == db.id and pool.order[i].klen == key.len:
            if memcmp(pool.order[i].key, key.ptr, key.len) == 0:
                return
    while place < POOL_SIZE and pool.order[place].taken and pool.order[place].score < score:
        place += 1
    if pool.order[POOL_SIZE - 1].taken:
        if place == 0:
            return
        place -= 1
        fresh = pool.order[0]
        memmove(&pool.order[0], &pool.order[1], place * sizeof(Candidate*))
    else:
        fresh = pool.order[POOL_SIZE - 1]
        memmove(&pool.order[place + 1], &pool.order[place], (POOL_SIZE - 1 - place) * sizeof(Candidate*))
    pool.order[place] = fresh
    fresh.taken = True
    fresh.db = db.id
    fresh.score = score
    fresh.klen = <uint32_t>key.len
    memcpy(fresh.key, key.ptr, key.len)


cdef int draw(Engine e, Database* db, Record** out, int n) noexcept nogil:
    """Some keys of a database that the policy may evict; how many."""
    cdef Table* t
    cdef int i
    if is_volatile(e.maxmemory_policy):
        if <size_t>n >= db.volatile_count:
            n = <int>db.volatile_count
            for i in range(n):
                out[i] = db.volatile_keys[i]
            return n
        for i in range(n):
            out[i] = db.volatile_keys[random_u64(&e.ks.rng) % db.volatile_count]
        return n
    t = ks_fair_table(&e.ks, db)
    return table_sample(t, <void**>out, n, &e.ks.rng) if t != NULL else 0


cdef size_t fill_pool(Engine e, Pool* pool) noexcept nogil:
    """Draw from every database; return how many keys may be evicted at all."""
    cdef Record* drawn[SAMPLES_MAX]
    cdef Database* db
    cdef size_t eligible, all_eligible = 0
    cdef int i, j, n
    cdef int samples = e.maxmemory_samples if e.maxmemory_samples < SAMPLES_MAX else SAMPLES_MAX
    for i in range(e.ks.db_count):
        db = &e.ks.dbs[i]
        eligible = db.volatile_count if is_volatile(e.maxmemory_policy) else db.keys
        if eligible == 0:
            continue
        all_eligible += eligible
        n = draw(e, db, drawn, samples)
        for j in range(n):
            offer(pool, db, drawn[j], score_of(e, drawn[j]))
    return all_eligible


cdef Choice best_of_pool(Engine e, Pool* pool) noexcept:
    """Take the best candidate that still exists out of the pool."""
    cdef Choice choice
    cdef Candidate* c
    cdef Slice key
    cdef int i
    choice.record = NULL
    for i in range(POOL_SIZE - 1, -1, -1):
        c = pool.order[i]
        if not c.taken:
            continue
        c.taken = False
        key.ptr = c.key
        key.len = c.klen
        choice.db = &e.ks.dbs[c.db]
        choice.record = ks_peek(&e.ks, choice.db, key)
        if is_volatile(e.maxmemory_policy) and choice.record != NULL:
            if not choice.record.state & FLAG_EXPIRES:
                choice.record = NULL
        if choice.record != NULL and score_of(e, choice.record) < c.score:
            choice.record = NULL        # used since it was drawn
        if choice.record != NULL:
            break
    return choice


# ---- choosing ----

cdef Choice by_luck(Engine e) noexcept:
    """A key of the next database that has one."""
    cdef Choice choice
    cdef int _i
    choice.record = NULL
    for _i in range(e.ks.db_count):
        e.evict_database = (e.evict_database + 1) % e.ks.db_count
        choice.db = &e.ks.dbs[e.evict_database]
        if e.maxmemory_policy == ALLKEYS_RANDOM:
            choice.record = ks_random(&e.ks, choice.db)
        elif choice.db.volatile_count:
            choice.record = choice.db.volatile_keys[random_u64(&e.ks.rng) % choice.db.volatile_count]
        if choice.record != NULL:
            break
    return choice


cdef Choice any_long_key(Engine e) noexcept:
    """A key too long for the pool: where only such are left, the first that is drawn."""
    cdef Choice choice
    cdef int i
    cdef Record* drawn[1]
    choice.record = NULL
    for i in range(e.ks.db_count):
        choice.db = &e.ks.dbs[i]
        if draw(e, choice.db, drawn, 1):
            choice.record = drawn[0]
            break
    return choice


cdef Choice choose(Engine e) noexcept:
    cdef Choice choice
    cdef Pool* pool
    cdef int _round
    if e.maxmemory_policy == ALLKEYS_RANDOM or e.maxmemory_policy == VOLATILE_RANDOM:
        return by_luck(e)
    pool = pool_of(e)
    choice.record = NULL
    for _round in range(4):     # the first may find nothing but candidates that are gone
        if fill_pool(e, pool) == 0:
            return choice
        choice = best_of_pool(e, pool)
        if choice.record != NULL:
            return choice
    return any_long_key(e)


cdef void evict_record(Engine e, Choice choice) noexcept:
    cdef Record* r = ks_take(&e.ks, choice.db, record_key_slice(choice.record))
    cdef Slice key = record_key_slice(r)
    e.stat_evicted += 1
    touch_watched(e, choice.db, key)
    if e.notify_flags & NOTIFY_EVICTED:
        notify(e, choice.db, NOTIFY_EVICTED, b"evicted", key)
    effect_aside(e, choice.db.id, b"UNLINK" if e.lazyfree_lazy_eviction else b"DEL", key)
    ks_dispose(&e.ks, r, e.lazyfree_lazy_eviction)


# ---- making room ----

cdef int64_t counted_bytes(Engine e) noexcept:
    return <int64_t>e.ks.heap.used + e.client_bytes


cdef int64_t limit_us_of(int tenacity) noexcept nogil:
    """Time for one go: 50 microseconds a step up to 10, then 15 per cent more each; 100: no limit."""
    if tenacity <= 10:
        return 50 * tenacity
    if tenacity < 100:
        return <int64_t>(500.0 * pow(1.15, tenacity - 10.0))
    return INT64_MAX


cdef void fits_again(Engine e, int64_t now_us) noexcept:
    e.evicting = False
    if e.eviction_exceeded_since_us:
        e.stat_eviction_exceeded_us += now_us - e.eviction_exceeded_since_us
        e.eviction_exceeded_since_us = 0


cdef bint make_room(Engine e) except? False:
    cdef Choice choice
    cdef int64_t start_us, limit_us
    cdef int evicted = 0
    if e.maxmemory == 0 or counted_bytes(e) <= e.maxmemory:
        if e.evicting or e.eviction_exceeded_since_us:
            fits_again(e, e.stopwatch() if e.stopwatch is not None else 0)
        return True
    if e.guard & (GUARD_LOADING | GUARD_PAUSED | GUARD_FENCED):
        return True
    if e.guard & GUARD_REPLICA and e.replica_ignore_maxmemory:
        return True
    while e.ks.lazy_first != NULL and counted_bytes(e) > e.maxmemory and evicted < 16:
        lazy_step(&e.ks, LAZY_SLICE)
        evicted += 1
    evicted = 0
    start_us = e.stopwatch() if e.stopwatch is not None else 0
    if e.eviction_exceeded_since_us == 0:
        e.eviction_exceeded_since_us = start_us
    limit_us = limit_us_of(e.maxmemory_eviction_tenacity)
    while counted_bytes(e) > e.maxmemory:
        if e.maxmemory_policy == NO_EVICTION:
            return e.ks.lazy_first != NULL and counted_bytes(e) - e.ks.lazy_bytes <= e.maxmemory
        choice = choose(e)
        if choice.record == NULL:
            e.evicting = False
            return False
        evict_record(e, choice)
        evicted += 1
        while e.ks.lazy_first != NULL and counted_bytes(e) > e.maxmemory and lazy_step(&e.ks, LAZY_SLICE):
            pass
        if evicted % KEYS_PER_CLOCK == 0 and e.stopwatch is not None and limit_us != INT64_MAX:
            if e.stopwatch() - start_us > limit_us:
                e.evicting = True
                return True
    fits_again(e, e.stopwatch() if e.stopwatch is not None else 0)
    return True


# ---- doors for the node ----

def set_policy(Engine e, str name, int log_factor=10, int decay_min=1):
    """Choose the maxmemory-policy by name, with lfu-log-factor and lfu-decay-time."""
    cdef Pool* pool = pool_of(e)
    cdef int i
    e.maxmemory_policy = POLICIES.index(name)
    e.ks.lfu = e.maxmemory_policy == ALLKEYS_LFU or e.maxmemory_policy == VOLATILE_LFU
    e.ks.lfu_log_factor = log_factor
    e.ks.lfu_decay_min = decay_min
    for i in range(POOL_SIZE):      # scores of one policy mean nothing to another
        pool.order[i].taken = False


def set_maxmemory(Engine e, int64_t limit_bytes):
    """Bound the memory that data and clients take; 0: no bound."""
    e.maxmemory = limit_bytes
    if limit_bytes:
        e.guard |= GUARD_MAXMEMORY
    else:
        e.guard &= ~GUARD_MAXMEMORY


def evict(Engine e):
    """Make room as before a command; False: the data does not fit and nothing may be evicted."""
    return bool(make_room(e))


def facts(Engine e):
    """Return what INFO tells of eviction."""
    cdef int64_t exceeded_us = 0
    if e.eviction_exceeded_since_us and e.stopwatch is not None:
        exceeded_us = e.stopwatch() - e.eviction_exceeded_since_us
    return {
        "evicted_keys": e.stat_evicted,
        "total_eviction_exceeded_time": (e.stat_eviction_exceeded_us + exceeded_us) // 1000,
        "current_eviction_exceeded_time": exceeded_us // 1000,
    }
