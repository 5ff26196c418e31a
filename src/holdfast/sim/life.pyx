"""One run of a process: from its start to its death.

What this is: the record by which the loop knows to whom a callback belongs. Every
callback, timer, task, connection and listener is tied to the life in which it was
made, through a context variable that asyncio itself hands on. What it is not: the
process an operator names (`host.SimProcess`), which may live many times.

How to read it: `blocked` is the one flag that the loop tests before each callback.
It stands for three states:

- *paused* (SIGSTOP): callbacks wait in `parked` and `late_timers`, bytes in the
  buffers of the sockets, writes in the buffers of the transports;
- *stalled* (inside a blocking disk call): the same until `stalled_until`, and the
  life's own clock already shows that moment to the code that made the call;
- *dead*: nothing runs again. Its tasks stay referenced until the world closes, so
  that the collector never closes a coroutine (which would run its `finally`
  blocks) while the world can still see it.
"""

from contextvars import Context, ContextVar

from holdfast.sim.clock cimport HostClock, Running

FEWEST_TASKS_SWEPT = 64


class ProcessKilled(BaseException):
    """Unwinds the code of a process that died inside its own call; nothing it does counts any more."""


cdef class Life(Running):
    """One run of a process."""

    def __init__(self, str name, loop, interface, HostClock clock):
        """Make a life named `name` that uses `interface` and tells time by `clock`."""
        self.name = name
        self.loop = loop
        self.interface = interface
        self.clock = clock
        self.parked = []
        self.late_timers = []
        self.tasks = []
        self.sweep_at = FEWEST_TASKS_SWEPT
        self.endpoints = {}
        self.listeners = {}
        self.readable = {}
        self.signal_handlers = {}
        self.context = Context()
        self.context.run(LIFE.set, self)

    def keep_task(self, task):
        """Hold a task until it is done (the collector must never decide when a coroutine ends)."""
        self.tasks.append(task)
        if self.dead:
            task._log_destroy_pending = False
        if len(self.tasks) > self.sweep_at and not self.dead:
            self.tasks = [task for task in self.tasks if not task.done()]
            self.sweep_at = max(FEWEST_TASKS_SWEPT, 2 * len(self.tasks))

    def pause(self):
        """Freeze every callback; sockets stay open and fill."""
        if not self.dead:
            self.paused = self.blocked = True

    def resume(self):
        """Let everything happen that waited: arrived bytes first, timers last, as a selector loop does."""
        if self.paused:
            self.paused = False
            self._unblock(None)

    def stall(self, double seconds):
        """Spend `seconds` inside a blocking call of the code that runs now."""
        cdef double now = max(<double>self.loop.now, self.stalled_until)
        self.stalled_until = now + seconds
        self.blocked = True
        self.loop.push(self.stalled_until, self._unblock, None)

    def _unblock(self, _):
        if self.dead or self.paused or self.stalled_until > self.loop.now:
            return
        self.blocked = False
        loop = self.loop
        readable, self.readable = self.readable, {}
        for endpoint in readable:
            loop.push(loop.now, endpoint.read, None)
        for endpoint in self.endpoints:
            if endpoint.held or endpoint.ends_later:
                loop.push(loop.now, endpoint.flush, None)
        loop.ready.extend(self.parked)
        loop.ready.extend(self.late_timers)
        self.parked.clear()
        self.late_timers.clear()

    def die(self, *, bint silently):
        """End: drop all callbacks; the kernel closes the sockets, unless it died too (`silently`)."""
        if self.dead:
            return
        self.dead = self.blocked = True
        self.parked.clear()
        self.late_timers.clear()
        self.readable.clear()
        for task in self.tasks:
            task._log_destroy_pending = False
        for listener in list(self.listeners):
            listener.shut(silently=silently)
        for endpoint in list(self.endpoints):
            if silently:
                endpoint.vanish()
            else:
                endpoint.shut_socket()
        self.endpoints.clear()
        self.listeners.clear()


LIFE = ContextVar("holdfast_sim_life")
