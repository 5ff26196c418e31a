"""Replicas granting the lease in the Sentinels' stead: all of them, or none.

What this is: both sides, pure. Nobody can lead but a node that is promoted; so while every
node that could be has promised to wait, the primary is alone. The token is the stream: the
primary appends REPLCONF GETACK with the milliseconds, and who acknowledges those bytes was
attached and not fenced after they were written. What this is not: the Sentinels' grants
(`lease`), the acts (`lease_keeper`).

How to read it: `ReplicaGrants` is the primary's book, `Promise` what a replica owes.

Rules:
- Every node that a voter could promote counts, and every one that was ever attached; one that
  is gone, fenced, or not ours, and there is no such lease.
- A replica that acknowledged such bytes refuses to lead until the grant has ended by its own
  clock, a tenth longer. After a restart it cannot know what it granted, and waits as long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

CLOCKS_APART = 1.1
PROBES_MAX = 64


class ReplicaGrants:
    """What the replicas of one primary have granted."""

    def __init__(self) -> None:
        self.ends_us = 0
        self._probes: deque[tuple[int, int]] = deque(maxlen=PROBES_MAX)
        """Where each probe ends in the stream, and when the grant ends that it asks for."""
        self._until: dict[str, int] = {}
        self._ever: set[str] = set()

    @property
    def are_there(self) -> bool:
        """Whether any replica has granted: if not, there is nothing to reckon."""
        return bool(self._until)

    def probed(self, end_offset: int, ends_us: int) -> None:
        """Note that a probe stands in the stream."""
        self._probes.append((end_offset, ends_us))

    def acknowledged(self, node_id: str, offset: int) -> bool:
        """Note what an attached replica has applied; return whether that calls for a new reckoning."""
        if not self._probes:
            return node_id not in self._ever
        reached = [ends for end, ends in self._probes if end <= offset]
        if reached and node_id:
            self._until[node_id] = max(self._until.get(node_id, 0), reached[-1])
        return bool(reached) or node_id not in self._ever

    def settle(self, could_lead: Collection[str] | None, attached: Collection[str]) -> None:
        """Reckon anew. `could_lead`: all whom the voters could promote, None where that is not known."""
        self._ever.update(attached)
        if could_lead is None or "" in self._ever:
            self.ends_us = 0
            return
        everyone = self._ever.union(could_lead)
        if not everyone or not everyone <= set(attached):
            self.ends_us = 0
            return
        self.ends_us = min(self._until.get(each, 0) for each in everyone)

    def drop(self) -> None:
        """Forget everything: the node leads no more."""
        self._probes.clear()
        self._until.clear()
        self._ever.clear()
        self.ends_us = 0


class Promise:
    """What a replica owes the primary that it granted to."""

    def __init__(self, started_us: int) -> None:
        self._started_us = started_us
        self._until_us = 0

    def given(self, lease_ms: int, now_us: int) -> None:
        """Note that the next acknowledgement grants for so long."""
        self._until_us = max(self._until_us, now_us + int(lease_ms * 1000 * CLOCKS_APART))

    def left_ms(self, lease_ms: int, now_us: int) -> int:
        """Return for how long this node must not lead; `lease_ms`: as the Sentinels say, 0 for none."""
        after_start_us = self._started_us + int(lease_ms * 1000 * CLOCKS_APART) if lease_ms else 0
        return max(0, -(-(max(self._until_us, after_start_us) - now_us) // 1000))
