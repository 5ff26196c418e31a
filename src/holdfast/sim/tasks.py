"""What the loop makes for programs: futures and tasks.

What this is: asyncio's own classes, each with a number, tasks knowing their life. What it is
not: callbacks and timers, or when they run (`course`).

How to read it: tasks and futures hash by a number from the loop's counter instead of by
address: a set of them then has the same order in every run.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from holdfast.sim.life import Life

T = TypeVar("T")


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
