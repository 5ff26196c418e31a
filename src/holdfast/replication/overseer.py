"""Between the link to a primary and those who decide: whom to follow, and what the link may do.

What it is: the orders (`Target`) and the questions (`Overseer`) of `upstream`. What it is
not: decisions; `replicator` answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from holdfast.replication.orders import AttachRequest
from holdfast.replication.set_record import Position, SetRecord


@dataclass(frozen=True, slots=True)
class Target:
    """The primary to follow."""

    host: str
    port: int
    until: Position | None = None
    """Only fetch its tail up to there, acknowledging nothing."""
    may_replace: bool = False
    """Where it does not keep the tail any more, its copy takes the place of this node's."""


class Overseer(Protocol):
    """Who decides what the link may do (`replicator`)."""

    def attach_request(self) -> AttachRequest:
        """Say who this node is."""
        ...

    def may_attach(self, epoch: int, position: Position, leads: bool) -> str | None:
        """Return why this primary may not be followed, None if it may."""
        ...

    def own_position(self) -> Position:
        """Return the position of the present copy."""
        ...

    def is_bound(self) -> bool:
        """Tell whether a member set that needs acknowledgements binds this copy."""
        ...

    def may_acknowledge(self) -> bool:
        """Tell whether acknowledgements may leave."""
        ...

    def record_seen(self, record: SetRecord | None) -> None:
        """Note the newest set record of the copy."""
        ...

    def copy_known(self, is_known: bool) -> None:
        """Note whether the copy is whole."""
        ...

    def copy_lost(self) -> None:
        """Note that the old copy is gone and the new one did not come."""
        ...

    def applied(self) -> bool:
        """Note that the copy reaches further; tell whether it is awaited still somewhere."""
        ...

    @property
    def syncs_first(self) -> bool:
        """Whether each write is on stable storage before it is acknowledged."""
        ...

    def fsynced_offset(self) -> int | None:
        """Return up to where the own AOF is on stable storage, None without AOF."""
        ...

    def upstream_changed(self, is_up: bool) -> None:
        """Note that the link went up or down."""
        ...

    def failover_answer(self, accepted: bool, reason: str) -> None:
        """Note what the target of a hand-over says."""
        ...
