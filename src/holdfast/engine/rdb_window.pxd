# A window of bytes in RDB form, and the value that is being read from it.
#
# A function says DECODED, or NEEDS_MORE (call again with a window that goes on
# from `at`), or FAULTY. Each leaves `at` where it was unless it says DECODED.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from holdfast.engine.buf cimport Buf, Slice
from holdfast.engine.heap cimport Heap
from holdfast.engine.ordered cimport Member
from holdfast.engine.table cimport HashKey

cdef enum:
    ELEMENT_BYTES_MOST = 0x7FFFFFFF     # of a member of a table

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

cdef inline int faulty(Decoder* d, const char* why) noexcept nogil:
    d.fault = why
    return FAULTY

cdef inline int read_fixed64(Decoder* d, uint64_t* out) noexcept nogil:
    cdef int i
    cdef uint64_t n = 0
    if d.end - d.at < 8:
        return NEEDS_MORE
    for i in range(8):
        n |= <uint64_t>d.at[i] << (8 * i)
    out[0] = n
    d.at += 8
    return DECODED

# A string of any form; borrowed from the window, `digits` (24 bytes) or scratch `which`.
cdef inline int read_string(Decoder* d, Slice* out, char* digits, int which) noexcept nogil:
    cdef ptrdiff_t n = d.at[0] if d.at < d.end else 0x40
    if n < 0x40 and n < d.end - d.at:       # short and plain, as most are
        out.ptr = <const char*>d.at + 1
        out.len = n
        d.at += n + 1
        return DECODED
    return read_any_string(d, out, digits, which)

cdef int read_any_string(Decoder* d, Slice* out, char* digits, int which) noexcept nogil
# `special` NULL: a special form is a fault.
cdef int read_length(Decoder* d, uint64_t* out, int* special) noexcept nogil
# A string as a heap block of its own (a listpack or intset in the making).
cdef int read_blob(Decoder* d, uint8_t** out, size_t* out_bytes) noexcept nogil
# A string as a value: kind, and number or text.
cdef int decode_string(Decoder* d) noexcept nogil
