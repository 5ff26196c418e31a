"""The intset: a small set of integers, sorted, in one allocation.

What this is: the byte layout of Redis's intset, edited in place; RDB files
hold the very bytes.

What this is not: a set of any size. Adding moves what is greater, so it serves
up to some hundred members (set-max-intset-entries).

How to read it: u32 width of a member in bytes (2, 4 or 8), u32 count, members
in rising order, all little endian as are the machines that we run on. The first
member that does not fit widens all; removing never narrows.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memmove

from holdfast.engine.heap cimport Heap, heap_alloc, heap_copy, heap_free, heap_realloc, hf_usable

cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "intsets are read as they lie in memory: little endian machines only"
    #endif
    """

cdef enum:
    HEADER_BYTES = 8
    GROWTH_FROM_BYTES = 256     # above, room for 1/16 more is taken: rising members are added in linear time

cdef struct Header:
    uint32_t width
    uint32_t count

ctypedef fused Member:
    int16_t
    int32_t
    int64_t


cdef inline uint32_t width_of(int64_t value) noexcept nogil:
    if -32768 <= value <= 32767:
        return 2
    if -2147483648LL <= value <= 2147483647LL:
        return 4
    return 8


cdef inline int64_t member_at(const uint8_t* s, uint32_t width, size_t index) noexcept nogil:
    """By copy, not by cast: bytes under check may lie anywhere."""
    cdef int16_t narrow
    cdef int32_t middle
    cdef int64_t wide
    s += HEADER_BYTES + index * width
    if width == 2:
        memcpy(&narrow, s, 2)
        return narrow
    if width == 4:
        memcpy(&middle, s, 4)
        return middle
    memcpy(&wide, s, 8)
    return wide


cdef inline void set_member(uint8_t* s, uint32_t width, size_t index, int64_t value) noexcept nogil:
    """The low bytes of a little endian integer are its narrower self."""
    memcpy(s + HEADER_BYTES + index * width, &value, width)


cdef inline uint32_t lower_bound(const Member* members, uint32_t count, int64_t value) noexcept nogil:
    """How many members are less than `value`."""
    cdef const Member* base = members
    cdef uint32_t half
    if count == 0:
        return 0
    while count > 1:
        half = count >> 1
        base = base + half if base[half - 1] < value else base
        count -= half
    return <uint32_t>(base - members) + (base[0] < value)


cdef inline bint find(Intset s, int64_t value, uint32_t* place) noexcept nogil:
    """Whether `value`, which fits the width, is a member, and its place, or the one where it would be."""
    cdef Header* header = <Header*>s
    cdef uint8_t* members = s + HEADER_BYTES
    if header.count and value > member_at(s, header.width, header.count - 1):
        place[0] = header.count
        return False
    if header.width == 2:
        place[0] = lower_bound(<const int16_t*>members, header.count, value)
    elif header.width == 4:
        place[0] = lower_bound(<const int32_t*>members, header.count, value)
    else:
        place[0] = lower_bound(<const int64_t*>members, header.count, value)
    return place[0] < header.count and member_at(s, header.width, place[0]) == value


cdef inline Intset make_room(Heap* h, Intset s, size_t wanted) noexcept nogil:
    if hf_usable(s) >= wanted:
        return s
    return <Intset>heap_realloc(h, s, wanted + (wanted >> 4 if wanted > GROWTH_FROM_BYTES else 0))


cdef Intset intset_new(Heap* h) noexcept nogil:
    cdef Intset s = <Intset>heap_alloc(h, HEADER_BYTES)
    (<Header*>s).width = 2
    (<Header*>s).count = 0
    return s


cdef void intset_free(Heap* h, Intset s) noexcept nogil:
    heap_free(h, s)


cdef Intset intset_copy(Heap* h, Intset s) noexcept nogil:
    return <Intset>heap_copy(h, s, intset_bytes(s))


cdef uint32_t intset_count(Intset s) noexcept nogil:
    return (<Header*>s).count


cdef size_t intset_bytes(Intset s) noexcept nogil:
    return HEADER_BYTES + <size_t>(<Header*>s).count * (<Header*>s).width


cdef bint intset_contains(Intset s, int64_t value) noexcept nogil:
    cdef uint32_t place
    return width_of(value) <= (<Header*>s).width and find(s, value, &place)


cdef int64_t intset_at(Intset s, uint32_t index) noexcept nogil:
    return member_at(s, (<Header*>s).width, index)


cdef Intset add_wider(Heap* h, Intset s, int64_t value, uint32_t width) noexcept nogil:
    """Widen all members for one that did not fit: it is beyond one of the ends."""
    cdef uint32_t before = (<Header*>s).width
    cdef uint32_t count = (<Header*>s).count
    cdef uint32_t first = 1 if value < 0 else 0
    cdef uint32_t left = count
    s = make_room(h, s, HEADER_BYTES + (<size_t>count + 1) * width)
    while left:             # from the last: no member is overwritten before it is read
        left -= 1
        set_member(s, width, left + first, member_at(s, before, left))
    set_member(s, width, 0 if first else count, value)
    (<Header*>s).width = width
    (<Header*>s).count = count + 1
    return s


cdef Intset intset_add(Heap* h, Intset s, int64_t value, bint* changed) noexcept nogil:
    cdef uint32_t width = (<Header*>s).width
    cdef uint32_t count = (<Header*>s).count
    cdef uint32_t place
    cdef uint8_t* at
    changed[0] = True
    if width_of(value) > width:
        return add_wider(h, s, value, width_of(value))
    if find(s, value, &place):
        changed[0] = False
        return s
    s = make_room(h, s, HEADER_BYTES + (<size_t>count + 1) * width)
    at = s + HEADER_BYTES + <size_t>place * width
    memmove(at + width, at, <size_t>(count - place) * width)
    set_member(s, width, place, value)
    (<Header*>s).count = count + 1
    return s


cdef Intset intset_remove(Heap* h, Intset s, int64_t value, bint* changed) noexcept nogil:
    cdef uint32_t width = (<Header*>s).width
    cdef uint32_t count = (<Header*>s).count
    cdef uint32_t place
    cdef uint8_t* at
    cdef size_t wanted, spare
    changed[0] = False
    if width_of(value) > width or not find(s, value, &place):
        return s
    changed[0] = True
    at = s + HEADER_BYTES + <size_t>place * width
    memmove(at, at + width, <size_t>(count - place - 1) * width)
    (<Header*>s).count = count - 1
    wanted = intset_bytes(s)
    spare = hf_usable(s) - wanted
    if spare > 32 and spare > wanted >> 3:
        s = <Intset>heap_realloc(h, s, wanted)
    return s


cdef bint intset_valid(const uint8_t* p, size_t n) noexcept nogil:
    cdef Header header
    cdef size_t index
    if n < HEADER_BYTES:
        return False
    memcpy(&header, p, HEADER_BYTES)
    if header.width != 2 and header.width != 4 and header.width != 8:
        return False
    if header.count == 0 or HEADER_BYTES + <size_t>header.count * header.width != n:
        return False
    for index in range(1, header.count):
        if member_at(p, header.width, index) <= member_at(p, header.width, index - 1):
            return False
    return True
