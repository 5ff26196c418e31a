"""What the commands of sets and sorted sets share.

What this is: keys that come and go with their members, counts among the
arguments. What this is not: values (`engine/sets.pyx`, `engine/sorted_sets.pyx`).
"""

from libc.stdint cimport INT64_MAX, int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_NEW, changed, notify
from holdfast.engine.keyspace cimport Record, ks_delete, ks_set_value, ks_write
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.reply cimport reply_error, reply_error_bytes, reply_not_integer
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
