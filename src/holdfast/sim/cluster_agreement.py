"""Whether the nodes of a simulated cluster agree.

What this is: one question over all nodes, for scenarios and judges. What it is not: a node's own view.
"""

from __future__ import annotations

from holdfast.cluster import flags
from holdfast.cluster.model import Node
from holdfast.node.cluster import ClusterSide
from holdfast.sim.nodes import Nodes

STANDING = flags.PRIMARY | flags.REPLICA | flags.PFAIL | flags.FAIL


def difference_of(nodes: Nodes) -> str:
    """Return what keeps the nodes from agreeing, empty where nothing does."""
    sides = {name: node.cluster for name, node in nodes.all_serving().items() if node.cluster is not None}
    if away := [name for name in nodes.settings if name not in sides]:
        return f"{', '.join(away)} not serving"
    if down := [name for name, side in sides.items() if not side.is_ok]:
        return f"the cluster is down for {', '.join(down)}"
    if len({_picture(side) for side in sides.values()}) != 1:
        return "the nodes have different pictures"
    if waiting := [name for name, side in sides.items() if side.me.is_primary and side.is_fenced]:
        return f"{', '.join(waiting)} waits for a leader"
    if giving := [name for name, side in sides.items() if side.gifts]:
        return f"{', '.join(giving)} gives slots away"  # it goes on where the tool that asked for it is gone
    by_id = {side.me.id: name for name, side in sides.items()}
    for name, side in sides.items():
        if side.me.primary is not None:
            mine, above = nodes.latest[name], nodes.latest[by_id[side.me.primary.id]]
            if not mine.replication.upstream.is_up:
                return f"{name} has no link: {mine.replication.upstream.refusal}"
            if mine.replication.stream.offset != above.replication.end_offset:
                return f"{name} has not all that its primary has"
    return ""


def _picture(side: ClusterSide) -> tuple[object, ...]:
    return tuple(sorted(_row(each) for each in side.nodes()))


def _row(node: Node) -> tuple[str, int, int, str, int]:
    above = node.primary.id if node.primary is not None else ""
    return (node.id, node.flags & STANDING, node.slots, above, node.group.config_epoch)
