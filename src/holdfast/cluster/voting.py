"""Whether this primary gives its vote: one an epoch, on disk before it leaves.

What it is: the decision about one request. What it is not: asking for votes (`election`).
"""

from __future__ import annotations

from holdfast.cluster import messages, outgoing
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Node, View

AGAIN_MOST_MS = 2000
"""How long at most one vote for a replica of a primary keeps the next one back. Redis waits twice the
node timeout, however long that is; it is no rule of safety, only against haste."""


def refusal(view: View, candidate: Node, request: Message, now_ms: int) -> str | None:
    """Return why the vote is refused; None: it may be given."""
    primary = candidate.primary
    if request.epoch < view.epoch:
        return f"reqEpoch ({request.epoch}) < curEpoch({view.epoch})"
    if view.voted_epoch >= view.epoch:
        return f"already voted for epoch {view.voted_epoch}"
    if candidate.is_primary:
        return "it is a master node"
    if primary is None:
        return "I don't know its master"
    if not primary.is_failed and not request.message_flags & messages.FORCE_ACK:
        return "its master is up"
    wait_ms = primary.voted_ms + min(view.settings.node_timeout * 2, AGAIN_MOST_MS) - now_ms
    if wait_ms > 0:
        return f"can't vote about this master before {wait_ms} milliseconds"
    for each in view.nodes.values():
        contested = each.slots & request.slots & ~view.not_claiming
        if contested and each.config_epoch > request.config_epoch:
            slot = (contested & -contested).bit_length() - 1
            return f"slot {slot} epoch ({each.config_epoch}) > reqEpoch ({request.config_epoch})"
    return None


def asked(view: View, candidate: Node, request: Message, now_ms: int) -> None:
    """Vote, if this node has a vote and nothing speaks against it."""
    if view.me.is_replica or not view.me.slots:
        return
    why_not = refusal(view, candidate, request, now_ms)
    if why_not is not None:
        if view.voted_epoch != request.epoch:
            view.log(f"Failover auth denied to {candidate.id} ({candidate.human_name}): {why_not}", "warning")
        return
    assert candidate.primary is not None
    view.voted_epoch = view.epoch
    candidate.primary.voted_ms = now_ms
    view.save(synced=True)
    outgoing.send(view, candidate.link, outgoing.make(view, messages.AUTH_ACK))
    view.log(f"Failover auth granted to {candidate.id} ({candidate.human_name}) for epoch {view.epoch}")
