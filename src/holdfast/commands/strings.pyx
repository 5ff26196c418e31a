"""String commands (https://redis.io/commands/?group=string).

The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy
from holdfast.commands.options cimport ExpireOption, OPT_EX, SetOptions, parse_set_options
from holdfast.engine.buf cimport Slice, slice_equal
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_int, effect_key, effect_slice
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_STRING, changed, notify
from holdfast.engine.keyspace cimport (
    STR_INT, TYPE_STRING, Record, expires_at, kind_of, ks_delete, ks_read, ks_set_number, ks_set_string, ks_write,
    record_string, type_of)
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_bulk, reply_error, reply_int, reply_not_integer, reply_null, reply_ok, reply_slice, reply_wrong_type)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import Spec


cdef inline void store(Session s, Slice key, Slice value, int64_t at_ms, bint keep_ttl) noexcept:
    """Store a string, as a number where it is one."""
    cdef int64_t number
    if value.len <= 20 and parse_int64(value.ptr, value.len, &number):
        ks_set_number(&s.engine.ks, s.db, key, number, at_ms, keep_ttl)
    else:
        ks_set_string(&s.engine.ks, s.db, key, value.ptr, value.len, at_ms, keep_ttl)


cdef int get(Session s, Call* c) except -1:
    cdef char scratch[24]
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef Slice text
    if r == NULL:
        reply_null(s)
    elif type_of(r) != TYPE_STRING:
        reply_wrong_type(s)
    else:
        text = record_string(r, scratch)
        reply_bulk(s, text.ptr, text.len)
    return 0


cdef int set_(Session s, Call* c) except -1:
    cdef SetOptions o
    cdef Record* r
    cdef char scratch[24]
    cdef Engine e = s.engine
    if c.argc == 3:                     # the plain form, which most requests have
        store(s, c.argv[1], c.argv[2], -1, False)
        changed(s, c.argv[1], NOTIFY_STRING, b"set", 1)
        reply_ok(s)
        return 0
    if not parse_set_options(s, c, 3, &o):
        return 0
    r = NULL
    if o.nx or o.xx or o.get:
        r = ks_write(&e.ks, s.db, c.argv[1])
        if o.get:
            if r == NULL:
                reply_null(s)
            elif type_of(r) != TYPE_STRING:
                reply_wrong_type(s)
                return 0
            else:
                reply_slice(s, record_string(r, scratch))
        if (o.nx and r != NULL) or (o.xx and r == NULL):
            if not o.get:
                reply_null(s)
            return 0
    if o.expire.given and o.expire.at_ms <= e.ks.now_ms and e.ks.expiry_mode == 0:
        # Redis stores and deletes; what remains of it is a deletion.
        if ks_delete(&e.ks, s.db, c.argv[1]):
            changed(s, c.argv[1], NOTIFY_GENERIC, b"del", 1)
            effect_key(e, s.db.id, b"DEL", c.argv[1])
        if not o.get:
            reply_ok(s)
        return 0
    store(s, c.argv[1], c.argv[2], o.expire.at_ms if o.expire.given else -1, o.keep_ttl)
    changed(s, c.argv[1], NOTIFY_STRING, b"set", 1)
    if o.expire.given:
        notify(e, s.db, NOTIFY_GENERIC, b"expire", c.argv[1])
        effect_begin(e, s.db.id, 5)
        effect_arg(e, b"SET", 3)
        effect_slice(e, c.argv[1])
        effect_slice(e, c.argv[2])
        effect_arg(e, b"PXAT", 4)
        effect_int(e, o.expire.at_ms)
    if not o.get:
        reply_ok(s)
    return 0


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
    if (delta < 0 and value < 0 and delta < (-9223372036854775807 - 1) - value) or (
            delta > 0 and value > 0 and delta > 9223372036854775807 - value):
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


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, get, Spec(
        "get", 2, "readonly fast", (1, 1, 1), "string", "1.0.0", "Return the string value of a key.", "O(1)"))
    command(e, set_, Spec(
        "set", -3, "write denyoom", (1, 1, 1), "string", "1.0.0",
        "Set the string value of a key, whatever it held before.", "O(1)"))
    command(e, incr, Spec(
        "incr", 2, "write denyoom fast", (1, 1, 1), "string", "1.0.0", "Add one to the integer of a key.", "O(1)"))
    command(e, decr, Spec(
        "decr", 2, "write denyoom fast", (1, 1, 1), "string", "1.0.0", "Take one from the integer of a key.", "O(1)"))
    return 0
