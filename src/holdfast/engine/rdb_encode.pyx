"""Values and records in the form of RDB files and DUMP payloads, version 10.

What it is: the writing half of the format's inner part. Listpacks and intsets
are copied as they lie; larger forms are written element by element. What it is
not: files, or the order of a file (`holdfast.persistence.rdb_write`).

Nothing here touches a Python object or changes a record, so that a forked child
can run it over shared pages.

How to read it: numbers and strings first, then one function for each form.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove
from holdfast.engine.buf cimport Slice, buf_append, buf_reserve
from holdfast.engine.full_forms cimport SET_KEY, HashEntry, SortedSet, hash_entry_key, hash_entry_value
from holdfast.engine.intset cimport intset_bytes
from holdfast.engine.keyspace cimport Keyspace
from holdfast.engine.listpack cimport lp_bytes, lp_count, lp_first, lp_next, lp_text
from holdfast.engine.lzf cimport lzf_compress
from holdfast.engine.numbers cimport format_int64
from holdfast.engine.ordered cimport Member, OrderedCursor, member_key, ordered_prev, ordered_seek
from holdfast.engine.quicklist cimport QuickNode, Quicklist
from holdfast.engine.rdb_format cimport (
    QUICKLIST_PACKED, QUICKLIST_PLAIN, RDB_EXPIRE_MS, RDB_FREQ, RDB_HASH, RDB_HASH_LISTPACK, RDB_IDLE,
    RDB_LIST_QUICKLIST_2, RDB_SET, RDB_SET_INTSET, RDB_STRING, RDB_ZSET_2, RDB_ZSET_LISTPACK, STRING_INT8,
    STRING_INT16, STRING_INT32, STRING_LZF)
from holdfast.engine.record cimport (
    FLAG_EXPIRES, HASH_PACK, HASH_TABLE, LIST_PACK, LIST_QUICK, SET_INT, SET_PACK, SET_TABLE, STR_BUFFER,
    STR_INT, ZSET_PACK, ZSET_TREE, Record, expires_at, kind_of, record_key, record_lru, record_string)
from holdfast.engine.table cimport Table, TableCursor, table_count, table_walk, table_walk_next

cdef enum:
    COMPRESS_FROM = 21      # shorter strings are not worth a try
    COMPRESS_GAIN = 4       # bytes that compression must save


# ---- numbers and strings ----

cdef void put_byte(Sink* s, int byte) noexcept nogil:
    buf_reserve(&s.buf, 1)
    s.buf.ptr[s.buf.len] = <char>byte
    s.buf.len += 1


cdef inline size_t write_length(uint8_t* p, uint64_t n) noexcept nogil:
    cdef int i
    if n < 64:
        p[0] = <uint8_t>n
        return 1
    if n < 16384:
        p[0] = <uint8_t>(0x40 | n >> 8)
        p[1] = <uint8_t>n
        return 2
    if n <= 0xFFFFFFFFu:
        p[0] = 0x80
        for i in range(4):
            p[1 + i] = <uint8_t>(n >> (24 - 8 * i))
        return 5
    p[0] = 0x81
    for i in range(8):
        p[1 + i] = <uint8_t>(n >> (56 - 8 * i))
    return 9


cdef void put_length(Sink* s, uint64_t n) noexcept nogil:
    buf_reserve(&s.buf, 9)
    s.buf.len += write_length(<uint8_t*>s.buf.ptr + s.buf.len, n)


cdef bint put_compressed(Sink* s, const char* p, size_t n) noexcept nogil:
    """The string as LZF; False (and nothing written) when that does not shorten it."""
    cdef uint8_t head[19]
    cdef size_t packed, head_bytes
    cdef uint8_t* at
    buf_reserve(&s.buf, n + sizeof(head))
    at = <uint8_t*>s.buf.ptr + s.buf.len
    packed = lzf_compress(p, n, at + sizeof(head), n - COMPRESS_GAIN)
    if packed == 0:
        return False
    head[0] = 0xC0 | STRING_LZF
    head_bytes = 1 + write_length(head + 1, packed)
    head_bytes += write_length(head + head_bytes, n)
    memcpy(at, head, head_bytes)
    memmove(at + head_bytes, at + sizeof(head), packed)
    s.buf.len += head_bytes + packed
    return True


cdef void put_string(Sink* s, const char* p, size_t n) noexcept nogil:
    sink_drain(s)
    if s.compress and n >= COMPRESS_FROM and put_compressed(s, p, n):
        return
    put_length(s, n)
    buf_append(&s.buf, p, n)


cdef void put_number(Sink* s, int64_t value) noexcept nogil:
    """A string that is an integer: in 1, 2 or 4 bytes where it fits, else as text."""
    cdef char text[24]
    cdef uint8_t* at
    cdef int width, i
    if value < -2147483648LL or value > 2147483647LL:
        put_string(s, text, format_int64(text, value))
        return
    sink_drain(s)
    buf_reserve(&s.buf, 5)
    at = <uint8_t*>s.buf.ptr + s.buf.len
    if -128 <= value <= 127:
        at[0] = 0xC0 | STRING_INT8
        width = 1
    elif -32768 <= value <= 32767:
        at[0] = 0xC0 | STRING_INT16
        width = 2
    else:
        at[0] = 0xC0 | STRING_INT32
        width = 4
    for i in range(width):
        at[1 + i] = <uint8_t>(value >> (8 * i))
    s.buf.len += 1 + width


cdef void put_fixed64(Sink* s, uint64_t bits) noexcept nogil:
    cdef int i
    buf_reserve(&s.buf, 8)
    for i in range(8):
        s.buf.ptr[s.buf.len + i] = <char>(bits >> (8 * i))
    s.buf.len += 8


# ---- the forms of values ----

cdef int rdb_type(Record* r) noexcept nogil:
    cdef int kind = kind_of(r)
    if kind <= STR_BUFFER:
        return RDB_STRING
    if kind == LIST_PACK or kind == LIST_QUICK:
        return RDB_LIST_QUICKLIST_2
    if kind == SET_INT:
        return RDB_SET_INTSET
    if kind == SET_PACK or kind == SET_TABLE:
        return RDB_SET
    if kind == ZSET_PACK:
        return RDB_ZSET_LISTPACK
    if kind == ZSET_TREE:
        return RDB_ZSET_2
    if kind == HASH_PACK:
        return RDB_HASH_LISTPACK
    return RDB_HASH


cdef void put_quicklist(Sink* s, Quicklist* ql) noexcept nogil:
    cdef QuickNode* node = ql.head
    put_length(s, ql.nodes)
    while node != NULL:
        put_length(s, QUICKLIST_PLAIN if node.plain else QUICKLIST_PACKED)
        if node.packed:
            sink_drain(s)
            put_byte(s, 0xC0 | STRING_LZF)
            put_length(s, node.packed)
            put_length(s, node.size)
            buf_append(&s.buf, <char*>node.entry, node.packed)
        else:
            put_string(s, <char*>node.entry, node.size)
        node = node.next


cdef void put_set_listpack(Sink* s, uint8_t* lp) noexcept nogil:
    """Version 10 knows no listpack sets: element by element."""
    cdef char scratch[24]
    cdef Slice text
    cdef uint8_t* at = lp_first(lp)
    put_length(s, lp_count(lp))
    while at != NULL:
        text = lp_text(at, scratch)
        put_string(s, text.ptr, text.len)
        at = lp_next(lp, at)


cdef void put_set_table(Sink* s, Table* t) noexcept nogil:
    cdef TableCursor c
    cdef char* entry
    put_length(s, table_count(t))
    table_walk(t, &c)
    entry = <char*>table_walk_next(&c)
    while entry != NULL:
        put_string(s, entry + SET_KEY, (<uint32_t*>entry)[0])
        entry = <char*>table_walk_next(&c)


cdef void put_hash_table(Sink* s, Table* t) noexcept nogil:
    cdef TableCursor c
    cdef HashEntry* entry
    put_length(s, table_count(t))
    table_walk(t, &c)
    entry = <HashEntry*>table_walk_next(&c)
    while entry != NULL:
        put_string(s, hash_entry_key(entry), entry.klen)
        put_string(s, hash_entry_value(entry), entry.vlen)
        entry = <HashEntry*>table_walk_next(&c)


cdef void put_sorted_set(Sink* s, SortedSet* z) noexcept nogil:
    """From the highest to the lowest, as Redis writes (its loader inserts at the front)."""
    cdef OrderedCursor c
    cdef size_t count = table_count(&z.table)
    cdef Member* m
    cdef uint64_t bits
    put_length(s, count)
    m = ordered_seek(z.order, count - 1, &c) if count else NULL
    while m != NULL:
        put_string(s, member_key(m), m.klen)
        memcpy(&bits, &m.score, 8)
        put_fixed64(s, bits)
        m = ordered_prev(&c)


cdef void put_value(Sink* s, Record* r) noexcept nogil:
    cdef int kind = kind_of(r)
    cdef Slice text
    if kind == STR_INT:
        put_number(s, r.value.number)
    elif kind <= STR_BUFFER:
        text = record_string(r, NULL)
        put_string(s, text.ptr, text.len)
    elif kind == LIST_PACK:
        put_length(s, 1)
        put_length(s, QUICKLIST_PACKED)
        put_string(s, <char*>r.value.ptr, lp_bytes(<uint8_t*>r.value.ptr))
    elif kind == LIST_QUICK:
        put_quicklist(s, <Quicklist*>r.value.ptr)
    elif kind == SET_INT:
        put_string(s, <char*>r.value.ptr, intset_bytes(<uint8_t*>r.value.ptr))
    elif kind == SET_PACK:
        put_set_listpack(s, <uint8_t*>r.value.ptr)
    elif kind == SET_TABLE:
        put_set_table(s, <Table*>r.value.ptr)
    elif kind == ZSET_TREE:
        put_sorted_set(s, <SortedSet*>r.value.ptr)
    elif kind == HASH_TABLE:
        put_hash_table(s, <Table*>r.value.ptr)
    else:                   # ZSET_PACK, HASH_PACK
        put_string(s, <char*>r.value.ptr, lp_bytes(<uint8_t*>r.value.ptr))


cdef void put_record(Sink* s, Keyspace* ks, Record* r, bint idle, bint frequency) noexcept nogil:
    cdef uint32_t lru
    if r.state & FLAG_EXPIRES:
        put_byte(s, RDB_EXPIRE_MS)
        put_fixed64(s, <uint64_t>expires_at(r))
    if idle:
        lru = record_lru(r)
        put_byte(s, RDB_IDLE)
        put_length(s, (ks.lru_clock - lru) & 0xFFFFFF)
    elif frequency:
        put_byte(s, RDB_FREQ)
        put_byte(s, <int>(record_lru(r) & 0xFF))
    put_byte(s, rdb_type(r))
    put_string(s, record_key(r), r.klen)
    put_value(s, r)
