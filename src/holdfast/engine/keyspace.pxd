# The keyspace: databases of records, expiry, and what a record looks like.
#
# Plain structs and nogil functions over them. Nothing here knows sessions,
# commands or sockets; `Keyspace.hooks` is how the engine hears of expiry.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.checksum cimport key_slot
from holdfast.engine.heap cimport Heap
from holdfast.engine.table cimport HashKey, Table

# What a record holds, in the low four bits of `state`.
cdef enum Kind:
    STR_INT = 0         # value.number
    STR_INLINE = 1      # value.inlined bytes follow the key
    STR_BUFFER = 2      # value.ptr: Text*
    LIST_PACK = 3       # value.ptr: Listpack
    LIST_QUICK = 4      # value.ptr: Quicklist*
    SET_INT = 5         # value.ptr: Intset
    SET_PACK = 6        # value.ptr: Listpack
    SET_TABLE = 7       # value.ptr: Table* of SetEntry
    ZSET_PACK = 8       # value.ptr: Listpack (member, score, member, score ...)
    ZSET_TREE = 9       # value.ptr: SortedSet*
    HASH_PACK = 10      # value.ptr: Listpack (field, value, field, value ...)
    HASH_TABLE = 11     # value.ptr: Table* of HashEntry

# Redis's type numbers (OBJ_STRING ...), for error checks and TYPE.
cdef enum Type:
    TYPE_STRING = 0
    TYPE_LIST = 1
    TYPE_SET = 2
    TYPE_ZSET = 3
    TYPE_HASH = 4

cdef enum:
    KIND_MASK = 0x0F
    FLAG_EXPIRES = 0x10     # an Expiry stands before the record
    FLAG_WALKED = 0x20      # equals Keyspace.walk_mark: the running snapshot has it
    FLAG_RAW = 0x40         # a string that was edited in place (OBJECT ENCODING says raw)
    RECORD_KEY = 16         # offset of the key's bytes
    INLINE_LIMIT = 4096     # longer strings live in a Text of their own
    PREFETCH_MAX = 16       # keys of one ks_prefetch

cdef struct Inlined:
    uint32_t len
    uint32_t unused

cdef union Value:
    int64_t number
    void* ptr
    Inlined inlined

cdef struct Record:
    uint32_t klen
    uint8_t state       # kind | flags
    uint8_t lru_high    # 24 bits: LRU clock in seconds, or LFU minutes (16) and counter (8)
    uint16_t lru_low
    Value value

cdef struct Expiry:     # stands before a record that expires
    int64_t at_ms
    uint32_t index      # of the record in Database.volatile_keys
    uint32_t unused

cdef struct Text:       # a string with room to grow; its bytes follow the header
    size_t len

# An entry of a hash in table form: value bytes follow the key bytes.
cdef struct HashEntry:
    uint32_t klen
    uint32_t vlen

cdef enum:
    HASH_KEY = 8        # offsets of the key bytes
    SET_KEY = 4

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


cdef inline int kind_of(Record* r) noexcept nogil:
    return r.state & KIND_MASK


cdef inline char* record_key(Record* r) noexcept nogil:
    return <char*>r + RECORD_KEY


cdef inline Slice record_key_slice(Record* r) noexcept nogil:
    cdef Slice s
    s.ptr = <char*>r + RECORD_KEY
    s.len = r.klen
    return s


cdef inline Expiry* record_expiry(Record* r) noexcept nogil:
    return <Expiry*>(<char*>r - sizeof(Expiry))


cdef inline int64_t expires_at(Record* r) noexcept nogil:
    """Milliseconds since 1970, or -1 when the key does not expire."""
    return record_expiry(r).at_ms if r.state & FLAG_EXPIRES else -1


cdef inline char* text_bytes(Text* t) noexcept nogil:
    return <char*>t + sizeof(Text)


cdef inline char* hash_entry_key(HashEntry* e) noexcept nogil:
    return <char*>e + HASH_KEY


cdef inline char* hash_entry_value(HashEntry* e) noexcept nogil:
    return <char*>e + HASH_KEY + e.klen


cdef inline uint32_t record_lru(Record* r) noexcept nogil:
    return (<uint32_t>r.lru_high << 16) | r.lru_low


cdef inline void record_set_lru(Record* r, uint32_t lru) noexcept nogil:
    r.lru_high = <uint8_t>(lru >> 16)
    r.lru_low = <uint16_t>lru


cdef int type_of(Record* r) noexcept nogil

cdef void keyspace_init(Keyspace* ks, int databases, int tables, uint64_t seed) noexcept nogil
cdef void keyspace_free(Keyspace* ks) noexcept nogil

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

# ---- changing ----
# A new or replaced string; its expiry is at_ms (-1: none) or, with keep_ttl, the old one.
cdef Record* ks_set_string(
        Keyspace* ks, Database* db, Slice key, const char* p, size_t n, int64_t at_ms, bint keep_ttl) noexcept
cdef Record* ks_set_number(
        Keyspace* ks, Database* db, Slice key, int64_t value, int64_t at_ms, bint keep_ttl) noexcept
# Overwrite the number of a STR_INT record in place (after ks_write).
# A new key, or a replaced value (freed), with an aggregate; expiry as above.
cdef Record* ks_set_value(
        Keyspace* ks, Database* db, Slice key, int kind, void* ptr, int64_t at_ms, bint keep_ttl) noexcept
# The value changed its form (listpack to table ...): set kind and pointer, the old pointer is the caller's.
cdef inline void record_set_value(Record* r, int kind, void* ptr) noexcept nogil:
    r.state = <uint8_t>((r.state & ~KIND_MASK) | kind)
    r.value.ptr = ptr

# A string as a Text with room for `room` bytes, whatever it was (the record may move).
cdef Record* ks_text(Keyspace* ks, Database* db, Record* r, size_t room) noexcept
# Set (or with -1 remove) the expiry; the record may move.
cdef Record* ks_expire(Keyspace* ks, Database* db, Record* r, int64_t at_ms) noexcept
cdef bint ks_delete(Keyspace* ks, Database* db, Slice key) noexcept
# Take the record out whole (the caller frees it with ks_free_record, or puts it back).
cdef Record* ks_take(Keyspace* ks, Database* db, Slice key) noexcept
cdef void ks_free_record(Keyspace* ks, Record* r) noexcept nogil
# The same; a big value is freed between ticks when `lazily`.
cdef void ks_dispose(Keyspace* ks, Record* r, bint lazily) noexcept nogil
# Delete as a command does: an expired key is expired instead. True: it was there.
cdef bint ks_remove(Keyspace* ks, Database* db, Slice key, bint lazily) noexcept
# Delete a record that expired, and tell of it.
cdef void ks_drop_expired(Keyspace* ks, Database* db, Record* r) noexcept
# Store what a taken record holds under this key, with its expiry and its age; the record is used up.
cdef Record* ks_adopt(Keyspace* ks, Database* db, Slice key, Record* r) noexcept
# A copy of the record's value and expiry under this key.
cdef Record* ks_copy(Keyspace* ks, Record* r, Database* db, Slice key) noexcept
# Empty a database, at once or (lazily) between ticks. A running snapshot gets every record that it lacks
# first.
cdef void ks_flush(Keyspace* ks, Database* db, bint lazily) noexcept
# Exchange what two databases hold; a running snapshot gets what it lacks of both first.
cdef void ks_swap(Keyspace* ks, Database* a, Database* b) noexcept

# ---- drawing ----
# A table drawn with chances by its number of keys (the only one, or a slot's); NULL when empty.
cdef Table* ks_fair_table(Keyspace* ks, Database* db) noexcept nogil
# A record drawn fairly, expired or not; NULL when empty.
cdef Record* ks_random(Keyspace* ks, Database* db) noexcept nogil

# ---- age ----
cdef int64_t ks_idle_seconds(Keyspace* ks, Record* r) noexcept nogil    # LRU
cdef uint32_t ks_frequency(Keyspace* ks, Record* r) noexcept nogil      # LFU counter, decayed until now

# ---- values ----
# The bytes of a string: borrowed, or formatted into scratch (24 bytes).
cdef Slice record_string(Record* r, char* scratch) noexcept nogil
cdef void free_value(Heap* h, int kind, void* ptr) noexcept nogil
cdef void* copy_value(Heap* h, int kind, void* ptr, HashKey* seed) noexcept nogil
# Bytes of the record with its value; samples 0: all of it, else an estimate.
cdef size_t record_bytes(Record* r, size_t samples) noexcept nogil
cdef const char* encoding_name(Record* r) noexcept nogil
cdef const char* type_name(Record* r) noexcept nogil

# ---- sets and hashes in table form (shared by their commands and loaders) ----
cdef Table* new_table(Heap* h, int key_offset, HashKey* seed) noexcept nogil
cdef void* new_set_entry(Heap* h, const char* p, size_t n) noexcept nogil
cdef HashEntry* new_hash_entry(Heap* h, const char* key, size_t klen, const char* p, size_t n) noexcept nogil
# Free the entries and the table.
cdef void free_table(Heap* h, Table* t) noexcept nogil

# ---- sorted sets in tree form ----
from holdfast.engine.ordered cimport Member, Ordered

cdef struct SortedSet:
    Table table         # of Member, by bytes
    Ordered* order      # the same members, by (score, bytes)

cdef SortedSet* new_sorted_set(Heap* h, HashKey* seed) noexcept nogil
cdef void free_sorted_set(Heap* h, SortedSet* z) noexcept nogil
cdef Member* new_member(Heap* h, const char* p, size_t n, double score) noexcept nogil
