"""Set commands on one key, or two (https://redis.io/commands/?group=set).

The index of the family is `register` at the end. Union, intersection and
difference are in `set_algebra`; what a set is made of in `engine/sets`.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from holdfast.commands.members cimport (
    DRAWS_MAX, arg_count, arg_draws, create_key, delete_emptied, set_rules)
from holdfast.commands.scan cimport (
    ScanOptions, scan_begin, scan_cursor, scan_end, scan_nothing, scan_options, scan_table_values, scan_wants)
from holdfast.engine.buf cimport Slice
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_key, effect_slice, unit_close, unit_open
from holdfast.engine.events cimport NOTIFY_SET, changed
from holdfast.engine.full_forms cimport SET_KEY
from holdfast.engine.keyspace cimport ks_read, ks_write
from holdfast.engine.record cimport SET_TABLE, TYPE_SET, Record, record_set_value, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_int, reply_null, reply_set, reply_slice, reply_syntax_error,
    reply_wrong_type)
from holdfast.engine.sampling cimport table_draw, take_next
from holdfast.engine.sets cimport (
    SetCursor, SetMember, SetRules, SetValue, set_add, set_contains, set_count, set_new, set_next, set_of,
    set_prepare, set_random, set_remove, set_remove_member, set_walk)
from holdfast.engine.state cimport Call, Engine, Session
from holdfast.engine.table cimport Table

from holdfast.commands.spec import KeySpec, Spec

cdef enum:
    SREM_BATCH = 1024       # members of one propagated SREM


cdef inline bint is_set(Session s, Record* r) noexcept:
    """False: it holds something else, which was answered."""
    if type_of(r) == TYPE_SET:
        return True
    reply_wrong_type(s)
    return False


# ---- adding and removing ----

cdef int sadd(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef SetRules rules = set_rules(e)
    cdef Slice key = c.argv[1]
    cdef Record* r = ks_write(&e.ks, s.db, key)
    cdef SetValue v
    cdef int i
    cdef int64_t added = 0
    if r == NULL:
        v = set_new(&rules, c.argv[2].ptr, c.argv[2].len, c.argc - 2)
        r = create_key(s, key, v.kind, v.ptr)
    elif is_set(s, r):
        v = set_of(r)
        set_prepare(&rules, &v, c.argc - 2)
    else:
        return 0
    for i in range(2, c.argc):
        added += set_add(&rules, &v, c.argv[i].ptr, c.argv[i].len)
    record_set_value(r, v.kind, v.ptr)
    if added:
        changed(s, key, NOTIFY_SET, b"sadd", added)
    reply_int(s, added)
    return 0


cdef int srem(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef SetRules rules = set_rules(e)
    cdef Record* r = ks_write(&e.ks, s.db, c.argv[1])
    cdef SetValue v
    cdef int i
    cdef int64_t removed = 0
    cdef bint emptied = False
    if r == NULL:
        reply_int(s, 0)
        return 0
    if not is_set(s, r):
        return 0
    v = set_of(r)
    for i in range(2, c.argc):
        if set_remove(&rules, &v, c.argv[i].ptr, c.argv[i].len):
            removed += 1
            emptied = set_count(&v) == 0
            if emptied:
                break
    record_set_value(r, v.kind, v.ptr)
    if removed:
        changed(s, c.argv[1], NOTIFY_SET, b"srem", removed)
        if emptied:
            delete_emptied(s, c.argv[1])
    reply_int(s, removed)
    return 0


cdef int smove(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef SetRules rules = set_rules(e)
    cdef Slice name = c.argv[3]
    cdef Record* source = ks_write(&e.ks, s.db, c.argv[1])
    cdef Record* target = ks_write(&e.ks, s.db, c.argv[2])
    cdef SetValue v
    if source == NULL:
        reply_int(s, 0)
        return 0
    if not is_set(s, source) or (target != NULL and not is_set(s, target)):
        return 0
    v = set_of(source)
    if source == target:
        reply_int(s, set_contains(&v, name.ptr, name.len))
        return 0
    if not set_remove(&rules, &v, name.ptr, name.len):
        reply_int(s, 0)
        return 0
    record_set_value(source, v.kind, v.ptr)
    changed(s, c.argv[1], NOTIFY_SET, b"srem", 1)
    if set_count(&v) == 0:
        delete_emptied(s, c.argv[1])
    if target == NULL:
        v = set_new(&rules, name.ptr, name.len, 1)
        target = create_key(s, c.argv[2], v.kind, v.ptr)
    v = set_of(target)
    if set_add(&rules, &v, name.ptr, name.len):
        record_set_value(target, v.kind, v.ptr)
        changed(s, c.argv[2], NOTIFY_SET, b"sadd", 1)
    reply_int(s, 1)
    return 0


# ---- asking ----

cdef int scard(Session s, Call* c) except -1:
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef SetValue v
    if r == NULL:
        reply_int(s, 0)
    elif is_set(s, r):
        v = set_of(r)
        reply_int(s, set_count(&v))
    return 0


cdef int sismember(Session s, Call* c) except -1:
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef SetValue v
    if r == NULL:
        reply_int(s, 0)
    elif is_set(s, r):
        v = set_of(r)
        reply_int(s, set_contains(&v, c.argv[2].ptr, c.argv[2].len))
    return 0


cdef int smismember(Session s, Call* c) except -1:
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef SetValue v
    cdef int i
    if r != NULL:
        if not is_set(s, r):
            return 0
        v = set_of(r)
    reply_array(s, c.argc - 2)
    for i in range(2, c.argc):
        reply_int(s, r != NULL and set_contains(&v, c.argv[i].ptr, c.argv[i].len))
    return 0


cdef void reply_members(Session s, SetValue* v) noexcept:
    """All members, without the head of the reply."""
    cdef SetCursor walk
    cdef SetMember m
    set_walk(v, &walk)
    while set_next(&walk, &m):
        reply_bulk(s, m.text.ptr, m.text.len)


cdef int smembers(Session s, Call* c) except -1:
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef SetValue v
    if r == NULL:
        reply_set(s, 0)
    elif is_set(s, r):
        v = set_of(r)
        reply_set(s, set_count(&v))
        reply_members(s, &v)
    return 0


cdef int sscan(Session s, Call* c) except -1:
    cdef uint64_t cursor
    cdef Record* r
    cdef SetValue v
    cdef SetCursor walk
    cdef SetMember m
    cdef ScanOptions options
    cdef size_t at, count = 0
    if not scan_cursor(s, c.argv[2], &cursor):
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r == NULL:
        scan_nothing(s)
        return 0
    if not is_set(s, r) or not scan_options(s, c, 3, False, &options):
        return 0
    v = set_of(r)
    if v.kind == SET_TABLE:
        return scan_table_values(s, c, <Table*>v.ptr, SET_TABLE, cursor, &options)
    at = scan_begin(s, 0)
    set_walk(&v, &walk)
    while set_next(&walk, &m):
        if scan_wants(&options, m.text.ptr, m.text.len):
            reply_bulk(s, m.text.ptr, m.text.len)
            count += 1
    scan_end(s, at, count)
    return 0


# ---- drawing by lot ----

cdef int spop(Session s, Call* c) except -1:
    """One member; what is propagated is its removal."""
    cdef Engine e = s.engine
    cdef SetRules rules = set_rules(e)
    cdef Record* r
    cdef SetValue v
    cdef SetMember m
    cdef char digits[24]
    if c.argc == 3:
        return spop_count(s, c)
    if c.argc > 3:
        reply_syntax_error(s)
        return 0
    r = ks_write(&e.ks, s.db, c.argv[1])
    if r == NULL:
        reply_null(s)
        return 0
    if not is_set(s, r):
        return 0
    v = set_of(r)
    set_random(&v, &e.ks.rng, &m, digits)
    reply_slice(s, m.text)
    effect_begin(e, s.db.id, 3)
    effect_arg(e, b"SREM", 4)
    effect_slice(e, c.argv[1])
    effect_slice(e, m.text)
    set_remove_member(&rules, &v, &m)
    record_set_value(r, v.kind, v.ptr)
    changed(s, c.argv[1], NOTIFY_SET, b"spop", 1)
    if set_count(&v) == 0:
        delete_emptied(s, c.argv[1])
    return 0


cdef int spop_count(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef int64_t count
    cdef Record* r
    cdef SetValue v
    cdef size_t size
    if not arg_count(s, c.argv[2], &count):
        return 0
    r = ks_write(&e.ks, s.db, c.argv[1])
    if r == NULL:
        reply_set(s, 0)
        return 0
    if not is_set(s, r):
        return 0
    v = set_of(r)
    size = set_count(&v)
    if count == 0:
        reply_set(s, 0)
    elif <size_t>count >= size:
        reply_set(s, size)
        reply_members(s, &v)
        changed(s, c.argv[1], NOTIFY_SET, b"spop", size)
        delete_emptied(s, c.argv[1])
        effect_key(e, s.db.id, b"UNLINK" if e.lazyfree_lazy_server_del else b"DEL", c.argv[1])
    else:
        changed(s, c.argv[1], NOTIFY_SET, b"spop", count)
        pop_some(s, c.argv[1], r, <size_t>count)
    return 0


cdef int pop_some(Session s, Slice key, Record* r, size_t count) except -1:
    """Remove and tell `count` random members, fewer than there are."""
    cdef Engine e = s.engine
    cdef SetRules rules = set_rules(e)
    cdef SetValue v = set_of(r)
    cdef SetMember m
    cdef char digits[24]
    cdef size_t i, batch
    reply_set(s, count)
    unit_open(e)
    for i in range(count):
        if i % SREM_BATCH == 0:
            batch = count - i if count - i < SREM_BATCH else SREM_BATCH
            effect_begin(e, s.db.id, 2 + <int>batch)
            effect_arg(e, b"SREM", 4)
            effect_slice(e, key)
        set_random(&v, &e.ks.rng, &m, digits)
        reply_slice(s, m.text)
        effect_slice(e, m.text)
        set_remove_member(&rules, &v, &m)
    unit_close(e)
    record_set_value(r, v.kind, v.ptr)
    return 0


cdef int srandmember(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Record* r
    cdef SetValue v
    cdef SetMember m
    cdef char digits[24]
    cdef int64_t count = 0
    if c.argc > 3:
        reply_syntax_error(s)
        return 0
    if c.argc == 3 and not arg_draws(s, c.argv[2], &count):
        return 0
    r = ks_read(&e.ks, s.db, c.argv[1])
    if r == NULL:
        if c.argc == 3:
            reply_array(s, 0)
        else:
            reply_null(s)
        return 0
    if not is_set(s, r):
        return 0
    v = set_of(r)
    if c.argc == 2:
        set_random(&v, &e.ks.rng, &m, digits)
        reply_slice(s, m.text)
    elif count < 0:
        reply_repeated(s, &v, -count)
    else:
        reply_distinct(s, &v, <size_t>count if <size_t>count < set_count(&v) else set_count(&v))
    return 0


cdef int reply_repeated(Session s, SetValue* v, int64_t count) except -1:
    cdef SetMember m
    cdef char digits[24]
    if count > DRAWS_MAX:
        reply_error(s, b"ERR value is out of range")
        return 0
    reply_array(s, count)
    while count:
        set_random(v, &s.engine.ks.rng, &m, digits)
        reply_slice(s, m.text)
        count -= 1
    return 0


cdef int reply_distinct(Session s, SetValue* v, size_t count) except -1:
    """`count` different members, at most all of them."""
    cdef SetCursor walk
    cdef SetMember m
    cdef size_t left = set_count(v)
    cdef size_t i
    cdef void** drawn
    reply_array(s, count)
    if count == left:
        reply_members(s, v)
        return 0
    if v.kind == SET_TABLE:
        drawn = <void**>malloc((count + 1) * sizeof(void*))
        if drawn == NULL:
            abort()
        table_draw(<Table*>v.ptr, drawn, count, &s.engine.ks.rng)
        for i in range(count):
            reply_bulk(s, <const char*>drawn[i] + SET_KEY, (<unsigned int*>drawn[i])[0])
        free(drawn)
        return 0
    set_walk(v, &walk)
    while count:
        set_next(&walk, &m)
        if take_next(count, left, &s.engine.ks.rng):
            reply_slice(s, m.text)
            count -= 1
        left -= 1
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, sadd, Spec(
        "sadd", -3, "write denyoom fast", (1, 1, 1), "set", "1.0.0",
        "Add members to a set; create it if it does not exist.", "O(1) for each member added",
        key_specs=(KeySpec("RW insert"),)))
    command(e, srem, Spec(
        "srem", -3, "write fast", (1, 1, 1), "set", "1.0.0",
        "Remove members from a set; an empty set is deleted.",
        "O(N) where N is the number of members to remove",
        key_specs=(KeySpec("RW delete"),)))
    command(e, smove, Spec(
        "smove", 4, "write fast", (1, 2, 1), "set", "1.0.0", "Move a member from one set to another.", "O(1)",
        key_specs=(KeySpec("RW access delete"), KeySpec("RW insert", begin=2))))
    command(e, scard, Spec(
        "scard", 2, "readonly fast", (1, 1, 1), "set", "1.0.0", "Return the number of members of a set.",
        "O(1)",
        key_specs=(KeySpec("RO"),)))
    command(e, sismember, Spec(
        "sismember", 3, "readonly fast", (1, 1, 1), "set", "1.0.0", "Tell whether a set has a member.",
        "O(1)",
        key_specs=(KeySpec("RO"),)))
    command(e, smismember, Spec(
        "smismember", -3, "readonly fast", (1, 1, 1), "set", "6.2.0",
        "Tell which of the given members a set has.",
        "O(N) where N is the number of members asked for", key_specs=(KeySpec("RO access"),)))
    command(e, smembers, Spec(
        "smembers", 2, "readonly", (1, 1, 1), "set", "1.0.0", "Return all members of a set.",
        "O(N) where N is the number of members", key_specs=(KeySpec("RO access"),),
        tips=("nondeterministic_output_order",)))
    command(e, sscan, Spec(
        "sscan", -3, "readonly", (1, 1, 1), "set", "2.8.0",
        "Go through the members of a set, some at a time.",
        "O(1) a call, O(N) for all N members", key_specs=(KeySpec("RO access"),),
        tips=("nondeterministic_output",)))
    command(e, spop, Spec(
        "spop", -2, "write fast", (1, 1, 1), "set", "1.0.0",
        "Remove and return random members; an empty set is deleted.",
        "O(1) without count, otherwise O(N) where N is the count", key_specs=(KeySpec("RW access delete"),),
        tips=("nondeterministic_output",)))
    command(e, srandmember, Spec(
        "srandmember", -2, "readonly", (1, 1, 1), "set", "1.0.0", "Return random members of a set.",
        "O(1) without count, otherwise O(N) where N is the count", key_specs=(KeySpec("RO access"),),
        tips=("nondeterministic_output",)))
    return 0
