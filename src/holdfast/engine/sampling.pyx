"""Distinct random entries of a table, for SRANDMEMBER, HRANDFIELD and ZRANDMEMBER.

What this is: two ways to draw without repetition. Many of them: walk all and
take each with the probability that is due (Knuth, TAOCP 2, algorithm S). Few of
many: draw at random and remember by address what was drawn.

What this is not: an order. Who needs the entries in random order shuffles them.
"""

from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport abort, calloc, free
from holdfast.engine.table cimport (
    Table, TableCursor, random_u64, table_count, table_random, table_walk, table_walk_next)

cdef enum:
    FEW = 3         # one of three or more is wanted: walking all is cheaper than drawing again


cdef bint take_next(size_t wanted, size_t left, uint64_t* rng) noexcept nogil:
    return random_u64(rng) % left < wanted


cdef void draw_by_walk(Table* t, void** out, size_t count, uint64_t* rng) noexcept nogil:
    cdef TableCursor c
    cdef size_t left = table_count(t)
    cdef void* entry
    table_walk(t, &c)
    while count:
        entry = table_walk_next(&c)
        if take_next(count, left, rng):
            out[0] = entry
            out += 1
            count -= 1
        left -= 1


cdef bint remember(void** seen, size_t mask, void* entry) noexcept nogil:
    """Note the address; False: it was noted before."""
    cdef size_t place = (<uintptr_t>entry >> 4) * <size_t>0x9E3779B97F4A7C15 >> 16 & mask
    while seen[place] != NULL:
        if seen[place] == entry:
            return False
        place = (place + 1) & mask
    seen[place] = entry
    return True


cdef void table_draw(Table* t, void** out, size_t count, uint64_t* rng) noexcept nogil:
    cdef size_t room = 16
    cdef size_t drawn = 0
    cdef void** seen
    cdef void* entry
    if count >= table_count(t) // FEW:
        draw_by_walk(t, out, count, rng)
        return
    while room < 2 * count:
        room *= 2
    seen = <void**>calloc(room, sizeof(void*))
    if seen == NULL:
        abort()
    while drawn < count:
        entry = table_random(t, rng)
        if remember(seen, room - 1, entry):
            out[drawn] = entry
            drawn += 1
    free(seen)
