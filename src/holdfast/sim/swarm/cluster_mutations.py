"""Deliberate faults of cluster nodes: each must be seen by the judges of a run of a cluster.

What this is: the entries of `CLUSTER_MUTATIONS`, mistakes put into each node of a run before it starts.
What it is not: faults of replication (`mutations`), which a cluster's nodes have as well.

How to read it: one function a mistake, its summary in the decorator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.cluster import messages, slots
from holdfast.cluster.effects import Log
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Link, Node, View
from holdfast.engine.state import Session
from holdfast.node.cluster import ClusterSide
from holdfast.node.server import ServerNode
from holdfast.sim.swarm.mutations import Mutation

CLUSTER_MUTATIONS: dict[str, Mutation] = {}


def of_clusters(name: str, summary: str) -> Callable[[Callable[[Any], None]], None]:
    """Declare a fault that the decorated function puts into the cluster side of a node."""

    def declare(change: Callable[[ClusterSide], None]) -> None:
        def adapt(_: str, node: ServerNode) -> None:
            assert node.cluster is not None
            change(node.cluster)

        CLUSTER_MUTATIONS[name] = Mutation(summary, (adapt,))

    return declare


# ---- votes and epochs ----


@of_clusters("vote-twice", "a primary votes for whoever asks, however often in an epoch")
def vote_twice(side: Any) -> None:
    received, view = side.machine.received, side.view

    def wrong(link: Link, message: Message, now_ms: int) -> None:
        if message.type == messages.AUTH_REQUEST:
            view.voted_epoch = 0
            for each in view.nodes.values():
                each.voted_ms = -(1 << 40)
        received(link, message, now_ms)

    side.machine.received = wrong


class Hasty(View):
    """A view for which one is many."""

    @property
    def majority(self) -> int:
        """Return that one is enough."""
        return 1


@of_clusters("majority-of-one", "one vote elects, and one primary in reach is enough to serve")
def majority_of_one(side: Any) -> None:
    side.view.__class__ = Hasty


@of_clusters("accept-older-epoch", "a claim is believed though its epoch is older than the owner's")
def accept_older_epoch(side: Any) -> None:
    received, view = side.machine.received, side.view

    def wrong(link: Link, message: Message, now_ms: int) -> None:
        before: dict[Node, int] = {}
        if message.is_ping and not message.primary_id:
            others = [each for each in view.others() if each.id != message.sender]
            before = {each: each.config_epoch for each in others if each.slots & message.slots}
        for each in before:
            each.config_epoch = 0
        received(link, message, now_ms)
        for each, epoch in before.items():
            each.config_epoch = max(each.config_epoch, epoch)

    side.machine.received = wrong


@of_clusters("ignore-collisions", "two primaries that took the same epoch keep it")
def ignore_collisions(side: Any) -> None:
    received, view = side.machine.received, side.view

    def wrong(link: Link, message: Message, now_ms: int) -> None:
        epoch = view.me.config_epoch
        received(link, message, now_ms)
        if any(isinstance(each, Log) and "configEpoch collision" in each.text for each in view.effects):
            view.me.config_epoch = epoch

    side.machine.received = wrong


@of_clusters("forget-nodes-file", "nodes.conf is replaced and never synced, votes and claims in it")
def forget_nodes_file(side: Any) -> None:
    store = side.queue.store
    write = store.write

    async def write_later(text: str) -> bool:
        write(text, False)
        return True

    store.write = lambda text, synced: write(text, False)
    store.write_later = write_later


@of_clusters("lead-unfenced", "whoever wins an election leads at once, and fences nobody")
def lead_unfenced(side: Any) -> None:
    hand_in, view = side._hand_in, side.view

    def wrong() -> None:
        hand_in()
        view.is_bound = False

    side._hand_in = wrong


# ---- slots ----


@of_clusters("serve-after-losing", "a slot that was ours once is served on when another has taken it")
def serve_after_losing(side: Any) -> None:
    owner, view, had = side.owner, side.view, set[int]()

    def wrong(slot: int) -> Node | None:
        now: Node | None = owner(slot)
        if now is view.me:
            had.add(slot)
        return view.me if slot in had else now

    side.owner = wrong
    side.owners_among = lambda chosen: [(slot, slot, wrong(slot)) for slot in slots.members(chosen)]


@of_clusters("send-no-changes", "what is written while slots are sent as a whole is not sent")
def send_no_changes(side: Any) -> None:
    give = side.give

    def wrong(session: Session, node_id: str, chosen: int) -> None:
        give(session, node_id, chosen)
        for gift in side.gifts:
            gift._send_changes = once(gift._send_changes)

    def once(send: Any) -> Any:
        sent: list[Any] = []

        async def first_only(peer: Any) -> None:
            if not sent:
                sent.append(peer)
                await send(peer)

        return first_only

    side.give = wrong
