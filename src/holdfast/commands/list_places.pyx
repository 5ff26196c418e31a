"""List commands inside a list: by index, by range, by content.

What it is: reading and editing at places that are not ends
(https://redis.io/commands/?group=list). What it is not: pushing and popping (`lists`).

The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from holdfast.commands.lists cimport list_read, list_write, removed, reply_range
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_LIST, changed
from holdfast.engine.lists cimport (
    ListCursor, ListValue, list_count, list_delete, list_delete_range, list_equal, list_expect, list_insert,
    list_keep, list_next, list_prev, list_replace, list_seek, list_shrink, list_text, list_value)
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport Record
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_array_at, reply_error, reply_int, reply_later, reply_no_such_key, reply_not_integer,
    reply_null, reply_ok, reply_slice, reply_syntax_error)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef int64_t LOWEST = -9223372036854775807 - 1


cdef bint read_count(Session s, Slice arg, int64_t* out) noexcept:
    """A number whose negative exists as well. False: answered with an error."""
    if not parse_int64(arg.ptr, arg.len, out):
        reply_not_integer(s)
        return False
    if out[0] == LOWEST:
        reply_error(s, b"ERR value is out of range, value must between -9223372036854775807 and "
                    b"9223372036854775807")
        return False
    return True


cdef bint clip(int64_t length, int64_t* first, int64_t* last) noexcept nogil:
    """Turn indexes that may be negative or outside into those of elements. False: the range is empty."""
    if first[0] < 0:
        first[0] += length
    if last[0] < 0:
        last[0] += length
    if first[0] < 0:
        first[0] = 0
    if first[0] > last[0] or first[0] >= length:
        return False
    if last[0] >= length:
        last[0] = length - 1
    return True


# ---- reading

cdef int lindex(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r = list_read(s, c.argv[1], &wrong)
    cdef ListValue v
    cdef ListCursor at
    cdef char scratch[24]
    cdef int64_t index
    if r == NULL:
        if not wrong:
            reply_null(s)
        return 0
    if not arg_int(s, c.argv[2], &index):
        return 0
    v = list_value(r)
    if list_seek(&s.engine.ks.heap, &v, index, &at):
        reply_slice(s, list_text(&at, scratch))
    else:
        reply_null(s)
    return 0


cdef int lrange(Session s, Call* c) except -1:
    cdef bint wrong
    cdef Record* r
    cdef ListValue v
    cdef int64_t first, last
    if not arg_int(s, c.argv[2], &first) or not arg_int(s, c.argv[3], &last):
        return 0
    r = list_read(s, c.argv[1], &wrong)
    if wrong:
        return 0
    if r != NULL:
        v = list_value(r)
        if clip(list_count(&v), &first, &last):
            reply_range(s, r, first, last - first + 1, False)
            return 0
    reply_array(s, 0)
    return 0


cdef int lpos(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef int64_t rank = 1, count = -1, maxlen = 0
    cdef int64_t looked = 0, matches = 0, found = 0, length, index
    cdef bint wrong, more
    cdef Record* r
    cdef ListValue v
    cdef ListCursor at
    cdef size_t head = 0
    if not read_position_options(s, c, &rank, &count, &maxlen):
        return 0
    r = list_read(s, c.argv[1], &wrong)
    if wrong:
        return 0
    if r == NULL:
        if count >= 0:
            reply_array(s, 0)
        else:
            reply_null(s)
        return 0
    v = list_value(r)
    length = list_count(&v)
    if count >= 0:
        head = reply_later(s)
    more = list_seek(&e.ks.heap, &v, 0 if rank > 0 else -1, &at)
    while more and (maxlen == 0 or looked < maxlen):
        if list_equal(&at, c.argv[2].ptr, c.argv[2].len):
            matches += 1
            if matches >= (rank if rank > 0 else -rank):
                index = looked if rank > 0 else length - looked - 1
                reply_int(s, index)
                found += 1
                if count == -1 or found == count:
                    break
        looked += 1
        more = list_next(&e.ks.heap, &at) if rank > 0 else list_prev(&e.ks.heap, &at)
    if count >= 0:
        reply_array_at(s, head, found)
    elif not found:
        reply_null(s)
    return 0


cdef bint read_position_options(Session s, Call* c, int64_t* rank, int64_t* count, int64_t* maxlen) noexcept:
    cdef int i = 3
    while i < c.argc:
        if i + 1 == c.argc:
            reply_syntax_error(s)
            return False
        if arg_is(c.argv[i], b"rank"):
            if not read_count(s, c.argv[i + 1], rank):
                return False
            if rank[0] == 0:
                reply_error(s, b"ERR RANK can't be zero: use 1 to start from the first match, "
                            b"2 from the second ... or use negative to start from the end of the list")
                return False
        elif arg_is(c.argv[i], b"count"):
            if not parse_int64(c.argv[i + 1].ptr, c.argv[i + 1].len, count) or count[0] < 0:
                reply_error(s, b"ERR COUNT can't be negative")
                return False
        elif arg_is(c.argv[i], b"maxlen"):
            if not parse_int64(c.argv[i + 1].ptr, c.argv[i + 1].len, maxlen) or maxlen[0] < 0:
                reply_error(s, b"ERR MAXLEN can't be negative")
                return False
        else:
            reply_syntax_error(s)
            return False
        i += 2
    return True


# ---- editing

cdef int lset(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef bint wrong, there
    cdef Record* r = list_write(s, c.argv[1], &wrong)
    cdef ListValue v
    cdef ListCursor at
    cdef int64_t index
    if r == NULL:
        if not wrong:
            reply_no_such_key(s)
        return 0
    if not arg_int(s, c.argv[2], &index):
        return 0
    v = list_value(r)
    list_expect(&e.ks.heap, &v, c.argv[3].len, 1, <int>e.list_max_listpack_size, <int>e.list_compress_depth)
    there = list_seek(&e.ks.heap, &v, index, &at)
    if there:
        list_replace(&e.ks.heap, &at, c.argv[3].ptr, c.argv[3].len)
        list_shrink(&e.ks.heap, &v, <int>e.list_max_listpack_size, True)
    list_keep(r, &v)
    if not there:
        reply_error(s, b"ERR index out of range")
        return 0
    changed(s, c.argv[1], NOTIFY_LIST, b"lset", 1)
    reply_ok(s)
    return 0


cdef int linsert(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef bint after = arg_is(c.argv[2], b"after")
    cdef bint wrong, more
    cdef Record* r
    cdef ListValue v
    cdef ListCursor at
    if not after and not arg_is(c.argv[2], b"before"):
        reply_syntax_error(s)
        return 0
    r = list_write(s, c.argv[1], &wrong)
    if r == NULL:
        if not wrong:
            reply_int(s, 0)
        return 0
    v = list_value(r)
    list_expect(&e.ks.heap, &v, c.argv[4].len, 1, <int>e.list_max_listpack_size, <int>e.list_compress_depth)
    more = list_seek(&e.ks.heap, &v, 0, &at)
    while more and not list_equal(&at, c.argv[3].ptr, c.argv[3].len):
        more = list_next(&e.ks.heap, &at)
    if more:
        list_insert(&e.ks.heap, &at, c.argv[4].ptr, c.argv[4].len, after)
    list_keep(r, &v)
    if not more:
        reply_int(s, -1)
        return 0
    changed(s, c.argv[1], NOTIFY_LIST, b"linsert", 1)
    reply_int(s, list_count(&v))
    return 0


cdef int lrem(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef int64_t limit, gone = 0
    cdef bint wrong, more, backwards
    cdef Record* r
    cdef ListValue v
    cdef ListCursor at
    if not read_count(s, c.argv[2], &limit):
        return 0
    r = list_write(s, c.argv[1], &wrong)
    if r == NULL:
        if not wrong:
            reply_int(s, 0)
        return 0
    backwards = limit < 0
    if backwards:
        limit = -limit
    v = list_value(r)
    more = list_seek(&e.ks.heap, &v, -1 if backwards else 0, &at)
    while more and (limit == 0 or gone < limit):
        if list_equal(&at, c.argv[3].ptr, c.argv[3].len):
            more = list_delete(&e.ks.heap, &at, backwards)
            gone += 1
        elif backwards:
            more = list_prev(&e.ks.heap, &at)
        else:
            more = list_next(&e.ks.heap, &at)
    list_keep(r, &v)
    if gone:
        removed(s, r, c.argv[1], b"lrem", gone)
    reply_int(s, gone)
    return 0


cdef int ltrim(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef int64_t first, last, length, before, behind
    cdef bint wrong
    cdef Record* r
    cdef ListValue v
    if not arg_int(s, c.argv[2], &first) or not arg_int(s, c.argv[3], &last):
        return 0
    r = list_write(s, c.argv[1], &wrong)
    if r == NULL:
        if not wrong:
            reply_ok(s)
        return 0
    v = list_value(r)
    length = list_count(&v)
    before = length
    behind = 0
    if clip(length, &first, &last):
        before = first
        behind = length - last - 1
    list_delete_range(&e.ks.heap, &v, 0, before)
    list_delete_range(&e.ks.heap, &v, -behind, behind)
    list_keep(r, &v)
    removed(s, r, c.argv[1], b"ltrim", before + behind)
    reply_ok(s)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    one = (1, 1, 1)
    access = (KeySpec("RO access"),)
    command(e, lindex, Spec(
        "lindex", 3, "readonly", one, "list", "1.0.0", "Return the element at an index.",
        "O(N), N elements to pass; O(1) at both ends", key_specs=access))
    command(e, lrange, Spec(
        "lrange", 4, "readonly", one, "list", "1.0.0", "Return the elements of a range of indexes.",
        "O(S+N), S elements to pass and N returned", key_specs=access))
    command(e, lpos, Spec(
        "lpos", -3, "readonly", one, "list", "6.0.6", "Return the indexes of elements of this content.",
        "O(N), N elements looked at", key_specs=access))
    command(e, lset, Spec(
        "lset", 4, "write denyoom", one, "list", "1.0.0", "Overwrite the element at an index.",
        "O(N), N elements to pass; O(1) at both ends", key_specs=(KeySpec("RW update"),)))
    command(e, linsert, Spec(
        "linsert", 5, "write denyoom", one, "list", "2.2.0", "Put an element before or after another.",
        "O(N), N elements to pass", key_specs=(KeySpec("RW insert"),)))
    command(e, lrem, Spec(
        "lrem", 4, "write", one, "list", "1.0.0", "Remove elements of this content.",
        "O(N+M), N elements looked at and M removed", key_specs=(KeySpec("RW delete"),)))
    command(e, ltrim, Spec(
        "ltrim", 4, "write", one, "list", "1.0.0", "Remove all elements outside a range of indexes.",
        "O(N), N elements removed", key_specs=(KeySpec("RW delete"),)))
    return 0
