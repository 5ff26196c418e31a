"""What clients did and what they were told: the evidence on which a run is judged.

What this is: plain records, in the order of their ends. What it is not: a judgement.

How to read it: an `Operation` is one request; its `Outcome` is what its client knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """What a client knows of a request."""

    OK = "ok"
    REFUSED = "refused"
    """Certainly not executed."""
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Operation:
    """One request of a client. Times are virtual seconds of the world, the same for all."""

    client: str
    kind: str
    """`write`, `pair` (two keys in MULTI), `set` and `get` (a register), `replica get`, `incr`, `other`."""
    key: str
    value: str | None
    began: float
    ended: float = 0.0
    outcome: Outcome = Outcome.UNKNOWN
    node: str = ""
    epoch: int = 0
    """The epoch in which the node led when the reply came."""
    error: str = ""


@dataclass(slots=True)
class Promotion:
    """A node was made primary by a manager."""

    when: float
    node: str
    node_id: str
    epoch: int
    leader: str
    may_lose_writes: bool


@dataclass(slots=True)
class History:
    """Everything that was observed in one run."""

    operations: list[Operation] = field(default_factory=list)
    promotions: list[Promotion] = field(default_factory=list)
    primary: str = ""
    """Where clients look for the primary; managers keep it."""
    sentinels: list[str] = field(default_factory=list)
    """Whom clients ask for the primary instead."""

    def acknowledged(self, *kinds: str) -> list[Operation]:
        """Return the acknowledged operations of these kinds."""
        return [each for each in self.operations if each.outcome is Outcome.OK and each.kind in kinds]
