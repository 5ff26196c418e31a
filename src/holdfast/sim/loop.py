"""Time: an asyncio event loop in which nothing waits.

What this is: the part of asyncio's loop interface that programs over TCP use, over
a heap of future events instead of a selector. When nothing is ready the clock moves
to the next event, so idle time costs nothing. What it is not: a general loop (no
files, threads, subprocesses, datagrams, TLS; they raise NotImplementedError), and
it decides nothing about the network, which is `network` and its neighbours.

How to read it: `_run` is the heart. Two kinds of things happen: *events*, heap
entries `(when, number, callback, argument)` of the world itself, and *calls*,
callbacks of a process, which run in its context and only if its life is not
blocked. The number is drawn from one counter, so simultaneous events keep the order
in which they were made and no comparison ever reaches an object. Tasks and futures
hash by such a number too: the order of a set of them is then the same in every run.

Libraries that draw from the module `random` (redis-py does, for its back-off) draw, as
long as events happen, from a state that the world seeded; outside it is as it was.

Time creeps: a program that spins through `sleep(0)` would stop a world in which
code takes no time. After `PASSES_PER_INSTANT` rounds in one instant each further
round takes `CREEP_SECONDS`.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import itertools
import random
import sys
from asyncio import events as asyncio_events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.sim.calls import Call, SimFuture, SimTask, TimerCall
from holdfast.sim.life import LIFE, Life, ProcessKilled
from holdfast.sim.loop_hooks import HookMethods
from holdfast.sim.loop_network import NetworkMethods

if TYPE_CHECKING:
    from holdfast.sim.network import Network

PASSES_PER_INSTANT = 100
CREEP_SECONDS = 1e-5
ROUNDING_SECONDS = 1e-9
"""Added to timers on drifting clocks, so that a timer never fires before the time it names."""

COLLECTOR_THRESHOLDS = (50_000, 20, 50)
"""A world is many long-lived objects and little garbage: the usual thresholds cost a third of the time."""

T = TypeVar("T")

if TYPE_CHECKING:
    LoopInterface: Any = asyncio.AbstractEventLoop
else:
    LoopInterface = asyncio.AbstractEventLoop  # at type checking Any: it is abstract in what is left out


class NothingLeft(RuntimeError):
    """No event will ever happen again, and what was waited for has not: a deadlock."""


class SimLoop(NetworkMethods, HookMethods, LoopInterface):  # type: ignore[misc]
    """An event loop with virtual time."""

    network: Network
    world_life: Life
    """The life of whatever drives the world from outside: a test, a scenario."""
    life: Life
    """Whose code runs now."""

    def __init__(self) -> None:
        """Make a loop at time zero; `network` and `world_life` are set by the world."""
        self.now = 0.0
        """Virtual time in seconds, the same for all."""
        self.ready: deque[Any] = deque()
        self.heap: list[tuple[float, int, Callable[[Any], object], Any]] = []
        self.numbers = itertools.count()
        self.next_number = self.numbers.__next__
        self.module_luck = random.Random(0).getstate()
        self.events_run = 0
        self.calls_run = 0
        self.error_handler = None
        self._task_numbers = itertools.count(1)
        self._cancelled_timers = 0
        self._stopping = False
        self._running = False
        self._closed = False

    # Events of the world

    def push(self, when: float, callback: Callable[[Any], object], argument: Any) -> None:
        """Let `callback(argument)` happen at virtual time `when`, on nobody's behalf."""
        heapq.heappush(self.heap, (when, self.next_number(), callback, argument))

    def local_now(self) -> float:
        """Return virtual time as the running code sees it (later than `now` inside a blocking call)."""
        return max(self.now, self.life.stalled_until)

    # Time and callbacks, as asyncio names them

    def time(self) -> float:
        """Return the boot clock of the running process's host, in seconds."""
        life = self.life
        now = self.now
        if life.stalled_until > now:
            now = life.stalled_until
        return life.clock.boot_seconds(now)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Call:
        """Run `callback` in this instant, for the life that `context` belongs to."""
        if context is None:
            context = copy_context()
            life = self.life
            if life is self.world_life:
                context.run(LIFE.set, life)
        else:
            life = context.get(LIFE) or self.life
        call = Call(callback, args, self, context, life)
        self.ready.append(call)
        return call

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerCall:
        """Run `callback` when the process's own clock has gone `delay` seconds further."""
        if context is None:
            context = copy_context()
            life = self.life
            if life is self.world_life:
                context.run(LIFE.set, life)
        else:
            life = context.get(LIFE) or self.life
        now = self.now
        if life.stalled_until > now:
            now = life.stalled_until
        clock = life.clock
        call = TimerCall(clock.boot_seconds(now) + delay, callback, args, self, context, life)
        moment = now + delay / clock.rate + ROUNDING_SECONDS if delay > 0 else now
        heapq.heappush(self.heap, (moment, self.next_number(), self._fire, call))
        return call

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerCall:
        """Run `callback` when the process's own clock shows `when`."""
        call = self.call_later(when - self.time(), callback, *args, context=context)
        call._when = when
        return call

    def _fire(self, call: TimerCall) -> None:
        call._scheduled = False
        if call._cancelled:
            self._cancelled_timers -= 1
        else:
            self.ready.append(call)

    def _timer_handle_cancelled(self, _: asyncio.TimerHandle) -> None:
        self._cancelled_timers += 1
        if self._cancelled_timers > 256 and self._cancelled_timers * 2 > len(self.heap):
            fire = self._fire
            # In place: the run loop holds a reference to the list.
            self.heap[:] = [entry for entry in self.heap if entry[2] != fire or not entry[3]._cancelled]
            heapq.heapify(self.heap)
            self._cancelled_timers = 0

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
        outer_luck, outer_thresholds = random.getstate(), gc.get_threshold()
        gc.set_threshold(*COLLECTOR_THRESHOLDS)
        random.setstate(self.module_luck)
        asyncio_events._set_running_loop(self)
        self._running = True
        self._stopping = False
        try:
            self._run()
        finally:
            self._running = False
            self.life = self.world_life
            asyncio_events._set_running_loop(None)
            self.module_luck = random.getstate()
            random.setstate(outer_luck)
            gc.set_threshold(*outer_thresholds)
            sys.set_asyncgen_hooks(*old_hooks)

    def _run(self) -> None:
        ready, heap, heappop, world_life = self.ready, self.heap, heapq.heappop, self.world_life
        passes = 0
        while not self._stopping:
            if ready:
                passes += 1
            elif heap:
                if heap[0][0] > self.now:
                    self.now = heap[0][0]
                    passes = 0
                passes += 1
            else:
                raise NothingLeft("no event is left, and nothing waited for can happen any more")
            if passes > PASSES_PER_INSTANT:
                self.now += CREEP_SECONDS
            now = self.now
            while heap and heap[0][0] <= now:
                event = heappop(heap)
                event[2](event[3])
                self.events_run += 1
            for _ in range(len(ready)):
                call = ready.popleft()
                if call._cancelled:
                    continue
                life = call.life
                if life.blocked:
                    self._park(call, life)
                    continue
                self.life = life
                self.calls_run += 1
                try:
                    call._context.run(call._callback, *call._args)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    self._call_failed(call, life, error)
            self.life = world_life

    def _park(self, call: Any, life: Life) -> None:
        if not life.dead:
            (life.late_timers if type(call) is TimerCall else life.parked).append(call)

    def _call_failed(self, call: Any, life: Life, error: BaseException) -> None:
        if isinstance(error, ProcessKilled) or life.dead:
            return
        if isinstance(error, SystemExit):
            if life.exit_handler is None:
                raise error
            life.exit_handler(error)
            return
        self.call_exception_handler(
            {"message": f"Exception in callback {call._callback!r}", "exception": error, "handle": call}
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
        self._stopping = True

    def stop(self) -> None:
        """Stop after the present round."""
        self._stopping = True

    def is_running(self) -> bool:
        """Tell whether events are happening."""
        return self._running

    def is_closed(self) -> bool:
        """Tell whether the loop was closed."""
        return self._closed

    def close(self) -> None:
        """Forget everything that was to happen."""
        self._closed = True
        self.ready.clear()
        self.heap.clear()

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: generators end with their process."""

    async def shutdown_default_executor(self) -> None:
        """Do nothing: there are no threads."""

    def _finalize_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed and not self.life.dead:
            self.create_task(generator.aclose())
