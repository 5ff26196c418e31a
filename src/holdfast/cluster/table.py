"""Changes to the node table that take more than one field: come, go, turn, follow.

What it is: the steps that several decisions share. What it is not: when they happen.
"""

from __future__ import annotations

from holdfast.cluster import flags
from holdfast.cluster.effects import Disconnect, ResumeWrites
from holdfast.cluster.model import Link, ManualFailover, Node, View

FORGET_MS = 60_000
"""For how long gossip may not bring a forgotten node back."""


def random_id(view: View) -> str:
    """Return 40 hexadecimal digits drawn by luck."""
    return f"{view.luck.getrandbits(160):040x}"


def new_node(view: View, node_id: str, node_flags: int, now_ms: int) -> Node:
    """Add a row."""
    node = Node(node_id, node_flags, now_ms, shard_id=random_id(view))
    view.add(node)
    return node


def close(view: View, link: Link | None) -> None:
    """Close a link, and unhook it from its node."""
    if link is None:
        return
    node = link.node
    if node is not None and node.link is link:
        node.link = None
    if node is not None and node.inbound is link:
        node.inbound = None
    link.is_up = False
    view.do(Disconnect(link))


def remove(view: View, node: Node) -> None:
    """Drop a row with all that refers to it."""
    assert node is not view.me
    for table in (view.migrating, view.importing):
        for slot in [slot for slot, peer in table.items() if peer is node]:
            view.open_slot(table, slot, None)
    view.imported = {slot: peer for slot, peer in view.imported.items() if peer is not node}
    view.give_slots(node.slots, None)
    for each in view.nodes.values():
        each.failure_reports.pop(node, None)
    for replica in list(node.replicas):
        replica.primary = None
    node.replicas.clear()
    view.detach(node)
    close(view, node.link)
    close(view, node.inbound)
    if view.nodes.get(node.id) is node:
        del view.nodes[node.id]
    if view.manual.replica is node:
        end_manual_failover(view)
    count_suspects(view)
    view.must_judge = True


def count_suspects(view: View) -> None:
    """Count the nodes that gossip must tell of."""
    view.suspects = sum(each.is_suspect for each in view.nodes.values())
    view.failed = sum(each.is_failed and each.is_primary for each in view.nodes.values())


def turn_primary(view: View, node: Node) -> None:
    """Make a node a primary in our table."""
    if node.is_primary:
        return
    had_primary = node.primary is not None
    view.detach(node)
    node.flags = (node.flags & ~flags.REPLICA) | flags.PRIMARY
    if had_primary and node is not view.me:
        node.flags |= flags.MIGRATE_TO
    view.save()
    view.must_judge = True


def turn_replica(view: View, node: Node) -> None:
    """Make another node a replica in our table; whose, is said elsewhere."""
    if node.is_primary:
        view.give_slots(node.slots, None)
        node.flags = (node.flags & ~(flags.PRIMARY | flags.MIGRATE_TO)) | flags.REPLICA
        view.save()
        view.must_judge = True


def follow(view: View, primary: Node) -> None:
    """Become a replica of this node."""
    me = view.me
    assert primary is not me
    assert not me.slots
    if me.is_primary:
        me.flags = (me.flags & ~(flags.PRIMARY | flags.MIGRATE_TO)) | flags.REPLICA
        close_slots(view)
    view.attach(me, primary)
    view.has_foreign_copy = view.has_foreign_copy or me.shard_id != primary.shard_id
    me.shard_id = primary.shard_id
    end_manual_failover(view)
    view.save()
    view.must_judge = True


def close_slots(view: View) -> None:
    """Forget all slots that are being moved."""
    view.imported.clear()
    for table in (view.migrating, view.importing):
        for slot in list(table):
            view.open_slot(table, slot, None)


def end_manual_failover(view: View) -> None:
    """End a manual failover, done or not; writers go on."""
    if view.manual.replica is not None:
        view.do(ResumeWrites())
    view.manual = ManualFailover()


def bump_epoch(view: View, *, always: bool = False) -> bool:
    """Take the next epoch for ourselves without a vote; unless ours is the highest, if not `always`.

    One that was reserved goes first, if nobody is known to have a higher one by now.
    Never as a primary that is fenced: it would go above its heir.
    """
    me = view.me
    if view.is_fenced and me.is_primary:
        return False
    if me.config_epoch and me.config_epoch == view.highest_epoch() and not always:
        return False
    reserved, view.reserved_epoch = view.reserved_epoch, 0
    if reserved <= view.highest_config_epoch():
        reserved = view.epoch = view.highest_epoch() + 1
    me.config_epoch = reserved
    view.save(synced=True)
    view.log(f"New configEpoch set to {me.config_epoch}")
    return True


def forget(view: View, node_id: str, for_ms: int, now_ms: int) -> None:
    """Keep gossip from bringing a node back."""
    view.forgotten = {each: until for each, until in view.forgotten.items() if until > now_ms}
    view.forgotten[node_id] = now_ms + for_ms


def is_forgotten(view: View, node_id: str, now_ms: int) -> bool:
    """Whether gossip may not bring this node back."""
    return view.forgotten.get(node_id, now_ms) > now_ms


def take_over(view: View) -> None:
    """Claim all slots of our primary, as a primary.

    Those that it claimed no more it has given away, though we have not heard to whom.
    """
    me, old = view.me, view.me.primary
    assert old is not None
    turn_primary(view, me)
    view.give_slots(old.slots & ~view.not_claiming, me)
    view.voted_epoch = max(view.voted_epoch, view.epoch)  # in these our former primary may have voted
    me.flags |= flags.MIGRATE_TO
    view.save(synced=True)
    view.must_judge = True
