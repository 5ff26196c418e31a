"""Commands on whole databases: how much, which keys, empty, exchange.

What it is not: walking in steps (`scan`). KEYS and FLUSHALL SYNC take as long
as there are keys, as in Redis. The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from holdfast.commands.options cimport arg_is
from holdfast.engine.blocking cimport signal_ready
from holdfast.engine.buf cimport Slice, slice_of
from holdfast.engine.databases cimport ks_flush, ks_swap
from holdfast.engine.effects cimport effect_begin, effect_slice
from holdfast.engine.events cimport touch_watched_database
from holdfast.engine.glob cimport glob_match
from holdfast.engine.keyspace cimport (
    EXPIRY_DELETE, Database, ks_drop_expired, ks_is_expired, ks_peek, ks_random)
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport FLAG_EXPIRES, Record, record_key_slice
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array_at, reply_error, reply_int, reply_later, reply_null, reply_ok, reply_slice,
    reply_syntax_error)
from holdfast.engine.state cimport GUARD_CLUSTER, S_LOADER, Call, Engine, Session
from holdfast.engine.table cimport Table, TableCursor, table_walk, table_walk_next

from holdfast.commands.spec import Spec

cdef enum:
    RANDOM_TRIES = 100      # RANDOMKEY where expired keys may not be deleted


cdef int dbsize(Session s, Call* c) except -1:
    reply_int(s, <int64_t>s.db.keys)
    return 0


# ---- which keys ----

cdef bint is_plain(Slice pattern) noexcept nogil:
    """Whether a pattern has no wildcard, so that it matches itself alone."""
    cdef size_t i
    cdef char c
    for i in range(pattern.len):
        c = pattern.ptr[i]
        if c == c'*' or c == c'?' or c == c'[' or c == c'\\':
            return False
    return True


cdef size_t tell_table(Session s, Table* t, Slice pattern) noexcept:
    cdef Engine e = s.engine
    cdef TableCursor walk
    cdef Record* r
    cdef Slice key
    cdef size_t told = 0
    table_walk(t, &walk)
    r = <Record*>table_walk_next(&walk)
    while r != NULL:
        key = record_key_slice(r)
        if glob_match(pattern.ptr, pattern.len, key.ptr, key.len, False):
            if not (r.state & FLAG_EXPIRES and ks_is_expired(&e.ks, r)):
                reply_slice(s, key)
                told += 1
        r = <Record*>table_walk_next(&walk)
    return told


cdef int keys(Session s, Call* c) except -1:
    """Expired keys are left out; they end with the expiry cycle, so that the walk is undisturbed."""
    cdef Slice pattern = c.argv[1]
    cdef Record* r
    cdef size_t at = reply_later(s)
    cdef size_t told = 0
    cdef int i
    if is_plain(pattern):
        r = ks_peek(&s.engine.ks, s.db, pattern)
        if r != NULL and not ks_is_expired(&s.engine.ks, r):
            reply_slice(s, pattern)
            told = 1
    else:
        for i in range(s.db.tables):
            told += tell_table(s, &s.db.table[i], pattern)
    reply_array_at(s, at, told)
    return 0


cdef int randomkey(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Record* r
    cdef int tries = RANDOM_TRIES
    while True:
        r = ks_random(&e.ks, s.db)
        if r == NULL:
            reply_null(s)
            return 0
        if not ks_is_expired(&e.ks, r):
            break
        if e.ks.expiry_mode == EXPIRY_DELETE:
            ks_drop_expired(&e.ks, s.db, r)
            continue
        tries -= 1
        if tries <= 0 and s.db.volatile_count == s.db.keys:
            break
    reply_slice(s, record_key_slice(r))
    return 0


# ---- emptying ----

cdef bint parse_flush(Session s, Call* c, bint* lazily) noexcept:
    lazily[0] = s.engine.lazyfree_lazy_user_flush
    if c.argc == 1:
        return True
    if c.argc == 2 and arg_is(c.argv[1], b"sync"):
        lazily[0] = False
        return True
    if c.argc == 2 and arg_is(c.argv[1], b"async"):
        lazily[0] = True
        return True
    reply_syntax_error(s)
    return False


cdef void empty(Engine e, Database* db, bint lazily) noexcept:
    if db.keys:
        e.dirty += <int64_t>db.keys
        touch_watched_database(e, db, NULL)
        ks_flush(&e.ks, db, lazily)


cdef void propagate(Session s, Call* c) noexcept:
    """Emptying is told even if nothing was there: a reader of the stream may know keys that expired here."""
    cdef int i
    effect_begin(s.engine, s.db.id, c.argc)
    for i in range(c.argc):
        effect_slice(s.engine, c.argv[i])


cdef int flushdb(Session s, Call* c) except -1:
    cdef bint lazily
    if not parse_flush(s, c, &lazily):
        return 0
    empty(s.engine, s.db, lazily)
    propagate(s, c)
    reply_ok(s)
    return 0


cdef int flushall(Session s, Call* c) except -1:
    cdef bint lazily
    cdef int i
    cdef Engine e = s.engine
    if not parse_flush(s, c, &lazily):
        return 0
    for i in range(e.ks.db_count):
        empty(e, &e.ks.dbs[i], lazily)
    e.dirty += 1
    propagate(s, c)
    if not s.flags & S_LOADER:
        emptied = getattr(e.node, "emptied", None)      # a node has files, an engine alone has none
        if emptied is not None:
            emptied()
    reply_ok(s)
    return 0


# ---- exchanging ----

cdef void signal_all(Engine e, Database* db) noexcept:
    """Sessions may wait for keys that a database has only now."""
    cdef Slice key
    for place in list(e.blocked_keys):
        if place[0] == db.id:
            key = slice_of(place[1])
            if ks_peek(&e.ks, db, key) != NULL:
                signal_ready(e, db, key)


cdef int swapdb(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef int64_t first, second
    cdef Database* a
    cdef Database* b
    if e.guard & GUARD_CLUSTER:
        reply_error(s, b"ERR SWAPDB is not allowed in cluster mode")
        return 0
    if not parse_int64(c.argv[1].ptr, c.argv[1].len, &first) or first != <int>first:
        reply_error(s, b"ERR invalid first DB index")
        return 0
    if not parse_int64(c.argv[2].ptr, c.argv[2].len, &second) or second != <int>second:
        reply_error(s, b"ERR invalid second DB index")
        return 0
    if not (0 <= first < e.ks.db_count and 0 <= second < e.ks.db_count):
        reply_error(s, b"ERR DB index is out of range")
        return 0
    if first != second:
        a = &e.ks.dbs[first]
        b = &e.ks.dbs[second]
        touch_watched_database(e, a, b)
        touch_watched_database(e, b, a)
        ks_swap(&e.ks, a, b)
        signal_all(e, a)
        signal_all(e, b)
    e.dirty += 1
    reply_ok(s)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    everywhere = ("request_policy:all_shards", "response_policy:all_succeeded")
    command(e, dbsize, Spec(
        "dbsize", 1, "readonly fast", (0, 0, 0), "server", "1.0.0", "Return the number of keys.", "O(1)",
        categories="keyspace", tips=("request_policy:all_shards", "response_policy:agg_sum")))
    command(e, keys, Spec(
        "keys", 2, "readonly", (0, 0, 0), "generic", "1.0.0", "Return the keys that match a pattern.",
        "O(N) over all keys.", categories="dangerous",
        tips=("request_policy:all_shards", "nondeterministic_output_order")))
    command(e, randomkey, Spec(
        "randomkey", 1, "readonly", (0, 0, 0), "generic", "1.0.0", "Return a key drawn by luck.", "O(1)",
        tips=("request_policy:all_shards", "response_policy:special", "nondeterministic_output")))
    command(e, flushdb, Spec(
        "flushdb", -1, "write", (0, 0, 0), "server", "1.0.0", "Delete all keys of the database.",
        "O(N) over its keys.", categories="keyspace dangerous", tips=everywhere))
    command(e, flushall, Spec(
        "flushall", -1, "write", (0, 0, 0), "server", "1.0.0", "Delete all keys of all databases.",
        "O(N) over all keys.", categories="keyspace dangerous", tips=everywhere))
    command(e, swapdb, Spec(
        "swapdb", 3, "write fast", (0, 0, 0), "server", "4.0.0", "Exchange what two databases hold.",
        "O(N) over the clients that watch or wait.", categories="keyspace dangerous"))
    return 0
