# Sets as values: an intset, a listpack or a table, and how one becomes the next.
#
# A SetValue is what a record of type set holds; every function that may change
# its form takes it by pointer, and the caller puts it back (record_set_value).

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap
from holdfast.engine.record cimport Record, kind_of
from holdfast.engine.table cimport HashKey, TableCursor

cdef struct SetValue:
    int kind                # SET_INT, SET_PACK or SET_TABLE
    void* ptr

cdef struct SetRules:       # where sets live, and when they change their form (the configuration)
    Heap* heap
    HashKey* seed
    int64_t intset_entries
    int64_t listpack_entries
    int64_t listpack_value  # bytes of a member

cdef struct SetMember:
    Slice text              # always given
    bint is_number          # `number` is given too
    int64_t number

cdef struct SetCursor:      # a walk; the set must not change
    SetValue value
    uint32_t index
    uint8_t* at
    TableCursor table
    char digits[24]         # text of the present member, if it is a number

cdef inline SetValue set_of(Record* r) noexcept nogil:
    cdef SetValue v
    v.kind = kind_of(r)
    v.ptr = r.value.ptr
    return v

# An empty set that suits `entries` members of which the first is this one.
cdef SetValue set_new(SetRules* rules, const char* first, size_t n, size_t entries) noexcept nogil
# An empty intset: the form to collect a result in.
cdef SetValue set_new_result(SetRules* rules) noexcept nogil
cdef void set_free(SetRules* rules, SetValue* v) noexcept nogil
# Take the table form at once if this many members are about to be added.
cdef void set_prepare(SetRules* rules, SetValue* v, size_t entries) noexcept nogil
cdef void set_to_table(SetRules* rules, SetValue* v, size_t entries) noexcept nogil
cdef size_t set_count(SetValue* v) noexcept nogil
cdef bint set_contains(SetValue* v, const char* p, size_t n) noexcept nogil
cdef bint set_contains_member(SetValue* v, SetMember* m) noexcept nogil
# True: it was not there (it was there).
cdef bint set_add(SetRules* rules, SetValue* v, const char* p, size_t n) noexcept nogil
cdef bint set_add_member(SetRules* rules, SetValue* v, SetMember* m) noexcept nogil
cdef bint set_remove(SetRules* rules, SetValue* v, const char* p, size_t n) noexcept nogil
cdef bint set_remove_member(SetRules* rules, SetValue* v, SetMember* m) noexcept nogil
cdef void set_walk(SetValue* v, SetCursor* c) noexcept nogil
cdef bint set_next(SetCursor* c, SetMember* m) noexcept nogil
# A random member of a set that is not empty; `digits` has room for 24 bytes.
cdef void set_random(SetValue* v, uint64_t* rng, SetMember* m, char* digits) noexcept nogil
