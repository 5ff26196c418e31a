"""The keeper of a node's files: what is loaded, what is written, and when.

What it is: the one object in which persistence meets the node. It loads at
start-up, hands each tick's effects to the AOF, begins snapshots and rewrites,
follows the settings, and tells the engine when the disk refuses. What it is not:
formats, or the steps of a file's life; these are in the modules it wires.

The node calls `load` before it serves, `take` with the effects of a tick and
`end_tick` after them, `beat` from its cron, and `close` at the end. Commands ask
`save_now`, `begin_save`, `begin_rewrite`; replication asks `stream`.

How to read it: start-up, the tick, snapshots, the AOF, then what others ask.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.engine import effects
from holdfast.persistence.aof_marks import Place
from holdfast.persistence.aof_policy import Fsync, Health
from holdfast.persistence.aof_rewrites import RewriteTicket
from holdfast.persistence.aof_writer import AofError, AofSettings, AofWriter, State
from holdfast.persistence.engine_side import (
    empty,
    hold_replies,
    in_unit,
    raise_guard,
    release_replies,
    writers_of_tick,
)
from holdfast.persistence.gathering import Gathering
from holdfast.persistence.keeper_info import info_fields
from holdfast.persistence.loader import (
    Kept,
    Loading,
)
from holdfast.persistence.manifest import Manifest
from holdfast.persistence.manifest_store import AofPlace
from holdfast.persistence.rdb_write import snapshot_head, write_snapshot
from holdfast.persistence.snapshot import FileSnapshot, Order, Outcome, SnapshotStream
from holdfast.persistence.start_up import StartUp
from holdfast.server.config.configuration import Refused

if TYPE_CHECKING:
    from holdfast.engine.state import Engine
    from holdfast.server.config import Configuration
    from holdfast.server.host import Host
    from holdfast.server.log import Log

RETRY_MS = 5000
"""After a failed save the save points wait so long."""
REDIS_VERSION = b"7.2.0"

AOF_SETTINGS = (
    "appendfsync",
    "aof-use-rdb-preamble",
    "aof-timestamp-enabled",
    "no-appendfsync-on-rewrite",
    "auto-aof-rewrite-percentage",
    "auto-aof-rewrite-min-size",
    "aof-disable-auto-gc",
)


class Keeper:
    """The files of one node."""

    def __init__(self, engine: Engine, configuration: Configuration, host: Host, log: Log) -> None:
        """Follow the settings; nothing is read or written before `load`."""
        self.engine, self.configuration, self.host, self.log = engine, configuration, host, log
        self.sinks: list[Callable[[bytes], None]] = []
        """The node's takers of effects; the AOF joins them while it is on."""
        self.deliver: Callable[[], None] = lambda: None
        """Hands out the effects there are, before a snapshot is taken (set by the node)."""
        self.release: Callable[[], None] = lambda: None
        """Sees that pending replies leave soon (set by the node)."""
        self.replication_fields: Callable[[], list[tuple[bytes, bytes]]] = list
        """Aux fields that replication wants in every snapshot."""
        self.stream_place: Callable[[], tuple[bytes, int, int] | None] = lambda: None
        """History, offset and database where the data stand in a replication stream; None: in none."""
        self.take_functions: Callable[[list[bytes]], None] | None = None
        """Loads function libraries that a file held; without it they are kept as they are."""
        self.give_functions: Callable[[], list[bytes]] | None = None
        self.gathering = Gathering()
        self._start_up = StartUp(self)
        self.kept = Kept()
        self.loading: Loading | None = None
        self.save_scheduled = False
        self.last_save_s = host.clock.wall_us() // 1_000_000
        self.last_save_ok = True
        self.last_save_seconds = -1
        self.last_cow_bytes = 0
        self.saves = 0
        self.last_load = (0, 0)
        """Keys loaded and keys left out as expired by the last load."""
        self._saving: FileSnapshot | None = None
        self._rewriting: FileSnapshot | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._saved_dirty = 0
        self.save_began_us = self._save_dirty = 0
        self._tried_ms = -RETRY_MS
        self._held: list[Any] = []
        self._refusing = False
        self.writer = AofWriter(host.disk, host.clock, self.place, self._aof_settings(), host.pid, log.write)
        self.writer.place = self._place
        configuration.on_change(AOF_SETTINGS, self._follow_aof_settings)
        configuration.on_change(("appendonly",), self._follow_appendonly)

    # ---- start-up ----

    async def load(self) -> None:
        """Load the AOF when it is on, else the RDB; then open the AOF. LoadFailed."""
        await self._start_up.load()
        self._saved_dirty = self.engine.dirty

    def reload(self, *, save: bool = True, flush: bool = True) -> None:
        """DEBUG RELOAD: save, drop everything, load; everybody waits. LoadFailed, OSError."""
        if save and not self.save_now():
            raise OSError(5, "the data set cannot be saved")
        if flush:
            self.before_flush()
            empty(self.engine)
        self._start_up.load_rdb_now()

    def open_writer(self, manifest: Manifest, base_bytes: int) -> None:
        """Go on with the append-only file that was loaded. AofError."""
        self.writer.open(manifest, self.engine.stream_offset, base_bytes, self._write_base)
        self._join()

    # ---- the tick ----

    def take(self, chunk: bytes) -> None:
        """Take the effects of a tick."""
        self.writer.append(chunk, 0, self.engine.stream_offset)

    def _place(self) -> Place | None:
        place = self.stream_place()
        return None if place is None else Place(*place)

    def gathers(self) -> bool:
        """Whether the tick should wait for more writers before its sync (group commit)."""
        if not self.writer.syncs_each_tick:
            return False
        writers = writers_of_tick(self.engine)
        if not writers:
            return False
        return self.gathering.waits(self.host.clock.boot_us(), self.writer.last_sync_us, writers)

    def end_tick(self) -> None:
        """Write and sync what the policy asks for; keep back replies that must wait for the disk."""
        writer = self.writer
        if writer.state is State.OFF:
            return
        writer.flush(self.host.clock.boot_us() // 1000)
        if writer.health is not Health.OK or self._refusing or self._held:
            self._follow_health()

    def _follow_health(self) -> None:
        """Errors of the disk: writes get MISCONF; with always, replies wait for what they promise."""
        self._follow_guard()
        engine, gate = self.engine, self.writer.gate_offset
        if self._held:
            release_replies(engine, self._held)
            self._held = []
        if gate < engine.stream_offset:
            self._held = hold_replies(engine, gate)
        else:
            self.release()

    def _follow_guard(self) -> None:
        self._refusing = self.refusal is not None
        raise_guard(self.engine, self._refusing)

    @property
    def refusal(self) -> str | None:
        """The error that writes get, without the leading minus; None: they may go on."""
        misconf = self.writer.misconf
        if misconf is not None:
            return misconf
        stops = self.configuration["stop-writes-on-bgsave-error"] and self.configuration["save"]
        if stops and not self.last_save_ok:
            return (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
                "disk. Commands that may modify the data set are disabled, because this instance is "
                "configured "
                "to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error "
                "option). "
                "Please check the Redis logs for details about the RDB error."
            )
        return None

    def write_refusal(self) -> bytes:
        """The same as bytes, for the engine's guard."""
        return (self.refusal or "MISCONF Errors writing to the AOF file").encode()

    def beat(self) -> None:
        """Do by the clock: flush, save points, scheduled saves and rewrites."""
        self._follow_guard()
        if self._held:
            self._follow_health()
        if self.busy or self.loading is not None:
            return
        now_ms = self.host.clock.boot_us() // 1000
        reason = self.writer.rewrite_wanted(now_ms)
        if reason is not None and not in_unit(self.engine) and self.writer.ready_to_rewrite():
            self.log.notice(f"Starting automatic rewriting of AOF on {reason}")
            self.begin_rewrite()
        elif self.save_scheduled and (now_ms - self._tried_ms > RETRY_MS or self.last_save_ok):
            self.begin_save()
        elif (rule := self._due_rule(now_ms)) is not None:
            self.log.notice(f"{rule.changes} changes in {rule.seconds} seconds. Saving...")
            self.begin_save()

    def _due_rule(self, now_ms: int) -> Any:
        dirty = self.dirty
        if not dirty or (not self.last_save_ok and now_ms - self._tried_ms <= RETRY_MS):
            return None
        age_s = self.host.clock.wall_us() // 1_000_000 - self.last_save_s
        for rule in self.configuration["save"]:
            if dirty >= rule.changes and age_s > rule.seconds:
                return rule
        return None

    # ---- snapshots ----

    @property
    def rdb_path(self) -> str:
        """The RDB file; empty when none is to be written."""
        return self.configuration.path("dbfilename")

    @property
    def dirty(self) -> int:
        """Changes since the last save."""
        return self.engine.dirty - self._saved_dirty

    @property
    def saving(self) -> bool:
        """Whether a save runs in the background."""
        return self._saving is not None

    @property
    def running_save(self) -> FileSnapshot | None:
        """The save under way."""
        return self._saving

    @property
    def running_rewrite(self) -> FileSnapshot | None:
        """The rewrite under way."""
        return self._rewriting

    @property
    def busy(self) -> bool:
        """Whether a child (or walk) writes a save or a rewrite."""
        return self._saving is not None or self._rewriting is not None or self.engine.walk is not None

    def order(self, *, aof_base: bool = False, commands: bool = False) -> Order:
        """Return what a snapshot of this moment holds beside the keys."""
        policy = self.configuration["maxmemory-policy"]
        functions = self.give_functions() if self.give_functions is not None else self.kept.functions
        fields = [
            (b"redis-ver", REDIS_VERSION),
            (b"redis-bits", b"64"),
            (b"ctime", b"%d" % (self.host.clock.wall_us() // 1_000_000)),
            # What the allocator hands out differs from run to run; a run in virtual time must not.
            *([(b"used-mem", b"%d" % self.engine.used_bytes)] if self.host.can_fork else ()),
            (b"aof-base", b"%d" % aof_base),
            *self.replication_fields(),
            *self.kept.extra_fields,
        ]
        return Order(
            b"" if commands else snapshot_head(fields, functions),
            commands=commands,
            compress=self.configuration["rdbcompression"],
            checksum=self.configuration["rdbchecksum"],
            early_sync=self.configuration[
                "aof-rewrite-incremental-fsync" if aof_base else "rdb-save-incremental-fsync"
            ],
            idle="lru" in policy and not commands,
            frequency="lfu" in policy and not commands,
        )

    def stream(self) -> SnapshotStream:
        """Begin a snapshot for whoever takes its chunks (a full synchronisation). OSError."""
        return SnapshotStream(self.engine, self.host, self.order())

    def begin_save(self) -> bool:
        """Begin a save in the background (BGSAVE, save points)."""
        self.save_scheduled = False
        self._tried_ms = self.host.clock.boot_us() // 1000
        self.save_began_us, self._save_dirty = self.host.clock.boot_us(), self.engine.dirty
        try:
            self._saving = FileSnapshot(self.engine, self.host, self.order(), self.rdb_path)
        except OSError as error:
            self._saved(Outcome(error.strerror or str(error)))
            return False
        self.log.notice("Background saving started")
        self._spawn(self._await_save(self._saving))
        return True

    async def _await_save(self, snapshot: FileSnapshot) -> None:
        outcome = await snapshot.finish()
        if self._saving is snapshot:
            self._saving = None
            self._saved(outcome)

    def _saved(self, outcome: Outcome) -> None:
        self.last_save_seconds = (self.host.clock.boot_us() - self.save_began_us) // 1_000_000
        if outcome.wanted:
            self.log.warning("Background saving was stopped")
            return
        self.last_save_ok = not outcome.error
        if outcome.error:
            self.log.warning(f"Background saving error: {outcome.error}; the file before it is untouched")
        else:
            self.saves += 1
            self._saved_dirty = self._save_dirty
            self.last_save_s = self.host.clock.wall_us() // 1_000_000
            self.last_cow_bytes = outcome.cow_bytes
            self.log.notice(
                f"Background saving terminated with success: {outcome.keys} keys, {outcome.written_bytes} "
                f"bytes, "
                f"{outcome.cow_bytes >> 20} MB of memory used by copy-on-write"
            )
        self._follow_guard()

    def save_now(self) -> bool:
        """Save while everybody waits (SAVE, SHUTDOWN, DEBUG RELOAD)."""
        path, disk = self.rdb_path, self.host.disk
        temporary = posixpath.join(posixpath.dirname(path), f"temp-{self.host.pid}-now.rdb")
        self.save_began_us, self._save_dirty = self.host.clock.boot_us(), self.engine.dirty
        try:
            keys = self._write_file(temporary, self.order())
            disk.rename(temporary, path)
            disk.sync_dir(posixpath.dirname(path) or ".")
        except OSError as error:
            self.log.warning(
                f"Error saving DB on disk: {error.strerror or error}; the file before it is untouched"
            )
            self.last_save_ok = False
            self._forget(temporary)
            self._follow_guard()
            return False
        self.saves += 1
        self.last_save_ok = True
        self._saved_dirty = self._save_dirty
        self.last_save_s = self.host.clock.wall_us() // 1_000_000
        self.log.notice(f"DB saved on disk: {keys} keys")
        self._follow_guard()
        return True

    def _write_file(self, path: str, order: Order) -> int:
        """Write and sync a snapshot at once; return its keys."""
        file = self.host.disk.open(path, "wb")
        try:
            if self.host.can_fork:
                _, keys = write_snapshot(
                    self.engine, file.fileno(), order.head, commands=order.commands, compress=order.compress,
                    checksum=order.checksum, early_sync=order.early_sync, idle=order.idle,
                    frequency=order.frequency,
                )  # fmt: skip
            else:
                keys = self._write_walk(file, order)
            file.sync()
        finally:
            file.close()
        return keys

    def _write_walk(self, file: Any, order: Order) -> int:
        from holdfast.persistence.snapshot import CHUNK_BYTES, _walk

        walk = _walk(self.engine, order)
        try:
            while not walk.ended:
                file.write(walk.step(CHUNK_BYTES))
        finally:
            walk.stop()
        return walk.keys

    def _forget(self, path: str) -> None:
        try:
            self.host.disk.remove(path)
        except OSError:
            pass

    def before_flush(self) -> None:
        """Stop what would write an emptied data set (FLUSHALL, SWAPDB, a full synchronisation)."""
        for snapshot in (self._saving, self._rewriting):
            if snapshot is not None:
                snapshot.stop()

    def after_flush(self) -> None:
        """Let the RDB follow FLUSHALL: no save of older data ends after it; with save points it is empty."""
        if self._saving is not None:
            self._saving.abandon()
            self._saving = None
        if self.configuration["save"] and self.loading is None:
            self.save_now()

    # ---- the AOF ----

    @property
    def place(self) -> AofPlace:
        """Where the append-only file lives."""
        return AofPlace(
            self.configuration["dir"],
            self.configuration["appenddirname"],
            self.configuration["appendfilename"],
        )

    def _aof_settings(self) -> AofSettings:
        setting = self.configuration
        return AofSettings(
            Fsync(setting["appendfsync"]),
            setting["aof-use-rdb-preamble"],
            setting["aof-timestamp-enabled"],
            setting["no-appendfsync-on-rewrite"],
            setting["auto-aof-rewrite-percentage"],
            setting["auto-aof-rewrite-min-size"],
            setting["aof-disable-auto-gc"],
        )

    def _follow_aof_settings(self, _: Configuration) -> None:
        self.writer.settings = self._aof_settings()

    def _follow_appendonly(self, configuration: Configuration) -> None:
        wanted, now_ms = configuration["appendonly"], self.host.clock.boot_us() // 1000
        if in_unit(self.engine):
            raise Refused("appendonly cannot be switched inside a transaction or script")
        self.deliver()
        if not wanted:
            if self.writer.state is not State.OFF:
                if self._rewriting is not None:
                    self._rewriting.stop()
                self.writer.stop(now_ms)
                self._leave()
                self._follow_health()
            return
        if self.writer.state is not State.OFF:
            return
        if self._rewriting is not None:
            raise Refused("a rewrite of the append-only file is still ending, try again")
        try:
            ticket = self.writer.start(now_ms, self.engine.stream_offset)
        except AofError as error:
            raise Refused(f"Unable to turn on AOF. Check server logs. {error}") from error
        self._join()
        self._begin_ticket(ticket)

    def _join(self) -> None:
        if self.take not in self.sinks:
            self.sinks.insert(0, self.take)
        self.engine.stream_on = True
        effects.forget_database(self.engine)

    def _leave(self) -> None:
        if self.take in self.sinks:
            self.sinks.remove(self.take)
        self.engine.stream_on = bool(self.sinks)

    def replaced(self) -> None:
        """Begin the append-only file anew: other data have taken the place of those that it describes.

        Until the new base is in force the old file is, whole, with the old data.
        """
        if self.writer.state is State.OFF:
            return
        if self._rewriting is not None:
            self._rewriting.abandon()
            self._rewriting = None
            self.writer.child_running = False
        now_ms = self.host.clock.boot_us() // 1000
        self.writer.stop(now_ms)
        try:
            ticket = self.writer.start(now_ms, self.engine.stream_offset)
        except AofError as error:
            self.log.warning(str(error))
            return
        self._begin_ticket(ticket)

    def begin_rewrite(self) -> str:
        """Begin a rewrite; return why it cannot begin (empty: it did)."""
        if in_unit(self.engine):
            self.writer.rewrites.schedule()
            return ""
        self.deliver()
        try:
            ticket = self.writer.begin_rewrite(self.host.clock.boot_us() // 1000)
        except AofError as error:
            self.log.warning(str(error))
            return str(error)
        return self._begin_ticket(ticket)

    def _begin_ticket(self, ticket: RewriteTicket) -> str:
        """Begin the snapshot that a rewrite asks for; effects from here on go to the next increment."""
        effects.forget_database(self.engine)
        try:
            snapshot = FileSnapshot(
                self.engine, self.host, self.order(aof_base=True, commands=not ticket.rdb), ticket.path,
                temporary=ticket.path, final=False,
            )  # fmt: skip
        except OSError as error:
            reason = error.strerror or str(error)
            self.writer.fail_rewrite(ticket, self.host.clock.boot_us() // 1000, reason)
            return reason
        self._rewriting = snapshot
        self.writer.child_running = True
        self.log.notice("Background append only file rewriting started")
        self._spawn(self._await_rewrite(snapshot, ticket))
        return ""

    async def _await_rewrite(self, snapshot: FileSnapshot, ticket: RewriteTicket) -> None:
        outcome = await snapshot.finish()
        if self._rewriting is not snapshot:
            return
        self._rewriting = None
        self.writer.child_running = False
        if self.writer.rewrites.running is not ticket:
            return
        now_ms = self.host.clock.boot_us() // 1000
        if outcome.error:
            self.writer.fail_rewrite(ticket, now_ms, outcome.error, wanted=outcome.wanted)
            return
        try:
            self.writer.finish_rewrite(ticket, now_ms, cow_bytes=outcome.cow_bytes)
        except AofError as error:
            self.log.warning(str(error))

    def _write_base(self, path: str, rdb: bool) -> None:
        self._write_file(path, self.order(aof_base=True, commands=not rdb))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- WAITAOF ----

    @property
    def appends(self) -> bool:
        """Whether an append-only file is in force."""
        return self.writer.state is not State.OFF

    def synced_offset(self) -> int | None:
        """Return up to where the stream is on stable storage here, None without an append-only file."""
        return self.writer.synced_offset if self.appends else None

    def fields(self) -> dict[str, str | int]:
        """Return the fields of INFO persistence, in Redis's order."""
        return info_fields(self)

    # ---- the end ----

    def prepare_shutdown(self, save: bool | None = None) -> bool:
        """Write what must not be lost; False: it could not be, and the node should go on.

        `save` None: as the save points say.
        """
        self.deliver()
        if self._rewriting is not None:
            self._rewriting.stop()
        if self.writer.state is State.ON:
            self.writer.flush(self.host.clock.boot_us() // 1000, forced=True)
        wanted = bool(self.configuration["save"]) if save is None else save
        if wanted:
            if self._saving is not None:
                self._saving.abandon()
                self._saving = None
            self.log.notice("Saving the final RDB snapshot before exiting.")
            return self.save_now()
        return True

    def close(self) -> bool:
        """Stop children and close files; tell whether everything is written and synced."""
        for snapshot in (self._saving, self._rewriting):
            if snapshot is not None:
                snapshot.abandon()
        self._saving = self._rewriting = None
        is_safe = True
        if self.writer.state is not State.OFF:
            self.deliver()
            self.writer.mark_soon()
            is_safe = self.writer.stop(self.host.clock.boot_us() // 1000)
        for task in self._tasks:
            task.cancel()
        return is_safe
