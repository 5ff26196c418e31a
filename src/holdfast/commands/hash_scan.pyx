"""Hash commands that draw fields by lot or go through them in parts: HRANDFIELD, HSCAN.

What it is: HRANDFIELD draws from an array of all fields, or, where few are
wanted of a large table, from the table itself until enough different ones are
found. HSCAN returns a listpack at once and a table a few buckets a call.

The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport abort, calloc, free, malloc, realloc
from holdfast.commands.hashes cimport hash_read
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.buf cimport Slice
from holdfast.engine.glob cimport glob_match
from holdfast.engine.hashes cimport HashCursor, HashValue, hash_count, hash_value, hash_walk, hash_walk_next
from holdfast.engine.keyspace cimport HASH_PACK, HashEntry, Record, hash_entry_key, hash_entry_value
from holdfast.engine.listpack cimport Listpack, lp_first, lp_next, lp_text
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_array_at, reply_bulk, reply_error, reply_later, reply_not_integer, reply_null,
    reply_slice, reply_syntax_error)
from holdfast.engine.state cimport S_CLOSING, Call, Engine, Session
from holdfast.engine.table cimport (
    Table, TableCursor, random_u64, table_random, table_scan, table_walk, table_walk_next)

from holdfast.commands.spec import KeySpec, Spec

cdef enum:
    FEW = 3         # a third of the fields or less is drawn from the table itself

cdef int64_t HIGHEST = 9223372036854775807


# ---- HRANDFIELD

cdef void** all_places(HashValue* v, size_t count) noexcept:
    """Pointers to all fields: elements of the listpack, or entries of the table. To be freed."""
    cdef void** places = <void**>malloc(count * sizeof(void*))
    cdef TableCursor c
    cdef Listpack lp
    cdef uint8_t* at
    cdef size_t i
    if places == NULL:
        abort()
    if v.kind == HASH_PACK:
        lp = <Listpack>v.ptr
        at = lp_first(lp)
        for i in range(count):
            places[i] = at
            at = lp_next(lp, lp_next(lp, at))
    else:
        table_walk(<Table*>v.ptr, &c)
        for i in range(count):
            places[i] = table_walk_next(&c)
    return places


cdef void reply_field(Session s, HashValue* v, void* place, bint with_value, bint nested) noexcept:
    cdef char scratch[24]
    cdef HashEntry* entry
    if nested:
        reply_array(s, 2)
    if v.kind == HASH_PACK:
        reply_slice(s, lp_text(<uint8_t*>place, scratch))
        if with_value:
            reply_slice(s, lp_text(lp_next(<Listpack>v.ptr, <uint8_t*>place), scratch))
        return
    entry = <HashEntry*>place
    reply_bulk(s, hash_entry_key(entry), entry.klen)
    if with_value:
        reply_bulk(s, hash_entry_value(entry), entry.vlen)


cdef void reply_drawn_again(Session s, HashValue* v, size_t size, int64_t count, bint with_values) noexcept:
    """Fields by lot, each of all of them: the same may come more than once."""
    cdef uint64_t* rng = &s.engine.ks.rng
    cdef bint nested = with_values and s.resp == 3
    cdef void** places = NULL
    if v.kind == HASH_PACK or count > <int64_t>size:
        places = all_places(v, size)
    while count > 0 and not s.flags & S_CLOSING:
        count -= 1
        if places != NULL:
            reply_field(s, v, places[random_u64(rng) % size], with_values, nested)
        else:
            reply_field(s, v, table_random(<Table*>v.ptr, rng), with_values, nested)
    free(places)


cdef bint remember(void** known, size_t mask, void* place) noexcept nogil:
    """Add a pointer to a set of them; False: it was there."""
    cdef size_t i = (<size_t>place >> 4) * <size_t>0x9E3779B97F4A7C15 >> 20 & mask
    while known[i] != NULL:
        if known[i] == place:
            return False
        i = (i + 1) & mask
    known[i] = place
    return True


cdef void reply_few(Session s, HashValue* v, size_t count, bint with_values) noexcept:
    """Different fields, few of a large table."""
    cdef size_t mask = 15
    cdef void** known
    cdef void* place
    while mask < 2 * count:
        mask = 2 * mask + 1
    known = <void**>calloc(mask + 1, sizeof(void*))
    if known == NULL:
        abort()
    while count:
        place = table_random(<Table*>v.ptr, &s.engine.ks.rng)
        if remember(known, mask, place):
            reply_field(s, v, place, with_values, with_values and s.resp == 3)
            count -= 1
    free(known)


cdef void reply_drawn_once(Session s, HashValue* v, size_t size, size_t count, bint with_values) noexcept:
    """Different fields, by lot unless it is all of them."""
    cdef void** places = all_places(v, size)
    cdef void* place
    cdef size_t i, j
    for i in range(count):
        if count < size:
            j = i + random_u64(&s.engine.ks.rng) % (size - i)
            place = places[j]
            places[j] = places[i]
            places[i] = place
        reply_field(s, v, places[i], with_values, with_values and s.resp == 3)
    free(places)


cdef int hrandfield(Session s, Call* c) except -1:
    cdef int64_t count = 1
    cdef bint with_values = c.argc == 4
    cdef bint wrong
    cdef Record* r
    cdef HashValue v
    cdef size_t size, wanted
    if c.argc > 2:
        if not parse_int64(c.argv[2].ptr, c.argv[2].len, &count):
            reply_not_integer(s)
            return 0
        if count < -HIGHEST:
            reply_error(s, b"ERR value is out of range, value must between -9223372036854775807 and "
                        b"9223372036854775807")
            return 0
        if c.argc > 4 or (with_values and not arg_is(c.argv[3], b"withvalues")):
            reply_syntax_error(s)
            return 0
        if with_values and (count < -(HIGHEST // 2) or count > HIGHEST // 2):
            reply_error(s, b"ERR value is out of range")
            return 0
    r = hash_read(s, c.argv[1], &wrong)
    if wrong:
        return 0
    if r == NULL or count == 0:
        if c.argc == 2:
            reply_null(s)
        else:
            reply_array(s, 0)
        return 0
    v = hash_value(r)
    size = hash_count(&v)
    if c.argc == 2:
        reply_drawn_again(s, &v, size, 1, False)
        return 0
    wanted = -count if count < 0 else count
    if count > 0 and wanted > size:
        wanted = size
    reply_array(s, 2 * wanted if with_values and s.resp == 2 else wanted)
    if count < 0:
        reply_drawn_again(s, &v, size, wanted, with_values)
    elif v.kind != HASH_PACK and wanted * FEW <= size:
        reply_few(s, &v, wanted, with_values)
    else:
        reply_drawn_once(s, &v, size, wanted, with_values)
    return 0


# ---- HSCAN

cdef struct Found:
    HashEntry** entries
    size_t count
    size_t room


cdef void collect(void* entry, void** slot, void* arg) noexcept nogil:
    cdef Found* found = <Found*>arg
    if found.count == found.room:
        found.room = 2 * found.room + 16
        found.entries = <HashEntry**>realloc(found.entries, found.room * sizeof(HashEntry*))
        if found.entries == NULL:
            abort()
    found.entries[found.count] = <HashEntry*>entry
    found.count += 1


cdef bint read_cursor(Session s, Slice text, uint64_t* out) noexcept:
    cdef uint64_t value = 0
    cdef size_t i
    cdef bint good = 0 < text.len <= 20
    for i in range(text.len if good else 0):
        if not c'0' <= text.ptr[i] <= c'9' or value > (18446744073709551615ULL - (text.ptr[i] - c'0')) / 10:
            good = False
            break
        value = value * 10 + (text.ptr[i] - c'0')
    out[0] = value
    if not good:
        reply_error(s, b"ERR invalid cursor")
    return good


cdef void reply_cursor(Session s, uint64_t cursor) noexcept:
    cdef char digits[24]
    cdef int at = 24
    while True:
        at -= 1
        digits[at] = <char>(c'0' + cursor % 10)
        cursor //= 10
        if cursor == 0:
            break
    reply_bulk(s, digits + at, 24 - at)


cdef inline bint passes(Slice* pattern, const char* p, size_t n) noexcept:
    return pattern.ptr == NULL or glob_match(pattern.ptr, pattern.len, p, n, False)


cdef void scan_table(Session s, Table* t, uint64_t cursor, Slice* pattern, int64_t count) noexcept:
    cdef Found found
    cdef HashEntry* entry
    cdef int64_t buckets = count * 10 if count < HIGHEST // 10 else HIGHEST
    cdef size_t i, head, replied = 0
    found.entries = NULL
    found.count = 0
    found.room = 0
    while True:
        cursor = table_scan(t, cursor, collect, &found)
        buckets -= 1
        if cursor == 0 or buckets <= 0 or <int64_t>found.count >= count:
            break
    reply_cursor(s, cursor)
    head = reply_later(s)
    for i in range(found.count):
        entry = found.entries[i]
        if passes(pattern, hash_entry_key(entry), entry.klen):
            reply_bulk(s, hash_entry_key(entry), entry.klen)
            reply_bulk(s, hash_entry_value(entry), entry.vlen)
            replied += 2
    reply_array_at(s, head, replied)
    free(found.entries)


cdef void scan_pack(Session s, HashValue* v, Slice* pattern) noexcept:
    cdef HashCursor at
    cdef Slice field, value
    cdef size_t head, replied = 0
    reply_cursor(s, 0)
    head = reply_later(s)
    hash_walk(v, &at)
    while hash_walk_next(&at, &field, &value):
        if passes(pattern, field.ptr, field.len):
            reply_slice(s, field)
            reply_slice(s, value)
            replied += 2
    reply_array_at(s, head, replied)


cdef int hscan(Session s, Call* c) except -1:
    cdef uint64_t cursor
    cdef int64_t count = 10
    cdef bint wrong
    cdef Record* r
    cdef HashValue v
    cdef Slice pattern
    cdef int i
    pattern.ptr = NULL
    pattern.len = 0
    if not read_cursor(s, c.argv[2], &cursor):
        return 0
    r = hash_read(s, c.argv[1], &wrong)
    if wrong:
        return 0
    if r == NULL:
        reply_array(s, 2)
        reply_cursor(s, 0)
        reply_array(s, 0)
        return 0
    for i in range(3, c.argc, 2):
        if i + 1 < c.argc and arg_is(c.argv[i], b"count"):
            if not arg_int(s, c.argv[i + 1], &count):
                return 0
            if count < 1:
                reply_syntax_error(s)
                return 0
        elif i + 1 < c.argc and arg_is(c.argv[i], b"match"):
            pattern = c.argv[i + 1]
        else:
            reply_syntax_error(s)
            return 0
    v = hash_value(r)
    reply_array(s, 2)
    if v.kind == HASH_PACK:
        scan_pack(s, &v, &pattern)
    else:
        scan_table(s, <Table*>v.ptr, cursor, &pattern, count)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    access = (KeySpec("RO access"),)
    command(e, hrandfield, Spec(
        "hrandfield", -2, "readonly", (1, 1, 1), "hash", "6.2.0", "Return fields drawn by lot.",
        "O(N), N fields returned", key_specs=access, tips=("nondeterministic_output",)))
    command(e, hscan, Spec(
        "hscan", -3, "readonly", (1, 1, 1), "hash", "2.8.0",
        "Go through the fields of a hash, some at a time.", "O(1) for a call, O(N) for all N fields",
        key_specs=access, tips=("nondeterministic_output",)))
    return 0
