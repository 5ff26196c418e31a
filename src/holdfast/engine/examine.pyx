"""Records seen from outside: what DEBUG OBJECT, MEMORY USAGE and their kin tell.

What it is: read-only doors that neither touch nor expire a key. What it is not:
OBJECT, which is a data command. `saved_bytes` follows the RDB format's lengths
(integers as such, compact forms as they stand, LZF above 20 bytes where it wins).
"""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc
from holdfast.engine.buf cimport Slice, slice_of
from holdfast.engine.full_forms cimport SET_KEY, HashEntry, SortedSet, hash_entry_key, hash_entry_value
from holdfast.engine.intset cimport Intset, intset_bytes
from holdfast.engine.keyspace cimport Database, ks_peek
from holdfast.engine.listpack cimport Listpack, lp_bytes, lp_first, lp_next, lp_text
from holdfast.engine.lzf cimport lzf_compress
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.ordered cimport Member, OrderedCursor, member_key, ordered_next, ordered_seek
from holdfast.engine.quicklist cimport QuickNode, Quicklist
from holdfast.engine.record cimport (
    HASH_PACK, HASH_TABLE, LIST_PACK, LIST_QUICK, SET_INT, SET_PACK, SET_TABLE, STR_BUFFER, ZSET_PACK,
    ZSET_TREE, Record, encoding_name, kind_of, record_bytes, record_lru, record_string)
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport Table, TableCursor, table_bytes, table_count, table_walk, table_walk_next


cdef Record* peek(Engine e, int database, bytes key):
    return ks_peek(&e.ks, &e.ks.dbs[database], slice_of(key))


cdef size_t length_bytes(size_t n) noexcept nogil:
    if n < 64:
        return 1
    if n < 16384:
        return 2
    return 5 if n <= <size_t>0xFFFFFFFF else 9


cdef size_t text_saved(const char* p, size_t n) noexcept nogil:
    cdef int64_t number
    cdef char* room
    cdef size_t packed
    if n <= 11 and parse_int64(p, n, &number):
        if -128 <= number <= 127:
            return 2
        if -32768 <= number <= 32767:
            return 3
        if -2147483648 <= number <= 2147483647:
            return 5
    if n > 20:
        room = <char*>malloc(n)
        packed = lzf_compress(<unsigned char*>p, n, <unsigned char*>room, n - 4) if room != NULL else 0
        free(room)
        if packed:
            return 1 + length_bytes(packed) + length_bytes(n) + packed
    return length_bytes(n) + n


cdef size_t saved_bytes(Record* r) noexcept:
    cdef int kind = kind_of(r)
    cdef char scratch[24]
    cdef Slice text
    cdef QuickNode* node
    cdef TableCursor cursor
    cdef OrderedCursor place
    cdef Member* member
    cdef void* entry
    cdef size_t total = 0
    if kind <= STR_BUFFER:
        text = record_string(r, scratch)
        return text_saved(text.ptr, text.len)
    if kind == SET_INT:
        return text_saved(<char*>r.value.ptr, intset_bytes(<Intset>r.value.ptr))
    if kind in (LIST_PACK, SET_PACK, ZSET_PACK, HASH_PACK):
        total = text_saved(<char*>r.value.ptr, lp_bytes(<Listpack>r.value.ptr))
        return total + (2 if kind == LIST_PACK else 0)
    if kind == LIST_QUICK:
        total = length_bytes((<Quicklist*>r.value.ptr).nodes)
        node = (<Quicklist*>r.value.ptr).head
        while node != NULL:
            total += 1
            if node.packed:
                total += 1 + length_bytes(node.packed) + length_bytes(node.size) + node.packed
            else:
                total += text_saved(<char*>node.entry, node.size)
            node = node.next
        return total
    if kind == ZSET_TREE:
        total = length_bytes(table_count(&(<SortedSet*>r.value.ptr).table))
        member = ordered_seek((<SortedSet*>r.value.ptr).order, 0, &place)
        while member != NULL:
            total += text_saved(member_key(member), member.klen) + 8
            member = ordered_next(&place)
        return total
    total = length_bytes(table_count(<Table*>r.value.ptr))
    table_walk(<Table*>r.value.ptr, &cursor)
    entry = table_walk_next(&cursor)
    while entry != NULL:
        if kind == SET_TABLE:
            total += text_saved(<char*>entry + SET_KEY, (<uint32_t*>entry)[0])
        else:
            total += text_saved(hash_entry_key(<HashEntry*>entry), (<HashEntry*>entry).klen)
            total += text_saved(hash_entry_value(<HashEntry*>entry), (<HashEntry*>entry).vlen)
        entry = table_walk_next(&cursor)
    return total


def describe(Engine engine, int database, bytes key):
    """Return what DEBUG OBJECT tells of a key as a dict, or None."""
    cdef Record* r = peek(engine, database, key)
    cdef Quicklist* ql
    cdef QuickNode* node
    cdef size_t plain = 0
    if r == NULL:
        return None
    told = {
        "at": <size_t>r,
        "encoding": encoding_name(r).decode(),
        "serializedlength": saved_bytes(r),
        "lru": record_lru(r),
        "idle_seconds": (engine.ks.lru_clock - record_lru(r)) & 0xFFFFFF,
        "extra": "",
    }
    if kind_of(r) == LIST_QUICK:
        ql = <Quicklist*>r.value.ptr
        node = ql.head
        while node != NULL:
            plain += node.size
            node = node.next
        told["extra"] = (
            f" ql_nodes:{ql.nodes} ql_avg_node:{ql.count / max(ql.nodes, 1):.2f} ql_listpack_max:{ql.fill}"
            f" ql_compressed:{int(ql.compress != 0)} ql_uncompressed_size:{plain}")
    return told


def bytes_of_key(Engine engine, int database, bytes key, size_t samples):
    """Return the bytes that a key takes, its value estimated from so many elements (0: all); None: no key."""
    cdef Record* r = peek(engine, database, key)
    return None if r == NULL else record_bytes(r, samples)


def listpack_lines(Engine engine, int database, bytes key):
    """Return (bytes, elements) of a value in compact form; None: no such key, False: another form."""
    cdef Record* r = peek(engine, database, key)
    cdef char scratch[24]
    cdef Listpack lp
    cdef unsigned char* at
    cdef Slice text
    if r == NULL:
        return None
    if kind_of(r) not in (LIST_PACK, SET_PACK, ZSET_PACK, HASH_PACK):
        return False
    lp = <Listpack>r.value.ptr
    elements = []
    at = <unsigned char*>lp_first(lp)
    while at != NULL:
        text = lp_text(at, scratch)
        elements.append(text.ptr[:text.len])
        at = lp_next(lp, at)
    return lp_bytes(lp), elements


def quicklist_facts(Engine engine, int database, bytes key):
    """Return (nodes, elements) of a long list; None: no such key, False: another form."""
    cdef Record* r = peek(engine, database, key)
    if r == NULL:
        return None
    if kind_of(r) != LIST_QUICK:
        return False
    return (<Quicklist*>r.value.ptr).nodes, (<Quicklist*>r.value.ptr).count


def value_table(Engine engine, int database, bytes key):
    """Return (entries, bytes of buckets) of the value's table; None: no such key, False: it has none."""
    cdef Record* r = peek(engine, database, key)
    if r == NULL:
        return None
    if kind_of(r) == SET_TABLE or kind_of(r) == HASH_TABLE:
        return table_count(<Table*>r.value.ptr), table_bytes(<Table*>r.value.ptr)
    if kind_of(r) == ZSET_TREE:
        return table_count(&(<SortedSet*>r.value.ptr).table), table_bytes(&(<SortedSet*>r.value.ptr).table)
    return False


def database_tables(Engine engine, int database):
    """Return bytes of (the buckets of a database's tables, its list of keys that expire)."""
    cdef Database* db = &engine.ks.dbs[database]
    cdef size_t total = 0
    cdef int i
    for i in range(db.tables):
        total += table_bytes(&db.table[i])
    return total, db.volatile_cap * sizeof(void*)
