"""DUMP and RESTORE (https://redis.io/commands/restore/).

A payload is the type and value as an RDB file holds them, two bytes of version
and a CRC64. The checksum proves nothing of intent: what RESTORE brings in is
checked in full before it becomes a value.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.buf cimport Slice, buf_free, slice_of
from holdfast.engine.checksum cimport crc64
from holdfast.engine.effects cimport effect_arg, effect_begin, effect_int, effect_key, effect_slice
from holdfast.engine.events cimport NOTIFY_GENERIC, changed, unwatch, watch
from holdfast.engine.blocking cimport signal_ready
from holdfast.engine.keyspace cimport (
    EXPIRY_DELETE, ks_delete, ks_dispose, ks_peek, ks_read, ks_take, ks_write)
from holdfast.engine.rdb_decode cimport decode_value, decoder_clear, decoder_init, store_decoded
from holdfast.engine.rdb_encode cimport Sink, put_byte, put_value, rdb_type
from holdfast.engine.rdb_format cimport RDB_VERSION_READ, RDB_VERSION_WRITTEN
from holdfast.engine.rdb_window cimport DECODED, Decoder
from holdfast.engine.record cimport (
    TYPE_LIST, TYPE_ZSET, Record, expires_at, record_bytes, record_set_lru, type_of)
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_bulk, reply_error, reply_null, reply_ok, reply_syntax_error
from holdfast.engine.state cimport S_DIRTY_CAS, Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef enum:
    FOOTER_BYTES = 10
    SAMPLES = 5             # of a value's members, to tell how large it is
    LARGE_BYTES = 1 << 16   # from here on it is freed between ticks

cdef struct RestoreOptions:
    bint replace
    bint absolute
    int64_t idle_s          # -1: not given
    int64_t frequency       # -1: not given


cdef void put_payload(Sink* s, Record* r) noexcept nogil:
    cdef uint64_t crc
    cdef int i
    put_byte(s, rdb_type(r))
    put_value(s, r)
    put_byte(s, RDB_VERSION_WRITTEN & 0xFF)
    put_byte(s, RDB_VERSION_WRITTEN >> 8)
    crc = crc64(0, s.buf.ptr, s.buf.len)
    for i in range(8):
        put_byte(s, <int>(crc >> (8 * i) & 0xFF))


cdef int dump(Session s, Call* c) except -1:
    cdef Sink sink
    cdef Record* r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r == NULL:
        reply_null(s)
        return 0
    memset(&sink, 0, sizeof(Sink))
    sink.compress = True
    put_payload(&sink, r)
    reply_bulk(s, sink.buf.ptr, sink.buf.len)
    buf_free(&sink.buf)
    return 0


cdef bint is_sound(Slice payload) noexcept nogil:
    """Whether version and checksum are right."""
    cdef const uint8_t* foot
    cdef uint64_t told = 0
    cdef int i
    if payload.len < FOOTER_BYTES:
        return False
    foot = <const uint8_t*>payload.ptr + payload.len - FOOTER_BYTES
    if (foot[0] | <uint32_t>foot[1] << 8) > RDB_VERSION_READ:
        return False
    for i in range(8):
        told |= <uint64_t>foot[2 + i] << (8 * i)
    return told == crc64(0, payload.ptr, payload.len - 8)


cdef bint parse_restore(Session s, Call* c, RestoreOptions* o) noexcept:
    cdef int i = 4
    cdef int more
    o.replace = False
    o.absolute = False
    o.idle_s = -1
    o.frequency = -1
    while i < c.argc:
        more = c.argc - i - 1
        if arg_is(c.argv[i], b"replace"):
            o.replace = True
        elif arg_is(c.argv[i], b"absttl"):
            o.absolute = True
        elif arg_is(c.argv[i], b"idletime") and more and o.frequency == -1:
            i += 1
            if not arg_int(s, c.argv[i], &o.idle_s):
                return False
            if o.idle_s < 0:
                reply_error(s, b"ERR Invalid IDLETIME value, must be >= 0")
                return False
        elif arg_is(c.argv[i], b"freq") and more and o.idle_s == -1:
            i += 1
            if not arg_int(s, c.argv[i], &o.frequency):
                return False
            if not 0 <= o.frequency <= 255:
                reply_error(s, b"ERR Invalid FREQ value, must be >= 0 and <= 255")
                return False
        else:
            reply_syntax_error(s)
            return False
        i += 1
    return True


cdef void set_access(Engine e, Record* r, RestoreOptions* o) noexcept:
    cdef int64_t idle = o.idle_s
    if e.ks.lfu:
        if o.frequency >= 0:
            record_set_lru(r, <uint32_t>((e.ks.now_ms // 60000) & 0xFFFF) << 8 | <uint32_t>o.frequency)
    elif idle >= 0:
        if idle > 0xFFFFFF:
            idle = 0xFFFFFF
        record_set_lru(r, (e.ks.lru_clock - <uint32_t>idle) & 0xFFFFFF)


cdef void propagate_restore(Engine e, Session s, Call* c, int64_t at_ms) noexcept:
    """A relative expiry goes out as an absolute one."""
    cdef int i
    effect_begin(e, s.db.id, c.argc + 1)
    effect_slice(e, c.argv[0])
    effect_slice(e, c.argv[1])
    effect_int(e, at_ms)
    for i in range(3, c.argc):
        effect_slice(e, c.argv[i])
    effect_arg(e, b"ABSTTL", 6)


cdef int restore(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef RestoreOptions o
    cdef int64_t ttl = 0, at_ms
    cdef bint deleted = False
    cdef Decoder d
    cdef Record* r
    if not parse_restore(s, c, &o):
        return 0
    if not o.replace and ks_write(&e.ks, s.db, c.argv[1]) != NULL:
        reply_error(s, b"BUSYKEY Target key name already exists.")
        return 0
    if not arg_int(s, c.argv[2], &ttl):
        return 0
    if ttl < 0:
        reply_error(s, b"ERR Invalid TTL value, must be >= 0")
        return 0
    if not is_sound(c.argv[3]):
        reply_error(s, b"ERR DUMP payload version or checksum are wrong")
        return 0
    decoder_init(&d, e)
    try:
        d.at = <const uint8_t*>c.argv[3].ptr
        d.end = d.at + c.argv[3].len - FOOTER_BYTES
        if d.at == d.end or not whole_value(&d):
            reply_error(s, b"ERR Bad data format")
            return 0
        at_ms = -1
        if ttl:
            at_ms = ttl if o.absolute or ttl > 9223372036854775807 - e.ks.now_ms else ttl + e.ks.now_ms
        if o.replace:
            deleted = ks_write(&e.ks, s.db, c.argv[1]) != NULL and ks_delete(&e.ks, s.db, c.argv[1])
        if ttl and at_ms <= e.ks.now_ms and e.ks.expiry_mode == EXPIRY_DELETE:
            if deleted:
                changed(s, c.argv[1], NOTIFY_GENERIC, b"del", 1)
                effect_key(e, s.db.id, b"DEL", c.argv[1])
            reply_ok(s)
            return 0
        r = store_decoded(&d, &e.ks, s.db, c.argv[1], at_ms)
        set_access(e, r, &o)
        if type_of(r) == TYPE_LIST or type_of(r) == TYPE_ZSET:
            signal_ready(e, s.db, c.argv[1])
        if ttl and not o.absolute:
            propagate_restore(e, s, c, at_ms)
        changed(s, c.argv[1], NOTIFY_GENERIC, b"restore", 1)
        reply_ok(s)
    finally:
        decoder_clear(&d)
    return 0


cdef bint whole_value(Decoder* d) noexcept nogil:
    cdef int type = d.at[0]
    d.at += 1
    return decode_value(d, type) == DECODED and d.at <= d.end


# ---- for MIGRATE, and for slots that travel as a whole ----

def bytes_of(Session session not None, bytes key not None):
    """Return about how many bytes a key takes, without going through all of it; None: it is not there."""
    cdef Record* r = ks_read(&session.engine.ks, session.db, slice_of(key))
    return None if r == NULL else record_bytes(r, SAMPLES)


def begin_watch(Session watcher not None, Session session not None, bytes key not None):
    """Note from now on whether a key, of the session's database, changes; `watcher` watches nothing else."""
    watcher.db = session.db
    watch(watcher, slice_of(key))


def end_watch(Session watcher not None):
    """Watch no longer; return whether the key is there and the same."""
    cdef bint same = not watcher.flags & S_DIRTY_CAS
    cdef bytes key = watcher.watched[0][1]
    same = same and ks_peek(&watcher.engine.ks, watcher.db, slice_of(key)) != NULL
    unwatch(watcher)
    return same


def payload_of(Session session not None, bytes key not None):
    """Return the DUMP payload of a key and when it expires (-1: never); None: there is no such key."""
    cdef Sink sink
    cdef Record* r = ks_read(&session.engine.ks, session.db, slice_of(key))
    if r == NULL:
        return None
    memset(&sink, 0, sizeof(Sink))
    sink.compress = True
    put_payload(&sink, r)
    try:
        return sink.buf.ptr[:sink.buf.len], expires_at(r)
    finally:
        buf_free(&sink.buf)


def forget_key(Session session not None, int database, bytes key not None):
    """Delete a key that another server has now, and propagate that. False: it was gone.

    A large one is freed between ticks, at replicas too.
    """
    cdef Engine e = session.engine
    cdef Slice name = slice_of(key)
    cdef int64_t given = e.call_effects
    cdef bint large
    cdef Record* r
    before = session.db
    session.db = &e.ks.dbs[database]
    try:
        r = ks_write(&e.ks, session.db, name)
        if r == NULL:
            return False
        large = record_bytes(r, SAMPLES) >= LARGE_BYTES
        ks_dispose(&e.ks, ks_take(&e.ks, session.db, name), large)
        changed(session, name, NOTIFY_GENERIC, b"del", 1)
        effect_key(e, database, b"UNLINK" if large else b"DEL", name)
        e.call_effects = <int>given
        session.write_offset = e.stream_offset + e.stream.len
        return True
    finally:
        session.db = before


def store_payload(Session session not None, bytes key not None, bytes payload not None, int64_t at_ms):
    """Make a key what a payload says, and propagate that. False: the payload is not sound."""
    cdef Engine e = session.engine
    cdef Slice name = slice_of(key), told = slice_of(payload)
    cdef bint deleted = False
    cdef Decoder d
    if not is_sound(told):
        return False
    decoder_init(&d, e)
    try:
        d.at = <const uint8_t*>told.ptr
        d.end = d.at + told.len - FOOTER_BYTES
        if d.at == d.end or not whole_value(&d):
            return False
        deleted = ks_write(&e.ks, session.db, name) != NULL and ks_delete(&e.ks, session.db, name)
        if 0 <= at_ms <= e.ks.now_ms and e.ks.expiry_mode == EXPIRY_DELETE:
            if deleted:
                changed(session, name, NOTIFY_GENERIC, b"del", 1)
                effect_key(e, session.db.id, b"DEL", name)
            return True
        store_decoded(&d, &e.ks, session.db, name, at_ms)
        changed(session, name, NOTIFY_GENERIC, b"restore", 1)
        effect_begin(e, session.db.id, 6 if at_ms >= 0 else 5)
        effect_arg(e, b"RESTORE", 7)
        effect_slice(e, name)
        effect_int(e, at_ms if at_ms >= 0 else 0)
        effect_slice(e, told)
        effect_arg(e, b"REPLACE", 7)
        if at_ms >= 0:
            effect_arg(e, b"ABSTTL", 6)
        return True
    finally:
        decoder_clear(&d)


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, dump, Spec(
        "dump", 2, "readonly", (1, 1, 1), "generic", "2.6.0", "Return the value of a key in serialized form.",
        "O(1) to find the key, O(N) in the size of its value", key_specs=(KeySpec("RO access", 1),),
        tips=("nondeterministic_output",)))
    command(e, restore, Spec(
        "restore", -4, "write denyoom", (1, 1, 1), "generic", "2.6.0",
        "Create a key from a serialized value.",
        "O(N) in the size of the value; sorted sets O(N*log(N))", "dangerous", (KeySpec("OW update", 1),)))
    command(e, restore, Spec(
        "restore-asking", -4, "write denyoom asking", (1, 1, 1), "server", "3.0.0",
        "RESTORE as cluster nodes send it to a slot that is being imported.",
        "O(N) in the size of the value; sorted sets O(N*log(N))", "keyspace dangerous",
        (KeySpec("OW update", 1),)))
    return 0
