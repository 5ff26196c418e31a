"""Hash commands that draw fields by lot or go through them in parts: HRANDFIELD, HSCAN.

What it is: HRANDFIELD draws from an array of all fields, or, where few are
wanted of a large table, from the table itself until enough different ones are
found. HSCAN returns a listpack at once; a table's steps are those of `scan`.

The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport abort, calloc, free, malloc
from holdfast.commands.hashes cimport hash_read
from holdfast.commands.options cimport arg_is
from holdfast.commands.scan cimport (
    ScanOptions, scan_begin, scan_cursor, scan_end, scan_nothing, scan_options, scan_table_values, scan_wants)
from holdfast.engine.buf cimport Slice
from holdfast.engine.full_forms cimport HashEntry, hash_entry_key, hash_entry_value
from holdfast.engine.hashes cimport HashCursor, HashValue, hash_count, hash_value, hash_walk, hash_walk_next
from holdfast.engine.listpack cimport Listpack, lp_first, lp_next, lp_text
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport HASH_PACK, HASH_TABLE, Record
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_not_integer, reply_null, reply_slice, reply_syntax_error)
from holdfast.engine.state cimport S_CLOSING, Call, Engine, Session
from holdfast.engine.table cimport Table, TableCursor, random_u64, table_random, table_walk, table_walk_next

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

cdef void scan_pack(Session s, HashValue* v, ScanOptions* options) noexcept:
    cdef HashCursor at
    cdef Slice field, value
    cdef size_t begin = scan_begin(s, 0), replied = 0
    hash_walk(v, &at)
    while hash_walk_next(&at, &field, &value):
        if scan_wants(options, field.ptr, field.len):
            reply_slice(s, field)
            reply_slice(s, value)
            replied += 2
    scan_end(s, begin, replied)


cdef int hscan(Session s, Call* c) except -1:
    cdef uint64_t cursor
    cdef ScanOptions options
    cdef bint wrong
    cdef Record* r
    cdef HashValue v
    if not scan_cursor(s, c.argv[2], &cursor):
        return 0
    r = hash_read(s, c.argv[1], &wrong)
    if wrong:
        return 0
    if r == NULL:
        scan_nothing(s)
        return 0
    if not scan_options(s, c, 3, False, &options):
        return 0
    v = hash_value(r)
    if v.kind == HASH_PACK:
        scan_pack(s, &v, &options)
        return 0
    return scan_table_values(s, c, <Table*>v.ptr, HASH_TABLE, cursor, &options)


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
