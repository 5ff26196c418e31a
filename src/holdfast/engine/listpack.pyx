"""The listpack: a compact sequence of strings and integers in one allocation.

What this is: the byte layout of Redis 7's listpack, edited in place. Small
hashes, lists, sets, sorted sets and stream nodes live in it, and RDB files hold
the very bytes.

What this is not: indexed. Seeking and finding walk; whoever holds more than
some hundred elements wants a quicklist or a table.

How to read it: a listpack is u32 total bytes, u16 count (65535: not known),
elements, 0xFF. An element is a head (its first byte tells the kind), for
strings the text, and a back-length: the bytes of head and text, so that it can
be walked from its end.

    0xxxxxxx                    integer 0..127
    10xxxxxx text               string of up to 63 bytes
    110xxxxx x8                 signed integer of 13 bits
    1110xxxx x8 text            string of up to 4095 bytes
    11110000 u32 text           longer string
    11110001 .. 11110100        signed integer of 16, 24, 32, 64 bits, little endian

The kinds come first below, then walking, reading, editing, checking.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcmp, memcpy, memmove

from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap, heap_alloc, heap_copy, heap_free, heap_realloc, hf_usable
from holdfast.engine.numbers cimport format_int64, parse_int64

cdef enum:
    HEADER_BYTES = 6
    COUNT_UNKNOWN = 65535
    END_MARK = 0xFF
    STRING_6 = 0x80
    INT_13 = 0xC0
    STRING_12 = 0xE0
    STRING_32 = 0xF0
    INT_16 = 0xF1
    INT_24 = 0xF2
    INT_32 = 0xF3
    INT_64 = 0xF4
    GROWTH_FROM_BYTES = 256     # above, room for 1/16 more is taken: appending stays linear

# An element about to be written: its head, its text if it is a string.
cdef struct Entry:
    uint8_t head[9]
    size_t head_bytes
    const char* text
    size_t text_bytes
    size_t bytes            # all of it, back-length included


# ---- the layout

cdef inline uint32_t get_u32(const uint8_t* p) noexcept nogil:
    return p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24


cdef inline void set_u32(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t>value
    p[1] = <uint8_t>(value >> 8)
    p[2] = <uint8_t>(value >> 16)
    p[3] = <uint8_t>(value >> 24)


cdef inline uint32_t get_count(const uint8_t* lp) noexcept nogil:
    return lp[4] | <uint32_t>lp[5] << 8


cdef inline void set_count(uint8_t* lp, uint32_t count) noexcept nogil:
    if count > COUNT_UNKNOWN:
        count = COUNT_UNKNOWN
    lp[4] = <uint8_t>count
    lp[5] = <uint8_t>(count >> 8)


cdef inline size_t back_bytes(size_t n) noexcept nogil:
    """Bytes of the back-length `n`. Redis's limits: the 14, 21 and 28 bit ones stop one short."""
    if n <= 127:
        return 1
    if n < 16383:
        return 2
    if n < 2097151:
        return 3
    if n < 268435455:
        return 4
    return 5


cdef inline uint8_t* write_back(uint8_t* p, size_t n) noexcept nogil:
    """Seven bits a byte, the high ones first; all but the first byte are marked."""
    cdef size_t more = back_bytes(n) - 1
    p[0] = <uint8_t>(n >> (7 * more))
    p += 1
    while more:
        more -= 1
        p[0] = <uint8_t>((n >> (7 * more)) & 127 | 128)
        p += 1
    return p


cdef inline size_t body_bytes(const uint8_t* at) noexcept nogil:
    """Bytes of head and text."""
    cdef uint8_t kind = at[0]
    if kind < STRING_6:
        return 1
    if kind < INT_13:
        return 1 + (kind & 63)
    if kind < STRING_12:
        return 2
    if kind < STRING_32:
        return 2 + ((<size_t>(kind & 15) << 8) | at[1])
    if kind == STRING_32:
        return 5 + <size_t>get_u32(at + 1)
    if kind == INT_64:
        return 9
    return kind - INT_16 + 3


cdef inline uint8_t* skip(uint8_t* at) noexcept nogil:
    cdef size_t n = body_bytes(at)
    return at + n + back_bytes(n)


cdef inline void entry_of_int(Entry* e, int64_t value) noexcept nogil:
    cdef uint64_t bits = <uint64_t>value
    cdef size_t width, i
    e.text = NULL
    e.text_bytes = 0
    if 0 <= value <= 127:
        e.head[0] = <uint8_t>value
        e.head_bytes = 1
    elif -4096 <= value <= 4095:
        e.head[0] = <uint8_t>(INT_13 | (bits >> 8) & 31)
        e.head[1] = <uint8_t>bits
        e.head_bytes = 2
    else:
        if -32768 <= value <= 32767:
            e.head[0] = INT_16
            width = 2
        elif -8388608 <= value <= 8388607:
            e.head[0] = INT_24
            width = 3
        elif -2147483648LL <= value <= 2147483647LL:
            e.head[0] = INT_32
            width = 4
        else:
            e.head[0] = INT_64
            width = 8
        for i in range(width):
            e.head[1 + i] = <uint8_t>(bits >> (8 * i))
        e.head_bytes = 1 + width
    e.bytes = e.head_bytes + 1


cdef inline void entry_of_text(Entry* e, const char* p, size_t n) noexcept nogil:
    cdef int64_t value
    if n <= 20 and parse_int64(p, n, &value):
        entry_of_int(e, value)
        return
    if n < 64:
        e.head[0] = <uint8_t>(STRING_6 | n)
        e.head_bytes = 1
    elif n < 4096:
        e.head[0] = <uint8_t>(STRING_12 | n >> 8)
        e.head[1] = <uint8_t>n
        e.head_bytes = 2
    else:
        e.head[0] = STRING_32
        set_u32(&e.head[1], <uint32_t>n)
        e.head_bytes = 5
    e.text = p
    e.text_bytes = n
    e.bytes = e.head_bytes + n + back_bytes(e.head_bytes + n)


cdef size_t lp_entry_bytes(const char* p, size_t n) noexcept nogil:
    cdef Entry e
    entry_of_text(&e, p, n)
    return e.bytes


# ---- whole listpacks

cdef Listpack lp_new(Heap* h, size_t room) noexcept nogil:
    cdef Listpack lp
    if room < HEADER_BYTES + 1:
        room = HEADER_BYTES + 1
    lp = <Listpack>heap_alloc(h, room)
    set_u32(lp, HEADER_BYTES + 1)
    set_count(lp, 0)
    lp[HEADER_BYTES] = END_MARK
    return lp


cdef void lp_free(Heap* h, Listpack lp) noexcept nogil:
    heap_free(h, lp)


cdef Listpack lp_copy(Heap* h, Listpack lp) noexcept nogil:
    return <Listpack>heap_copy(h, lp, get_u32(lp))


cdef Listpack lp_fit(Heap* h, Listpack lp) noexcept nogil:
    cdef size_t n = get_u32(lp)
    if hf_usable(lp) >= n + 16:
        lp = <Listpack>heap_realloc(h, lp, n)
    return lp


cdef uint32_t lp_bytes(Listpack lp) noexcept nogil:
    return get_u32(lp)


cdef bint lp_fits(Listpack lp, size_t n) noexcept nogil:
    return n <= LP_BYTES_MAX - 16 and get_u32(lp) + n + 10 <= LP_BYTES_MAX


cdef uint32_t lp_count(Listpack lp) noexcept nogil:
    cdef uint32_t count = get_count(lp)
    cdef uint8_t* at
    if count != COUNT_UNKNOWN:
        return count
    count = 0
    at = lp + HEADER_BYTES
    while at[0] != END_MARK:
        count += 1
        at = skip(at)
    if count < COUNT_UNKNOWN:
        set_count(lp, count)
    return count


# ---- walking

cdef uint8_t* lp_first(Listpack lp) noexcept nogil:
    return lp + HEADER_BYTES if lp[HEADER_BYTES] != END_MARK else NULL


cdef uint8_t* lp_last(Listpack lp) noexcept nogil:
    return lp_prev(lp, lp + get_u32(lp) - 1)


cdef uint8_t* lp_next(Listpack lp, uint8_t* at) noexcept nogil:
    at = skip(at)
    return at if at[0] != END_MARK else NULL


cdef uint8_t* lp_prev(Listpack lp, uint8_t* at) noexcept nogil:
    cdef size_t body = 0
    cdef unsigned shift = 0
    if at == lp + HEADER_BYTES:
        return NULL
    at -= 1
    while at[0] & 128:
        body |= <size_t>(at[0] & 127) << shift
        shift += 7
        at -= 1
    body |= <size_t>at[0] << shift
    return at - body


cdef uint8_t* lp_seek(Listpack lp, long index) noexcept nogil:
    cdef long count = get_count(lp)
    cdef bint backwards = index < 0
    cdef uint8_t* at
    if count != COUNT_UNKNOWN:
        if index < 0:
            index += count
        if index < 0 or index >= count:
            return NULL
        backwards = index > count // 2
        if backwards:
            index -= count
    if not backwards:
        at = lp_first(lp)
        while index > 0 and at != NULL:
            at = lp_next(lp, at)
            index -= 1
    else:
        at = lp_last(lp)
        while index < -1 and at != NULL:
            at = lp_prev(lp, at)
            index += 1
    return at


# ---- reading

cdef inline int64_t int_at(const uint8_t* at) noexcept nogil:
    """The value of an element that is an integer."""
    cdef uint8_t kind = at[0]
    cdef uint64_t bits = 0
    cdef unsigned width, i
    if kind < STRING_6:
        return kind
    if kind < STRING_12:
        return <int64_t>(<uint64_t>(kind & 31) << 59 | <uint64_t>at[1] << 51) >> 51
    width = 8 if kind == INT_64 else kind - INT_16 + 2
    for i in range(width):
        bits |= <uint64_t>at[1 + i] << (8 * i)
    return <int64_t>(bits << (64 - 8 * width)) >> (64 - 8 * width)


cdef void lp_get(uint8_t* at, LpValue* out) noexcept nogil:
    cdef uint8_t kind = at[0]
    out.number = 0
    if kind >= STRING_6 and kind < INT_13:
        out.text.ptr = <const char*>at + 1
        out.text.len = kind & 63
    elif kind >= STRING_12 and kind < STRING_32:
        out.text.ptr = <const char*>at + 2
        out.text.len = (<size_t>(kind & 15) << 8) | at[1]
    elif kind == STRING_32:
        out.text.ptr = <const char*>at + 5
        out.text.len = get_u32(at + 1)
    else:
        out.text.ptr = NULL
        out.text.len = 0
        out.number = int_at(at)


cdef Slice lp_text(uint8_t* at, char* scratch) noexcept nogil:
    cdef LpValue value
    lp_get(at, &value)
    if value.text.ptr == NULL:
        value.text.ptr = scratch
        value.text.len = format_int64(scratch, value.number)
    return value.text


cdef inline bint matches(
    uint8_t* at, const char* p, size_t n, bint is_number, int64_t number
) noexcept nogil:
    cdef LpValue value
    lp_get(at, &value)
    if value.text.ptr == NULL:
        return is_number and value.number == number
    return value.text.len == n and memcmp(value.text.ptr, p, n) == 0


cdef bint lp_equal(uint8_t* at, const char* p, size_t n) noexcept nogil:
    cdef LpValue value
    cdef int64_t number
    lp_get(at, &value)
    if value.text.ptr == NULL:
        return parse_int64(p, n, &number) and value.number == number
    return value.text.len == n and memcmp(value.text.ptr, p, n) == 0


cdef uint8_t* lp_find(Listpack lp, uint8_t* start, const char* p, size_t n, int skip_after) noexcept nogil:
    cdef uint8_t* at = start
    cdef uint8_t kind
    cdef size_t length
    cdef int64_t number = 0
    cdef bint is_number
    cdef int left
    if at == NULL:
        return NULL
    is_number = n <= 20 and parse_int64(p, n, &number)
    while True:
        kind = at[0]
        # The two commonest kinds are short and have a back-length of one byte.
        if kind < STRING_6:
            if is_number and number == kind:
                return at
            at += 2
        elif kind < INT_13:
            length = kind & 63
            if length == n and memcmp(at + 1, p, n) == 0:
                return at
            at += 2 + length
        elif kind == END_MARK:
            return NULL
        else:
            if matches(at, p, n, is_number, number):
                return at
            at = skip(at)
        left = skip_after
        while left > 0:
            if at[0] == END_MARK:
                return NULL
            at = skip(at)
            left -= 1


# ---- editing

cdef Listpack resize_hole(Heap* h, Listpack lp, size_t offset, size_t before, size_t after) noexcept nogil:
    """Turn the `before` bytes at `offset` into `after` ones, whose content is then open."""
    cdef size_t total = get_u32(lp)
    cdef size_t wanted = total - before + after
    cdef size_t usable
    if wanted > LP_BYTES_MAX and after > before:
        abort()
    if after > before and hf_usable(lp) < wanted:
        lp = <Listpack>heap_realloc(h, lp, wanted + (wanted >> 4 if wanted > GROWTH_FROM_BYTES else 0))
    memmove(lp + offset + after, lp + offset + before, total - offset - before)
    set_u32(lp, <uint32_t>wanted)
    if after < before:
        usable = hf_usable(lp)
        if usable - wanted > 32 and usable - wanted > wanted >> 3:
            lp = <Listpack>heap_realloc(h, lp, wanted)
    return lp


cdef Listpack put(Heap* h, Listpack lp, size_t offset, size_t before, Entry* e) noexcept nogil:
    """Write an element over the `before` bytes at `offset`."""
    cdef uint8_t* at
    cdef char* own = NULL
    cdef bint borrowed = e.text_bytes and <uint8_t*>e.text >= lp and <uint8_t*>e.text < lp + get_u32(lp)
    if borrowed:
        own = <char*>malloc(e.text_bytes)
        if own == NULL:
            abort()
        memcpy(own, e.text, e.text_bytes)
        e.text = own
    lp = resize_hole(h, lp, offset, before, e.bytes)
    at = lp + offset
    memcpy(at, e.head, e.head_bytes)
    at += e.head_bytes
    if e.text_bytes:
        memcpy(at, e.text, e.text_bytes)
    write_back(at + e.text_bytes, e.head_bytes + e.text_bytes)
    if borrowed:
        free(own)
    return lp


cdef inline Listpack put_new(Heap* h, Listpack lp, size_t offset, Entry* e) noexcept nogil:
    lp = put(h, lp, offset, 0, e)
    if get_count(lp) != COUNT_UNKNOWN:
        set_count(lp, get_count(lp) + 1)
    return lp


cdef inline Listpack put_over(Heap* h, Listpack lp, uint8_t* at, Entry* e, uint8_t** moved) noexcept nogil:
    cdef size_t offset = at - lp
    lp = put(h, lp, offset, skip(at) - at, e)
    if moved != NULL:
        moved[0] = lp + offset
    return lp


cdef Listpack lp_append(Heap* h, Listpack lp, const char* p, size_t n) noexcept nogil:
    cdef Entry e
    entry_of_text(&e, p, n)
    return put_new(h, lp, get_u32(lp) - 1, &e)


cdef Listpack lp_append_int(Heap* h, Listpack lp, int64_t value) noexcept nogil:
    cdef Entry e
    entry_of_int(&e, value)
    return put_new(h, lp, get_u32(lp) - 1, &e)


cdef Listpack lp_prepend(Heap* h, Listpack lp, const char* p, size_t n) noexcept nogil:
    cdef Entry e
    entry_of_text(&e, p, n)
    return put_new(h, lp, HEADER_BYTES, &e)


cdef Listpack lp_insert(
    Heap* h, Listpack lp, uint8_t* at, const char* p, size_t n, uint8_t** moved
) noexcept nogil:
    cdef Entry e
    cdef size_t offset = at - lp if at != NULL else get_u32(lp) - 1
    entry_of_text(&e, p, n)
    lp = put_new(h, lp, offset, &e)
    if moved != NULL:
        moved[0] = lp + offset
    return lp


cdef Listpack lp_replace(
    Heap* h, Listpack lp, uint8_t* at, const char* p, size_t n, uint8_t** moved
) noexcept nogil:
    cdef Entry e
    entry_of_text(&e, p, n)
    return put_over(h, lp, at, &e, moved)


cdef Listpack lp_replace_int(
    Heap* h, Listpack lp, uint8_t* at, int64_t value, uint8_t** moved
) noexcept nogil:
    cdef Entry e
    entry_of_int(&e, value)
    return put_over(h, lp, at, &e, moved)


cdef Listpack lp_delete(
    Heap* h, Listpack lp, uint8_t* at, uint32_t count, uint8_t** following
) noexcept nogil:
    cdef size_t offset = at - lp
    cdef uint8_t* end = at
    cdef uint32_t deleted = 0
    while deleted < count and end[0] != END_MARK:
        end = skip(end)
        deleted += 1
    if get_count(lp) != COUNT_UNKNOWN:
        set_count(lp, get_count(lp) - deleted)
    lp = resize_hole(h, lp, offset, end - at, 0)
    if following != NULL:
        following[0] = lp + offset if lp[offset] != END_MARK else NULL
    return lp


# ---- checking

cdef bint lp_valid(const uint8_t* p, size_t n) noexcept nogil:
    cdef size_t at = HEADER_BYTES
    cdef size_t last, head, body
    cdef uint32_t count = 0
    cdef uint8_t kind
    cdef uint8_t back[5]
    if n < HEADER_BYTES + 1 or get_u32(p) != n or p[n - 1] != END_MARK:
        return False
    last = n - 1
    while at < last:
        kind = p[at]
        if kind < STRING_12:    # a small number or a short string: its back-length is one byte
            body = 1 if kind < STRING_6 else 1 + (kind & 63) if kind < INT_13 else 2
            if body >= last - at or p[at + body] != body:
                return False
            at += body + 1
            count += 1
            continue
        if kind > INT_64:
            return False
        head = 5 if kind == STRING_32 else 2 if kind < STRING_32 else 1
        if head > last - at:
            return False
        body = body_bytes(p + at)
        if body + back_bytes(body) > last - at:
            return False
        write_back(back, body)
        if memcmp(p + at + body, back, back_bytes(body)) != 0:
            return False
        at += body + back_bytes(body)
        count += 1
    return get_count(p) == COUNT_UNKNOWN or get_count(p) == count
