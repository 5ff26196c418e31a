"""The open files of the append-only file, how far they are on stable storage, and what is at stake.

What it is: the increment that is written to, those before it until they are synced, and
the two kinds of sync: at once, and beside the loop. With `everysec` it knows since when
effects are at stake (`aof_exposure`), and up to where they were acknowledged before a
sync was late. What it is not: when to sync (`aof_policy`), or who calls (`aof_writer`).

How to read it: what is there, the two kinds of sync, then what `everysec` has at stake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from holdfast.persistence.aof_directory import Log
from holdfast.persistence.aof_exposure import SYNC_AFTER_MS, Exposure
from holdfast.persistence.aof_health import AofHealth
from holdfast.persistence.aof_increment import Increment
from holdfast.persistence.aof_policy import Event, Health
from holdfast.persistence.aof_tail import Tail
from holdfast.server.host import Clock

CLOCK_STEP_MS = 2
"""Timers of a loop may run so much early by the clock."""


class Syncs:
    """The open increments of one AOF and their syncs."""

    def __init__(self, tail: Tail, health: AofHealth, clock: Clock, log: Log) -> None:
        """Nothing is open."""
        self.current: Increment | None = None
        """The one that is written to."""
        self.retired: list[Increment] = []
        """Those before it, oldest first."""
        self.last_sync_us = 0
        """How long everybody waited for the last sync (`always`)."""
        self.is_late = False
        """Replies to further writes wait for the sync under way (`everysec`)."""
        self.released_offset = 0
        """Effects up to here were acknowledged before the sync was late."""
        self.calm_until_ms = 0
        """Until then no sync is due, and none can be late."""
        self.wake: Callable[[int], None] = lambda wait_ms: None
        """Makes a tick that flushes, so many milliseconds from now (set by the keeper)."""
        self._tail, self._health, self._clock, self._log = tail, health, clock, log
        self._exposure = Exposure()
        self._under_way: set[asyncio.Task[None]] = set()

    # What is there

    @property
    def increments(self) -> tuple[Increment, ...]:
        """All that are open, oldest first."""
        return (*self.retired, self.current) if self.current else tuple(self.retired)

    @property
    def unsynced_bytes(self) -> int:
        """Bytes written that may be lost with the power."""
        unsynced = self.current.unsynced_bytes if self.current else 0
        for increment in self.retired:
            unsynced += increment.unsynced_bytes
        return unsynced

    @property
    def synced_offset(self) -> int:
        """Effects up to here are on stable storage; -1 when nothing is open."""
        if self.current is None:
            return -1
        for increment in (*self.retired, self.current):
            if increment.unsynced_bytes:
                return increment.synced_offset
        # A mark is more than the effects before it: with one in the buffer, not even these count.
        return self.current.offset - self._tail.is_marked if self._tail.buffer else self._tail.offset

    @property
    def is_suspect(self) -> bool:
        """Whether an fsync had failed, so that a file may lack what was written before."""
        return any(increment.suspect for increment in self.increments)

    @property
    def under_way(self) -> int:
        """Syncs beside the loop that have not ended."""
        return len(self._under_way)

    def go_on_with(self, increment: Increment) -> None:
        """Write to another increment; the one before it is closed once it is synced."""
        before = self.current
        if before:
            self.retired.append(before)
            if before.unsynced_bytes and not before.syncing:
                self.sync_beside(before)
            self._close_synced()
        self.current = increment

    def close_retired(self) -> None:
        """Close those before the current one: a new base holds what they held."""
        for increment in self.retired:
            increment.close()
        self.retired.clear()

    def close(self) -> None:
        """Sync and close all that is open."""
        for increment in self.increments:
            try:
                increment.sync()
            except OSError as error:
                self._log("warning", f"Fail to fsync the AOF file: {error.strerror}")
            increment.close()

    def forget(self) -> None:
        """Nothing is open any more."""
        self.current = None
        self.retired.clear()
        self.nothing_at_stake()

    # The two kinds of sync

    def sync_now(self, now_ms: int) -> bool:
        """Return when everything written is on stable storage, or False: that failed."""
        started_us = self._clock.boot_us()
        try:
            for increment in self.increments:
                if increment.unsynced_bytes:
                    increment.sync()
            self.last_sync_us = self._clock.boot_us() - started_us
        except OSError as error:
            for increment in self.retired:
                increment.suspect = increment.suspect or increment.unsynced_bytes > 0
            self._health.failed(Event.SYNC_FAILED, error, "Can't persist AOF for fsync error", now_ms)
            return False
        if self.retired:
            self._close_synced()
        if self._health.state is not Health.OK:
            self._health.happened(Event.SYNCED)
        return True

    def sync_later(self) -> None:
        """Begin a sync beside the loop of each file that needs one."""
        for increment in self.increments:
            if increment.unsynced_bytes and not increment.syncing:
                self.sync_beside(increment)

    def sync_beside(self, increment: Increment) -> None:
        """Begin a sync beside the loop."""
        increment.syncing = True
        if increment is self.current and not self._tail.buffer:
            self._exposure.sync_began()
            self.calm_until_ms = 0
        task = asyncio.get_running_loop().create_task(self._await_sync(increment))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _await_sync(self, increment: Increment) -> None:
        ok = False
        try:
            await increment.sync_later()
            ok = True
        except OSError as error:
            now_ms = self._clock.boot_us() // 1000
            if increment in self.increments:
                self._health.failed(Event.SYNC_FAILED, error, "Fail to fsync the AOF file", now_ms)
            return
        finally:
            self._exposure.sync_ended(ok=ok)
            if self._tail.buffer or self.is_late:
                self.wake(0)
        self._health.happened(Event.SYNCED)
        self._close_synced()

    def _close_synced(self) -> None:
        for increment in [i for i in self.retired if not i.unsynced_bytes and not i.syncing]:
            self.retired.remove(increment)
            increment.close()

    # What `everysec` has at stake

    def weigh(self, now_ms: int) -> bool:
        """See what is at stake; tell whether a sync is due."""
        exposure = self._exposure
        if self._tail.buffer and exposure.uncovered_since_ms < 0:
            exposure.came(now_ms)
            self.wake(SYNC_AFTER_MS + CLOCK_STEP_MS)
        late = self._health.failed_at_ms < 0 and exposure.is_late(now_ms)
        if late and not self.is_late:
            self._log("notice", "Asynchronous AOF fsync is taking too long (disk is busy?). Writes wait.")
        self.is_late = late
        if not late:
            self.released_offset = self._tail.offset
        if exposure.is_due(now_ms):
            return True
        if exposure.uncovered_since_ms >= 0 and exposure.syncing_since_ms < 0:
            self.calm_until_ms = exposure.uncovered_since_ms + SYNC_AFTER_MS
        return False

    def nothing_at_stake(self) -> None:
        """Everything is on stable storage, or nobody is promised that."""
        self._exposure.ended()
        self.calm_until_ms = 0
        self.is_late = False
