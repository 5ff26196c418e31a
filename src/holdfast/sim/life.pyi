"""One run of a process: from its start to its death."""

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

from holdfast.sim.clock import HostClock, Running
from holdfast.sim.endpoint import Endpoint
from holdfast.sim.listener import Listener
from holdfast.sim.loop import SimLoop
from holdfast.sim.network import Interface

class ProcessKilled(BaseException):
    """Unwinds the code of a process that died inside its own call; nothing it does counts any more."""

class Life(Running):
    """One run of a process."""

    name: str
    loop: SimLoop
    interface: Interface
    clock: HostClock
    blocked: bool
    paused: bool
    dead: bool
    tasks: list[asyncio.Task[Any]]
    endpoints: dict[Endpoint, None]
    listeners: dict[Listener, None]
    read_bytes_per_second: float
    exception_handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    signal_handlers: dict[int, tuple[Callable[..., object], tuple[Any, ...]]]
    exit_handler: Callable[[BaseException | None], None] | None
    context: Context

    def __init__(self, name: str, loop: SimLoop, interface: Interface, clock: HostClock) -> None:
        """Make a life named `name` that uses `interface` and tells time by `clock`."""

    def keep_task(self, task: asyncio.Task[Any]) -> None:
        """Hold a task until it is done (the collector must never decide when a coroutine ends)."""

    def pause(self) -> None:
        """Freeze every callback; sockets stay open and fill."""

    def resume(self) -> None:
        """Let everything happen that waited: arrived bytes first, timers last, as a selector loop does."""

    def stall(self, seconds: float) -> None:
        """Spend `seconds` inside a blocking call of the code that runs now."""

    def die(self, *, silently: bool) -> None:
        """End: drop all callbacks; the kernel closes the sockets, unless it died too (`silently`)."""

LIFE: ContextVar[Life]
