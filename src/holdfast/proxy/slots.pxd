# Slots: the requests that wait for a reply, and the rings and queues they stand in.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from holdfast.engine.buf cimport Buf

cdef enum SlotKind:
    SLOT_PLAIN      # the reply goes to the client as it comes
    SLOT_PART       # a part of a split request: its reply is kept for the join
    SLOT_WHOLE      # the split request itself: done when its parts are
    SLOT_LOCAL      # answered here, behind earlier requests that are not
    SLOT_SETUP      # AUTH, SELECT, HELLO of a new connection to a backend
    SLOT_ASK        # a question of our own: the reply goes to a Python function

cdef enum SlotFlag:
    SLOT_DONE = 1 << 0          # the reply is whole
    SLOT_MUTED = 1 << 1         # the client wants no reply (CLIENT REPLY)
    SLOT_UNTIMED = 1 << 2       # may take as long as it likes (blocking commands)
    SLOT_STARTED = 1 << 3       # a first part of the reply has gone to the client
    SLOT_WRITES = 1 << 4        # the request may change data
    SLOT_SELECT = 1 << 5        # on success the client's database is `number`
    SLOT_RESENT = 1 << 6        # it was sent a second time
    SLOT_HELD = 1 << 7          # waits for a backend
    SLOT_RETURNED = 1 << 8      # held, and came back: it goes before those that were never sent

cdef enum Join:
    JOIN_VALUES     # MGET: one value a key, in the order of the keys
    JOIN_SUM        # DEL, EXISTS, DBSIZE: the sum
    JOIN_STATUS     # MSET, FLUSHALL: OK if all say so
    JOIN_LISTS      # KEYS: one array of all
    JOIN_FIRST      # SCRIPT LOAD: any of them, as they are equal
    JOIN_EVERY      # SCRIPT EXISTS: 1 where all say 1
    JOIN_SOME       # RANDOMKEY: one that is not null
    JOIN_CURSOR     # SCAN: the cursor tells of the shard as well

cdef enum:
    PARTS_AT_HAND = 8       # of a split: more of them, or of keys, take memory of their own
    KEYS_AT_HAND = 32

cdef struct Split:
    Split* next         # among the spare ones
    int join
    int part_count
    int parts_left
    int key_count
    int number          # SCAN: ordinal of the shard; RANDOMKEY: where to begin to look
    int shard_count
    Slot** parts
    uint32_t* which     # of each key: its part
    Slot* parts_at_hand[PARTS_AT_HAND]
    uint32_t which_at_hand[KEYS_AT_HAND]

cdef struct Slot:
    Slot* next          # the client's next request
    void* client        # borrowed: a Client, which unhooks itself at its end; NULL: gone, or none
    Slot* whole         # of a part
    Split* split        # of a whole
    void* ask           # of an ask: the function (a reference)
    Buf reply           # what came and could not go on yet
    Buf request         # kept where it may be sent again
    Buf excuse          # the first error among replies that are skipped
    uint64_t begin      # where it begins in the stream to its backend
    int64_t due_ms      # on the loop's clock; 0: no limit
    int64_t held_until_ms   # the end of all its waiting for a backend, however often; 0: it never had to
    uint32_t bytes      # of the request
    uint32_t skip       # replies that still come before the one that counts (MULTI and its QUEUED)
    uint32_t skips      # how many those were when the request was sent
    int number
    int ordinal         # the shard
    uint8_t kind
    uint16_t flags
    char mark           # type of the reply, its first byte

cdef struct Ring:
    Slot** places
    uint32_t head
    uint32_t count
    uint32_t mask       # places - 1

cdef Slot* new_slot(void* client, uint8_t kind) noexcept nogil
cdef void free_slot(Slot* slot) noexcept
cdef Split* new_split(int join, int part_count, int key_count) noexcept nogil
cdef void ring_grow(Ring* ring) noexcept nogil
cdef void ring_free(Ring* ring) noexcept nogil

cdef inline void ring_push(Ring* ring, Slot* slot) noexcept nogil:
    if ring.places == NULL or ring.count > ring.mask:
        ring_grow(ring)
    ring.places[(ring.head + ring.count) & ring.mask] = slot
    ring.count += 1

cdef inline void ring_push_front(Ring* ring, Slot* slot) noexcept nogil:
    if ring.places == NULL or ring.count > ring.mask:
        ring_grow(ring)
    ring.head = (ring.head - 1) & ring.mask
    ring.places[ring.head] = slot
    ring.count += 1

cdef inline Slot* ring_first(Ring* ring) noexcept nogil:
    return ring.places[ring.head] if ring.count else NULL

cdef inline Slot* ring_pop(Ring* ring) noexcept nogil:
    cdef Slot* slot = ring.places[ring.head]
    ring.head = (ring.head + 1) & ring.mask
    ring.count -= 1
    return slot
