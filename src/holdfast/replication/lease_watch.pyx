"""The lease in each tick: the clock before anything runs, and again before replies leave.

What it is: the hot ends of `lease_keeper`, compiled, for every tick of a primary under a lease goes
through them. As long as the lease lasts they compare two numbers; whatever else is to be done is
the keeper's, in Python. What it is not: the decision when a lease ends (`lease`), or what follows
from that (`lease_keeper`).

How to read it: `begin` and `end`, of a tick.
"""

from holdfast.server.machine_clock cimport MachineClock


cdef class LeaseWatch:
    """The lease's end as ticks ask for it. `look` and `hold_replies` are the keeper's."""

    def __cinit__(self, node, *more):
        self.engine = node.engine
        self.clock = node.host.clock
        self.machine = self.clock if isinstance(self.clock, MachineClock) else None

    cdef int64_t now_us(self) except? -1:
        return self.machine.boot() if self.machine is not None else self.clock.boot_us()

    cdef int begin(self) except -1:
        if self.is_watched:
            self.dirty = self.engine.dirty
            self.has_lapsed = False
            if self.is_missing or self.now_us() >= self.sure_until_us:
                self.look()
        return 0

    cdef int end(self) except -1:
        if not self.is_watched or self.engine.dirty == self.dirty:
            return 0
        if not self.is_missing:
            if self.now_us() < self.sure_until_us:
                return 0
            self.look()
        if self.is_missing and self.has_lapsed:
            self.hold_replies()
        return 0

    def end_tick(self):
        """Look at the clock again before replies leave; what was written without a lease is held."""
        self.end()

    def look(self):
        """Go where the clock says."""
        raise NotImplementedError

    def hold_replies(self):
        """Hold the replies of this tick."""
        raise NotImplementedError
