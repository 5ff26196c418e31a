"""The keyspace: databases of records, expiry, and what a record looks like.

What it is: plain structs and functions over them. A key and, for short
strings, its value are one allocation: a 16-byte header, the key, the value; a
key that expires has 16 bytes more in front. What it is not: commands, sessions,
propagation; `Hooks` tells the engine what it must know.

How to read it: `Record` and `Database` in the contents page, then "finding",
then "changing". Every change of a record goes through `ks_write`, `ks_take`,
`ks_delete` or one of the setters, because these tell a running snapshot first.

Invariants:
- `db.volatile_keys[record_expiry(r).index] == r` for every record with FLAG_EXPIRES.
- `db.keys` is the number of records in all tables of the database.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from holdfast.engine.buf cimport Slice
from holdfast.engine.checksum cimport key_slot
from holdfast.engine.heap cimport (
    Heap, heap_alloc, heap_free, heap_realloc, heap_size, heap_zalloc, hf_prepare_allocator, hf_usable)
from holdfast.engine.intset cimport intset_copy
from holdfast.engine.listpack cimport lp_copy
from holdfast.engine.numbers cimport format_int64
from holdfast.engine.ordered cimport (
    MEMBER_KEY, Member, OrderedCursor, member_key, ordered_append, ordered_bytes,
    ordered_free, ordered_new, ordered_next, ordered_seek)
from holdfast.engine.quicklist cimport Quicklist, ql_bytes, ql_copy, ql_free
from holdfast.engine.table cimport (
    HashKey, Table, TableCursor, random_u64, table_add, table_bytes, table_clear, table_count, table_expand,
    table_find, table_hash, table_init, table_pop, table_prefetch_bucket, table_prefetch_entry, table_random,
    table_shrink, table_walk, table_walk_next)

cdef extern from *:
    """
    #define hf_prefetch(p) __builtin_prefetch(p)
    """
    void hf_prefetch(const void* p) noexcept nogil

cdef enum:
    LFU_START = 5       # counter of a new key, so that it is not evicted at once
    LAZY_WORTH = 64     # allocations of a value from which on it is freed between ticks
    GROUP_BITS = 7      # slots in a group of Database.group_keys: 128 groups of 128
    GROUPS = 16384 >> GROUP_BITS


cdef int type_of(Record* r) noexcept nogil:
    cdef int kind = kind_of(r)
    if kind <= STR_BUFFER:
        return TYPE_STRING
    if kind <= LIST_QUICK:
        return TYPE_LIST
    if kind <= SET_TABLE:
        return TYPE_SET
    if kind <= ZSET_TREE:
        return TYPE_ZSET
    return TYPE_HASH


cdef void keyspace_init(Keyspace* ks, int databases, int tables, uint64_t seed) noexcept nogil:
    cdef int i, j
    cdef Database* db
    hf_prepare_allocator()
    memset(ks, 0, sizeof(Keyspace))
    ks.rng = seed
    ks.seed.k0 = random_u64(&ks.rng)
    ks.seed.k1 = random_u64(&ks.rng)
    ks.lfu_log_factor = 10
    ks.lfu_decay_min = 1
    ks.db_count = databases
    ks.dbs = <Database*>heap_zalloc(&ks.heap, databases * sizeof(Database))
    for i in range(databases):
        db = &ks.dbs[i]
        db.id = i
        db.tables = tables if i == 0 else 1
        db.table = <Table*>heap_zalloc(&ks.heap, db.tables * sizeof(Table))
        if db.tables > 1:
            db.group_keys = <uint32_t*>heap_zalloc(&ks.heap, GROUPS * sizeof(uint32_t))
        for j in range(db.tables):
            table_init(&db.table[j], RECORD_KEY, &ks.seed)


cdef void keyspace_free(Keyspace* ks) noexcept nogil:
    cdef int i
    if ks.dbs == NULL:
        return
    for i in range(ks.db_count):
        free_records(ks, &ks.dbs[i])
        heap_free(&ks.heap, ks.dbs[i].table)
        heap_free(&ks.heap, ks.dbs[i].group_keys)
    heap_free(&ks.heap, ks.dbs)
    ks.dbs = NULL


cdef Table* table_of(Database* db, const char* p, size_t n) noexcept nogil:
    if db.tables == 1:
        return db.table
    return &db.table[slot_of(db, p, n)]


cdef inline void count_keys(Database* db, Table* t, int change) noexcept nogil:
    db.keys += change
    if db.group_keys != NULL:
        db.group_keys[(t - db.table) >> GROUP_BITS] += change


# ---- LRU and LFU ----

cdef uint32_t lfu_now(Keyspace* ks) noexcept nogil:
    return <uint32_t>((ks.now_ms // 60000) & 0xFFFF)


cdef uint32_t lfu_decayed(Keyspace* ks, uint32_t lru) noexcept nogil:
    """The counter, less one for each decay time since the last access."""
    cdef uint32_t counter = lru & 0xFF
    cdef uint32_t elapsed = (lfu_now(ks) - (lru >> 8)) & 0xFFFF
    cdef uint32_t periods
    if ks.lfu_decay_min <= 0:
        return counter
    periods = elapsed // <uint32_t>ks.lfu_decay_min
    return counter - periods if counter > periods else 0


cdef uint32_t lfu_touch(Keyspace* ks, uint32_t lru) noexcept nogil:
    """Decay, then count one access with falling probability (Redis's LFU)."""
    cdef uint32_t counter = lfu_decayed(ks, lru)
    cdef double base
    if counter < 255:
        base = <double>counter - LFU_START
        if base < 0:
            base = 0
        if (<double>(random_u64(&ks.rng) >> 11) * (1.0 / 9007199254740992.0)
                < 1.0 / (base * ks.lfu_log_factor + 1)):
            counter += 1
    return (lfu_now(ks) << 8) | counter


cdef inline void touch(Keyspace* ks, Record* r) noexcept nogil:
    if ks.lfu:
        record_set_lru(r, lfu_touch(ks, record_lru(r)))
    else:
        record_set_lru(r, ks.lru_clock)


cdef inline void touch_new(Keyspace* ks, Record* r) noexcept nogil:
    record_set_lru(r, (lfu_now(ks) << 8) | LFU_START if ks.lfu else ks.lru_clock)


cdef int64_t ks_idle_seconds(Keyspace* ks, Record* r) noexcept nogil:
    return (ks.lru_clock - record_lru(r)) & 0xFFFFFF


cdef uint32_t ks_frequency(Keyspace* ks, Record* r) noexcept nogil:
    return lfu_decayed(ks, record_lru(r))


# ---- the set of keys that expire ----

cdef void volatile_add(Keyspace* ks, Database* db, Record* r) noexcept nogil:
    if db.volatile_count == db.volatile_cap:
        db.volatile_cap = db.volatile_cap + db.volatile_cap // 2 if db.volatile_cap else 16
        db.volatile_keys = <Record**>heap_realloc(
            &ks.heap, db.volatile_keys, db.volatile_cap * sizeof(Record*))
    record_expiry(r).index = <uint32_t>db.volatile_count
    db.volatile_keys[db.volatile_count] = r
    db.volatile_count += 1


cdef void volatile_remove(Keyspace* ks, Database* db, Record* r) noexcept nogil:
    cdef uint32_t index = record_expiry(r).index
    db.volatile_count -= 1
    db.volatile_keys[index] = db.volatile_keys[db.volatile_count]
    record_expiry(db.volatile_keys[index]).index = index
    if db.volatile_cap > 64 and db.volatile_count < db.volatile_cap // 4:
        db.volatile_cap //= 2
        db.volatile_keys = <Record**>heap_realloc(
            &ks.heap, db.volatile_keys, db.volatile_cap * sizeof(Record*))


# ---- records ----

cdef inline char* record_base(Record* r) noexcept nogil:
    return <char*>r - sizeof(Expiry) if r.state & FLAG_EXPIRES else <char*>r


cdef Record* new_record(Keyspace* ks, Slice key, size_t tail, bint expires) noexcept nogil:
    """A record with room for `tail` bytes after the key; kind STR_INT, no value."""
    cdef size_t front = sizeof(Expiry) if expires else 0
    cdef char* base = <char*>heap_alloc(&ks.heap, front + RECORD_KEY + key.len + tail)
    cdef Record* r = <Record*>(base + front)
    r.klen = <uint32_t>key.len
    r.state = <uint8_t>((FLAG_EXPIRES if expires else 0) | ks.walk_mark)
    memcpy(record_key(r), key.ptr, key.len)
    touch_new(ks, r)
    return r


cdef void free_record_value(Keyspace* ks, Record* r) noexcept nogil:
    if kind_of(r) >= STR_BUFFER:
        free_value(&ks.heap, kind_of(r), r.value.ptr)


cdef void ks_free_record(Keyspace* ks, Record* r) noexcept nogil:
    free_record_value(ks, r)
    heap_free(&ks.heap, record_base(r))


cdef bint is_big(int kind, void* ptr) noexcept nogil:
    if kind == LIST_QUICK:
        return (<Quicklist*>ptr).nodes > LAZY_WORTH
    if kind == SET_TABLE or kind == HASH_TABLE or kind == ZSET_TREE:    # a SortedSet begins with its table
        return table_count(<Table*>ptr) > LAZY_WORTH
    return False


cdef void detach(Keyspace* ks, int kind, void* ptr, size_t objects, int64_t bytes) noexcept nogil:
    """Queue a value that nothing refers to any more for `lazyfree`."""
    cdef Detached* d = <Detached*>heap_zalloc(&ks.heap, sizeof(Detached))
    d.kind = kind
    d.ptr = ptr
    d.objects = objects
    d.bytes = bytes
    ks.lazy_bytes += bytes
    if ks.lazy_last == NULL:
        ks.lazy_first = d
    else:
        ks.lazy_last.next = d
    ks.lazy_last = d
    ks.lazy_pending += objects


cdef void release_value(Keyspace* ks, Record* r, bint lazily) noexcept nogil:
    if lazily and is_big(kind_of(r), r.value.ptr):
        detach(ks, kind_of(r), r.value.ptr, 1, <int64_t>record_bytes(r, 5))
    else:
        free_record_value(ks, r)


cdef void ks_dispose(Keyspace* ks, Record* r, bint lazily) noexcept nogil:
    release_value(ks, r, lazily)
    heap_free(&ks.heap, record_base(r))


cdef void before_write(Keyspace* ks, Database* db, Record* r) noexcept nogil:
    if ks.walking and (r.state & FLAG_WALKED) != ks.walk_mark:
        ks.hooks.before_write(ks.hooks.owner, db, r)
        r.state = <uint8_t>((r.state & ~FLAG_WALKED) | ks.walk_mark)


# ---- finding ----

cdef bint ks_is_expired(Keyspace* ks, Record* r) noexcept nogil:
    return (r.state & FLAG_EXPIRES) and record_expiry(r).at_ms < ks.now_ms and ks.expiry_mode != EXPIRY_IGNORE


cdef void** find_slot(Database* db, Slice key) noexcept nogil:
    cdef Table* t = table_of(db, key.ptr, key.len)
    return table_find(t, key.ptr, key.len, table_hash(t, key.ptr, key.len))


cdef Record* ks_peek(Keyspace* ks, Database* db, Slice key) noexcept:
    cdef void** slot = find_slot(db, key)
    return <Record*>slot[0] if slot != NULL else NULL


cdef void ks_prefetch(Database* db, Slice* keys, int count, int step, int* slots) noexcept nogil:
    cdef Table* tables[PREFETCH_MAX]
    cdef uint64_t hashes[PREFETCH_MAX]
    cdef Slice key
    cdef int i, slot
    if db.tables > 1:           # 16384 tables do not lie in the cache either
        for i in range(count):
            key = keys[i * step]
            slot = key_slot(key.ptr, key.len)
            tables[i] = &db.table[slot]
            hf_prefetch(tables[i])
            hf_prefetch(<char*>tables[i] + sizeof(Table) - 1)
            if slots != NULL:
                slots[i] = slot
    else:
        for i in range(count):
            tables[i] = db.table
    for i in range(count):
        key = keys[i * step]
        hashes[i] = table_hash(tables[i], key.ptr, key.len)
        table_prefetch_bucket(tables[i], hashes[i])
    for i in range(count):
        table_prefetch_entry(tables[i], hashes[i])


cdef inline void tell_expired(Keyspace* ks, Database* db, Record* r) noexcept:
    ks.expired += 1
    if ks.hooks.expired != NULL:
        ks.hooks.expired(ks.hooks.owner, db, r)


cdef inline void tell_created(Keyspace* ks, Database* db, Slice key) noexcept:
    if ks.hooks.created != NULL:
        ks.hooks.created(ks.hooks.owner, db, key)


cdef void ks_drop_expired(Keyspace* ks, Database* db, Record* r) noexcept:
    tell_expired(ks, db, r)
    ks_dispose(ks, ks_take(ks, db, record_key_slice(r)), ks.lazy_flags & LAZY_EXPIRE)


cdef Record* ks_live(Keyspace* ks, Database* db, Slice key) noexcept:
    """The record unless it expired; deletes it where that is this node's business."""
    cdef void** slot = find_slot(db, key)
    cdef Record* r
    if slot == NULL:
        return NULL
    r = <Record*>slot[0]
    if r.state & FLAG_EXPIRES and ks_is_expired(ks, r):
        if ks.expiry_mode == EXPIRY_DELETE:
            ks_drop_expired(ks, db, r)
        return NULL
    return r


cdef Record* ks_read(Keyspace* ks, Database* db, Slice key) noexcept:
    cdef Record* r = ks_live(ks, db, key)
    if r == NULL:
        ks.misses += 1
        if ks.hooks.missed != NULL:
            ks.hooks.missed(ks.hooks.owner, db, key)
        return NULL
    ks.hits += 1
    if not ks.no_touch:
        touch(ks, r)
    return r


cdef Record* ks_write(Keyspace* ks, Database* db, Slice key) noexcept:
    cdef Record* r = ks_live(ks, db, key)
    if r == NULL:
        return NULL
    before_write(ks, db, r)
    if not ks.no_touch:
        touch(ks, r)
    return r


# ---- changing ----

cdef Record* place(Keyspace* ks, Database* db, Slice key, size_t tail, int64_t at_ms, bint keep_ttl) noexcept:
    """A record for `key` with exactly this room and expiry, in the table, its old value freed.

    The old block is used again where it fits (no more than 64 bytes too large).
    """
    cdef Table* t = table_of(db, key.ptr, key.len)
    cdef uint64_t hashed = table_hash(t, key.ptr, key.len)
    cdef void** slot = table_find(t, key.ptr, key.len, hashed)
    cdef Record* old
    cdef Record* fresh
    cdef size_t need, room
    if slot == NULL:
        fresh = new_record(ks, key, tail, at_ms >= 0)
        if at_ms >= 0:
            record_expiry(fresh).at_ms = at_ms
            volatile_add(ks, db, fresh)
        table_add(&ks.heap, t, fresh, hashed)
        count_keys(db, t, 1)
        tell_created(ks, db, key)
        return fresh
    old = <Record*>slot[0]
    before_write(ks, db, old)
    if old.state & FLAG_EXPIRES and ks.expiry_mode == EXPIRY_DELETE and ks_is_expired(ks, old):
        tell_expired(ks, db, old)       # overwritten in its place, but told as an end and a beginning
        tell_created(ks, db, key)
    elif keep_ttl:
        at_ms = expires_at(old)
    release_value(ks, old, ks.lazy_flags & LAZY_OVERWRITE)
    if (at_ms >= 0) == ((old.state & FLAG_EXPIRES) != 0):
        if at_ms >= 0:
            record_expiry(old).at_ms = at_ms
        need = RECORD_KEY + key.len + tail + (sizeof(Expiry) if at_ms >= 0 else 0)
        room = hf_usable(record_base(old))
        if need <= room and room <= need + 64:
            old.state &= <uint8_t>(FLAG_EXPIRES | FLAG_WALKED)
            touch(ks, old)
            return old
    fresh = new_record(ks, key, tail, at_ms >= 0)
    record_set_lru(fresh, record_lru(old))
    touch(ks, fresh)
    if old.state & FLAG_EXPIRES:
        volatile_remove(ks, db, old)
    if at_ms >= 0:
        record_expiry(fresh).at_ms = at_ms
        volatile_add(ks, db, fresh)
    heap_free(&ks.heap, record_base(old))
    slot[0] = fresh
    return fresh


cdef Record* ks_set_string(
        Keyspace* ks, Database* db, Slice key, const char* p, size_t n, int64_t at_ms,
        bint keep_ttl) noexcept:
    cdef Record* r
    cdef Text* text
    if n <= INLINE_LIMIT:
        r = place(ks, db, key, n, at_ms, keep_ttl)
        r.state |= STR_INLINE
        r.value.inlined.len = <uint32_t>n
        memcpy(record_key(r) + key.len, p, n)
        return r
    text = <Text*>heap_alloc(&ks.heap, sizeof(Text) + n)
    text.len = n
    memcpy(text_bytes(text), p, n)
    return ks_set_value(ks, db, key, STR_BUFFER, text, at_ms, keep_ttl)


cdef Record* ks_set_number(
        Keyspace* ks, Database* db, Slice key, int64_t value, int64_t at_ms, bint keep_ttl) noexcept:
    cdef Record* r = place(ks, db, key, 0, at_ms, keep_ttl)
    r.state |= STR_INT
    r.value.number = value
    return r


cdef Record* ks_set_value(
        Keyspace* ks, Database* db, Slice key, int kind, void* ptr, int64_t at_ms, bint keep_ttl) noexcept:
    cdef Record* r = place(ks, db, key, 0, at_ms, keep_ttl)
    r.state |= <uint8_t>kind
    r.value.ptr = ptr
    return r


cdef Record* move_record(Keyspace* ks, Database* db, Record* old, size_t tail, int64_t at_ms) noexcept:
    """The same record in a block with this room and expiry; up to `tail` bytes after the key are kept."""
    cdef Slice key = record_key_slice(old)
    cdef void** slot = find_slot(db, key)
    cdef Record* fresh = new_record(ks, key, tail, at_ms >= 0)
    fresh.state = <uint8_t>((old.state & ~FLAG_EXPIRES) | (FLAG_EXPIRES if at_ms >= 0 else 0))
    fresh.value = old.value
    record_set_lru(fresh, record_lru(old))
    memcpy(record_key(fresh) + key.len, record_key(old) + key.len, tail)
    if old.state & FLAG_EXPIRES:
        volatile_remove(ks, db, old)
    if at_ms >= 0:
        record_expiry(fresh).at_ms = at_ms
        volatile_add(ks, db, fresh)
    slot[0] = fresh
    heap_free(&ks.heap, record_base(old))
    return fresh


cdef Record* ks_expire(Keyspace* ks, Database* db, Record* r, int64_t at_ms) noexcept:
    if (at_ms >= 0) == ((r.state & FLAG_EXPIRES) != 0):
        if at_ms >= 0:
            record_expiry(r).at_ms = at_ms
        return r
    return move_record(ks, db, r, r.value.inlined.len if kind_of(r) == STR_INLINE else 0, at_ms)


cdef Record* ks_text(Keyspace* ks, Database* db, Record* r, size_t room) noexcept:
    cdef char scratch[24]
    cdef Slice now
    cdef Text* text
    cdef size_t have
    if kind_of(r) == STR_BUFFER:
        text = <Text*>r.value.ptr
        have = hf_usable(text) - sizeof(Text)
        if have < room:
            have = room * 2 if room < (1 << 20) else room + (1 << 20)
            r.value.ptr = heap_realloc(&ks.heap, text, sizeof(Text) + have)
        r.state |= FLAG_RAW
        return r
    now = record_string(r, scratch)
    text = <Text*>heap_alloc(&ks.heap, sizeof(Text) + (room if room > now.len else now.len))
    text.len = now.len
    memcpy(text_bytes(text), now.ptr, now.len)
    if kind_of(r) == STR_INLINE and now.len:
        r = move_record(ks, db, r, 0, expires_at(r))
    record_set_value(r, STR_BUFFER, text)
    r.state |= FLAG_RAW
    return r


cdef Record* ks_take(Keyspace* ks, Database* db, Slice key) noexcept:
    cdef Table* t = table_of(db, key.ptr, key.len)
    cdef uint64_t hashed = table_hash(t, key.ptr, key.len)
    cdef void** slot
    cdef Record* r
    if ks.walking:
        slot = table_find(t, key.ptr, key.len, hashed)
        if slot != NULL:
            before_write(ks, db, <Record*>slot[0])
    r = <Record*>table_pop(&ks.heap, t, key.ptr, key.len, hashed)
    if r == NULL:
        return NULL
    if r.state & FLAG_EXPIRES:
        volatile_remove(ks, db, r)
    count_keys(db, t, -1)
    table_shrink(&ks.heap, t)
    return r


cdef bint ks_delete(Keyspace* ks, Database* db, Slice key) noexcept:
    cdef Record* r = ks_take(ks, db, key)
    if r == NULL:
        return False
    ks_free_record(ks, r)
    return True


cdef bint ks_remove(Keyspace* ks, Database* db, Slice key, bint lazily) noexcept:
    cdef Table* t = table_of(db, key.ptr, key.len)
    cdef uint64_t hashed = table_hash(t, key.ptr, key.len)
    cdef void** slot = table_find(t, key.ptr, key.len, hashed)
    cdef Record* r
    if slot == NULL:
        return False
    r = <Record*>slot[0]
    if r.state & FLAG_EXPIRES:
        if ks_is_expired(ks, r):
            if ks.expiry_mode == EXPIRY_DELETE:
                ks_drop_expired(ks, db, r)
            return False
        volatile_remove(ks, db, r)
    before_write(ks, db, r)
    table_pop(&ks.heap, t, key.ptr, key.len, hashed)
    count_keys(db, t, -1)
    table_shrink(&ks.heap, t)
    ks_dispose(ks, r, lazily)
    return True


cdef Record* ks_adopt(Keyspace* ks, Database* db, Slice key, Record* r) noexcept:
    cdef char scratch[24]
    cdef Slice text
    cdef Record* fresh
    cdef uint32_t lru = record_lru(r)
    if kind_of(r) == STR_INLINE:
        text = record_string(r, scratch)
        fresh = ks_set_string(ks, db, key, text.ptr, text.len, expires_at(r), False)
    else:
        fresh = place(ks, db, key, 0, expires_at(r), False)
        fresh.value = r.value
        fresh.state |= <uint8_t>kind_of(r)
    fresh.state |= r.state & FLAG_RAW
    record_set_lru(fresh, lru)
    heap_free(&ks.heap, record_base(r))
    return fresh


cdef Record* ks_copy(Keyspace* ks, Record* r, Database* db, Slice key) noexcept:
    cdef char scratch[24]
    cdef Slice text
    cdef uint8_t raw = r.state & FLAG_RAW
    cdef Record* fresh
    if kind_of(r) == STR_INT:
        return ks_set_number(ks, db, key, r.value.number, expires_at(r), False)
    if kind_of(r) == STR_INLINE:
        text = record_string(r, scratch)
        fresh = ks_set_string(ks, db, key, text.ptr, text.len, expires_at(r), False)
    else:
        fresh = ks_set_value(
            ks, db, key, kind_of(r), copy_value(&ks.heap, kind_of(r), r.value.ptr, &ks.seed), expires_at(r),
            False)
    fresh.state |= raw
    return fresh


# ---- whole databases ----

cdef void walk_rest(Keyspace* ks, Database* db) noexcept nogil:
    """Hand every record that a running snapshot lacks to it."""
    cdef int i
    cdef TableCursor c
    cdef void* entry
    if not ks.walking:
        return
    for i in range(db.tables):
        table_walk(&db.table[i], &c)
        entry = table_walk_next(&c)
        while entry != NULL:
            before_write(ks, db, <Record*>entry)
            entry = table_walk_next(&c)


cdef void forget_records(Keyspace* ks, Database* db) noexcept nogil:
    """The counts of an empty database; its tables are empty or detached already."""
    heap_free(&ks.heap, db.volatile_keys)
    db.volatile_keys = NULL
    db.volatile_count = 0
    db.volatile_cap = 0
    db.keys = 0
    db.avg_ttl_ms = 0
    db.expire_cursor = 0
    if db.group_keys != NULL:
        memset(db.group_keys, 0, GROUPS * sizeof(uint32_t))


cdef void free_records(Keyspace* ks, Database* db) noexcept nogil:
    cdef int i
    cdef TableCursor c
    cdef void* entry
    for i in range(db.tables):
        table_walk(&db.table[i], &c)
        entry = table_walk_next(&c)
        while entry != NULL:
            ks_free_record(ks, <Record*>entry)
            entry = table_walk_next(&c)
        table_clear(&ks.heap, &db.table[i])
    forget_records(ks, db)


cdef void detach_records(Keyspace* ks, Database* db) noexcept nogil:
    cdef int i
    cdef Table* t
    for i in range(db.tables):
        if db.table[i].buckets[0] == NULL:
            continue
        t = <Table*>heap_alloc(&ks.heap, sizeof(Table))
        t[0] = db.table[i]
        detach(ks, DETACHED_RECORDS, t, table_count(t), <int64_t>table_bytes(t))
        table_init(&db.table[i], RECORD_KEY, &ks.seed)
    forget_records(ks, db)


cdef void ks_flush(Keyspace* ks, Database* db, bint lazily) noexcept:
    walk_rest(ks, db)
    if lazily:
        detach_records(ks, db)
    else:
        free_records(ks, db)


cdef void ks_swap(Keyspace* ks, Database* a, Database* b) noexcept:
    cdef Database held = a[0]
    walk_rest(ks, a)
    walk_rest(ks, b)
    a[0] = b[0]
    b[0] = held
    b.id = a.id
    a.id = held.id


# ---- drawing ----

cdef Table* ks_fair_table(Keyspace* ks, Database* db) noexcept nogil:
    cdef size_t left
    cdef int group = 0
    cdef Table* t
    if db.keys == 0:
        return NULL
    if db.group_keys == NULL:
        return db.table
    left = random_u64(&ks.rng) % db.keys
    while left >= db.group_keys[group]:
        left -= db.group_keys[group]
        group += 1
    t = &db.table[group << GROUP_BITS]
    while left >= table_count(t):
        left -= table_count(t)
        t += 1
    return t


cdef Record* ks_random(Keyspace* ks, Database* db) noexcept nogil:
    cdef Table* t = ks_fair_table(ks, db)
    return <Record*>table_random(t, &ks.rng) if t != NULL else NULL


# ---- values ----

cdef Slice record_string(Record* r, char* scratch) noexcept nogil:
    cdef Slice s
    cdef int kind = kind_of(r)
    if kind == STR_INLINE:
        s.ptr = record_key(r) + r.klen
        s.len = r.value.inlined.len
    elif kind == STR_INT:
        s.len = format_int64(scratch, r.value.number)
        s.ptr = scratch
    else:
        s.ptr = text_bytes(<Text*>r.value.ptr)
        s.len = (<Text*>r.value.ptr).len
    return s


cdef void free_value(Heap* h, int kind, void* ptr) noexcept nogil:
    if kind == LIST_QUICK:
        ql_free(h, <Quicklist*>ptr)
    elif kind == SET_TABLE or kind == HASH_TABLE:
        free_table(h, <Table*>ptr)
    elif kind == ZSET_TREE:
        free_sorted_set(h, <SortedSet*>ptr)
    elif kind >= STR_BUFFER:
        heap_free(h, ptr)


cdef void* copy_block(Heap* h, void* ptr, size_t n) noexcept nogil:
    cdef void* fresh = heap_alloc(h, n)
    memcpy(fresh, ptr, n)
    return fresh


cdef Table* copy_table(Heap* h, Table* source, bint is_hash) noexcept nogil:
    cdef Table* t = new_table(h, source.key_offset, source.seed)
    cdef TableCursor c
    cdef void* entry
    cdef size_t n
    table_expand(h, t, table_count(source))
    table_walk(source, &c)
    entry = table_walk_next(&c)
    while entry != NULL:
        n = (<uint32_t*>entry)[0]
        entry = copy_block(h, entry, HASH_KEY + n + (<HashEntry*>entry).vlen if is_hash else SET_KEY + n)
        table_add(h, t, entry, table_hash(t, <char*>entry + t.key_offset, n))
        entry = table_walk_next(&c)
    return t


cdef SortedSet* copy_sorted_set(Heap* h, SortedSet* source) noexcept nogil:
    cdef SortedSet* z = new_sorted_set(h, source.table.seed)
    cdef OrderedCursor c
    cdef Member* m = ordered_seek(source.order, 0, &c)
    table_expand(h, &z.table, table_count(&source.table))
    while m != NULL:
        m = new_member(h, member_key(m), m.klen, m.score)
        table_add(h, &z.table, m, table_hash(&z.table, member_key(m), m.klen))
        ordered_append(h, z.order, m)
        m = ordered_next(&c)
    return z


cdef void* copy_value(Heap* h, int kind, void* ptr, HashKey* seed) noexcept nogil:
    if kind == STR_BUFFER:
        return copy_block(h, ptr, sizeof(Text) + (<Text*>ptr).len)
    if kind == LIST_QUICK:
        return ql_copy(h, <Quicklist*>ptr)
    if kind == SET_INT:
        return intset_copy(h, <uint8_t*>ptr)
    if kind == SET_TABLE or kind == HASH_TABLE:
        return copy_table(h, <Table*>ptr, kind == HASH_TABLE)
    if kind == ZSET_TREE:
        return copy_sorted_set(h, <SortedSet*>ptr)
    return lp_copy(h, <uint8_t*>ptr)


cdef size_t table_value_bytes(Table* t, size_t samples) noexcept nogil:
    cdef TableCursor c
    cdef size_t seen = 0, total = 0
    cdef void* entry
    table_walk(t, &c)
    entry = table_walk_next(&c)
    while entry != NULL and (samples == 0 or seen < samples):
        total += heap_size(entry)
        seen += 1
        entry = table_walk_next(&c)
    if seen:
        total = <size_t>(<double>total / seen * table_count(t))
    return total + table_bytes(t)


cdef size_t record_bytes(Record* r, size_t samples) noexcept nogil:
    cdef size_t total = heap_size(record_base(r))
    cdef int kind = kind_of(r)
    if kind == LIST_QUICK:
        total += ql_bytes(<Quicklist*>r.value.ptr)
    elif kind == SET_TABLE or kind == HASH_TABLE:
        total += heap_size(r.value.ptr) + table_value_bytes(<Table*>r.value.ptr, samples)
    elif kind == ZSET_TREE:
        total += heap_size(r.value.ptr) + table_value_bytes(&(<SortedSet*>r.value.ptr).table, samples)
        total += ordered_bytes((<SortedSet*>r.value.ptr).order)
    elif kind >= STR_BUFFER:
        total += heap_size(r.value.ptr)
    return total


cdef const char* encoding_name(Record* r) noexcept nogil:
    cdef int kind = kind_of(r)
    if kind == STR_INT:
        return b"int"
    if kind == STR_INLINE:
        return b"embstr" if r.value.inlined.len <= 44 and not r.state & FLAG_RAW else b"raw"
    if kind == STR_BUFFER:
        return b"raw"
    if kind == LIST_QUICK:
        return b"quicklist"
    if kind == SET_INT:
        return b"intset"
    if kind == SET_TABLE or kind == HASH_TABLE:
        return b"hashtable"
    if kind == ZSET_TREE:
        return b"skiplist"
    return b"listpack"


cdef const char* type_name(Record* r) noexcept nogil:
    cdef int t = type_of(r)
    if t == TYPE_STRING:
        return b"string"
    if t == TYPE_LIST:
        return b"list"
    if t == TYPE_SET:
        return b"set"
    if t == TYPE_ZSET:
        return b"zset"
    return b"hash"


# ---- tables as values ----

cdef Table* new_table(Heap* h, int key_offset, HashKey* seed) noexcept nogil:
    cdef Table* t = <Table*>heap_alloc(h, sizeof(Table))
    table_init(t, key_offset, seed)
    return t


cdef void* new_set_entry(Heap* h, const char* p, size_t n) noexcept nogil:
    cdef char* entry = <char*>heap_alloc(h, SET_KEY + n)
    (<uint32_t*>entry)[0] = <uint32_t>n
    memcpy(entry + SET_KEY, p, n)
    return entry


cdef HashEntry* new_hash_entry(Heap* h, const char* key, size_t klen, const char* p, size_t n) noexcept nogil:
    cdef HashEntry* e = <HashEntry*>heap_alloc(h, HASH_KEY + klen + n)
    e.klen = <uint32_t>klen
    e.vlen = <uint32_t>n
    memcpy(hash_entry_key(e), key, klen)
    memcpy(hash_entry_value(e), p, n)
    return e


cdef void free_entries(Heap* h, Table* t) noexcept nogil:
    cdef TableCursor c
    cdef void* entry
    table_walk(t, &c)
    entry = table_walk_next(&c)
    while entry != NULL:
        heap_free(h, entry)
        entry = table_walk_next(&c)
    table_clear(h, t)


cdef void free_table(Heap* h, Table* t) noexcept nogil:
    free_entries(h, t)
    heap_free(h, t)


cdef SortedSet* new_sorted_set(Heap* h, HashKey* seed) noexcept nogil:
    cdef SortedSet* z = <SortedSet*>heap_alloc(h, sizeof(SortedSet))
    table_init(&z.table, MEMBER_KEY, seed)
    z.order = ordered_new(h)
    return z


cdef void free_sorted_set(Heap* h, SortedSet* z) noexcept nogil:
    ordered_free(h, z.order)
    free_entries(h, &z.table)
    heap_free(h, z)


cdef Member* new_member(Heap* h, const char* p, size_t n, double score) noexcept nogil:
    cdef Member* m = <Member*>heap_alloc(h, MEMBER_KEY + n)
    m.klen = <uint32_t>n
    m.score = score
    memcpy(member_key(m), p, n)
    return m
