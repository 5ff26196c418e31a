"""Hashes of an RDB: as a listpack, or field by field.

How to read it: whole hashes, then hashes by fields, then what both use.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.full_forms cimport HASH_KEY, new_hash_entry, new_table
from holdfast.engine.heap cimport heap_free
from holdfast.engine.listpack cimport lp_append, lp_count, lp_first, lp_fits, lp_new, lp_next, lp_text
from holdfast.engine.rdb_proof cimport has_twins
from holdfast.engine.rdb_window cimport faulty, read_string, Decoder, DECODED, NEEDS_MORE, ELEMENT_BYTES_MOST
from holdfast.engine.record cimport HASH_PACK, HASH_TABLE, free_value
from holdfast.engine.table cimport Table, table_add, table_expand, table_find, table_hash


cdef int take_hash_listpack(Decoder* d, uint8_t* lp) noexcept nogil:
    cdef Table* t
    d.kind = HASH_PACK
    if lp_count(lp) % 2:
        return faulty(d, b"a hash without a last value")
    if <int64_t>(lp_count(lp) // 2) > d.hash_entries:
        t = table_of_hash(d, lp)
        d.kind = HASH_TABLE
        d.value = t
        return faulty(d, b"a hash holds a field twice") if t == NULL else DECODED
    return faulty(d, b"a hash holds a field twice") if has_twins(lp, True, d.seed) else DECODED


cdef void begin_hash(Decoder* d, uint64_t room) noexcept nogil:
    if d.total <= <uint64_t>d.hash_entries:
        d.kind = HASH_PACK
        d.value = lp_new(d.heap, 64)
    else:
        d.kind = HASH_TABLE
        d.value = new_table(d.heap, HASH_KEY, d.seed)
        table_expand(d.heap, <Table*>d.value, room)


cdef int read_hash_field(Decoder* d) noexcept nogil:
    cdef const uint8_t* mark = d.at
    cdef char digits[24]
    cdef char more_digits[24]
    cdef Slice key, value
    cdef uint8_t* lp
    cdef Table* t
    cdef int rc = read_string(d, &key, digits, 0)
    if rc == DECODED:
        rc = read_string(d, &value, more_digits, 1)
    if rc == NEEDS_MORE:
        d.at = mark
    if rc != DECODED:
        return rc
    if key.len > ELEMENT_BYTES_MOST or value.len > ELEMENT_BYTES_MOST:
        return faulty(d, b"a hash field that is too large")
    if d.kind == HASH_PACK:
        lp = <uint8_t*>d.value
        if <int64_t>key.len <= d.hash_value and <int64_t>value.len <= d.hash_value \
                and lp_fits(lp, key.len + value.len + 32):
            lp = lp_append(d.heap, lp, key.ptr, key.len)
            d.value = lp_append(d.heap, lp, value.ptr, value.len)
            return DECODED
        t = table_of_hash(d, lp)
        d.kind = HASH_TABLE
        d.value = t
        if t == NULL:
            return faulty(d, b"a hash holds a field twice")
    if not add_to_hash(d, <Table*>d.value, key, value):
        return faulty(d, b"a hash holds a field twice")
    return DECODED


cdef int finish_hash(Decoder* d) noexcept nogil:
    if d.kind == HASH_PACK and has_twins(<uint8_t*>d.value, True, d.seed):
        return faulty(d, b"a hash holds a field twice")
    return DECODED


cdef bint add_to_hash(Decoder* d, Table* t, Slice key, Slice value) noexcept nogil:
    cdef uint64_t hashed = table_hash(t, key.ptr, key.len)
    if table_find(t, key.ptr, key.len, hashed) != NULL:
        return False
    table_add(d.heap, t, new_hash_entry(d.heap, key.ptr, key.len, value.ptr, value.len), hashed)
    return True


cdef Table* table_of_hash(Decoder* d, uint8_t* lp) noexcept nogil:
    cdef Table* t = new_table(d.heap, HASH_KEY, d.seed)
    cdef char digits[24]
    cdef char more_digits[24]
    cdef uint8_t* at = lp_first(lp)
    cdef uint8_t* after
    table_expand(d.heap, t, lp_count(lp) // 2)
    while at != NULL:
        after = lp_next(lp, at)
        if not add_to_hash(d, t, lp_text(at, digits), lp_text(after, more_digits)):
            free_value(d.heap, HASH_TABLE, t)
            t = NULL
            break
        at = lp_next(lp, after)
    heap_free(d.heap, lp)
    return t
