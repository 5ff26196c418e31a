"""Replica migration: a spare replica moves to a primary that has lost all of its own.

What it is: the decision of one replica. It moves if its own primary keeps enough, if a
primary with slots that had replicas has had none that works for a while, and if it has the
smallest id among the replicas of the primaries with the most of them.
"""

from __future__ import annotations

from holdfast.cluster import flags, table
from holdfast.cluster.model import Node, View

DELAY_MS = 5000


def consider(view: View, now_ms: int) -> None:
    """Move, if it is our turn."""
    me = view.me
    if not me.is_replica or me.primary is None:
        return
    working: dict[Node, int] = {}
    for each in view.nodes.values():
        if each.is_primary and not each.in_handshake:
            working[each] = each.working_replicas()
    orphans = [each for each, count in working.items() if _is_orphan(each, count)]
    for each in working:
        each.orphaned_ms = (each.orphaned_ms or now_ms) if each in orphans else 0
    most = max((count for each, count in working.items() if not each.is_failed), default=0)
    if not orphans or most < 2 or working.get(me.primary) != most:
        return
    if not view.settings.allow_replica_migration or not view.is_ok:
        return
    healthy = [each for each in me.primary.replicas if not each.flags & (flags.FAIL | flags.PFAIL)]
    if len(healthy) <= view.settings.migration_barrier:
        return
    candidates = [replica for each, count in working.items() if count == most for replica in each.replicas]
    if min(each.id for each in candidates) != me.id:
        return
    target = orphans[0]
    if now_ms - target.orphaned_ms > DELAY_MS:
        view.log(f"Migrating to orphaned master {target.id}")
        table.follow(view, target)


def _is_orphan(node: Node, working_replicas: int) -> bool:
    had_replicas = bool(node.flags & flags.MIGRATE_TO)
    return not node.is_failed and bool(node.slots) and had_replicas and not working_replicas
