"""Changes of the role: a node becomes a primary or a replica, by hand, by order, or by handing over.

What this is: what has to happen, in which order, when this node is to lead or to follow; so it
also carries out what the standing decides (`Hands`). What this is not: whether it may
(`standing`, `fence`), or what then flows (`upstream`, `serving`).

How to read it: `follow_by_hand` and `lead_by_hand`; FAILOVER's acts; the hands of the standing; then
the two steps that all of them end in, `become_forwarding` and `_lead`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.engine import blocking
from holdfast.engine.values import CommandError
from holdfast.replication import fence
from holdfast.replication.empty_primary import Cause
from holdfast.replication.fence import Standing
from holdfast.replication.overseer import Target
from holdfast.replication.ports import now_ms
from holdfast.replication.standing import OrderRefused
from holdfast.replication.upstream import GUARD_REPLICA
from holdfast.server.pauses import FAILOVER, FOR_EVER_MS

if TYPE_CHECKING:
    from holdfast.replication.replicator import Replicator

ROLE_CHANGED = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"


class Roles:
    """The role of one node, changed."""

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator
        self.followed: tuple[str, int] = ("", 0)
        """Address of the primary that this node follows, or followed last."""

    # ---- by hand ----

    def by_hand(self, is_primary: bool) -> None:
        """Note that an operator changes the role. Raises `CommandError` where the standing forbids it."""
        try:
            self._replicator.standing.by_hand(is_primary)
        except OrderRefused as refusal:
            raise CommandError(str(refusal)) from None

    def follow_by_hand(self, host: str, port: int) -> None:
        """Become a replica of this primary; its history may be another one."""
        replicator = self._replicator
        self._name_primary(host, port)
        replicator.upstream.unfollow()
        replicator.standing.is_known = False
        self.become_forwarding()
        replicator.serving.close_all()
        replicator.upstream.follow(Target(host, port), Cause.ORDERED_BY_HAND, True)

    def lead_by_hand(self) -> None:
        """Become a primary, as an operator asks: outside of the promises."""
        self._lead(self._replicator.guards.epoch)

    def follow_again(self) -> None:
        """Go on as a replica where an order failed half-way, as the state file could not be written."""
        replicator = self._replicator
        is_idle = replicator.upstream.target is None and bool(self.followed[0])
        if is_idle and replicator.standing.node.standing is Standing.REPLICA:
            replicator.upstream.follow(Target(*self.followed), Cause.RECONNECT, True)
        replicator.guards.refresh()

    # ---- FAILOVER's acts ----

    def pause_writes(self, paused: bool) -> None:
        """Let writes wait until the hand-over has ended."""
        pauses = self._replicator.node.client_pauses
        if paused:
            pauses.begin(FAILOVER, FOR_EVER_MS, everything=False)
        else:
            pauses.end(FAILOVER)

    def follow_target(self, host: str, port: int) -> None:
        """Follow the replica that is to lead, and tell it so."""
        self._name_primary(host, port)
        self._replicator.standing.by_hand(False)
        self.become_forwarding()
        target = Target(host, port)
        self._replicator.upstream.follow(target, Cause.ORDERED_BY_HAND, True, is_failover=True)

    def lead_again(self) -> None:
        """Take the lead back: the target does not want it."""
        self._replicator.standing.by_hand(True)
        self.lead_by_hand()

    # ---- Hands of the standing ----

    def stop_acknowledging(self) -> None:
        """Close the gate; send no acknowledgement any more."""
        self._replicator.node.deliver_effects()
        self._end_promises()

    def stop_writes(self) -> None:
        """Refuse writes from now on."""
        self._replicator.guards.refresh()

    def drop_upstream(self) -> None:
        """End the link to the primary."""
        self._replicator.upstream.unfollow()

    def close_replica_links(self) -> None:
        """End the links of all attached replicas, when they have been sent all that there is.

        One of them is to lead, and would have to fetch what it lacks. The own log gets it with the end of
        the tick: whoever is fenced leads no more before a leader has asked anew where it stands.
        """
        replicator = self._replicator
        if replicator.stream.has_unsent:
            replicator.stream.send()
        replicator.serving.finish_all()

    def become_primary(self, epoch: int) -> None:
        """Lead in this epoch."""
        replicator = self._replicator
        if not replicator.is_replica:  # an old primary that leads again: its history goes on under a new id
            replicator.stream.begin_forwarding()
        self._lead(epoch)
        replicator.node.log.notice(f"MASTER MODE enabled by order, epoch {epoch}")

    def follow_order(self, order: fence.Follow) -> None:
        """Attach to a node as its replica."""
        replicator = self._replicator
        self._name_primary(order.host, order.port)
        if not replicator.is_replica:
            replicator.node.clients.send_away()
        self.become_forwarding()
        replicator.upstream.follow(Target(order.host, order.port), Cause.ORDERED_WITH_EPOCH, True)

    def fetch_tail(self, order: fence.FetchTail) -> None:
        """Copy the tail of a fenced node; or all of it, where nothing is lost if that comes to nothing."""
        replicator = self._replicator
        self.followed = (order.host, order.port)
        self.become_forwarding()
        standing = replicator.standing
        # A takeover in a cluster has no time for more than a tail: another replica is elected sooner.
        has_time = not replicator.node.configuration["cluster-enabled"]
        may_replace = has_time and (standing.is_bound or not standing.node.state.intact)
        target = Target(order.host, order.port, order.position, may_replace)
        replicator.upstream.follow(target, Cause.ORDERED_WITH_EPOCH, True)

    def stream_offset(self) -> int:
        """Return where the copy's stream ends."""
        return self._replicator.stream.offset

    def heard_primary_ms_ago(self) -> int | None:
        """Return when the primary was last heard."""
        heard = self._replicator.upstream.applier.heard_at_ms
        return None if heard is None else now_ms(self._replicator.node) - heard

    # ---- the steps ----

    def _name_primary(self, host: str, port: int) -> None:
        self.followed = (host, port)
        self._replicator.node.configuration.assign("replicaof", (host, port))

    def become_forwarding(self) -> None:
        """Make nothing of the stream any more: what comes is a primary's."""
        replicator, node = self._replicator, self._replicator.node
        self._end_promises()
        node.log.role = "S"
        node.engine.guard |= GUARD_REPLICA
        node.engine.link_up = False
        replicator.stream.begin_forwarding()
        replicator.stream.keep_from_here()
        replicator.waiting.end_all(ROLE_CHANGED)
        blocking.refuse_parked(node.engine)
        replicator.guards.standing_changed()

    def _lead(self, epoch: int) -> None:
        replicator, node = self._replicator, self._replicator.node
        node.configuration.assign("replicaof", None)
        replicator.upstream.unfollow()
        node.engine.guard &= ~GUARD_REPLICA
        node.clients.keep()
        node.log.role = "M"
        replicator.standing.is_known = True
        replicator.stream.begin_making()
        replicator.serving.close_all()
        record, gate = replicator.standing.record, replicator.gate
        if gate.wanted:
            replicator.standing.keep()
        gate.close()
        gate.open(replicator.standing.node_id, epoch, record, takes_over=True)
        replicator.lease.refresh()
        replicator.guards.refresh()

    def _end_promises(self) -> None:
        """Acknowledge nothing any more, neither by members nor by the lease.

        What members have proved in this tick is not asked for a lease, so the gate goes last; where they
        prove nothing it goes first, for what is without a lease waits under marks that would be the gate's.
        """
        gate, lease = self._replicator.gate, self._replicator.lease
        if gate.proves_writes:
            lease.drop()
            gate.close()
        else:
            gate.close()
            lease.drop()
