"""Reading and writing without the loop's help: one epoll set for all connections of a node.

What it is: a short cut. The loop calls a protocol through several layers for each
connection that has bytes, and puts what is written off to its next turn; at pipeline 1
that is a third of all work outside the kernel. So the descriptors stand in an epoll set
of their own, the loop watches that set's descriptor, and one call of it reads from all
that are ready: a round, at whose end the node ends its tick. Replies are written to the
descriptor; what it does not take waits in the transport. What it is not: a loop.
Connections are made and closed by asyncio's transports. Where there is no epoll or no
descriptor (macOS, the simulator) the transport reads and writes.

How to read it: `Polled` is what a connection inherits, `PolledProtocol` lends it to a protocol
written in Python (`Taker` takes the bytes past it), `Poller.ready` is a round, `Poller.guess` spares
it the question who is ready, `Poller.next_ready` a sleep where the next bytes are near
(docs/decisions/awake-for-who-comes-at-once.md).
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyObject_GetBuffer, PyBuffer_Release, Py_buffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

cdef extern from *:
    """
    #include <errno.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <unistd.h>
    #if defined(__linux__)
    #include <sys/epoll.h>
    #define hf_poll_new() epoll_create1(EPOLL_CLOEXEC)
    static int hf_poll_set(int set, int how, int descriptor, int reads) {
        struct epoll_event event;
        memset(&event, 0, sizeof(event));
        event.events = reads ? EPOLLIN : 0;
        event.data.fd = descriptor;
        return epoll_ctl(set, how == 0 ? EPOLL_CTL_ADD : how == 1 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL,
                         descriptor, &event);
    }
    /* Who is ready: descriptors, and whether there is something to read (else the connection died). */
    static int hf_poll_wait(int set, int* descriptors, int* reads, int most) {
        struct epoll_event events[256];
        int i, n = epoll_wait(set, events, most < 256 ? most : 256, 0);
        for (i = 0; i < n; i++) {
            descriptors[i] = events[i].data.fd;
            reads[i] = (events[i].events & EPOLLIN) != 0;
        }
        return n;
    }
    #else
    #define hf_poll_new() (-1)
    static int hf_poll_set(int set, int how, int descriptor, int reads) { return -1; }
    static int hf_poll_wait(int set, int* descriptors, int* reads, int most) { return 0; }
    #endif
    /* recv and send, not read and write: the kernel's way to a socket is shorter by the layer of files. */
    static ssize_t hf_read(int descriptor, void* to, size_t most) {
        ssize_t n;
        do n = recv(descriptor, to, most, 0); while (n < 0 && errno == EINTR);
        return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? -2 : n;
    }
    static ssize_t hf_write(int descriptor, const void* p, size_t n) {
        return send(descriptor, p, n, 0);
    }
    """
    int hf_poll_new() nogil
    int hf_poll_set(int set, int how, int descriptor, int reads) nogil
    int hf_poll_wait(int set, int* descriptors, int* reads, int most) nogil
    ssize_t hf_read(int descriptor, void* to, size_t most) nogil
    ssize_t hf_write(int descriptor, const void* p, size_t n) nogil
cdef extern from "errno.h":
    int ECONNRESET
cdef extern from "unistd.h":
    int close_descriptor "close"(int descriptor) nogil

cdef enum:
    READY_MOST = 256
    READ_BYTES = 128 * 1024
    GUESSES_MOST = 8
    WAKING_US = 50          # what wakes us has come up to so long ago
    TRUST_MOST = 32
    LATE_COSTS = 4          # so often in time weighs up one time too late
    NO_TRUST = -64


def descriptor_of(transport):
    """Return the descriptor of a transport's socket, -1 where it has none (a simulated one)."""
    socket = transport.get_extra_info("socket")
    return -1 if socket is None or not hasattr(socket, "fileno") else socket.fileno()


cpdef int trust_after(int trust, bint soon) noexcept:
    """Return the trust that the next bytes come at once, after they did or did not.

    Above 0 it is worth staying awake for them. It stays there while they come at once four times in five;
    once lost it takes long to come back, so that trying in vain costs next to nothing.
    """
    if soon:
        return min(trust + 1, TRUST_MOST)
    return NO_TRUST if 0 < trust <= LATE_COSTS else max(trust - LATE_COSTS, NO_TRUST)


cdef class Polled:
    """A connection that is read by the poller, where there is one, else by its transport.

    `take`, `ended` and `broken` are each connection's own: what stands here only says that it lacks one.
    """

    def __cinit__(self, *arguments):
        self.fd = self.follower = -1

    cdef int take(self, const char* p, size_t n) except -1:
        """Bytes arrived; they are in a buffer that others use next."""
        raise NotImplementedError

    cdef int ended(self) except -1:
        """The other end will send no more."""
        raise NotImplementedError

    cdef int broken(self) except -1:
        """The connection is lost."""
        raise NotImplementedError

    cdef int met(self, object transport) except -1:
        self.transport = transport
        if self.poller is not None and self.poller.fd >= 0:
            self.fd = descriptor_of(transport)
        if self.fd >= 0:
            transport.set_write_buffer_limits(0)    # so `blocked_writing` tells whether it holds anything
            self.poller.loop.call_soon(self.adopt)  # before that the transport would not let go
        return 0

    def adopt(self):
        """Let the poller read from now on."""
        if self.fd >= 0 and not self.closed and not self.transport.is_closing() and self.poller.watch(self):
            self.polled = True
            self.transport.pause_reading()

    cdef int read_on(self, bint on) except -1:
        self.paused_reading = not on
        if self.polled:
            self.poller.change(self)
        elif on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
        return 0

    cdef int left(self) except -1:
        if self.polled:
            self.polled = False
            self.poller.forget(self)
        self.fd = -1
        return 0

    cdef int put(self, const char* p, size_t n) except -1:
        cdef ssize_t done = 0
        if self.spilled and not self.transport.get_write_buffer_size():
            self.spilled = False
        if self.fd >= 0 and not self.blocked_writing and not self.spilled:
            done = hf_write(self.fd, p, n)
            if done < 0:
                done = 0        # of whatever kind: the transport will meet it again and tell
        if <size_t>done < n:
            self.spilled = self.keeps_more
            self.transport.write(PyBytes_FromStringAndSize(p + done, n - done))
        return 0


cdef class Taker:
    """Who takes the bytes of a connection from a `PolledProtocol`, without a Python object for them."""

    cdef int take_bytes(self, const char* p, size_t n) except -1:
        raise NotImplementedError


cdef class PolledProtocol(Polled):
    """The socket of a protocol in Python: what arrives comes to its `data_received` all the same.

    With a `taker` it goes there, if it was the poller that read it; a transport knows only the protocol.

    The protocol makes one in its `connection_made`, writes through it, passes its `pause_writing` and
    `resume_writing` on, and ends the connection here and not at the transport.
    """

    def __cinit__(self, protocol, transport, Poller poller=None):
        self.protocol = protocol
        self.poller = poller
        self.met(transport)

    cdef int take(self, const char* p, size_t n) except -1:
        if self.taker is not None:
            return self.taker.take_bytes(p, n)
        self.protocol.data_received(PyBytes_FromStringAndSize(p, n))
        return 0

    cdef int ended(self) except -1:
        self.abort()
        return 0

    cdef int broken(self) except -1:
        self.abort()
        self.protocol.connection_lost(ConnectionResetError(ECONNRESET, "Connection reset by peer"))
        return 0

    def write(self, chunk):
        """Write what the socket takes now; the rest waits in the transport."""
        cdef Py_buffer view
        PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE)
        try:
            self.put(<const char*>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def pause_reading(self):
        """Leave what arrives in the socket."""
        self.read_on(False)

    def resume_reading(self):
        """Read again."""
        self.read_on(True)

    def pause_writing(self):
        """The transport holds enough."""
        self.blocked_writing = True

    def resume_writing(self):
        """The transport has room."""
        self.blocked_writing = False

    def abort(self):
        """Close now; the protocol's `connection_lost` follows."""
        if not self.closed:
            self.closed = True
            self.taker = None
            self.left()
            self.transport.abort()


cdef class Poller:
    """The epoll set of one node.

    `over()`, or the `round_over` of a `Pulse`, is called at the end of each round, `on_fault(connection,
    fault)` when the work on one connection raises: it ends, all others go on. With a `Pulse` and the
    machine's clock it stays awake up to `patience_us` for who is expected.
    """

    def __cinit__(self, loop, over, on_fault, clock=None):
        self.loop = loop
        self.over = over
        self.pulse = over if isinstance(over, Pulse) else None
        self.on_fault = on_fault
        self.clock = clock if isinstance(clock, MachineClock) else None
        self.patience_us = 0
        self.watched = {}
        self.buffer = <char*>malloc(READ_BYTES)
        if self.buffer == NULL:
            raise MemoryError
        self.fd = hf_poll_new()
        if self.fd >= 0:
            try:
                loop.add_reader(self.fd, self.ready)
            except (NotImplementedError, AttributeError):   # a loop without descriptors: the simulator's
                self.close()

    def __dealloc__(self):
        free(self.buffer)
        free(self.places)

    def close(self):
        """Give the set back."""
        if self.fd >= 0:
            try:
                self.loop.remove_reader(self.fd)
            except (NotImplementedError, AttributeError):   # it was refused when this began
                pass
            close_descriptor(self.fd)
            self.fd = -1
        self.forget_all()

    cdef int forget_all(self) except -1:
        self.watched = {}
        self.last = None
        if self.places != NULL:
            memset(self.places, 0, self.place_count * sizeof(PyObject*))
        return 0

    cdef bint watch(self, Polled connection) except -1:
        if self.fd < 0 or hf_poll_set(self.fd, 0, connection.fd, not connection.paused_reading) < 0:
            return False
        self.watched[connection.fd] = connection
        if connection.fd >= self.place_count:
            self.make_places(connection.fd)
        self.places[connection.fd] = <PyObject*>connection
        return True

    cdef int make_places(self, int descriptor) except -1:
        cdef int count = descriptor * 2 + 64
        cdef PyObject** places = <PyObject**>realloc(self.places, count * sizeof(PyObject*))
        if places == NULL:
            raise MemoryError
        memset(places + self.place_count, 0, (count - self.place_count) * sizeof(PyObject*))
        self.places = places
        self.place_count = count
        return 0

    cdef Polled at(self, int descriptor):
        """Who is watched by this descriptor."""
        if 0 <= descriptor < self.place_count and self.places[descriptor] != NULL:
            return <Polled>self.places[descriptor]
        return None

    cdef int change(self, Polled connection) except -1:
        hf_poll_set(self.fd, 1, connection.fd, not connection.paused_reading)
        return 0

    cdef int forget(self, Polled connection) except -1:
        if self.watched.get(connection.fd) is connection:
            self.places[connection.fd] = NULL
            del self.watched[connection.fd]
            hf_poll_set(self.fd, 2, connection.fd, 0)
        if self.last is connection:
            self.last = None
        return 0

    def ready(self):
        """Read from every connection that has bytes."""
        cdef int descriptors[READY_MOST]
        cdef int has_bytes[READY_MOST]
        cdef int count
        cdef Polled connection = self.guess()
        if self.slept_from_us:
            self.note_pause(self.clock.boot() - self.slept_from_us <= self.patience_us + WAKING_US)
        self.in_round = True
        if connection is not None and self.serve(connection, True):
            self.last = connection if connection.polled else None
        else:
            self.serve_all(descriptors, has_bytes, hf_poll_wait(self.fd, descriptors, has_bytes, READY_MOST))
        if self.end_round() and self.expects_somebody():
            count = self.next_ready(descriptors, has_bytes)
            if count > 0:
                self.in_round = True
                self.serve_all(descriptors, has_bytes, count)
                self.end_round()

    cdef int serve_all(self, int* descriptors, int* has_bytes, int count) except -1:
        cdef Polled connection
        cdef int i
        self.guesses = 0
        if count == 1:
            self.note_alone(self.at(descriptors[0]))
        else:
            self.last = None
        for i in range(count):
            connection = self.at(descriptors[i])
            if connection is not None:
                self.serve(connection, has_bytes[i])
        return 0

    cdef bint end_round(self) except -1:
        self.in_round = False
        if self.pulse is not None:
            return self.pulse.round_over()
        self.over()
        return False

    # ---- who comes next ----

    cdef bint expects_somebody(self) noexcept:
        """Whether two take turns, and it is the other's: a reader after the stream, for one."""
        cdef Polled last = self.last
        if last is None or not last.is_sure or last.follower == last.fd:
            return False
        return self.patience_us > 0 and self.clock is not None and self.fd >= 0

    cdef int next_ready(self, int* descriptors, int* has_bytes) except -1:
        """Return how many are ready within the patience, if somebody is trusted to be; 0: sleep.

        The way into a sleep and out of it takes longer than all that is done for a short request. It is done
        once a turn of the loop, so that the loop's own work waits no longer than this.
        """
        cdef MachineClock clock = self.clock
        cdef int64_t now_us = clock.boot()
        cdef int64_t until_us = now_us + self.patience_us
        cdef int fd = self.fd
        cdef int count = 0
        if self.last.trust <= 0:
            self.slept_from_us = now_us
            return 0
        with nogil:
            while count == 0 and now_us < until_us:
                count = hf_poll_wait(fd, descriptors, has_bytes, READY_MOST)
                now_us = clock.boot()
        self.note_pause(count > 0)
        return count if count > 0 else 0

    cdef int note_pause(self, bint was_short) except -1:
        """The next bytes came soon after the last round, or late."""
        self.slept_from_us = 0
        if self.last is not None:
            self.last.trust = trust_after(self.last.trust, was_short)
        return 0

    cdef Polled guess(self):
        """A call of the kernel less where few clients take turns: who comes next is who came next before.

        A wrong guess finds nothing to read. Now and then the set is asked all the same, so that nobody
        waits for long while somebody else is right again and again.
        """
        cdef Polled connection
        if self.last is None or not self.last.is_sure or self.guesses == GUESSES_MOST:
            return None
        connection = self.at(self.last.follower)
        if connection is None or connection.paused_reading:
            return None
        self.guesses += 1
        return connection

    cdef int note_alone(self, Polled connection) except -1:
        if self.last is not None and connection is not None:
            self.last.is_sure = self.last.follower == connection.fd
            self.last.follower = connection.fd
        self.last = connection
        return 0

    cdef bint serve(self, Polled connection, bint has_bytes) except -1:
        try:
            return self.read_from(connection, has_bytes)
        except Exception as fault:
            self.on_fault(connection, fault)
            return True

    cdef bint read_from(self, Polled connection, bint has_bytes) except -1:
        cdef ssize_t n = hf_read(connection.fd, self.buffer, READ_BYTES) if has_bytes else -1
        if n == -2:
            return False
        if n > 0:
            connection.take(self.buffer, n)
        elif n == 0:
            connection.polled = False
            self.forget(connection)
            connection.ended()
        else:
            connection.broken()
        return True
