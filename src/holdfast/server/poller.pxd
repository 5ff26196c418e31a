# Sockets read and written without the loop's help: one epoll set for all connections of a node.

cdef class Polled:
    """A connection that is read by the poller, where there is one, else by its transport."""
    cdef object __weakref__
    cdef readonly object transport
    cdef Poller poller              # None: the transport reads
    cdef int fd                     # written to directly; -1: only through the transport
    cdef bint polled                # read by the poller, not by the transport
    cdef readonly bint closed
    cdef bint blocked_writing       # the transport holds what the socket did not take
    cdef bint paused_reading
    cdef bint keeps_more            # the transport may hold bytes without being blocked
    cdef bint spilled               # with `keeps_more`: it got some, and may hold them still
    # What arrived; the other end will send no more; the connection is lost.
    cdef int take(self, const char* p, size_t n) except -1
    cdef int ended(self) except -1
    cdef int broken(self) except -1
    # The transport is there: be read by the poller as soon as the loop lets go of it.
    cdef int met(self, object transport) except -1
    cdef int read_on(self, bint on) except -1
    # No more of the poller; called when `closed` is set.
    cdef int left(self) except -1
    # Write: what the socket does not take now waits in the transport.
    cdef int put(self, const char* p, size_t n) except -1

# Who takes what arrives where it stands, past a protocol written in Python.
cdef class Taker:
    cdef int take_bytes(self, const char* p, size_t n) except -1

# A connection whose protocol is written in Python.
cdef class PolledProtocol(Polled):
    cdef object protocol
    cdef public Taker taker         # while the protocol has set one, what the poller reads goes there

cdef class Poller:
    cdef int fd                     # of the set; -1: there is none here
    cdef readonly bint in_round     # it reads: at the round's end it calls `over`
    cdef dict watched               # descriptor: Polled
    cdef object loop
    cdef object over
    cdef object on_fault
    cdef char* buffer
    # Watch a connection for bytes, or (paused) only for its death.
    cdef bint watch(self, Polled connection) except -1
    cdef int change(self, Polled connection) except -1
    cdef int forget(self, Polled connection) except -1
    cdef int read_from(self, Polled connection, bint has_bytes) except -1
