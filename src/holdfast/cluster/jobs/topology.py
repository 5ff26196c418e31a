"""What the nodes of a cluster say of it: CLUSTER NODES read, and all views side by side.

Pure: text in, values out. Each node has a view of its own, and in trouble the views differ; a
`Picture` holds them all, so that what differs can be seen.

How to read it: `Node` and `View` are one node's words; `Picture` is what a job decides on.
Source: https://redis.io/commands/cluster-nodes/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from holdfast.cluster.jobs.runs import Runs, overlay

SLOTS = 16384
BUS_ABOVE = 10000
"""A bus port is so far above the port of clients, unless a node says otherwise."""


class BadView(ValueError):
    """A node's CLUSTER NODES cannot be read."""


@dataclass(frozen=True)
class Node:
    """A node, as one view has it."""

    id: str
    host: str
    port: int
    flags: frozenset[str]
    primary_id: str
    """The node that it follows; empty for a primary."""
    epoch: int
    is_linked: bool
    ranges: tuple[tuple[int, int], ...] = ()
    """Slots that it serves: first and last, ascending."""
    hostname: str = ""
    bus_port: int = 0

    @property
    def address(self) -> str:
        """Return host:port."""
        return f"{self.host}:{self.port}"

    @property
    def is_primary(self) -> bool:
        """Return whether it is a primary, with slots or without."""
        return "master" in self.flags

    @property
    def is_failed(self) -> bool:
        """Return whether a majority holds it for dead, or this view suspects it."""
        return bool(self.flags & {"fail", "fail?"})

    @property
    def slot_count(self) -> int:
        """Return how many slots it serves."""
        return sum(last - first + 1 for first, last in self.ranges)

    def serves(self, slot: int) -> bool:
        """Return whether a slot is its."""
        return any(first <= slot <= last for first, last in self.ranges)


@dataclass(frozen=True)
class View:
    """What one node says."""

    myself: str
    nodes: Mapping[str, Node]
    migrating: Mapping[int, str]
    """Slot: to which node this one is giving it."""
    importing: Mapping[int, str]
    """Slot: from which node this one is taking it."""

    @cached_property
    def owners(self) -> Runs[str]:
        """Return each slot's owner, as this node sees it."""
        cut = overlay((node.id, node.ranges) for node in self.nodes.values() if node.ranges)
        return Runs((first, last, names[-1]) for first, last, names in cut)

    @property
    def me(self) -> Node:
        """Return the node that speaks."""
        return self.nodes[self.myself]

    def owner(self, slot: int) -> str:
        """Return a slot's owner (empty: none), without building the whole table."""
        return next((node.id for node in self.nodes.values() if node.serves(slot)), "")


def parse_view(text: str, contact_host: str) -> View:
    """Read CLUSTER NODES; a node that does not know its own host yet has the one it was reached at."""
    nodes: dict[str, Node] = {}
    migrating: dict[int, str] = {}
    importing: dict[int, str] = {}
    myself = ""
    for line in text.splitlines():
        if not line:
            continue
        try:
            name, address, flags, primary, _, _, epoch, link, *slots = line.split(" ")
            place, _, extra = address.partition(",")
            client_side, _, bus_port = place.partition("@")
            host, _, port = client_side.rpartition(":")
            ranges = []
            for word in slots:
                if not word:
                    continue
                if word.startswith("["):
                    inside = word[1:-1]
                    arrow = "->-" if "->-" in inside else "-<-"
                    slot, _, other = inside.partition(arrow)
                    (migrating if arrow == "->-" else importing)[int(slot)] = other
                else:
                    first, _, last = word.partition("-")
                    ranges.append((int(first), int(last or first)))
            nodes[name] = Node(
                name, host or contact_host, int(port), frozenset(flags.split(",")),
                "" if primary == "-" else primary, int(epoch), link == "connected", tuple(ranges),
                extra.partition(",")[0], int(bus_port or int(port) + BUS_ABOVE),
            )  # fmt: skip
        except ValueError as error:
            raise BadView(f"cannot read {line!r}") from error
        if "myself" in nodes[name].flags:
            myself = name
    if not myself:
        raise BadView("no line is the node's own")
    return View(myself, nodes, migrating, importing)


@dataclass(frozen=True)
class Picture:
    """All that could be asked, at one moment."""

    views: Mapping[str, View]
    """By node id: those that answered."""
    unreachable: Mapping[str, str]
    """Node id: why it could not be asked."""

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """Return every node that anybody knows, as it says itself where it answered."""
        known: dict[str, Node] = {}
        for view in self.views.values():
            for node in view.nodes.values():
                if "noaddr" not in node.flags and "handshake" not in node.flags:
                    known.setdefault(node.id, node)
        for name, view in self.views.items():
            known[name] = view.me
        return known

    @cached_property
    def claims(self) -> Runs[tuple[str, ...]]:
        """Return who says of himself that a slot is his; the highest epoch first."""
        living = sorted(
            (view.me for view in self.views.values() if view.me.is_primary),
            key=lambda node: (-node.epoch, node.id),
        )
        layers = [((True, node.id), node.ranges) for node in living]
        # Who cannot be asked: the others' words stand for its own, where no living node claims the slot.
        layers += [
            ((False, name), self._ranges_by_majority(name)) for name in self.unreachable if name in self.nodes
        ]
        return Runs(
            (first, last, tuple(name for answers, name in who if answers) or (who[0][1],))
            for first, last, who in overlay(layers)
        )

    def _ranges_by_majority(self, name: str) -> tuple[tuple[int, int], ...]:
        """Return what most of those that answer say a node has."""
        words = (view.nodes[name].ranges for view in self.views.values() if name in view.nodes)
        cut = overlay(enumerate(words))
        return tuple((first, last) for first, last, by in cut if len(by) * 2 > len(self.views))

    @cached_property
    def owners(self) -> Runs[str]:
        """Return each served slot's owner: the claim with the highest epoch."""
        return Runs((first, last, names[0]) for first, last, names in self.claims.runs)

    @cached_property
    def primaries(self) -> list[Node]:
        """Return the living primaries, in the order of their first slot, those without slots last."""
        alive = [view.me for view in self.views.values() if view.me.is_primary]
        return sorted(alive, key=lambda node: (node.ranges[0][0] if node.ranges else SLOTS, node.address))

    def is_on_its_way(self, slot: int) -> bool:
        """Return whether keys of a slot may be where its owner's mark sends clients.

        They are not where that node answers, leads, and does not import the slot: it takes no writes to it.
        """
        view = self.views.get(self.owners.get(slot, ""))
        if view is None or slot not in view.migrating:
            return False
        goal = self.views.get(view.migrating[slot])
        return goal is None or not goal.me.is_primary or slot in goal.importing

    def is_held_for_dead(self, name: str) -> bool:
        """Return whether a majority of those that answer has given a node up (FAIL, not mere suspicion)."""
        words = [view.nodes[name].flags for view in self.views.values() if name in view.nodes]
        return sum("fail" in flags for flags in words) * 2 > len(words)

    def slots_of(self, name: str) -> list[int]:
        """Return the slots of a node, ascending."""
        return expand(self.owners.ranges_of(name))

    def slot_count_of(self, name: str) -> int:
        """Return how many slots a node has."""
        return sum(last - first + 1 for first, last in self.owners.ranges_of(name))

    def replicas_of(self, name: str) -> list[Node]:
        """Return who follows a node."""
        return sorted(
            (node for node in self.nodes.values() if node.primary_id == name), key=lambda node: node.address
        )

    def find(self, text: str) -> Node:
        """Return the node with this address, id, or unique beginning of an id. Raises LookupError."""
        found = [node for node in self.nodes.values() if text in (node.address, node.id)]
        if not found and text:
            found = [node for node in self.nodes.values() if node.id.startswith(text)]
        if len(found) != 1:
            raise LookupError(f"{text}: {'more than one node' if found else 'no node'} of that address or id")
        return found[0]


def expand(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Return the slots of ranges."""
    return [slot for first, last in ranges for slot in range(first, last + 1)]


def compress(slots: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return slots as ranges, ascending."""
    ranges: list[tuple[int, int]] = []
    for slot in sorted(set(slots)):
        if ranges and ranges[-1][1] == slot - 1:
            ranges[-1] = (ranges[-1][0], slot)
        else:
            ranges.append((slot, slot))
    return tuple(ranges)


def written(slots: Iterable[int]) -> str:
    """Return slots as people write them: 0-99,200."""
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in compress(slots))


def read_slots(text: str) -> list[int]:
    """Read what `written` writes. Raises ValueError."""
    slots: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise ValueError(f"{part!r} is no slot, and no range of slots as 0-99 is one")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high < SLOTS:
            raise ValueError(f"{part}: slots are 0 to {SLOTS - 1}")
        slots.update(range(low, high + 1))
    return sorted(slots)
