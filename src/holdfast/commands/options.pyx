"""Options that several commands share, parsed once.

Each parser answers bad input itself, in Redis's words, and returns False.
"""

from libc.stdint cimport INT64_MAX, int64_t
from libc.string cimport memset
from holdfast.engine.buf cimport Slice
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.reply cimport reply_error_bytes, reply_not_integer, reply_syntax_error
from holdfast.engine.state cimport Call, Session

cdef bint arg_is(Slice arg, const char* word) noexcept nogil:
    cdef size_t i
    cdef unsigned char c
    for i in range(arg.len):
        c = arg.ptr[i]
        if c'A' <= c <= c'Z':
            c += 32
        if word[i] == 0 or c != <unsigned char>word[i]:
            return False
    return word[arg.len] == 0


cdef bint arg_int(Session s, Slice arg, int64_t* out) noexcept:
    if parse_int64(arg.ptr, arg.len, out):
        return True
    reply_not_integer(s)
    return False


cdef int expire_unit(Slice arg) noexcept nogil:
    """Bits for EX, PX, EXAT, PXAT; -1: another word."""
    if arg_is(arg, b"ex"):
        return 0
    if arg_is(arg, b"px"):
        return MILLISECONDS
    if arg_is(arg, b"exat"):
        return ABSOLUTE
    if arg_is(arg, b"pxat"):
        return ABSOLUTE | MILLISECONDS
    return -1


cdef bint read_expire(Session s, Call* c, Slice arg, int unit, ExpireOption* out) noexcept:
    cdef int64_t value
    if not arg_int(s, arg, &value):
        return False
    if value <= 0:
        return invalid_expire(s, c)
    if not unit & MILLISECONDS:
        if value > INT64_MAX // 1000:
            return invalid_expire(s, c)
        value *= 1000
    if not unit & ABSOLUTE:
        if value > INT64_MAX - s.engine.ks.now_ms:
            return invalid_expire(s, c)
        value += s.engine.ks.now_ms
    out.given = True
    out.at_ms = value
    return True


cdef bint invalid_expire(Session s, Call* c) noexcept:
    reply_error_bytes(s, b"ERR invalid expire time in '%s' command" % <bytes>c.command.name)
    return False


cdef bint parse_set_options(Session s, Call* c, int first, SetOptions* o) noexcept:
    cdef int i = first
    cdef int unit, value_at = 0
    memset(o, 0, sizeof(SetOptions))
    while i < c.argc:
        unit = expire_unit(c.argv[i])
        if arg_is(c.argv[i], b"nx") and not o.xx:
            o.nx = True
        elif arg_is(c.argv[i], b"xx") and not o.nx:
            o.xx = True
        elif arg_is(c.argv[i], b"get"):
            o.get = True
        elif arg_is(c.argv[i], b"keepttl") and not value_at:
            o.keep_ttl = True
        elif unit >= 0 and (not value_at or unit == o.unit) and not o.keep_ttl and i + 1 < c.argc:
            i += 1
            value_at = i
            o.unit = unit
        else:
            reply_syntax_error(s)
            return False
        i += 1
    return not value_at or read_expire(s, c, c.argv[value_at], o.unit, &o.expire)


cdef bint parse_getex_options(Session s, Call* c, int first, SetOptions* o, int* value_at) noexcept:
    cdef int i = first
    cdef int unit
    value_at[0] = 0
    memset(o, 0, sizeof(SetOptions))
    while i < c.argc:
        unit = expire_unit(c.argv[i])
        if arg_is(c.argv[i], b"persist") and not value_at[0]:
            o.persist = True
        elif unit >= 0 and (not value_at[0] or unit == o.unit) and not o.persist and i + 1 < c.argc:
            i += 1
            value_at[0] = i
            o.unit = unit
        else:
            reply_syntax_error(s)
            return False
        i += 1
    return True
