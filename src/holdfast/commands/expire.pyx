"""Time to live: EXPIRE and its kin (https://redis.io/commands/expire/).

What it is: setting, asking and removing the expiry of a key. What it is not:
the end of keys whose time is over (`engine.expiry`, `ks_read`, `ks_write`).

A relative time is propagated as the absolute one, and a time that is over as
the deletion that it is, so that every reader of the stream comes to the same.
"""

from libc.stdint cimport int64_t
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.buf cimport Slice, slice_bytes
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_int, effect_key, effect_slice
from holdfast.engine.events cimport NOTIFY_GENERIC, changed
from holdfast.engine.expiry cimport install_expiry
from holdfast.engine.keyspace cimport EXPIRY_DELETE, LAZY_EXPIRE, ks_expire, ks_read, ks_remove, ks_write
from holdfast.engine.record cimport FLAG_EXPIRES, Record, expires_at
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_error, reply_error_bytes, reply_int
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef enum Condition:
    NX = 1      # only a key that has no expiry
    XX = 2      # only one that has
    GT = 4      # only to a later time
    LT = 8      # only to an earlier one


cdef int parse_conditions(Session s, Call* c) noexcept:
    """Bits of `Condition`; -1: answered."""
    cdef int i, found = 0
    for i in range(3, c.argc):
        if arg_is(c.argv[i], b"nx"):
            found |= NX
        elif arg_is(c.argv[i], b"xx"):
            found |= XX
        elif arg_is(c.argv[i], b"gt"):
            found |= GT
        elif arg_is(c.argv[i], b"lt"):
            found |= LT
        else:
            reply_error_bytes(s, b"ERR Unsupported option %s" % slice_bytes(c.argv[i]))
            return -1
    if found & NX and found & (XX | GT | LT):
        reply_error(s, b"ERR NX and XX, GT or LT options at the same time are not compatible")
        return -1
    if found & GT and found & LT:
        reply_error(s, b"ERR GT and LT options at the same time are not compatible")
        return -1
    return found


cdef bint may_set(int conditions, int64_t now_at, int64_t wanted) noexcept nogil:
    """Whether the conditions hold for a key that expires at `now_at` (-1: never)."""
    if conditions & NX and now_at != -1:
        return False
    if conditions & XX and now_at == -1:
        return False
    if conditions & GT and (now_at == -1 or wanted <= now_at):
        return False
    return not (conditions & LT and now_at != -1 and wanted >= now_at)


cdef int set_expiry(Session s, Call* c, int64_t base_ms, int64_t unit_ms) except -1:
    cdef Engine e = s.engine
    cdef Slice key = c.argv[1]
    cdef Record* r
    cdef int64_t at_ms
    cdef int conditions = parse_conditions(s, c)
    if conditions < 0 or not arg_int(s, c.argv[2], &at_ms):
        return 0
    if at_ms > 9223372036854775807 // unit_ms or at_ms < (-9223372036854775807 - 1) // unit_ms:
        return invalid_time(s, c)
    at_ms *= unit_ms
    if at_ms > 9223372036854775807 - base_ms:
        return invalid_time(s, c)
    at_ms += base_ms
    r = ks_write(&e.ks, s.db, key)
    if r == NULL or not may_set(conditions, expires_at(r), at_ms):
        reply_int(s, 0)
        return 0
    if at_ms <= e.ks.now_ms and e.ks.expiry_mode == EXPIRY_DELETE:
        ks_remove(&e.ks, s.db, key, e.ks.lazy_flags & LAZY_EXPIRE)
        changed(s, key, NOTIFY_GENERIC, b"del", 1)
        effect_key(e, s.db.id, b"UNLINK" if e.ks.lazy_flags & LAZY_EXPIRE else b"DEL", key)
    else:
        if at_ms < 0:
            at_ms = 0       # long over; a negative time would mean none
        ks_expire(&e.ks, s.db, r, at_ms)
        changed(s, key, NOTIFY_GENERIC, b"expire", 1)
        effect_begin(e, s.db.id, 3)
        effect_arg(e, b"PEXPIREAT", 9)
        effect_slice(e, key)
        effect_int(e, at_ms)
    reply_int(s, 1)
    return 0


cdef int invalid_time(Session s, Call* c) except -1:
    reply_error_bytes(s, b"ERR invalid expire time in '%s' command" % <bytes>c.command.name)
    return 0


cdef int expire(Session s, Call* c) except -1:
    return set_expiry(s, c, s.engine.ks.now_ms, 1000)


cdef int pexpire(Session s, Call* c) except -1:
    return set_expiry(s, c, s.engine.ks.now_ms, 1)


cdef int expireat(Session s, Call* c) except -1:
    return set_expiry(s, c, 0, 1000)


cdef int pexpireat(Session s, Call* c) except -1:
    return set_expiry(s, c, 0, 1)


cdef int tell_expiry(Session s, Call* c, int64_t base_ms, bint seconds) except -1:
    """-2: no such key, -1: it does not expire; else the time after `base_ms`."""
    cdef Engine e = s.engine
    cdef bint no_touch = e.ks.no_touch
    cdef Record* r
    cdef int64_t left_ms
    e.ks.no_touch = True
    r = ks_read(&e.ks, s.db, c.argv[1])
    e.ks.no_touch = no_touch
    if r == NULL:
        reply_int(s, -2)
    elif not r.state & FLAG_EXPIRES:
        reply_int(s, -1)
    else:
        left_ms = expires_at(r) - base_ms
        if left_ms < 0:
            left_ms = 0
        reply_int(s, (left_ms + 500) // 1000 if seconds else left_ms)
    return 0


cdef int ttl(Session s, Call* c) except -1:
    return tell_expiry(s, c, s.engine.ks.now_ms, True)


cdef int pttl(Session s, Call* c) except -1:
    return tell_expiry(s, c, s.engine.ks.now_ms, False)


cdef int expiretime(Session s, Call* c) except -1:
    return tell_expiry(s, c, 0, True)


cdef int pexpiretime(Session s, Call* c) except -1:
    return tell_expiry(s, c, 0, False)


cdef int persist(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Record* r = ks_write(&e.ks, s.db, c.argv[1])
    if r == NULL or not r.state & FLAG_EXPIRES:
        reply_int(s, 0)
        return 0
    ks_expire(&e.ks, s.db, r, -1)
    changed(s, c.argv[1], NOTIFY_GENERIC, b"persist", 1)
    reply_int(s, 1)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family; without it nobody would hear of keys that end."""
    install_expiry(e)
    update = (KeySpec("RW update"),)
    access = (KeySpec("RO access"),)
    volatile = ("nondeterministic_output",)
    command(e, expire, Spec(
        "expire", -3, "write fast", (1, 1, 1), "generic", "1.0.0",
        "Let a key end after so many seconds.", "O(1)", key_specs=update))
    command(e, pexpire, Spec(
        "pexpire", -3, "write fast", (1, 1, 1), "generic", "2.6.0",
        "Let a key end after so many milliseconds.", "O(1)", key_specs=update))
    command(e, expireat, Spec(
        "expireat", -3, "write fast", (1, 1, 1), "generic", "1.2.0",
        "Let a key end at a Unix time in seconds.", "O(1)", key_specs=update))
    command(e, pexpireat, Spec(
        "pexpireat", -3, "write fast", (1, 1, 1), "generic", "2.6.0",
        "Let a key end at a Unix time in milliseconds.", "O(1)", key_specs=update))
    command(e, ttl, Spec(
        "ttl", 2, "readonly fast", (1, 1, 1), "generic", "1.0.0",
        "Return the seconds that a key has left.", "O(1)", key_specs=access, tips=volatile))
    command(e, pttl, Spec(
        "pttl", 2, "readonly fast", (1, 1, 1), "generic", "2.6.0",
        "Return the milliseconds that a key has left.", "O(1)", key_specs=access, tips=volatile))
    command(e, expiretime, Spec(
        "expiretime", 2, "readonly fast", (1, 1, 1), "generic", "7.0.0",
        "Return the Unix time in seconds at which a key ends.", "O(1)", key_specs=access))
    command(e, pexpiretime, Spec(
        "pexpiretime", 2, "readonly fast", (1, 1, 1), "generic", "7.0.0",
        "Return the Unix time in milliseconds at which a key ends.", "O(1)", key_specs=access))
    command(e, persist, Spec(
        "persist", 2, "write fast", (1, 1, 1), "generic", "2.2.0",
        "Remove the expiry of a key.", "O(1)", key_specs=update))
    return 0
