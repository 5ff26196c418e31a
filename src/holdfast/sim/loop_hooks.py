"""The loop's methods for errors, signals, debugging and executors.

What this is: what asyncio asks of a loop besides time and network, as a mixin of
`loop.SimLoop`. Handlers of exceptions and signals belong to the life that set them,
since many processes share the loop. What it is not: threads (an executor's function
runs in line) or debugging (which reads the real clock).

How to read it: top down; nothing here has state of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from holdfast.sim.life import Life, ProcessKilled
from holdfast.sim.tasks import SimTask

if TYPE_CHECKING:
    from holdfast.sim.loop import SimLoop

T = TypeVar("T")


class HookMethods:
    """Mixin of the loop: errors, signals, debugging, executors."""

    life: Life
    error_handler: Callable[[Life, str, BaseException | None], None] | None
    """Told of each exception that nobody caught."""
    _closed: bool

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run `func` here and now; the result is seen in the next round."""
        future = cast("SimLoop", self).create_future()
        try:
            result = func(*args)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return future

    def get_debug(self) -> bool:
        """Return False: asyncio's debugging reads the real clock."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Do nothing; see `get_debug`."""

    def get_task_factory(self) -> None:
        """Return None: tasks are always `SimTask`."""

    def set_exception_handler(self, handler: Any) -> None:
        """Set the handler of the running life."""
        self.life.exception_handler = handler

    def get_exception_handler(self) -> Any:
        """Return the handler of the running life."""
        return self.life.exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Report to the world."""
        if self.error_handler is not None:
            self.error_handler(self.life, str(context.get("message")), context.get("exception"))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error that nobody awaited, unless it is a dead process's."""
        subject = context.get("task") or context.get("future")
        if subject is None and "exception" not in context:
            return  # from a __del__, perhaps of another world: it tells when the collector ran
        life = subject.life if isinstance(subject, SimTask) else self.life
        if life.dead or self._closed or isinstance(context.get("exception"), ProcessKilled):
            return
        if life.exception_handler is not None:
            life.exception_handler(cast("SimLoop", self), context)
        else:
            before, self.life = self.life, life
            self.default_exception_handler(context)
            self.life = before

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """Remember what the running process does on a signal (`World.terminate` sends one)."""
        self.life.signal_handlers[int(sig)] = (callback, args)

    def remove_signal_handler(self, sig: int) -> bool:
        """Forget a signal handler; tell whether there was one."""
        return self.life.signal_handlers.pop(int(sig), None) is not None
