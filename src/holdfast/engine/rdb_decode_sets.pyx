"""Sets of an RDB: as an intset, as a listpack, or member by member.

A set that comes by members begins as the smallest form and is widened when it must
be. How to read it: whole sets, then sets by members, then what both use.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.full_forms cimport SET_KEY, new_set_entry, new_table
from holdfast.engine.heap cimport heap_free
from holdfast.engine.intset cimport intset_add, intset_at, intset_count, intset_new, intset_valid
from holdfast.engine.listpack cimport (
    lp_append, lp_append_int, lp_count, lp_entry_bytes, lp_first, lp_fits, lp_new, lp_next, lp_text)
from holdfast.engine.numbers cimport format_int64, parse_int64
from holdfast.engine.rdb_proof cimport has_twins
from holdfast.engine.rdb_window cimport faulty, read_string, Decoder, DECODED, ELEMENT_BYTES_MOST
from holdfast.engine.record cimport SET_INT, SET_PACK, SET_TABLE, free_value
from holdfast.engine.table cimport Table, table_add, table_expand, table_find, table_hash


cdef int take_intset(Decoder* d, uint8_t* block, size_t n) noexcept nogil:
    if not intset_valid(block, n):
        d.empty = n == 8 and block[4] == 0 and block[5] == 0 and block[6] == 0 and block[7] == 0
        return faulty(d, b"a damaged intset")
    d.kind = SET_INT
    if <int64_t>intset_count(block) > d.set_ints:
        d.value = table_of_set(d, SET_INT, block)
        d.kind = SET_TABLE
    return DECODED


cdef int take_set_listpack(Decoder* d, uint8_t* lp) noexcept nogil:
    cdef Table* t
    d.kind = SET_PACK
    if <int64_t>lp_count(lp) > d.set_entries:
        t = table_of_set(d, SET_PACK, lp)
        d.kind = SET_TABLE
        d.value = t
        return faulty(d, b"a set holds a member twice") if t == NULL else DECODED
    return faulty(d, b"a set holds a member twice") if has_twins(lp, False, d.seed) else DECODED


cdef void begin_set(Decoder* d, uint64_t room) noexcept nogil:
    if d.total <= <uint64_t>(d.set_ints if d.set_ints > d.set_entries else d.set_entries):
        d.kind = SET_INT
        d.value = intset_new(d.heap)
    else:
        d.kind = SET_TABLE
        d.value = new_table(d.heap, SET_KEY, d.seed)
        table_expand(d.heap, <Table*>d.value, room)


cdef int read_set_member(Decoder* d) noexcept nogil:
    cdef char digits[24]
    cdef Slice text
    cdef int64_t number = 0
    cdef bint fresh = True
    cdef int rc = read_string(d, &text, digits, 0)
    if rc != DECODED:
        return rc
    if text.len > ELEMENT_BYTES_MOST:
        return faulty(d, b"a set member that is too large")
    if d.kind == SET_INT:
        if text.len <= 20 and parse_int64(text.ptr, text.len, &number):
            d.value = intset_add(d.heap, <uint8_t*>d.value, number, &fresh)
            return DECODED if fresh else faulty(d, b"a set holds a member twice")
        rc = widen_set(d, text.len)
    if rc == DECODED and d.kind == SET_PACK:
        if (<int64_t>text.len <= d.set_value
                and lp_fits(<uint8_t*>d.value, lp_entry_bytes(text.ptr, text.len))):
            d.value = lp_append(d.heap, <uint8_t*>d.value, text.ptr, text.len)
            return DECODED
        rc = widen_set(d, text.len)
    if rc == DECODED and not add_to_set(d, <Table*>d.value, text.ptr, text.len):
        return faulty(d, b"a set holds a member twice")
    return rc


cdef int finish_set(Decoder* d) noexcept nogil:
    cdef int rc = DECODED
    if d.kind == SET_INT and <int64_t>intset_count(<uint8_t*>d.value) > d.set_ints:
        rc = widen_set(d, 20)
    if rc == DECODED and d.kind == SET_PACK and has_twins(<uint8_t*>d.value, False, d.seed):
        return faulty(d, b"a set holds a member twice")
    return rc


cdef int widen_set(Decoder* d, size_t bytes) noexcept nogil:
    """The set's next form, able to hold any string of this length."""
    cdef uint8_t* compact = <uint8_t*>d.value
    cdef uint8_t* lp
    cdef Table* t
    cdef uint32_t i
    if d.kind == SET_INT and <int64_t>d.total <= d.set_entries and <int64_t>bytes <= d.set_value:
        lp = lp_new(d.heap, 64)
        for i in range(intset_count(compact)):
            lp = lp_append_int(d.heap, lp, intset_at(compact, i))
        heap_free(d.heap, compact)
        d.kind = SET_PACK
        d.value = lp
        return DECODED
    t = table_of_set(d, d.kind, compact)
    d.kind = SET_TABLE
    d.value = t
    if t == NULL:
        return faulty(d, b"a set holds a member twice")
    return DECODED


cdef bint add_to_set(Decoder* d, Table* t, const char* p, size_t n) noexcept nogil:
    cdef uint64_t hashed = table_hash(t, p, n)
    if table_find(t, p, n, hashed) != NULL:
        return False
    table_add(d.heap, t, new_set_entry(d.heap, p, n), hashed)
    return True


cdef Table* table_of_set(Decoder* d, int kind, uint8_t* compact) noexcept nogil:
    """A table with the members of a sound intset or listpack, which is freed; NULL: one comes twice."""
    cdef Table* t = new_table(d.heap, SET_KEY, d.seed)
    cdef char digits[24]
    cdef Slice text
    cdef uint8_t* at
    cdef uint32_t i
    if kind == SET_INT:
        table_expand(d.heap, t, intset_count(compact))
        for i in range(intset_count(compact)):
            add_to_set(d, t, digits, format_int64(digits, intset_at(compact, i)))
    else:
        table_expand(d.heap, t, lp_count(compact))
        at = lp_first(compact)
        while at != NULL:
            text = lp_text(at, digits)
            if not add_to_set(d, t, text.ptr, text.len):
                free_value(d.heap, SET_TABLE, t)
                t = NULL
                break
            at = lp_next(compact, at)
    heap_free(d.heap, compact)
    return t
