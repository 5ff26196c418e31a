"""When a node is thought down, and when a majority is: PFAIL and FAIL.

What it is: pure decisions over the view. What it is not: elections (`election`).

PFAIL is one node's own suspicion: no answer to a ping, and nothing else heard, for the
node timeout. Beyond Redis: an established link that went, and behind it a port where
nobody listens, is a suspicion at once; it is told at once to those who decide. That alone
never fails a node over: a majority of the primaries has to say the same.

FAIL needs reports of a majority of the primaries with slots, ourselves included, each not
older than twice the node timeout, and our own suspicion; it is told to everybody.
"""

from __future__ import annotations

from holdfast.cluster import flags, messages, outgoing, table
from holdfast.cluster.model import Node, View

REPORT_VALIDITY = 2
"""In node timeouts."""
UNDO_AFTER = 2
"""A primary that answers again, and still has its slots, is FAIL no longer after so many."""


def suspect(view: View, node: Node, now_ms: int) -> None:
    """Begin to think a node down, and tell those who decide."""
    if node.flags & (flags.PFAIL | flags.FAIL | flags.MYSELF):
        return
    node.flags |= flags.PFAIL
    table.count_suspects(view)
    view.must_judge = True
    view.log(f"Node {node.id} ({node.human_name}) possibly failing", "debug")
    if agree(view, node, now_ms):
        return
    for each in view.others():
        if each.link is None or each is node or each.in_handshake or not each.is_ours:
            continue
        if (each.is_primary and each.slots) or each.primary is node:
            outgoing.ping(view, each.link, messages.PING, now_ms)


def refused(view: View, node: Node, now_ms: int) -> None:
    """Note that a port refuses where an established link was."""
    if not view.settings.fast_down or node.refused_ms or node.in_handshake:
        return
    node.refused_ms = now_ms
    suspect(view, node, now_ms)


def reports(view: View, node: Node, now_ms: int) -> int:
    """Return how many primaries with slots say that a node is down; forget what is too old."""
    oldest_ms = now_ms - view.settings.node_timeout * REPORT_VALIDITY
    if node.failure_reports:
        node.failure_reports = {who: at for who, at in node.failure_reports.items() if at >= oldest_ms}
    return sum(each.is_primary and bool(each.slots) for each in node.failure_reports)


def agree(view: View, node: Node, now_ms: int) -> bool:
    """Flag a node FAIL if enough primaries think it down; return whether it is."""
    if not node.is_suspect or node.is_failed:
        return node.is_failed
    votes = reports(view, node, now_ms) + int(view.me.is_primary and bool(view.me.slots))
    if votes < view.majority or not view.size:
        return False
    view.log(f"Marking node {node.id} ({node.human_name}) as failing (quorum reached).")
    mark_failed(view, node, now_ms)
    outgoing.broadcast(view, outgoing.make(view, messages.FAIL, about=node.id))
    return True


def mark_failed(view: View, node: Node, now_ms: int) -> None:
    """Flag a node FAIL."""
    node.flags = (node.flags & ~flags.PFAIL) | flags.FAIL
    node.fail_ms = now_ms
    table.count_suspects(view)
    view.save()
    view.must_judge = view.must_elect = True


def answered(view: View, node: Node, now_ms: int) -> None:
    """Take a pong: it is reachable, and may be down no longer."""
    if node.ping_sent_ms:
        node.answered_ms = node.ping_sent_ms
    node.pong_received_ms, node.ping_sent_ms = now_ms, 0
    node.lost_ms = node.refused_ms = 0
    if node.is_suspect:
        node.flags &= ~flags.PFAIL
        table.count_suspects(view)
        view.save()
        view.must_judge = True
    elif node.is_failed and _may_undo(view, node, now_ms):
        view.log(f"Clear FAIL state for node {node.id} ({node.human_name}): it is reachable again.")
        node.flags &= ~flags.FAIL
        table.count_suspects(view)
        view.save()
        view.must_judge = True


def _may_undo(view: View, node: Node, now_ms: int) -> bool:
    if node.is_replica or not node.slots:
        return True
    return now_ms - node.fail_ms > view.settings.node_timeout * UNDO_AFTER
