"""The judges of single steps of a cluster's nodes: votes, elections, and slots that change hands.

What this is: `Rules`, which looks on as one node takes its messages, and says what no node may do. What it
is not: the judges of what became of it (`cluster_checks`).

1. A node votes once an epoch.
2. Who leads in an epoch has the votes of a majority for it, and has fenced itself in it where others
   count on its acknowledgements.
3. A message takes a slot from its owner only by a higher epoch than the owner's; by the same one from a
   primary that is fenced.
4. A write is acknowledged by a node that had its slot, or imported it, since the write was asked.
5. Who takes slots as a whole holds what their giver holds of them, which serves nobody at that moment.

How to read it: `watch` puts the looks in place, each of the other functions is one rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.cluster import messages, slots
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Link, Node, View
from holdfast.commands.slot_keys import count_keys_in_slot, keys_in_slot
from holdfast.engine.digest import digest_of_value
from holdfast.engine.slots import slot_of_key
from holdfast.engine.state import Engine
from holdfast.node.server import ServerNode
from holdfast.node.slot_taker import Parcel
from holdfast.sim.nodes import Nodes
from holdfast.sim.swarm.history import Operation


class Rules:
    """What was seen of all nodes of a run, over their restarts."""

    def __init__(self, violated: Callable[[str], None], nodes: Nodes) -> None:
        """Say what is violated by `violated`."""
        self._object, self._nodes = violated, nodes
        self._votes: dict[tuple[str, int], str] = {}
        """Voter and epoch to whom the vote went."""
        self._arrived: dict[tuple[str, int], set[str]] = {}
        """Candidate and epoch to whose votes it has got."""
        self._had: dict[str, list[tuple[float, int]]] = {}
        """Node to the slots that it had or imported, and since when."""
        self.promises = False
        """Whether an acknowledgement is a promise in this run."""

    def watch(self, name: str, node: ServerNode) -> None:
        """Look on, as this node, which has not started yet, speaks, hears and decides."""
        side: Any = node.cluster
        view: View = side.view
        send, received, settle = side.bus.send, side.machine.received, side.machine.settle
        take = side._taker._take

        def taken(parcel: Parcel) -> None:
            take(parcel)
            self._took(name, node, parcel)

        def sent(link: Link, message: Message) -> None:
            if message.type == messages.AUTH_ACK and link.node is not None:
                self._voted(name, message, link.node.id)
            send(link, message)

        def heard(link: Link, message: Message, now_ms: int) -> None:
            if message.type == messages.AUTH_ACK:
                self._arrived.setdefault((view.me.id, message.epoch), set()).add(message.sender)
            sender = view.node(message.sender)
            if sender is None or not message.is_ping or message.primary_id or message.slots == sender.slots:
                received(link, message, now_ms)  # it takes nothing from anybody
                return
            had, not_claimed = sender.slots, view.not_claiming
            others = [
                (each, each.slots, each.config_epoch - int(view.is_fenced and each is view.me))
                for each in view.nodes.values()
                if each is not sender and each.slots & message.slots
            ]
            received(link, message, now_ms)
            if others and sender.slots != had:
                gained = sender.slots & ~had & ~not_claimed
                self._gained(name, gained, message.config_epoch, others)

        def settled(now_ms: int) -> None:
            was_replica, voters = view.me.is_replica, view.size
            settle(now_ms)
            if was_replica and view.me.is_primary:
                self._leads(name, node, view, min(voters, view.size))
            self._note_slots(name, view)

        side.bus.send, side.machine.received, side.machine.settle = sent, heard, settled
        side._taker._take = taken

    def _voted(self, name: str, message: Message, candidate: str) -> None:
        first = self._votes.setdefault((message.sender, message.epoch), candidate)
        if first != candidate:
            self._object(f"{name} votes a second time in epoch {message.epoch}")

    def _leads(self, name: str, node: ServerNode, view: View, voters: int) -> None:
        epoch = view.me.config_epoch
        votes = len(self._arrived.get((view.me.id, epoch), ()))
        if votes <= voters // 2:
            self._object(f"{name} leads in epoch {epoch} by {votes} votes of {voters}")
        standing = node.replication.standing
        if self.promises and standing.is_bound and standing.node.state.fence_epoch < epoch:
            self._object(f"{name} leads in epoch {epoch}, and its shard is not fenced")

    def _gained(self, name: str, gained: int, epoch: int, others: list[tuple[Node, int, int]]) -> None:
        for _, theirs, owners_epoch in others:
            if theirs & gained and owners_epoch >= epoch:
                self._object(f"{name} believes a claim of epoch {epoch} against one of epoch {owners_epoch}")

    def _note_slots(self, name: str, view: View) -> None:
        has = view.me.slots | slots.of_slots(view.importing) if view.importing else view.me.slots
        notes = self._had.setdefault(name, [])
        if not notes or notes[-1][1] != has:
            notes.append((self._nodes.world.now, has))

    def acknowledged(self, operation: Operation) -> None:
        """Take a write that was acknowledged."""
        slot, until = slot_of_key(operation.key.encode()), operation.ended
        for since, has in reversed(self._had.get(operation.node, [])):
            if since <= operation.ended and has >> slot & 1:
                return
            if until < operation.began:
                break
            until = since
        self._object(f"{operation.node} acknowledges {operation.key}, whose slot {slot} it does not have")

    def _took(self, name: str, node: ServerNode, parcel: Parcel) -> None:
        """Compare the keys of slots that were just taken, if their giver waits for the outcome."""
        for giver, other in self._nodes.all_serving().items():
            side = other.cluster
            if side is None or side.me.id != parcel.source.id or parcel.slots & ~side.view.giving:
                continue
            for slot in slots.members(parcel.slots):
                if _held(node.engine, slot) != _held(other.engine, slot):
                    self._object(f"{name} takes slot {slot}, and holds other keys of it than {giver}")


def _held(engine: Engine, slot: int) -> dict[bytes, str]:
    names = keys_in_slot(engine, slot, count_keys_in_slot(engine, slot))
    return {name: digest_of_value(engine, 0, name) for name in names}
