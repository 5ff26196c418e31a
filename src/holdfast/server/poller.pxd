# Sockets read and written without the loop's help: one epoll set for all connections of a node.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from holdfast.engine.pulse cimport Pulse
from holdfast.server.machine_clock cimport MachineClock

cpdef int trust_after(int trust, bint soon) noexcept

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
    cdef int follower               # who was read alone in the round after this one was; -1: not known
    cdef bint is_sure               # it was the same the time before
    cdef int trust                  # that the next bytes come at once after it: see `trust_after`
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
    cdef PyObject** places          # the same, borrowed, by descriptor; NULL where there is none
    cdef int place_count
    cdef Polled last                # who was read alone in the last round; None: there were several
    cdef int guesses                # rounds since the set was asked
    cdef object loop
    cdef object over
    cdef Pulse pulse                # the same, where it is one
    cdef MachineClock clock         # None: it never stays awake
    cdef public int patience_us     # how long it stays awake for who is expected
    cdef int64_t slept_from_us      # where the trust in who was served last depends on it; else 0
    cdef object on_fault
    cdef char* buffer
    cdef int forget_all(self) except -1
    cdef int make_places(self, int descriptor) except -1
    # Watch a connection for bytes, or (paused) only for its death.
    cdef bint watch(self, Polled connection) except -1
    cdef int change(self, Polled connection) except -1
    cdef int forget(self, Polled connection) except -1
    cdef Polled at(self, int descriptor)
    # Who will have been read alone in this round, by what came after the last one before; or None.
    cdef Polled guess(self)
    cdef int note_alone(self, Polled connection) except -1
    cdef int serve_all(self, int* descriptors, int* has_bytes, int count) except -1
    # False: work is left for the loop, which must have its turn.
    cdef bint end_round(self) except -1
    cdef bint expects_somebody(self) noexcept
    cdef int next_ready(self, int* descriptors, int* has_bytes) except -1
    cdef int note_pause(self, bint was_short) except -1
    # False: there was nothing to read.
    cdef bint read_from(self, Polled connection, bint has_bytes) except -1
    cdef bint serve(self, Polled connection, bint has_bytes) except -1
