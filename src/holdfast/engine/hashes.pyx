"""The hash as a value: one listpack while it is small, a table beyond.

What it is: the two forms of a hash behind one set of functions, and the rules
by which Redis 7.2 changes the form (t_hash.c: hashTypeTryConversion). A table
never becomes a listpack again.

What it is not: a command or a key; records are only the place that a value
comes from and goes back to.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from holdfast.engine.buf cimport Slice
from holdfast.engine.full_forms cimport (
    HASH_KEY, HashEntry, hash_entry_key, hash_entry_value, new_hash_entry, new_table)
from holdfast.engine.heap cimport Heap, heap_free, heap_realloc, hf_usable
from holdfast.engine.listpack cimport (
    Listpack, lp_append, lp_count, lp_delete, lp_find, lp_first, lp_fits, lp_free, lp_new, lp_next,
    lp_replace, lp_text)
from holdfast.engine.record cimport HASH_PACK, HASH_TABLE
from holdfast.engine.table cimport (
    HashKey, Table, table_add, table_count, table_expand, table_find, table_hash, table_pop, table_shrink,
    table_walk, table_walk_next)

cdef enum:
    EMPTY_BYTES = 7         # of a listpack without elements
    SPARE_BYTES = 32        # a shorter value leaves up to so many bytes of its entry unused


cdef HashValue hash_new(Heap* h, size_t room) noexcept nogil:
    cdef HashValue v
    v.kind = HASH_PACK
    v.ptr = lp_new(h, EMPTY_BYTES + room)
    return v


cdef size_t hash_count(HashValue* v) noexcept nogil:
    return lp_count(<Listpack>v.ptr) >> 1 if v.kind == HASH_PACK else table_count(<Table*>v.ptr)


# ---- its form

cdef void hash_to_table(Heap* h, HashValue* v, HashKey* seed, size_t fields) noexcept nogil:
    cdef Listpack lp = <Listpack>v.ptr
    cdef Table* t
    cdef HashCursor c
    cdef Slice field, value
    cdef size_t there
    if v.kind == HASH_TABLE:
        return
    there = lp_count(lp) >> 1
    t = new_table(h, HASH_KEY, seed)
    table_expand(h, t, fields if fields > there else there)
    hash_walk(v, &c)
    while hash_walk_next(&c, &field, &value):
        table_add(h, t, new_hash_entry(h, field.ptr, field.len, value.ptr, value.len),
                  table_hash(t, field.ptr, field.len))
    lp_free(h, lp)
    v.kind = HASH_TABLE
    v.ptr = t


cdef void hash_expect(
        Heap* h, HashValue* v, HashKey* seed, Slice* texts, int count, int64_t max_entries, int64_t max_text
) noexcept nogil:
    cdef int i
    cdef size_t bytes = 0
    if v.kind != HASH_PACK:
        return
    if count >> 1 > max_entries:
        hash_to_table(h, v, seed, count >> 1)
        return
    for i in range(count):
        if <int64_t>texts[i].len > max_text:
            hash_to_table(h, v, seed, 0)
            return
        bytes += texts[i].len + 10
    if not lp_fits(<Listpack>v.ptr, bytes):
        hash_to_table(h, v, seed, 0)


# ---- fields

cdef bint hash_get(HashValue* v, Slice field, Slice* out, char* scratch) noexcept nogil:
    cdef uint8_t* at
    cdef Listpack lp
    cdef Table* t
    cdef void** slot
    cdef HashEntry* entry
    if v.kind == HASH_PACK:
        lp = <Listpack>v.ptr
        at = lp_find(lp, lp_first(lp), field.ptr, field.len, 1)
        if at == NULL:
            return False
        out[0] = lp_text(lp_next(lp, at), scratch)
        return True
    t = <Table*>v.ptr
    slot = table_find(t, field.ptr, field.len, table_hash(t, field.ptr, field.len))
    if slot == NULL:
        return False
    entry = <HashEntry*>slot[0]
    out.ptr = hash_entry_value(entry)
    out.len = entry.vlen
    return True


cdef bint hash_set(
        Heap* h, HashValue* v, HashKey* seed, Slice field, Slice value, int64_t max_entries
) noexcept nogil:
    cdef Listpack lp
    cdef uint8_t* at
    if v.kind == HASH_TABLE:
        return set_in_table(h, <Table*>v.ptr, field, value)
    lp = <Listpack>v.ptr
    at = lp_find(lp, lp_first(lp), field.ptr, field.len, 1)
    if at != NULL:
        v.ptr = lp_replace(h, lp, lp_next(lp, at), value.ptr, value.len, NULL)
        return False
    lp = lp_append(h, lp, field.ptr, field.len)
    v.ptr = lp_append(h, lp, value.ptr, value.len)
    if <int64_t>hash_count(v) > max_entries:
        hash_to_table(h, v, seed, 0)
    return True


cdef bint set_in_table(Heap* h, Table* t, Slice field, Slice value) noexcept nogil:
    cdef uint64_t hashed = table_hash(t, field.ptr, field.len)
    cdef void** slot = table_find(t, field.ptr, field.len, hashed)
    cdef HashEntry* entry
    cdef size_t need, room
    if slot == NULL:
        table_add(h, t, new_hash_entry(h, field.ptr, field.len, value.ptr, value.len), hashed)
        return True
    entry = <HashEntry*>slot[0]
    if value.len != entry.vlen:
        need = HASH_KEY + field.len + value.len
        room = hf_usable(entry)
        if need > room or room - need > SPARE_BYTES:
            entry = <HashEntry*>heap_realloc(h, entry, need)
            slot[0] = entry
        entry.vlen = <uint32_t>value.len
    memcpy(hash_entry_value(entry), value.ptr, value.len)
    return False


cdef bint hash_delete(Heap* h, HashValue* v, Slice field) noexcept nogil:
    cdef Listpack lp
    cdef uint8_t* at
    cdef Table* t
    cdef void* entry
    if v.kind == HASH_PACK:
        lp = <Listpack>v.ptr
        at = lp_find(lp, lp_first(lp), field.ptr, field.len, 1)
        if at == NULL:
            return False
        v.ptr = lp_delete(h, lp, at, 2, NULL)
        return True
    t = <Table*>v.ptr
    entry = table_pop(h, t, field.ptr, field.len, table_hash(t, field.ptr, field.len))
    if entry == NULL:
        return False
    heap_free(h, entry)
    table_shrink(h, t)
    return True


# ---- walking

cdef void hash_walk(HashValue* v, HashCursor* c) noexcept nogil:
    c.hash = v
    if v.kind == HASH_PACK:
        c.at = lp_first(<Listpack>v.ptr)
    else:
        table_walk(<Table*>v.ptr, &c.entries)


cdef bint hash_walk_next(HashCursor* c, Slice* field, Slice* value) noexcept nogil:
    cdef HashEntry* entry
    cdef Listpack lp
    if c.hash.kind == HASH_PACK:
        if c.at == NULL:
            return False
        lp = <Listpack>c.hash.ptr
        field[0] = lp_text(c.at, c.scratch)
        c.at = lp_next(lp, c.at)
        value[0] = lp_text(c.at, c.scratch + 24)
        c.at = lp_next(lp, c.at)
        return True
    entry = <HashEntry*>table_walk_next(&c.entries)
    if entry == NULL:
        return False
    field.ptr = hash_entry_key(entry)
    field.len = entry.klen
    value.ptr = hash_entry_value(entry)
    value.len = entry.vlen
    return True
