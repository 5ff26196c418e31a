"""What the commands of sets and sorted sets share.

What this is: keys that come and go with their members, counts among the
arguments. What this is not: values (`engine/sets.pyx`, `engine/sorted_sets.pyx`).
"""

from libc.stdint cimport INT64_MAX, int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_NEW, changed, notify
from holdfast.engine.keyspace cimport ks_delete, ks_set_value, ks_write
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport TYPE_ZSET, Record, type_of
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_double, reply_error, reply_error_bytes, reply_not_integer,
    reply_wrong_type)
from holdfast.engine.state cimport Session


cdef Record* create_key(Session s, Slice key, int kind, void* ptr) noexcept:
    cdef Record* r = ks_set_value(&s.engine.ks, s.db, key, kind, ptr, -1, False)
    notify(s.engine, s.db, NOTIFY_NEW, b"new", key)
    return r


cdef void store_key(Session s, Slice key, int kind, void* ptr) noexcept:
    if ks_write(&s.engine.ks, s.db, key) == NULL:
        create_key(s, key, kind, ptr)
    else:
        ks_set_value(&s.engine.ks, s.db, key, kind, ptr, -1, False)


cdef void delete_emptied(Session s, Slice key) noexcept:
    ks_delete(&s.engine.ks, s.db, key)
    notify(s.engine, s.db, NOTIFY_GENERIC, b"del", key)


cdef void delete_destination(Session s, Slice key) noexcept:
    if ks_write(&s.engine.ks, s.db, key) != NULL:
        ks_delete(&s.engine.ks, s.db, key)
        changed(s, key, NOTIFY_GENERIC, b"del", 1)


cdef bint arg_within(
        Session s, Slice arg, int64_t low, int64_t high, const char* message, int64_t* out) noexcept:
    cdef bint is_number = parse_int64(arg.ptr, arg.len, out)
    if is_number and low <= out[0] <= high:
        return True
    if message != NULL:
        reply_error(s, message)
    elif is_number:
        reply_error_bytes(s, b"ERR value is out of range, value must between %d and %d" % (low, high))
    else:
        reply_not_integer(s)
    return False


cdef bint arg_count(Session s, Slice arg, int64_t* out) noexcept:
    return arg_within(s, arg, 0, INT64_MAX, b"ERR value is out of range, must be positive", out)


cdef bint arg_draws(Session s, Slice arg, int64_t* out) noexcept:
    return arg_within(s, arg, -INT64_MAX, INT64_MAX, NULL, out)


cdef bint is_zset(Session s, Record* r) noexcept:
    if type_of(r) == TYPE_ZSET:
        return True
    reply_wrong_type(s)
    return False


cdef void reply_members_head(Session s, size_t count, bint with_scores) noexcept:
    reply_array(s, 2 * count if with_scores and s.resp == 2 else count)


cdef void reply_member(Session s, const char* p, size_t n, double score, bint with_scores) noexcept:
    if with_scores and s.resp == 3:
        reply_array(s, 2)
    reply_bulk(s, p, n)
    if with_scores:
        reply_double(s, score)
