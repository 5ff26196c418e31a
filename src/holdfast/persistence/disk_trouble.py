"""What clients are told when the disk refuses: MISCONF for writes, and replies that wait.

What it is: the one place that says whether writes may go on, and that holds back
replies which promise more than is on stable storage. What it is not: how a write
to the disk is tried again (`aof_writer`), or when one is due (`aof_policy`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.persistence.aof_policy import Health
from holdfast.persistence.engine_side import hold_replies, raise_guard, release_replies

if TYPE_CHECKING:
    from holdfast.persistence.keeper import Keeper


class DiskTrouble:
    """The refusals of one node's disk, as its clients see them."""

    def __init__(self, keeper: Keeper) -> None:
        """All is well."""
        self._keeper = keeper
        self._held: list[Any] = []
        """Replies that wait for the disk."""
        self._refusing = False

    @property
    def is_near(self) -> bool:
        """Whether there is something to follow after a tick."""
        writer = self._keeper.aof.writer
        ails = writer.health.state is not Health.OK or writer.syncs.is_late
        return ails or self._refusing or bool(self._held)

    @property
    def holds(self) -> bool:
        """Whether replies wait for the disk."""
        return bool(self._held)

    def write_refusal(self) -> bytes:
        """Return the refusal as bytes, for the engine's guard."""
        return (self.refusal or "MISCONF Errors writing to the AOF file").encode()

    def follow(self) -> None:
        """Errors of the disk: writes get MISCONF; replies wait for what they promise.

        With `always` that is the sync of their tick, with `everysec` one that is late.
        """
        self.raise_guard()
        engine, gate = self._keeper.engine, self._keeper.aof.writer.gate_offset
        if self._held:
            release_replies(engine, self._held)
            self._held = []
        if gate < engine.stream_offset:
            self._held = hold_replies(engine, gate)
        else:
            self._keeper.release()

    def raise_guard(self) -> None:
        """Let the engine refuse writes while there is a reason to, and no longer."""
        self._refusing = self.refusal is not None
        raise_guard(self._keeper.engine, self._refusing)

    @property
    def refusal(self) -> str | None:
        """The error that writes get, without the leading minus; None: they may go on."""
        misconf = self._keeper.aof.writer.misconf
        if misconf is not None:
            return misconf
        configuration = self._keeper.configuration
        if self._keeper.saves.last_ok:
            return None
        if configuration["stop-writes-on-bgsave-error"] and configuration["save"]:
            return (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
                "disk. Commands that may modify the data set are disabled, because this instance is "
                "configured to report errors during writes if RDB snapshotting fails "
                "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the "
                "RDB error."
            )
        return None
