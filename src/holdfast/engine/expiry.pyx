"""The end of keys whose time is over: what is told of it, and the cycle that looks for them.

What it is: the engine's side of expiry. Wherever the keyspace deletes an
expired record it calls `on_expired` first: the deletion is propagated (DEL, or
UNLINK with lazyfree-lazy-expire), watched keys are touched, "expired" is
published. `expire_cycle` finds expired keys that nobody asks for.

What it is not: the decision whether keys may be deleted here and now. Replicas,
paused and fenced nodes hide expired keys and delete none; their primary does.

How to read it: `expire_cycle` draws `KEYS_PER_LOOP` keys of a database; while
too many of them had expired it draws again, until the time is over. All keys
that expire stand in `Database.volatile_keys`, so drawing is reading from a
place on; a deletion moves the last key into the gap.
"""

from libc.math cimport pow
from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.effects cimport effect_aside
from holdfast.engine.events cimport NOTIFY_EXPIRED, NOTIFY_KEY_MISS, NOTIFY_NEW, notify, touch_watched
from holdfast.engine.keyspace cimport EXPIRY_DELETE, LAZY_EXPIRE, Database, ks_drop_expired
from holdfast.engine.record cimport Record, expires_at, record_key_slice
from holdfast.engine.state cimport GUARD_FENCED, GUARD_LOADING, GUARD_PAUSED, GUARD_REPLICA, Engine

cdef enum:
    KEYS_PER_LOOP = 20
    ACCEPTABLE_STALE_PERCENT = 10
    FAST_US = 1000
    DATABASES_PER_CYCLE = 16
    LOOPS_PER_CLOCK = 16        # the stopwatch is read once in so many loops
    MAY_NOT_DELETE = GUARD_LOADING | GUARD_REPLICA | GUARD_PAUSED | GUARD_FENCED


# ---- what the keyspace tells ----

cdef void on_expired(void* owner, Database* db, Record* r) noexcept:
    cdef Engine e = <Engine>owner
    cdef Slice key = record_key_slice(r)
    effect_aside(e, db.id, b"UNLINK" if e.ks.lazy_flags & LAZY_EXPIRE else b"DEL", key)
    touch_watched(e, db, key)
    if e.notify_flags & NOTIFY_EXPIRED:
        notify(e, db, NOTIFY_EXPIRED, b"expired", key)


cdef void on_missed(void* owner, Database* db, Slice key) noexcept:
    cdef Engine e = <Engine>owner
    if e.notify_flags & NOTIFY_KEY_MISS:
        notify(e, db, NOTIFY_KEY_MISS, b"keymiss", key)


cdef void on_created(void* owner, Database* db, Slice key) noexcept:
    cdef Engine e = <Engine>owner
    if e.notify_flags & NOTIFY_NEW:
        notify(e, db, NOTIFY_NEW, b"new", key)


cdef int install_expiry(Engine e) except -1:
    e.ks.hooks.expired = on_expired
    e.ks.hooks.missed = on_missed
    e.ks.hooks.created = on_created
    return 0


# ---- the cycle ----

cdef struct Tally:
    int64_t sampled
    int64_t expired
    int64_t ttl_sum_ms
    int64_t ttl_samples


cdef int64_t now_us(Engine e) except -1:
    return e.stopwatch() if e.stopwatch is not None else 0


cdef void sample(Engine e, Database* db, size_t keys, Tally* loop) noexcept:
    """Look at the next `keys` keys that expire."""
    cdef Record* r
    cdef int64_t left_ms
    while keys and db.volatile_count:
        keys -= 1
        if db.expire_cursor == 0 or db.expire_cursor > db.volatile_count:
            db.expire_cursor = db.volatile_count
        db.expire_cursor -= 1           # downwards: a deletion fills its gap with a key seen before
        r = db.volatile_keys[db.expire_cursor]
        left_ms = expires_at(r) - e.ks.now_ms
        loop.sampled += 1
        if left_ms < 0:
            ks_drop_expired(&e.ks, db, r)
            loop.expired += 1
        else:
            loop.ttl_sum_ms += left_ms
            loop.ttl_samples += 1


cdef void average(Database* db, Tally* seen, int loops) noexcept nogil:
    """A running average of times to live: each loop weighs two per cent."""
    cdef double ttl_ms
    if seen.ttl_samples == 0:
        return
    ttl_ms = <double>seen.ttl_sum_ms / seen.ttl_samples
    if db.avg_ttl_ms == 0:
        db.avg_ttl_ms = ttl_ms
    else:
        db.avg_ttl_ms = ttl_ms + (db.avg_ttl_ms - ttl_ms) * pow(0.98, loops)


cdef bint expire_in(Engine e, Database* db, int64_t until_us, Tally* total) except? False:
    """Sample a database until little of it has expired; False: the time is over."""
    cdef int effort = e.active_expire_effort - 1
    cdef size_t keys = KEYS_PER_LOOP + KEYS_PER_LOOP // 4 * effort
    cdef int64_t stale_percent = ACCEPTABLE_STALE_PERCENT - effort
    cdef size_t left = db.volatile_count    # once round and no further
    cdef Tally loop, seen
    cdef int loops = 0
    cdef bint in_time = True
    seen.ttl_sum_ms = seen.ttl_samples = 0
    while left:
        loops += 1
        loop.sampled = loop.expired = loop.ttl_sum_ms = loop.ttl_samples = 0
        sample(e, db, keys if keys < left else left, &loop)
        left -= keys if keys < left else left
        total.sampled += loop.sampled
        total.expired += loop.expired
        seen.ttl_sum_ms += loop.ttl_sum_ms
        seen.ttl_samples += loop.ttl_samples
        if loop.sampled == 0 or loop.expired * 100 <= stale_percent * loop.sampled:
            break
        if loops % LOOPS_PER_CLOCK == 0 and now_us(e) >= until_us and e.stopwatch is not None:
            in_time = False
            break
    if db.volatile_count == 0:
        db.avg_ttl_ms = 0
    else:
        average(db, &seen, loops)
    return in_time


cpdef int64_t expire_cycle(Engine e, int64_t limit_us) except -1:
    cdef Tally total
    cdef Database* db
    cdef int64_t start_us
    cdef int _i, done = 0
    cdef int wanted = e.ks.db_count if e.expire_cut else DATABASES_PER_CYCLE
    total.sampled = total.expired = 0
    if not e.active_expire or e.guard & MAY_NOT_DELETE or e.ks.expiry_mode != EXPIRY_DELETE:
        return 0
    start_us = now_us(e)
    e.expire_cut = False
    for _i in range(e.ks.db_count):
        db = &e.ks.dbs[e.expire_database % e.ks.db_count]
        e.expire_database = (e.expire_database + 1) % e.ks.db_count
        if db.volatile_count == 0:
            db.avg_ttl_ms = 0
            continue
        if not expire_in(e, db, start_us + limit_us, &total):
            e.expire_cut = True
            e.stat_expired_time_cap += 1
            break
        done += 1
        if done == wanted:
            break
    e.stat_expire_cycle_us += now_us(e) - start_us
    e.expired_stale_perc = e.expired_stale_perc * 0.95
    if total.sampled:
        e.expired_stale_perc += 0.05 * (<double>total.expired / total.sampled)
    return total.expired


cpdef int64_t expire_fast(Engine e) except -1:
    cdef int effort = e.active_expire_effort - 1
    cdef int64_t limit_us = FAST_US + FAST_US // 4 * effort
    cdef int64_t start_us
    if not e.expire_cut and e.expired_stale_perc * 100 < ACCEPTABLE_STALE_PERCENT - effort:
        return 0
    start_us = now_us(e)
    if start_us < e.last_fast_expire_us + limit_us * 2:
        return 0
    e.last_fast_expire_us = start_us
    return expire_cycle(e, limit_us)


def facts(Engine e):
    """Return what INFO tells of expiry."""
    return {
        "expired_keys": e.ks.expired,
        "expired_stale_perc": e.expired_stale_perc * 100,
        "expired_time_cap_reached_count": e.stat_expired_time_cap,
        "expire_cycle_cpu_milliseconds": e.stat_expire_cycle_us // 1000,
    }
