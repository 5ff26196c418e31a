"""The keyspace: databases of records, and when these expire.

What it is: plain structs and functions over them: records are found, changed, taken
out, and drawn by chance. What it is not: what a record looks like (`record`), what
concerns a whole database (`databases`); commands, sessions, propagation; `Hooks` tells
the engine what it must know.

How to read it: `Database` in the contents page, then "finding", then "changing". Every
change of a record goes through `ks_write`, `ks_take`, `ks_delete` or one of the setters,
because these tell a running snapshot first.

Invariants:
- `db.volatile_keys[record_expiry(r).index] == r` for every record with FLAG_EXPIRES.
- `db.keys` is the number of records in all tables of the database.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from holdfast.engine.buf cimport Slice
from holdfast.engine.checksum cimport key_slot
from holdfast.engine.heap cimport heap_alloc, heap_free, heap_realloc, hf_usable
from holdfast.engine.lazyfree cimport lazy_detach, lazy_worth
from holdfast.engine.recency cimport touch, touch_new
from holdfast.engine.record cimport (
    FLAG_EXPIRES, FLAG_RAW, FLAG_WALKED, INLINE_LIMIT, RECORD_KEY, STR_BUFFER, STR_INLINE, STR_INT, Expiry,
    Record, Text, copy_value, expires_at, free_record, free_record_value, kind_of, record_base, record_bytes,
    record_expiry, record_key, record_key_slice, record_lru, record_set_lru, record_set_value, record_string,
    text_bytes)
from holdfast.engine.table cimport (
    Table, random_u64, table_add, table_count, table_find, table_hash, table_pop, table_prefetch_bucket,
    table_prefetch_entry, table_random, table_shrink)

cdef extern from *:
    """
    #define hf_prefetch(p) __builtin_prefetch(p)
    """
    void hf_prefetch(const void* p) noexcept nogil


cdef Table* table_of(Database* db, const char* p, size_t n) noexcept nogil:
    if db.tables == 1:
        return db.table
    return &db.table[slot_of(db, p, n)]


cdef inline void count_keys(Database* db, Table* t, int change) noexcept nogil:
    db.keys += change
    if db.group_keys != NULL:
        db.group_keys[(t - db.table) >> GROUP_BITS] += change


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


cdef void release_value(Keyspace* ks, Record* r, bint lazily) noexcept nogil:
    if lazily and lazy_worth(kind_of(r), r.value.ptr):
        lazy_detach(ks, kind_of(r), r.value.ptr, 1, <int64_t>record_bytes(r, 5))
    else:
        free_record_value(&ks.heap, r)


cdef void ks_dispose(Keyspace* ks, Record* r, bint lazily) noexcept nogil:
    release_value(ks, r, lazily)
    heap_free(&ks.heap, record_base(r))


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
    ks_before_write(ks, db, r)
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
    ks_before_write(ks, db, old)
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
            ks_before_write(ks, db, <Record*>slot[0])
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
    free_record(&ks.heap, r)
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
    ks_before_write(ks, db, r)
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
