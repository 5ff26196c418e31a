"""The course of events: what happens when, and the callbacks of this instant."""

from collections.abc import Callable
from contextvars import Context
from typing import Any

from holdfast.sim.clock import Moment
from holdfast.sim.life import Life

class NothingLeft(RuntimeError):
    """No event will ever happen again, and what was waited for has not: a deadlock."""

class Happening:
    """What an event is that needs no callback."""

class Call(Happening):
    """A callback of one life, as `asyncio.Handle` is one."""

    @property
    def callback(self) -> Callable[..., object] | None:
        """Who is called; None once it is cancelled."""

    def cancel(self) -> None:
        """Do not call."""

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""

class TimerCall(Call):
    """A callback of one life at a moment of its own clock, as `asyncio.TimerHandle` is one."""

    def when(self) -> float:
        """Return the moment, in seconds of the process's own clock."""

class Course(Moment):
    """Events and calls."""

    life: Any
    world_life: Life
    """The life of whatever drives the world from outside: a test, a scenario."""

    def push(self, when: float, callback: Callable[[Any], object], argument: Any) -> None:
        """Let `callback(argument)` happen at virtual time `when`, on nobody's behalf."""

    def next_number(self) -> int:
        """Return a number that was not given before."""

    def forget(self) -> None:
        """Let nothing happen any more."""

    def local_now(self) -> float:
        """Return virtual time as the running code sees it (later than `now` inside a blocking call)."""

    def time(self) -> float:
        """Return the boot clock of the running process's host, in seconds."""

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Call:
        """Run `callback` in this instant, for the life that `context` belongs to."""

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Call:
        """Run `callback` in this instant: there are no threads."""

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerCall:
        """Run `callback` when the process's own clock has gone `delay` seconds further."""

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerCall:
        """Run `callback` when the process's own clock shows `when`."""

    def run_events(self) -> None:
        """Let events happen until `stop`; raise NothingLeft when there are none."""

    def stop(self) -> None:
        """Stop after the present round."""
