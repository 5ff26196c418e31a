# The hash as a value: one listpack of field, value, field, value ... while it is
# small, a table beyond.
#
# A HashValue is what a record of a hash points to: take it with hash_value, and
# after every edit give it back with hash_keep. A value under construction
# (loading) begins with hash_new and goes to ks_set_value.

from libc.stdint cimport int64_t, uint8_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap
from holdfast.engine.record cimport Record, kind_of, record_set_value
from holdfast.engine.table cimport HashKey, TableCursor

cdef struct HashValue:
    int kind                # HASH_PACK or HASH_TABLE
    void* ptr               # Listpack, or Table* of HashEntry

cdef struct HashCursor:     # a walk over all fields; the hash must not change
    HashValue* hash
    uint8_t* at             # the next field in a listpack
    TableCursor entries
    char scratch[48]        # of the field and of the value, where they are numbers


cdef inline HashValue hash_value(Record* r) noexcept nogil:
    cdef HashValue v
    v.kind = kind_of(r)
    v.ptr = r.value.ptr
    return v


cdef inline void hash_keep(Record* r, HashValue* v) noexcept nogil:
    record_set_value(r, v.kind, v.ptr)


# An empty hash; `room` is a hint: bytes of the texts to come.
cdef HashValue hash_new(Heap* h, size_t room) noexcept nogil
cdef size_t hash_count(HashValue* v) noexcept nogil
# Make it a table, with room for so many fields.
cdef void hash_to_table(Heap* h, HashValue* v, HashKey* seed, size_t fields) noexcept nogil
# Make it a table if these texts (field, value, field, value ...) do not go into a listpack: too
# many (hash-max-listpack-entries) or too long (-value). To be called before they are set.
cdef void hash_expect(
    Heap* h, HashValue* v, HashKey* seed, Slice* texts, int count, int64_t max_entries, int64_t max_text
) noexcept nogil
# The value of a field: borrowed, or formatted into scratch (24 bytes). False: there is none.
cdef bint hash_get(HashValue* v, Slice field, Slice* out, char* scratch) noexcept nogil
# Set a field; the hash becomes a table when it has more than max_entries then. True: the field is new.
cdef bint hash_set(
    Heap* h, HashValue* v, HashKey* seed, Slice field, Slice value, int64_t max_entries
) noexcept nogil
# False: there was no such field.
cdef bint hash_delete(Heap* h, HashValue* v, Slice field) noexcept nogil

# All fields, in no order. Texts are borrowed, or in the cursor's scratch until the next step.
cdef void hash_walk(HashValue* v, HashCursor* c) noexcept nogil
cdef bint hash_walk_next(HashCursor* c, Slice* field, Slice* value) noexcept nogil
