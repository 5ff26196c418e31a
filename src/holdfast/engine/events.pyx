"""Changed keys: what WATCH, key-space notifications and counters hear of it.

What it is: the fan-out of one change. What it is not: propagation to replicas
and AOF (`effects`). `Engine.watchers` maps (database, key) to the sessions that
watch it; messages go to channel, then pattern subscribers, in the order in
which they subscribed (https://redis.io/docs/manual/keyspace-notifications/).
"""

from libc.stdint cimport int64_t, uint32_t
from holdfast.engine.buf cimport Slice, slice_bytes, slice_of
from holdfast.engine.glob cimport glob_match
from holdfast.engine.keyspace cimport Database, ks_peek
from holdfast.engine.reply cimport reply_bulk, reply_push, wake
from holdfast.engine.state cimport S_DIRTY_CAS, Engine, Session


cdef void changed(Session s, Slice key, uint32_t event_class, const char* event, int64_t count) noexcept:
    cdef Engine e = s.engine
    e.dirty += count
    if len(<dict>e.watchers):
        touch_watched(e, s.db, key)
    if event != NULL and e.notify_flags & event_class:
        notify(e, s.db, event_class, event, key)


cdef void touch_watched(Engine e, Database* db, Slice key) noexcept:
    cdef Session watcher
    if not e.watchers:
        return
    found = e.watchers.get((db.id, slice_bytes(key)))
    if found:
        for watcher in found:
            watcher.flags |= S_DIRTY_CAS


cdef void touch_watched_database(Engine e, Database* db, Database* other) noexcept:
    """Every key of a database is about to change (FLUSHDB, SWAPDB): watched keys that exist do.

    With SWAPDB a key that exists in the other database changes as well.
    """
    cdef Session watcher
    cdef bytes name
    cdef Slice key
    for (number, name), found in e.watchers.items():
        if number != db.id:
            continue
        key = slice_of(name)
        if ks_peek(&e.ks, db, key) != NULL or (other != NULL and ks_peek(&e.ks, other, key) != NULL):
            for watcher in found:
                watcher.flags |= S_DIRTY_CAS


cdef void notify(Engine e, Database* db, uint32_t event_class, const char* event, Slice key) noexcept:
    cdef bytes name
    if not e.notify_flags & event_class:
        return
    name = slice_bytes(key)
    if e.notify_flags & NOTIFY_KEYSPACE:
        publish(e, b"__keyspace@%d__:%s" % (db.id, name), <bytes>event, False)
    if e.notify_flags & NOTIFY_KEYEVENT:
        publish(e, b"__keyevent@%d__:%s" % (db.id, <bytes>event), name, False)


cdef void deliver(Session to, bytes kind, bytes pattern, bytes channel, bytes message) noexcept:
    reply_push(to, 3 if pattern is None else 4)
    reply_bulk(to, kind, len(kind))
    if pattern is not None:
        reply_bulk(to, pattern, len(pattern))
    reply_bulk(to, channel, len(channel))
    reply_bulk(to, message, len(message))
    wake(to)


cdef int publish(Engine e, bytes channel, bytes message, bint sharded) except -1:
    cdef Session to
    cdef bytes pattern
    cdef int receivers = 0
    found = (e.shard_channels if sharded else e.channels).get(channel)
    if found:
        for to in list(found):
            deliver(to, b"smessage" if sharded else b"message", None, channel, message)
            receivers += 1
    if sharded or not e.patterns:
        return receivers
    for pattern, subscribers in list(e.patterns.items()):
        if glob_match(pattern, len(pattern), channel, len(channel), False):
            for to in list(subscribers):
                deliver(to, b"pmessage", pattern, channel, message)
                receivers += 1
    return receivers


def publish_message(Engine engine, bytes channel, bytes message, bint sharded=False):
    """Deliver a message to the subscribers on this node; return how many got it."""
    return publish(engine, channel, message, sharded)
