"""The RDB file of a node: when it is saved, in the background or while everybody waits.

What it is: the save points, BGSAVE and SAVE, and how the last save went. What it
is not: how a snapshot comes to its file (`snapshot`), or what stands in it beside
the keys (`Keeper.order`).

How to read it: what is known of saves, when one is due, then the two ways to save.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from holdfast.persistence.snapshot import FileSnapshot, Outcome
from holdfast.persistence.snapshot_at_once import write_at_once

if TYPE_CHECKING:
    from holdfast.persistence.keeper import Keeper

RETRY_MS = 5000
"""After a failed save the save points wait so long."""


class Saves:
    """The saves of one node."""

    def __init__(self, keeper: Keeper) -> None:
        """Count from now; nothing is written."""
        self._keeper = keeper
        self._engine, self._configuration = keeper.engine, keeper.configuration
        self._host, self._log = keeper.host, keeper.log
        self.running: FileSnapshot | None = None
        """The save under way in the background."""
        self.scheduled = False
        """Whether a save begins as soon as no child runs (BGSAVE SCHEDULE)."""
        self.last_s = 0
        """The time of day of the last save, as LASTSAVE tells it."""
        self._last_ms = 0
        """Its time by the clock that never jumps: by this one save points count."""
        self._note_time()
        self.last_ok = True
        self.last_seconds = -1
        self.last_cow_bytes = 0
        self.count = 0
        self._saved_dirty = 0
        self.began_us = self._dirty_then = 0
        self._tried_ms = -RETRY_MS

    @property
    def path(self) -> str:
        """The RDB file; empty when none is to be written."""
        return self._configuration.path("dbfilename")

    @property
    def dirty(self) -> int:
        """Changes since the last save."""
        return self._engine.dirty - self._saved_dirty

    def _note_time(self) -> None:
        self.last_s = self._host.clock.wall_us() // 1_000_000
        self._last_ms = self._host.clock.boot_us() // 1000

    def loaded(self) -> None:
        """Take the data as they are for those of the file."""
        self._saved_dirty = self._engine.dirty

    def begin_if_due(self, now_ms: int) -> None:
        """Begin the save that was scheduled, or that a save point asks for."""
        if self.scheduled and (now_ms - self._tried_ms > RETRY_MS or self.last_ok):
            self.begin()
        elif (rule := self._due_rule(now_ms)) is not None:
            self._log.notice(f"{rule.changes} changes in {rule.seconds} seconds. Saving...")
            self.begin()

    def _due_rule(self, now_ms: int) -> Any:
        dirty = self.dirty
        if not dirty or (not self.last_ok and now_ms - self._tried_ms <= RETRY_MS):
            return None
        age_s = (now_ms - self._last_ms) // 1000
        for rule in self._configuration["save"]:
            if dirty >= rule.changes and age_s > rule.seconds:
                return rule
        return None

    def begin(self) -> bool:
        """Begin a save in the background (BGSAVE, save points)."""
        self.scheduled = False
        self._tried_ms = self._host.clock.boot_us() // 1000
        self.began_us, self._dirty_then = self._host.clock.boot_us(), self._engine.dirty
        try:
            self.running = FileSnapshot(self._engine, self._host, self._keeper.order(), self.path)
        except OSError as error:
            self._saved(Outcome(error.strerror or str(error)))
            return False
        self._log.notice("Background saving started")
        self._keeper.spawn(self._await_save(self.running))
        return True

    async def _await_save(self, snapshot: FileSnapshot) -> None:
        outcome = await snapshot.finish()
        if self.running is snapshot:
            self.running = None
            self._saved(outcome)

    def _saved(self, outcome: Outcome) -> None:
        self.last_seconds = (self._host.clock.boot_us() - self.began_us) // 1_000_000
        if outcome.wanted:
            self._log.warning("Background saving was stopped")
            return
        self.last_ok = not outcome.error
        if outcome.error:
            self._log.warning(f"Background saving error: {outcome.error}; the file before it is untouched")
        else:
            self.count += 1
            self._saved_dirty = self._dirty_then
            self._note_time()
            self.last_cow_bytes = outcome.cow_bytes
            self._log.notice(
                f"Background saving terminated with success: {outcome.keys} keys, {outcome.written_bytes} "
                f"bytes, "
                f"{outcome.cow_bytes >> 20} MB of memory used by copy-on-write"
            )
        self._keeper.trouble.raise_guard()

    def save_at_once(self) -> bool:
        """Save while everybody waits (SAVE, SHUTDOWN, DEBUG RELOAD)."""
        path, disk = self.path, self._host.disk
        temporary = posixpath.join(posixpath.dirname(path), f"temp-{self._host.pid}-now.rdb")
        self.began_us, self._dirty_then = self._host.clock.boot_us(), self._engine.dirty
        try:
            keys = write_at_once(self._engine, self._host, temporary, self._keeper.order())
            disk.rename(temporary, path)
            disk.sync_dir(posixpath.dirname(path) or ".")
        except OSError as error:
            self._log.warning(
                f"Error saving DB on disk: {error.strerror or error}; the file before it is untouched"
            )
            self.last_ok = False
            self._forget(temporary)
            self._keeper.trouble.raise_guard()
            return False
        self.count += 1
        self.last_ok = True
        self._saved_dirty = self._dirty_then
        self._note_time()
        self._log.notice(f"DB saved on disk: {keys} keys")
        self._keeper.trouble.raise_guard()
        return True

    def _forget(self, path: str) -> None:
        try:
            self._host.disk.remove(path)
        except OSError:
            pass

    def abandon(self) -> None:
        """Give up the save under way, without waiting for its end."""
        if self.running is not None:
            self.running.abandon()
            self.running = None
