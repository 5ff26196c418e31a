"""A record: a key and what it holds.

What it is: the layout, and what can be told of a record by itself: its type, the
name of its form, the bytes of a string, its size; and values copied and freed.
A key and, for short strings, its value are one allocation: a 16-byte header, the
key, the value; a key that expires has 16 bytes more in front. What it is not:
where records stand, and how they are changed (`keyspace`).

How to read it: `Record` in the contents page, then from above.
"""

from libc.stdint cimport uint8_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.full_forms cimport (
    SortedSet, copy_sorted_set, copy_table, free_sorted_set, free_table, table_value_bytes)
from holdfast.engine.heap cimport Heap, heap_copy, heap_free, heap_size
from holdfast.engine.intset cimport intset_copy
from holdfast.engine.listpack cimport lp_copy
from holdfast.engine.numbers cimport format_int64
from holdfast.engine.ordered cimport ordered_bytes
from holdfast.engine.quicklist cimport Quicklist, ql_bytes, ql_copy, ql_free
from holdfast.engine.table cimport HashKey, Table


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


cdef void* copy_value(Heap* h, int kind, void* ptr, HashKey* seed) noexcept nogil:
    if kind == STR_BUFFER:
        return heap_copy(h, ptr, sizeof(Text) + (<Text*>ptr).len)
    if kind == LIST_QUICK:
        return ql_copy(h, <Quicklist*>ptr)
    if kind == SET_INT:
        return intset_copy(h, <uint8_t*>ptr)
    if kind == SET_TABLE or kind == HASH_TABLE:
        return copy_table(h, <Table*>ptr, kind == HASH_TABLE)
    if kind == ZSET_TREE:
        return copy_sorted_set(h, <SortedSet*>ptr)
    return lp_copy(h, <uint8_t*>ptr)


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
