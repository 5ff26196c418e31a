"""Hash commands (https://redis.io/commands/?group=hash).

What it is: reading, setting, counting and deleting fields. What it is not: the
forms of a hash (`engine/hashes`), or commands that draw or scan fields (`hash_scan`).

The index of the family is `register` at the end.
"""

from libc.math cimport isinf, isnan
from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_slice
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_HASH, changed, notify
from holdfast.engine.hashes cimport (
    HashCursor, HashValue, hash_count, hash_delete, hash_expect, hash_get, hash_keep, hash_new, hash_set,
    hash_value, hash_walk, hash_walk_next)
from holdfast.engine.keyspace cimport ks_delete, ks_read, ks_set_value, ks_write
from holdfast.engine.listpack cimport Listpack, lp_fit
from holdfast.engine.numbers cimport format_int64, format_long_double, parse_int64, parse_long_double
from holdfast.engine.record cimport HASH_PACK, TYPE_HASH, Record, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_error_bytes, reply_int, reply_map, reply_not_float,
    reply_not_integer, reply_null, reply_ok, reply_slice, reply_wrong_type)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef enum:
    FIELDS = 1
    VALUES = 2
    ENTRY_EXTRA_BYTES = 2   # what a short element of a listpack takes beside its text


cdef Record* of_hash(Session s, Record* r, bint* wrong) noexcept:
    wrong[0] = False
    if r != NULL and type_of(r) != TYPE_HASH:
        reply_wrong_type(s)
        wrong[0] = True
        return NULL
    return r


cdef Record* hash_read(Session s, Slice key, bint* wrong) noexcept:
    return of_hash(s, ks_read(&s.engine.ks, s.db, key), wrong)


cdef Record* hash_write(Session s, Slice key, bint* wrong) noexcept:
    return of_hash(s, ks_write(&s.engine.ks, s.db, key), wrong)


# ---- setting

cdef int set_fields(Session s, Record* r, Slice key, Slice* texts, int count) noexcept:
    """Set fields (field, value, field, value ...) in a hash that may not exist yet; how many are new."""
    cdef Engine e = s.engine
    cdef HashValue v
    cdef size_t room = 0
    cdef int created = 0
    cdef int i
    if r != NULL:
        v = hash_value(r)
    else:
        for i in range(count):
            if texts[i].len <= <size_t>e.hash_max_listpack_value:
                room += texts[i].len + ENTRY_EXTRA_BYTES
        v = hash_new(&e.ks.heap, room)
    hash_expect(
        &e.ks.heap, &v, &e.ks.seed, texts, count, e.hash_max_listpack_entries, e.hash_max_listpack_value)
    for i in range(0, count, 2):
        created += hash_set(&e.ks.heap, &v, &e.ks.seed, texts[i], texts[i + 1], e.hash_max_listpack_entries)
    if r != NULL:
        hash_keep(r, &v)
    else:
        if v.kind == HASH_PACK:
            v.ptr = lp_fit(&e.ks.heap, <Listpack>v.ptr)
        ks_set_value(&e.ks, s.db, key, v.kind, v.ptr, -1, False)
    return created


cdef int set_many(Session s, Call* c, bint as_count) except -1:
    cdef bint wrong
    cdef Record* r
    cdef int created
    if c.argc & 1:
        reply_error_bytes(s, b"ERR wrong number of arguments for '%s' command" % <bytes>c.command.name)
        return 0
    r = hash_write(s, c.argv[1], &wrong)
    if wrong:
        return 0
    created = set_fields(s, r, c.argv[1], c.argv + 2, c.argc - 2)
    changed(s, c.argv[1], NOTIFY_HASH, b"hset", (c.argc - 2) // 2)
    if as_count:
        reply_int(s, created)
    else:
        reply_ok(s)
    return 0


cdef int hset(Session s, Call* c) except -1:
    return set_many(s, c, True)


cdef int hmset(Session s, Call* c) except -1:
    return set_many(s, c, False)


cdef int hsetnx(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r = hash_write(s, c.argv[1], &wrong)
    cdef HashValue v
    cdef Slice there
    cdef char scratch[24]
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
        if hash_get(&v, c.argv[2], &there, scratch):
            reply_int(s, 0)
            return 0
    set_fields(s, r, c.argv[1], c.argv + 2, 2)
    changed(s, c.argv[1], NOTIFY_HASH, b"hset", 1)
    reply_int(s, 1)
    return 0


cdef void set_one(Session s, Record* r, Call* c, Slice value, const char* event) noexcept:
    """Set the field argv[2] of the hash at argv[1]."""
    cdef Slice texts[2]
    texts[0] = c.argv[2]
    texts[1] = value
    set_fields(s, r, c.argv[1], texts, 2)
    changed(s, c.argv[1], NOTIFY_HASH, event, 1)


cdef int hincrby(Session s, Call* c) except -1:
    cdef int64_t delta, value = 0
    cdef bint wrong
    cdef Record* r
    cdef HashValue v
    cdef Slice text
    cdef char scratch[24]
    if not parse_int64(c.argv[3].ptr, c.argv[3].len, &delta):
        reply_not_integer(s)
        return 0
    r = hash_write(s, c.argv[1], &wrong)
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
        if hash_get(&v, c.argv[2], &text, scratch) and not parse_int64(text.ptr, text.len, &value):
            reply_error(s, b"ERR hash value is not an integer")
            return 0
    if (delta < 0 and value < 0 and delta < (-9223372036854775807 - 1) - value) or (
            delta > 0 and value > 0 and delta > 9223372036854775807 - value):
        reply_error(s, b"ERR increment or decrement would overflow")
        return 0
    value += delta
    text.ptr = scratch
    text.len = format_int64(scratch, value)
    set_one(s, r, c, text, b"hincrby")
    reply_int(s, value)
    return 0


cdef int hincrbyfloat(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef long double delta, value = 0
    cdef bint wrong
    cdef Record* r
    cdef HashValue v
    cdef Slice text
    cdef char scratch[24]
    cdef char digits[5200]
    if not parse_long_double(c.argv[3].ptr, c.argv[3].len, &delta):
        reply_not_float(s)
        return 0
    if isnan(delta) or isinf(delta):
        reply_error(s, b"ERR value is NaN or Infinity")
        return 0
    r = hash_write(s, c.argv[1], &wrong)
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
        if hash_get(&v, c.argv[2], &text, scratch) and not parse_long_double(text.ptr, text.len, &value):
            reply_error(s, b"ERR hash value is not a float")
            return 0
    value += delta
    if isnan(value) or isinf(value):
        reply_error(s, b"ERR increment would produce NaN or Infinity")
        return 0
    text.ptr = digits
    text.len = format_long_double(digits, value)
    set_one(s, r, c, text, b"hincrbyfloat")
    reply_slice(s, text)
    effect_begin(e, s.db.id, 4)
    effect_arg(e, b"HSET", 4)
    effect_slice(e, c.argv[1])
    effect_slice(e, c.argv[2])
    effect_slice(e, text)
    return 0


cdef int hdel(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef bint wrong
    cdef Record* r = hash_write(s, c.argv[1], &wrong)
    cdef HashValue v
    cdef int deleted = 0
    cdef int i
    cdef bint emptied = False
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
        for i in range(2, c.argc):
            if hash_delete(&e.ks.heap, &v, c.argv[i]):
                deleted += 1
                emptied = hash_count(&v) == 0
                if emptied:
                    break
        hash_keep(r, &v)
        if emptied:
            ks_delete(&e.ks, s.db, c.argv[1])
        if deleted:
            changed(s, c.argv[1], NOTIFY_HASH, b"hdel", deleted)
        if emptied:
            notify(e, s.db, NOTIFY_GENERIC, b"del", c.argv[1])
    reply_int(s, deleted)
    return 0


# ---- reading

cdef int hget(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r = hash_read(s, c.argv[1], &wrong)
    cdef HashValue v
    cdef Slice text
    cdef char scratch[24]
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
        if hash_get(&v, c.argv[2], &text, scratch):
            reply_slice(s, text)
            return 0
    reply_null(s)
    return 0


cdef int hmget(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r = hash_read(s, c.argv[1], &wrong)
    cdef HashValue v
    cdef Slice text
    cdef char scratch[24]
    cdef int i
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
    reply_array(s, c.argc - 2)
    for i in range(2, c.argc):
        if r != NULL and hash_get(&v, c.argv[i], &text, scratch):
            reply_slice(s, text)
        else:
            reply_null(s)
    return 0


cdef int reply_all(Session s, Call* c, int what) except -1:
    cdef bint wrong
    cdef Record* r = hash_read(s, c.argv[1], &wrong)
    cdef HashValue v
    cdef HashCursor at
    cdef Slice field, value
    cdef size_t count = 0
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
        count = hash_count(&v)
    if what == FIELDS | VALUES:
        reply_map(s, count)
    else:
        reply_array(s, count)
    if r == NULL:
        return 0
    hash_walk(&v, &at)
    while hash_walk_next(&at, &field, &value):
        if what & FIELDS:
            reply_bulk(s, field.ptr, field.len)
        if what & VALUES:
            reply_bulk(s, value.ptr, value.len)
    return 0


cdef int hgetall(Session s, Call* c) except -1:
    return reply_all(s, c, FIELDS | VALUES)


cdef int hkeys(Session s, Call* c) except -1:
    return reply_all(s, c, FIELDS)


cdef int hvals(Session s, Call* c) except -1:
    return reply_all(s, c, VALUES)


cdef int hlen(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r = hash_read(s, c.argv[1], &wrong)
    cdef HashValue v
    if r != NULL:
        v = hash_value(r)
        reply_int(s, hash_count(&v))
    elif not wrong:
        reply_int(s, 0)
    return 0


cdef int hexists(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r = hash_read(s, c.argv[1], &wrong)
    cdef HashValue v
    cdef Slice text
    cdef char scratch[24]
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
    reply_int(s, 1 if r != NULL and hash_get(&v, c.argv[2], &text, scratch) else 0)
    return 0


cdef int hstrlen(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r = hash_read(s, c.argv[1], &wrong)
    cdef HashValue v
    cdef Slice text
    cdef char scratch[24]
    if wrong:
        return 0
    if r != NULL:
        v = hash_value(r)
    reply_int(s, text.len if r != NULL and hash_get(&v, c.argv[2], &text, scratch) else 0)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    one = (1, 1, 1)
    size = (KeySpec("RO"),)
    access = (KeySpec("RO access"),)
    update = (KeySpec("RW update"),)
    grow = (KeySpec("RW access update"),)
    no_order = ("nondeterministic_output_order",)
    command(e, hset, Spec(
        "hset", -4, "write denyoom fast", one, "hash", "2.0.0", "Set fields of a hash.",
        "O(1) for each field", key_specs=update))
    command(e, hmset, Spec(
        "hmset", -4, "write denyoom fast", one, "hash", "2.0.0",
        "Set fields of a hash; HSET does it as well.", "O(N), N fields", key_specs=update))
    command(e, hsetnx, Spec(
        "hsetnx", 4, "write denyoom fast", one, "hash", "2.0.0",
        "Set a field that does not exist yet.", "O(1)", key_specs=(KeySpec("RW insert"),)))
    command(e, hincrby, Spec(
        "hincrby", 4, "write denyoom fast", one, "hash", "2.0.0", "Add to the integer of a field.", "O(1)",
        key_specs=grow))
    command(e, hincrbyfloat, Spec(
        "hincrbyfloat", 4, "write denyoom fast", one, "hash", "2.6.0",
        "Add to the number of a field.", "O(1)", key_specs=grow))
    command(e, hdel, Spec(
        "hdel", -3, "write fast", one, "hash", "2.0.0", "Delete fields, and the hash with its last one.",
        "O(N), N fields", key_specs=(KeySpec("RW delete"),)))
    command(e, hget, Spec(
        "hget", 3, "readonly fast", one, "hash", "2.0.0", "Return the value of a field.", "O(1)",
        key_specs=access))
    command(e, hmget, Spec(
        "hmget", -3, "readonly fast", one, "hash", "2.0.0", "Return the values of fields.", "O(N), N fields",
        key_specs=access))
    command(e, hgetall, Spec(
        "hgetall", 2, "readonly", one, "hash", "2.0.0", "Return all fields and values.", "O(N), N fields",
        key_specs=access, tips=no_order))
    command(e, hkeys, Spec(
        "hkeys", 2, "readonly", one, "hash", "2.0.0", "Return all fields.", "O(N), N fields",
        key_specs=access, tips=no_order))
    command(e, hvals, Spec(
        "hvals", 2, "readonly", one, "hash", "2.0.0", "Return all values.", "O(N), N fields",
        key_specs=access, tips=no_order))
    command(e, hlen, Spec(
        "hlen", 2, "readonly fast", one, "hash", "2.0.0", "Return how many fields there are.", "O(1)",
        key_specs=size))
    command(e, hexists, Spec(
        "hexists", 3, "readonly fast", one, "hash", "2.0.0", "Tell whether a field exists.", "O(1)",
        key_specs=size))
    command(e, hstrlen, Spec(
        "hstrlen", 3, "readonly fast", one, "hash", "3.2.0", "Return the length of a field's value.", "O(1)",
        key_specs=size))
    return 0
