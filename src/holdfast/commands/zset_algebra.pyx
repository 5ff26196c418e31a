"""Union, intersection and difference of sorted sets, with their STORE forms.

What this is: ZUNION, ZINTER, ZDIFF and kin (https://redis.io/commands/zunion/).
Sets take part as sorted sets whose scores are all 1. The index is `register` at
the end.

How to read it: `parse` makes a `Request` of arguments and sources; one function
an operation fills the table of an unordered `SortedSet` with members and scores;
`ordered_members` sorts them; then they are told or stored.
"""

from libc.math cimport isnan
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdlib cimport abort, free, malloc, qsort
from libc.string cimport memset
from holdfast.commands.members cimport (
    arg_within, delete_destination, reply_member, reply_members_head, store_key, zset_rules)
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.blocking cimport signal_ready
from holdfast.engine.buf cimport Slice
from holdfast.engine.events cimport NOTIFY_ZSET, changed
from holdfast.engine.full_forms cimport SortedSet, free_sorted_set, new_member, new_sorted_set
from holdfast.engine.heap cimport heap_free
from holdfast.engine.keyspace cimport ks_read
from holdfast.engine.numbers cimport parse_double
from holdfast.engine.ordered cimport Member, member_key, ordered_append, ordered_compare
from holdfast.engine.record cimport TYPE_SET, TYPE_ZSET, ZSET_TREE, Record, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_error, reply_error_bytes, reply_int, reply_syntax_error, reply_wrong_type)
from holdfast.engine.sets cimport (
    SetCursor, SetMember, SetValue, set_contains, set_count, set_next, set_of, set_walk)
from holdfast.engine.sorted_sets cimport (
    ZsetCursor, ZsetMember, ZsetRules, ZsetValue, zset_append, zset_count, zset_new, zset_next, zset_of,
    zset_score,
    zset_walk)
from holdfast.engine.state cimport Call, Engine, Session
from holdfast.engine.table cimport (
    TableCursor, table_add, table_count, table_expand, table_find, table_hash, table_pop, table_walk,
    table_walk_next)

from holdfast.commands.spec import KeySpec, Spec

cdef enum Operation:
    UNION
    INTER
    DIFF

cdef enum Aggregate:
    SUM
    MIN
    MAX

cdef enum Purpose:
    TELL
    STORE
    COUNT

cdef struct Source:
    void* subject               # the value's pointer, NULL: the key is missing
    bint is_set
    SetValue set_value
    ZsetValue zset_value
    size_t count
    double weight
    int place                   # among the arguments: equal counts keep their order

cdef struct Walk:
    bint is_set
    SetCursor set_walk
    ZsetCursor zset_walk

cdef struct Request:
    int operation
    int purpose
    Source* sources
    int count
    int aggregate
    bint with_scores
    int64_t limit               # COUNT: stop there; 0: count all


# ---- sources ----

cdef bint read_source(Session s, Slice key, Source* source) noexcept:
    cdef Record* r = ks_read(&s.engine.ks, s.db, key)
    if r == NULL:
        return True
    source.subject = r.value.ptr
    if type_of(r) == TYPE_SET:
        source.is_set = True
        source.set_value = set_of(r)
        source.count = set_count(&source.set_value)
    elif type_of(r) == TYPE_ZSET:
        source.zset_value = zset_of(r)
        source.count = zset_count(&source.zset_value)
    else:
        reply_wrong_type(s)
        return False
    return True


cdef void walk_source(Source* source, Walk* walk) noexcept nogil:
    walk.is_set = source.is_set
    if source.is_set:
        set_walk(&source.set_value, &walk.set_walk)
    else:
        zset_walk(&source.zset_value, 0, False, True, &walk.zset_walk)


cdef bint walk_next(Walk* walk, ZsetMember* m) noexcept nogil:
    cdef SetMember plain
    if not walk.is_set:
        return zset_next(&walk.zset_walk, m)
    if not set_next(&walk.set_walk, &plain):
        return False
    m.text = plain.text
    m.score = 1
    return True


cdef bint source_score(Source* source, ZsetMember* m, double* score) noexcept nogil:
    if source.count == 0:
        return False
    if not source.is_set:
        return zset_score(&source.zset_value, m.text.ptr, m.text.len, score)
    score[0] = 1
    return set_contains(&source.set_value, m.text.ptr, m.text.len)


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


# ---- arguments ----

cdef bint parse_options(Session s, Call* c, int first, Request* q) noexcept:
    cdef int i = first
    cdef int j
    cdef bint aggregates = q.operation != DIFF and q.purpose != COUNT
    while i < c.argc:
        if aggregates and arg_is(c.argv[i], b"weights") and c.argc - i > q.count:
            for j in range(q.count):
                if not parse_double(c.argv[i + 1 + j].ptr, c.argv[i + 1 + j].len, &q.sources[j].weight):
                    reply_error(s, b"ERR weight value is not a float")
                    return False
            i += q.count
        elif aggregates and arg_is(c.argv[i], b"aggregate") and i + 1 < c.argc:
            i += 1
            if arg_is(c.argv[i], b"sum"):
                q.aggregate = SUM
            elif arg_is(c.argv[i], b"min"):
                q.aggregate = MIN
            elif arg_is(c.argv[i], b"max"):
                q.aggregate = MAX
            else:
                reply_syntax_error(s)
                return False
        elif q.purpose == TELL and arg_is(c.argv[i], b"withscores"):
            q.with_scores = True
        elif q.purpose == COUNT and arg_is(c.argv[i], b"limit") and i + 1 < c.argc:
            i += 1
            if not arg_within(s, c.argv[i], 0, INT64_MAX, b"ERR LIMIT can't be negative", &q.limit):
                return False
        else:
            reply_syntax_error(s)
            return False
        i += 1
    return True


cdef bint parse(Session s, Call* c, int number_at, Request* q) noexcept:
    """Read the number of keys, the keys and the options; False: answered. The sources are to be freed."""
    cdef int64_t number
    cdef int i
    if not arg_int(s, c.argv[number_at], &number):
        return False
    if number < 1:
        reply_error_bytes(s, b"ERR at least 1 input key is needed for '%s' command" % <bytes>c.command.name)
        return False
    if number > c.argc - number_at - 1:
        reply_syntax_error(s)
        return False
    q.count = <int>number
    q.sources = <Source*>malloc(q.count * sizeof(Source))
    if q.sources == NULL:
        abort()
    memset(q.sources, 0, q.count * sizeof(Source))
    for i in range(q.count):
        q.sources[i].weight = 1
        q.sources[i].place = i
        if not read_source(s, c.argv[number_at + 1 + i], &q.sources[i]):
            return False
    return parse_options(s, c, number_at + 1 + q.count, q)


# ---- operations ----

cdef inline double weighted(double score, double weight) noexcept nogil:
    score *= weight
    return 0 if isnan(score) else score


cdef inline double merge(double a, double b, int aggregate) noexcept nogil:
    """Two scores of one member; inf and -inf add up to 0."""
    if aggregate == MIN:
        return b if b < a else a
    if aggregate == MAX:
        return b if b > a else a
    a += b
    return 0 if isnan(a) else a


cdef void put(ZsetRules* rules, SortedSet* out, ZsetMember* m, double score, uint64_t hashed) noexcept nogil:
    table_add(rules.heap, &out.table, new_member(rules.heap, m.text.ptr, m.text.len, score), hashed)


cdef void put_new(ZsetRules* rules, SortedSet* out, ZsetMember* m, double score) noexcept nogil:
    put(rules, out, m, score, table_hash(&out.table, m.text.ptr, m.text.len))


cdef void unite(ZsetRules* rules, Request* q, SortedSet* out) noexcept nogil:
    cdef Walk walk
    cdef ZsetMember m
    cdef Member* there
    cdef void** slot
    cdef uint64_t hashed
    cdef double score
    cdef int i
    qsort(q.sources, q.count, sizeof(Source), by_count)
    table_expand(rules.heap, &out.table, q.sources[q.count - 1].count)
    for i in range(q.count):
        if q.sources[i].count == 0:
            continue
        walk_source(&q.sources[i], &walk)
        while walk_next(&walk, &m):
            score = weighted(m.score, q.sources[i].weight)
            hashed = table_hash(&out.table, m.text.ptr, m.text.len)
            slot = table_find(&out.table, m.text.ptr, m.text.len, hashed)
            if slot == NULL:
                put(rules, out, &m, score, hashed)
            else:
                there = <Member*>slot[0]
                there.score = merge(there.score, score, q.aggregate)


cdef int64_t intersect(ZsetRules* rules, Request* q, SortedSet* out) noexcept nogil:
    """How many members all sources share; they go to `out` unless it is NULL."""
    cdef Walk walk
    cdef ZsetMember m
    cdef double score, other
    cdef int64_t found = 0
    cdef int i
    qsort(q.sources, q.count, sizeof(Source), by_count)
    if q.sources[0].count == 0:
        return 0
    walk_source(&q.sources[0], &walk)
    while walk_next(&walk, &m):
        score = weighted(m.score, q.sources[0].weight)
        for i in range(1, q.count):
            if q.sources[i].subject == q.sources[0].subject:
                other = m.score
            elif not source_score(&q.sources[i], &m, &other):
                break
            score = merge(score, other * q.sources[i].weight, q.aggregate)
        else:
            found += 1
            if out != NULL:
                put_new(rules, out, &m, score)
            elif found == q.limit:
                break
    return found


cdef bint asks_each_member(Source* sources, int count) noexcept nogil:
    """Whether looking up the first one's members is less work than removing all others' members."""
    cdef size_t looking = 0, removing = 0
    cdef int i
    for i in range(count):
        looking += sources[0].count if sources[i].count else 0
        removing += sources[i].count
    return looking // 2 <= removing


cdef void subtract(ZsetRules* rules, Request* q, SortedSet* out) noexcept nogil:
    cdef Source* sources = q.sources
    cdef Walk walk
    cdef ZsetMember m
    cdef double ignored
    cdef uint64_t hashed
    cdef bint asks = asks_each_member(sources, q.count)
    cdef int i
    if sources[0].count == 0:
        return
    for i in range(1, q.count):
        if sources[i].subject == sources[0].subject:
            return
    if asks:
        qsort(sources + 1, q.count - 1, sizeof(Source), by_count_falling)
    walk_source(&sources[0], &walk)
    while walk_next(&walk, &m):
        if asks:
            for i in range(1, q.count):
                if source_score(&sources[i], &m, &ignored):
                    break
            else:
                put_new(rules, out, &m, m.score)
        else:
            put_new(rules, out, &m, m.score)
    for i in range(1, 1 if asks else q.count):
        if sources[i].count == 0:
            continue
        walk_source(&sources[i], &walk)
        while walk_next(&walk, &m):
            hashed = table_hash(&out.table, m.text.ptr, m.text.len)
            heap_free(rules.heap, table_pop(rules.heap, &out.table, m.text.ptr, m.text.len, hashed))


# ---- results ----

cdef int by_score(const void* a, const void* b) noexcept nogil:
    cdef Member* x = (<Member**>a)[0]
    cdef Member* y = (<Member**>b)[0]
    return ordered_compare(x.score, member_key(x), x.klen, y.score, member_key(y), y.klen)


cdef Member** ordered_members(SortedSet* z, size_t* longest) noexcept nogil:
    """The members in order, in a block to be freed."""
    cdef size_t count = table_count(&z.table)
    cdef Member** members = <Member**>malloc((count + 1) * sizeof(Member*))
    cdef TableCursor walk
    cdef size_t i
    if members == NULL:
        abort()
    longest[0] = 0
    table_walk(&z.table, &walk)
    for i in range(count):
        members[i] = <Member*>table_walk_next(&walk)
        if members[i].klen > longest[0]:
            longest[0] = members[i].klen
    qsort(members, count, sizeof(Member*), by_score)
    return members


cdef void tell(Session s, Request* q, SortedSet* out) noexcept:
    cdef size_t count = table_count(&out.table)
    cdef size_t longest, i
    cdef Member** members = ordered_members(out, &longest)
    reply_members_head(s, count, q.with_scores)
    for i in range(count):
        reply_member(s, member_key(members[i]), members[i].klen, members[i].score, q.with_scores)
    free(members)
    free_sorted_set(&s.engine.ks.heap, out)


cdef ZsetValue settle(ZsetRules* rules, SortedSet* out) noexcept nogil:
    """Make a value of the unordered result, a listpack if it is small."""
    cdef size_t count = table_count(&out.table)
    cdef size_t longest, i
    cdef Member** members = ordered_members(out, &longest)
    cdef ZsetValue v
    if <int64_t>count <= rules.listpack_entries and <int64_t>longest <= rules.listpack_value:
        v = zset_new(rules, count, longest)
        for i in range(count):
            zset_append(rules, &v, member_key(members[i]), members[i].klen, members[i].score)
        free_sorted_set(rules.heap, out)
    else:
        for i in range(count):
            ordered_append(rules.heap, out.order, members[i])
        v.kind = ZSET_TREE
        v.ptr = out
    free(members)
    return v


cdef int store(Session s, Slice key, ZsetRules* rules, SortedSet* out, const char* event) except -1:
    cdef size_t count = table_count(&out.table)
    cdef ZsetValue v
    if count:
        v = settle(rules, out)
        store_key(s, key, v.kind, v.ptr)
        changed(s, key, NOTIFY_ZSET, event, 1)
        signal_ready(s.engine, s.db, key)
    else:
        free_sorted_set(rules.heap, out)
        delete_destination(s, key)
    reply_int(s, count)
    return 0


cdef int combine(Session s, Call* c, int operation, int purpose, const char* event) except -1:
    cdef ZsetRules rules = zset_rules(s.engine)
    cdef Request q
    cdef SortedSet* out
    memset(&q, 0, sizeof(Request))
    q.operation = operation
    q.purpose = purpose
    if not parse(s, c, 2 if purpose == STORE else 1, &q):
        free(q.sources)
        return 0
    if purpose == COUNT:
        reply_int(s, intersect(&rules, &q, NULL))
        free(q.sources)
        return 0
    out = new_sorted_set(rules.heap, rules.seed)
    if operation == UNION:
        unite(&rules, &q, out)
    elif operation == INTER:
        intersect(&rules, &q, out)
    else:
        subtract(&rules, &q, out)
    free(q.sources)
    if purpose == STORE:
        return store(s, c.argv[1], &rules, out, event)
    tell(s, &q, out)
    return 0


cdef int zunion(Session s, Call* c) except -1:
    return combine(s, c, UNION, TELL, NULL)


cdef int zinter(Session s, Call* c) except -1:
    return combine(s, c, INTER, TELL, NULL)


cdef int zdiff(Session s, Call* c) except -1:
    return combine(s, c, DIFF, TELL, NULL)


cdef int zintercard(Session s, Call* c) except -1:
    return combine(s, c, INTER, COUNT, NULL)


cdef int zunionstore(Session s, Call* c) except -1:
    return combine(s, c, UNION, STORE, b"zunionstore")


cdef int zinterstore(Session s, Call* c) except -1:
    return combine(s, c, INTER, STORE, b"zinterstore")


cdef int zdiffstore(Session s, Call* c) except -1:
    return combine(s, c, DIFF, STORE, b"zdiffstore")


cdef object told(str name, str since, str summary, str complexity):
    return Spec(
        name, -3, "readonly movablekeys", (0, 0, 0), "sorted_set", since, summary, complexity,
        key_specs=(KeySpec("RO access", keynum=0),))


cdef object stored(str name, str since, str summary, str complexity):
    return Spec(
        name, -4, "write denyoom movablekeys", (1, 1, 1), "sorted_set", since, summary, complexity,
        key_specs=(KeySpec("OW update"), KeySpec("RO access", begin=2, keynum=0)))


cpdef int register(Engine e) except -1:
    """The index of the family."""
    sums = "O(N)+O(M*log(M)) where N is the number of all members and M of those in the result"
    meets = "O(N*K)+O(M*log(M)), N being the size of the smallest of K sorted sets, M of the result"
    lacks = "O(L+(N-K)*log(N)), L being the number of all members, N of the first set's, K of the result's"
    command(e, zunion, told("zunion", "6.2.0", "Return the members of any of the sorted sets.", sums))
    command(e, zinter, told("zinter", "6.2.0", "Return the members that all sorted sets share.", meets))
    command(e, zdiff, told(
        "zdiff", "6.2.0", "Return the members of the first sorted set that no other has.", lacks))
    command(e, zintercard, told(
        "zintercard", "7.0.0", "Return how many members all sorted sets share.",
        "O(N*K), N being the size of the smallest of K sorted sets"))
    command(e, zunionstore, stored(
        "zunionstore", "2.0.0", "Store the members of any of the sorted sets in a key.", sums))
    command(e, zinterstore, stored(
        "zinterstore", "2.0.0", "Store the members that all sorted sets share in a key.", meets))
    command(e, zdiffstore, stored(
        "zdiffstore", "6.2.0", "Store the members of the first sorted set that no other has in a key.",
        lacks))
    return 0
