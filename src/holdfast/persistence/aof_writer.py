"""The append-only file while the server runs: switched on, appended to, flushed, reported.

The thin part: `aof_policy` decides, `AofDirectory` names, `Increment` writes. A tick
of the node calls `append` with the effects of all its connections and then
`flush`; replies to writes may leave once `gate_offset` has reached them. What waits is
the `Tail`, what is open and how far it is synced are the `Syncs`, and the rewrite is
`AofRewriter`.

How to read it: the life cycle (`open`, `start`, `stop`), the tick (`flush`), then what
others ask (`misconf`, `gate_offset`, `fields`).
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.persistence.aof_directory import AofDirectory, Log
from holdfast.persistence.aof_health import AofHealth
from holdfast.persistence.aof_increment import Increment
from holdfast.persistence.aof_marks import Place
from holdfast.persistence.aof_policy import Event, FlushView, Fsync, Health, Sync, plan_flush
from holdfast.persistence.aof_rewriter import AofRewriter
from holdfast.persistence.aof_rewrites import RewriteRecord, RewriteTicket
from holdfast.persistence.aof_settings import AofError, AofSettings, State
from holdfast.persistence.aof_syncs import Syncs
from holdfast.persistence.aof_tail import Tail
from holdfast.persistence.manifest import Manifest
from holdfast.persistence.manifest_store import AofPlace
from holdfast.server.host import Clock, Disk


class AofWriter:
    """The append-only file of one node."""

    def __init__(
        self, disk: Disk, clock: Clock, place: AofPlace, settings: AofSettings, pid: int, log: Log
    ) -> None:
        """Nothing is written before it is opened or switched on."""
        self.state = State.OFF
        self.directory = AofDirectory(disk, place, pid, log)
        self.health = AofHealth(log)
        self.tail = Tail(clock)
        self.syncs = Syncs(self.tail, self.health, clock, log)
        self.rewrites = RewriteRecord(log)
        self.rewriter = AofRewriter(self, log)
        self.settings = settings
        self.delayed_syncs = 0
        self.current_bytes = 0
        self.base_bytes = 0
        self.child_running = False
        """Whether any child writes to the disk; the node sets it (no-appendfsync-on-rewrite)."""
        self.append = self.tail.append
        """Takes the effects of a tick."""
        self.place: Callable[[], Place | None] = lambda: None
        """Where the data stand in a replication stream, None where there is none (set by the keeper)."""
        self.before_sync: Callable[[], None] = lambda: None
        """Called when a tick's effects are written and their sync is about to begin (set by the node)."""
        self._log = log
        self._postponed_since_ms = -1

    @property
    def settings(self) -> AofSettings:
        """What redis.conf and CONFIG SET say."""
        return self._settings

    @settings.setter
    def settings(self, settings: AofSettings) -> None:
        self._settings = settings
        self._always = settings.appendfsync is Fsync.ALWAYS
        self._everysec = settings.appendfsync is Fsync.EVERYSEC
        self.tail.stamp(stamps=settings.aof_timestamp_enabled)

    # Life cycle

    def open(
        self, manifest: Manifest, offset: int, base_bytes: int, write_base: Callable[[str, bool], None]
    ) -> None:
        """Switch on at start-up, after loading; AofError if it cannot be written.

        `write_base(path, rdb)` writes and syncs a snapshot; it is called when there is no file yet.
        """
        try:
            rdb = self.settings.aof_use_rdb_preamble
            self.syncs.current = self.directory.prepare(manifest, offset, rdb, write_base)
        except OSError as error:
            raise AofError(f"Can't open the append-only file: {error}") from error
        self.state, self.tail.offset = State.ON, offset
        self.tail.take(takes=True)
        self.base_bytes = base_bytes
        self.current_bytes = self.directory.size()
        self.rewriter.remove_history()

    def start(self, now_ms: int, offset: int, *, insists: bool = False) -> RewriteTicket:
        """Switch on while running (CONFIG SET appendonly yes); on from the end of this rewrite.

        AofError if that cannot begin: it is off then, or, with `insists`, tried again as rewrites are.
        """
        assert self.state is State.OFF
        self.state, self.tail.offset = State.WAITING, offset
        self.health.happened(Event.REOPENED)
        try:
            return self.rewriter.begin(now_ms)
        except AofError:
            if insists:
                self.rewrites.scheduled = True
            else:
                self.state = State.OFF
            raise

    def stop(self, now_ms: int, *, replaced: bool = False) -> bool:
        """Write and sync what is left, then switch off (CONFIG SET appendonly no, shutdown).

        `replaced`: other data are in memory now, so nothing more is written, least of all where these stand:
        the file would claim their place in the stream for the data that it holds. Returns whether everything
        appended is on stable storage.
        """
        if replaced:
            self.tail.clear()
            self.tail.moved = False
        if self.state is State.ON:
            self.flush(now_ms, forced=True)
        self.syncs.close()
        everything = self.synced_offset == self.tail.offset
        if self.rewrites.running:
            self.rewrites.called_off(now_ms)
            self.directory.forget(self.directory.snapshot_path)
        if self.state is State.WAITING:
            self.directory.forget(self.directory.waiting_path)
        self.syncs.forget()
        self.rewrites.scheduled = False
        self.tail.take(takes=False)
        self.tail.clear()
        self.tail.begin_file()
        self.state = State.OFF
        return everything

    # The tick

    def mark_soon(self) -> None:
        """Let the next flush say where the data stand, even if nothing else is written."""
        self.tail.moved = True

    def flush(self, now_ms: int, *, forced: bool = False) -> None:
        """Write and sync what the policy asks for; never raises: see `health`."""
        tail, syncs = self.tail, self.syncs
        current = syncs.current
        if tail.moved and current is not None:
            tail.mark(self.place())
        if current is None or not (tail.buffer or syncs.unsynced_bytes):
            syncs.nothing_at_stake()
            return
        due = False
        if now_ms < syncs.calm_until_ms:
            syncs.released_offset = tail.offset
        elif self._everysec:
            if self._sync_suspended:
                syncs.nothing_at_stake()
            else:
                due = syncs.weigh(now_ms)
        if not (due or self._always or forced or self.health.failed_at_ms >= 0 or current.syncing):
            # As the policy would say, at a tenth of the cost: most ticks lie between two syncs.
            self._postponed_since_ms = -1
            if tail.buffer:
                self._write(current, now_ms, synced=False)
            return
        plan = plan_flush(
            self.settings.appendfsync,
            FlushView(
                now_ms,
                len(tail.buffer),
                syncs.unsynced_bytes,
                current.syncing,
                due,
                self._postponed_since_ms,
                self.health.failed_at_ms,
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
        elif plan.sync is Sync.NOW and not syncs.sync_now(now_ms):
            current.suspect = True
        if plan.sync is Sync.LATER:
            syncs.sync_later()

    def _write(self, current: Increment, now_ms: int, *, synced: bool) -> None:
        tail, size, offset = self.tail, current.size, current.offset
        try:
            current.append(tail.buffer, tail.offset)
        except OSError as error:
            self.health.failed(Event.WRITE_FAILED, error, "Error writing to the AOF file", now_ms)
            return
        if synced:
            self.before_sync()
        if synced and not self.syncs.sync_now(now_ms):
            # The kernel may have dropped these bytes: they are taken back and written afresh.
            current.suspect = current.suspect or size > current.synced_bytes
            try:
                current.cut_to(size, offset)
            except OSError:
                pass  # torn: the next append cuts first
            return
        self.current_bytes += len(tail.buffer)
        tail.clear()
        if self.health.state is not Health.OK:
            self.health.happened(Event.WRITTEN)

    # What others ask

    @property
    def syncs_each_tick(self) -> bool:
        """Whether replies to writes wait for a sync of their tick."""
        return self._always and self.state is State.ON and not self._sync_suspended

    @property
    def misconf(self) -> str | None:
        """The error that writes get while the file cannot be written, without the leading minus."""
        return None if self.state is State.OFF else self.health.misconf

    @property
    def synced_offset(self) -> int:
        """Effects up to here are on stable storage (WAITAOF); -1 when the AOF is not in force."""
        return self.syncs.synced_offset if self.state is State.ON else -1

    @property
    def gate_offset(self) -> int:
        """Replies to writes up to here may leave; with `always` this waits for the disk."""
        if self.syncs_each_tick:
            return self.synced_offset
        if self.syncs.is_late:
            return max(self.syncs.released_offset, self.synced_offset)
        return self.tail.offset

    def fields(self, now_ms: int) -> dict[str, str | int]:
        """Return the aof_ fields of INFO persistence, in order."""
        shown: dict[str, str | int] = {
            "aof_enabled": int(self.state is not State.OFF),
            **self.rewrites.fields(now_ms),
            "aof_last_write_status": "ok" if self.health.state is Health.OK else "err",
            "aof_last_cow_size": self.rewrites.last_cow_bytes,
            "module_fork_in_progress": 0,
            "module_fork_last_cow_size": 0,
        }
        if self.state is not State.OFF:
            shown |= {
                "aof_current_size": self.current_bytes,
                "aof_base_size": self.base_bytes,
                "aof_pending_rewrite": int(self.rewrites.scheduled),
                "aof_buffer_length": len(self.tail.buffer),
                "aof_pending_bio_fsync": self.syncs.under_way,
                "aof_delayed_fsync": self.delayed_syncs,
            }
        return shown

    @property
    def _sync_suspended(self) -> bool:
        return self.settings.no_appendfsync_on_rewrite and self.child_running
