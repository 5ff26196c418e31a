"""Steps and conditions about a cluster of hash slots.

What this is: the part of the vocabulary for nodes with `cluster-enabled yes`. What it is
not: faults; those are the same for all nodes. CLUSTER itself is spoken by `ask`.

How to read it: the steps, then the conditions, each a sentence about what nodes think.
"""

from __future__ import annotations

from holdfast.cluster import slots
from holdfast.node.cluster import ClusterSide
from holdfast.node.server import ServerNode
from holdfast.sim.cluster_agreement import difference_of
from holdfast.sim.nodes import PORT
from holdfast.sim.scenario.conditions import CONDITIONS
from holdfast.sim.scenario.form import ScenarioError
from holdfast.sim.scenario.stage import Stage, Unmet

FORM_SECONDS = 30.0


def form_cluster(
    stage: Stage, primaries: str, replicas: str | None, settings: dict[str, str], epoch: int | None = None
) -> str:
    """Start nodes, give the slots to the primaries, let all meet, and wait until they agree.

    The first replica follows the first primary, and so on, around.
    """
    leading, following = primaries.split(", "), replicas.split(", ") if replicas else []
    for name in (*leading, *following):
        stage.start_node(name, None, {"cluster-enabled": "yes", "cluster-node-timeout": "1000", **settings})
    began = stage.world.now
    stage.await_true(lambda: all(stage.nodes.serving(each) for each in (*leading, *following)), FORM_SECONDS)
    share = -(-slots.SLOTS // len(leading))
    for number, name in enumerate(leading):
        last = min((number + 1) * share, slots.SLOTS) - 1
        _must(stage, name, "ADDSLOTSRANGE", number * share, last)
        _must(stage, name, "SET-CONFIG-EPOCH", epoch or number + 1)
    for name in (*leading[1:], *following):
        _must(stage, leading[0], "MEET", stage.world.hosts[name].address, PORT)
    if not stage.await_true(lambda: _all_met(stage), FORM_SECONDS):
        raise Unmet("the nodes do not all know each other")
    for number, name in enumerate(following):
        _must(stage, name, "REPLICATE", _side(stage, leading[number % len(leading)]).view.me.id)
    if not stage.await_true(lambda: agrees(stage), FORM_SECONDS):
        raise Unmet("the cluster does not come to agree")
    return f"after {stage.world.now - began:.2f} s"


def _must(stage: Stage, name: str, *words: object) -> None:
    answer = stage.ask(name, "CLUSTER", *words)
    if answer not in ("OK", b"OK"):
        raise Unmet(f"{name} answers CLUSTER {words[0]}: {answer}")


def _side(stage: Stage, name: str) -> ClusterSide:
    node = stage.nodes.latest.get(name)
    if node is None or node.cluster is None:
        raise ScenarioError(f"{name!r} is no node of a cluster")
    return node.cluster


def _sides(stage: Stage) -> dict[str, ClusterSide]:
    serving: dict[str, ServerNode] = stage.nodes.all_serving()
    return {name: node.cluster for name, node in serving.items() if node.cluster is not None}


def _all_met(stage: Stage) -> bool:
    sides = _sides(stage)
    return all(
        len(side.view.nodes) == len(stage.nodes.settings)
        and not any(each.in_handshake for each in side.view.nodes.values())
        for side in sides.values()
    )


@CONDITIONS.form("the cluster agrees")
def agrees(stage: Stage) -> bool:
    """All nodes run and serve, have the same picture, and every replica holds what its primary has."""
    return not difference_of(stage.nodes)


@CONDITIONS.form("{name:NODE} serves slot {slot:COUNT}")
def serves_slot(stage: Stage, name: str, slot: str) -> bool:
    """It says that it owns the slot, and takes requests."""
    side = _sides(stage).get(name)
    return side is not None and side.is_ok and side.owner(int(slot)) is side.me


@CONDITIONS.form("only {name:NODE} serves slot {slot:COUNT}")
def alone_serves_slot(stage: Stage, name: str, slot: str) -> bool:
    """It does, and nobody else does."""
    return [each for each in _sides(stage) if serves_slot(stage, each, slot)] == [name]


@CONDITIONS.form("{name:NODE} serves")
def serves(stage: Stage, name: str) -> bool:
    """The cluster is ok in its eyes."""
    side = _sides(stage).get(name)
    return side is not None and side.is_ok


@CONDITIONS.form("{name:NODE} does not serve")
def does_not_serve(stage: Stage, name: str) -> bool:
    """The cluster is not ok in its eyes, or it is away."""
    return not serves(stage, name)


@CONDITIONS.form("{name:NODE} thinks {other:NODE} has failed")
def thinks_failed(stage: Stage, name: str, other: str) -> bool:
    """It has the flag FAIL for the other."""
    side = _sides(stage).get(name)
    node = side.node(_side(stage, other).me.id) if side is not None else None
    return node is not None and node.is_failed
