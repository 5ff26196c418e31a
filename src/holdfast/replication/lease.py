"""The lease: a primary that Sentinels watch takes writes only while most of them grant it.

What this is: the decisions of one node, pure. A grant is a round trip: the node's answer
carries a token, which is its own clock; the Sentinel's next message returns it with the
node's run id and epoch, and the grant ends `lease_ms` after the token. So bytes that were
merely received renew nothing: a process that was stopped for 15 s reads grants whose
tokens are 15 s old.

What this is not: the Sentinel's side (`holdfast.sentinel.granting`), or the refusing.

How to read it: `Grant`, `parse_grant`, then `Lease`.

Rules:
- Only a token that this very process gave out counts; a restart has no grant.
- A grant below the node's epoch counts nothing: its sender does not know who leads.
- Voters are never forgotten, so that a lost Sentinel still counts for the majority.
- Fewer than three voters make no lease; a majority of voters may turn it off (0 ms).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VOTERS_MIN = 3
VOTERS_MAX = 99
LEASE_MAX_MS = 60_000


class GrantError(ValueError):
    """The words are no grant; the text is the error to send."""


@dataclass(frozen=True, slots=True)
class Grant:
    """HOLDFAST LEASE sentinel lease-ms epoch run-id token voter ...; token 0 grants nothing yet."""

    sentinel: str
    lease_ms: int
    epoch: int
    run_id: str
    token_us: int
    voters: tuple[str, ...]


def parse_grant(words: Sequence[str]) -> Grant:
    """Read the words after HOLDFAST LEASE. Raises GrantError."""
    if len(words) < 6 or len(words) > 5 + VOTERS_MAX:
        raise GrantError("ERR wrong number of arguments for 'holdfast|lease' command")
    numbers = [words[place] for place in (1, 2, 4)]
    if not all(each.isascii() and each.isdecimal() and len(each) < 19 for each in numbers):
        raise GrantError("ERR value is not an integer or out of range")
    lease_ms, epoch, token_us = map(int, numbers)
    if lease_ms > LEASE_MAX_MS or words[0] not in words[5:]:
        raise GrantError("ERR broken grant")
    return Grant(words[0], lease_ms, epoch, words[3], token_us, tuple(words[5:]))


class Lease:
    """The lease of one process. `until_us` holds when each Sentinel's latest grant ends."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.voters: set[str] = set()
        self.until_us: dict[str, int] = {}
        self._declining: set[str] = set()

    @property
    def is_on(self) -> bool:
        """Whether writes need a lease."""
        return len(self.voters) >= VOTERS_MIN and len(self._declining) <= len(self.voters) // 2

    def take(self, grant: Grant, epoch: int, now_us: int) -> None:
        """Take a grant, or what is no grant yet."""
        self.voters.update(grant.voters)
        if not grant.lease_ms:
            self._declining.add(grant.sentinel)
            self.until_us.pop(grant.sentinel, None)
            return
        self._declining.discard(grant.sentinel)
        fresh = 0 < grant.token_us <= now_us and grant.run_id == self._run_id
        if fresh and grant.epoch >= epoch:
            until_us = grant.token_us + grant.lease_ms * 1000
            self.until_us[grant.sentinel] = max(self.until_us.get(grant.sentinel, 0), until_us)

    def drop(self) -> None:
        """Forget all grants: the node was fenced."""
        self.until_us.clear()

    def holds(self, now_us: int) -> bool:
        """Tell whether writes may run."""
        if not self.is_on:
            return True
        granted = sum(until_us > now_us for until_us in self.until_us.values())
        return granted > len(self.voters) // 2
