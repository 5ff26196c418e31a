"""The pulse of a data node, compiled: the order in which one turn of the event loop is done.

What it is: a tick. The first bytes that arrive open it (the time is set), everything that came is
executed, and at its end the effects go to whoever takes them (the node's `sinks`: AOF, then
replication) and then the replies leave. What it is not: the work; each part does its own, and where it
has none it is not called.

How to read it: `open_tick`, `round_over`, `finish`. With a poller a tick ends when all that had sent
something has been read; without one (the simulator) at the loop's next turn.
"""

from holdfast.engine import blocking
from holdfast.engine.dispatch cimport serve
from holdfast.engine.effects cimport hand_out
from holdfast.engine.engine_time cimport set_engine_time
from holdfast.engine.expiry cimport expire_fast
from holdfast.persistence.aof_writer import State
from holdfast.server.connection cimport hand_out_replies

cdef enum:
    TICKS_A_MEASUREMENT = 32    # one in so many is timed; INFO's loop durations are estimates from these


cdef class Tick(Pulse):
    """The ticks of one data node."""

    def __cinit__(self, node):
        self.engine = node.engine
        self.clock = node.host.clock
        self.machine = self.clock if isinstance(self.clock, MachineClock) else None
        self.lease = node.replication.lease
        self.replication = node.replication.tick
        self.counters = node.traffic
        self.cluster = node.cluster
        self.keeper = node.keeper
        self.writer = node.keeper.aof.writer
        self.log_is_off = State.OFF
        self.sinks = node.sinks

    def start(self, loop, Poller poller):
        """Begin: ticks end by this loop or this poller."""
        self.loop = loop
        self.poller = poller

    def stop(self):
        """End the tick that is open, and the timer."""
        if self.deadline is not None:
            self.deadline.cancel()
        if self.engine.tick_open:
            self.finish(self.has_log())

    cdef int open_tick(self) except -1:
        """Begin a tick: set the time, and see to its end."""
        self.engine.tick_open = True
        set_engine_time(self.engine, self.wall_us() // 1000)
        self.lease.begin()
        if self.cluster is not None:
            self.cluster.begin_tick()
        self.counters.tick_count += 1
        if self.counters.tick_count % TICKS_A_MEASUREMENT == 0:
            self.began_us = self.boot_us()
        if self.poller is None or not self.poller.in_round:
            self.loop.call_soon(self.over)
        return 0

    def over(self):
        """End the tick, if one is open, unless it is to wait for more writers that share its sync."""
        self.round_over()

    cdef bint round_over(self) except -1:
        cdef bint has_log
        if self.engine.tick_open:
            has_log = self.has_log()
            if has_log and self.keeper.aof.gathers():
                self.loop.call_soon(self.over)
            else:
                self.finish(has_log)
        return not self.engine.tick_open

    cdef bint has_log(self) except -1:
        """Whether there is an append-only file; where there is one it takes effects."""
        return self.engine.stream_on and self.writer.state is not self.log_is_off

    cdef int finish(self, bint has_log) except -1:
        """Hand out what this tick made: effects first, then replies."""
        cdef Engine engine = self.engine
        expire_fast(engine)
        self.replication.before_effects()
        if engine.stream_on:
            hand_out(engine, self.sinks)
        if has_log:
            self.keeper.end_tick()
        self.replication.after_effects()
        self.lease.end()
        hand_out_replies(engine)
        engine.tick_open = False
        if self.began_us:
            self.counters.tick_us += (self.boot_us() - self.began_us) * TICKS_A_MEASUREMENT
            self.began_us = 0
        if engine.deadlines:
            self.watch_deadlines()
        if engine.unblocked:
            self.open_tick()
            serve(engine)
        return 0

    def deliver_effects(self):
        """Hand the effects there are to those who take them."""
        hand_out(self.engine, self.sinks)

    # ---- parked sessions ----

    cdef int watch_deadlines(self) except -1:
        """Set the timer for the first parked session that times out."""
        until = blocking.next_deadline_ms(self.engine)
        if until is None or (self.deadline is not None and self.deadline_ms == until):
            return 0
        if self.deadline is not None:
            self.deadline.cancel()
        self.deadline_ms = until
        wait_ms = until - self.wall_us() // 1000
        self.deadline = self.loop.call_later(max(wait_ms, 1) / 1000, self.expire_parked)
        return 0

    def expire_parked(self):
        """Answer the parked sessions whose time is over."""
        self.deadline = None
        if not self.engine.tick_open:
            self.open_tick()
        blocking.expire_parked(self.engine)

    # ---- the clock ----

    cdef int64_t wall_us(self) except? -1:
        return self.machine.wall() if self.machine is not None else self.clock.wall_us()

    cdef int64_t boot_us(self) except? -1:
        return self.machine.boot() if self.machine is not None else self.clock.boot_us()
