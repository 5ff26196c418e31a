"""Sets as values: an intset, a listpack or a table, and how one becomes the next.

What this is: the set without its key, for commands, for loaders and for whoever
collects members. What this is not: commands, replies, or anything that knows a
session.

How to read it: making and converting, asking, editing, walking. Forms change as
in Redis 7.2: integers only live in an intset, few and short members in a
listpack, all else in a table; a set never goes back to a smaller form by itself.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from holdfast.engine.full_forms cimport SET_KEY, new_set_entry, new_table
from holdfast.engine.heap cimport heap_free
from holdfast.engine.intset cimport (
    Intset, intset_add, intset_at, intset_contains, intset_count, intset_free, intset_new, intset_remove)
from holdfast.engine.listpack cimport (
    Listpack, LpValue, lp_append, lp_append_int, lp_count, lp_delete, lp_find, lp_first, lp_fit, lp_fits,
    lp_get,
    lp_new, lp_next, lp_seek)
from holdfast.engine.numbers cimport format_int64, parse_int64
from holdfast.engine.record cimport SET_INT, SET_PACK, SET_TABLE, free_value
from holdfast.engine.table cimport (
    Table, random_u64, table_add, table_count, table_expand, table_find, table_hash, table_pop, table_random,
    table_shrink, table_walk, table_walk_next)

cdef enum:
    INTSET_ENTRIES_MAX = 1 << 30
    INT64_TEXT_MAX = 20


# ---- making and converting ----

cdef SetValue set_new(SetRules* rules, const char* first, size_t n, size_t entries) noexcept nogil:
    cdef SetValue v
    cdef int64_t number
    if <int64_t>entries <= rules.intset_entries and n <= INT64_TEXT_MAX and parse_int64(first, n, &number):
        return set_new_result(rules)
    if <int64_t>entries <= rules.listpack_entries:
        v.kind = SET_PACK
        v.ptr = lp_new(rules.heap, 0)
        return v
    v.kind = SET_TABLE
    v.ptr = new_table(rules.heap, SET_KEY, rules.seed)
    table_expand(rules.heap, <Table*>v.ptr, entries)
    return v


cdef SetValue set_new_result(SetRules* rules) noexcept nogil:
    cdef SetValue v
    v.kind = SET_INT
    v.ptr = intset_new(rules.heap)
    return v


cdef void set_free(SetRules* rules, SetValue* v) noexcept nogil:
    free_value(rules.heap, v.kind, v.ptr)
    v.ptr = NULL


cdef void set_prepare(SetRules* rules, SetValue* v, size_t entries) noexcept nogil:
    if v.kind == SET_PACK and <int64_t>entries > rules.listpack_entries:
        set_to_table(rules, v, entries)
    elif v.kind == SET_INT and <int64_t>entries > rules.intset_entries:
        set_to_table(rules, v, entries)


cdef inline void add_entry(SetRules* rules, Table* t, const char* p, size_t n) noexcept nogil:
    """Add a member that is not there."""
    table_add(rules.heap, t, new_set_entry(rules.heap, p, n), table_hash(t, p, n))


cdef void set_to_table(SetRules* rules, SetValue* v, size_t entries) noexcept nogil:
    cdef Table* t
    cdef SetCursor c
    cdef SetMember m
    cdef size_t count = set_count(v)
    if v.kind == SET_TABLE:
        return
    t = new_table(rules.heap, SET_KEY, rules.seed)
    table_expand(rules.heap, t, entries if entries > count else count)
    set_walk(v, &c)
    while set_next(&c, &m):
        add_entry(rules, t, m.text.ptr, m.text.len)
    free_value(rules.heap, v.kind, v.ptr)
    v.kind = SET_TABLE
    v.ptr = t


cdef void intset_to_pack(SetRules* rules, SetValue* v) noexcept nogil:
    cdef Intset s = <Intset>v.ptr
    cdef uint32_t i
    cdef Listpack lp = lp_new(rules.heap, 7 + 4 * (<size_t>intset_count(s) + 1))
    for i in range(intset_count(s)):
        lp = lp_append_int(rules.heap, lp, intset_at(s, i))
    intset_free(rules.heap, s)
    v.kind = SET_PACK
    v.ptr = lp


# ---- asking ----

cdef size_t set_count(SetValue* v) noexcept nogil:
    if v.kind == SET_TABLE:
        return table_count(<Table*>v.ptr)
    if v.kind == SET_PACK:
        return lp_count(<Listpack>v.ptr)
    return intset_count(<Intset>v.ptr)


cdef bint set_contains(SetValue* v, const char* p, size_t n) noexcept nogil:
    cdef int64_t number
    if v.kind == SET_TABLE:
        return table_find(<Table*>v.ptr, p, n, table_hash(<Table*>v.ptr, p, n)) != NULL
    if v.kind == SET_PACK:
        return lp_find(<Listpack>v.ptr, lp_first(<Listpack>v.ptr), p, n, 0) != NULL
    return n <= INT64_TEXT_MAX and parse_int64(p, n, &number) and intset_contains(<Intset>v.ptr, number)


cdef bint set_contains_member(SetValue* v, SetMember* m) noexcept nogil:
    if v.kind == SET_INT and m.is_number:
        return intset_contains(<Intset>v.ptr, m.number)
    return set_contains(v, m.text.ptr, m.text.len)


# ---- editing ----

cdef bint add_number(SetRules* rules, SetValue* v, int64_t number) noexcept nogil:
    """Add to an intset; it becomes a table when it has too many members."""
    cdef bint added
    cdef size_t count
    v.ptr = intset_add(rules.heap, <Intset>v.ptr, number, &added)
    if added:
        count = intset_count(<Intset>v.ptr)
        if <int64_t>count > rules.intset_entries or count > INTSET_ENTRIES_MAX:
            set_to_table(rules, v, count)
    return added


cdef size_t digits_of(int64_t number) noexcept nogil:
    cdef char text[24]
    return format_int64(text, number)


cdef inline bint member_suits_pack(SetRules* rules, size_t count, size_t n) noexcept nogil:
    """Whether a member of `n` bytes may join `count` others in a listpack."""
    return <int64_t>count < rules.listpack_entries and <int64_t>n <= rules.listpack_value


cdef bint numbers_suit_pack(SetRules* rules, Intset s) noexcept nogil:
    """Whether all members of an intset are short enough for a listpack."""
    cdef uint32_t count = intset_count(s)
    if count == 0 or rules.listpack_value >= INT64_TEXT_MAX:
        return True
    return (
        <int64_t>digits_of(intset_at(s, 0)) <= rules.listpack_value
        and <int64_t>digits_of(intset_at(s, count - 1)) <= rules.listpack_value)


cdef bint set_add(SetRules* rules, SetValue* v, const char* p, size_t n) noexcept nogil:
    cdef Table* t
    cdef uint64_t hashed
    cdef int64_t number
    cdef size_t count
    if v.kind == SET_TABLE:
        t = <Table*>v.ptr
        hashed = table_hash(t, p, n)
        if table_find(t, p, n, hashed) != NULL:
            return False
        table_add(rules.heap, t, new_set_entry(rules.heap, p, n), hashed)
        return True
    if v.kind == SET_INT:
        if n <= INT64_TEXT_MAX and parse_int64(p, n, &number):
            return add_number(rules, v, number)
        count = intset_count(<Intset>v.ptr)
        if member_suits_pack(rules, count, n) and numbers_suit_pack(rules, <Intset>v.ptr):
            intset_to_pack(rules, v)
            v.ptr = lp_fit(rules.heap, lp_append(rules.heap, <Listpack>v.ptr, p, n))
            return True
    else:
        if lp_find(<Listpack>v.ptr, lp_first(<Listpack>v.ptr), p, n, 0) != NULL:
            return False
        count = lp_count(<Listpack>v.ptr)
        if member_suits_pack(rules, count, n) and lp_fits(<Listpack>v.ptr, n):
            v.ptr = lp_append(rules.heap, <Listpack>v.ptr, p, n)
            return True
    set_to_table(rules, v, count + 1)
    add_entry(rules, <Table*>v.ptr, p, n)
    return True


cdef bint set_add_member(SetRules* rules, SetValue* v, SetMember* m) noexcept nogil:
    if v.kind == SET_INT and m.is_number:
        return add_number(rules, v, m.number)
    return set_add(rules, v, m.text.ptr, m.text.len)


cdef bint set_remove(SetRules* rules, SetValue* v, const char* p, size_t n) noexcept nogil:
    cdef Table* t
    cdef void* entry
    cdef uint8_t* at
    cdef int64_t number
    cdef bint removed = False
    if v.kind == SET_TABLE:
        t = <Table*>v.ptr
        entry = table_pop(rules.heap, t, p, n, table_hash(t, p, n))
        if entry == NULL:
            return False
        heap_free(rules.heap, entry)
        table_shrink(rules.heap, t)
        return True
    if v.kind == SET_PACK:
        at = lp_find(<Listpack>v.ptr, lp_first(<Listpack>v.ptr), p, n, 0)
        if at == NULL:
            return False
        v.ptr = lp_delete(rules.heap, <Listpack>v.ptr, at, 1, NULL)
        return True
    if n <= INT64_TEXT_MAX and parse_int64(p, n, &number):
        v.ptr = intset_remove(rules.heap, <Intset>v.ptr, number, &removed)
    return removed


cdef bint set_remove_member(SetRules* rules, SetValue* v, SetMember* m) noexcept nogil:
    cdef bint removed
    if v.kind == SET_INT and m.is_number:
        v.ptr = intset_remove(rules.heap, <Intset>v.ptr, m.number, &removed)
        return removed
    return set_remove(rules, v, m.text.ptr, m.text.len)


# ---- walking ----

cdef inline void member_of_number(SetMember* m, int64_t number, char* digits) noexcept nogil:
    m.is_number = True
    m.number = number
    m.text.ptr = digits
    m.text.len = format_int64(digits, number)


cdef inline void member_of_element(SetMember* m, uint8_t* at, char* digits) noexcept nogil:
    cdef LpValue value
    lp_get(at, &value)
    if value.text.ptr == NULL:
        member_of_number(m, value.number, digits)
    else:
        m.is_number = False
        m.text = value.text


cdef inline void member_of_entry(SetMember* m, void* entry) noexcept nogil:
    m.is_number = False
    m.text.ptr = <const char*>entry + SET_KEY
    m.text.len = (<uint32_t*>entry)[0]


cdef void set_walk(SetValue* v, SetCursor* c) noexcept nogil:
    c.value = v[0]
    c.index = 0
    c.at = NULL
    if v.kind == SET_TABLE:
        table_walk(<Table*>v.ptr, &c.table)
    elif v.kind == SET_PACK:
        c.at = lp_first(<Listpack>v.ptr)


cdef bint set_next(SetCursor* c, SetMember* m) noexcept nogil:
    cdef void* entry
    if c.value.kind == SET_TABLE:
        entry = table_walk_next(&c.table)
        if entry == NULL:
            return False
        member_of_entry(m, entry)
        return True
    if c.value.kind == SET_PACK:
        if c.at == NULL:
            return False
        member_of_element(m, c.at, c.digits)
        c.at = lp_next(<Listpack>c.value.ptr, c.at)
        return True
    if c.index >= intset_count(<Intset>c.value.ptr):
        return False
    member_of_number(m, intset_at(<Intset>c.value.ptr, c.index), c.digits)
    c.index += 1
    return True


cdef void set_random(SetValue* v, uint64_t* rng, SetMember* m, char* digits) noexcept nogil:
    cdef uint64_t draw
    if v.kind == SET_TABLE:
        member_of_entry(m, table_random(<Table*>v.ptr, rng))
        return
    draw = random_u64(rng) % set_count(v)
    if v.kind == SET_PACK:
        member_of_element(m, lp_seek(<Listpack>v.ptr, <long>draw), digits)
    else:
        member_of_number(m, intset_at(<Intset>v.ptr, <uint32_t>draw), digits)
