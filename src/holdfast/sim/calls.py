"""What the loop makes for programs: callbacks, timers, futures, tasks.

What this is: asyncio's own classes, each knowing its life. What it is not: when they
run (`loop`).

How to read it: handles are made once a message or more often, so their constructors
skip the debugging that asyncio's have. Tasks and futures hash by a number from the
loop's counter instead of by address: a set of them then has the same order in every
run.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from holdfast.sim.life import Life

T = TypeVar("T")


class Call(asyncio.Handle):
    """A callback of one life."""

    __slots__ = ("life",)

    def __init__(  # type: ignore[no-untyped-def]
        self, callback, args, loop, context, life
    ) -> None:  # hot, so without the debugging that asyncio does here
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._loop = loop
        self._context = context
        self._repr = None
        self._source_traceback = None
        self.life = life

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]


class TimerCall(asyncio.TimerHandle):
    """A callback of one life at a moment of its own clock."""

    __slots__ = ("life",)

    def __init__(  # type: ignore[no-untyped-def]
        self, when, callback, args, loop, context, life
    ) -> None:
        self._when = when
        self._scheduled = True
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._loop = loop
        self._context = context
        self._repr = None
        self._source_traceback = None
        self.life = life

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._callback = self._args = None  # type: ignore[assignment]
            if self._scheduled:
                self._loop._timer_handle_cancelled(self)


class SimTask(asyncio.Task[T]):
    """A task that knows its life and hashes by its number."""

    life: Life
    number: int

    def __hash__(self) -> int:
        return self.number


class SimFuture(asyncio.Future[T]):
    """A future that hashes by its number."""

    number: int

    def __hash__(self) -> int:
        return self.number
