"""Commands on keys whatever they hold: existence, names, copies.

What it is: DEL to TOUCH, RENAME, COPY, MOVE. What it is not: whole databases
and KEYS (`databases`), time to live (`expire`), OBJECT (`object`).
The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.blocking cimport signal_ready
from holdfast.engine.buf cimport Slice, slice_equal
from holdfast.engine.events cimport NOTIFY_GENERIC, changed, notify, touch_watched
from holdfast.engine.keyspace cimport Database, ks_adopt, ks_copy, ks_read, ks_remove, ks_take, ks_write
from holdfast.engine.record cimport Record, type_name
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_error, reply_int, reply_no_such_key, reply_ok, reply_status, reply_syntax_error)
from holdfast.engine.state cimport GUARD_CLUSTER, Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec


cdef Record* look(Session s, Slice key) noexcept:
    """Read a key without making it younger."""
    cdef Engine e = s.engine
    cdef bint no_touch = e.ks.no_touch
    cdef Record* r
    e.ks.no_touch = True
    r = ks_read(&e.ks, s.db, key)
    e.ks.no_touch = no_touch
    return r


# ---- existence ----

cdef int remove(Session s, Call* c, bint lazily) except -1:
    cdef Engine e = s.engine
    cdef int i, removed = 0
    for i in range(1, c.argc):
        if ks_remove(&e.ks, s.db, c.argv[i], lazily):
            changed(s, c.argv[i], NOTIFY_GENERIC, b"del", 1)
            removed += 1
    reply_int(s, removed)
    return 0


cdef int del_(Session s, Call* c) except -1:
    return remove(s, c, s.engine.lazyfree_lazy_user_del)


cdef int unlink(Session s, Call* c) except -1:
    return remove(s, c, True)


cdef int exists(Session s, Call* c) except -1:
    cdef int i, found = 0
    for i in range(1, c.argc):
        if look(s, c.argv[i]) != NULL:
            found += 1
    reply_int(s, found)
    return 0


cdef int touch(Session s, Call* c) except -1:
    cdef int i, found = 0
    cdef Engine e = s.engine
    cdef bint no_touch = e.ks.no_touch
    e.ks.no_touch = False       # the one command that a client with CLIENT NO-TOUCH touches keys with
    for i in range(1, c.argc):
        if ks_read(&e.ks, s.db, c.argv[i]) != NULL:
            found += 1
    e.ks.no_touch = no_touch
    reply_int(s, found)
    return 0


cdef int type_(Session s, Call* c) except -1:
    cdef Record* r = look(s, c.argv[1])
    if r == NULL:
        reply_status(s, b"none")
    else:
        reply_status(s, type_name(r))
    return 0


# ---- names ----

cdef int rename_key(Session s, Call* c, bint only_new) except -1:
    cdef Engine e = s.engine
    cdef Slice source = c.argv[1]
    cdef Slice target = c.argv[2]
    cdef Record* r = ks_write(&e.ks, s.db, source)
    if r == NULL:
        reply_no_such_key(s)
        return 0
    if slice_equal(source, target):
        if only_new:
            reply_int(s, 0)
        else:
            reply_ok(s)
        return 0
    if ks_write(&e.ks, s.db, target) != NULL:
        if only_new:
            reply_int(s, 0)
            return 0
        ks_remove(&e.ks, s.db, target, e.lazyfree_lazy_server_del)
    ks_adopt(&e.ks, s.db, target, ks_take(&e.ks, s.db, source))
    changed(s, source, NOTIFY_GENERIC, b"rename_from", 1)
    changed(s, target, NOTIFY_GENERIC, b"rename_to", 0)
    signal_ready(e, s.db, target)
    if only_new:
        reply_int(s, 1)
    else:
        reply_ok(s)
    return 0


cdef int rename(Session s, Call* c) except -1:
    return rename_key(s, c, False)


cdef int renamenx(Session s, Call* c) except -1:
    return rename_key(s, c, True)


# ---- other databases ----

cdef Database* database_of(Session s, Slice text) noexcept:
    """The database of that number; NULL: answered."""
    cdef int64_t number
    if not arg_int(s, text, &number):
        return NULL
    if number != <int>number:
        reply_error(s, b"ERR value is out of range, value must between -2147483648 and 2147483647")
        return NULL
    if number < 0 or number >= s.engine.ks.db_count:
        reply_error(s, b"ERR DB index is out of range")
        return NULL
    return &s.engine.ks.dbs[number]


cdef int move(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Slice key = c.argv[1]
    cdef Database* target
    if e.guard & GUARD_CLUSTER:
        reply_error(s, b"ERR MOVE is not allowed in cluster mode")
        return 0
    target = database_of(s, c.argv[2])
    if target == NULL:
        return 0
    if target == s.db:
        reply_error(s, b"ERR source and destination objects are the same")
        return 0
    if ks_write(&e.ks, s.db, key) == NULL or ks_write(&e.ks, target, key) != NULL:
        reply_int(s, 0)
        return 0
    ks_adopt(&e.ks, target, key, ks_take(&e.ks, s.db, key))
    changed(s, key, NOTIFY_GENERIC, b"move_from", 1)
    tell_other(s, target, key, b"move_to")
    reply_int(s, 1)
    return 0


cdef void tell_other(Session s, Database* db, Slice key, const char* event) noexcept:
    """A key of a database that may not be the session's has got a value."""
    touch_watched(s.engine, db, key)
    notify(s.engine, db, NOTIFY_GENERIC, event, key)
    signal_ready(s.engine, db, key)


cdef int copy(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Database* target = s.db
    cdef bint replace = False
    cdef int i = 3
    cdef Record* r
    while i < c.argc:
        if arg_is(c.argv[i], b"replace"):
            replace = True
        elif arg_is(c.argv[i], b"db") and i + 1 < c.argc:
            i += 1
            target = database_of(s, c.argv[i])
            if target == NULL:
                return 0
        else:
            reply_syntax_error(s)
            return 0
        i += 1
    if e.guard & GUARD_CLUSTER and target != s.db:
        reply_error(s, b"ERR Copying to another database is not allowed in cluster mode")
        return 0
    if target == s.db and slice_equal(c.argv[1], c.argv[2]):
        reply_error(s, b"ERR source and destination objects are the same")
        return 0
    if ks_read(&e.ks, s.db, c.argv[1]) == NULL:
        reply_int(s, 0)
        return 0
    if ks_write(&e.ks, target, c.argv[2]) != NULL:
        if not replace:
            reply_int(s, 0)
            return 0
        ks_remove(&e.ks, target, c.argv[2], e.lazyfree_lazy_server_del)
    r = ks_read(&e.ks, s.db, c.argv[1])
    ks_copy(&e.ks, r, target, c.argv[2])
    e.dirty += 1
    tell_other(s, target, c.argv[2], b"copy_to")
    reply_int(s, 1)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    several = ("request_policy:multi_shard", "response_policy:agg_sum")
    command(e, del_, Spec(
        "del", -2, "write", (1, -1, 1), "generic", "1.0.0", "Delete keys.",
        "O(N) over the keys, and over the elements of what they hold.",
        key_specs=(KeySpec("RM delete", last=-1),), tips=several))
    command(e, unlink, Spec(
        "unlink", -2, "write fast", (1, -1, 1), "generic", "4.0.0",
        "Delete keys; the memory of big values is freed afterwards.", "O(1) a key; the memory later.",
        key_specs=(KeySpec("RM delete", last=-1),), tips=several))
    command(e, exists, Spec(
        "exists", -2, "readonly fast", (1, -1, 1), "generic", "1.0.0", "Count which of the keys exist.",
        "O(N)", key_specs=(KeySpec("RO", last=-1),), tips=several))
    command(e, touch, Spec(
        "touch", -2, "readonly fast", (1, -1, 1), "generic", "3.2.1",
        "Count which of the keys exist, and make them recently used.", "O(N)",
        key_specs=(KeySpec("RO", last=-1),), tips=several))
    command(e, type_, Spec(
        "type", 2, "readonly fast", (1, 1, 1), "generic", "1.0.0", "Return the type of what a key holds.",
        "O(1)", key_specs=(KeySpec("RO"),)))
    names = (KeySpec("RW access delete"), KeySpec("OW update", begin=2))
    command(e, rename, Spec(
        "rename", 3, "write", (1, 2, 1), "generic", "1.0.0",
        "Give a key another name; what had it is deleted.",
        "O(1), and the freeing of what is deleted.", key_specs=names))
    command(e, renamenx, Spec(
        "renamenx", 3, "write fast", (1, 2, 1), "generic", "1.0.0", "Give a key a name that is not taken.",
        "O(1)", key_specs=(KeySpec("RW access delete"), KeySpec("OW insert", begin=2))))
    command(e, copy, Spec(
        "copy", -3, "write denyoom", (1, 2, 1), "generic", "6.2.0", "Copy what a key holds to another key.",
        "O(N) over the elements.", key_specs=(KeySpec("RO access"), KeySpec("OW update", begin=2))))
    command(e, move, Spec(
        "move", 3, "write fast", (1, 1, 1), "generic", "1.0.0", "Move a key to another database.", "O(1)",
        key_specs=(KeySpec("RW access update"),)))
    return 0
