"""Clients: requests in, replies out in the order of the requests.

What it is: both ends of one client. Bytes that arrive are cut into requests by
the engine's parsers and handed to `route`; replies come back to slots, which
stand in a list in the order of the requests. The reply to the first of them goes
to the client as it comes; what comes for others waits in their slots. What it is
not: the way of a request (`route`), or that of a reply to its slot (`link`).

Rules of the list:
- only the head's bytes go to the session's output; when it is done the next is head;
- a client with subscriptions gets whole replies only: a message may come between two;
- `until_idle` stops the client's requests until the list is empty: what has an order with
  all others (WATCH, blocking commands, SUBSCRIBE, SELECT) begins and ends so.

Bounds: a client stops executing while more than OUTPUT_PAUSE bytes wait for it, or
PENDING_MOST requests are open; then it is not read from either.

How to read it: requests, then replies, then the end.
"""

from libc.string cimport memset
from holdfast.engine.ahead cimport Batch, parse_ahead
from holdfast.engine.buf cimport Buf, Slice, buf_append, buf_consume, buf_free, buf_reserve
from holdfast.engine.reply cimport wake
from holdfast.engine.request cimport encode_call, parse_request
from holdfast.engine.state cimport (
    GUARD_NO_AUTH, OUTPUT_PAUSE, S_CLOSE_AFTER, S_CLOSING, S_ENDED, S_PUBSUB, Call, Engine, Session)
from holdfast.proxy.link cimport give_back, link_release_reading
from holdfast.proxy.pinned cimport begin_stream, pass_stream
from holdfast.proxy.route cimport route
from holdfast.proxy.shapes cimport Client, Link
from holdfast.proxy.slots cimport (
    SLOT_ASK, SLOT_DONE, SLOT_HELD,
    SLOT_LOCAL, SLOT_MUTED, SLOT_PART, SLOT_PLAIN, SLOT_SELECT, SLOT_SETUP, SLOT_STARTED,
    Slot, free_slot, new_slot)
from holdfast.proxy.split cimport join_parts

cdef enum:
    KEEP_OUTPUT = 64 * 1024     # an empty reply buffer larger than this is given back
    KEEP_INPUT = 64 * 1024
    INPUT_PAUSE = 1 << 20       # a client that may not go on is read ahead no more than this
    PENDING_MOST = 1000        # requests of one client without a reply
    STREAM_FROM = 1 << 20       # a request that lacks more than this goes through as it arrives


# ---- requests ----

cdef int client_made(Client client, object transport) except -1:
    transport.set_write_buffer_limits(0)
    client.met(transport)
    client.registry.connection_opened(client)
    return 0


cdef inline bint may_run(Client client) noexcept:
    cdef Session s = client.session
    return not (
        client.until_idle or client.stalled or s.flags & (S_CLOSING | S_CLOSE_AFTER)
        or s.out.len > OUTPUT_PAUSE or client.pending >= PENDING_MOST)


cdef int client_take(Client client, const char* p, size_t n) except -1:
    cdef Session s = client.session
    cdef Engine e = s.engine
    cdef size_t used = 0
    if client.closed:
        return 0
    if not e.tick_open:
        client.exchange.open_tick()
    s.active_ms = e.ks.now_ms
    s.bytes_in += n
    e.net_input_bytes += n
    e.reads += 1
    if client.streaming:
        used = pass_stream(client, p, n)
    if used < n and s.input.len == 0 and not client.streaming and may_run(client):
        used += run(client, p + used, n - used)
        if used < n:
            if 65536 < s.input_need < <size_t>e.query_buffer_limit:
                buf_reserve(&s.input, s.input_need)
            buf_append(&s.input, p + used, n - used)
    elif used < n:
        buf_append(&s.input, p + used, n - used)
        if s.input.len >= s.input_need:
            proceed(client)
    if s.input.len > <size_t>e.query_buffer_limit:
        s.flags |= S_CLOSING
    if s.out.len or s.flags & (S_CLOSING | S_CLOSE_AFTER):
        wake(s)
    if not client.paused_reading and must_hold(client) and not client.closed:
        client.read_on(False)
    return 0


cdef inline bint must_hold(Client client) noexcept:
    """Whether no more may be read: requests wait that may not go on."""
    cdef Session s = client.session
    if s.out.len > OUTPUT_PAUSE or client.stalled:
        return True
    return s.input.len > INPUT_PAUSE and not may_run(client)


cdef size_t run(Client client, const char* p, size_t n) except <size_t>-1:
    """Route the whole requests in [p, p + n); return how many bytes they took."""
    cdef Session s = client.session
    cdef size_t at = 0, used = 0, before
    cdef Batch batch
    cdef Call c
    cdef int rc, i
    s.input_need = 0
    while at < n and may_run(client):
        if s.partial == NULL and not s.guard & GUARD_NO_AUTH:
            rc = parse_ahead(p + at, p + n, &batch)
            if rc:
                for i in range(rc):
                    if not route(client, &batch.calls[i]):
                        return at
                    at += batch.calls[i].raw.len
                    if not may_run(client):
                        return at
                continue
        before = s.out.len
        rc = parse_request(s, p + at, n - at, &used, &c)
        if rc == 0:
            if s.input_need > STREAM_FROM and begin_stream(client, p + at, n - at):
                at += pass_stream(client, p + at, n - at)
            break
        if rc < 0:
            client_answered(client, before)
            s.flags |= S_CLOSE_AFTER
            return n
        if c.argc:
            if c.raw.len == 0:
                rc = route_inline(client, &c)
            else:
                rc = route(client, &c)
            if not rc:
                break
        at += used
    return at


cdef int route_inline(Client client, Call* c) except -1:
    """A request that came as a line goes on as an array of bulk strings."""
    cdef Buf raw
    cdef Slice* argv = c.argv
    cdef size_t at = 0
    cdef int i
    memset(&raw, 0, sizeof(Buf))
    encode_call(&raw, argv, c.argc)
    c.raw.ptr = raw.ptr
    c.raw.len = raw.len
    while raw.ptr[at] != c'\n':
        at += 1
    at += 1
    for i in range(c.argc):
        while raw.ptr[at] != c'\n':
            at += 1
        argv[i].ptr = raw.ptr + at + 1
        at += 1 + argv[i].len + 2
    try:
        return route(client, c)
    finally:
        buf_free(&raw)


cdef int proceed(Client client) except -1:
    """Go on with what waits in the input; the buffer is lent out while requests borrow from it."""
    cdef Session s = client.session
    cdef Buf held
    cdef size_t used
    if s.input.len == 0 or client.closed:
        return 0
    if not client.streaming and not may_run(client):
        return 0
    held = s.input
    memset(&s.input, 0, sizeof(Buf))
    try:
        used = pass_stream(client, held.ptr, held.len) if client.streaming else 0
        if not client.streaming:
            used += run(client, held.ptr + used, held.len - used)
    finally:
        buf_free(&s.input)
        s.input = held
    buf_consume(&s.input, used)
    if s.input.len == 0 and s.input.cap > KEEP_INPUT:
        buf_free(&s.input)
    return 0


cdef int client_resume(Client client) except -1:
    cdef Session s = client.session
    if client.closed:
        return 0
    if client.pending == 0:
        if client.unpin:
            client.unpin = False
            link = client.pinned
            client.pinned = None
            client.pinned_shard = None
            give_back(link, True)
        client.until_idle = False
    proceed(client)
    if client.paused_reading and not must_hold(client) and not client.closed:
        client.read_on(True)
    if s.out.len or s.flags & (S_CLOSING | S_CLOSE_AFTER | S_ENDED):
        wake(s)
    return 0


cdef int client_pause(Client client) except -1:
    client.until_idle = True
    if client.pending == 0:
        client.exchange.go_on(client)
    return 0


# ---- replies ----

cdef Slot* client_slot(Client client, int kind) except NULL:
    cdef Slot* slot = new_slot(<void*>client, kind)
    if client.tail == NULL:
        client.head = slot
    else:
        client.tail.next = slot
    client.tail = slot
    client.pending += 1
    return slot


cdef int client_answered(Client client, size_t begin) except -1:
    cdef Session s = client.session
    cdef Slot* slot
    if client.pending and s.out.len > begin:
        slot = client_slot(client, SLOT_LOCAL)
        buf_append(&slot.reply, s.out.ptr + begin, s.out.len - begin)
        slot.flags |= SLOT_DONE
        s.out.len = begin
    else:
        wake(s)
    return 0


cdef inline bint streams(Client client, Slot* slot) noexcept:
    return client.head == slot and not client.session.flags & S_PUBSUB


cdef int slot_bytes(Slot* slot, const char* p, size_t n) except -1:
    cdef Client client
    if slot.kind == SLOT_PLAIN:
        if slot.client == NULL or slot.flags & SLOT_MUTED:
            return 0
        client = <Client>slot.client
        if streams(client, slot):
            buf_append(&client.session.out, p, n)
            slot.flags |= SLOT_STARTED
            wake(client.session)
            return 0
    elif slot.kind == SLOT_PART and slot.whole.client == NULL:
        return 0
    buf_append(&slot.reply, p, n)
    return 0


cdef int slot_end(Slot* slot) except -1:
    cdef Slot* whole
    slot.flags |= SLOT_DONE
    if slot.kind == SLOT_PART:
        whole = slot.whole
        whole.split.parts_left -= 1
        if whole.split.parts_left == 0:
            if whole.client != NULL:
                join(<Client>whole.client, whole)
            return slot_end(whole)
        return 0
    if slot.kind == SLOT_ASK:
        told = <object>slot.ask
        line = slot.reply.ptr[:slot.reply.len]
        free_slot(slot)
        told(line)
        return 0
    if slot.kind == SLOT_SETUP or slot.client == NULL:
        free_slot(slot)
        return 0
    if slot.flags & SLOT_SELECT and slot.mark == c'+':
        (<Client>slot.client).database = slot.number
    if (<Client>slot.client).head == slot:
        advance(<Client>slot.client)
    return 0


cdef int join(Client client, Slot* whole) except -1:
    """All parts are there: the reply goes to the client at once where it is the next to go."""
    if streams(client, whole) and not whole.flags & SLOT_MUTED:
        join_parts(whole, &client.session.out)
        wake(client.session)
    else:
        join_parts(whole, &whole.reply)
    return 0


cdef int advance(Client client) except -1:
    """The head is done: hand on what is done behind it as well, and what the next has already."""
    cdef Session s = client.session
    cdef Slot* slot = client.head
    while slot != NULL and slot.flags & SLOT_DONE:
        if slot.reply.len and not slot.flags & SLOT_MUTED:
            buf_append(&s.out, slot.reply.ptr, slot.reply.len)
        client.head = slot.next
        client.pending -= 1
        free_slot(slot)
        slot = client.head
    if slot == NULL:
        client.tail = NULL
        if client.until_idle:
            client.exchange.go_on(client)
    elif slot.reply.len and slot.kind == SLOT_PLAIN and streams(client, slot):
        buf_append(&s.out, slot.reply.ptr, slot.reply.len)
        slot.flags |= SLOT_STARTED
        buf_free(&slot.reply)
    if s.input.len and not client.until_idle and not client.in_ready:
        client.exchange.go_on(client)       # too many were open
    wake(s)
    return 0


cdef int slot_fail(Slot* slot, const char* line, size_t n) except -1:
    cdef Client client
    if slot.kind == SLOT_ASK:
        told = <object>slot.ask
        free_slot(slot)
        told(None)
        return 0
    if slot.kind == SLOT_PLAIN and slot.client != NULL:
        client = <Client>slot.client
        client.door.forward_error += 1
        if slot.flags & SLOT_STARTED:
            # Half of the reply is with the client: nothing that could follow would be understood.
            client_abort(client)
            free_slot(slot)
            return 0
        slot.reply.len = 0
    slot.mark = c'-'
    slot.reply.len = 0
    slot_bytes(slot, line, n)
    return slot_end(slot)


cdef bint slot_keeps_streaming(Link link, Slot* slot, size_t most) noexcept:
    cdef Client client
    if slot.kind != SLOT_PLAIN or slot.client == NULL:
        return True
    client = <Client>slot.client
    if client.session.out.len <= most:
        return True
    client.slowing = link
    return False


cdef int client_flush(Client client) except -1:
    """Hand the waiting replies to the transport; go on with requests that had to wait."""
    cdef Session s = client.session
    cdef size_t n = s.out.len
    if client.closed:
        return 0
    if n and not client.blocked_writing:
        s.bytes_out += n
        s.engine.net_output_bytes += n
        s.engine.writes += 1
        client.put(s.out.ptr, n)
        s.out.len = 0
        if s.out.cap > KEEP_OUTPUT:
            buf_free(&s.out)
        if client.slowing is not None and not client.blocked_writing:
            link = client.slowing
            client.slowing = None
            link_release_reading(link)
    if s.out.len:
        client.registry.output_waits(client)
    if s.flags & S_CLOSING:
        return client_abort(client)
    if s.flags & S_ENDED and client.pending == 0 and not s.out.len and not client.until_idle:
        if s.input.len == client.left_at_end:
            s.flags |= S_CLOSE_AFTER
        else:
            client.left_at_end = s.input.len
            client.exchange.go_on(client)       # until nothing more can be made of it
    if s.flags & S_CLOSE_AFTER and client.pending == 0 and not s.out.len:
        client_gone(client, None)
        client.transport.close()
        return 0
    if (client.paused_reading or s.input.len) and not client.until_idle and not s.out.len:
        if client.paused_reading and not must_hold(client):
            client.read_on(True)
        if s.input.len and s.input.len >= s.input_need:
            client.exchange.go_on(client)
    return 0


# ---- the end ----

cdef int client_ended(Client client) except -1:
    """The client will send no more: what is on its way is answered still, unless it waits for a backend.

    A client that gave up looks like one that shut its sending end; what it may have given up on must not
    be executed later (rule 24), nor block for ever.
    """
    cdef Slot* slot = client.head
    cdef int i
    client.door.client_eof += 1
    if client.streaming or client.pinned is not None:
        return client_abort(client)
    while slot != NULL:
        if slot.flags & SLOT_HELD:
            return client_abort(client)
        if slot.split != NULL:
            for i in range(slot.split.part_count):
                if slot.split.parts[i] != NULL and slot.split.parts[i].flags & SLOT_HELD:
                    return client_abort(client)
        slot = slot.next
    client.session.flags |= S_ENDED
    wake(client.session)
    return 0


cdef int client_abort(Client client) except -1:
    if not client.closed:
        client_gone(client, None)
        if client.transport is not None:
            client.transport.abort()
    return 0


cdef int client_gone(Client client, object why) except -1:
    """Forget the client: what it waits for is dropped where it comes in."""
    cdef Slot* slot = client.head
    cdef Slot* following
    cdef Link link
    if client.closed:
        return 0
    client.closed = True
    client.left()
    client.head = NULL
    client.tail = NULL
    while slot != NULL:
        following = slot.next
        slot.client = NULL
        slot.next = NULL
        if slot.flags & SLOT_DONE:
            free_slot(slot)
        slot = following
    client.pending = 0
    if client.pinned is not None:
        link = client.pinned
        client.pinned = None
        give_back(link, False)
    if client.slowing is not None:
        link_release_reading(client.slowing)
        client.slowing = None
    client.registry.connection_closed(client, why)
    client.session.owner = None
    return 0
