"""Changes of role in a cluster: whom its votes, its slots or its operator make lead or follow.

What this is: the same orders that a manager gives, from the node's own cluster side. What it
is not: the votes (`holdfast.cluster`), or the standing that judges each order.

How to read it: `follow` and `lead` are what the cluster tells a node; the rest is a takeover's steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.replication.fence import (
    FenceOrder,
    FenceReport,
    FetchOrder,
    FollowOrder,
    PromoteOrder,
    Standing,
)
from holdfast.replication.standing import OrderRefused

if TYPE_CHECKING:
    from holdfast.replication.replicator import Replicator


class InCluster:
    """What the cluster side of one node orders."""

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator

    def follow(self, host: str, port: int, leader: str, is_foreign: bool) -> None:
        """Become a replica of this primary, or follow it to another address, as the cluster has it.

        `is_foreign`: what this node holds is of another shard, and counts for nothing in this one.

        A node that was ever fenced follows by order: only a primary of its epoch, or a later one,
        will do. Raises `OrderRefused`.
        """
        replicator, standing = self._replicator, self._replicator.standing
        state = standing.node.state
        if is_foreign:
            standing.record = None
        is_candidate = standing.node.standing is Standing.CANDIDATE  # its log may have lost what bound it
        if not (standing.is_managed or standing.is_bound or is_candidate):
            standing.by_hand(False)
            replicator.roles.follow_by_hand(host, port)
            if not replicator.key_count:
                standing.holds_nothing()  # nobody need wait for what it might hold
            return
        epoch, named = state.fence_epoch, state.fence_leader or leader
        if standing.node.standing is Standing.PRIMARY and epoch <= state.term_epoch:
            epoch, named = state.term_epoch + 1, leader
        standing.follow(FollowOrder(max(epoch, 1), named, host, port, leader))
        if is_foreign:
            standing.is_known = False
        replicator.guards.refresh()

    def lead(self, epoch: int, leader: str) -> None:
        """Become a primary without the shard's consent: by the votes alone, or by an operator's word.

        With `min-replicas-to-ack` this is outside of the promises. Raises `OrderRefused`.
        """
        replicator = self._replicator
        if not replicator.standing.is_managed and not replicator.standing.is_bound:
            replicator.standing.by_hand(True)
            replicator.roles.lead_by_hand()
            return
        self.fence(FenceOrder(epoch, leader))
        self.promote(PromoteOrder(epoch, leader, replicator.standing.position, accept_loss=True))

    def leave(self) -> None:
        """Be a new node, and a primary, by an operator's word: nothing of the shard binds it any more.

        Its new name stands in no member set. The shard counts it among those that are gone, and takes it out
        (rule 4); what it acknowledged is no proof of anything any more. Raises `OrderRefused`.
        """
        replicator = self._replicator
        replicator.standing.begin_anew(replicator.new_id())
        if not replicator.is_replica and replicator.stream.backlog is not None:
            # Its history goes on under a new id, as a replica's does. Without a backlog nobody knows it.
            replicator.stream.begin_forwarding()
        replicator.roles.lead_by_hand()

    def fence(self, order: FenceOrder) -> FenceReport:
        """Take a fence from ourselves. Raises `OrderRefused`."""
        replicator = self._replicator
        try:
            return replicator.standing.fence(order)
        except OrderRefused:
            # The link to the primary ended before the fence could not be written.
            replicator.roles.follow_again()
            raise
        finally:
            replicator.guards.refresh()

    def fetch(self, order: FetchOrder) -> None:
        """Fetch the tail of a better copy. Raises `OrderRefused`."""
        self._replicator.standing.fetch(order)

    def obey(self, order: FollowOrder) -> None:
        """Follow whom a leader of the shard names. Raises `OrderRefused`."""
        replicator = self._replicator
        try:
            replicator.standing.follow(order)
        finally:
            replicator.guards.refresh()

    def promote(self, order: PromoteOrder) -> None:
        """Lead. Raises `OrderRefused`."""
        replicator = self._replicator
        try:
            replicator.standing.promote(order)
        finally:
            replicator.guards.refresh()

    @property
    def is_fenced(self) -> bool:
        """Whether this node waits for a leader's order, or its primary does."""
        replicator = self._replicator
        refused = "FENCED ATTACH refused" in replicator.upstream.lost_reason
        primary_waits = replicator.is_replica and refused  # one that leads now was refused before
        return primary_waits or replicator.standing.node.standing in (Standing.FENCED, Standing.CANDIDATE)
