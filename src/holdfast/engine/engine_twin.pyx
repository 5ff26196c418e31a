"""A second data set beside an engine's own: loaded in the dark, then put in its place.

What it is: `twin_of` makes an engine without commands or clients whose values have the
same form and hash as the engine's; `swap_data` exchanges what the two hold in one
step. What it is not: loading.

A twin lives as long as its engine: tables that were built in it keep pointing at its
hash key.
"""

from holdfast.engine.databases cimport ks_flush
from holdfast.engine.events cimport touch_watched_database
from holdfast.engine.keyspace cimport Database
from holdfast.engine.state cimport Engine


def twin_of(Engine engine):
    """Return an empty engine for data that may later be this engine's."""
    cdef Engine twin = Engine(engine.ks.db_count, 1, engine.ks.dbs[0].tables > 1)
    twin.ks.seed = engine.ks.seed
    return twin


def follow_settings(Engine twin, Engine engine):
    """Give the twin the time and the thresholds that its values are to be built with."""
    twin.ks.now_ms = engine.ks.now_ms
    twin.ks.lru_clock = engine.ks.lru_clock
    twin.ks.lfu = engine.ks.lfu
    twin.hash_max_listpack_entries = engine.hash_max_listpack_entries
    twin.hash_max_listpack_value = engine.hash_max_listpack_value
    twin.set_max_intset_entries = engine.set_max_intset_entries
    twin.set_max_listpack_entries = engine.set_max_listpack_entries
    twin.set_max_listpack_value = engine.set_max_listpack_value
    twin.zset_max_listpack_entries = engine.zset_max_listpack_entries
    twin.zset_max_listpack_value = engine.zset_max_listpack_value
    twin.list_max_listpack_size = engine.list_max_listpack_size
    twin.list_compress_depth = engine.list_compress_depth


def swap_data(Engine engine, Engine twin, size_t empty_bytes):
    """Put the twin's data in the place of the engine's, whose own are freed between ticks.

    `empty_bytes` is what an empty twin uses. Watched keys count as changed; a running snapshot
    gets first what it lacks.
    """
    cdef Database held
    cdef size_t used
    cdef int i
    if engine.ks.db_count != twin.ks.db_count or engine.ks.dbs[0].tables != twin.ks.dbs[0].tables:
        raise ValueError("not a twin of this engine")
    for i in range(engine.ks.db_count):
        touch_watched_database(engine, &engine.ks.dbs[i], &twin.ks.dbs[i])
        ks_flush(&engine.ks, &engine.ks.dbs[i], True)
        held = engine.ks.dbs[i]
        engine.ks.dbs[i] = twin.ks.dbs[i]
        twin.ks.dbs[i] = held
    used = engine.ks.heap.used + twin.ks.heap.used
    engine.ks.heap.used = used - empty_bytes
    twin.ks.heap.used = empty_bytes


def empty(Engine engine, bint lazily):
    """Free all data of an engine, at once or between ticks."""
    cdef int i
    for i in range(engine.ks.db_count):
        touch_watched_database(engine, &engine.ks.dbs[i], NULL)
        ks_flush(&engine.ks, &engine.ks.dbs[i], lazily)
