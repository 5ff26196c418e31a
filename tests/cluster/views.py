"""What a cluster node sees, for tests of its decisions: itself, two primaries, two replicas, messages."""

from __future__ import annotations

import random

from holdfast.cluster import flags, health, messages, outgoing, table
from holdfast.cluster.effects import Send
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Link, Node, View
from holdfast.cluster.settings import Settings
from holdfast.cluster.slots import of_range

NOW = 1_000_000
ME, A, B, R, S = (letter * 40 for letter in "5abcd")


def a_view(timeout_ms: int = 1000) -> View:
    """Return a primary with a third of the slots, two others, and a replica of A (R) and of ME (S)."""
    view = View(ME, random.Random(1), Settings(node_timeout=timeout_ms), NOW)
    view.started_ms = view.looked_ms = NOW
    view.me.config_epoch, view.epoch, view.first_look_ms, view.is_ok = 1, 9, NOW - 10_000, True
    for number, node_id in enumerate((A, B)):
        node = add(view, node_id, flags.PRIMARY)
        node.config_epoch = number + 2
        view.give_slots(of_range((number + 1) * 5000, (number + 1) * 5000 + 4999), node)
    view.give_slots(of_range(0, 4999) | of_range(15000, 16383), view.me)
    for node_id, primary in ((R, view.nodes[A]), (S, view.me)):
        view.attach(add(view, node_id, flags.REPLICA), primary)
    health.judge(view, NOW)
    view.take_effects()
    return view


def add(view: View, node_id: str, node_flags: int) -> Node:
    """Add a connected node that answered a moment ago."""
    node = table.new_node(view, node_id, node_flags, NOW)
    node.host, node.port, node.bus_port = "127.0.0.1", 7000 + len(view.nodes), 17000 + len(view.nodes)
    node.link = Link(node, True, NOW, is_up=True, has_answered=True)
    node.heard_ms = node.pong_received_ms = node.answered_ms = NOW
    node.is_ours = True
    return node


def as_replica(view: View, primary_id: str = A) -> View:
    """Let this node be a replica."""
    view.give_slots(view.me.slots, None)
    view.detach(view.nodes[S])
    table.follow(view, view.nodes[primary_id])
    view.has_foreign_copy, view.primary_heard_ms = False, NOW
    health.judge(view, NOW)
    view.take_effects()
    return view


def from_node(view: View, node: Node, kind: int = messages.PING, **fields: object) -> Message:
    """Return a message as this node would send it now."""
    shown = node.group
    message = outgoing.make(view, kind)._replace(
        sender=node.id,
        primary_id=node.primary.id if node.primary else "",
        slots=shown.slots,
        config_epoch=shown.config_epoch,
        flags=node.flags,
        host=node.host,
        port=node.port,
        bus_port=node.bus_port,
    )
    return message._replace(**fields)  # type: ignore[arg-type]


def sent(view: View, kind: int) -> list[Send]:
    """Return the messages of this type that would be sent, and forget all effects."""
    return [each for each in view.take_effects() if isinstance(each, Send) and each.message.type == kind]
