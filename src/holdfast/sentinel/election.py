"""Who leads a failover: one vote an epoch, on disk before it is given.

As in Raft: a candidate takes a new epoch and asks; a Sentinel gives its vote in an
epoch once; whoever has the majority of all known Sentinels, and at least the quorum,
leads in that epoch. Votes travel in the replies to IS-MASTER-DOWN-BY-ADDR. Where a numbered
list of voters stands, only those in it count, and none whose list is higher than ours.

How to read it: `vote` changes the state and persists it; `winner` counts, and is pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from holdfast.sentinel import granting
from holdfast.sentinel.model import Primary, Sentinel

MAX_DESYNC_MS = 1000


def take_epoch(sentinel: Sentinel, primary: Primary, epoch: int) -> None:
    """Follow a higher epoch."""
    if epoch > sentinel.epoch:
        sentinel.epoch = epoch
        sentinel.persist()
        sentinel.tell_text("+new-epoch", str(epoch), instance=primary)


def vote(sentinel: Sentinel, primary: Primary, epoch: int, candidate: str, now_ms: int) -> tuple[str, int]:
    """Give the vote of an epoch if it was not given; return whom we voted for, and in which epoch."""
    take_epoch(sentinel, primary, epoch)
    if primary.leader_epoch < epoch and sentinel.epoch <= epoch:
        primary.leader, primary.leader_epoch = candidate, epoch
        sentinel.persist()
        granting.ask_tokens(primary)
        sentinel.tell_text("+vote-for-leader", f"{candidate} {epoch}", instance=primary)
        if candidate != sentinel.my_id:
            primary.failover_start_ms = now_ms + sentinel.luck.randrange(MAX_DESYNC_MS)
    return primary.leader, primary.leader_epoch


def leader_of(sentinel: Sentinel, primary: Primary, epoch: int, now_ms: int) -> str:
    """Count the votes of an epoch, giving ours if it is still to be given; return the leader's id or ""."""
    counted = granting.counted(primary)
    votes = [
        each.vote
        for name, each in primary.sentinels.items()
        if each.vote
        and each.vote_epoch == epoch
        and name in counted
        and each.vote_list <= primary.voter_list.number
    ]
    favourite = max(sorted(set(votes)), key=votes.count, default=sentinel.my_id)
    mine, mine_epoch = vote(sentinel, primary, epoch, favourite, now_ms)
    if mine and mine_epoch == epoch and sentinel.my_id in counted:
        votes.append(mine)
    return winner(votes, len(counted), primary.options.quorum)


def winner(votes: Iterable[str], voters: int, quorum: int) -> str:
    """Return who has the majority of the voters and at least the quorum, "" for nobody."""
    counted = Counter(votes).most_common(1)
    if not counted:
        return ""
    name, count = counted[0]
    return name if count >= voters // 2 + 1 and count >= quorum else ""
