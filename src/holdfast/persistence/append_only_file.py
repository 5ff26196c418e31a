"""The append-only file of a node: switched on and off, followed, rewritten.

What it is: the node's side of `AofWriter`: its settings, which effects reach it,
and the snapshots that its rewrites ask for. What it is not: when to sync or to
rewrite (`aof_policy`), or the files (`aof_writer`).

How to read it: the tick, the settings, then rewrites.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.engine import effects
from holdfast.persistence.aof_marks import Place
from holdfast.persistence.aof_policy import Fsync
from holdfast.persistence.aof_rewrites import RewriteTicket
from holdfast.persistence.aof_settings import AofError, AofSettings, State
from holdfast.persistence.aof_writer import AofWriter
from holdfast.persistence.engine_side import in_unit, writers_of_tick
from holdfast.persistence.gathering import Gathering
from holdfast.persistence.manifest import Manifest
from holdfast.persistence.manifest_store import AofPlace
from holdfast.persistence.snapshot import FileSnapshot
from holdfast.persistence.snapshot_at_once import write_at_once
from holdfast.server.config.configuration import Refused

if TYPE_CHECKING:
    from holdfast.persistence.keeper import Keeper
    from holdfast.server.config import Configuration

AOF_SETTINGS = (
    "appendfsync",
    "aof-use-rdb-preamble",
    "aof-timestamp-enabled",
    "no-appendfsync-on-rewrite",
    "auto-aof-rewrite-percentage",
    "auto-aof-rewrite-min-size",
    "aof-disable-auto-gc",
)


class AppendOnlyFile:
    """The append-only file of one node."""

    def __init__(self, keeper: Keeper) -> None:
        """Follow the settings; nothing is written before it is opened or switched on."""
        self._keeper = keeper
        self._engine, self._configuration = keeper.engine, keeper.configuration
        self._host, self._log = keeper.host, keeper.log
        self.rewriting: FileSnapshot | None = None
        """The rewrite under way."""
        self._gathering = Gathering()
        self.writer = AofWriter(
            self._host.disk, self._host.clock, self.place, self._settings(), self._host.pid, self._log.write
        )
        self.writer.place = self._place_in_stream
        self.writer.syncs.wake = self._wake
        self._configuration.on_change(AOF_SETTINGS, self._follow_settings)
        self._configuration.on_change(("appendonly",), self._follow_appendonly)

    @property
    def place(self) -> AofPlace:
        """Where the append-only file lives."""
        return AofPlace(
            self._configuration["dir"],
            self._configuration["appenddirname"],
            self._configuration["appendfilename"],
        )

    @property
    def is_on(self) -> bool:
        """Whether an append-only file is in force."""
        return self.writer.state is not State.OFF

    def synced_offset(self) -> int | None:
        """Return up to where the stream is on stable storage here, None without an append-only file."""
        return self.writer.synced_offset if self.is_on else None

    def open(self, manifest: Manifest, base_bytes: int) -> None:
        """Go on with the append-only file that was loaded. AofError."""
        self.writer.open(manifest, self._engine.stream_offset, base_bytes, self._write_base)
        self._join()

    # ---- the tick ----

    def take(self, chunk: bytes) -> None:
        """Take the effects of a tick."""
        self.writer.append(chunk, 0, self._engine.stream_offset)

    def _place_in_stream(self) -> Place | None:
        place = self._keeper.stream_place()
        return None if place is None else Place(*place)

    def _wake(self, wait_ms: int) -> None:
        """Make a tick, at whose end the file is flushed."""
        if wait_ms:
            asyncio.get_running_loop().call_later(wait_ms / 1000, self._open_tick)
        else:
            self._open_tick()

    def _open_tick(self) -> None:
        if self.is_on and not self._engine.tick_open and self._engine.open_tick is not None:
            self._engine.open_tick()

    def gathers(self) -> bool:
        """Whether the tick should wait for more writers before its sync (group commit)."""
        if not self.writer.syncs_each_tick:
            return False
        writers = writers_of_tick(self._engine)
        if not writers:
            return False
        return self._gathering.waits(self._host.clock.boot_us(), self.writer.syncs.last_sync_us, writers)

    # ---- the settings ----

    def _settings(self) -> AofSettings:
        setting = self._configuration
        return AofSettings(
            Fsync(setting["appendfsync"]),
            setting["aof-use-rdb-preamble"],
            setting["aof-timestamp-enabled"],
            setting["no-appendfsync-on-rewrite"],
            setting["auto-aof-rewrite-percentage"],
            setting["auto-aof-rewrite-min-size"],
            setting["aof-disable-auto-gc"],
        )

    def _follow_settings(self, _: Configuration) -> None:
        self.writer.settings = self._settings()

    def _follow_appendonly(self, configuration: Configuration) -> None:
        wanted, now_ms = configuration["appendonly"], self._host.clock.boot_us() // 1000
        if in_unit(self._engine):
            raise Refused("appendonly cannot be switched inside a transaction or script")
        self._keeper.deliver()
        if not wanted:
            if self.is_on:
                if self.rewriting is not None:
                    self.rewriting.stop()
                self.writer.stop(now_ms)
                self._leave()
                self._keeper.trouble.follow()
            return
        if self.is_on:
            return
        if self.rewriting is not None:
            raise Refused("a rewrite of the append-only file is still ending, try again")
        try:
            ticket = self.writer.start(now_ms, self._engine.stream_offset)
        except AofError as error:
            raise Refused(f"Unable to turn on AOF. Check server logs. {error}") from error
        self._join()
        self._begin_ticket(ticket)

    def _join(self) -> None:
        if self.take not in self._keeper.sinks:
            self._keeper.sinks.insert(0, self.take)
        self._engine.stream_on = True
        effects.forget_database(self._engine)

    def _leave(self) -> None:
        if self.take in self._keeper.sinks:
            self._keeper.sinks.remove(self.take)
        self._engine.stream_on = bool(self._keeper.sinks)

    # ---- rewrites ----

    def begin_rewrite(self) -> str:
        """Begin a rewrite; return why it cannot begin (empty: it did)."""
        if in_unit(self._engine):
            self.writer.rewrites.schedule()
            return ""
        self._keeper.deliver()
        try:
            ticket = self.writer.rewriter.begin(self._host.clock.boot_us() // 1000)
        except AofError as error:
            self._log.warning(str(error))
            return str(error)
        return self._begin_ticket(ticket)

    def begin_rewrite_if_due(self, now_ms: int) -> bool:
        """Begin the rewrite that was scheduled or that the size asks for; tell whether one was due."""
        reason = self.writer.rewriter.wanted(now_ms)
        if reason is None or in_unit(self._engine) or not self.writer.rewriter.ready():
            return False
        self._log.notice(f"Starting automatic rewriting of AOF on {reason}")
        self.begin_rewrite()
        return True

    def begin_anew(self) -> None:
        """Begin the append-only file anew: other data have taken the place of those that it describes.

        Until the new base is in force the old file is, whole, with the old data.
        """
        if not self.is_on:
            return
        if self.rewriting is not None:
            self.rewriting.abandon()
            self.rewriting = None
            self.writer.child_running = False
        now_ms = self._host.clock.boot_us() // 1000
        self.writer.stop(now_ms, replaced=True)
        try:
            ticket = self.writer.start(now_ms, self._engine.stream_offset, insists=True)
        except AofError as error:
            self._log.warning(str(error))
            return
        self._begin_ticket(ticket)

    def _begin_ticket(self, ticket: RewriteTicket) -> str:
        """Begin the snapshot that a rewrite asks for; effects from here on go to the next increment."""
        effects.forget_database(self._engine)
        order = self._keeper.order(aof_base=True, commands=not ticket.rdb)
        try:
            snapshot = FileSnapshot(
                self._engine, self._host, order, ticket.path, temporary=ticket.path, final=False
            )
        except OSError as error:
            reason = error.strerror or str(error)
            self.writer.rewriter.fail(ticket, self._host.clock.boot_us() // 1000, reason)
            return reason
        self.rewriting = snapshot
        self.writer.child_running = True
        self._log.notice("Background append only file rewriting started")
        self._keeper.spawn(self._await_rewrite(snapshot, ticket))
        return ""

    async def _await_rewrite(self, snapshot: FileSnapshot, ticket: RewriteTicket) -> None:
        outcome = await snapshot.finish()
        if self.rewriting is not snapshot:
            return
        self.rewriting = None
        self.writer.child_running = False
        if self.writer.rewrites.running is not ticket:
            return
        now_ms = self._host.clock.boot_us() // 1000
        if outcome.error:
            self.writer.rewriter.fail(ticket, now_ms, outcome.error, wanted=outcome.wanted)
            return
        try:
            self.writer.rewriter.finish(ticket, now_ms, cow_bytes=outcome.cow_bytes)
        except AofError as error:
            self._log.warning(str(error))

    def _write_base(self, path: str, rdb: bool) -> None:
        write_at_once(self._engine, self._host, path, self._keeper.order(aof_base=True, commands=not rdb))

    # ---- the end ----

    def close(self) -> bool:
        """Stop the rewrite and close the files; tell whether everything is written and synced."""
        if self.rewriting is not None:
            self.rewriting.abandon()
            self.rewriting = None
        if not self.is_on:
            return True
        self._keeper.deliver()
        self.writer.mark_soon()
        return self.writer.stop(self._host.clock.boot_us() // 1000)
