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

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.sim.clock import HostClock
    from holdfast.sim.endpoint import Endpoint
    from holdfast.sim.listener import Listener
    from holdfast.sim.loop import SimLoop
    from holdfast.sim.network import Interface

FEWEST_TASKS_SWEPT = 64


class ProcessKilled(BaseException):
    """Unwinds the code of a process that died inside its own call; nothing it does counts any more."""


class Life:
    """One run of a process."""

    __slots__ = (
        "blocked",
        "clock",
        "connections_opened",
        "context",
        "dead",
        "endpoints",
        "exception_handler",
        "exit_handler",
        "interface",
        "late_timers",
        "listeners",
        "loop",
        "name",
        "parked",
        "paused",
        "read_bytes_per_second",
        "readable",
        "signal_handlers",
        "stalled_until",
        "sweep_at",
        "tasks",
    )

    def __init__(self, name: str, loop: SimLoop, interface: Interface, clock: HostClock) -> None:
        """Make a life named `name` that uses `interface` and tells time by `clock`."""
        self.name = name
        self.loop = loop
        self.interface = interface
        self.clock = clock
        self.blocked = False
        self.paused = False
        self.dead = False
        self.stalled_until = 0.0
        self.parked: list[asyncio.Handle] = []
        self.late_timers: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.sweep_at = FEWEST_TASKS_SWEPT
        self.endpoints: dict[Endpoint, None] = {}
        self.listeners: dict[Listener, None] = {}
        self.readable: dict[Endpoint, None] = {}
        self.read_bytes_per_second = 0.0
        self.connections_opened = 0
        self.exception_handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self.signal_handlers: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self.exit_handler: Callable[[BaseException | None], None] | None = None
        self.context = Context()
        self.context.run(LIFE.set, self)

    def keep_task(self, task: asyncio.Task[Any]) -> None:
        """Hold a task until it is done (the collector must never decide when a coroutine ends)."""
        self.tasks.append(task)
        if self.dead:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        if len(self.tasks) > self.sweep_at and not self.dead:
            self.tasks = [task for task in self.tasks if not task.done()]
            self.sweep_at = max(FEWEST_TASKS_SWEPT, 2 * len(self.tasks))

    def pause(self) -> None:
        """Freeze every callback; sockets stay open and fill."""
        if not self.dead:
            self.paused = self.blocked = True

    def resume(self) -> None:
        """Let everything happen that waited: arrived bytes first, timers last, as a selector loop does."""
        if self.paused:
            self.paused = False
            self._unblock(None)

    def stall(self, seconds: float) -> None:
        """Spend `seconds` inside a blocking call of the code that runs now."""
        now = max(self.loop.now, self.stalled_until)
        self.stalled_until = now + seconds
        self.blocked = True
        self.loop.push(self.stalled_until, self._unblock, None)

    def _unblock(self, _: None) -> None:
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

    def die(self, *, silently: bool) -> None:
        """End: drop all callbacks; the kernel closes the sockets, unless it died too (`silently`)."""
        if self.dead:
            return
        self.dead = self.blocked = True
        self.parked.clear()
        self.late_timers.clear()
        self.readable.clear()
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        for listener in list(self.listeners):
            listener.shut(silently=silently)
        for endpoint in list(self.endpoints):
            if silently:
                endpoint.vanish()
            else:
                endpoint.shut_socket()
        self.endpoints.clear()
        self.listeners.clear()


LIFE: ContextVar[Life] = ContextVar("holdfast_sim_life")
