"""Slots: the requests that wait for a reply, and the rings they stand in.

A slot is one C struct a request. It stands in two orders at once: in the ring of
the connection to its backend, which answers first in, first out, and in the list
of its client, which wants its replies in the order of its requests. Who frees it:
the later of the two. A client that goes sets `client` to NULL in its slots; the
replies are then dropped where they come in.

What this is not: the rules of either order (`link`, `client`).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport abort, calloc, free, malloc
from libc.string cimport memset
from cpython.ref cimport Py_DECREF
from holdfast.engine.buf cimport buf_free

cdef enum:
    FIRST_PLACES = 16


cdef Slot* new_slot(void* client, uint8_t kind) noexcept nogil:
    cdef Slot* slot = <Slot*>malloc(sizeof(Slot))
    if slot == NULL:
        abort()
    memset(slot, 0, sizeof(Slot))
    slot.client = client
    slot.kind = kind
    return slot


cdef void free_slot(Slot* slot) noexcept:
    cdef int i
    if slot.reply.ptr != NULL:
        buf_free(&slot.reply)
    if slot.request.ptr != NULL:
        buf_free(&slot.request)
    if slot.excuse.ptr != NULL:
        buf_free(&slot.excuse)
    if slot.split != NULL:
        for i in range(slot.split.part_count):
            if slot.split.parts[i] != NULL:
                free_slot(slot.split.parts[i])
        free(slot.split.parts)
        free(slot.split.which)
        free(slot.split)
    if slot.ask != NULL:
        Py_DECREF(<object>slot.ask)
    free(slot)


cdef Split* new_split(int join, int part_count, int key_count) noexcept nogil:
    cdef Split* split = <Split*>calloc(1, sizeof(Split))
    if split == NULL:
        abort()
    split.join = join
    split.part_count = part_count
    split.parts_left = part_count
    split.key_count = key_count
    split.parts = <Slot**>calloc(part_count if part_count else 1, sizeof(Slot*))
    if split.parts == NULL:
        abort()
    if key_count:
        split.which = <uint16_t*>malloc(key_count * sizeof(uint16_t))
        if split.which == NULL:
            abort()
    return split


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
