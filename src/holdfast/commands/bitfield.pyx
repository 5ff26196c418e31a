"""BITFIELD and BITFIELD_RO: a string as integers of any width (https://redis.io/commands/bitfield/).

What it is: the operations are read first, all of them, so that an error changes
nothing; then they run in order. What it is not: single bits (`bits`). The index
is `register` at the end.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from holdfast.commands.bits cimport bit_offset
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.commands.text cimport grow_text, is_string_or_none
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_STRING, changed
from holdfast.engine.keyspace cimport ks_read, ks_write
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport Record, record_string
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_array, reply_error, reply_int, reply_null, reply_syntax_error
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef extern from *:
    bint __builtin_add_overflow(int64_t a, int64_t b, int64_t* out) noexcept nogil

cdef enum FieldAction:
    FIELD_GET
    FIELD_SET
    FIELD_INCRBY

cdef enum Overflow:
    OVERFLOW_WRAP
    OVERFLOW_SATURATE
    OVERFLOW_FAIL

cdef struct FieldOperation:
    int action
    int overflow
    bint is_signed
    int bits            # 1..64, unsigned ones to 63
    uint64_t offset     # in bits
    int64_t value       # to set or to add


# ---- numbers in bits ----

cdef int64_t read_field(const char* p, size_t length, FieldOperation* f) noexcept nogil:
    """The field; what is behind the string counts as zeros."""
    cdef uint64_t value = 0, at
    cdef int i
    for i in range(f.bits):
        at = f.offset + i
        value <<= 1
        if at >> 3 < length:
            value |= (<uint8_t>p[at >> 3] >> (7 - (at & 7))) & 1
    if f.is_signed and f.bits < 64 and value >> (f.bits - 1):
        value |= ~<uint64_t>0 << f.bits
    return <int64_t>value


cdef void write_field(char* p, FieldOperation* f, int64_t value) noexcept nogil:
    cdef uint64_t at
    cdef int i, mask
    for i in range(f.bits):
        at = f.offset + i
        mask = 0x80 >> (at & 7)
        if (<uint64_t>value >> (f.bits - 1 - i)) & 1:
            p[at >> 3] = <char>(<uint8_t>p[at >> 3] | mask)
        else:
            p[at >> 3] = <char>(<uint8_t>p[at >> 3] & ~mask)


cdef int64_t wrapped(FieldOperation* f, int64_t value) noexcept nogil:
    """The lowest bits of a number, as the field would be read back."""
    cdef uint64_t low = <uint64_t>value
    if f.bits < 64:
        low &= (<uint64_t>1 << f.bits) - 1
        if f.is_signed and low >> (f.bits - 1):
            low |= ~<uint64_t>0 << f.bits
    return <int64_t>low


cdef bint add_to_field(FieldOperation* f, int64_t old, int64_t delta, int64_t* out) noexcept nogil:
    """old + delta as the field holds it; True: it did not fit and what OVERFLOW says was done."""
    cdef int64_t highest = INT64_MAX
    cdef int64_t lowest = 0
    cdef bint above, below
    cdef int64_t total = 0
    if f.bits < 64:
        highest = <int64_t>((<uint64_t>1 << (f.bits - 1 if f.is_signed else f.bits)) - 1)
    if f.is_signed:
        lowest = -highest - 1
    if __builtin_add_overflow(old, delta, &total):
        above = delta > 0
        below = not above
    elif not f.is_signed and old < 0:       # SET of a negative number: unsigned it is a huge one
        above = True
        below = False
    else:
        above = total > highest
        below = total < lowest
    if f.overflow == OVERFLOW_SATURATE and (above or below):
        out[0] = highest if above else lowest
    else:
        out[0] = wrapped(f, total)
    return above or below


# ---- reading the operations ----

cdef bint parse_type(Session s, Slice arg, FieldOperation* f) noexcept:
    cdef int64_t bits = 0
    if arg.len > 1 and (arg.ptr[0] == c'i' or arg.ptr[0] == c'u'):
        f.is_signed = arg.ptr[0] == c'i'
        if parse_int64(arg.ptr + 1, arg.len - 1, &bits) and 1 <= bits <= (64 if f.is_signed else 63):
            f.bits = <int>bits
            return True
    reply_error(
        s,
        b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
    return False


cdef int parse_overflow(Slice arg) noexcept nogil:
    if arg_is(arg, b"wrap"):
        return OVERFLOW_WRAP
    if arg_is(arg, b"sat"):
        return OVERFLOW_SATURATE
    return OVERFLOW_FAIL if arg_is(arg, b"fail") else -1


cdef int parse_operations(Session s, Call* c, FieldOperation* operations) noexcept:
    """How many there are; -1: answered with an error."""
    cdef int i = 2, count = 0, overflow = OVERFLOW_WRAP, rest
    cdef FieldOperation* f
    while i < c.argc:
        rest = c.argc - i - 1
        if arg_is(c.argv[i], b"overflow") and rest >= 1:
            overflow = parse_overflow(c.argv[i + 1])
            if overflow < 0:
                reply_error(s, b"ERR Invalid OVERFLOW type specified")
                return -1
            i += 2
            continue
        f = &operations[count]
        f.overflow = overflow
        f.value = 0
        if arg_is(c.argv[i], b"get") and rest >= 2:
            f.action = FIELD_GET
        elif arg_is(c.argv[i], b"set") and rest >= 3:
            f.action = FIELD_SET
        elif arg_is(c.argv[i], b"incrby") and rest >= 3:
            f.action = FIELD_INCRBY
        else:
            reply_syntax_error(s)
            return -1
        if not parse_type(s, c.argv[i + 1], f) or not bit_offset(s, c.argv[i + 2], f.bits, &f.offset):
            return -1
        if f.action != FIELD_GET and not arg_int(s, c.argv[i + 3], &f.value):
            return -1
        i += 3 if f.action == FIELD_GET else 4
        count += 1
    return count


# ---- running them ----

cdef void run_reads(Session s, Record* r, FieldOperation* operations, int count) noexcept:
    cdef char scratch[24]
    cdef Slice text
    cdef int i
    text.ptr = scratch
    text.len = 0
    if r != NULL:
        text = record_string(r, scratch)
    reply_array(s, count)
    for i in range(count):
        reply_int(s, read_field(text.ptr, text.len, &operations[i]))


cdef int64_t run_writes(
        Session s, char* p, size_t length, FieldOperation* operations, int count, bint grown) noexcept:
    """Run operations on a string long enough for all writes; return how many changed it."""
    cdef FieldOperation* f
    cdef int64_t old, fresh, changes = 0
    cdef bint over
    cdef int i
    reply_array(s, count)
    for i in range(count):
        f = &operations[i]
        old = read_field(p, length, f)
        if f.action == FIELD_GET:
            reply_int(s, old)
            continue
        if f.action == FIELD_INCRBY:
            over = add_to_field(f, old, f.value, &fresh)
        else:
            over = add_to_field(f, f.value, 0, &fresh)
        if over and f.overflow == OVERFLOW_FAIL:
            reply_null(s)
            continue
        reply_int(s, fresh if f.action == FIELD_INCRBY else old)
        write_field(p, f, fresh)
        changes += grown or old != fresh
    return changes


cdef int64_t run_operations(
        Session s, Call* c, FieldOperation* operations, int count, bint read_only) noexcept:
    """Run operations; return how many changed the string."""
    cdef char scratch[24]
    cdef Record* r
    cdef uint64_t last_bit = 0
    cdef bint writes = False
    cdef size_t before, length
    cdef char* p
    cdef int i
    for i in range(count):
        if operations[i].action != FIELD_GET:
            writes = True
            last_bit = max(last_bit, operations[i].offset + operations[i].bits - 1)
    if writes and read_only:
        reply_error(s, b"ERR BITFIELD_RO only supports the GET subcommand")
        return 0
    r = ks_write(&s.engine.ks, s.db, c.argv[1]) if writes else ks_read(&s.engine.ks, s.db, c.argv[1])
    if not is_string_or_none(s, r):
        return 0
    if not writes:
        run_reads(s, r, operations, count)
        return 0
    before = record_string(r, scratch).len if r != NULL else 0
    p = grow_text(s, c.argv[1], r, (last_bit >> 3) + 1, &length)
    return run_writes(s, p, length, operations, count, length != before)


cdef int run(Session s, Call* c, bint read_only) except -1:
    cdef FieldOperation* operations = <FieldOperation*>malloc((c.argc // 3 + 1) * sizeof(FieldOperation))
    cdef int count
    cdef int64_t changes
    if operations == NULL:
        abort()
    count = parse_operations(s, c, operations)
    if count >= 0:
        changes = run_operations(s, c, operations, count, read_only)
        if changes:
            changed(s, c.argv[1], NOTIFY_STRING, b"setbit", changes)
    free(operations)
    return 0


cdef int bitfield(Session s, Call* c) except -1:
    return run(s, c, False)


cdef int bitfield_ro(Session s, Call* c) except -1:
    return run(s, c, True)


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, bitfield, Spec(
        "bitfield", -2, "write denyoom", (1, 1, 1), "bitmap", "3.2.0",
        "Read, set and add to integers of any width in a string.", "O(1) for each operation",
        key_specs=(KeySpec("RW access update variable_flags"),)))
    command(e, bitfield_ro, Spec(
        "bitfield_ro", -2, "readonly fast", (1, 1, 1), "bitmap", "6.0.0",
        "Read integers of any width in a string.", "O(1) for each operation",
        key_specs=(KeySpec("RO access"),)))
    return 0
