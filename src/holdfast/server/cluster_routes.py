"""What the engine is told of the cluster, so that it can send clients where their keys are.

What it is: the listener between the cluster's view (`server/cluster.py`) and the engine's slot
table (`engine/slots.pxd`). Nodes become small numbers there, 0 nobody and 1 this node; a
number is given again only when its node is known no more. After each change the clients that
wait for keys of a slot that has gone are sent after it, and so are subscribers of its shard
channels. What it is not: a decision about slots.

How to read it: `Routes.follow` is called with what changed, `Routes.let_go` with what went;
`declare_key_rules` tells the engine once where the keys of each command stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.commands.facts import key_specs_of
from holdfast.commands.key_positions import keys_of
from holdfast.commands.pubsub import drop_shard_channel
from holdfast.commands.spec import Spec
from holdfast.engine import slots
from holdfast.engine.registry import command_names, specification
from holdfast.engine.state import Engine
from holdfast.server.config import Configuration

if TYPE_CHECKING:
    from holdfast.server.cluster import Cluster, ClusterNode
    from holdfast.server.node import Node

NOBODY, ME = 0, 1
ALL_SLOTS = (1 << 16384) - 1
ASKED = frozenset(("sort", "migrate"))
"""Their options decide where keys are."""
CHANNELS = frozenset(("ssubscribe", "sunsubscribe", "spublish"))
DIRECTIVES = ("cluster-allow-reads-when-down", "cluster-allow-pubsubshard-when-down")


class Routes:
    """Keeps the engine's slot table equal to the cluster's view."""

    def __init__(self, node: Node, cluster: Cluster) -> None:
        self.configuration = node.configuration
        self.engine = node.engine
        self.cluster = cluster
        self._numbers: dict[ClusterNode, int] = {}
        self._free: list[int] = []
        slots.enter_cluster_mode(self.engine)
        self.engine.endpoint_of = self._endpoint
        declare_key_rules(self.engine)
        self.follow(ALL_SLOTS)
        cluster.changed.append(self.follow)
        self.configuration.on_change(DIRECTIVES, self._configured)

    def follow(self, changed: int) -> None:
        """Bring the engine up to date; `changed`: the slots to look at (a bit a slot)."""
        engine, cluster = self.engine, self.cluster
        self._set_slots(changed)
        slots.set_state(
            engine,
            cluster.is_ok,
            self.configuration["cluster-allow-reads-when-down"],
            self.configuration["cluster-allow-pubsubshard-when-down"],
        )
        slots.redirect_parked(engine)
        if engine.shard_channels:
            self._drop_channels()

    def let_go(self, lost: int) -> None:
        """Serve slots that are another's by now, or go there (a bit a slot), no longer, or less.

        All else stays as it was told: what we have gained is not served yet.
        """
        cluster = self.cluster
        for slot in cluster.open_slots():
            if cluster.owner(slot) is cluster.me and slots.owner_of_slot(self.engine, slot) != ME:
                lost &= ~(1 << slot)
        self._set_slots(lost)
        slots.redirect_parked(self.engine)

    def _set_slots(self, chosen: int) -> None:
        """Tell whose these slots are, and by which numbers nodes are known."""
        engine, cluster = self.engine, self.cluster
        self._number()
        for first, last, owner in cluster.owners_among(chosen):
            slots.set_owners(engine, first, last, self._numbers[owner] if owner is not None else NOBODY)
        for slot in cluster.open_slots():
            if chosen >> slot & 1:
                owner, target = cluster.owner(slot), cluster.migrating_to(slot)
                slots.set_slot(
                    engine,
                    slot,
                    self._numbers[owner] if owner is not None else NOBODY,
                    self._numbers[target] if target is not None else NOBODY,
                    cluster.importing_from(slot) is not None,
                )
        self._take_back()
        primary = cluster.primary_of(cluster.me)
        nodes: list[object] = [None] * (max(self._numbers.values()) + 1)
        for node, number in self._numbers.items():
            nodes[number] = node
        slots.set_nodes(engine, nodes, self._numbers[primary] if primary is not None else NOBODY)

    def _configured(self, _: Configuration) -> None:
        self.follow(0)

    def _number(self) -> None:
        """Give every node a number."""
        numbers = self._numbers
        numbers.setdefault(self.cluster.me, ME)
        for node in self.cluster.nodes():
            if node not in numbers:
                numbers[node] = self._free.pop() if self._free else len(numbers) + 1

    def _take_back(self) -> None:
        """Take back the numbers of nodes that are known no more."""
        present = set(self.cluster.nodes())
        for node in [each for each in self._numbers if each not in present]:
            self._free.append(self._numbers.pop(node))

    def _endpoint(self, node: ClusterNode) -> bytes:
        """Return host:port of a node, as redirections tell it."""
        shown = endpoint(node, self.configuration["cluster-preferred-endpoint-type"]) or ""
        return f"{shown}:{node.port}".encode()

    def _drop_channels(self) -> None:
        """End the subscriptions to shard channels that this shard has no longer."""
        primary = self.cluster.primary_of(self.cluster.me)
        ours = {ME, self._numbers[primary] if primary is not None else ME}
        for channel in list(self.engine.shard_channels):
            if slots.owner_of_slot(self.engine, slots.slot_of_key(channel)) not in ours:
                drop_shard_channel(self.engine, channel)


def endpoint(node: ClusterNode, kind: str) -> str | None:
    """Return how clients are told to reach a node (`cluster-preferred-endpoint-type`); None: as before."""
    if kind == "ip":
        return node.host
    return (node.hostname or "?") if kind == "hostname" else None


# ---- where keys are ----


def declare_key_rules(engine: Engine) -> None:
    """Tell the engine where the keys of every command stand."""
    specs = {name: spec for name in command_names(engine) if (spec := specification(engine, name))}
    for name, spec in specs.items():
        kind, rules = key_rules(spec)
        slots.set_key_rules(
            engine,
            name,
            kind,
            rules,
            channels=spec.name in CHANNELS,
            moves_keys=spec.name == "migrate",
        )

    def find(name: str, call: list[bytes]) -> list[int]:
        return [position for position, _ in keys_of(specs[name], call) or ()]

    engine.find_keys = find


def key_rules(spec: Spec) -> tuple[str, list[slots.Rule]]:
    """Return how the engine finds a command's keys: the kind, and its rules."""
    if spec.name == "exec":
        return "queued", []
    if spec.name in ASKED:
        return "asked", []
    rules: list[slots.Rule] = []
    for each in key_specs_of(spec):
        (begin, where), (find, how) = each["begin"], each["find"]
        if begin == "unknown" or find == "unknown":
            continue
        rules.append(
            (
                where["index"] if begin == "index" else 0,
                where["startfrom"] if begin == "keyword" else 0,
                how["lastkey"] if find == "range" else 0,
                how["keystep"],
                how["limit"] if find == "range" else 0,
                how["keynumidx"] if find == "keynum" else -1,
                how["firstkey"] if find == "keynum" else 0,
                where["keyword"].lower().encode() if begin == "keyword" else b"",
            )
        )
    return ("rules", rules) if rules else ("none", [])
