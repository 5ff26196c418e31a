"""One connection to a backend: requests of many clients joined, replies matched in order.

What it is: the ring of slots that wait, the bytes that are to be written, and the
way of every reply to the slot that it answers. Requests gather in `out` during a
tick and leave by one write; a reply's bytes go on to the client as they come. What
it is not: the choice of the connection (`route`), or the order of a client's
replies (`client`).

Bounds: while more than OUT_PAUSE bytes could not be written, clients that add to
them wait (`stalled`). A client that does not read what it asked for makes the
connection stop reading, when more than SLOW_BYTES wait for it; it has SLOW_MS to
read on, then it is closed: others wait behind it. No new request is put on such a
connection meanwhile (`retired`).

How to read it: sending, then replies, then the end.
"""

from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t
from libc.string cimport memset
from holdfast.engine.buf cimport Buf, buf_append, buf_free
from holdfast.proxy.client cimport client_abort, slot_bytes, slot_end, slot_fail, slot_keeps_streaming
from holdfast.proxy.hold cimport hold_again, may_hold_again
from holdfast.proxy.scan cimport scan_reply
from holdfast.proxy.shapes cimport PLAIN_PROTOCOL, Backend, Client, Exchange, Lane, Link, Pool
from holdfast.proxy.slots cimport (
    SLOT_ASK, SLOT_SETUP, SLOT_UNTIMED, Ring, Slot, free_slot, new_slot, ring_first, ring_free, ring_pop,
    ring_push)

import errno
import os

cdef extern from "errno.h":
    int errno_now "errno"
    int EAGAIN
    int EINTR

cdef enum:
    KEEP_OUT = 256 * 1024       # an empty buffer larger than this is given back
    IDLE_MOST = 32              # private connections that are kept for later
    SLOW_BYTES = 64 << 20
    SLOW_MS = 2000
    MAY_FAIL = 0                # of a set-up: a server without a password refuses AUTH, and serves
    MUST_SUCCEED = 1


# ---- which connection ----

cdef Lane lane_of(Backend backend, int database, int protocol):
    cdef Lane lane = backend.lanes.get((database, protocol))
    if lane is None:
        lane = Lane(backend, database, protocol)
        backend.lanes[database, protocol] = lane
    return lane


cdef Link shared_link(Lane lane, size_t number):
    cdef size_t place = number % <size_t>len(lane.links)
    cdef Link link = <Link>lane.links[place]
    if link is None or link.closed or link.retired:
        link = open_link(lane, False)
        lane.links[place] = link
    return link


cdef Link private_link(Lane lane):
    cdef Link link
    while lane.idle:
        link = lane.idle.pop()
        if not link.closed:
            return link
    return open_link(lane, True)


cdef int give_back(Link link, bint as_new) except -1:
    if link.closed:
        return 0
    if (not as_new or link.lane.backend.has_left or link.ring.count or link.out.len
            or len(link.lane.idle) >= IDLE_MOST):
        link_fail(link, 0, None)
    else:
        link.lane.idle.append(link)
    return 0


cdef Link open_link(Lane lane, bint private):
    cdef Link link = Link(lane, private)
    cdef bytes password = lane.backend.pool.password
    if password is not None:
        set_up(link, (b"AUTH", password), MAY_FAIL)
    if lane.protocol != PLAIN_PROTOCOL:
        set_up(link, (b"HELLO", b"%d" % lane.protocol), MUST_SUCCEED)
    if lane.database:
        set_up(link, (b"SELECT", b"%d" % lane.database), MUST_SUCCEED)
    for words in getattr(lane.backend.facts, "opening", ()):
        set_up(link, words, MAY_FAIL)
    link.exchange.dial(link)
    return link


cdef int set_up(Link link, tuple words, int must_succeed) except -1:
    cdef bytes request = encoded(words)
    cdef Slot* slot = new_slot(NULL, SLOT_SETUP)
    slot.number = must_succeed
    return link_send(link, slot, request, len(request))


def encoded(words):
    """Return a request as RESP."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


# ---- sending ----

cdef int link_begin(Link link, Slot* slot) except -1:
    slot.begin = link.stream_end
    return 0


cdef int link_add(Link link, const char* p, size_t n) except -1:
    buf_append(&link.out, p, n)
    link.stream_end += n
    return 0


cdef int link_end(Link link, Slot* slot) except -1:
    cdef Backend backend = link.lane.backend
    cdef Pool pool = backend.pool
    cdef bytes line
    if link.closed:             # a connection of the client's own may be lost while it has no request open
        line = error_line(errno.ECONNRESET)
        return slot_fail(slot, line, len(line))
    slot.bytes = <unsigned int>(link.stream_end - slot.begin)
    ring_push(&link.ring, slot)
    link.unsent += 1
    backend.requests += 1
    backend.request_bytes += slot.bytes
    backend.in_queue += 1
    backend.in_queue_bytes += slot.bytes
    if pool.timeout_ms and not slot.flags & SLOT_UNTIMED:
        slot.due_ms = link.exchange.now_ms + pool.timeout_ms
        if link.timer is None:
            link.timer = link.exchange.loop.call_later(pool.timeout_ms / 1000.0, link.time_out)
    if not link.dirty:
        link_mark(link)
    return 0


cdef int link_send(Link link, Slot* slot, const char* p, size_t n) except -1:
    slot.begin = link.stream_end
    buf_append(&link.out, p, n)
    link.stream_end += n
    return link_end(link, slot)


cdef int link_mark(Link link) except -1:
    if not link.dirty:
        link.dirty = True
        link.exchange.dirty_links.append(link)
        if not link.exchange.engine.tick_open:
            link.exchange.open_tick()
    return 0


cdef int link_made(Link link, object transport) except -1:
    link.connected = True
    link.lane.backend.server_connections += 1
    transport.set_write_buffer_limits(0)
    link.met(transport)
    return link_mark(link)


cdef int link_flush(Link link) except -1:
    cdef Backend backend = link.lane.backend
    cdef size_t n = link.out.len
    if not n or not link.connected or link.closed or link.blocked_writing:
        return 0
    link.written += n
    link.put(link.out.ptr, n)
    link.out.len = 0
    if link.out.cap > KEEP_OUT:
        buf_free(&link.out)
    backend.in_queue -= link.unsent
    backend.out_queue += link.unsent
    link.unsent = 0
    backend.in_queue_bytes = 0 if backend.in_queue == 0 else max(0, backend.in_queue_bytes - <int64_t>n)
    backend.out_queue_bytes += n
    if link.stalled is not None and not link.blocked_writing:
        link_room(link)
    return 0


cdef int link_room(Link link) except -1:
    """There is room again: clients that waited for it go on."""
    cdef Client client
    cdef list waiting = link.stalled
    if waiting is not None:
        link.stalled = None
        for client in waiting:
            client.stalled = False
            link.exchange.go_on(client)
    return 0


# ---- replies ----

cdef int link_take(Link link, const char* p, size_t n) except -1:
    cdef Exchange exchange = link.exchange
    cdef Backend backend = link.lane.backend
    cdef size_t at = 0
    cdef Py_ssize_t used
    cdef Slot* slot
    if not exchange.engine.tick_open:
        exchange.open_tick()
    backend.response_bytes += n
    while at < n and not link.closed:
        slot = ring_first(&link.ring)
        begins = link.scan.left == 0
        used = scan_reply(&link.scan, p + at, n - at)
        if used >= 0 and (link.scan.is_push or (slot == NULL and link.push_sink is not None)):
            take_push(link, p + at, used)
            at += used
            continue
        if used < 0 or slot == NULL:
            # An answer to nothing, or no RESP at all: whatever follows cannot be matched.
            return link_fail(link, errno.EINVAL, None)
        if begins:
            slot.mark = p[at]
            link.collecting = p[at] == c'-' or slot.kind == SLOT_SETUP or slot.skip
        if link.collecting:
            if link.scan.left == 0 and link.line.len == 0:
                take_line(link, slot, p + at, used)
            else:
                buf_append(&link.line, p + at, used)
                if link.scan.left == 0:
                    take_gathered_line(link, slot)
        else:
            slot_bytes(slot, p + at, used)
            if link.scan.left == 0:
                finish(link, slot)
            elif not slot_keeps_streaming(link, slot, SLOW_BYTES):
                pause_for(link, slot)
        at += used
    return 0


cdef inline int finish(Link link, Slot* slot) except -1:
    """The reply is whole."""
    cdef Backend backend = link.lane.backend
    ring_pop(&link.ring)
    backend.responses += 1
    backend.out_queue -= 1
    backend.out_queue_bytes -= slot.bytes
    if backend.failures:
        backend.pool.backend_answered(backend)
    return slot_end(slot)


cdef int take_push(Link link, const char* p, size_t n) except -1:
    """What the server says unasked goes to the sink, whole; where there is none nobody asked for it."""
    cdef bytes frame
    if link.push_sink is None:
        return 0
    if link.scan.left or link.line.len:
        buf_append(&link.line, p, n)
        if link.scan.left:
            return 0
        frame = link.line.ptr[:link.line.len]
        link.line.len = 0
    else:
        frame = p[:n]
    link.push_sink(frame)
    return 0


cdef int take_gathered_line(Link link, Slot* slot) except -1:
    cdef Buf line = link.line
    link.line.ptr = NULL
    link.line.len = 0
    link.line.cap = 0
    try:
        take_line(link, slot, line.ptr, line.len)
    finally:
        buf_free(&line)
    return 0


cdef int take_line(Link link, Slot* slot, const char* p, size_t n) except -1:
    """A whole reply that is an error, answers our own set-up, or is to be skipped."""
    link.collecting = False
    if slot.kind == SLOT_SETUP:
        must_succeed = slot.number == MUST_SUCCEED
        finish(link, slot)
        if p[0] == c'-' and must_succeed:
            link_fail(link, 0, p[:n])
        return 0
    if slot.skip:
        slot.skip -= 1
        if p[0] == c'-' and slot.excuse.len == 0:
            buf_append(&slot.excuse, p, n)
        return 0
    ring_pop(&link.ring)
    if slot.excuse.len and p[0] == c'-':
        taken = link.lane.backend.pool.take_error(link, slot, slot.excuse.ptr, slot.excuse.len)
    else:
        taken = link.lane.backend.pool.take_error(link, slot, p, n)
    link.lane.backend.responses += 1
    link.lane.backend.out_queue -= 1
    link.lane.backend.out_queue_bytes -= slot.bytes
    if not taken:
        slot_bytes(slot, p, n)
        slot_end(slot)
    return 0


cdef int pause_for(Link link, Slot* slot) except -1:
    """Read no more until the client has taken what waits for it; it has SLOW_MS for that."""
    cdef Client client = <Client>slot.client
    if link.slow_client is None and not link.paused_reading:
        link.slow_client = client
        link.retired = not link.private
        link.read_on(False)
        client.exchange.loop.call_later(SLOW_MS / 1000.0, _close_slow, link, client, client.session.bytes_out)
    return 0


def _close_slow(Link link, Client client, unsigned long long taken):
    if link.slow_client is not client or client.closed:
        return
    if client.session.bytes_out != taken:
        link.exchange.loop.call_later(SLOW_MS / 1000.0, _close_slow, link, client, client.session.bytes_out)
        return
    client.door.client_err += 1
    client_abort(client)


cdef int link_release_reading(Link link) except -1:
    link.slow_client = None
    if link.paused_reading and not link.closed:
        link.read_on(True)
    return 0


# ---- time limits and the end ----

cdef int link_timer_fired(Link link) except -1:
    cdef Slot* slot = ring_first(&link.ring)
    cdef double now = link.exchange.loop.time() * 1000
    if slot == NULL or slot.due_ms == 0:
        return 0
    if slot.due_ms <= now + 0.5:
        link_fail(link, errno.ETIMEDOUT, None)
    else:
        link.timer = link.exchange.loop.call_later((slot.due_ms - now) / 1000.0, link.time_out)
    return 0


cdef int link_fail(Link link, int errno_, bytes text) except -1:
    cdef Backend backend = link.lane.backend
    cdef Pool pool = backend.pool
    cdef Slot* slot
    cdef bytes line = text
    cdef Ring again
    if link.closed:
        return 0
    memset(&again, 0, sizeof(Ring))
    link.closed = True
    link.left()
    if link.transport is not None:
        link.transport.abort()
    if link.timer is not None:
        link.timer.cancel()
        link.timer = None
    if link in link.lane.idle:
        link.lane.idle.remove(link)
    if link.ring.count or not link.private:
        count_end(link, errno_)
    elif link.connected:
        backend.server_connections -= 1
    if line is None:
        line = error_line(errno_)
    link.push_sink = None
    while link.ring.count:
        slot = ring_pop(&link.ring)
        if slot.begin >= link.written:
            backend.in_queue -= 1
        else:
            backend.out_queue -= 1
            backend.out_queue_bytes -= slot.bytes
        if slot.kind == SLOT_SETUP:
            free_slot(slot)
        elif slot.begin >= link.written and text is None and may_hold_again(pool, slot):
            ring_push(&again, slot)
        else:
            slot_fail(slot, line, len(line))
    if backend.in_queue == 0:
        backend.in_queue_bytes = 0
    hold_again(pool, &again)
    ring_free(&again)
    link_room(link)
    link_release_reading(link)
    return 0


cdef int count_end(Link link, int errno_) except -1:
    cdef Backend backend = link.lane.backend
    if link.connected:
        backend.server_connections -= 1
    if errno_ == errno.ETIMEDOUT:
        backend.server_timedout += 1
    elif errno_ == 0:
        backend.server_eof += 1
    else:
        backend.server_err += 1
    backend.failures += 1
    return backend.pool.backend_failed(backend, errno_)


def error_line(int errno_):
    """Return the error that a client gets, in the words of the system, as twemproxy does."""
    return b"-ERR %s\r\n" % (os.strerror(errno_).encode() if errno_ else b"unknown")


# ---- for Python ----

def ask(Backend backend, words, told):
    """Send a request of our own; `told` gets the reply as RESP, None when the connection was lost first."""
    send_words(shared_link(backend.plain, 0), words, told)


def open_private(Backend backend, int database, int protocol):
    """Return a connection that no client shares."""
    return open_link(lane_of(backend, database, protocol), True)


def send_words(Link link, words, told=None):
    """Send a request on a connection; without `told` its replies go to the `push_sink`."""
    cdef bytes request = encoded(words)
    cdef Slot* slot
    if told is None:
        link_add(link, request, len(request))
        link_mark(link)
        return
    slot = new_slot(NULL, SLOT_ASK)
    Py_INCREF(told)
    slot.ask = <void*>told
    link_send(link, slot, request, len(request))


def close(Link link):
    """Close a connection; what waits on it gets an error."""
    link_fail(link, 0, None)


def connect_all(Backend backend):
    """Open the shared connections now (preconnect)."""
    cdef size_t number
    for number in range(<size_t>len(backend.plain.links)):
        shared_link(backend.plain, number)
