"""The append-only file while the server runs: append, flush, rewrite, report.

The thin part: `aof_policy` decides, `AofDirectory` names, `Increment` writes. A tick
of the node calls `append` with the effects of all its connections and then
`flush`; replies to writes may leave once `gate_offset` has reached them. The
snapshot itself is written by a child process or by the walker; this module only
says where (`RewriteTicket`) and puts it in force.

Order of a rewrite, each step safe to crash after: the buffer is flushed; a new
increment is opened and named in the manifest; the snapshot is written under a
temporary name and synced; it is renamed; the manifest is replaced (new base, the
increments before are history); history is removed; the manifest forgets it.

How to read it: the life cycle (`open`, `start`, `stop`), the tick (`append`,
`flush`), the rewrite (`begin_rewrite`, `finish_rewrite`, `fail_rewrite`,
`rewrite_wanted`), then what others ask (`misconf`, `gate_offset`, `fields`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from holdfast.persistence.aof_directory import AofDirectory, Log
from holdfast.persistence.aof_exposure import SYNC_AFTER_MS, Exposure
from holdfast.persistence.aof_increment import Increment
from holdfast.persistence.aof_marks import Place
from holdfast.persistence.aof_policy import (
    HEALTH,
    LOG_INTERVAL_MS,
    Event,
    FlushView,
    Fsync,
    Health,
    Sync,
    plan_flush,
    rewrite_due,
    rewrite_growth,
)
from holdfast.persistence.aof_rewrites import RewriteRecord, RewriteTicket
from holdfast.persistence.manifest import Manifest
from holdfast.persistence.manifest_store import AofPlace
from holdfast.server.host import Clock, Disk

CLOCK_STEP_MS = 2
"""Timers of a loop may run so much early by the clock."""
SELECT = b"*2\r\n$6\r\nSELECT\r\n"


@dataclass(frozen=True)
class AofSettings:
    """The settings of the AOF, by their names in redis.conf."""

    appendfsync: Fsync = Fsync.EVERYSEC
    aof_use_rdb_preamble: bool = True
    aof_timestamp_enabled: bool = False
    no_appendfsync_on_rewrite: bool = False
    auto_aof_rewrite_percentage: int = 100
    auto_aof_rewrite_min_size: int = 64 * 1024 * 1024
    aof_disable_auto_gc: bool = False


class State(Enum):
    """Whether effects are recorded."""

    OFF = "off"
    WAITING = "waiting for the first rewrite"
    ON = "on"


class AofError(Exception):
    """A step of the AOF that could not be made; the text says which and why."""


class AofWriter:
    """The append-only file of one node."""

    def __init__(
        self, disk: Disk, clock: Clock, place: AofPlace, settings: AofSettings, pid: int, log: Log
    ) -> None:
        self._plain = False
        """Whether a chunk goes into the buffer as it is: nothing to stamp, nothing to select."""
        self.settings = settings
        self.state = State.OFF
        self.directory = AofDirectory(disk, place, pid, log)
        self.rewrites = RewriteRecord(log)
        self.health = Health.OK
        self.delayed_syncs = 0
        self.last_sync_us = 0
        """How long everybody waited for the last sync (`always`)."""
        self.current_bytes = 0
        self.base_bytes = 0
        self.child_running = False
        """Whether any child writes to the disk; the node sets it (no-appendfsync-on-rewrite)."""
        self._clock, self._log = clock, log
        self.wake: Callable[[int], None] = lambda wait_ms: None
        """Makes a tick that flushes, so many milliseconds from now (set by the keeper)."""
        self.place: Callable[[], Place | None] = lambda: None
        """Where the data stand in a replication stream, None where there is none (set by the keeper)."""
        self.before_sync: Callable[[], None] = lambda: None
        """Called when a tick's effects are written and their sync is about to begin (set by the node)."""
        self._buffer = bytearray()
        self._lineage = b""
        """The history that the marks of the present increment name."""
        self._moved = False
        """Something was appended since the last mark."""
        self._is_presynced = False
        """A rewrite that is due has let the file be synced once."""
        self._is_marked = False
        """A mark waits in the buffer."""
        self._offset = 0
        self._needs_select = True
        self._stamped_seconds = 0
        self._current: Increment | None = None
        self._retired: list[Increment] = []
        self._syncs: set[asyncio.Task[None]] = set()
        self._postponed_since_ms = self._failed_at_ms = self._logged_ms = -1
        self._exposure = Exposure()
        self.is_late = False
        """Replies to further writes wait for the sync under way (`everysec`)."""
        self._released_offset = 0
        """Effects up to here were acknowledged before the sync was late."""
        self._calm_until_ms = 0
        """Until then no sync is due, and none can be late."""
        self._errno = 0

    @property
    def settings(self) -> AofSettings:
        """What redis.conf and CONFIG SET say."""
        return self._settings

    @settings.setter
    def settings(self, settings: AofSettings) -> None:
        self._settings = settings
        self._always = settings.appendfsync is Fsync.ALWAYS
        self._everysec = settings.appendfsync is Fsync.EVERYSEC
        self._plain = False

    # Life cycle

    def open(
        self, manifest: Manifest, offset: int, base_bytes: int, write_base: Callable[[str, bool], None]
    ) -> None:
        """Switch on at start-up, after loading; AofError if it cannot be written.

        `write_base(path, rdb)` writes and syncs a snapshot; it is called when there is no file yet.
        """
        try:
            rdb = self.settings.aof_use_rdb_preamble
            self._current = self.directory.prepare(manifest, offset, rdb, write_base)
        except OSError as error:
            raise AofError(f"Can't open the append-only file: {error}") from error
        self.state, self._offset = State.ON, offset
        self.base_bytes = base_bytes
        self.current_bytes = self.directory.size()
        self._remove_history()

    def start(self, now_ms: int, offset: int) -> RewriteTicket:
        """Switch on while running (CONFIG SET appendonly yes); on from the end of this rewrite."""
        assert self.state is State.OFF
        self.state, self._offset = State.WAITING, offset
        self._happened(Event.REOPENED, now_ms)
        try:
            return self.begin_rewrite(now_ms)
        except AofError:
            self.state = State.OFF
            raise

    def stop(self, now_ms: int, *, replaced: bool = False) -> bool:
        """Write and sync what is left, then switch off (CONFIG SET appendonly no, shutdown).

        `replaced`: other data are in memory now, so nothing more is written, least of all where these stand:
        the file would claim their place in the stream for the data that it holds. Returns whether everything
        appended is on stable storage.
        """
        if replaced:
            self._buffer.clear()
            self._moved = self._is_marked = False
        if self.state is State.ON:
            self.flush(now_ms, forced=True)
        for increment in (*self._retired, *((self._current,) if self._current else ())):
            try:
                increment.sync()
            except OSError as error:
                self._log("warning", f"Fail to fsync the AOF file: {error.strerror}")
            increment.close()
        everything = self.synced_offset == self._offset
        if self.rewrites.running:
            self.rewrites.called_off(now_ms)
            self.directory.forget(self.directory.snapshot_path)
        if self.state is State.WAITING:
            self.directory.forget(self.directory.waiting_path)
        self._current, self._retired = None, []
        self._nothing_at_stake()
        self.rewrites.scheduled = False
        self._buffer.clear()
        self._needs_select = True
        self._plain = False
        self._lineage = b""
        self.state = State.OFF
        return everything

    # The tick

    def append(self, chunk: bytes | bytearray | memoryview, database: int, offset: int) -> None:
        """Take the effects of a tick: whole commands and transactions that end at `offset`.

        `database` is the one in force where the chunk begins. Empty chunks only move the offset.
        """
        self._offset = offset
        if self._plain:
            self._moved = True
            self._buffer += chunk
            return
        if self.state is State.OFF or not len(chunk):
            return
        if self.state is State.WAITING and self.rewrites.running is None:
            return
        self._moved = True
        self._plain = self.state is State.ON and not self._settings.aof_timestamp_enabled
        if self._settings.aof_timestamp_enabled:
            seconds = self._clock.wall_us() // 1_000_000
            if seconds > self._stamped_seconds:
                self._stamped_seconds = seconds
                self._buffer += b"#TS:%d\r\n" % seconds
        if self._needs_select:
            self._needs_select = False
            if bytes(chunk[: len(SELECT)]).upper() != SELECT:
                number = b"%d" % database
                self._buffer += b"%b$%d\r\n%b\r\n" % (SELECT, len(number), number)
        self._buffer += chunk

    def flush(self, now_ms: int, *, forced: bool = False) -> None:
        """Write and sync what the policy asks for; never raises: see `health`."""
        current = self._current
        if self._moved and current is not None:
            self._mark()
        if current is None or not (self._buffer or self._unsynced_bytes):
            self._nothing_at_stake()
            return
        due = False
        if now_ms < self._calm_until_ms:
            self._released_offset = self._offset
        elif self._everysec:
            due = self._weigh(now_ms)
        if not (due or self._always or forced or self._failed_at_ms >= 0 or current.syncing):
            # As the policy would say, at a tenth of the cost: most ticks lie between two syncs.
            self._postponed_since_ms = -1
            if self._buffer:
                self._write(current, now_ms, synced=False)
            return
        plan = plan_flush(
            self.settings.appendfsync,
            FlushView(
                now_ms,
                len(self._buffer),
                self._unsynced_bytes,
                current.syncing,
                due,
                self._postponed_since_ms,
                self._failed_at_ms,
                forced,
                self._sync_suspended,
            ),
        )
        self._postponed_since_ms = plan.postponed_since_ms
        if plan.delayed:
            self.delayed_syncs += 1
            self._log(
                "notice",
                "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer "
                "without waiting for fsync to complete, this may slow down the server.",
            )
        if plan.write:
            self._write(current, now_ms, synced=plan.sync is Sync.NOW)
        elif plan.sync is Sync.NOW and not self._sync_now(now_ms):
            current.suspect = True
        if plan.sync is Sync.LATER:
            for increment in (*self._retired, current):
                if increment.unsynced_bytes and not increment.syncing:
                    self._sync_beside(increment)

    def _weigh(self, now_ms: int) -> bool:
        """See what is at stake with `everysec`; tell whether a sync is due."""
        exposure = self._exposure
        if self._sync_suspended:
            self._nothing_at_stake()
            return False
        if self._buffer and exposure.uncovered_since_ms < 0:
            exposure.came(now_ms)
            self.wake(SYNC_AFTER_MS + CLOCK_STEP_MS)
        late = self._failed_at_ms < 0 and exposure.is_late(now_ms)
        if late and not self.is_late:
            self._log("notice", "Asynchronous AOF fsync is taking too long (disk is busy?). Writes wait.")
        self.is_late = late
        if not late:
            self._released_offset = self._offset
        if exposure.is_due(now_ms):
            return True
        if exposure.uncovered_since_ms >= 0 and exposure.syncing_since_ms < 0:
            self._calm_until_ms = exposure.uncovered_since_ms + SYNC_AFTER_MS
        return False

    def _nothing_at_stake(self) -> None:
        self._exposure.ended()
        self._calm_until_ms = 0
        self.is_late = False

    def mark_soon(self) -> None:
        """Let the next flush say where the data stand, even if nothing else is written."""
        self._moved = True

    def _mark(self) -> None:
        self._moved = False
        place = self.place()
        if place is None:
            return
        line = place.line() if place.lineage == self._lineage else place.whole()
        if line:
            self._lineage = place.lineage
            self._is_marked = True
            self._buffer += line

    def _write(self, current: Increment, now_ms: int, *, synced: bool) -> None:
        size, offset = current.size, current.offset
        try:
            current.append(self._buffer, self._offset)
        except OSError as error:
            self._failed(Event.WRITE_FAILED, error, "Error writing to the AOF file", now_ms)
            return
        if synced:
            self.before_sync()
        if synced and not self._sync_now(now_ms):
            # The kernel may have dropped these bytes: they are taken back and written afresh.
            current.suspect = current.suspect or size > current.synced_bytes
            try:
                current.cut_to(size, offset)
            except OSError:
                pass  # torn: the next append cuts first
            return
        self.current_bytes += len(self._buffer)
        self._buffer.clear()
        self._is_marked = False
        if self.health is not Health.OK:
            self._happened(Event.WRITTEN, now_ms)

    def _sync_now(self, now_ms: int) -> bool:
        started_us = self._clock.boot_us()
        try:
            for increment in (*self._retired, *((self._current,) if self._current else ())):
                if increment.unsynced_bytes:
                    increment.sync()
            self.last_sync_us = self._clock.boot_us() - started_us
        except OSError as error:
            for increment in self._retired:
                increment.suspect = increment.suspect or increment.unsynced_bytes > 0
            self._failed(Event.SYNC_FAILED, error, "Can't persist AOF for fsync error", now_ms)
            return False
        if self._retired:
            self._close_retired()
        if self.health is not Health.OK:
            self._happened(Event.SYNCED, now_ms)
        return True

    def _sync_beside(self, increment: Increment) -> None:
        increment.syncing = True
        if increment is self._current and not self._buffer:
            self._exposure.sync_began()
            self._calm_until_ms = 0
        task = asyncio.get_running_loop().create_task(self._await_sync(increment))
        self._syncs.add(task)
        task.add_done_callback(self._syncs.discard)

    async def _await_sync(self, increment: Increment) -> None:
        ok = False
        try:
            await increment.sync_later()
            ok = True
        except OSError as error:
            now_ms = self._clock.boot_us() // 1000
            if increment is self._current or increment in self._retired:
                self._failed(Event.SYNC_FAILED, error, "Fail to fsync the AOF file", now_ms)
            return
        finally:
            self._exposure.sync_ended(ok=ok)
            if self._buffer or self.is_late:
                self.wake(0)
        self._happened(Event.SYNCED, self._clock.boot_us() // 1000)
        self._close_retired()

    def _close_retired(self) -> None:
        for increment in [i for i in self._retired if not i.unsynced_bytes and not i.syncing]:
            self._retired.remove(increment)
            increment.close()

    # The rewrite

    def begin_rewrite(self, now_ms: int) -> RewriteTicket:
        """Open the next increment and order a snapshot of this very moment; AofError if it cannot start."""
        if self.rewrites.running:
            raise AofError("Background append only file rewriting already in progress")
        self.flush(now_ms, forced=True)
        try:
            if self._buffer and self.state is State.ON:
                # Going on would put effects after a snapshot that already holds them.
                raise OSError(self._errno, os.strerror(self._errno))
            self._open_next_increment()
        except OSError as error:
            self.rewrites.not_begun()
            raise AofError(f"Can't start rewriting the append-only file: {error.strerror}") from error
        ticket = RewriteTicket(self.directory.snapshot_path, self.settings.aof_use_rdb_preamble, now_ms)
        self.rewrites.begun(ticket)
        return ticket

    def _open_next_increment(self) -> None:
        if self.state is State.OFF:
            return
        if self.state is State.WAITING:
            self._buffer.clear()
            self._current = self.directory.waiting_increment(self._offset)
        else:
            if self._current and self._current.unsynced_bytes:
                # The next increment is worth nothing if a power loss cuts this one short.
                self._current.sync()
            increment = self.directory.next_increment(self._offset)
            if self._current:
                self._retire(self._current)
            self._current = increment
        self._needs_select = True
        self._plain = False
        self._lineage = b""

    def _retire(self, increment: Increment) -> None:
        self._retired.append(increment)
        if increment.unsynced_bytes and not increment.syncing:
            self._sync_beside(increment)
        self._close_retired()

    def finish_rewrite(self, ticket: RewriteTicket, now_ms: int, *, cow_bytes: int = 0) -> None:
        """Put the snapshot that was written and synced in force; AofError leaves the old files in force."""
        assert ticket is self.rewrites.running
        try:
            self.directory.put_in_force(
                rdb=ticket.rdb,
                waiting=self.state is State.WAITING,
                keep=0 if self.state is State.OFF else 1,
            )
        except OSError as error:
            self.fail_rewrite(ticket, now_ms, str(error.strerror))
            raise AofError(f"Can't put the rewritten append-only file in force: {error.strerror}") from error
        self.rewrites.ended(now_ms, ok=True, cow_bytes=cow_bytes)
        if self.state is not State.OFF:
            self.state = State.ON
            for increment in self._retired:
                increment.close()  # the base holds what it held
            self._retired.clear()
            self.current_bytes = self.base_bytes = self.directory.size()
            self._nothing_is_left(now_ms)
        self._remove_history()
        self._log("notice", "Background AOF rewrite finished successfully")

    def _nothing_is_left(self, now_ms: int) -> None:
        """Heal if nothing waits to be tried again: what failed is held by the new base.

        Else a node to which nobody writes, as one that is fenced, would say for good that its disk fails.
        """
        if not self._buffer:
            self._happened(Event.WRITTEN, now_ms)
        if not self._unsynced_bytes:
            self._happened(Event.SYNCED, now_ms)

    def fail_rewrite(self, ticket: RewriteTicket, now_ms: int, reason: str, *, wanted: bool = False) -> None:
        """Give up a rewrite (`wanted`: somebody asked for that, so it is no failure)."""
        assert ticket is self.rewrites.running
        self.directory.forget(ticket.path)
        if wanted:
            self.rewrites.called_off(now_ms)
        else:
            self.rewrites.ended(now_ms, ok=False)
        if self.state is State.WAITING:
            self._buffer.clear()
            if self._current:
                self._current.close()
                self._current = None
            self.directory.forget(self.directory.waiting_path)
            self.rewrites.scheduled = True
        self._log("warning", f"Background AOF rewrite terminated: {reason}")

    def rewrite_wanted(self, now_ms: int) -> str | None:
        """Return why a rewrite should start now, or None; asked by the node's cron when no child runs."""
        reason = None if self.rewrites.running else self._rewrite_reason()
        return reason if reason and self.rewrites.allowed(now_ms) else None

    def ready_to_rewrite(self) -> bool:
        """Sync beside the loop what the file holds; tell when that is done and little is left to wait for."""
        current = self._current
        if current is None or not current.unsynced_bytes:
            return True
        if current.syncing:
            return False
        if not self._is_presynced:
            self._is_presynced = True
            self._sync_beside(current)
            return False
        self._is_presynced = False
        return True

    def _rewrite_reason(self) -> str | None:
        if self.rewrites.scheduled:
            return "scheduled"
        if self.state is not State.ON:
            return None
        if self._suspect and self.health is Health.OK:
            return "an fsync had failed, so the file may lack what was written before"
        due = rewrite_due(
            current_bytes=self.current_bytes,
            base_bytes=self.base_bytes,
            percentage=self.settings.auto_aof_rewrite_percentage,
            min_bytes=self.settings.auto_aof_rewrite_min_size,
        )
        return f"{rewrite_growth(self.current_bytes, self.base_bytes)}% growth" if due else None

    def _remove_history(self) -> None:
        if not self.settings.aof_disable_auto_gc:
            self.directory.remove_history()

    # What others ask

    @property
    def syncs_each_tick(self) -> bool:
        """Whether replies to writes wait for a sync of their tick."""
        return self._always and self.state is State.ON and not self._sync_suspended

    @property
    def misconf(self) -> str | None:
        """The error that writes get while the file cannot be written, without the leading minus."""
        if self.state is State.OFF or self.health is Health.OK:
            return None
        return f"MISCONF Errors writing to the AOF file: {os.strerror(self._errno)}"

    @property
    def synced_offset(self) -> int:
        """Effects up to here are on stable storage (WAITAOF); -1 when the AOF is not in force."""
        if self.state is not State.ON or self._current is None:
            return -1
        for increment in (*self._retired, self._current):
            if increment.unsynced_bytes:
                return increment.synced_offset
        # A mark is more than the effects before it: with one in the buffer, not even these count.
        return self._current.offset - self._is_marked if self._buffer else self._offset

    @property
    def gate_offset(self) -> int:
        """Replies to writes up to here may leave; with `always` this waits for the disk."""
        if self.state is State.ON and self.settings.appendfsync is Fsync.ALWAYS and not self._sync_suspended:
            return self.synced_offset
        if self.is_late:
            return max(self._released_offset, self.synced_offset)
        return self._offset

    def fields(self, now_ms: int) -> dict[str, str | int]:
        """Return the aof_ fields of INFO persistence, in order."""
        shown: dict[str, str | int] = {
            "aof_enabled": int(self.state is not State.OFF),
            **self.rewrites.fields(now_ms),
            "aof_last_write_status": "ok" if self.health is Health.OK else "err",
            "aof_last_cow_size": self.rewrites.last_cow_bytes,
            "module_fork_in_progress": 0,
            "module_fork_last_cow_size": 0,
        }
        if self.state is not State.OFF:
            shown |= {
                "aof_current_size": self.current_bytes,
                "aof_base_size": self.base_bytes,
                "aof_pending_rewrite": int(self.rewrites.scheduled),
                "aof_buffer_length": len(self._buffer),
                "aof_pending_bio_fsync": len(self._syncs),
                "aof_delayed_fsync": self.delayed_syncs,
            }
        return shown

    # Below: small steps

    @property
    def _unsynced_bytes(self) -> int:
        unsynced = self._current.unsynced_bytes if self._current else 0
        for increment in self._retired:
            unsynced += increment.unsynced_bytes
        return unsynced

    @property
    def _suspect(self) -> bool:
        return any(i.suspect for i in self._retired) or (self._current is not None and self._current.suspect)

    @property
    def _sync_suspended(self) -> bool:
        return self.settings.no_appendfsync_on_rewrite and self.child_running

    def _happened(self, event: Event, now_ms: int) -> None:
        before, self.health = self.health, HEALTH[self.health, event]
        if self.health is Health.OK and before is not Health.OK:
            self._failed_at_ms = self._logged_ms = -1
            self._log("notice", "AOF write error looks solved. The server can write again.")

    def _failed(self, event: Event, error: OSError, text: str, now_ms: int) -> None:
        self._happened(event, now_ms)
        self._failed_at_ms = now_ms
        self._errno = error.errno or 0
        if self._logged_ms < 0 or now_ms - self._logged_ms > LOG_INTERVAL_MS:
            self._logged_ms = now_ms
            self._log("warning", f"{text}: {error.strerror}")
