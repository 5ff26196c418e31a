"""The connection: one client's socket and its session.

What it is: the thin part between a socket and a `Session`. Bytes that arrive are
executed in place out of one read buffer that all connections of a node share;
replies leave at the end of the tick, by `flush`. Both go past the loop's transport
where there is a poller. What it is not: policy. Whom to accept, what to log and when
to give up is the node's.

Back-pressure: while the transport holds more than its high mark, replies stay
in the session, the session stops executing above OUTPUT_PAUSE, and reading
stops as soon as requests wait in the session's input.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyObject_GetBuffer, PyBuffer_Release, Py_buffer
from holdfast.engine.buf cimport buf_consume, buf_free
from holdfast.engine.effects cimport effects_before_unit
from holdfast.engine.held cimport free_bytes, shift_held
from holdfast.engine.dispatch cimport serve
from holdfast.engine.reply cimport wake
from holdfast.engine.request cimport feed
from holdfast.engine.state cimport (
    OUTPUT_PAUSE, S_BLOCKED, S_CLOSE_AFTER, S_CLOSING, S_ENDED, S_EXECUTING,
    S_PENDING, Engine, Session)
from holdfast.server.poller cimport Poller, Polled

cdef extern from "errno.h":
    int ECONNRESET
cdef extern from "unistd.h":
    ssize_t read(int descriptor, void* p, size_t n)
    ssize_t write(int descriptor, const void* p, size_t n)

cdef enum:
    KEEP_OUTPUT = 16 * 1024     # an empty reply buffer larger than this is given back
    HELD_UNJUDGED = 1024        # shorter replies that wait for acknowledgements are judged by nobody
    INPUT_PAUSE = 1 << 20       # a session that may not run reads ahead no more than this


cdef class Connection(Polled):
    """One client: an `asyncio.BufferedProtocol` around a `Session`."""

    def __cinit__(self, node, Engine engine, read_buffer, Poller poller=None):
        self.poller = poller
        cdef Py_buffer view
        self.node = node
        self.session = Session(engine, self)
        self.read_buffer = read_buffer
        PyObject_GetBuffer(read_buffer, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        self.read_start = <char*>view.buf
        PyBuffer_Release(&view)

    # ---- asyncio.BufferedProtocol ----

    def connection_made(self, transport):
        """Take the transport; the node decides whether the client may stay."""
        earlier = self.transport        # it was served before the loop had time for it
        if earlier is None:
            self.met(transport)
            self.node.connection_opened(self)
        elif self.closed or peer_of(earlier) != peer_of(transport):
            transport.abort()           # sent away meanwhile, or another client's
        else:
            self.met(transport)

    def stand_in(self, transport):
        """Take what writes for a client that the loop has not announced yet."""
        self.transport = transport
        self.node.connection_opened(self)

    def get_buffer(self, sizehint):
        """Return the buffer to read into."""
        return self.read_buffer

    def buffer_updated(self, Py_ssize_t nbytes):
        """Execute what arrived."""
        self.take(self.read_start, nbytes)

    def data_received(self, bytes chunk):
        """Execute what arrived (loops that ask for `asyncio.BufferedProtocol` by class come here)."""
        self.take(chunk, len(chunk))

    cdef int take(self, const char* p, size_t n) except -1:
        cdef Session s = self.session
        cdef Engine e = s.engine
        if self.closed:
            return 0
        if not e.tick_open:
            e.open_tick()
        s.active_ms = e.ks.now_ms
        e.net_input_bytes += n
        e.reads += 1
        feed(s, p, n)
        if s.input.len > INPUT_PAUSE or s.out.len > OUTPUT_PAUSE:
            self.hold_reading()
        return 0

    def eof_received(self):
        """The client will send no more: close once what it sent is executed and answered."""
        cdef Session s = self.session
        s.flags |= S_ENDED
        wake(s)
        return True

    def connection_lost(self, exc):
        """Forget the client."""
        if not self.closed:
            self.closed = True
            self.left()
            self.node.connection_closed(self, exc)

    def pause_writing(self):
        """The transport holds enough."""
        self.blocked_writing = True

    def resume_writing(self):
        """The transport has room: hand over what waits, then go on executing."""
        self.blocked_writing = False
        if not self.closed:
            wake(self.session)
            if self.session.replica is not None:
                self.session.replica.writable()

    # ---- the poller's ----

    cdef int ended(self) except -1:
        self.eof_received()
        return 0

    cdef int broken(self) except -1:
        self.transport.abort()
        self.connection_lost(ConnectionResetError(ECONNRESET, "Connection reset by peer"))
        return 0

    # ---- for the node ----

    cdef void hold_reading(self) noexcept:
        if not self.paused_reading and not self.closed and self.transport is not None and self.must_hold():
            self.read_on(False)

    cdef bint must_hold(self) noexcept:
        """Whether no more may be read: too many replies wait, or requests wait that may not run.

        A single request may be as long as it likes (within its own limits).
        """
        if self.session.out.len > OUTPUT_PAUSE:
            return True
        return self.session.flags & S_BLOCKED and self.session.input.len > INPUT_PAUSE

    cpdef flush(self):
        """Hand the waiting replies to the transport; go on with requests that had to wait."""
        cdef Session s = self.session
        cdef size_t n
        if self.closed:
            return
        n = free_bytes(s)
        if n and not self.blocked_writing:
            self.put(s.out.ptr, n)
            s.bytes_out += n
            s.engine.net_output_bytes += n
            s.engine.writes += 1
            if n < s.out.len:
                buf_consume(&s.out, n)
                shift_held(s, n)
            else:
                s.out.len = 0
                if s.out.cap > KEEP_OUTPUT:
                    buf_free(&s.out)
        if s.flags & S_ENDED and not s.out.len:
            if s.input.len == self.left_at_end or s.flags & S_BLOCKED:
                s.flags |= S_CLOSE_AFTER
            self.left_at_end = s.input.len
        if s.input.len and not s.out.len and not s.flags & S_BLOCKED:
            # What had to wait runs in a tick of its own: its effects leave before its replies.
            s.engine.unblocked.append(s)
        if s.out.len > HELD_UNJUDGED or (s.out.len and not s.held_count):
            self.node.output_waits(self)
        if s.flags & S_CLOSING:
            self.abort()
        elif s.flags & S_CLOSE_AFTER and not s.out.len:
            self.closed = True
            self.left()
            self.transport.close()
            self.node.connection_closed(self, None)
        elif self.paused_reading and not self.must_hold():
            self.read_on(True)

    cpdef abort(self):
        """Close now; what waits is dropped."""
        if not self.closed:
            self.closed = True
            self.left()
            if self.transport is not None:
                self.transport.abort()
            self.node.connection_closed(self, None)

    cpdef finish(self):
        """Close for us, while the other end still gets what was sent to it; read no more of it."""
        if not self.closed:
            self.closed = True
            self.left()
            if not self.transport.is_closing():
                try:
                    self.transport.write_eof()
                except OSError:     # the other end has gone, and the loop does not know it yet
                    pass
            self.node.connection_closed(self, None)

    cpdef send(self, chunk):
        """Write past the session: the stream of a replica."""
        cdef Py_buffer view
        if self.fd < 0 or self.blocked_writing:
            self.spilled = self.keeps_more
            self.transport.write(chunk)
            return
        PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE)
        try:
            self.put(<const char*>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def keep_more(self, size_t high):
        """Let the transport hold up to this before it says that it is full."""
        self.keeps_more = self.spilled = True
        self.transport.set_write_buffer_limits(high)

    cpdef refuse(self, bytes message):
        """Say why the client may not stay, and close."""
        self.closed = True
        self.transport.write(message)
        self.transport.close()

    def serve_directly(self, int descriptor, bint arrived=True):
        """Read (if bytes have arrived), execute and answer beside the loop; False: leave it to the loop.

        A session whose replies wait for effects from before the script, or for
        acknowledgements, is passed over, and so is the one that runs the script.
        """
        cdef Session s = self.session
        cdef char chunk[16384]
        cdef ssize_t n
        if self.closed or s.flags & (S_BLOCKED | S_EXECUTING | S_CLOSING | S_CLOSE_AFTER):
            return False
        if s.held_count or self.blocked_writing or (s.out.len and effects_before_unit(s.engine)):
            return False
        if self.transport.get_write_buffer_size():
            return False
        if arrived:
            n = read(descriptor, chunk, sizeof(chunk))
            if n <= 0:
                return False
            feed(s, chunk, n)
        n = write(descriptor, s.out.ptr, s.out.len) if s.out.len else 0
        if n > 0:
            s.bytes_out += n
            buf_consume(&s.out, n)
        return s.out.len == 0

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


cdef object peer_of(transport):
    """Address and port of the other end; "" on a unix socket."""
    return transport.get_extra_info("peername")[:2]


cdef int hand_out_replies(Engine engine) except -1:
    cdef Session s
    cdef list pending
    cdef Connection connection
    while engine.pending:
        pending = engine.pending
        engine.pending = []
        for s in pending:
            s.flags &= ~S_PENDING
            if s.owner is not None:
                if type(s.owner) is Connection:
                    connection = <Connection>s.owner
                    connection.flush()
                else:
                    s.owner.flush()
    return 0


def flush_pending(Engine engine):
    """Hand out the replies of every session that has some (the end of a tick)."""
    hand_out_replies(engine)


def serve_waiting(Engine engine):
    """Execute what sessions had to leave waiting in their input."""
    serve(engine)
