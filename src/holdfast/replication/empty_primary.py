"""`replica-refuse-empty-primary`: whether a replica lets a primary wipe its data.

What this is: one decision, taken by a replica before it loads a full resync. It
refuses a primary that has *lost history*, not one that has no keys: FLUSHALL is
history and is followed.

What this is not: the failover that follows where a manager is known, or the
candidate start of a restarted primary (`fence.started`).

How to read it: `Cause`, `PrimaryClaim`, then `full_resync_refusal`, which returns the
reason in words for log and INFO, or None to go ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from holdfast.replication.set_record import Position


class Cause(Enum):
    """Why this replica is syncing."""

    RECONNECT = "reconnect"
    ORDERED_BY_HAND = "REPLICAOF"
    ORDERED_WITH_EPOCH = "an order with an epoch"


@dataclass(frozen=True, slots=True)
class PrimaryClaim:
    """What the primary says of itself before the snapshot comes.

    A stock primary names no position; its number of keys is asked by INFO or DBSIZE.
    """

    replication_id: str
    position: Position | None
    key_count: int | None


def full_resync_refusal(
    is_enabled: bool,
    cause: Cause,
    own_position: Position,
    own_live_keys: int,
    own_replication_ids: frozenset[str],
    claim: PrimaryClaim,
) -> str | None:
    """Return why the full resync is refused, None if it is accepted.

    `own_replication_ids` are the ids of the history that this copy belongs to.
    """
    if not is_enabled or cause is not Cause.RECONNECT or not own_live_keys:
        return None
    if claim.position is not None:
        if claim.position >= own_position:
            return None
        return (
            "the primary has lost history: it is at "
            f"epoch {claim.position.epoch}, offset {claim.position.offset}, this replica at "
            f"epoch {own_position.epoch}, offset {own_position.offset} with {own_live_keys} keys"
        )
    if claim.key_count == 0 and claim.replication_id not in own_replication_ids:
        return (
            f"the primary has come back empty under another replication id, "
            f"this replica holds {own_live_keys} keys of the former one"
        )
    return None
