"""Slots: the requests that wait for a reply, and the rings they stand in.

A slot is one C struct a request. It stands in two orders at once: in the ring of
the connection to its backend, which answers first in, first out, and in the list
of its client, which wants its replies in the order of its requests. Who frees it:
the later of the two. A client that goes sets `client` to NULL in its slots; the
replies are then dropped where they come in.

What this is not: the rules of either order (`link`, `client`).
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport abort, calloc, free, malloc
from libc.string cimport memset
from cpython.ref cimport Py_DECREF
from holdfast.engine.buf cimport Buf, buf_free

cdef enum:
    FIRST_PLACES = 16
    SPARE_MOST = 4096
    KEEP_BYTES = 1024           # a buffer of no more than these stays with a spare slot


# Slots and splits that were given back, for the next requests: a request takes one and gives one, so
# the allocator's own cache (seven of a size) runs over at once. Of the process; they hold no state.
cdef Slot* spare = NULL
cdef int spare_count = 0
cdef Split* spare_splits = NULL
cdef int spare_split_count = 0


cdef Slot* new_slot(void* client, uint8_t kind) noexcept nogil:
    global spare, spare_count
    cdef Slot* slot = spare
    cdef Buf reply, request
    if slot != NULL:
        spare = slot.next
        spare_count -= 1
        reply = slot.reply
        request = slot.request
        memset(slot, 0, sizeof(Slot))
        slot.reply = reply
        slot.request = request
    else:
        slot = <Slot*>calloc(1, sizeof(Slot))
        if slot == NULL:
            abort()
    slot.client = client
    slot.kind = kind
    return slot


cdef void free_slot(Slot* slot) noexcept:
    global spare, spare_count
    empty(&slot.reply)
    empty(&slot.request)
    if slot.excuse.ptr != NULL:
        buf_free(&slot.excuse)
    if slot.split != NULL:
        free_split(slot.split)
    if slot.ask != NULL:
        Py_DECREF(<object>slot.ask)
    if spare_count < SPARE_MOST:
        slot.next = spare
        spare = slot
        spare_count += 1
    else:
        buf_free(&slot.reply)
        buf_free(&slot.request)
        free(slot)


cdef inline void empty(Buf* held) noexcept:
    held.len = 0
    if held.cap > KEEP_BYTES:
        buf_free(held)


cdef Split* new_split(int join, int part_count, int key_count) noexcept nogil:
    global spare_splits, spare_split_count
    cdef Split* split = spare_splits
    if split != NULL:
        spare_splits = split.next
        spare_split_count -= 1
    else:
        split = <Split*>malloc(sizeof(Split))
        if split == NULL:
            abort()
    split.join = join
    split.part_count = part_count
    split.parts_left = part_count
    split.key_count = key_count
    split.number = 0
    split.shard_count = 0
    split.parts = split.parts_at_hand
    split.which = split.which_at_hand
    if part_count > PARTS_AT_HAND:
        split.parts = <Slot**>malloc(part_count * sizeof(Slot*))
    if key_count > KEYS_AT_HAND:
        split.which = <uint32_t*>malloc(key_count * sizeof(uint32_t))
    if split.parts == NULL or split.which == NULL:
        abort()
    memset(split.parts, 0, part_count * sizeof(Slot*))
    return split


cdef void free_split(Split* split) noexcept:
    global spare_splits, spare_split_count
    cdef int i
    for i in range(split.part_count):
        if split.parts[i] != NULL:
            free_slot(split.parts[i])
    if split.parts != split.parts_at_hand:
        free(split.parts)
    if split.which != split.which_at_hand:
        free(split.which)
    if spare_split_count < SPARE_MOST:
        split.next = spare_splits
        spare_splits = split
        spare_split_count += 1
    else:
        free(split)


cdef void ring_grow(Ring* ring) noexcept nogil:
    cdef uint32_t size = 2 * (ring.mask + 1) if ring.places != NULL else FIRST_PLACES
    cdef Slot** places = <Slot**>malloc(size * sizeof(Slot*))
    cdef uint32_t i
    if places == NULL:
        abort()
    for i in range(ring.count):
        places[i] = ring.places[(ring.head + i) & ring.mask]
    free(ring.places)
    ring.places = places
    ring.head = 0
    ring.mask = size - 1


cdef void ring_free(Ring* ring) noexcept nogil:
    free(ring.places)
    ring.places = NULL
    ring.count = 0
    ring.head = 0
    ring.mask = 0
