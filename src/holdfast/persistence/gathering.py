"""Group commit for `appendfsync always`: when a tick should wait for more writers.

What it is: a pure decision. A sync costs the same for one writer as for fifty. After a
sync those who were answered need a moment for their next request, while those who came
during the sync are there already; syncing at once would settle in two halves that take
turns. So a tick that has writers waits, for a fraction of what a sync takes, as long as
some still come and fewer are here than last time. What it is not: a fixed delay. When
waiting brought nobody it is skipped for 1, 3, 7 ... 63 ticks, so that a lone writer does
not pay.

How to read it: `waits` is asked at the end of each tick, and again until it says no.
"""

from __future__ import annotations

PART_OF_SYNC = 4
"""A wait lasts at most this part of the last sync (a quarter)."""
QUIET_PART_OF_SYNC = 16
"""It ends as soon as nobody has come for this part of the last sync."""
WAIT_LIMIT_US = 1000
ROUNDS_LIMIT = 300
"""Turns of the loop in one wait: a bound that needs no clock."""
SKIP_LIMIT = 63
LOOK_AGAIN_TICKS = 32
"""So often a tick waits though as many have come as last time: there may be more now."""
WORTH_PART = 8
"""A wait was worth it when it brought an eighth more."""


class Gathering:
    """The waits of one node.

    - `0 <= skips_left <= skips <= SKIP_LIMIT`;
    - `began_us` is -1 while no tick waits.
    """

    def __init__(self) -> None:
        self.skips = self.skips_left = 0
        self.began_us = -1
        self._ticks = self._most = 0
        self._rounds = self._first = self._writers = self._came_us = 0

    def waits(self, now_us: int, sync_us: int, writers: int) -> bool:
        """Tell whether the tick should wait for more than these writers."""
        if self.began_us < 0:
            if self.skips_left:
                self.skips_left -= 1
                return False
            self._ticks += 1
            if 0 < self._most <= writers and self._ticks % LOOK_AGAIN_TICKS:
                return False
            self.began_us = self._came_us = now_us
            self._first = self._writers = writers
            self._rounds = 0
        if writers != self._writers:
            self._writers, self._came_us = writers, now_us
        self._rounds += 1
        limit_us = min(sync_us // PART_OF_SYNC, WAIT_LIMIT_US)
        late = now_us - self.began_us >= limit_us or self._rounds > ROUNDS_LIMIT
        if not late and now_us - self._came_us < sync_us // QUIET_PART_OF_SYNC:
            return True
        self.began_us = -1
        self._most = writers
        worth = (writers - self._first) * WORTH_PART >= self._first
        self.skips = self.skips_left = 0 if worth else min(self.skips * 2 + 1, SKIP_LIMIT)
        return False
