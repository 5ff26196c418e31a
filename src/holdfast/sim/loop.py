"""Time: an asyncio event loop in which nothing waits.

What this is: the part of asyncio's loop interface that programs over TCP use, over
a heap of future events instead of a selector. When nothing is ready the clock moves
to the next event, so idle time costs nothing. What it is not: a general loop (no
files, threads, subprocesses, datagrams, TLS; they raise NotImplementedError), and
it decides nothing about the network, which is `network` and its neighbours.

How to read it: the heap and the callbacks are in `course`; here is what a program asks for less
often. Tasks and futures hash by a number from the counter of events: the order of a set of
them is then the same in every run.

Libraries that draw from the module `random` (redis-py does, for its back-off) draw, as
long as events happen, from a state that the world seeded; outside it is as it was.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import sys
from asyncio import events as asyncio_events
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.sim.course import Call, Course, NothingLeft
from holdfast.sim.life import LIFE, Life, ProcessKilled
from holdfast.sim.loop_hooks import HookMethods
from holdfast.sim.loop_network import NetworkMethods
from holdfast.sim.tasks import SimFuture, SimTask

if TYPE_CHECKING:
    from holdfast.sim.network import Network

COLLECTOR_THRESHOLDS = (50_000, 20, 50)
"""A world is many long-lived objects and little garbage: the usual thresholds cost a third of the time."""

T = TypeVar("T")

if TYPE_CHECKING:
    LoopInterface: Any = asyncio.AbstractEventLoop
else:
    LoopInterface = asyncio.AbstractEventLoop  # at type checking Any: it is abstract in what is left out


__all__ = ["NothingLeft", "SimLoop", "few_collections"]


@contextmanager
def few_collections() -> Iterator[None]:
    """Let the collector look seldom for a while."""
    outer = gc.get_threshold()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*outer)


class SimLoop(Course, NetworkMethods, HookMethods, LoopInterface):  # type: ignore[misc]
    """An event loop with virtual time."""

    network: Network
    life: Life
    """Whose code runs now."""
    world_life: Life

    def __init__(self) -> None:
        """Make a loop at time zero; `network` and `world_life` are set by the world."""
        self.module_luck = random.Random(0).getstate()
        self.error_handler = None
        self._task_numbers = itertools.count(1)
        self._running = False
        self._closed = False

    def create_future(self) -> SimFuture[Any]:
        """Return a future of this loop."""
        future: SimFuture[Any] = SimFuture(loop=self)
        future.number = self.next_number()
        return future

    def create_task(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> SimTask[T]:
        """Start `coro` as a task of the running life (or of the one `context` names)."""
        life = self.life
        if context is None and life is self.world_life:
            context = copy_context()
        if context is not None:
            named = context.get(LIFE)
            if named is None:
                context.run(LIFE.set, life)
            else:
                life = named
        task_name = name if name is not None else f"Task-{next(self._task_numbers)}"
        task = SimTask.__new__(SimTask)
        task.number = self.next_number()  # before __init__, which puts the task into a weak set
        task.life = life
        task.__init__(coro, loop=self, name=task_name, context=context)  # type: ignore[misc]
        life.keep_task(task)
        return task

    # Running

    def run_forever(self) -> None:
        """Let events happen until `stop`; raise NothingLeft when there are none."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if self._running:
            raise RuntimeError("This event loop is already running")
        old_hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=None, finalizer=self._finalize_generator)
        outer_luck = random.getstate()
        random.setstate(self.module_luck)
        asyncio_events._set_running_loop(self)
        self._running = True
        try:
            with few_collections():
                self.run_events()
        finally:
            self._running = False
            self.life = self.world_life
            asyncio_events._set_running_loop(None)
            self.module_luck = random.getstate()
            random.setstate(outer_luck)
            sys.set_asyncgen_hooks(*old_hooks)

    def _call_failed(self, call: Call, life: Life, error: BaseException) -> None:
        if isinstance(error, ProcessKilled) or life.dead:
            return
        if isinstance(error, SystemExit):
            if life.exit_handler is None:
                raise error
            life.exit_handler(error)
            return
        self.call_exception_handler(
            {"message": f"Exception in callback {call.callback!r}", "exception": error, "handle": call}
        )

    def run_until_complete(self, future: Any) -> Any:
        """Let events happen until `future` (or coroutine) is done; return its result."""
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(self._stop_when_done)
        try:
            self.run_forever()
        finally:
            task.remove_done_callback(self._stop_when_done)
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return task.result()

    def _stop_when_done(self, _: asyncio.Future[Any]) -> None:
        self.stop()

    def is_running(self) -> bool:
        """Tell whether events are happening."""
        return self._running

    def is_closed(self) -> bool:
        """Tell whether the loop was closed."""
        return self._closed

    def close(self) -> None:
        """Forget everything that was to happen."""
        self._closed = True
        self.forget()

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: generators end with their process."""

    async def shutdown_default_executor(self) -> None:
        """Do nothing: there are no threads."""

    def _finalize_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed and not self.life.dead:
            self.create_task(generator.aclose())
