"""Which shards cannot keep the promise of `min-replicas-to-ack`, as a stock node is in them.

What it is: one question over the view. A stock primary takes no fence and waits for no
acknowledgement; a stock replica may be elected without fencing anybody, unless it was told
not to (`cluster-replica-no-failover`).
"""

from __future__ import annotations

from holdfast.cluster import flags
from holdfast.cluster.model import Node, View


def gaps(view: View) -> dict[str, str]:
    """Return primary's id to what is wrong with its shard; shards that keep the promise are not in it."""
    found: dict[str, str] = {}
    for primary in view.nodes.values():
        if primary.is_primary and primary.slots:
            stock = [each.id for each in primary.replicas if not _keeps(view, each)]
            if not _is_ours(view, primary):
                found[primary.id] = "stock-primary"
            elif stock:
                found[primary.id] = "stock-replica:" + ":".join(stock)
    return found


def _is_ours(view: View, node: Node) -> bool:
    return node is view.me or node.is_ours


def _keeps(view: View, replica: Node) -> bool:
    return _is_ours(view, replica) or bool(replica.flags & flags.NO_FAILOVER)
