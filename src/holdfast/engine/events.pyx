"""Changed keys: what WATCH, key-space notifications and counters hear of it.

What it is: the fan-out of one change, and the tables of those who listen. What
it is not: propagation to replicas and AOF (`effects`), or the commands that
subscribe. `Engine.watchers` maps (database, key) to the sessions that watch it
and to whether the key had expired when they began; messages go to channel, then
pattern subscribers, in the order in which they subscribed
(https://redis.io/docs/manual/keyspace-notifications/). A message is encoded
once, however many get it.

A push to the very session whose command causes it follows the reply of that
command: it waits in `Engine.delayed_pushes`.
"""

from libc.stdint cimport int64_t, uint32_t
from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_free, slice_bytes, slice_of
from holdfast.engine.glob cimport glob_match
from holdfast.engine.keyspace cimport Database, ks_is_expired, ks_peek
from holdfast.engine.numbers cimport format_int64
from holdfast.engine.record cimport Record
from holdfast.engine.reply cimport wake
from holdfast.engine.state cimport GUARD_SUBSCRIBED, S_DIRTY_CAS, S_EXECUTING, S_PUBSUB, Engine, Session


cdef void changed(Session s, Slice key, uint32_t event_class, const char* event, int64_t count) noexcept:
    cdef Engine e = s.engine
    e.dirty += count
    if len(<dict>e.watchers):
        touch_watched(e, s.db, key)
    if event != NULL and e.notify_flags & event_class:
        notify(e, s.db, event_class, event, key)


# ---- WATCH ----

cdef void touch_watched(Engine e, Database* db, Slice key) noexcept:
    cdef Session watcher
    if not e.watchers:
        return
    found = e.watchers.get((db.id, slice_bytes(key)))
    if found:
        for watcher, expired in found.items():
            if expired and ks_peek(&e.ks, db, key) == NULL:
                found[watcher] = False      # it had expired before: its deletion changes nothing
            else:
                watcher.flags |= S_DIRTY_CAS


cdef void touch_watched_database(Engine e, Database* db, Database* other) noexcept:
    """Every key of a database is about to change (FLUSHDB, SWAPDB): watched keys that exist do.

    With SWAPDB a key that exists in the other database changes as well.
    """
    cdef Session watcher
    cdef Record* r
    cdef Record* replacing
    for (number, name), found in e.watchers.items():
        if number != db.id:
            continue
        r = ks_peek(&e.ks, db, slice_of(name))
        replacing = ks_peek(&e.ks, other, slice_of(name)) if other != NULL else NULL
        if r == NULL and replacing == NULL:
            continue
        for watcher, expired in found.items():
            if expired and replacing == NULL:
                found[watcher] = False
            elif not expired or not ks_is_expired(&e.ks, replacing):
                watcher.flags |= S_DIRTY_CAS


cdef int watch(Session s, Slice key) except -1:
    cdef Engine e = s.engine
    cdef Record* r
    cdef tuple place = (s.db.id, slice_bytes(key))
    if s.watched is None:
        s.watched = []
    if place in s.watched:
        return 0
    s.watched.append(place)
    r = ks_peek(&e.ks, s.db, key)
    e.watchers.setdefault(place, {})[s] = r != NULL and ks_is_expired(&e.ks, r)
    return 0


cdef int unwatch(Session s) except -1:
    cdef Engine e = s.engine
    s.flags &= ~S_DIRTY_CAS
    if s.watched is None:
        return 0
    for place in s.watched:
        found = e.watchers.get(place)
        if found is not None:
            found.pop(s, None)
            if not found:
                del e.watchers[place]
    s.watched = None
    return 0


cdef bint watched_key_expired(Session s) except -1:
    cdef Engine e = s.engine
    cdef Record* r
    if s.watched is None:
        return False
    for place in s.watched:
        if e.watchers[place][s]:
            continue
        r = ks_peek(&e.ks, &e.ks.dbs[<int>place[0]], slice_of(place[1]))
        if r != NULL and ks_is_expired(&e.ks, r):
            return True
    return False


# ---- key-space notifications ----

cdef void notify(Engine e, Database* db, uint32_t event_class, const char* event, Slice key) noexcept:
    cdef bytes name
    if not e.notify_flags & event_class:
        return
    name = slice_bytes(key)
    if e.notify_flags & NOTIFY_KEYSPACE:
        publish(e, b"__keyspace@%d__:%s" % (db.id, name), <bytes>event, False)
    if e.notify_flags & NOTIFY_KEYEVENT:
        publish(e, b"__keyevent@%d__:%s" % (db.id, <bytes>event), name, False)


# ---- subscribers ----

cdef bint subscribe(dict table, dict own, bytes name, Session s):
    if name in own:
        return False
    own[name] = None
    subscribers = table.get(name)
    if subscribers is None:
        table[name] = {s: None}
    else:
        subscribers[s] = None
    return True


cdef bint unsubscribe(dict table, dict own, bytes name, Session s):
    if own is None or name not in own:
        return False
    del own[name]
    subscribers = table[name]
    del subscribers[s]
    if not subscribers:
        del table[name]
    return True


cdef void update_subscribed(Session s) noexcept:
    if s.channels or s.patterns or s.shard_channels:
        s.flags |= S_PUBSUB
        if s.resp == 2:
            s.guard |= GUARD_SUBSCRIBED
            return
    else:
        s.flags &= ~S_PUBSUB
    s.guard &= ~GUARD_SUBSCRIBED


cdef void encode_bulk(Buf* frame, const char* p, size_t n) noexcept:
    cdef char text[32]
    cdef size_t k
    text[0] = c'$'
    k = 1 + format_int64(text + 1, n)
    text[k] = c'\r'
    text[k + 1] = c'\n'
    buf_append(frame, text, k + 2)
    buf_append(frame, p, n)
    buf_append(frame, b"\r\n", 2)


cdef void deliver(Engine e, Session to, Buf* frame) noexcept:
    frame.ptr[0] = c'>' if to.resp == 3 else c'*'
    if to is e.current or to.flags & S_EXECUTING:
        e.delayed_pushes.append((to, frame.ptr[:frame.len]))
        return
    buf_append(&to.out, frame.ptr, frame.len)
    wake(to)


cdef int release_pushes(Engine e) except -1:
    cdef Session to
    cdef bytes frame
    for to, frame in e.delayed_pushes:
        buf_append(&to.out, frame, len(frame))
        wake(to)
    e.delayed_pushes = []
    return 0


cdef int publish(Engine e, bytes channel, bytes message, bint sharded) except -1:
    cdef Session to
    cdef bytes pattern
    cdef int receivers = 0
    cdef Buf frame
    frame.ptr = NULL
    frame.len = 0
    frame.cap = 0
    found = (e.shard_channels if sharded else e.channels).get(channel)
    if found:
        buf_append(&frame, b"*3\r\n", 4)
        if sharded:
            encode_bulk(&frame, b"smessage", 8)
        else:
            encode_bulk(&frame, b"message", 7)
        encode_bulk(&frame, channel, len(channel))
        encode_bulk(&frame, message, len(message))
        for to in found:
            deliver(e, to, &frame)
            receivers += 1
    if e.patterns and not sharded:
        for pattern, subscribers in e.patterns.items():
            if glob_match(pattern, len(pattern), channel, len(channel), False):
                frame.len = 0
                buf_append(&frame, b"*4\r\n", 4)
                encode_bulk(&frame, b"pmessage", 8)
                encode_bulk(&frame, pattern, len(pattern))
                encode_bulk(&frame, channel, len(channel))
                encode_bulk(&frame, message, len(message))
                for to in subscribers:
                    deliver(e, to, &frame)
                    receivers += 1
    buf_free(&frame)
    return receivers


def publish_message(Engine engine, bytes channel, bytes message, bint sharded=False):
    """Deliver a message to the subscribers on this node; return how many got it."""
    return publish(engine, channel, message, sharded)


def leave(Session session):
    """Forget what a session watches and listens to (its end, RESET)."""
    cdef Engine e = session.engine
    cdef bytes name
    unwatch(session)
    for table, own in (
        (e.channels, session.channels), (e.patterns, session.patterns),
        (e.shard_channels, session.shard_channels),
    ):
        for name in list(own or ()):
            unsubscribe(table, own, name, session)
    update_subscribed(session)
