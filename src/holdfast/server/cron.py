"""What a node does by the clock, `hz` times a second; where no job needs that, once a second.

Each job is a method of whoever owns it, added with `every`; the cron only
calls. It runs inside a tick, so that what a job changes is propagated and what
it replies leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.server.node import Node


class Cron:
    """The periodic jobs of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._jobs: list[tuple[int, Callable[[], None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.beats = 0
        self._each_second: list[Callable[[], None]] = []

    def every(self, beats: int, job: Callable[[], None]) -> None:
        """Call `job` at every `beats`-th beat."""
        self._jobs.append((beats, job))

    def every_second(self, job: Callable[[], None]) -> None:
        """Call `job` once a second, however fast the beat is."""
        self._each_second.append(job)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to beat on a loop."""
        self._loop = loop
        self._schedule()

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None

    def _schedule(self) -> None:
        if self._loop is not None:
            beats_a_second = self._node.configuration["hz"] if self._jobs else 1
            self._timer = self._loop.call_later(1 / beats_a_second, self._beat)

    def _beat(self) -> None:
        node = self._node
        if not node.engine.tick_open:
            node.open_tick()
        self.beats += 1
        for beats, job in self._jobs:
            if self.beats % beats == 0:
                job()
        if not self._jobs or self.beats % node.configuration["hz"] == 0:
            for job in self._each_second:
                job()
        self._schedule()
