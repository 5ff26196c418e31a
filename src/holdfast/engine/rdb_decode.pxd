# Values in RDB form, read into their final shape; any bytes may come in.
#
# A Decoder reads from a window of bytes. `decode_value` says DECODED, or
# NEEDS_MORE (call again with a window that goes on from `at`), or FAULTY.
# Large values are taken element by element, so the window need not hold more
# than one string.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from holdfast.engine.buf cimport Buf, Slice
from holdfast.engine.heap cimport Heap
from holdfast.engine.keyspace cimport Database, Keyspace, Record
from holdfast.engine.ordered cimport Member
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport HashKey

cdef enum Decoded:
    FAULTY = -1             # `fault` says why
    NEEDS_MORE = 0
    DECODED = 1

cdef struct Decoder:
    const uint8_t* at       # the window
    const uint8_t* end
    Heap* heap
    HashKey* seed
    const char* fault
    bint empty              # FAULTY only because the value has no element
    # the value: STR_INT: number, STR_INLINE: text (borrowed), else kind and value (to be taken over)
    int kind
    void* value
    int64_t number
    Slice text
    # under way
    bint begun
    int type
    uint64_t total, left
    Member** members
    size_t member_count, member_cap
    Buf scratch[2]
    # thresholds of the compact forms
    int64_t hash_entries, hash_value, set_ints, set_entries, set_value, zset_entries, zset_value
    int list_fill, list_compress

cdef void decoder_init(Decoder* d, Engine e) noexcept
# Free what is under way or was not taken over, and the scratch.
cdef void decoder_clear(Decoder* d) noexcept nogil
# Each leaves `at` where it was unless it says DECODED. `special` NULL: a special form is a fault.
cdef int read_length(Decoder* d, uint64_t* out, int* special) noexcept nogil
# A string of any form; borrowed from the window, `digits` (24 bytes) or scratch `which`.
cdef int read_string(Decoder* d, Slice* out, char* digits, int which) noexcept nogil
cdef int read_fixed64(Decoder* d, uint64_t* out) noexcept nogil
cdef int decode_value(Decoder* d, int type) noexcept nogil
# Free a decoded value that nobody wants.
cdef void drop_decoded(Decoder* d) noexcept nogil
# Put the decoded value under a key (replacing what is there).
cdef Record* store_decoded(Decoder* d, Keyspace* ks, Database* db, Slice key, int64_t at_ms) noexcept
# What a type byte that is no value of ours stands for.
cdef const char* foreign_type(int type) noexcept nogil
