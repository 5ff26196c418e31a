"""The fence machine: whom a node obeys, and when it may acknowledge, lead or follow.

What this is: the decisions of one node about fences, orders with an epoch, and
the trust in its own copy, as functions from (node, order, copy) to the new node
and the effects, in the order in which they must happen. No clock is used, and
nothing here is ever lifted by time.

What this is not: the wire form of the orders (`orders`), the choice of whom to
promote (`promotion`), the acknowledging itself (`gate`).

How to read it: `Standing`, the effects, then one function an input: `started`,
`fenced`, `promoted`, `told_to_follow`, `told_to_fetch`, `attached`, `applied`,
`stopped`.

The contract on effects: run them in order, each finished before the next begins.
If one fails or the process dies, those after it have not happened. So:
- The acts that stop (acknowledging, writes, upstream, replica links) are done in the
  same tick as the decision, before the fence is written: what the node reports as its
  position is then the last thing that it can have acknowledged in older epochs.
- `Persist` is on stable storage before `Reply`, `BecomePrimary`, `Follow`.

Rules:
- A fence (epoch, leader) is taken in any standing, loading too, if the epoch is
  higher than the node's, or equal, from the same leader, and not yet used to lead or follow.
- PROMOTE is refused unless its epoch and leader are the node's fence, the node
  stands fenced, holds the position named, and is intact (or the leader accepts loss).
- A node follows only a primary whose epoch is at least its fence.
- A primary that restarts is a candidate: it takes no writes until promoted.
- Intact returns when the node, following, reaches the position that its primary
  had when it attached, or fetches the whole tail of a copy that is intact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from holdfast.replication.node_state import NodeState, intact_after_start
from holdfast.replication.set_record import NOWHERE, Position, SetRecord


class Standing(Enum):
    """What a node is at this moment."""

    PRIMARY = "primary"
    REPLICA = "replica"
    FENCED = "fenced"
    CANDIDATE = "candidate"
    """A restarted primary of a managed set: serves reads, takes no writes, waits for a leader."""


class Act(Enum):
    """Effects without arguments."""

    STOP_ACKNOWLEDGING = "stop acknowledging"
    STOP_WRITES = "stop writes"
    DROP_UPSTREAM = "drop upstream"
    CLOSE_REPLICA_LINKS = "close replica links"


@dataclass(frozen=True, slots=True)
class Persist:
    """Write the state file and fsync it before anything that follows."""

    state: NodeState


@dataclass(frozen=True, slots=True)
class BecomePrimary:
    """Shift the replication id, write the first set record of `epoch`, open the gate, take writes."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Attach to this node as its replica."""

    host: str
    port: int
    node_id: str


@dataclass(frozen=True, slots=True)
class FetchTail:
    """Copy from this fenced node until `position` is reached; acknowledge nothing."""

    host: str
    port: int
    node_id: str
    position: Position


@dataclass(frozen=True, slots=True)
class FenceReport:
    """What a fenced node tells its leader."""

    node_id: str
    fence_epoch: int
    fence_leader: str
    position: Position
    record: SetRecord | None
    intact: bool
    is_known: bool
    """False: ask again, the node is still loading."""
    heard_primary_ms_ago: int | None
    """Milliseconds since it last heard its primary; None: not since it started. Told, never decided on."""
    granted_for_ms: int = 0
    """How long the lease still lasts that this node granted: until then it refuses to lead."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the order: a report to a fence, OK to the others."""

    report: FenceReport | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an error; nothing has changed."""

    text: str


Effect = Act | Persist | BecomePrimary | Follow | FetchTail | Reply | Refuse


@dataclass(frozen=True, slots=True)
class FenceOrder:
    """HOLDFAST FENCE."""

    epoch: int
    leader: str


@dataclass(frozen=True, slots=True)
class PromoteOrder:
    """HOLDFAST PROMOTE: lead in this epoch; `position` is what the leader counts on."""

    epoch: int
    leader: str
    position: Position
    accept_loss: bool = False


@dataclass(frozen=True, slots=True)
class FollowOrder:
    """HOLDFAST FOLLOW."""

    epoch: int
    leader: str
    host: str
    port: int
    node_id: str


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """HOLDFAST FETCH: take the tail from a better fenced copy before a promotion."""

    epoch: int
    leader: str
    host: str
    port: int
    node_id: str
    position: Position
    accept_loss: bool = False
    """The better copy is not intact itself, so reaching it does not make this one intact."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The complete copy that a node holds: during a full resync the old one, until the new one is whole."""

    position: Position = NOWHERE
    record: SetRecord | None = None
    is_known: bool = True
    """False while nothing can be said of it: the node still loads its own files after a start, or it
    was told by hand to follow another history and its copy is not yet of that one."""
    heard_primary_ms_ago: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `catching_up_to` is set while it follows a primary and is not intact."""

    state: NodeState
    standing: Standing
    catching_up_to: Position | None = None

    @property
    def may_acknowledge(self) -> bool:
        """Tell whether acknowledgements may leave this node, to its primary or to clients."""
        return self.standing in (Standing.PRIMARY, Standing.REPLICA)


@dataclass(frozen=True, slots=True)
class Decision:
    """The node afterwards, and what must happen, in order."""

    node: Node
    effects: tuple[Effect, ...] = ()


def started(
    state: NodeState | None,
    new_node_id: str,
    loaded: Position,
    is_replica: bool,
    acknowledges_after_fsync: bool,
    is_bound_in_cluster: bool = False,
) -> Decision:
    """Begin a process: `loaded` is where the copy stands that was read back from files.

    `is_replica` is what the configuration file says; it counts only where no manager was ever seen.
    `is_bound_in_cluster`: others of its shard hold what it acknowledged, and can elect a leader.
    """
    if state is None:
        fresh = NodeState(
            new_node_id, is_primary=not is_replica, acknowledges_after_fsync=acknowledges_after_fsync
        )
        return Decision(Node(fresh, Standing.REPLICA if is_replica else Standing.PRIMARY), (Persist(fresh),))
    running = replace(
        state,
        intact=intact_after_start(state, loaded),
        stopped_cleanly=False,
        acknowledges_after_fsync=acknowledges_after_fsync,
    )
    waits = state.under_lease or (is_bound_in_cluster and not running.intact)
    if not state.fence_epoch and waits and state.is_primary and not is_replica:
        standing = Standing.CANDIDATE
    elif not state.fence_epoch:
        running = replace(running, is_primary=not is_replica)
        standing = Standing.REPLICA if is_replica else Standing.PRIMARY
    elif state.is_primary:
        standing = Standing.CANDIDATE
    else:
        standing = Standing.FENCED if state.fence_epoch > state.term_epoch else Standing.REPLICA
    return Decision(Node(running, standing), (Persist(running),))


def fenced(node: Node, order: FenceOrder, copy: Copy) -> Decision:
    """Take or refuse a fence."""
    state = node.state
    again = (
        order.epoch == state.fence_epoch
        and order.leader == state.fence_leader
        and order.epoch > state.term_epoch
    )
    if order.epoch <= state.fence_epoch and not again:
        return _refused(node, state.fence_epoch, "FENCE")
    state = replace(state, fence_epoch=order.epoch, fence_leader=order.leader, is_primary=False)
    report = FenceReport(
        state.node_id,
        order.epoch,
        order.leader,
        copy.position if copy.is_known else NOWHERE,
        copy.record if copy.is_known else None,
        state.intact and copy.is_known,
        copy.is_known,
        copy.heard_primary_ms_ago,
    )
    effects: tuple[Effect, ...] = (*_stop(node), Persist(state), Reply(report))
    return Decision(Node(state, Standing.FENCED), effects)


def promoted(node: Node, order: PromoteOrder, copy: Copy) -> Decision:
    """Lead, or refuse. A repeated order to the primary of that epoch is answered OK and changes nothing."""
    state = node.state
    if (
        node.standing is Standing.PRIMARY
        and order.epoch == state.term_epoch
        and order.leader == state.fence_leader
    ):
        return Decision(node, (Reply(),))
    if (order.epoch, order.leader) != (
        state.fence_epoch,
        state.fence_leader,
    ) or node.standing is not Standing.FENCED:
        return _refused(node, state.fence_epoch, "PROMOTE")
    if not copy.is_known or copy.position < order.position:
        return Decision(node, (Refuse("NOPROMOTE this copy does not reach the position named"),))
    if not state.intact and not order.accept_loss:
        return Decision(node, (Refuse("NOPROMOTE this copy is not intact"),))
    state = replace(state, term_epoch=order.epoch, is_primary=True, intact=True)
    effects = (Act.DROP_UPSTREAM, Persist(state), BecomePrimary(order.epoch), Reply())
    return Decision(Node(state, Standing.PRIMARY), effects)


def told_to_follow(node: Node, order: FollowOrder) -> Decision:
    """Follow the primary that a leader names, or refuse."""
    state = node.state
    leads_already = node.standing is Standing.PRIMARY and order.epoch <= state.term_epoch
    # Once the node leads or follows in an epoch, whoever knows that epoch's primary may name it: there is
    # one, and attaching asks it for its epoch.
    is_open = order.epoch == state.fence_epoch > state.term_epoch
    other_leader = is_open and state.fence_leader not in ("", order.leader)
    if order.epoch < state.fence_epoch or leads_already or other_leader:
        return _refused(node, state.fence_epoch, "FOLLOW")
    leader = order.leader if order.epoch > state.term_epoch else state.fence_leader
    state = replace(state, fence_epoch=order.epoch, fence_leader=leader, is_primary=False)
    follow = Follow(order.host, order.port, order.node_id)
    standing = Standing.REPLICA if order.epoch == state.term_epoch else Standing.FENCED
    return Decision(Node(state, standing), (*_stop(node), Persist(state), follow, Reply()))


def told_to_fetch(node: Node, order: FetchOrder) -> Decision:
    """Fetch the tail of a better copy while fenced, or refuse."""
    state = node.state
    if (order.epoch, order.leader) != (
        state.fence_epoch,
        state.fence_leader,
    ) or node.standing is not Standing.FENCED:
        return _refused(node, state.fence_epoch, "FETCH")
    fetch = FetchTail(order.host, order.port, order.node_id, order.position)
    target = None if order.accept_loss else order.position
    return Decision(replace(node, catching_up_to=target), (fetch, Reply()))


def attached(node: Node, primary_epoch: int, primary_position: Position | None) -> Decision:
    """Attach to a primary that says its epoch and position, or refuse it.

    A stock primary says nothing: its epoch is 0, so a node that was ever fenced refuses it. A replica between
    has no position to reach (None): it may lag behind what this node acknowledged and lost.
    """
    state = node.state
    if primary_epoch < state.fence_epoch or node.standing is Standing.PRIMARY:
        return _refused(node, state.fence_epoch, "ATTACH")
    leader = state.fence_leader if primary_epoch == state.fence_epoch else ""
    following = replace(
        state, fence_epoch=primary_epoch, fence_leader=leader, term_epoch=primary_epoch, is_primary=False
    )
    persist = (Persist(following),) if following != state else ()
    return Decision(Node(following, Standing.REPLICA, None if state.intact else primary_position), persist)


def applied(node: Node, position: Position) -> Decision:
    """Note how far the copy reaches now; it may have become intact again."""
    if node.catching_up_to is None or position < node.catching_up_to:
        return Decision(node)
    if node.state.intact:
        return Decision(replace(node, catching_up_to=None))
    state = replace(node.state, intact=True)
    return Decision(Node(state, node.standing), (Persist(state),))


def upstream_lost(node: Node) -> Node:
    """Note that the link is gone: catching up begins anew with the next one."""
    return replace(node, catching_up_to=None)


def stopped(node: Node, position: Position) -> Decision:
    """End a process cleanly, after the copy itself has been fsynced at `position`."""
    state = replace(node.state, stopped_cleanly=True, stopped_at=position)
    acts = (Act.STOP_ACKNOWLEDGING, Act.STOP_WRITES, Act.DROP_UPSTREAM, Act.CLOSE_REPLICA_LINKS)
    return Decision(Node(state, Standing.FENCED), (*acts, Persist(state)))


def _stop(node: Node) -> tuple[Effect, ...]:
    writes: tuple[Effect, ...] = (Act.STOP_WRITES,) if node.standing is Standing.PRIMARY else ()
    return (Act.STOP_ACKNOWLEDGING, *writes, Act.DROP_UPSTREAM, Act.CLOSE_REPLICA_LINKS)


def _refused(node: Node, epoch: int, order: str) -> Decision:
    leader = f" by {node.state.fence_leader}" if node.state.fence_leader else ""
    return Decision(node, (Refuse(f"FENCED {order} refused: fenced at epoch {epoch}{leader}"),))
