"""SSCAN and ZSCAN: cursor, options and reply.

What this is: the reply of one step over a table, and the parts from which a
small form makes its one and only reply. What this is not: SCAN of the keyspace.
Elements are collected while the table is visited and told afterwards, because
the next cursor comes first in the reply.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_free
from holdfast.engine.glob cimport glob_match
from holdfast.engine.keyspace cimport SET_KEY, ZSET_TREE
from holdfast.engine.numbers cimport format_double
from holdfast.engine.ordered cimport Member, member_key
from holdfast.engine.reply cimport (
    reply_array, reply_array_at, reply_bulk, reply_error, reply_later, reply_raw, reply_syntax_error)
from holdfast.engine.state cimport Call, Session
from holdfast.engine.table cimport Table, table_scan

cdef enum:
    DEFAULT_COUNT = 10
    STEPS_PER_ELEMENT = 10      # buckets visited for each element asked for, at most

cdef struct Harvest:
    Buf entries                 # void* of those wanted
    size_t seen
    int kind
    ScanOptions* options


cdef bint parse_cursor(Slice text, uint64_t* cursor) noexcept nogil:
    cdef uint64_t value = 0
    cdef unsigned digit
    cdef size_t i
    if text.len == 0 or text.len > 20:
        return False
    for i in range(text.len):
        digit = <unsigned char>text.ptr[i] - 48
        if digit > 9 or value > (<uint64_t>-1 - digit) // 10:
            return False
        value = value * 10 + digit
    cursor[0] = value
    return True


cdef bint scan_cursor(Session s, Slice text, uint64_t* cursor) noexcept:
    if parse_cursor(text, cursor):
        return True
    reply_error(s, b"ERR invalid cursor")
    return False


cdef bint scan_options(Session s, Call* c, int first, ScanOptions* o) noexcept:
    cdef int i = first
    memset(o, 0, sizeof(ScanOptions))
    o.count = DEFAULT_COUNT
    while i < c.argc:
        if arg_is(c.argv[i], b"count") and i + 1 < c.argc:
            if not arg_int(s, c.argv[i + 1], &o.count):
                return False
            if o.count < 1:
                reply_syntax_error(s)
                return False
        elif arg_is(c.argv[i], b"match") and i + 1 < c.argc:
            o.pattern = c.argv[i + 1]
            o.match = not (o.pattern.len == 1 and o.pattern.ptr[0] == c'*')
        else:
            reply_syntax_error(s)
            return False
        i += 2
    return True


cdef bint scan_wants(ScanOptions* o, const char* p, size_t n) noexcept nogil:
    return not o.match or glob_match(o.pattern.ptr, o.pattern.len, p, n, False)


cdef void scan_nothing(Session s) noexcept:
    reply_raw(s, b"*2\r\n$1\r\n0\r\n*0\r\n", 15)


cdef void reply_cursor(Session s, uint64_t cursor) noexcept:
    cdef char digits[20]
    cdef int at = 20
    while at == 20 or cursor:
        at -= 1
        digits[at] = <char>(48 + cursor % 10)
        cursor //= 10
    reply_array(s, 2)
    reply_bulk(s, digits + at, 20 - at)


cdef size_t scan_begin(Session s, uint64_t cursor) noexcept:
    reply_cursor(s, cursor)
    return reply_later(s)


cdef void scan_end(Session s, size_t at, size_t count) noexcept:
    reply_array_at(s, at, count)


cdef Slice key_of(int kind, void* entry) noexcept nogil:
    cdef Slice key
    key.len = (<uint32_t*>entry)[0]
    key.ptr = member_key(<Member*>entry) if kind == ZSET_TREE else <const char*>entry + SET_KEY
    return key


cdef void gather(void* entry, void** slot, void* arg) noexcept nogil:
    cdef Harvest* h = <Harvest*>arg
    cdef Slice key = key_of(h.kind, entry)
    h.seen += 1
    if scan_wants(h.options, key.ptr, key.len):
        buf_append(&h.entries, <const char*>&entry, sizeof(void*))


cdef int scan_table_values(Session s, Table* t, int kind, uint64_t cursor, ScanOptions* o) except -1:
    cdef Harvest h
    cdef uint64_t steps = 0
    cdef size_t i, count
    cdef void* entry
    cdef Slice key
    cdef char digits[48]
    memset(&h, 0, sizeof(Harvest))
    h.kind = kind
    h.options = o
    while True:
        cursor = table_scan(t, cursor, gather, &h)
        steps += 1
        if cursor == 0 or h.seen >= <size_t>o.count or steps // STEPS_PER_ELEMENT >= <uint64_t>o.count:
            break
    count = h.entries.len // sizeof(void*)
    reply_cursor(s, cursor)
    reply_array(s, 2 * count if kind == ZSET_TREE else count)
    for i in range(count):
        entry = (<void**>h.entries.ptr)[i]
        key = key_of(kind, entry)
        reply_bulk(s, key.ptr, key.len)
        if kind == ZSET_TREE:
            reply_bulk(s, digits, format_double(digits, (<Member*>entry).score))
    buf_free(&h.entries)
    return 0
