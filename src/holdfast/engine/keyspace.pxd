# The keyspace: databases of records, and when these expire.
#
# Plain structs and nogil functions over them. Nothing here knows sessions,
# commands or sockets; `Keyspace.hooks` is how the engine hears of expiry.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.checksum cimport key_slot
from holdfast.engine.heap cimport Heap
from holdfast.engine.record cimport FLAG_WALKED, Record
from holdfast.engine.table cimport HashKey, Table

cdef enum:
    PREFETCH_MAX = 16       # keys of one ks_prefetch
    GROUP_BITS = 7          # slots in a group of Database.group_keys: 128 groups of 128
    GROUPS = 16384 >> GROUP_BITS

cdef struct Database:
    int id
    int tables          # 1, or 16384 in cluster mode (one a slot)
    Table* table
    size_t keys
    Record** volatile_keys  # every record that expires, in no order
    size_t volatile_count
    size_t volatile_cap
    double avg_ttl_ms
    size_t expire_cursor
    uint32_t* group_keys    # cluster mode: keys in each run of 128 slots, for a fair draw; else NULL
    # The slot of one key, where a request has found it already: these very bytes, while it runs.
    const char* known_key   # NULL: none is known
    size_t known_len
    int known_slot

cdef enum ExpiryMode:
    EXPIRY_DELETE = 0   # an expired key is deleted when it is met
    EXPIRY_HIDE = 1     # it is hidden, not deleted (replica, paused)
    EXPIRY_IGNORE = 2   # it is there (stream from a primary, loading)

cdef struct Hooks:
    void* owner
    # Called before an expired record is deleted.
    void (*expired)(void* owner, Database* db, Record* r) noexcept
    # Called before a record that the running snapshot lacks is changed or deleted.
    void (*before_write)(void* owner, Database* db, Record* r) noexcept nogil
    # A read found nothing; a key that was not there has been added.
    void (*missed)(void* owner, Database* db, Slice key) noexcept
    void (*created)(void* owner, Database* db, Slice key) noexcept

cdef enum LazyFlag:         # what Keyspace.lazy_flags frees between ticks instead of at once
    LAZY_EXPIRE = 1 << 0    # lazyfree-lazy-expire
    LAZY_OVERWRITE = 1 << 1  # lazyfree-lazy-server-del

cdef enum:
    DETACHED_RECORDS = 15   # Detached.kind: a Table of records (of a flushed database)

cdef struct Detached:       # a value that is out of the keyspace and waits to be freed (see lazyfree)
    Detached* next
    int kind
    void* ptr
    size_t at               # progress: the next bucket
    int64_t bytes           # an estimate, for Keyspace.lazy_bytes
    size_t objects          # how many it counts for in lazyfree_pending_objects

cdef struct Keyspace:
    Heap heap
    HashKey seed
    uint64_t rng
    Database* dbs
    int db_count
    int64_t now_ms          # set once a tick
    int expiry_mode
    uint32_t lru_clock      # 24 bits, seconds
    bint lfu                # maxmemory-policy is an LFU one
    bint no_touch           # CLIENT NO-TOUCH, and reads by the server itself
    int lfu_log_factor
    int lfu_decay_min
    bint walking            # a snapshot walk is under way
    uint8_t walk_mark       # 0 or FLAG_WALKED: what a record that the walk has carries
    uint64_t hits
    uint64_t misses
    uint64_t expired
    int64_t lazy_bytes      # an estimate of the values waiting to be freed between ticks
    Hooks hooks
    uint8_t lazy_flags
    Detached* lazy_first    # values waiting to be freed between ticks, oldest first
    Detached* lazy_last
    uint64_t lazy_pending   # objects in them
    uint64_t lazy_freed     # objects freed so, since start


# The table that holds the key: the only one, or its slot's.
cdef Table* table_of(Database* db, const char* p, size_t n) noexcept nogil


cdef inline int slot_of(Database* db, const char* p, size_t n) noexcept nogil:
    if p == db.known_key and n == db.known_len:
        return db.known_slot
    return key_slot(p, n)


cdef inline void know_slot(Database* db, Slice key, int slot) noexcept nogil:
    """Remember a slot; `db.known_key = NULL` forgets it before the bytes change."""
    db.known_key = key.ptr
    db.known_len = key.len
    db.known_slot = slot


# ---- finding (a Record* is good until the next keyspace call) ----
# As it stands: no expiry, no touch.
cdef Record* ks_peek(Keyspace* ks, Database* db, Slice key) noexcept
# For a read: expired keys are gone, the access is counted, LRU/LFU touched.
cdef Record* ks_read(Keyspace* ks, Database* db, Slice key) noexcept
# For a write: expired keys are gone, a running snapshot takes its copy first.
cdef Record* ks_write(Keyspace* ks, Database* db, Slice key) noexcept
# Let the cache fetch what `count` keys (at most PREFETCH_MAX, every `step`-th slice) need, all at once.
# In cluster mode their slots go to `slots`, unless it is NULL.
cdef void ks_prefetch(Database* db, Slice* keys, int count, int step, int* slots) noexcept nogil
cdef bint ks_is_expired(Keyspace* ks, Record* r) noexcept nogil


cdef inline void ks_before_write(Keyspace* ks, Database* db, Record* r) noexcept nogil:
    """Let a running snapshot take its copy, if it lacks the record."""
    if ks.walking and (r.state & FLAG_WALKED) != ks.walk_mark:
        ks.hooks.before_write(ks.hooks.owner, db, r)
        r.state = <uint8_t>((r.state & ~FLAG_WALKED) | ks.walk_mark)


# ---- changing ----
# A new or replaced string; its expiry is at_ms (-1: none) or, with keep_ttl, the old one.
cdef Record* ks_set_string(
        Keyspace* ks, Database* db, Slice key, const char* p, size_t n, int64_t at_ms, bint keep_ttl) noexcept
cdef Record* ks_set_number(
        Keyspace* ks, Database* db, Slice key, int64_t value, int64_t at_ms, bint keep_ttl) noexcept
# A new key, or a replaced value (freed), with an aggregate; expiry as above.
cdef Record* ks_set_value(
        Keyspace* ks, Database* db, Slice key, int kind, void* ptr, int64_t at_ms, bint keep_ttl) noexcept
# A string as a Text with room for `room` bytes, whatever it was (the record may move).
cdef Record* ks_text(Keyspace* ks, Database* db, Record* r, size_t room) noexcept
# Set (or with -1 remove) the expiry; the record may move.
cdef Record* ks_expire(Keyspace* ks, Database* db, Record* r, int64_t at_ms) noexcept
cdef bint ks_delete(Keyspace* ks, Database* db, Slice key) noexcept
# Take the record out whole (the caller frees it with ks_dispose, or puts it back).
cdef Record* ks_take(Keyspace* ks, Database* db, Slice key) noexcept
# Free a record that was taken out; a big value is freed between ticks when `lazily`.
cdef void ks_dispose(Keyspace* ks, Record* r, bint lazily) noexcept nogil
# Delete as a command does: an expired key is expired instead. True: it was there.
cdef bint ks_remove(Keyspace* ks, Database* db, Slice key, bint lazily) noexcept
# Delete a record that expired, and tell of it.
cdef void ks_drop_expired(Keyspace* ks, Database* db, Record* r) noexcept
# Store what a taken record holds under this key, with its expiry and its age; the record is used up.
cdef Record* ks_adopt(Keyspace* ks, Database* db, Slice key, Record* r) noexcept
# A copy of the record's value and expiry under this key.
cdef Record* ks_copy(Keyspace* ks, Record* r, Database* db, Slice key) noexcept

# ---- drawing ----
# A table drawn with chances by its number of keys (the only one, or a slot's); NULL when empty.
cdef Table* ks_fair_table(Keyspace* ks, Database* db) noexcept nogil
# A record drawn fairly, expired or not; NULL when empty.
cdef Record* ks_random(Keyspace* ks, Database* db) noexcept nogil
