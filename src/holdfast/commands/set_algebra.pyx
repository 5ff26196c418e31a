"""Union, intersection and difference of sets, with their STORE forms.

What this is: SUNION, SINTER, SDIFF and kin (https://redis.io/commands/?group=set).
The index of the family is `register` at the end. What this is not: set algebra
with scores; that is `zset_algebra`.

How to read it: `read_sources` finds the sets, one function an operation fills a
result or a counter, `finish_store` makes it a key.
"""

from libc.stdint cimport INT64_MAX, int64_t
from libc.stdlib cimport abort, free, malloc, qsort
from holdfast.commands.members cimport arg_within, delete_destination, set_rules, store_key
from holdfast.commands.options cimport arg_is
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_SET, changed
from holdfast.engine.keyspace cimport ks_read
from holdfast.engine.record cimport SET_INT, TYPE_SET, Record, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_bulk, reply_error, reply_int, reply_later, reply_set, reply_set_at, reply_slice, reply_syntax_error,
    reply_wrong_type)
from holdfast.engine.sets cimport (
    SetCursor, SetMember, SetRules, SetValue, set_add_member, set_contains_member, set_count, set_free,
    set_new_result, set_next, set_of, set_remove_member, set_to_table, set_walk)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef struct Source:
    SetValue value
    size_t count            # 0: the key is missing
    int place               # among the arguments: equal counts keep their order


# ---- sources ----

cdef Source* read_sources(Session s, Slice* keys, int count) noexcept:
    """The sets of these keys, to be freed; NULL: one is no set, which was answered."""
    cdef Source* sources = <Source*>malloc(count * sizeof(Source))
    cdef Record* r
    cdef int i
    if sources == NULL:
        abort()
    for i in range(count):
        r = ks_read(&s.engine.ks, s.db, keys[i])
        sources[i].place = i
        sources[i].count = 0
        sources[i].value.kind = SET_INT
        sources[i].value.ptr = NULL
        if r == NULL:
            continue
        if type_of(r) != TYPE_SET:
            reply_wrong_type(s)
            free(sources)
            return NULL
        sources[i].value = set_of(r)
        sources[i].count = set_count(&sources[i].value)
    return sources


cdef int by_count(const void* a, const void* b) noexcept nogil:
    cdef Source* x = <Source*>a
    cdef Source* y = <Source*>b
    if x.count != y.count:
        return -1 if x.count < y.count else 1
    return x.place - y.place


cdef int by_count_falling(const void* a, const void* b) noexcept nogil:
    cdef Source* x = <Source*>a
    cdef Source* y = <Source*>b
    if x.count != y.count:
        return 1 if x.count < y.count else -1
    return x.place - y.place


# ---- intersection ----

cdef struct Meeting:            # a walk over the members that all sets share
    Source* sources             # smallest first
    int count
    SetCursor walk


cdef void meet(Meeting* k, Source* sources, int count) noexcept nogil:
    qsort(sources, count, sizeof(Source), by_count)
    k.sources = sources
    k.count = count
    if sources[0].count:
        set_walk(&sources[0].value, &k.walk)


cdef bint meet_next(Meeting* k, SetMember* m) noexcept nogil:
    cdef int i
    if k.sources[0].count == 0:
        return False
    while set_next(&k.walk, m):
        for i in range(1, k.count):
            if k.sources[i].value.ptr == k.sources[0].value.ptr:
                continue
            if not set_contains_member(&k.sources[i].value, m):
                break
        else:
            return True
    return False


cdef int sinter(Session s, Call* c) except -1:
    cdef Source* sources = read_sources(s, c.argv + 1, c.argc - 1)
    cdef Meeting k
    cdef SetMember m
    cdef size_t at, found = 0
    if sources == NULL:
        return 0
    meet(&k, sources, c.argc - 1)
    at = reply_later(s)
    while meet_next(&k, &m):
        reply_slice(s, m.text)
        found += 1
    reply_set_at(s, at, found)
    free(sources)
    return 0


cdef int sintercard(Session s, Call* c) except -1:
    cdef int64_t number, limit = 0
    cdef Source* sources
    cdef Meeting k
    cdef SetMember m
    cdef int64_t found = 0
    cdef int i
    if not arg_within(s, c.argv[1], 1, INT64_MAX, b"ERR numkeys should be greater than 0", &number):
        return 0
    if number > c.argc - 2:
        reply_error(s, b"ERR Number of keys can't be greater than number of args")
        return 0
    i = 2 + <int>number
    while i < c.argc:
        if not arg_is(c.argv[i], b"limit") or i + 1 == c.argc:
            reply_syntax_error(s)
            return 0
        if not arg_within(s, c.argv[i + 1], 0, INT64_MAX, b"ERR LIMIT can't be negative", &limit):
            return 0
        i += 2
    sources = read_sources(s, c.argv + 2, <int>number)
    if sources == NULL:
        return 0
    meet(&k, sources, <int>number)
    while meet_next(&k, &m):
        found += 1
        if found == limit:
            break
    reply_int(s, found)
    free(sources)
    return 0


cdef int sinterstore(Session s, Call* c) except -1:
    cdef SetRules rules = set_rules(s.engine)
    cdef Source* sources = read_sources(s, c.argv + 2, c.argc - 2)
    cdef SetValue result
    cdef Meeting k
    cdef SetMember m
    if sources == NULL:
        return 0
    result = set_new_result(&rules)
    meet(&k, sources, c.argc - 2)
    while meet_next(&k, &m):
        set_add_member(&rules, &result, &m)
    free(sources)
    return finish_store(s, c.argv[1], &rules, &result, b"sinterstore")


# ---- union and difference ----

cdef SetValue collector(SetRules* rules, Source* sources, int count, bint stored) noexcept nogil:
    """An empty result; one that is only told need not become a listpack on its way."""
    cdef SetValue result = set_new_result(rules)
    cdef int i
    if not stored:
        for i in range(count):
            if sources[i].count and sources[i].value.kind != SET_INT:
                set_to_table(rules, &result, sources[i].count)
                break
    return result


cdef void add_all(SetRules* rules, SetValue* result, SetValue* source) noexcept nogil:
    cdef SetCursor walk
    cdef SetMember m
    set_walk(source, &walk)
    while set_next(&walk, &m):
        set_add_member(rules, result, &m)


cdef void remove_all(SetRules* rules, SetValue* result, SetValue* source) noexcept nogil:
    cdef SetCursor walk
    cdef SetMember m
    set_walk(source, &walk)
    while set_next(&walk, &m):
        set_remove_member(rules, result, &m)


cdef SetValue unite(SetRules* rules, Source* sources, int count, bint stored) noexcept nogil:
    cdef SetValue result = collector(rules, sources, count, stored)
    cdef int i
    for i in range(count):
        if sources[i].count:
            add_all(rules, &result, &sources[i].value)
    return result


cdef bint asks_each_member(Source* sources, int count) noexcept nogil:
    """Whether looking up the first set's members is less work than removing all others' members."""
    cdef size_t looking = 0, removing = 0
    cdef int i
    for i in range(count):
        if sources[i].count:
            looking += sources[0].count
            removing += sources[i].count
    return looking // 2 <= removing


cdef void keep_others_lack(SetRules* rules, SetValue* result, Source* sources, int count) noexcept nogil:
    """The first set's members that none of the others has; large sets are asked first."""
    cdef SetCursor walk
    cdef SetMember m
    cdef int i
    qsort(sources + 1, count - 1, sizeof(Source), by_count_falling)
    set_walk(&sources[0].value, &walk)
    while set_next(&walk, &m):
        for i in range(1, count):
            if sources[i].count and set_contains_member(&sources[i].value, &m):
                break
        else:
            set_add_member(rules, result, &m)


cdef SetValue subtract(SetRules* rules, Source* sources, int count, bint stored) noexcept nogil:
    cdef SetValue result = collector(rules, sources, count, stored)
    cdef int i
    if sources[0].count == 0:
        return result
    for i in range(1, count):
        if sources[i].value.ptr == sources[0].value.ptr:
            return result
    if asks_each_member(sources, count):
        keep_others_lack(rules, &result, sources, count)
        return result
    add_all(rules, &result, &sources[0].value)
    for i in range(1, count):
        if sources[i].count:
            remove_all(rules, &result, &sources[i].value)
        if set_count(&result) == 0:
            break
    return result


cdef int finish_reply(Session s, SetRules* rules, SetValue* result) except -1:
    cdef SetCursor walk
    cdef SetMember m
    reply_set(s, set_count(result))
    set_walk(result, &walk)
    while set_next(&walk, &m):
        reply_bulk(s, m.text.ptr, m.text.len)
    set_free(rules, result)
    return 0


cdef int finish_store(Session s, Slice key, SetRules* rules, SetValue* result, const char* event) except -1:
    cdef size_t count = set_count(result)
    if count:
        store_key(s, key, result.kind, result.ptr)
        changed(s, key, NOTIFY_SET, event, 1)
    else:
        set_free(rules, result)
        delete_destination(s, key)
    reply_int(s, count)
    return 0


cdef int combine(
        Session s, Slice* keys, int count, bint difference, Slice* target, const char* event) except -1:
    cdef SetRules rules = set_rules(s.engine)
    cdef Source* sources = read_sources(s, keys, count)
    cdef SetValue result
    if sources == NULL:
        return 0
    if difference:
        result = subtract(&rules, sources, count, target != NULL)
    else:
        result = unite(&rules, sources, count, target != NULL)
    free(sources)
    if target != NULL:
        return finish_store(s, target[0], &rules, &result, event)
    return finish_reply(s, &rules, &result)


cdef int sunion(Session s, Call* c) except -1:
    return combine(s, c.argv + 1, c.argc - 1, False, NULL, NULL)


cdef int sdiff(Session s, Call* c) except -1:
    return combine(s, c.argv + 1, c.argc - 1, True, NULL, NULL)


cdef int sunionstore(Session s, Call* c) except -1:
    return combine(s, c.argv + 2, c.argc - 2, False, &c.argv[1], b"sunionstore")


cdef int sdiffstore(Session s, Call* c) except -1:
    return combine(s, c.argv + 2, c.argc - 2, True, &c.argv[1], b"sdiffstore")


cpdef int register(Engine e) except -1:
    """The index of the family."""
    reads = (KeySpec("RO access", last=-1),)
    stores = (KeySpec("OW update"), KeySpec("RO access", begin=2, last=-1))
    worst = "O(N*M) where N is the size of the smallest set and M the number of sets"
    total = "O(N) where N is the number of members of all sets"
    unordered = ("nondeterministic_output_order",)
    command(e, sinter, Spec(
        "sinter", -2, "readonly", (1, -1, 1), "set", "1.0.0", "Return the members that all sets share.",
        worst,
        key_specs=reads, tips=unordered))
    command(e, sintercard, Spec(
        "sintercard", -3, "readonly movablekeys", (0, 0, 0), "set", "7.0.0",
        "Return how many members all sets share.", worst, key_specs=(KeySpec("RO access", keynum=0),)))
    command(e, sinterstore, Spec(
        "sinterstore", -3, "write denyoom", (1, -1, 1), "set", "1.0.0",
        "Store the members that all sets share in a key.", worst, key_specs=stores))
    command(e, sunion, Spec(
        "sunion", -2, "readonly", (1, -1, 1), "set", "1.0.0", "Return the members of any of the sets.", total,
        key_specs=reads, tips=unordered))
    command(e, sunionstore, Spec(
        "sunionstore", -3, "write denyoom", (1, -1, 1), "set", "1.0.0",
        "Store the members of any of the sets in a key.", total, key_specs=stores))
    command(e, sdiff, Spec(
        "sdiff", -2, "readonly", (1, -1, 1), "set", "1.0.0",
        "Return the members of the first set that no other set has.", total, key_specs=reads, tips=unordered))
    command(e, sdiffstore, Spec(
        "sdiffstore", -3, "write denyoom", (1, -1, 1), "set", "1.0.0",
        "Store the members of the first set that no other set has in a key.", total, key_specs=stores))
    return 0
