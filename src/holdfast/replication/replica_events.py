"""What the replicas served tell, handed to those who count on it.

What this is: the node's side of `serving`: who hears of an acknowledgement, of a replica that comes
online or goes, of a GETACK, and what a PSYNC is refused for. What this is not: the counting.

How to read it: one method an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.engine.values import CommandError
from holdfast.replication.fence import Standing
from holdfast.replication.remote_replica import RemoteReplica

if TYPE_CHECKING:
    from holdfast.replication.replicator import Replicator


class ReplicaEvents:
    """Hears of the replicas of one node."""

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator

    def acknowledged(self, replica: RemoteReplica) -> None:
        """Note that a replica has acknowledged."""
        replicator = self._replicator
        replicator.gate.acknowledged(replica)
        replicator.lease.acknowledged(replica)
        if replicator.waiting.waiters:
            replicator.waiting.look()
        if replicator.hand_over.is_under_way:
            replicator.hand_over.look()

    def went_away(self, replica: RemoteReplica) -> None:
        """Note that a replica has gone."""
        self._replicator.gate.went_away(replica)
        self._replicator.serving.count_good()

    def went_online(self, replica: RemoteReplica) -> None:
        """Note that a replica gets the stream from now on."""
        self._replicator.gate.went_online(replica)
        self._replicator.serving.count_good()

    def primary_asks(self, words: bytes) -> None:
        """Acknowledge soon: the primary asks, perhaps for a grant."""
        self._replicator.lease.asked_by_primary(words)
        self._replicator.upstream.acknowledge_soon()

    def sync_refusal(self) -> str | None:
        """Return why nobody may sync with this node now."""
        replicator = self._replicator
        if replicator.hand_over.is_under_way:
            return "NOMASTERLINK Can't SYNC while failing over"
        is_following = replicator.is_replica and replicator.standing.node.standing is Standing.REPLICA
        if is_following and not replicator.upstream.is_up:
            return "NOMASTERLINK Can't SYNC while not connected with my master"
        return None

    def lead_by_failover(self, replication_id: str) -> None:
        """Lead, as the former primary asks by PSYNC ... FAILOVER. Raises `CommandError`."""
        replicator = self._replicator
        replicator.node.log.notice(f"Failover request received for replid {replication_id}.")
        if not replicator.is_replica:
            raise CommandError("ERR PSYNC FAILOVER can't be sent to a master.")
        if replicator.standing.is_managed:
            raise CommandError("FENCED PSYNC FAILOVER refused: this node has a manager")
        if replication_id.lower() != replicator.stream.history.replication_id.lower():
            raise CommandError("ERR PSYNC FAILOVER replid must match my replid.")
        replicator.roles.by_hand(True)
        replicator.roles.lead_by_hand()
