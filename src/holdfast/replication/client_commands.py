"""The commands of replication: REPLICAOF, ROLE, FAILOVER, and a manager's orders.

What this is: what each is refused for, and what the replicator then does. What it is not:
WAIT and WAITAOF (`waiting`), what replicas say (`serving`), the wire form of orders (`orders`).

How to read it: one method a command.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.engine.values import OK, CommandError, Status
from holdfast.replication import fence
from holdfast.replication.fence import Standing
from holdfast.replication.information import role
from holdfast.replication.orders import AttachAnswer, AttachRequest, OrderError, parse_order, report_fields
from holdfast.replication.overseer import Target
from holdfast.replication.ports import Session
from holdfast.replication.standing import OrderRefused

if TYPE_CHECKING:
    from holdfast.replication.replicator import Replicator


class ClientCommands:
    """What clients and managers ask of one node."""

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator

    def replicaof(self, session: Session, arguments: list[bytes]) -> object:
        """REPLICAOF host port | NO ONE."""
        replicator = self._replicator
        if replicator.node.configuration["cluster-enabled"]:
            raise CommandError("ERR REPLICAOF not allowed in cluster mode.")
        if replicator.hand_over.is_under_way:
            raise CommandError("ERR REPLICAOF not allowed while failing over.")
        if replicator.standing.is_managed and replicator.lease.is_manager(session):
            # A Sentinel that does not know yet that another has fenced us: obeyed, it would lift the fence.
            raise CommandError("FENCED a Sentinel's order to a managed node carries an epoch")
        host, port = arguments[1].decode("latin-1"), arguments[2].decode("latin-1")
        if (host.lower(), port.lower()) == ("no", "one"):
            if replicator.is_replica:
                replicator.roles.by_hand(True)
                replicator.roles.lead_by_hand()
                replicator.node.log.notice("MASTER MODE enabled (user request)")
            return OK
        if session.flags & (1 << 7):
            raise CommandError("ERR Command is not valid when client is a replica.")
        if not port.isdecimal() or len(port) > 5 or int(port) > 65535:
            raise CommandError("ERR Invalid master port")
        is_idle = replicator.upstream.target is None
        if replicator.is_replica and replicator.followed == (host, int(port)) and not is_idle:
            return Status("OK Already connected to specified master")
        replicator.roles.by_hand(False)
        replicator.roles.follow_by_hand(host, int(port))
        replicator.node.log.notice(f"REPLICAOF {host}:{port} enabled (user request)")
        return OK

    def role(self) -> list[object]:
        """ROLE."""
        return role(self._replicator)

    def failover(self, arguments: list[bytes]) -> object:
        """FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]."""
        replicator = self._replicator
        if replicator.node.configuration["cluster-enabled"]:
            raise CommandError(
                "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead."
            )
        if replicator.standing.is_managed:
            raise CommandError("FENCED FAILOVER of a managed node goes through its manager")
        return replicator.hand_over.command([each.decode("latin-1") for each in arguments[1:]])

    def order(self, session: Session, arguments: list[bytes]) -> object:
        """HOLDFAST FENCE | PROMOTE | FOLLOW | FETCH | ATTACH | LEASE. Before the start a fence alone."""
        replicator = self._replicator
        if not replicator.is_started and arguments[1].upper() != b"FENCE":
            raise CommandError("LOADING the files of this node are still loaded")
        if arguments[1].upper() == b"LEASE":
            return replicator.lease.grant(session, arguments[2:])
        try:
            order = parse_order([each.decode("latin-1") for each in arguments[1:]])
            match order:
                case fence.FenceOrder():
                    report = replicator.standing.fence(order)
                    replicator.guards.standing_changed()
                    return report_fields(replace(report, granted_for_ms=replicator.lease.promised_ms()))
                case fence.PromoteOrder():
                    if left_ms := replicator.lease.promised_ms():
                        raise OrderRefused(f"GRANTED {left_ms} ms of a lease that this node granted are left")
                    replicator.standing.promote(order)
                case fence.FollowOrder():
                    if not self._follows_already(order):
                        replicator.standing.follow(order)
                case fence.FetchOrder():
                    replicator.standing.fetch(order)
                case AttachRequest():
                    return self._attach(session, order)
        except (OrderError, OrderRefused) as refusal:
            replicator.roles.follow_again()
            raise CommandError(str(refusal)) from None
        replicator.guards.standing_changed()
        return OK

    def _follows_already(self, order: fence.FollowOrder) -> bool:
        """Whether the order changes nothing: each Sentinel may repeat it, and a sync goes on."""
        replicator = self._replicator
        state = replicator.standing.node.state
        return (
            replicator.standing.node.standing is Standing.REPLICA
            and order.epoch == state.fence_epoch == state.term_epoch
            and replicator.upstream.target == Target(order.host, order.port)
        )

    def _attach(self, session: Session, request: AttachRequest) -> Status:
        replicator = self._replicator
        state = replicator.standing.node.state
        if not replicator.standing.node.may_acknowledge:
            raise OrderRefused(f"FENCED ATTACH refused: fenced at epoch {state.fence_epoch}")
        replicator.serving.replica_of(session).note(node_id=request.node_id)
        shared = replicator.stream.shared_with(request.replication_id)
        if not replicator.position_is_known and replicator.key_count:
            # What the log held is here, though it does not say where in the stream: as of a stock primary,
            # only the loss of all keys shows.
            shared = max(shared, request.position.offset)
        offset, leads = replicator.stream.offset, not replicator.is_replica
        return Status(AttachAnswer(state.node_id, state.term_epoch, offset, shared, leads).line())
