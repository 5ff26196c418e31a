"""Who owns which slots, by what the nodes of a cluster say.

What it is: the decision, over plain values. Each node tells the cluster as it sees it
(CLUSTER NODES); where two claims on a slot differ the higher configuration epoch is
right, as among the nodes themselves. What it is not: proof that a primary is one
(`roles`), or the correction by MOVED (`cluster_pool`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.proxy.sentinel_view import Address

SLOTS = 16384


@dataclass(frozen=True)
class Node:
    """A node as another one, or itself, describes it."""

    id: str
    address: Address
    leads: bool
    follows: str
    """The id of its primary; empty: of none."""
    epoch: int
    usable: bool
    """In sight: neither failed, nor in handshake, nor without an address."""
    ranges: tuple[tuple[int, int], ...]
    """Slots from first to last, both included."""


@dataclass(frozen=True)
class Owner:
    """A primary that owns slots, and its replicas."""

    node: Node
    replicas: tuple[Node, ...]


def nodes_of(text: str, asked: Address) -> list[Node]:
    """Read CLUSTER NODES; a node without an address is the one that was asked."""
    return [_node(line.split(), asked) for line in text.splitlines() if len(line.split()) >= 8]


def _node(words: list[str], asked: Address) -> Node:
    place = words[1].split(",")[0].split("@")[0]
    host, _, port = place.rpartition(":")
    flags = set(words[2].split(","))
    ranges = []
    for word in words[8:]:
        if not word.startswith("["):
            first, _, last = word.partition("-")
            ranges.append((int(first), int(last or first)))
    bad = {"fail", "noaddr", "handshake"}
    return Node(
        id=words[0],
        address=(host or asked[0], int(port or 0)),
        leads="master" in flags,
        follows="" if words[3] == "-" else words[3],
        epoch=int(words[6]),
        usable=not flags & bad and ("myself" in flags or words[7] == "connected"),
        ranges=tuple(ranges),
    )


def merge(views: Iterable[list[Node]]) -> tuple[list[Owner], list[int]]:
    """Return the owners, and of each slot its owner's place in that list, -1: nobody's."""
    claims: dict[tuple[str, int], list[Node]] = {}
    replicas: dict[str, dict[str, Node]] = {}
    for view in views:
        for node in view:
            if node.leads and node.ranges:
                claims.setdefault((node.id, node.epoch), []).append(node)
            elif node.follows:
                replicas.setdefault(node.follows, {})[node.id] = node
    slots = [""] * SLOTS
    newest: dict[str, Node] = {}
    for (name, _), said in sorted(claims.items(), key=lambda claim: (claim[0][1], claim[0][0])):
        newest[name] = said[-1]
        for node in said:
            for first, last in node.ranges:
                slots[first : last + 1] = [name] * (last + 1 - first)
    owners = [name for name in newest if name in set(slots)]
    places = {name: place for place, name in enumerate(owners)}
    found = [Owner(newest[name], tuple(replicas.get(name, {}).values())) for name in owners]
    return found, [places.get(name, -1) for name in slots]
