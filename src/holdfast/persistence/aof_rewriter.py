"""The rewrite of the append-only file: begun, put in force, or given up.

What it is: the steps around a snapshot. The snapshot itself is written by a child
process or by the walker; this module only says where (`RewriteTicket`) and puts it in
force. What it is not: the bookkeeping (`aof_rewrites`), the rules (`aof_policy`), or
the files (`aof_directory`).

Order of a rewrite, each step safe to crash after: the buffer is flushed; a new
increment is opened and named in the manifest; the snapshot is written under a
temporary name and synced; it is renamed; the manifest is replaced (new base, the
increments before are history); history is removed; the manifest forgets it.

How to read it: `begin`, `finish`, `fail`, then when one is wanted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from holdfast.persistence.aof_directory import Log
from holdfast.persistence.aof_policy import Event, Health, rewrite_due, rewrite_growth
from holdfast.persistence.aof_rewrites import RewriteTicket
from holdfast.persistence.aof_settings import AofError, State

if TYPE_CHECKING:
    from holdfast.persistence.aof_writer import AofWriter


class AofRewriter:
    """The rewrites of a writer's files."""

    def __init__(self, writer: AofWriter, log: Log) -> None:
        """None runs."""
        self._writer, self._record, self._log = writer, writer.rewrites, log
        self._is_presynced = False
        """A rewrite that is due has let the file be synced once."""

    def begin(self, now_ms: int) -> RewriteTicket:
        """Open the next increment and order a snapshot of this very moment; AofError if it cannot start."""
        writer = self._writer
        if self._record.running:
            raise AofError("Background append only file rewriting already in progress")
        writer.flush(now_ms, forced=True)
        try:
            if writer.tail.buffer and writer.state is State.ON:
                # Going on would put effects after a snapshot that already holds them.
                raise OSError(writer.health.errno, os.strerror(writer.health.errno))
            self._open_next_increment()
        except OSError as error:
            self._record.not_begun()
            raise AofError(f"Can't start rewriting the append-only file: {error.strerror}") from error
        ticket = RewriteTicket(writer.directory.snapshot_path, writer.settings.aof_use_rdb_preamble, now_ms)
        self._record.begun(ticket)
        return ticket

    def _open_next_increment(self) -> None:
        writer, current = self._writer, self._writer.syncs.current
        if writer.state is State.OFF:
            return
        if writer.state is State.WAITING:
            writer.tail.clear()
            writer.syncs.current = writer.directory.waiting_increment(writer.tail.offset)
            writer.tail.take(takes=True)
        else:
            if current and current.unsynced_bytes:
                # The next increment is worth nothing if a power loss cuts this one short.
                current.sync()
            writer.syncs.go_on_with(writer.directory.next_increment(writer.tail.offset))
        writer.tail.begin_file()

    def finish(self, ticket: RewriteTicket, now_ms: int, *, cow_bytes: int = 0) -> None:
        """Put the snapshot that was written and synced in force; AofError leaves the old files in force."""
        writer = self._writer
        assert ticket is self._record.running
        try:
            writer.directory.put_in_force(
                rdb=ticket.rdb,
                waiting=writer.state is State.WAITING,
                keep=0 if writer.state is State.OFF else 1,
            )
        except OSError as error:
            self.fail(ticket, now_ms, str(error.strerror))
            raise AofError(f"Can't put the rewritten append-only file in force: {error.strerror}") from error
        self._record.ended(now_ms, ok=True, cow_bytes=cow_bytes)
        if writer.state is not State.OFF:
            writer.state = State.ON
            writer.syncs.close_retired()
            writer.current_bytes = writer.base_bytes = writer.directory.size()
            self._nothing_is_left()
        self.remove_history()
        self._log("notice", "Background AOF rewrite finished successfully")

    def _nothing_is_left(self) -> None:
        """Heal if nothing waits to be tried again: what failed is held by the new base.

        Else a node to which nobody writes, as one that is fenced, would say for good that its disk fails.
        """
        if not self._writer.tail.buffer:
            self._writer.health.happened(Event.WRITTEN)
        if not self._writer.syncs.unsynced_bytes:
            self._writer.health.happened(Event.SYNCED)

    def fail(self, ticket: RewriteTicket, now_ms: int, reason: str, *, wanted: bool = False) -> None:
        """Give up a rewrite (`wanted`: somebody asked for that, so it is no failure)."""
        writer = self._writer
        assert ticket is self._record.running
        writer.directory.forget(ticket.path)
        if wanted:
            self._record.called_off(now_ms)
        else:
            self._record.ended(now_ms, ok=False)
        if writer.state is State.WAITING:
            writer.tail.take(takes=False)
            writer.tail.clear()
            if writer.syncs.current:
                writer.syncs.current.close()
                writer.syncs.current = None
            writer.directory.forget(writer.directory.waiting_path)
            self._record.scheduled = True
        self._log("warning", f"Background AOF rewrite terminated: {reason}")

    def wanted(self, now_ms: int) -> str | None:
        """Return why a rewrite should start now, or None; asked by the node's cron when no child runs."""
        reason = None if self._record.running else self._reason()
        return reason if reason and self._record.allowed(now_ms) else None

    def ready(self) -> bool:
        """Sync beside the loop what the file holds; tell when that is done and little is left to wait for."""
        syncs = self._writer.syncs
        if syncs.current is None or not syncs.current.unsynced_bytes:
            return True
        if syncs.current.syncing:
            return False
        if not self._is_presynced:
            self._is_presynced = True
            syncs.sync_beside(syncs.current)
            return False
        self._is_presynced = False
        return True

    def _reason(self) -> str | None:
        writer = self._writer
        if self._record.scheduled:
            return "scheduled"
        if writer.state is not State.ON:
            return None
        if writer.syncs.is_suspect and writer.health.state is Health.OK:
            return "an fsync had failed, so the file may lack what was written before"
        due = rewrite_due(
            current_bytes=writer.current_bytes,
            base_bytes=writer.base_bytes,
            percentage=writer.settings.auto_aof_rewrite_percentage,
            min_bytes=writer.settings.auto_aof_rewrite_min_size,
        )
        return f"{rewrite_growth(writer.current_bytes, writer.base_bytes)}% growth" if due else None

    def remove_history(self) -> None:
        """Remove what no manifest needs any more, unless `aof-disable-auto-gc` keeps it."""
        if not self._writer.settings.aof_disable_auto_gc:
            self._writer.directory.remove_history()
