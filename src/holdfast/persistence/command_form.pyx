"""Records as the commands that make them: SET, RPUSH, SADD, ZADD, HMSET, PEXPIREAT.

What it is: the form of an AOF base when aof-use-rdb-preamble is off. What it is
not: effects of running commands (`engine.effects`). Large values are cut into
commands of 64 elements. No Python object is touched: a forked child runs this.

How to read it: `Batch` counts elements and opens the next command in time.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport strlen
from holdfast.engine.buf cimport Slice, buf_append
from holdfast.engine.full_forms cimport SET_KEY, HashEntry, SortedSet, hash_entry_key, hash_entry_value
from holdfast.engine.intset cimport intset_at, intset_count
from holdfast.engine.listpack cimport lp_count, lp_first, lp_next, lp_text
from holdfast.engine.lzf cimport lzf_decompress
from holdfast.engine.numbers cimport format_double, format_int64
from holdfast.engine.ordered cimport Member, OrderedCursor, member_key, ordered_next, ordered_seek
from holdfast.engine.quicklist cimport QuickNode, Quicklist
from holdfast.engine.rdb_encode cimport Sink, sink_drain
from holdfast.engine.record cimport (
    HASH_PACK, LIST_PACK, LIST_QUICK, SET_INT, SET_PACK, SET_TABLE, STR_BUFFER, ZSET_PACK, ZSET_TREE, Record,
    expires_at, kind_of, record_key_slice, record_string)
from holdfast.engine.table cimport Table, TableCursor, table_count, table_walk, table_walk_next

cdef enum:
    ELEMENTS_AT_ONCE = 64

cdef struct Batch:
    Sink* sink
    const char* command
    Slice key
    size_t left             # elements still to come
    int width               # arguments an element
    int room                # elements that the open command still takes


cdef void put_head(Sink* s, char mark, size_t n) noexcept nogil:
    cdef char text[32]
    cdef size_t k
    text[0] = mark
    k = 1 + format_int64(text + 1, <int64_t>n)
    text[k] = c'\r'
    text[k + 1] = c'\n'
    buf_append(&s.buf, text, k + 2)


cdef void put_bulk(Sink* s, const char* p, size_t n) noexcept nogil:
    put_head(s, c'$', n)
    buf_append(&s.buf, p, n)
    buf_append(&s.buf, b"\r\n", 2)
    sink_drain(s)


cdef void put_word(Sink* s, const char* word) noexcept nogil:
    put_bulk(s, word, strlen(word))


cdef void put_select(Sink* s, int db) noexcept nogil:
    cdef char digits[24]
    put_head(s, c'*', 2)
    put_word(s, b"SELECT")
    put_bulk(s, digits, format_int64(digits, db))


cdef void element(Batch* b) noexcept nogil:
    """The next element follows: open a command where the last is full."""
    if b.room == 0:
        b.room = <int>(b.left if b.left < ELEMENTS_AT_ONCE else ELEMENTS_AT_ONCE)
        put_head(b.sink, c'*', 2 + <size_t>b.room * b.width)
        put_word(b.sink, b.command)
        put_bulk(b.sink, b.key.ptr, b.key.len)
    b.room -= 1
    b.left -= 1


cdef void put_listpack(Batch* b, uint8_t* lp) noexcept nogil:
    """Its elements in turn; of a width of two, the second one of each pair goes along."""
    cdef char digits[24]
    cdef Slice text
    cdef uint8_t* at = lp_first(lp)
    while at != NULL:
        element(b)
        for _ in range(b.width):
            text = lp_text(at, digits)
            put_bulk(b.sink, text.ptr, text.len)
            at = lp_next(lp, at)


cdef void put_scored_listpack(Batch* b, uint8_t* lp) noexcept nogil:
    """ZADD wants the score before the member."""
    cdef char digits[24]
    cdef Slice text
    cdef uint8_t* at = lp_first(lp)
    cdef uint8_t* score
    while at != NULL:
        element(b)
        score = lp_next(lp, at)
        text = lp_text(score, digits)
        put_bulk(b.sink, text.ptr, text.len)
        text = lp_text(at, digits)
        put_bulk(b.sink, text.ptr, text.len)
        at = lp_next(lp, score)


cdef void put_quicklist(Batch* b, Quicklist* ql) noexcept nogil:
    cdef QuickNode* node = ql.head
    cdef uint8_t* raw
    while node != NULL:
        if node.plain:
            element(b)
        raw = node.entry
        if node.packed:
            raw = <uint8_t*>malloc(node.size)
            if raw == NULL or lzf_decompress(node.entry, node.packed, raw, node.size) != node.size:
                abort()         # our own bytes: memory is damaged or gone
        if node.plain:
            put_bulk(b.sink, <char*>raw, node.size)
        else:
            put_listpack(b, raw)
        if raw != node.entry:
            free(raw)
        node = node.next


cdef void put_table(Batch* b, Table* t) noexcept nogil:
    cdef TableCursor c
    cdef char* entry
    cdef HashEntry* pair
    table_walk(t, &c)
    entry = <char*>table_walk_next(&c)
    while entry != NULL:
        element(b)
        if b.width == 1:
            put_bulk(b.sink, entry + SET_KEY, (<uint32_t*>entry)[0])
        else:
            pair = <HashEntry*>entry
            put_bulk(b.sink, hash_entry_key(pair), pair.klen)
            put_bulk(b.sink, hash_entry_value(pair), pair.vlen)
        entry = <char*>table_walk_next(&c)


cdef void put_tree(Batch* b, SortedSet* z) noexcept nogil:
    cdef char text[40]
    cdef OrderedCursor c
    cdef Member* m = ordered_seek(z.order, 0, &c)
    while m != NULL:
        element(b)
        put_bulk(b.sink, text, format_double(text, m.score))
        put_bulk(b.sink, member_key(m), m.klen)
        m = ordered_next(&c)


cdef void put_integers(Batch* b, uint8_t* members) noexcept nogil:
    cdef char digits[24]
    cdef uint32_t i
    for i in range(intset_count(members)):
        element(b)
        put_bulk(b.sink, digits, format_int64(digits, intset_at(members, i)))


cdef void put_aggregate(Sink* s, Record* r) noexcept nogil:
    cdef Batch b
    cdef int kind = kind_of(r)
    cdef uint8_t* p = <uint8_t*>r.value.ptr
    b.sink = s
    b.key = record_key_slice(r)
    b.room = 0
    b.width = 1
    if kind == LIST_PACK or kind == LIST_QUICK:
        b.command = b"RPUSH"
        b.left = lp_count(p) if kind == LIST_PACK else (<Quicklist*>p).count
        if kind == LIST_PACK:
            put_listpack(&b, p)
        else:
            put_quicklist(&b, <Quicklist*>p)
    elif kind <= SET_TABLE:
        b.command = b"SADD"
        b.left = (intset_count(p) if kind == SET_INT else lp_count(p) if kind == SET_PACK
                  else table_count(<Table*>p))
        if kind == SET_INT:
            put_integers(&b, p)
        elif kind == SET_PACK:
            put_listpack(&b, p)
        else:
            put_table(&b, <Table*>p)
    elif kind <= ZSET_TREE:
        b.command = b"ZADD"
        b.width = 2
        b.left = lp_count(p) // 2 if kind == ZSET_PACK else table_count(&(<SortedSet*>p).table)
        if kind == ZSET_PACK:
            put_scored_listpack(&b, p)
        else:
            put_tree(&b, <SortedSet*>p)
    else:
        b.command = b"HMSET"
        b.width = 2
        b.left = lp_count(p) // 2 if kind == HASH_PACK else table_count(<Table*>p)
        if kind == HASH_PACK:
            put_listpack(&b, p)
        else:
            put_table(&b, <Table*>p)


cdef void put_commands(Sink* s, Record* r) noexcept nogil:
    cdef char digits[24]
    cdef Slice key = record_key_slice(r)
    cdef Slice text
    if kind_of(r) <= STR_BUFFER:
        text = record_string(r, digits)
        put_head(s, c'*', 3)
        put_word(s, b"SET")
        put_bulk(s, key.ptr, key.len)
        put_bulk(s, text.ptr, text.len)
    else:
        put_aggregate(s, r)
    if expires_at(r) >= 0:
        put_head(s, c'*', 3)
        put_word(s, b"PEXPIREAT")
        put_bulk(s, key.ptr, key.len)
        put_bulk(s, digits, format_int64(digits, expires_at(r)))
