"""SORT and SORT_RO (https://redis.io/commands/sort/).

What it is: the elements of a list, set or sorted set in order, by themselves
or by other keys (BY), told as they are or through other keys (GET). What it is
not: a hot path; elements become Python bytes here, and Python sorts them.

How to read it: `parse`, `read_elements`, `put_in_order`, then `sort_key`.
Elements of equal weight are ordered by their bytes, so that STORE comes to the
same everywhere.
"""

from operator import itemgetter

from libc.stdint cimport int64_t
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.blocking cimport signal_ready
from holdfast.engine.buf cimport Slice, slice_bytes, slice_of
from holdfast.engine.effects cimport effect_key
from holdfast.engine.events cimport NOTIFY_GENERIC, NOTIFY_LIST, changed
from holdfast.engine.full_forms cimport SET_KEY, HashEntry, SortedSet, hash_entry_value
from holdfast.engine.heap cimport Heap
from holdfast.engine.intset cimport intset_at, intset_count
from holdfast.engine.keyspace cimport ks_read, ks_remove, ks_set_value, ks_write
from holdfast.engine.listpack cimport (
    Listpack, lp_append, lp_entry_bytes, lp_find, lp_first, lp_new, lp_next, lp_text)
from holdfast.engine.ordered cimport Member, OrderedCursor, member_key, ordered_next, ordered_seek
from holdfast.engine.quicklist cimport Quicklist, QuickCursor, ql_new, ql_next, ql_push_tail, ql_seek, ql_text
from holdfast.engine.record cimport (
    HASH_PACK, LIST_PACK, LIST_QUICK, SET_INT, SET_PACK, SET_TABLE, TYPE_HASH, TYPE_LIST, TYPE_SET,
    TYPE_STRING, TYPE_ZSET, ZSET_PACK, Record, kind_of, record_string, type_of)
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_int, reply_null, reply_syntax_error, reply_wrong_type)
from holdfast.engine.state cimport GUARD_CLUSTER, S_SCRIPT, Call, Engine, Session
from holdfast.engine.table cimport Table, TableCursor, table_find, table_hash, table_walk, table_walk_next

from holdfast.commands.spec import KeySpec, Spec

cdef extern from *:
    """
    #include <errno.h>
    #include <math.h>
    #include <stdlib.h>
    static inline int hf_read_weight(const char *text, double *out) {
        char *end;
        errno = 0;
        *out = strtod(text, &end);
        return *end == 0 && errno != ERANGE && !isnan(*out);
    }
    """
    bint hf_read_weight(const char* text, double* out) noexcept nogil

cdef enum:
    PACK_BYTES_MAX = 8192   # of a listpack where list-max-listpack-size counts elements

cdef class Request:
    """What a call asks for."""

    cdef bint alpha, descending, sorted, limited
    cdef int64_t skip, count
    cdef bytes by               # pattern, or None: by the elements themselves
    cdef list gets              # patterns
    cdef bint stores
    cdef Slice target


# ---- arguments ----

cdef Request parse(Session s, Call* c, bint read_only):
    """The request, or None: answered."""
    cdef Request q = Request()
    cdef int i = 2
    cdef int left
    q.sorted = True
    q.gets = []
    while i < c.argc:
        left = c.argc - i - 1
        if arg_is(c.argv[i], b"asc"):
            q.descending = False
        elif arg_is(c.argv[i], b"desc"):
            q.descending = True
        elif arg_is(c.argv[i], b"alpha"):
            q.alpha = True
        elif arg_is(c.argv[i], b"limit") and left >= 2:
            if not arg_int(s, c.argv[i + 1], &q.skip) or not arg_int(s, c.argv[i + 2], &q.count):
                return None
            q.limited = True
            i += 2
        elif not read_only and arg_is(c.argv[i], b"store") and left >= 1:
            q.stores = True
            q.target = c.argv[i + 1]
            i += 1
        elif arg_is(c.argv[i], b"by") and left >= 1:
            q.by = slice_bytes(c.argv[i + 1])
            if b"*" not in q.by:
                q.sorted = False
            elif s.engine.guard & GUARD_CLUSTER:
                reply_error(s, b"ERR BY option of SORT denied in Cluster mode.")
                return None
            i += 1
        elif arg_is(c.argv[i], b"get") and left >= 1:
            if s.engine.guard & GUARD_CLUSTER:
                reply_error(s, b"ERR GET option of SORT denied in Cluster mode.")
                return None
            q.gets.append(slice_bytes(c.argv[i + 1]))
            i += 1
        else:
            reply_syntax_error(s)
            return None
        i += 1
    return q


# ---- elements ----

cdef list read_elements(Session s, Record* r, Request q):
    """All elements; a sorted set's in its order (or descending, where it is not to be sorted)."""
    cdef char scratch[24]
    cdef int kind = kind_of(r)
    cdef unsigned char* at
    cdef QuickCursor place
    cdef TableCursor walk
    cdef OrderedCursor cursor
    cdef Member* m
    cdef void* entry
    cdef unsigned i
    cdef list found = []
    if kind == LIST_PACK or kind == SET_PACK or kind == ZSET_PACK:
        at = lp_first(<Listpack>r.value.ptr)
        while at != NULL:
            found.append(slice_bytes(lp_text(at, scratch)))
            at = lp_next(<Listpack>r.value.ptr, at)
            if kind == ZSET_PACK:
                at = lp_next(<Listpack>r.value.ptr, at)
    elif kind == LIST_QUICK:
        if ql_seek(&s.engine.ks.heap, <Quicklist*>r.value.ptr, 0, &place):
            while True:
                found.append(slice_bytes(ql_text(&place, scratch)))
                if not ql_next(&s.engine.ks.heap, &place):
                    break
    elif kind == SET_INT:
        for i in range(intset_count(<unsigned char*>r.value.ptr)):
            found.append(b"%d" % intset_at(<unsigned char*>r.value.ptr, i))
    elif kind == SET_TABLE:
        table_walk(<Table*>r.value.ptr, &walk)
        entry = table_walk_next(&walk)
        while entry != NULL:
            found.append((<char*>entry)[SET_KEY:SET_KEY + (<unsigned*>entry)[0]])
            entry = table_walk_next(&walk)
    else:
        m = ordered_seek((<SortedSet*>r.value.ptr).order, 0, &cursor)
        while m != NULL:
            found.append(member_key(m)[:m.klen])
            m = ordered_next(&cursor)
    if (type_of(r) == TYPE_ZSET or type_of(r) == TYPE_LIST) and not q.sorted and q.descending:
        found.reverse()
    return found


# ---- other keys ----

cdef bytes hash_value(Record* r, bytes field):
    cdef char scratch[24]
    cdef unsigned char* at
    cdef void** slot
    cdef HashEntry* entry
    cdef Table* t
    if kind_of(r) == HASH_PACK:
        at = lp_first(<Listpack>r.value.ptr)
        at = lp_find(<Listpack>r.value.ptr, at, field, len(field), 1) if at != NULL else NULL
        return slice_bytes(lp_text(lp_next(<Listpack>r.value.ptr, at), scratch)) if at != NULL else None
    t = <Table*>r.value.ptr
    slot = table_find(t, field, len(field), table_hash(t, field, len(field)))
    if slot == NULL:
        return None
    entry = <HashEntry*>slot[0]
    return hash_entry_value(entry)[:entry.vlen]


cdef bytes look_up(Session s, bytes pattern, bytes element):
    """What a pattern leads to: "#" the element, "a_*" a string, "a_*->field" a field of a hash; or None."""
    cdef char scratch[24]
    cdef Record* r
    cdef Py_ssize_t star, arrow
    cdef bytes field = None
    cdef bytes key
    if pattern == b"#":
        return element
    star = pattern.find(b"*")
    if star < 0:
        return None
    arrow = pattern.find(b"->", star + 1)
    if arrow >= 0 and arrow + 2 < len(pattern):
        field = pattern[arrow + 2:]
        pattern = pattern[:arrow]
    key = pattern[:star] + element + pattern[star + 1:]
    r = ks_read(&s.engine.ks, s.db, slice_of(key))
    if r == NULL:
        return None
    if field is not None:
        return hash_value(r, field) if type_of(r) == TYPE_HASH else None
    return slice_bytes(record_string(r, scratch)) if type_of(r) == TYPE_STRING else None


# ---- order ----

cdef bint read_number(bytes text, double* out) noexcept:
    """As strtod reads it; the whole text (up to a zero byte), and not NaN."""
    return hf_read_weight(text, out)


cdef list put_in_order(Session s, Request q, list elements):
    """The elements sorted, or None: one of them has no number."""
    cdef list weighed = []
    cdef bytes element, weight
    cdef double number
    for element in elements:
        weight = element if q.by is None else look_up(s, q.by, element)
        if q.alpha:
            if weight is not None and not q.stores:     # compared as C strings, unless the result is stored
                weight = weight.split(b"\0", 1)[0]
            weighed.append(((weight is not None, weight or b""), element))
            continue
        number = 0
        if weight is not None and not read_number(weight, &number):
            return None
        weighed.append((number, element))
    if q.alpha:
        weighed.sort(key=itemgetter(0), reverse=q.descending)
    else:
        weighed.sort(reverse=q.descending)
    return [element for _, element in weighed]


cdef tuple bounds(Request q, Py_ssize_t total):
    """First and past-last index, as LIMIT asks for."""
    cdef int64_t start = 0, end = total
    if q.limited:
        start = q.skip if q.skip > 0 else 0
        if start > total:
            start = total
        if q.count >= 0 and q.count < total - start:
            end = start + q.count
    return start, end


# ---- storing ----

cdef bint too_large(Engine e, size_t count, size_t size) noexcept nogil:
    """Whether a list does not fit in one listpack (list-max-listpack-size)."""
    if e.list_max_listpack_size >= 0:
        return <int64_t>count > e.list_max_listpack_size or size > PACK_BYTES_MAX
    return size > (<size_t>4096 << ((4 if e.list_max_listpack_size < -5 else -e.list_max_listpack_size - 1)))


cdef int store_list(Session s, Slice key, list values) except -1:
    cdef Engine e = s.engine
    cdef Heap* h = &e.ks.heap
    cdef Quicklist* ql
    cdef Listpack lp
    cdef size_t size = 7
    cdef bytes value
    for value in values:
        size += lp_entry_bytes(value, len(value))
    if too_large(e, len(values), size):
        ql = ql_new(h, <int>e.list_max_listpack_size, <int>e.list_compress_depth)
        for value in values:
            ql_push_tail(h, ql, value, len(value))
        ks_set_value(&e.ks, s.db, key, LIST_QUICK, ql, -1, False)
        return 0
    lp = lp_new(h, size)
    for value in values:
        lp = lp_append(h, lp, value, len(value))
    ks_set_value(&e.ks, s.db, key, LIST_PACK, lp, -1, False)
    return 0


cdef int store(Session s, Request q, list values) except -1:
    cdef Engine e = s.engine
    if values:
        ks_write(&e.ks, s.db, q.target)
        store_list(s, q.target, [b"" if value is None else value for value in values])
        changed(s, q.target, NOTIFY_LIST, b"sortstore", len(values))
        signal_ready(e, s.db, q.target)
    elif ks_remove(&e.ks, s.db, q.target, e.lazyfree_lazy_server_del):
        changed(s, q.target, NOTIFY_GENERIC, b"del", 1)
        effect_key(e, s.db.id, b"DEL", q.target)
    reply_int(s, len(values))
    return 0


# ---- the commands ----

cdef int sort_key(Session s, Call* c, bint read_only) except -1:
    cdef Request q = parse(s, c, read_only)
    cdef Record* r
    cdef list elements = []
    cdef list values
    cdef bytes value
    if q is None:
        return 0
    r = ks_read(&s.engine.ks, s.db, c.argv[1])
    if r != NULL:
        if type_of(r) != TYPE_LIST and type_of(r) != TYPE_SET and type_of(r) != TYPE_ZSET:
            reply_wrong_type(s)
            return 0
        if type_of(r) == TYPE_SET and not q.sorted and (q.stores or s.flags & S_SCRIPT):
            # The order of a set is an accident; what is stored or seen by a script must not be.
            q.sorted = True
            q.alpha = True
            q.by = None
        elements = read_elements(s, r, q)
    if q.sorted:
        elements = put_in_order(s, q, elements)
        if elements is None:
            reply_error(s, b"ERR One or more scores can't be converted into double")
            return 0
    start, end = bounds(q, len(elements))
    elements = elements[start:end]
    values = elements
    if q.gets:
        values = [look_up(s, pattern, element) for element in elements for pattern in q.gets]
    if q.stores:
        return store(s, q, values)
    reply_array(s, len(values))
    for value in values:
        if value is None:
            reply_null(s)
        else:
            reply_bulk(s, value, len(value))
    return 0


cdef int sort(Session s, Call* c) except -1:
    return sort_key(s, c, False)


cdef int sort_ro(Session s, Call* c) except -1:
    return sort_key(s, c, True)


cpdef int register(Engine e) except -1:
    """The index of the family."""
    complexity = "O(N + M*log(M)) for N elements of which M are told."
    categories = "set sortedset list dangerous"
    command(e, sort, Spec(
        "sort", -2, "write denyoom movablekeys", (1, 1, 1), "generic", "1.0.0",
        "Sort a list, a set or a sorted set, and tell or store what comes out.", complexity, categories,
        key_specs=(KeySpec("RO access"), KeySpec("RO access incomplete"), KeySpec("OW update incomplete"))))
    command(e, sort_ro, Spec(
        "sort_ro", -2, "readonly movablekeys", (1, 1, 1), "generic", "7.0.0",
        "Sort a list, a set or a sorted set, and tell what comes out.", complexity, categories,
        key_specs=(KeySpec("RO access"), KeySpec("RO access incomplete"))))
    return 0
