"""Applying a primary's stream: the hot end of `upstream`, compiled.

What this is: what happens to each piece of the stream. It is executed; whole units are forwarded
verbatim to this node's own replicas; a request that is not whole waits for its rest; where a member
set counts on this copy the end of the tick acknowledges.

What this is not: the link (`upstream_link`) or anything rare: `upstream` is told.

How to read it: `take_bytes` is where the poller hands over what it has read, `receive` where a
transport's protocol does; both end in `apply`.

Only whole units count as applied: bytes of an open MULTI are forwarded and acknowledged when its EXEC
has run, so a link cut in between repeats the unit.
"""

from holdfast.engine.buf cimport buf_append, buf_consume, buf_free, buf_reserve
from holdfast.engine.request cimport Applied, apply_requests

cdef enum:
    RESERVE_MOST = 1 << 26      # more than this is not reserved on a primary's word alone
    KEEP_BYTES = 64 * 1024      # an empty buffer larger than this is given back


cdef class Applier(Taker):
    """The stream from one node's primary."""

    def __cinit__(self, node, StreamFeed stream not None, owner):
        self.engine = node.engine
        self.counters = node.traffic
        self.clock = node.host.clock
        self.machine = self.clock if isinstance(self.clock, MachineClock) else None
        self.stream = stream
        self.owner = owner
        self.heard_us = -1

    def __dealloc__(self):
        buf_free(&self.rest)
        buf_free(&self.open_unit)

    # ---- signs of life ----

    cdef int hear(self, size_t n) except -1:
        self.counters.replication_input_bytes += n
        self.heard_us = self.machine.boot() if self.machine is not None else self.clock.boot_us()
        return 0

    def heard(self, size_t count):
        """Note that the primary lives, and has sent so many bytes."""
        self.hear(count)

    @property
    def heard_at_ms(self):
        """Return when the primary was last heard, None if it never was."""
        return self.heard_us // 1000 if self.heard_us >= 0 else None

    # ---- the stream begins and ends ----

    def begin(self, Session session not None, bint is_bound):
        """Apply from now on, as this session."""
        self.end()
        self.session = session
        self.is_bound = is_bound

    def end(self):
        """Apply no more; what is not whole is forgotten."""
        self.session = None
        self.acknowledges = False
        self.needs = 0
        buf_free(&self.rest)
        buf_free(&self.open_unit)

    @property
    def rest_bytes(self):
        """Return how much waits of a request that is not whole."""
        return self.rest.len

    @property
    def unit(self):
        """Return what was executed of a MULTI whose EXEC is to come."""
        return self.open_unit.ptr[:self.open_unit.len] if self.open_unit.len else b""

    # ---- bytes ----

    cdef int take_bytes(self, const char* p, size_t n) except -1:
        self.hear(n)
        return self.apply(p, n)

    def receive(self, bytes chunk not None):
        """Take a piece of the stream; `heard` was told of it."""
        self.apply(chunk, len(chunk))

    cdef int apply(self, const char* p, size_t n) except -1:
        cdef Session session = self.session
        cdef Buf held
        cdef ssize_t taken
        if session is None:
            return 0
        if not self.rest.len:
            taken = self.execute(session, p, n)
            if self.session is session and <size_t>taken < n:
                if self.rest.cap < self.needs <= RESERVE_MOST:
                    buf_reserve(&self.rest, self.needs)
                buf_append(&self.rest, p + taken, n - taken)
            return 0
        buf_append(&self.rest, p, n)
        if self.rest.len < self.needs:
            return 0
        held = self.rest        # lent out while requests borrow from it
        self.rest.ptr = NULL
        self.rest.len = 0
        self.rest.cap = 0
        try:
            taken = self.execute(session, held.ptr, held.len)
            if self.session is session:
                buf_consume(&held, taken)
                if held.len or held.cap <= KEEP_BYTES:
                    self.rest = held
                    held.ptr = NULL
        finally:
            buf_free(&held)
        return 0

    cdef ssize_t execute(self, Session session, const char* p, size_t n) except -1:
        """Execute what is whole, forward what is settled; return the bytes executed."""
        cdef Applied applied
        cdef list records
        if not self.engine.tick_open:
            self.engine.open_tick()
        try:
            records = apply_requests(session, p, n, &applied)
        except ValueError as error:
            self.owner.stream_is_broken(str(error))
            return n
        if self.session is session:     # else a command of the stream has ended the link
            self.needs = applied.needed
            self.settle(session, p, applied.settled, applied.taken, records)
        return applied.taken

    cdef int settle(self, Session session, const char* p, size_t settled, size_t taken, list records) except -1:
        """Forward the units that are whole, keep what is executed of an open one, tell who has to know."""
        if settled:
            if self.open_unit.len:
                self.stream.forward(self.open_unit.ptr, self.open_unit.len)
                self.open_unit.len = 0
                if self.open_unit.cap > KEEP_BYTES:
                    buf_free(&self.open_unit)
            self.stream.forward(p, settled)
        if taken > settled:
            buf_append(&self.open_unit, p + settled, taken - settled)
        else:
            self.database = session.db.id
        if records is not None:
            for text in records:
                self.owner.record_in_stream(text)
        if settled:
            if self.is_awaited:
                self.owner.applied()
            if self.is_bound and self.session is session:
                self.acknowledges = True
        return 0
