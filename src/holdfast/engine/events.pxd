# Changed keys: what WATCH, key-space notifications and counters hear of it.

from libc.stdint cimport int64_t, uint32_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport Database
from holdfast.engine.state cimport Engine, Session

cdef enum NotifyFlag:       # as notify-keyspace-events names them
    NOTIFY_KEYSPACE = 1 << 0    # K
    NOTIFY_KEYEVENT = 1 << 1    # E
    NOTIFY_GENERIC = 1 << 2     # g
    NOTIFY_STRING = 1 << 3      # $
    NOTIFY_LIST = 1 << 4        # l
    NOTIFY_SET = 1 << 5         # s
    NOTIFY_HASH = 1 << 6        # h
    NOTIFY_ZSET = 1 << 7        # z
    NOTIFY_EXPIRED = 1 << 8     # x
    NOTIFY_EVICTED = 1 << 9     # e
    NOTIFY_STREAM = 1 << 10     # t
    NOTIFY_KEY_MISS = 1 << 11   # m
    NOTIFY_LOADED = 1 << 12
    NOTIFY_MODULE = 1 << 13     # d
    NOTIFY_NEW = 1 << 14        # n

# The one call a handler makes after it changed a key: counts `count` changes,
# touches WATCH, publishes the event (NULL: no event).
cdef void changed(Session s, Slice key, uint32_t event_class, const char* event, int64_t count) noexcept
# The parts of it, where one call does not fit.
cdef void touch_watched(Engine e, Database* db, Slice key) noexcept
# Before FLUSHDB (other: NULL) or SWAPDB.
cdef void touch_watched_database(Engine e, Database* db, Database* other) noexcept
cdef void notify(Engine e, Database* db, uint32_t event_class, const char* event, Slice key) noexcept

# ---- WATCH ----
cdef int watch(Session s, Slice key) except -1
cdef int unwatch(Session s) except -1
# Whether a key that was alive when it was watched has expired since.
cdef bint watched_key_expired(Session s) except -1

# ---- subscribers ----
# Deliver a message; how many sessions got it.
cdef int publish(Engine e, bytes channel, bytes message, bint sharded) except -1
# Append the pushes that waited for the end of the running command.
cdef int release_pushes(Engine e) except -1
# True: was not subscribed before (was, for the second).
cdef bint subscribe(dict table, dict own, bytes name, Session s)
cdef bint unsubscribe(dict table, dict own, bytes name, Session s)
# Set S_PUBSUB and GUARD_SUBSCRIBED as subscriptions and protocol say (also after HELLO).
cdef void update_subscribed(Session s) noexcept
