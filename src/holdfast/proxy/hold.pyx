"""Requests that wait for a backend, in their order (rule 24 of the promises).

What it is: the queue that turns a failover into a pause. What waits here was
never written to a socket, or came back as certainly not executed; nothing else
may come in. While anything waits for a shard, later requests for it wait behind.
What it is not: the knowledge of who the primary is; the pool's policy sets
`Shard.primary`, and the queue runs empty in that moment.

A request dies with its client: its slot has no client then, and is passed over.
"""

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport buf_append
from holdfast.proxy.client cimport slot_fail
from holdfast.proxy.link cimport lane_of, link_send, shared_link
from holdfast.proxy.shapes cimport PLAIN_PROTOCOL, Backend, Client, Exchange, Lane, Link, Pool, Shard
from holdfast.proxy.slots cimport (
    SLOT_PART, SLOT_PLAIN, SLOT_RESENT, SLOT_WRITES, Ring, Slot, free_slot, ring_first, ring_pop, ring_push,
    ring_push_front)

cdef enum:
    KEEP_MOST = 1 << 20         # larger requests are not kept: their errors go to the client

cdef bytes TOO_MANY = b"-ERR too many requests wait for a server\r\n"
cdef bytes TOO_LONG = b"-ERR Connection timed out\r\n"


cdef inline Client client_of(Slot* slot):
    """The client that waits for a slot, a part's being that of the whole; None: nobody."""
    cdef void* client = slot.whole.client if slot.kind == SLOT_PART else slot.client
    return None if client == NULL else <Client>client


cdef void keep(Pool pool, Slot* slot, const char* p, size_t n) noexcept:
    if (pool.keeps_requests or pool.hold_ms) and n <= KEEP_MOST and slot.request.len == 0:
        buf_append(&slot.request, p, n)


cdef int hold(Shard shard, Slot* slot, const char* p, size_t n) except -1:
    if shard.held_bytes + <int64_t>n > shard.pool.hold_bytes:
        return slot_fail(slot, TOO_MANY, len(TOO_MANY))
    if slot.request.len == 0:
        buf_append(&slot.request, p, n)
    return stand(shard, slot, False)


cdef int stand(Shard shard, Slot* slot, bint first) except -1:
    cdef Exchange exchange = shard.pool.exchange
    if not slot.flags & SLOT_RESENT or slot.due_ms == 0:
        slot.due_ms = exchange.now_ms + shard.pool.hold_ms
    slot.ordinal = shard.ordinal
    if first:
        ring_push_front(&shard.held, slot)
    else:
        ring_push(&shard.held, slot)
    shard.held_bytes += slot.request.len
    if shard.hold_timer is None:
        shard.hold_timer = exchange.loop.call_later(shard.pool.hold_ms / 1000.0, expire, shard)
    return 0


cdef int hold_first(Shard shard, Slot* slot) except -1:
    return stand(shard, slot, True)


cdef bint may_hold_again(Pool pool, Slot* slot) noexcept:
    return pool.hold_ms > 0 and slot.request.len > 0 and (slot.kind == SLOT_PLAIN or slot.kind == SLOT_PART)


cdef int hold_again(Pool pool, Ring* slots) except -1:
    cdef Slot* slot
    cdef Shard shard
    while slots.count:
        slot = slots.places[(slots.head + slots.count - 1) & slots.mask]
        slots.count -= 1
        stand(<Shard>pool.shards[slot.ordinal], slot, True)
    for shard in pool.shards:
        if shard.held.count and shard._primary is not None and pool.hold_ms:
            hold_release(shard)
    return 0


cdef int hold_release(Shard shard) except -1:
    cdef Slot* slot
    cdef Client client
    cdef Backend backend
    cdef Lane lane
    cdef int count = shard.held.count
    while count and shard.held.count:
        count -= 1
        slot = ring_pop(&shard.held)
        shard.held_bytes -= slot.request.len
        client = client_of(slot)
        if client is None:
            slot_fail(slot, TOO_LONG, len(TOO_LONG))
            continue
        backend = shard.pool.backend_for(shard, slot.flags & SLOT_WRITES, client)
        if backend is None:
            ring_push_front(&shard.held, slot)
            shard.held_bytes += slot.request.len
            break
        lane = lane_of(backend, client.database, client.session.resp)
        send_again(shared_link(lane, client.number), slot)
    if shard.held.count == 0 and shard.hold_timer is not None:
        shard.hold_timer.cancel()
        shard.hold_timer = None
    return 0


cdef int send_again(Link link, Slot* slot) except -1:
    slot.flags |= SLOT_RESENT
    slot.skip = slot.skips
    slot.reply.len = 0
    slot.excuse.len = 0
    slot.mark = 0
    return link_send(link, slot, slot.request.ptr, slot.request.len)


def expire(Shard shard):
    """Fail the requests that have waited longer than the pool lets them."""
    cdef Exchange exchange = shard.pool.exchange
    cdef double now = exchange.loop.time() * 1000
    cdef Slot* slot
    shard.hold_timer = None
    while shard.held.count:
        slot = ring_first(&shard.held)
        if slot.due_ms > now + 0.5 and client_of(slot) is not None:
            shard.hold_timer = exchange.loop.call_later((slot.due_ms - now) / 1000.0, expire, shard)
            break
        ring_pop(&shard.held)
        shard.held_bytes -= slot.request.len
        slot_fail(slot, TOO_LONG, len(TOO_LONG))


def refuse_all(Shard shard, bytes line):
    """Answer all that wait with an error line."""
    cdef Slot* slot
    while shard.held.count:
        slot = ring_pop(&shard.held)
        slot_fail(slot, line, len(line))
    shard.held_bytes = 0
    if shard.hold_timer is not None:
        shard.hold_timer.cancel()
        shard.hold_timer = None
