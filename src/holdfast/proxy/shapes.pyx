"""The parts of a proxy: what each holds, and the thin asyncio end of it.

What it is: the classes, their protocols towards asyncio (a client's connection,
a backend's connection), and the tick that joins what came in one turn of the
loop. What it is not: the work on them; `shapes.pxd` says where that stands.

How to read it: `Exchange.end_tick` is the order of things. Clients that had to
wait go on; then each connection to a backend writes once, whatever it gathered;
then each client is written to once. `Target`, `Pool` and `Shard` are the seam
for pools of other kinds: a pool decides, all else moves bytes.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer, Py_buffer
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free
from holdfast.engine.buf cimport buf_free
from holdfast.engine.state cimport S_PENDING, Engine, Session
from holdfast.engine.reply cimport wake
from holdfast.proxy.client cimport (
    client_abort, client_ended, client_flush, client_gone, client_made, client_resume, client_take)
from holdfast.proxy.hold cimport hold_release
from holdfast.proxy.link cimport (
    lane_of, link_fail, link_flush, link_made, link_mark, link_room, link_take, link_timer_fired)
from holdfast.proxy.slots cimport ring_free
from holdfast.server.poller cimport Poller, Polled

import errno

cdef enum:
    READ_BYTES = 64 * 1024


cdef char* writable(object buffer):
    cdef Py_buffer view
    cdef char* start
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
    start = <char*>view.buf
    PyBuffer_Release(&view)
    return start


cdef class Exchange:
    """What all parts of one proxy share: the engine of local commands, the tick, the verbs."""

    def __cinit__(self, Engine engine, node):
        self.engine = engine
        self.node = node
        self.dirty_links = []
        self.ready = []
        self.client_buffer = bytearray(READ_BYTES)
        self.link_buffer = bytearray(READ_BYTES)
        self.client_start = writable(self.client_buffer)
        self.link_start = writable(self.link_buffer)
        engine.open_tick = self.open_tick

    def __dealloc__(self):
        free(self.verbs)
        free(self.part_of)
        buf_free(&self.scratch)

    def start_polling(self):
        """Read beside the loop, where that can be done."""
        self.poller = Poller(self.loop, self.round_over, self.give_up)

    def stop_polling(self):
        """Give the poller back: all connections are closed."""
        if self.poller is not None:
            self.poller.close()
            self.poller = None

    def open_tick(self):
        """Begin a tick: set the time, and see to its end."""
        self.engine.tick_open = True
        self.now_ms = <int64_t>(self.loop.time() * 1000)
        self.engine.set_time(self.node.wall_ms())
        if self.poller is None or not self.poller.in_round:
            self.end_scheduled = True
            self.loop.call_soon(self.end_tick)

    def round_over(self):
        """All that had sent something has been read."""
        if self.engine.tick_open and not self.end_scheduled:
            self.end_tick()

    def end_tick(self):
        """Go on with clients that waited, then write to backends, then to clients."""
        cdef Client client
        cdef Link link
        cdef Session session
        cdef list batch
        self.end_scheduled = False
        while self.ready:
            batch = self.ready
            self.ready = []
            for client in batch:
                client.in_ready = False
                try:
                    client_resume(client)
                except Exception as fault:
                    self.give_up(client, fault)
        batch = self.dirty_links
        self.dirty_links = []
        for link in batch:
            link.dirty = False
            try:
                link_flush(link)
            except Exception as fault:
                self.give_up(link, fault)
        batch = self.engine.pending
        self.engine.pending = []
        for session in batch:
            session.flags &= ~S_PENDING
            if session.owner is not None:
                try:
                    client_flush(<Client>session.owner)
                except Exception as fault:
                    self.give_up(session.owner, fault)
        self.engine.tick_open = False
        if self.ready or self.dirty_links or self.engine.pending:
            self.open_tick()

    def give_up(self, connection, fault):
        """A fault of ours in the work on one connection: it ends, all others go on."""
        self.node.tell_fault(fault)
        connection.abort()

    def resume(self, Client client):
        """Let a client go on that waited for something outside (a subscription)."""
        self.go_on(client)

    def go_on(self, Client client):
        """Let a client go on at the end of this tick."""
        if not client.in_ready and not client.closed:
            client.in_ready = True
            self.ready.append(client)
            if not self.engine.tick_open:
                self.open_tick()


cdef class Target:
    """What a door leads to: a pool, or several behind routes."""

    cdef int shard_of(self, const char* key, size_t n) noexcept:
        return 0 if len(self.shards) == 1 else -1

    def ordinal_of(self, bytes key):
        """Return the ordinal of the shard that a key belongs to; -1: of none."""
        return self.shard_of(key, len(key))


cdef class Pool(Target):
    """Shards under one policy, and the decisions that the policy makes."""

    def __init__(self, Exchange exchange, str name):
        self.exchange = exchange
        self.name = name
        self.shards = []
        self.connections = 1
        self.hold_bytes = 64 << 20

    cdef Backend backend_for(self, Shard shard, bint writes, Client client):
        return shard._primary

    cdef bint take_error(self, Link link, Slot* slot, const char* line, size_t n) except -1:
        return False

    cdef int backend_failed(self, Backend backend, int errno_) except -1:
        return 0

    cdef int backend_answered(self, Backend backend) except -1:
        backend.failures = 0
        return 0


cdef class Shard:
    """One part of the keys: the backend that takes its writes, its replicas, and who waits for them."""

    def __init__(self, Pool pool, str name, int ordinal):
        self.pool = pool
        self.name = name
        self.ordinal = ordinal
        self.replicas = []

    def __dealloc__(self):
        ring_free(&self.held)

    @property
    def primary(self):
        """The backend that takes the writes; None while it is not known."""
        return self._primary

    @primary.setter
    def primary(self, Backend backend):
        self._primary = backend
        if backend is not None:
            hold_release(self)

    @property
    def held_count(self):
        """How many requests wait for a primary."""
        return self.held.count


cdef class Backend:
    """One server: an address that may change, its connections and counters."""

    def __init__(self, Pool pool, str name, str host, int port, int weight=1):
        self.pool = pool
        self.name = name
        self.host = host
        self.port = port
        self.weight = weight
        self.lanes = {}
        self.plain = lane_of(self, pool.database, PLAIN_PROTOCOL)

    def move(self, str host, int port):
        """Follow the server to another address: what was sent is lost, what was not goes there."""
        if (host, port) == (self.host, self.port):
            return
        self.host = host
        self.port = port
        self.disconnect(errno.ECONNRESET)

    def disconnect(self, int errno_=errno.ECONNRESET):
        """Close all connections; requests that were never written are routed anew where the pool holds."""
        cdef Lane lane
        cdef Link link
        for lane in list(self.lanes.values()):
            for link in [each for each in lane.links + lane.idle if each is not None]:
                link_fail(link, errno_, None)
            lane.idle = []

    def busy(self):
        """Whether a request waits for this server."""
        cdef Lane lane
        cdef Link link
        for lane in self.lanes.values():
            for link in lane.links:
                if link is not None and link.ring.count:
                    return True
        return False


cdef class Lane:
    """The connections to a backend that are in one database and speak one protocol."""

    def __init__(self, Backend backend, int database, int protocol):
        self.backend = backend
        self.database = database
        self.protocol = protocol
        self.links = [None] * max(1, backend.pool.connections)
        self.idle = []


cdef class Link(Polled):
    """One connection to a backend: an `asyncio.BufferedProtocol`."""

    def __cinit__(self, Lane lane, bint private):
        self.lane = lane
        self.exchange = lane.backend.pool.exchange
        self.private = private

    def __dealloc__(self):
        buf_free(&self.out)
        buf_free(&self.line)
        ring_free(&self.ring)

    # ---- the poller's ----

    cdef int take(self, const char* p, size_t n) except -1:
        return link_take(self, p, n)

    cdef int ended(self) except -1:
        return 0 if self.closed else link_fail(self, 0, None)

    cdef int broken(self) except -1:
        return 0 if self.closed else link_fail(self, errno.ECONNRESET, None)

    # ---- asyncio.BufferedProtocol ----

    def connection_made(self, transport):
        """The connection is there: what waits is written at the end of this tick."""
        if self.closed:
            transport.abort()
            return
        self.poller = self.exchange.poller
        link_made(self, transport)

    def connection_refused(self, int errno_):
        """There is no connection to be had."""
        if not self.closed:
            link_fail(self, errno_, None)

    def get_buffer(self, sizehint):
        """Return the buffer to read into."""
        return self.exchange.link_buffer

    def buffer_updated(self, Py_ssize_t nbytes):
        """Match what arrived with the requests."""
        link_take(self, self.exchange.link_start, nbytes)

    def data_received(self, bytes chunk):
        """Match what arrived with the requests."""
        link_take(self, chunk, len(chunk))

    def eof_received(self):
        """The server will say no more: nothing that waits will be answered."""
        self.ended()
        return False

    def connection_lost(self, exc):
        """The connection is gone."""
        if not self.closed:
            link_fail(self, getattr(exc, "errno", None) or 0, None)

    def pause_writing(self):
        """The transport holds enough."""
        self.blocked_writing = True

    def resume_writing(self):
        """The transport has room."""
        self.blocked_writing = False
        if not self.closed:
            link_mark(self)
            link_room(self)

    def abort(self):
        """Close now; what waits gets an error."""
        if not self.closed:
            link_fail(self, errno.ECONNABORTED, None)

    def time_out(self):
        """The first request's time may be over."""
        self.timer = None
        if not self.closed:
            link_timer_fired(self)

    @property
    def waiting(self):
        """How many requests wait for a reply."""
        return self.ring.count


cdef class Door:
    """Where clients come in: a listener, its target, its counters."""

    def __init__(self, str name, Target target):
        self.name = name
        self.target = target
        self.listeners = []


cdef class Client(Polled):
    """One client: an `asyncio.BufferedProtocol` around a `Session`."""

    def __cinit__(self, Exchange exchange, Door door, registry):
        self.exchange = exchange
        self.door = door
        self.registry = registry
        self.session = Session(exchange.engine, self)
        self.number = <uint32_t>self.session.id

    # ---- the poller's ----

    cdef int take(self, const char* p, size_t n) except -1:
        return client_take(self, p, n)

    cdef int ended(self) except -1:
        return 0 if self.closed else client_ended(self)

    cdef int broken(self) except -1:
        self.door.client_err += 1
        return client_abort(self)

    # ---- asyncio.BufferedProtocol ----

    def connection_made(self, transport):
        """Take the transport; the registry decides whether the client may stay."""
        self.poller = self.exchange.poller
        client_made(self, transport)

    def get_buffer(self, sizehint):
        """Return the buffer to read into."""
        return self.exchange.client_buffer

    def buffer_updated(self, Py_ssize_t nbytes):
        """Route what arrived."""
        client_take(self, self.exchange.client_start, nbytes)

    def data_received(self, bytes chunk):
        """Route what arrived."""
        client_take(self, chunk, len(chunk))

    def eof_received(self):
        """The client will send no more: close once what it sent is answered."""
        self.ended()
        return True

    def connection_lost(self, exc):
        """Forget the client."""
        if not self.closed:
            if exc is not None:
                self.door.client_err += 1
            client_gone(self, exc)

    def pause_writing(self):
        """The transport holds enough."""
        self.blocked_writing = True

    def resume_writing(self):
        """The transport has room: hand over what waits, then go on."""
        self.blocked_writing = False
        if not self.closed:
            wake(self.session)

    # ---- for the registry, as `holdfast.server.connection.Connection` has them ----

    cpdef flush(self):
        """Hand the waiting replies to the transport."""
        client_flush(self)

    cpdef abort(self):
        """Close now; what waits is dropped."""
        client_abort(self)

    def refuse(self, bytes message):
        """Say why the client may not stay, and close."""
        self.closed = True
        self.transport.write(message)
        self.transport.close()

    @property
    def is_closed(self):
        """Whether the connection has ended."""
        return self.closed

    @property
    def is_full(self):
        """Whether the transport holds more than its high mark."""
        return self.blocked_writing

    @property
    def write_buffer_bytes(self):
        """Reply bytes that the transport holds."""
        return self.transport.get_write_buffer_size() if self.transport is not None and not self.closed else 0

    @property
    def is_idle(self):
        """Whether the client waits for nothing."""
        return self.pending == 0 and self.session.output_bytes == 0 and not self.blocked_writing
