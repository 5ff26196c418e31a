"""Observers: what a node does inside that no client can see, told to the judges.

What this is: wrappers around a few methods of one node, put there at its construction;
they change nothing. What it is not: a fault (`mutations`).

How to read it: `observe` puts both: a replica that loads a whole copy tells whether that
wiped what it should have kept, a primary that sends one whether it had to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.engine.state import Session
from holdfast.node.server import ServerNode
from holdfast.replication.empty_primary import Cause
from holdfast.replication.fence import FenceOrder, FenceReport, PromoteOrder
from holdfast.replication.history import History
from holdfast.sim.swarm.checks import Checks
from holdfast.sim.swarm.history import Promotion


def observe(checks: Checks, name: str, node: ServerNode, *, orders: bool = False) -> None:
    """Watch a node's whole copies, and the orders that it takes (a stand-in for Sentinel tells its own)."""
    _observe_loading(checks, name, node)
    _observe_serving(checks, name, node)
    if orders:
        _observe_orders(checks, name, node)
    else:
        _observe_losses(checks, node)


def _observe_losses(checks: Checks, node: ServerNode) -> None:
    """Hear of a promotion with loss from the node: its manager may never hear that it was obeyed."""
    standing: Any = node.replication.standing
    promote = standing.promote

    def promoted(order: PromoteOrder) -> None:
        before = standing.node.state.term_epoch
        promote(order)
        if order.accept_loss and standing.node.state.term_epoch != before:
            checks.lost_openly(order.epoch)

    standing.promote = promoted


def observe_fences(checks: Checks, name: str, node: ServerNode) -> None:
    """Note which fence a node has reported."""
    standing: Any = node.replication.standing
    fence, fences = standing.fence, checks.epochs.fences

    def fenced(order: FenceOrder) -> FenceReport:
        report: FenceReport = fence(order)
        fences[name] = max(fences.get(name, 0), report.fence_epoch)
        return report

    standing.fence = fenced


def _observe_orders(checks: Checks, name: str, node: ServerNode) -> None:
    standing: Any = node.replication.standing
    world, history = checks.nodes.world, checks.history
    promote = standing.promote

    def promoted(order: PromoteOrder) -> None:
        before = standing.node.state.term_epoch
        promote(order)
        if standing.node.state.term_epoch == before:
            return
        promotion = Promotion(world.now, name, standing.node_id, order.epoch, order.leader, order.accept_loss)
        history.promotions.append(promotion)
        world.record(name, f"made the primary of epoch {order.epoch}")
        checks.promoted(promotion)

    standing.promote = promoted
    observe_fences(checks, name, node)


def _observe_loading(checks: Checks, name: str, node: ServerNode) -> None:
    upstream: Any = node.replication.upstream
    began, loaded = upstream._begin_snapshot, upstream._loaded
    before: list[Any] = [None, 0]

    def begin_snapshot(link: Any, header: Any) -> None:
        before[:] = node.replication.standing.position, node.engine.key_count(0)
        began(link, header)

    def observed(fields: Mapping[str, str]) -> None:
        loaded(fields)
        position, keys = before
        now = node.replication.standing.position
        is_back = upstream.cause is Cause.RECONNECT and keys and position is not None and now < position
        # A primary whose log was torn, or is another server's, has its data, and cannot say where it stands.
        primary = checks.nodes.latest.get(checks.nodes.name_of(node.replication.followed[0]))
        can_tell = primary is not None and primary.replication.position_is_known
        refuses = node.configuration["replica-refuse-empty-primary"] and can_tell
        if is_back and refuses:
            checks.was_wiped(name, keys, f"a primary at {tuple(now)}, being at {tuple(position)}")

    upstream._begin_snapshot, upstream._loaded = begin_snapshot, observed


def _observe_serving(checks: Checks, name: str, node: ServerNode) -> None:
    serving: Any = node.replication.serving
    stream: Any = node.replication.stream
    psync, begin_making, adopt = serving.psync, stream.begin_making, stream.adopt
    former: list[tuple[str, int]] = []

    def begin_to_make() -> None:
        if stream.is_forwarding:
            former.append((stream.history.replication_id, stream.offset))
        begin_making()

    def take_over(history: History) -> None:
        if history.replication_id != stream.history.replication_id:
            former.clear()  # a primary's history: only the last id before it may be known
        adopt(history)

    def answer(session: Session, words: list[bytes]) -> object:
        history, backlog = stream.history, stream.backlog
        refused = node.traffic.partial_syncs_refused
        reply = psync(session, words)
        if node.traffic.partial_syncs_refused == refused or backlog is None or len(words) < 3:
            return reply
        asked, byte = words[1].decode("latin-1"), int(words[2])
        kept = backlog.first_byte <= byte <= history.offset + 1
        same = asked == history.replication_id or (
            bool(former) and asked == former[-1][0] and byte <= former[-1][1] + 1
        )
        if kept and same:
            checks.synced_in_full(name, f"byte {byte} of {asked} was asked for")
        return reply

    serving.psync, stream.begin_making, stream.adopt = answer, begin_to_make, take_over
