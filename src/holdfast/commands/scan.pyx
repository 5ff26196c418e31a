"""SCAN, and what SSCAN, HSCAN and ZSCAN share with it (https://redis.io/commands/scan/).

What it is: cursor, options, and the walk over a table. What it is not: small
values; their families tell all of them at once, with cursor 0.

A call visits whole buckets until it has seen COUNT elements, or ten times as
many buckets; MATCH and TYPE are asked afterwards. In cluster mode the cursor
holds the slot in its low 14 bits, and the place in the slot's table above them.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport abort, free, realloc
from libc.string cimport memcpy, memset
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.buf cimport Slice
from holdfast.engine.checksum cimport key_slot
from holdfast.engine.full_forms cimport SET_KEY, HashEntry, hash_entry_key, hash_entry_value
from holdfast.engine.glob cimport glob_match
from holdfast.engine.keyspace cimport EXPIRY_DELETE, Database, ks_drop_expired, ks_is_expired
from holdfast.engine.ordered cimport Member, member_key
from holdfast.engine.record cimport FLAG_EXPIRES, HASH_TABLE, ZSET_TREE, Record, record_key_slice, type_name
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_array_at, reply_bulk, reply_error, reply_later, reply_slice, reply_syntax_error)
from holdfast.engine.state cimport Call, Engine, Session
from holdfast.engine.table cimport Table, table_count, table_scan

from holdfast.commands.spec import Spec

cdef extern from *:
    """
    #include <errno.h>
    #include <stdlib.h>
    static inline int hf_read_cursor(const char *text, unsigned long long *out) {
        char *end;
        errno = 0;
        *out = strtoull(text, &end, 10);
        return *end == 0 && errno != ERANGE;
    }
    """
    bint hf_read_cursor(const char* text, unsigned long long* out) noexcept nogil

cdef enum:
    SLOT_BITS = 14

cdef struct Found:          # entries of the buckets that a call visited
    void** entries
    size_t count
    size_t cap


cdef void keep(void* entry, void** slot, void* arg) noexcept nogil:
    cdef Found* found = <Found*>arg
    if found.count == found.cap:
        found.cap = found.cap * 2 if found.cap else 32
        found.entries = <void**>realloc(found.entries, found.cap * sizeof(void*))
        if found.entries == NULL:
            abort()
    found.entries[found.count] = entry
    found.count += 1


# ---- arguments ----

cdef bint scan_cursor(Session s, Slice text, uint64_t* cursor) noexcept:
    """As strtoull reads it, but without leading space."""
    cdef char digits[64]
    cdef unsigned long long value
    if text.len < sizeof(digits):
        memcpy(digits, text.ptr, text.len)
        digits[text.len] = 0
        if not (c'\t' <= digits[0] <= c'\r') and digits[0] != c' ' and hf_read_cursor(digits, &value):
            cursor[0] = value
            return True
    reply_error(s, b"ERR invalid cursor")
    return False


cdef bint scan_options(Session s, Call* c, int first, bint with_type, ScanOptions* o) noexcept:
    cdef int i = first
    memset(o, 0, sizeof(ScanOptions))
    o.count = 10
    while i < c.argc:
        if i + 1 < c.argc and arg_is(c.argv[i], b"count"):
            if not arg_int(s, c.argv[i + 1], &o.count):
                return False
            if o.count < 1:
                reply_syntax_error(s)
                return False
        elif i + 1 < c.argc and arg_is(c.argv[i], b"match"):
            o.pattern = c.argv[i + 1]
            o.match = not (o.pattern.len == 1 and o.pattern.ptr[0] == c'*')
        elif i + 1 < c.argc and with_type and arg_is(c.argv[i], b"type"):
            o.type_name = c.argv[i + 1]
            o.by_type = True
        else:
            reply_syntax_error(s)
            return False
        i += 2
    return True


cdef bint scan_wants(ScanOptions* o, const char* p, size_t n) noexcept nogil:
    return not o.match or glob_match(o.pattern.ptr, o.pattern.len, p, n, False)


# ---- replies ----

cdef size_t scan_begin(Session s, uint64_t cursor) noexcept:
    cdef char digits[32]
    reply_array(s, 2)
    reply_bulk(s, digits, snprintf(digits, sizeof(digits), b"%llu", <unsigned long long>cursor))
    return reply_later(s)


cdef void scan_end(Session s, size_t at, size_t count) noexcept:
    reply_array_at(s, at, count)


cdef void scan_nothing(Session s) noexcept:
    reply_array(s, 2)
    reply_bulk(s, b"0", 1)
    reply_array(s, 0)


# ---- one table ----

cdef int64_t visits_of(ScanOptions* o) noexcept nogil:
    if o.count > 1000000000:
        return o.count
    return o.count * 10


cdef int scan_table_values(Session s, Call* c, Table* t, int kind, uint64_t cursor, ScanOptions* o) except -1:
    cdef Found found
    cdef int64_t visits = visits_of(o)
    cdef size_t at, i, told = 0
    memset(&found, 0, sizeof(found))
    while True:
        cursor = table_scan(t, cursor, keep, &found)
        visits -= 1
        if cursor == 0 or visits <= 0 or <int64_t>found.count >= o.count:
            break
    at = scan_begin(s, cursor)
    for i in range(found.count):
        told += tell_entry(s, found.entries[i], kind, o)
    scan_end(s, at, told)
    free(found.entries)
    return 0


cdef size_t tell_entry(Session s, void* entry, int kind, ScanOptions* o) noexcept:
    """Reply one element if it is wanted; return how many bulk strings that took."""
    cdef HashEntry* field
    cdef Member* member
    cdef uint64_t length = (<unsigned*>entry)[0]
    cdef char digits[64]
    if kind == HASH_TABLE:
        field = <HashEntry*>entry
        if not scan_wants(o, hash_entry_key(field), field.klen):
            return 0
        reply_bulk(s, hash_entry_key(field), field.klen)
        reply_bulk(s, hash_entry_value(field), field.vlen)
        return 2
    if kind == ZSET_TREE:
        member = <Member*>entry
        if not scan_wants(o, member_key(member), member.klen):
            return 0
        reply_bulk(s, member_key(member), member.klen)
        # Redis tells scores here with 17 digits, other than in every other reply.
        reply_bulk(s, digits, snprintf(digits, sizeof(digits), b"%.17g", member.score))
        return 2
    if not scan_wants(o, <char*>entry + SET_KEY, length):
        return 0
    reply_bulk(s, <char*>entry + SET_KEY, length)
    return 1


# ---- SCAN ----

cdef uint64_t scan_slots(Database* db, uint64_t cursor, int only_slot, Found* found) noexcept nogil:
    """One bucket of a database with a table a slot; the cursor after it."""
    cdef int slot = <int>(cursor & ((1 << SLOT_BITS) - 1))
    cursor >>= SLOT_BITS
    if only_slot >= 0:
        if slot > only_slot:
            return 0
        if slot < only_slot:
            slot = only_slot
            cursor = 0
    if table_count(&db.table[slot]):
        cursor = table_scan(&db.table[slot], cursor, keep, found)
    else:
        cursor = 0
    if cursor:
        return (cursor << SLOT_BITS) | <uint64_t>slot
    if only_slot >= 0:
        return 0
    slot += 1
    while slot < db.tables and table_count(&db.table[slot]) == 0:
        slot += 1
    return <uint64_t>slot if slot < db.tables else 0


cdef bint is_wild(char c) noexcept nogil:
    return c == c'*' or c == c'?' or c == c'[' or c == c'\\'


cdef int slot_of_pattern(ScanOptions* o) noexcept nogil:
    """The one slot that a pattern can match in (it has a literal hash tag, or no wildcard), or -1."""
    cdef size_t i, opened = 0
    cdef bint tagged = False
    if not o.match:
        return -1
    for i in range(o.pattern.len):
        if is_wild(o.pattern.ptr[i]):
            return -1
        if not tagged and o.pattern.ptr[i] == c'{':
            tagged = True
            opened = i
        elif tagged and o.pattern.ptr[i] == c'}' and i > opened + 1:
            return key_slot(o.pattern.ptr, i + 1)
    return key_slot(o.pattern.ptr, o.pattern.len)


cdef bint tell_key(Session s, Record* r, ScanOptions* o) noexcept:
    """Reply a key if it is wanted and alive."""
    cdef Engine e = s.engine
    cdef Slice key = record_key_slice(r)
    if not scan_wants(o, key.ptr, key.len):
        return False
    if o.by_type and not arg_is(o.type_name, type_name(r)):
        return False
    if r.state & FLAG_EXPIRES and ks_is_expired(&e.ks, r):
        if e.ks.expiry_mode == EXPIRY_DELETE:
            ks_drop_expired(&e.ks, s.db, r)
        return False
    reply_slice(s, key)
    return True


cdef int scan(Session s, Call* c) except -1:
    cdef ScanOptions o
    cdef Found found
    cdef uint64_t cursor
    cdef int64_t visits
    cdef size_t at, i, told = 0
    cdef int only_slot = -1
    if not scan_cursor(s, c.argv[1], &cursor) or not scan_options(s, c, 2, True, &o):
        return 0
    memset(&found, 0, sizeof(found))
    visits = visits_of(&o)
    if s.db.tables > 1:
        only_slot = slot_of_pattern(&o)
    while s.db.keys:
        if s.db.tables > 1:
            cursor = scan_slots(s.db, cursor, only_slot, &found)
        else:
            cursor = table_scan(s.db.table, cursor, keep, &found)
        visits -= 1
        if cursor == 0 or visits <= 0 or <int64_t>found.count >= o.count:
            break
    at = scan_begin(s, cursor if s.db.keys else 0)
    for i in range(found.count):
        told += tell_key(s, <Record*>found.entries[i], &o)
    scan_end(s, at, told)
    free(found.entries)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, scan, Spec(
        "scan", -2, "readonly", (0, 0, 0), "generic", "2.8.0",
        "Walk over the keys of the database in steps that a cursor links.",
        "O(1) a call; O(N) for a whole walk over N keys.",
        tips=("nondeterministic_output", "request_policy:special", "response_policy:special")))
    return 0
