# A record: a key and what it holds.
#
# The header, the key and, for short strings, the value are one allocation. Nothing here
# knows where records stand: that is `keyspace`, which alone may change one.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap, heap_free
from holdfast.engine.table cimport HashKey

# What a record holds, in the low four bits of `state`.
cdef enum Kind:
    STR_INT = 0         # value.number
    STR_INLINE = 1      # value.inlined bytes follow the key
    STR_BUFFER = 2      # value.ptr: Text*
    LIST_PACK = 3       # value.ptr: Listpack
    LIST_QUICK = 4      # value.ptr: Quicklist*
    SET_INT = 5         # value.ptr: Intset
    SET_PACK = 6        # value.ptr: Listpack
    SET_TABLE = 7       # value.ptr: Table* of SetEntry
    ZSET_PACK = 8       # value.ptr: Listpack (member, score, member, score ...)
    ZSET_TREE = 9       # value.ptr: SortedSet*
    HASH_PACK = 10      # value.ptr: Listpack (field, value, field, value ...)
    HASH_TABLE = 11     # value.ptr: Table* of HashEntry

# Redis's type numbers (OBJ_STRING ...), for error checks and TYPE.
cdef enum Type:
    TYPE_STRING = 0
    TYPE_LIST = 1
    TYPE_SET = 2
    TYPE_ZSET = 3
    TYPE_HASH = 4

cdef enum:
    KIND_MASK = 0x0F
    FLAG_EXPIRES = 0x10     # an Expiry stands before the record
    FLAG_WALKED = 0x20      # equals Keyspace.walk_mark: the running snapshot has it
    FLAG_RAW = 0x40         # a string that was edited in place (OBJECT ENCODING says raw)
    RECORD_KEY = 16         # offset of the key's bytes
    INLINE_LIMIT = 4096     # longer strings live in a Text of their own

cdef struct Inlined:
    uint32_t len
    uint32_t unused

cdef union Value:
    int64_t number
    void* ptr
    Inlined inlined

cdef struct Record:
    uint32_t klen
    uint8_t state       # kind | flags
    uint8_t lru_high    # 24 bits: LRU clock in seconds, or LFU minutes (16) and counter (8)
    uint16_t lru_low
    Value value

cdef struct Expiry:     # stands before a record that expires
    int64_t at_ms
    uint32_t index      # of the record in Database.volatile_keys
    uint32_t unused

cdef struct Text:       # a string with room to grow; its bytes follow the header
    size_t len


cdef inline int kind_of(Record* r) noexcept nogil:
    return r.state & KIND_MASK


cdef inline char* record_key(Record* r) noexcept nogil:
    return <char*>r + RECORD_KEY


cdef inline Slice record_key_slice(Record* r) noexcept nogil:
    cdef Slice s
    s.ptr = <char*>r + RECORD_KEY
    s.len = r.klen
    return s


cdef inline Expiry* record_expiry(Record* r) noexcept nogil:
    return <Expiry*>(<char*>r - sizeof(Expiry))


cdef inline int64_t expires_at(Record* r) noexcept nogil:
    """Milliseconds since 1970, or -1 when the key does not expire."""
    return record_expiry(r).at_ms if r.state & FLAG_EXPIRES else -1


cdef inline char* text_bytes(Text* t) noexcept nogil:
    return <char*>t + sizeof(Text)


cdef inline uint32_t record_lru(Record* r) noexcept nogil:
    return (<uint32_t>r.lru_high << 16) | r.lru_low


cdef inline void record_set_lru(Record* r, uint32_t lru) noexcept nogil:
    r.lru_high = <uint8_t>(lru >> 16)
    r.lru_low = <uint16_t>lru


# The value changed its form (listpack to table ...): set kind and pointer, the old pointer is the caller's.
cdef inline void record_set_value(Record* r, int kind, void* ptr) noexcept nogil:
    r.state = <uint8_t>((r.state & ~KIND_MASK) | kind)
    r.value.ptr = ptr


# Where the record's block begins.
cdef inline char* record_base(Record* r) noexcept nogil:
    return <char*>r - sizeof(Expiry) if r.state & FLAG_EXPIRES else <char*>r


cdef int type_of(Record* r) noexcept nogil
cdef const char* type_name(Record* r) noexcept nogil
cdef const char* encoding_name(Record* r) noexcept nogil
# The bytes of a string: borrowed, or formatted into scratch (24 bytes).
cdef Slice record_string(Record* r, char* scratch) noexcept nogil
# Bytes of the record with its value; samples 0: all of it, else an estimate.
cdef size_t record_bytes(Record* r, size_t samples) noexcept nogil

# ---- values ----
cdef void* copy_value(Heap* h, int kind, void* ptr, HashKey* seed) noexcept nogil
cdef void free_value(Heap* h, int kind, void* ptr) noexcept nogil


cdef inline void free_record_value(Heap* h, Record* r) noexcept nogil:
    if kind_of(r) >= STR_BUFFER:
        free_value(h, kind_of(r), r.value.ptr)


cdef inline void free_record(Heap* h, Record* r) noexcept nogil:
    """Free a record that no table has any more, at once."""
    free_record_value(h, r)
    heap_free(h, record_base(r))
