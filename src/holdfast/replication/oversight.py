"""What the link to a primary may do, answered: the node's side of `upstream`.

What this is: the one who answers `Overseer`'s questions with what the standing, the files and the gate
know, and hears what the link tells. What this is not: the link, or the decisions.

How to read it: before the link, while the copy comes, when it reaches further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.replication.history import History
from holdfast.replication.orders import AttachRequest
from holdfast.replication.set_record import Position, SetRecord
from holdfast.replication.standing import OrderRefused

if TYPE_CHECKING:
    from holdfast.replication.replicator import Replicator


class Oversight:
    """Oversees the upstream of one node."""

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator

    # ---- before the link ----

    def attach_request(self) -> AttachRequest:
        """Say who this node is."""
        standing = self._replicator.standing
        state = standing.node.state
        history_id = self._replicator.stream.replication_id
        return AttachRequest(state.node_id, state.fence_epoch, standing.position, history_id)

    def may_attach(self, epoch: int, position: Position, leads: bool) -> str | None:
        """Return why this primary may not be followed, None if it may."""
        standing = self._replicator.standing
        own = standing.position
        if standing.is_managed and standing.is_known and standing.is_bound and position < own:
            # A sibling that lags: what this member has acknowledged must not be taken from it.
            return (
                f"it stands at epoch {position.epoch}, offset {position.offset}, "
                f"this member of a set at epoch {own.epoch}, offset {own.offset}"
            )
        try:
            standing.attached(epoch, position if leads else None)
        except OrderRefused as refusal:
            return str(refusal)
        return None

    def own_position(self) -> Position:
        """Return the position of the present copy."""
        return self._replicator.standing.position

    def failover_answer(self, accepted: bool, reason: str) -> None:
        """Note what the target of a hand-over says."""
        self._replicator.hand_over.answer(accepted, reason)

    def upstream_changed(self, is_up: bool) -> None:
        """Note that the link went up or down."""
        if is_up:
            self._replicator.standing.is_known = True
        else:
            self._replicator.standing.upstream_lost()

    # ---- the copy ----

    def copy_known(self, is_known: bool) -> None:
        """Note whether the copy is whole."""
        replicator = self._replicator
        replicator.standing.is_known = is_known
        replicator.place.is_void = not is_known
        if is_known:
            replicator.copy_replaced()

    def copy_lost(self) -> None:
        """Note that the old copy is gone and the new one did not come: this node holds nothing.

        That is known, so nobody waits for what it might hold; and no stream goes on from there. The
        files have the old copy still, and are left alone.
        """
        replicator = self._replicator
        replicator.standing.record = None
        replicator.standing.holds_nothing()
        replicator.stream.adopt(History(replicator.new_id()))

    # ---- the stream ----

    def is_bound(self) -> bool:
        """Tell whether a member set that needs acknowledgements binds this copy."""
        return self._replicator.standing.is_bound

    def record_seen(self, record: SetRecord | None) -> None:
        """Note the newest set record of the copy."""
        replicator = self._replicator
        replicator.standing.record = record
        replicator.record_changed()
        if replicator.standing.is_bound:
            replicator.standing.keep()

    def applied(self) -> bool:
        """Note that the copy reaches further; tell whether it is awaited still somewhere."""
        replicator = self._replicator
        replicator.standing.applied()
        target = replicator.upstream.target
        until = target.until if target is not None else None
        if until is not None and replicator.standing.position >= until:
            replicator.upstream.unfollow()
            return False
        return until is not None or replicator.standing.node.catching_up_to is not None

    # ---- acknowledgements ----

    def may_acknowledge(self) -> bool:
        """Tell whether acknowledgements may leave."""
        return self._replicator.standing.node.may_acknowledge

    @property
    def syncs_first(self) -> bool:
        """Whether each write is on stable storage before it is acknowledged."""
        return self._replicator.syncs_first

    def fsynced_offset(self) -> int | None:
        """Return up to where the own AOF is on stable storage, None without AOF."""
        return self._replicator.place.fsynced_offset()
