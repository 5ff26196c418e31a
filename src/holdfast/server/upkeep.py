"""The upkeep of a node's data: expired keys, eviction, freeing and resizing, a little at a time.

What it is: the jobs that the cron calls, and the slices of work between its
beats. What it is not: the work itself (`holdfast.engine.expiry`, `eviction`,
`upkeep`). A slice lasts about half a millisecond, then requests have their turn:
no client waits for long because much is to be done.

How to read it: `start` names the jobs; `_slice` is what happens between beats.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.engine import eviction, expiry, upkeep

if TYPE_CHECKING:
    from holdfast.server.node import Node

SLICE_US = 500
PAUSE_SECONDS = 0.001
BLOCKS_PER_STEP = 512
BUCKETS_PER_STEP = 64


class Upkeep:
    """Keeps the data of one node in order while it serves."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._timer: asyncio.TimerHandle | None = None
        self._turn = 0
        node.engine.stopwatch = node.host.clock.boot_us
        node.cron.every(1, self.expire)
        node.cron.every(1, self.measure)
        node.cron.every(1, self.work)

    def expire(self) -> None:
        """Delete keys whose time is over, for at most a quarter of the time (more with more effort)."""
        engine = self._node.engine
        percent = 25 + 2 * (engine.active_expire_effort - 1)
        expiry.expire_cycle(engine, percent * 10_000 // self._node.configuration["hz"])

    def measure(self) -> None:
        """Measure what clients' buffers take, where it matters."""
        if self._node.engine.maxmemory:
            upkeep.measure_clients(self._node.engine)

    def work(self) -> None:
        """Go on with what is left to be freed, moved or evicted; in slices until it is done."""
        if self._timer is None and self._slice():
            self._later()

    def stop(self) -> None:
        """Work no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._again)

    def _again(self) -> None:
        self._timer = None
        if self._node.stopped is None or self._node.stopped.is_set():
            return
        if not self._node.engine.tick_open:
            self._node.open_tick()
        if self._slice():
            self._later()

    def _slice(self) -> bool:
        """Work for one slice; tell whether there is more."""
        engine = self._node.engine
        clock = self._node.host.clock
        until_us = clock.boot_us() + SLICE_US
        if engine.evicting:
            eviction.evict(engine)
        freeing = moving = True
        steps = 0
        while (freeing or moving) and clock.boot_us() < until_us and steps < 256:
            steps += 1
            freeing = freeing and upkeep.free_some(engine, BLOCKS_PER_STEP)
            moving = moving and upkeep.step_tables(engine, BUCKETS_PER_STEP, self._turn)
            self._turn += 1
        return freeing or moving or engine.evicting
