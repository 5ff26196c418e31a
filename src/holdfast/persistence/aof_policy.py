"""When the append-only file is written, synced and rewritten: pure decisions.

It holds no file and reads no clock; `aof_writer` asks and obeys. Times are
milliseconds of any clock that does not go back.

Theory. A tick appends effects to a buffer and then asks for a `FlushPlan`.

- `always`: write and sync in this tick, before any reply leaves.
- `everysec`: write in this tick, sync beside the loop when the oldest effect
  that no sync covers is half a second old (`aof_exposure`). While a sync runs, a
  write would wait for it in the kernel; so the write is postponed, for at most
  two seconds, and then made anyway (counted as delayed).
- `no`: write in this tick; the kernel syncs when it likes.

Health is a table over `Health` and `Event`. In any state but OK, writes are
refused with -MISCONF. Redis ends the process when `always` meets an error,
because replies are already on their way; here replies wait for the synced
position, so that the error can heal: what failed is cut off the file, kept in
the buffer, and written again when there is space.

Rewrites start by themselves when the file has grown by a percentage since the
last one; after three failures in a row they wait 1, 2, 4 ... 60 minutes.

How to read it: `plan_flush`, then `HEALTH`, then `rewrite_growth` and
`RewriteLimiter`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

POSTPONE_LIMIT_MS = 2000
RETRY_INTERVAL_MS = 100
LOG_INTERVAL_MS = 30_000
LIMIT_AFTER_FAILURES = 3
LIMIT_MAX_MINUTES = 60


class Fsync(Enum):
    """The setting `appendfsync`."""

    ALWAYS = "always"
    EVERYSEC = "everysec"
    NO = "no"


class Sync(Enum):
    """What to do about stable storage in this tick."""

    NONE = auto()
    NOW = auto()
    LATER = auto()


class FlushView(NamedTuple):
    """What a flush decision needs to see.

    - `buffered_bytes` are not yet written, `unsynced_bytes` written and not yet synced;
    - `sync_due`: a sync of `everysec` is due;
    - `postponed_since_ms` is -1 while no write is postponed;
    - `failed_at_ms` is the time of the last failure, -1 when healthy.
    """

    now_ms: int
    buffered_bytes: int
    unsynced_bytes: int
    sync_running: bool = False
    sync_due: bool = False
    postponed_since_ms: int = -1
    failed_at_ms: int = -1
    forced: bool = False
    sync_suspended: bool = False
    """`no-appendfsync-on-rewrite` is on and a child writes to the disk."""


class FlushPlan(NamedTuple):
    """What to do, in this order: write the buffer, sync."""

    write: bool = False
    sync: Sync = Sync.NONE
    delayed: bool = False
    """A write is made beside a running sync (counted in aof_delayed_fsync)."""
    postponed_since_ms: int = -1


def plan_flush(fsync: Fsync, view: FlushView) -> FlushPlan:
    """Decide what a flush does (Redis: flushAppendOnlyFile)."""
    if view.failed_at_ms >= 0 and not view.forced and view.now_ms - view.failed_at_ms < RETRY_INTERVAL_MS:
        return FlushPlan(postponed_since_ms=view.postponed_since_ms)
    write, delayed = view.buffered_bytes > 0, False
    if write and fsync is Fsync.EVERYSEC and view.sync_running and not view.forced:
        since = view.postponed_since_ms
        if since < 0:
            return FlushPlan(postponed_since_ms=view.now_ms)
        if view.now_ms - since < POSTPONE_LIMIT_MS:
            return FlushPlan(postponed_since_ms=since)
        delayed = True
    return FlushPlan(write=write, sync=_sync(fsync, view, write), delayed=delayed)


def _sync(fsync: Fsync, view: FlushView, write: bool) -> Sync:
    if not (write or view.unsynced_bytes) or view.sync_suspended:
        return Sync.NONE
    if fsync is Fsync.ALWAYS:
        return Sync.NOW
    if fsync is Fsync.EVERYSEC and view.sync_due and not view.sync_running:
        return Sync.LATER
    return Sync.NONE


class Health(Enum):
    """Whether what is appended reaches the disk."""

    OK = "ok"
    WRITE_FAILING = "write failing"
    SYNC_FAILING = "sync failing"
    BOTH_FAILING = "write and sync failing"


class Event(Enum):
    """What happened to the file. With `always` a write is WRITTEN only once it is synced."""

    WRITTEN = auto()
    WRITE_FAILED = auto()
    SYNCED = auto()
    SYNC_FAILED = auto()
    REOPENED = auto()
    """The AOF was switched off and on: a fresh base holds everything."""


HEALTH: dict[tuple[Health, Event], Health] = {
    (Health.OK, Event.WRITTEN): Health.OK,
    (Health.OK, Event.WRITE_FAILED): Health.WRITE_FAILING,
    (Health.OK, Event.SYNCED): Health.OK,
    (Health.OK, Event.SYNC_FAILED): Health.SYNC_FAILING,
    (Health.OK, Event.REOPENED): Health.OK,
    (Health.WRITE_FAILING, Event.WRITTEN): Health.OK,
    (Health.WRITE_FAILING, Event.WRITE_FAILED): Health.WRITE_FAILING,
    (Health.WRITE_FAILING, Event.SYNCED): Health.WRITE_FAILING,
    (Health.WRITE_FAILING, Event.SYNC_FAILED): Health.BOTH_FAILING,
    (Health.WRITE_FAILING, Event.REOPENED): Health.OK,
    (Health.SYNC_FAILING, Event.WRITTEN): Health.SYNC_FAILING,
    (Health.SYNC_FAILING, Event.WRITE_FAILED): Health.BOTH_FAILING,
    (Health.SYNC_FAILING, Event.SYNCED): Health.OK,
    (Health.SYNC_FAILING, Event.SYNC_FAILED): Health.SYNC_FAILING,
    (Health.SYNC_FAILING, Event.REOPENED): Health.OK,
    (Health.BOTH_FAILING, Event.WRITTEN): Health.SYNC_FAILING,
    (Health.BOTH_FAILING, Event.WRITE_FAILED): Health.BOTH_FAILING,
    (Health.BOTH_FAILING, Event.SYNCED): Health.WRITE_FAILING,
    (Health.BOTH_FAILING, Event.SYNC_FAILED): Health.BOTH_FAILING,
    (Health.BOTH_FAILING, Event.REOPENED): Health.OK,
}


def rewrite_growth(current_bytes: int, base_bytes: int) -> int:
    """Return by how many percent the file has grown since the last rewrite."""
    return current_bytes * 100 // (base_bytes or 1) - 100


def rewrite_due(*, current_bytes: int, base_bytes: int, percentage: int, min_bytes: int) -> bool:
    """Tell whether growth asks for a rewrite (auto-aof-rewrite-percentage 0: never)."""
    if not percentage or current_bytes <= min_bytes:
        return False
    return rewrite_growth(current_bytes, base_bytes) >= percentage


@dataclass(frozen=True)
class RewriteLimiter:
    """Holds automatic rewrites back after failures (Redis: aofRewriteLimited)."""

    delay_minutes: int = 0
    until_ms: int = 0

    def ask(self, consecutive_failures: int, now_ms: int) -> tuple[RewriteLimiter, bool]:
        """Return the next limiter and whether a rewrite is held back now."""
        if consecutive_failures < LIMIT_AFTER_FAILURES:
            return RewriteLimiter(), False
        if self.until_ms:
            if now_ms < self.until_ms:
                return self, True
            return RewriteLimiter(self.delay_minutes, 0), False
        minutes = min(self.delay_minutes * 2 or 1, LIMIT_MAX_MINUTES)
        return RewriteLimiter(minutes, now_ms + minutes * 60_000), True
