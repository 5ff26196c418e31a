"""What this node is, durably: the acting half of the fence machine.

What this is: the holder of `fence.Node`, of the copy's set record, and of the state file.
Orders come in as values, decisions come from `fence`, and their effects are run here in
the order in which they stand; what needs other parts is asked of `Hands`.

What this is not: the decisions, or the wire form of the orders (`orders`).

How to read it: `start`, then one method an order; `_run` is the contract on effects.

The file `holdfast-PORT.state` stands in `dir`. A node that never had to remember anything
(no manager, no member set, no primary of ours) writes none, so a plain server leaves
nothing behind that redis-server would not.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Protocol

from holdfast.replication import fence
from holdfast.replication.fence import (
    Act,
    Copy,
    Decision,
    FenceOrder,
    FenceReport,
    FetchOrder,
    FollowOrder,
    PromoteOrder,
    Standing,
)
from holdfast.replication.node_state import NodeState, StateFileError, decode_node_state
from holdfast.replication.ports import Node
from holdfast.replication.set_record import NOWHERE, Position, SetRecord


class OrderRefused(Exception):
    """The error to answer, without the minus sign."""


class Hands(Protocol):
    """Who carries the effects out."""

    def stop_acknowledging(self) -> None:
        """Close the gate; send no acknowledgement any more."""
        ...

    def stop_writes(self) -> None:
        """Refuse writes from now on."""
        ...

    def drop_upstream(self) -> None:
        """End the link to the primary."""
        ...

    def close_replica_links(self) -> None:
        """End the links of all attached replicas."""
        ...

    def become_primary(self, epoch: int) -> None:
        """Lead in this epoch."""
        ...

    def follow_order(self, order: fence.Follow) -> None:
        """Attach to a node as its replica."""
        ...

    def fetch_tail(self, order: fence.FetchTail) -> None:
        """Copy the tail of a fenced node."""
        ...

    def stream_offset(self) -> int:
        """Return where the copy's stream ends."""
        ...

    def heard_primary_ms_ago(self) -> int | None:
        """Return when the primary was last heard."""
        ...


class NodeStanding:
    """The standing of one node."""

    def __init__(self, node: Node, hands: Hands) -> None:
        self._node = node
        self._hands = hands
        fresh = NodeState(f"{node.host.random.getrandbits(160):040x}")
        self.node = fence.Node(fresh, Standing.PRIMARY)
        self.record: SetRecord | None = None
        self.is_known = True
        self._is_kept = False

    # ---- what others ask ----

    @property
    def node_id(self) -> str:
        """The node's durable name."""
        return self.node.state.node_id

    @property
    def position(self) -> Position:
        """How far the copy reaches."""
        return Position(self.record.epoch if self.record else 0, self._hands.stream_offset())

    @property
    def is_bound(self) -> bool:
        """Whether a member set that needs acknowledgements binds the copy."""
        return self.record is not None and self.record.is_binding

    @property
    def is_managed(self) -> bool:
        """Whether a manager was ever seen."""
        return self.node.state.fence_epoch > 0

    @property
    def waits_for_leader(self) -> bool:
        """Whether this primary, once restarted, takes no writes before a leader has confirmed it."""
        return self.is_managed or self.node.state.under_lease

    @property
    def write_refusal(self) -> bytes | None:
        """Why this node takes no writes, None if it may."""
        state = self.node.state
        if self.node.standing is Standing.FENCED:
            by = f"at epoch {state.fence_epoch} by {state.fence_leader}"
            return f"FENCED writes are refused: fenced {by}".encode()
        if self.node.standing is Standing.CANDIDATE:
            return b"FENCED writes are refused: restarted as a primary, waiting for a leader's order"
        return None

    def copy(self) -> Copy:
        """Return the complete copy that this node holds."""
        if not self.is_known:
            return Copy(NOWHERE, None, False, self._hands.heard_primary_ms_ago())
        return Copy(self.position, self.record, True, self._hands.heard_primary_ms_ago())

    # ---- life ----

    @property
    def path(self) -> str:
        """The state file."""
        configuration = self._node.configuration
        return posixpath.join(configuration["dir"], f"holdfast-{configuration['port']}.state")

    def read(self) -> None:
        """Read the state file, before anybody can give an order: a fence that comes while the copy is
        loaded meets what this node obeyed before. Raises `StateFileError`.
        """
        self.is_known = False
        disk = self._node.host.disk
        if not disk.exists(self.path):
            return
        file = disk.open(self.path, "rb")
        try:
            state = decode_node_state(file.read())
        finally:
            file.close()
        self.node = fence.Node(state, Standing.PRIMARY if state.is_primary else Standing.REPLICA)
        self._is_kept = True

    def start(self, is_replica: bool, acknowledges_after_fsync: bool, position_is_known: bool = True) -> None:
        """Begin; the copy has been loaded, and `read` was called before. Raises `StateFileError`.

        `position_is_known`: the files told where in the stream the copy stands.
        """
        self.is_known = True
        state = self.node.state if self._is_kept else None
        if state is not None and not position_is_known:
            state = replace(state, stopped_cleanly=False, acknowledges_after_fsync=False)
        settings, record = self._node.configuration, self.record
        # A copy that was lost does not tell what bound it; the setting does.
        is_bound = bool(settings["min-replicas-to-ack"]) or (record is not None and record.is_binding)
        decision = fence.started(
            state,
            self.node_id,
            self.position,
            is_replica,
            acknowledges_after_fsync,
            is_bound and settings["cluster-enabled"],
        )
        try:
            self._run(decision)
        except OrderRefused as refusal:
            raise StateFileError(str(refusal)) from refusal

    def stop(self) -> None:
        """End cleanly: the copy has been fsynced."""
        decision = fence.stopped(self.node, self.position)
        self.node = decision.node
        if self._is_kept:
            self._write(self.node.state)

    def keep(self) -> None:
        """Remember from now on who this node is: others count on its acknowledgements."""
        if not self._is_kept:
            try:
                self._write(self.node.state)
            except OrderRefused as refusal:
                self._node.log.warning(str(refusal))
                return
            self._is_kept = True

    def acknowledges_sooner(self) -> None:
        """Note, before it is so, that acknowledgements no longer wait for the disk. Raises `OrderRefused`."""
        if self.node.state.acknowledges_after_fsync:
            state = replace(self.node.state, acknowledges_after_fsync=False)
            if self._is_kept:
                self._write(state)
            self.node = replace(self.node, state=state)

    def under_lease(self, is_so: bool) -> None:
        """Remember that this primary's writes hang on a lease, or do no more.

        Whoever obeyed an epoch waits for a leader after a restart in any case: nothing is written then.
        """
        if self.node.state.under_lease is is_so:
            return
        self.node = replace(self.node, state=replace(self.node.state, under_lease=is_so))
        if self.node.state.fence_epoch:
            return
        self._is_kept = self._is_kept or is_so
        try:
            if self._is_kept:
                self._write(self.node.state)
        except OrderRefused as refusal:
            self._node.log.warning(str(refusal))

    # ---- orders ----

    def fence(self, order: FenceOrder) -> FenceReport:
        """Take a fence. Raises `OrderRefused`."""
        report = self._run(fence.fenced(self.node, order, self.copy()), order=order)
        assert report is not None
        return report

    def promote(self, order: PromoteOrder) -> None:
        """Lead. Raises `OrderRefused`."""
        self._run(fence.promoted(self.node, order, self.copy()))

    def follow(self, order: FollowOrder) -> None:
        """Follow whom a leader names. Raises `OrderRefused`."""
        self._run(fence.told_to_follow(self.node, order))

    def fetch(self, order: FetchOrder) -> None:
        """Fetch the tail of a better copy. Raises `OrderRefused`."""
        self._run(fence.told_to_fetch(self.node, order))

    def attached(self, epoch: int, position: Position | None) -> None:
        """Attach to a primary, or (no position) to a replica between. Raises `OrderRefused`."""
        self._run(fence.attached(self.node, epoch, position))

    def applied(self) -> None:
        """Note that the copy reaches further."""
        if self.node.catching_up_to is not None:
            try:
                self._run(fence.applied(self.node, self.position))
            except OrderRefused as refusal:  # it stays as it was, and the next record tries again
                self._node.log.warning(str(refusal))

    def upstream_lost(self) -> None:
        """Note that the link to the primary is gone."""
        self.node = fence.upstream_lost(self.node)

    def holds_nothing(self) -> None:
        """Note that the copy in memory is gone."""
        self.is_known = True
        if self.node.state.intact:
            state = replace(self.node.state, intact=False)
            self.node = replace(self.node, state=state)
            if self._is_kept:
                try:
                    self._write(state)
                except OrderRefused as refusal:  # what counts is what this process reports
                    self._node.log.warning(str(refusal))

    def by_hand(self, is_primary: bool) -> None:
        """Note REPLICAOF: outside of every promise, and never against a fence.

        A fenced node stays fenced. Raises `OrderRefused`.
        """
        standing = self.node.standing
        if standing in (Standing.FENCED, Standing.CANDIDATE) and is_primary:
            raise OrderRefused((self.write_refusal or b"FENCED").decode())
        if standing is Standing.FENCED:
            return
        state = replace(self.node.state, is_primary=is_primary)
        self.node = fence.Node(state, Standing.PRIMARY if is_primary else Standing.REPLICA)
        if self._is_kept:
            self._write(state)

    def begin_anew(self, node_id: str) -> None:
        """Be a new node, and a primary, that obeyed nobody and holds nothing. Raises `OrderRefused`."""
        sooner = self.node.state.acknowledges_after_fsync
        state = NodeState(node_id, is_primary=True, acknowledges_after_fsync=sooner)
        if self._is_kept:
            self._write(state)
        self.node, self.record, self.is_known = fence.Node(state, Standing.PRIMARY), None, True

    # ---- effects ----

    def _run(self, decision: Decision, order: FenceOrder | None = None) -> FenceReport | None:
        report = None
        for effect in decision.effects:
            match effect:
                case fence.Refuse():
                    raise OrderRefused(effect.text)
                case Act():
                    self._act(effect, decision)
                case fence.Persist():
                    self._is_kept = self._is_kept or effect.state.fence_epoch > 0
                    if self._is_kept:
                        self._write(effect.state)
                    self.node = decision.node
                case fence.BecomePrimary():
                    self.node = decision.node
                    self._hands.become_primary(effect.epoch)
                case fence.Follow():
                    self._hands.follow_order(effect)
                case fence.FetchTail():
                    self.node = decision.node
                    self._hands.fetch_tail(effect)
                case fence.Reply():
                    report = effect.report
        self.node = decision.node
        if order is not None and report is not None:
            # What the acts have ended is now part of the copy: say where it really stands.
            copy = self.copy()
            report = replace(report, position=copy.position, record=copy.record) if copy.is_known else report
        return report

    def _act(self, act: Act, decision: Decision) -> None:
        match act:
            case Act.STOP_ACKNOWLEDGING:
                self._hands.stop_acknowledging()
            case Act.STOP_WRITES:
                self.node = decision.node
                self._hands.stop_writes()
            case Act.DROP_UPSTREAM:
                self._hands.drop_upstream()
            case Act.CLOSE_REPLICA_LINKS:
                self._hands.close_replica_links()

    def _write(self, state: NodeState) -> None:
        """Put the state on stable storage: a new file, synced, in the place of the old one.

        Raises `OrderRefused` if the disk does not take it: what hangs on it does not happen.
        """
        disk = self._node.host.disk
        fresh = f"{self.path}.new"
        try:
            file = disk.open(fresh, "wb")
            try:
                file.write(state.encode())
                file.sync()
            finally:
                file.close()
            disk.rename(fresh, self.path)
            disk.sync_dir(posixpath.dirname(self.path))
        except OSError as error:
            raise OrderRefused(f"MISCONF the state file cannot be written: {error.strerror}") from error
