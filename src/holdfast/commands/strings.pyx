"""String commands (https://redis.io/commands/?group=string): whole values.

Not here: numbers (`counters`), parts of strings (`string_ranges`), LCS (`lcs`),
bits (`bits`). The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from holdfast.commands.options cimport (
    ABSOLUTE, MILLISECONDS, ExpireOption, SetOptions, arg_is, parse_getex_options, parse_set_options,
    read_expire)
from holdfast.engine.buf cimport Slice
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_int, effect_key, effect_slice
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_STRING, changed, notify
from holdfast.engine.keyspace cimport (
    EXPIRY_DELETE, PREFETCH_MAX, ks_delete, ks_expire, ks_prefetch, ks_read, ks_set_number, ks_set_string,
    ks_write)
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport TYPE_STRING, Record, expires_at, record_string, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_error_bytes, reply_int, reply_null, reply_ok, reply_slice, reply_wrong_type)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec


cdef void store(Session s, Slice key, Slice value, int64_t at_ms, bint keep_ttl) noexcept:
    cdef int64_t number
    if value.len <= 20 and parse_int64(value.ptr, value.len, &number):
        ks_set_number(&s.engine.ks, s.db, key, number, at_ms, keep_ttl)
    else:
        ks_set_string(&s.engine.ks, s.db, key, value.ptr, value.len, at_ms, keep_ttl)


# ---- reading ----

cdef bint reply_text_of(Session s, Record* r) noexcept:
    """The string of a record, or null; False: it is of another type."""
    cdef char scratch[24]
    if r == NULL:
        reply_null(s)
    elif type_of(r) != TYPE_STRING:
        reply_wrong_type(s)
        return False
    else:
        reply_slice(s, record_string(r, scratch))
    return True


cdef int get(Session s, Call* c) except -1:
    reply_text_of(s, ks_read(&s.engine.ks, s.db, c.argv[1]))
    return 0


cdef int mget(Session s, Call* c) except -1:
    cdef Record* r
    cdef int i
    reply_array(s, c.argc - 1)
    for i in range(1, c.argc):
        if i % PREFETCH_MAX == 1:
            ks_prefetch(s.db, c.argv + i, min(PREFETCH_MAX, c.argc - i), 1, NULL)
        r = ks_read(&s.engine.ks, s.db, c.argv[i])
        reply_text_of(s, r if r != NULL and type_of(r) == TYPE_STRING else NULL)
    return 0


# ---- writing ----

cdef void set_until(Session s, Slice key, Slice value, int64_t at_ms) noexcept:
    """Store with an expiry: a replica hears the moment, not the delay."""
    cdef Engine e = s.engine
    store(s, key, value, at_ms, False)
    changed(s, key, NOTIFY_STRING, b"set", 1)
    notify(e, s.db, NOTIFY_GENERIC, b"expire", key)
    effect_begin(e, s.db.id, 5)
    effect_arg(e, b"SET", 3)
    effect_slice(e, key)
    effect_slice(e, value)
    effect_arg(e, b"PXAT", 4)
    effect_int(e, at_ms)


cdef void effect_without_get(Session s, Call* c) noexcept:
    """The request, but for the word GET: nobody reads its reply."""
    cdef int i, left = c.argc
    for i in range(3, c.argc):
        left -= arg_is(c.argv[i], b"get")
    effect_begin(s.engine, s.db.id, left)
    for i in range(c.argc):
        if i < 3 or not arg_is(c.argv[i], b"get"):
            effect_slice(s.engine, c.argv[i])


cdef int set_(Session s, Call* c) except -1:
    cdef SetOptions o
    cdef Record* r
    cdef Engine e
    if c.argc == 3:                     # the plain form, which most requests have
        store(s, c.argv[1], c.argv[2], -1, False)
        changed(s, c.argv[1], NOTIFY_STRING, b"set", 1)
        reply_ok(s)
        return 0
    if not parse_set_options(s, c, 3, &o):
        return 0
    e = s.engine
    if o.get and not reply_text_of(s, ks_read(&e.ks, s.db, c.argv[1])):
        return 0
    if o.nx or o.xx:
        r = ks_write(&e.ks, s.db, c.argv[1])
        if o.nx == (r != NULL):
            if not o.get:
                reply_null(s)
            return 0
    if o.expire.given:
        set_until(s, c.argv[1], c.argv[2], o.expire.at_ms)
    else:
        store(s, c.argv[1], c.argv[2], -1, o.keep_ttl)
        changed(s, c.argv[1], NOTIFY_STRING, b"set", 1)
        if o.get:
            effect_without_get(s, c)
    if not o.get:
        reply_ok(s)
    return 0


cdef int setnx(Session s, Call* c) except -1:
    if ks_write(&s.engine.ks, s.db, c.argv[1]) != NULL:
        reply_int(s, 0)
        return 0
    store(s, c.argv[1], c.argv[2], -1, False)
    changed(s, c.argv[1], NOTIFY_STRING, b"set", 1)
    reply_int(s, 1)
    return 0


cdef int setex(Session s, Call* c) except -1:
    cdef ExpireOption expire
    if read_expire(s, c, c.argv[2], 0, &expire):
        set_until(s, c.argv[1], c.argv[3], expire.at_ms)
        reply_ok(s)
    return 0


cdef int psetex(Session s, Call* c) except -1:
    cdef ExpireOption expire
    if read_expire(s, c, c.argv[2], MILLISECONDS, &expire):
        set_until(s, c.argv[1], c.argv[3], expire.at_ms)
        reply_ok(s)
    return 0


cdef int getset(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    if not reply_text_of(s, ks_read(&e.ks, s.db, c.argv[1])):
        return 0
    store(s, c.argv[1], c.argv[2], -1, False)
    changed(s, c.argv[1], NOTIFY_STRING, b"set", 1)
    effect_begin(e, s.db.id, 3)
    effect_arg(e, b"SET", 3)
    effect_slice(e, c.argv[1])
    effect_slice(e, c.argv[2])
    return 0


cdef int getdel(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    if reply_text_of(s, ks_read(&e.ks, s.db, c.argv[1])) and ks_delete(&e.ks, s.db, c.argv[1]):
        changed(s, c.argv[1], NOTIFY_GENERIC, b"del", 1)
        effect_key(e, s.db.id, b"DEL", c.argv[1])
    return 0


cdef int getex(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef SetOptions o
    cdef Record* r
    cdef int unit_at
    if not parse_getex_options(s, c, 2, &o, &unit_at):
        return 0
    r = ks_read(&e.ks, s.db, c.argv[1])
    if r == NULL or type_of(r) != TYPE_STRING:
        reply_text_of(s, r)
        return 0
    if unit_at and not read_expire(s, c, c.argv[unit_at], o.unit, &o.expire):
        return 0
    reply_text_of(s, r)
    if (o.expire.given and o.unit & ABSOLUTE and o.expire.at_ms <= e.ks.now_ms
            and e.ks.expiry_mode == EXPIRY_DELETE):
        ks_delete(&e.ks, s.db, c.argv[1])
        changed(s, c.argv[1], NOTIFY_GENERIC, b"del", 1)
        effect_key(e, s.db.id, b"UNLINK" if e.lazyfree_lazy_expire else b"DEL", c.argv[1])
    elif o.expire.given:
        ks_expire(&e.ks, s.db, ks_write(&e.ks, s.db, c.argv[1]), o.expire.at_ms)
        changed(s, c.argv[1], NOTIFY_GENERIC, b"expire", 1)
        effect_begin(e, s.db.id, 3)
        effect_arg(e, b"PEXPIREAT", 9)
        effect_slice(e, c.argv[1])
        effect_int(e, o.expire.at_ms)
    elif o.persist and expires_at(r) >= 0:
        ks_expire(&e.ks, s.db, ks_write(&e.ks, s.db, c.argv[1]), -1)
        changed(s, c.argv[1], NOTIFY_GENERIC, b"persist", 1)
        effect_key(e, s.db.id, b"PERSIST", c.argv[1])
    return 0


# ---- many keys ----

cdef bint paired(Session s, Call* c) except -1:
    if c.argc % 2:
        return True
    reply_error_bytes(s, b"ERR wrong number of arguments for '%s' command" % <bytes>c.command.name)
    return False


cdef void store_pairs(Session s, Call* c) noexcept:
    cdef int i
    for i in range(1, c.argc, 2):
        if i % (2 * PREFETCH_MAX) == 1:
            ks_prefetch(s.db, c.argv + i, min(PREFETCH_MAX, (c.argc - i) // 2), 2, NULL)
        store(s, c.argv[i], c.argv[i + 1], -1, False)
        changed(s, c.argv[i], NOTIFY_STRING, b"set", 1)


cdef int mset(Session s, Call* c) except -1:
    if paired(s, c):
        store_pairs(s, c)
        reply_ok(s)
    return 0


cdef int msetnx(Session s, Call* c) except -1:
    cdef int i
    if not paired(s, c):
        return 0
    for i in range(1, c.argc, 2):
        if ks_write(&s.engine.ks, s.db, c.argv[i]) != NULL:
            reply_int(s, 0)
            return 0
    store_pairs(s, c)
    reply_int(s, 1)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, get, Spec(
        "get", 2, "readonly fast", (1, 1, 1), "string", "1.0.0", "Return the string value of a key.", "O(1)",
        key_specs=(KeySpec("RO access"),)))
    command(e, set_, Spec(
        "set", -3, "write denyoom", (1, 1, 1), "string", "1.0.0",
        "Set the string value of a key, whatever it held before.", "O(1)",
        key_specs=(KeySpec("RW access update variable_flags"),)))
    command(e, setnx, Spec(
        "setnx", 3, "write denyoom fast", (1, 1, 1), "string", "1.0.0",
        "Set the string value of a key that is not there.",
        "O(1)", key_specs=(KeySpec("OW insert"),)))
    command(e, setex, Spec(
        "setex", 4, "write denyoom", (1, 1, 1), "string", "2.0.0",
        "Set a string and its time to live in seconds.",
        "O(1)", key_specs=(KeySpec("OW update"),)))
    command(e, psetex, Spec(
        "psetex", 4, "write denyoom", (1, 1, 1), "string", "2.6.0",
        "Set a string and its time to live in milliseconds.", "O(1)", key_specs=(KeySpec("OW update"),)))
    command(e, getset, Spec(
        "getset", 3, "write denyoom fast", (1, 1, 1), "string", "1.0.0",
        "Set a string and return the one before.",
        "O(1)", key_specs=(KeySpec("RW access update"),)))
    command(e, getdel, Spec(
        "getdel", 2, "write fast", (1, 1, 1), "string", "6.2.0", "Return a string and delete its key.",
        "O(1)",
        key_specs=(KeySpec("RW access delete"),)))
    command(e, getex, Spec(
        "getex", -2, "write fast", (1, 1, 1), "string", "6.2.0",
        "Return a string and change when it expires.", "O(1)",
        key_specs=(KeySpec("RW access update"),)))
    command(e, mget, Spec(
        "mget", -2, "readonly fast", (1, -1, 1), "string", "1.0.0", "Return the strings of many keys.",
        "O(N), N being the number of keys", key_specs=(KeySpec("RO access", last=-1),),
        tips=("request_policy:multi_shard",)))
    command(e, mset, Spec(
        "mset", -3, "write denyoom", (1, -1, 2), "string", "1.0.1", "Set the strings of many keys.",
        "O(N), N being the number of keys", key_specs=(KeySpec("OW update", last=-1, step=2),),
        tips=("request_policy:multi_shard", "response_policy:all_succeeded")))
    command(e, msetnx, Spec(
        "msetnx", -3, "write denyoom", (1, -1, 2), "string", "1.0.1",
        "Set the strings of many keys if none of them is there.", "O(N), N being the number of keys",
        key_specs=(KeySpec("OW insert", last=-1, step=2),)))
    return 0
