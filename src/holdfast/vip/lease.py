"""How long we may keep the address: what a majority of voters has granted, counted from our questions.

What it is: the holder's side of the lease. A grant counts from the moment when its
question was *sent*, on our clock; the voter counts from the moment when it answered, and a
tenth longer. So ours is over first, whatever the network did in between.
What it is not: the vote itself (`holdfast.sentinel.address_grants`).

Stock Sentinels know no votes. They know one thing that two agents cannot both have: the
name of the primary. `StockVoter` makes a vote of that: it counts once a Sentinel has said
without a gap, for as long as an earlier holder's lease may last, that the primary is ours.

How to read it: `Lease`, then `StockVoter`.
"""

from __future__ import annotations

from holdfast.server.address_lease import LIFETIME_LEASE_MS, kept_ms


class Lease:
    """Grants by voter. All times are milliseconds of a clock that never goes back."""

    def __init__(self, voters: int, length_ms: int) -> None:
        self.needed = voters // 2 + 1
        self.length_ms = length_ms
        self._sent_ms: dict[str, int] = {}

    def granted(self, voter: str, sent_ms: int) -> None:
        """Count a grant whose question left at `sent_ms`."""
        self._sent_ms[voter] = max(sent_ms, self._sent_ms.get(voter, sent_ms))

    def denied(self, voter: str) -> None:
        """Count a voter no more."""
        self._sent_ms.pop(voter, None)

    def clear(self) -> None:
        """Forget all: the address was given back."""
        self._sent_ms.clear()

    def ends_ms(self) -> int:
        """Return when the lease is over; 0: no majority has granted one."""
        sent = sorted(self._sent_ms.values(), reverse=True)
        return sent[self.needed - 1] + self.length_ms if len(sent) >= self.needed else 0

    def voters(self, now_ms: int) -> list[str]:
        """Return who grants now, by name."""
        return sorted(name for name, sent in self._sent_ms.items() if sent + self.length_ms > now_ms)


class StockVoter:
    """What a Sentinel that knows no votes is worth: its word on who the primary is.

    Nobody tells it what the earlier holder's kernel can do, so the slowest is waited for.
    """

    def __init__(self, length_ms: int) -> None:
        self._length_ms = max(length_ms, LIFETIME_LEASE_MS)
        self._since_ms: int | None = None
        self._latest_sent_ms = 0

    def said(self, is_ours: bool, sent_ms: int, now_ms: int) -> bool:
        """Take an answer to a question that left at `sent_ms`; tell whether it counts as a grant.

        Between two answers no more time may pass than another agent would have to wait,
        else the Sentinel may have named another primary meanwhile.
        """
        if not is_ours:
            self._since_ms = None
            return False
        if self._since_ms is None or now_ms - self._latest_sent_ms >= self._length_ms:
            self._since_ms = now_ms
        self._latest_sent_ms = sent_ms
        return now_ms - self._since_ms >= kept_ms(self._length_ms)
