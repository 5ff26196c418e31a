"""What `appendfsync everysec` has at stake: how old the oldest effect is that a power loss would take.

What it is: two times and the two questions that follow from them. A sync is due when
the oldest effect that no sync covers is `SYNC_AFTER_MS` old, so that a disk that takes
as long again still keeps the second that the setting promises. When the disk is slower
than that, and the oldest effect at stake (a sync under way may cover it) is `LATE_MS`
old, replies to further writes wait: what was acknowledged and is not on stable storage
never spans more than a second, however slow the disk is. What it is not: files, or the
holding of replies.

Times are milliseconds of any clock that does not go back.

How to read it: what happens, then what follows.
"""

from __future__ import annotations

SYNC_AFTER_MS = 500
LATE_MS = 1000


class Exposure:
    """The effects of one append-only file that are not on stable storage.

    - `uncovered_since_ms` is when the oldest effect came that no sync covers, -1: there is none;
    - `syncing_since_ms` the same of those that the sync under way covers.
    """

    def __init__(self) -> None:
        """Nothing is at stake."""
        self.uncovered_since_ms = self.syncing_since_ms = -1

    def came(self, now_ms: int) -> None:
        """Effects came that no sync covers."""
        if self.uncovered_since_ms < 0:
            self.uncovered_since_ms = now_ms

    def sync_began(self) -> None:
        """A sync covers all that came."""
        if self.syncing_since_ms < 0:
            self.syncing_since_ms = self.uncovered_since_ms
        self.uncovered_since_ms = -1

    def sync_ended(self, *, ok: bool) -> None:
        """What the sync covered is at stake no more, or again if it failed."""
        if not ok and self.syncing_since_ms >= 0:
            self.uncovered_since_ms = self.syncing_since_ms
        self.syncing_since_ms = -1

    def ended(self) -> None:
        """Nothing is at stake."""
        self.uncovered_since_ms = self.syncing_since_ms = -1

    def is_due(self, now_ms: int) -> bool:
        """Tell whether a sync is due."""
        return 0 <= self.uncovered_since_ms <= now_ms - SYNC_AFTER_MS

    def is_late(self, now_ms: int) -> bool:
        """Tell whether further writes must not be acknowledged."""
        since_ms = self.syncing_since_ms if self.syncing_since_ms >= 0 else self.uncovered_since_ms
        return since_ms >= 0 and now_ms - since_ms >= LATE_MS
