"""Numbers in strings: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT (https://redis.io/commands/?group=string).

What it is: integers stay integers in their record; decimals are computed as long
doubles and kept as text. What it is not: HINCRBY and its kin, which are of the
hashes. The index is `register` at the end.
"""

from libc.math cimport isinf, isnan
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t
from holdfast.commands.options cimport arg_int
from holdfast.commands.text cimport is_string_or_none
from holdfast.engine.buf cimport Slice
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_slice
from holdfast.engine.events cimport NOTIFY_STRING, changed
from holdfast.engine.keyspace cimport ks_set_number, ks_set_string, ks_write
from holdfast.engine.numbers cimport format_long_double, parse_int64, parse_long_double
from holdfast.engine.record cimport STR_INT, TYPE_STRING, Record, kind_of, record_string, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_error, reply_int, reply_not_float, reply_not_integer, reply_slice, reply_wrong_type)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec


cdef int add_number(Session s, Slice key, int64_t delta) except -1:
    """INCR and its kin: the number stays in its record."""
    cdef Engine e = s.engine
    cdef Record* r = ks_write(&e.ks, s.db, key)
    cdef char scratch[24]
    cdef Slice text
    cdef int64_t value = 0
    if r != NULL:
        if type_of(r) != TYPE_STRING:
            reply_wrong_type(s)
            return 0
        if kind_of(r) == STR_INT:
            value = r.value.number
        else:
            text = record_string(r, scratch)
            if not parse_int64(text.ptr, text.len, &value):
                reply_not_integer(s)
                return 0
    if (delta < 0 and value < 0 and delta < INT64_MIN - value) or (
            delta > 0 and value > 0 and delta > INT64_MAX - value):
        reply_error(s, b"ERR increment or decrement would overflow")
        return 0
    value += delta
    if r != NULL and kind_of(r) == STR_INT:
        r.value.number = value
    else:
        ks_set_number(&e.ks, s.db, key, value, -1, True)
    changed(s, key, NOTIFY_STRING, b"incrby", 1)
    reply_int(s, value)
    return 0


cdef int incr(Session s, Call* c) except -1:
    return add_number(s, c.argv[1], 1)


cdef int decr(Session s, Call* c) except -1:
    return add_number(s, c.argv[1], -1)


cdef int incrby(Session s, Call* c) except -1:
    cdef int64_t delta
    if arg_int(s, c.argv[2], &delta):
        add_number(s, c.argv[1], delta)
    return 0


cdef int decrby(Session s, Call* c) except -1:
    cdef int64_t delta
    if not arg_int(s, c.argv[2], &delta):
        return 0
    if delta == INT64_MIN:
        reply_error(s, b"ERR decrement would overflow")
        return 0
    return add_number(s, c.argv[1], -delta)


cdef int incrbyfloat(Session s, Call* c) except -1:
    """Replicas hear the sum, lest they add or print otherwise."""
    cdef Engine e = s.engine
    cdef Slice key = c.argv[1]
    cdef Record* r = ks_write(&e.ks, s.db, key)
    cdef long double value = 0, delta = 0
    cdef char scratch[24]
    cdef char digits[5200]
    cdef Slice text
    if not is_string_or_none(s, r):
        return 0
    if r != NULL:
        text = record_string(r, scratch)
        if not parse_long_double(text.ptr, text.len, &value):
            reply_not_float(s)
            return 0
    if not parse_long_double(c.argv[2].ptr, c.argv[2].len, &delta):
        reply_not_float(s)
        return 0
    value += delta
    if isnan(value) or isinf(value):
        reply_error(s, b"ERR increment would produce NaN or Infinity")
        return 0
    text.ptr = digits
    text.len = format_long_double(digits, value)
    ks_set_string(&e.ks, s.db, key, text.ptr, text.len, -1, True)
    changed(s, key, NOTIFY_STRING, b"incrbyfloat", 1)
    reply_slice(s, text)
    effect_begin(e, s.db.id, 4)
    effect_arg(e, b"SET", 3)
    effect_slice(e, key)
    effect_slice(e, text)
    effect_arg(e, b"KEEPTTL", 7)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, incr, Spec(
        "incr", 2, "write denyoom fast", (1, 1, 1), "string", "1.0.0", "Add one to the integer of a key.",
        "O(1)",
        key_specs=(KeySpec("RW access update"),)))
    command(e, decr, Spec(
        "decr", 2, "write denyoom fast", (1, 1, 1), "string", "1.0.0", "Take one from the integer of a key.",
        "O(1)",
        key_specs=(KeySpec("RW access update"),)))
    command(e, incrby, Spec(
        "incrby", 3, "write denyoom fast", (1, 1, 1), "string", "1.0.0", "Add to the integer of a key.",
        "O(1)",
        key_specs=(KeySpec("RW access update"),)))
    command(e, decrby, Spec(
        "decrby", 3, "write denyoom fast", (1, 1, 1), "string", "1.0.0", "Take from the integer of a key.",
        "O(1)",
        key_specs=(KeySpec("RW access update"),)))
    command(e, incrbyfloat, Spec(
        "incrbyfloat", 3, "write denyoom fast", (1, 1, 1), "string", "2.6.0",
        "Add to the decimal number of a key.", "O(1)",
        key_specs=(KeySpec("RW access update"),)))
    return 0
