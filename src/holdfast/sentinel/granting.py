"""Granting the lease: while we grant, we help nobody else to lead, and the other way round.

What it is: the Sentinel's side of `holdfast.replication.lease`. Every node of ours is told
who the voters are; the primary gets back the token that its last answer carried. What it
is not: the votes (`election`), the order to lead (`takeover`, which waits for `wait_until_ms`).

Rules:
- Having voted in an epoch, a Sentinel grants nothing to a primary of a lower one.
- What was granted ends, at the latest, the lease and a tenth after the token came: the primary
  read its clock before that. Each vote says how much of it is left, and a leader promotes
  nobody before all of it has passed, its own too; unless the old primary has reported that it
  is fenced, or acknowledgements prove who holds every write.
- TILT changes nothing: a token that was read late makes a grant that is already over.
- After a restart a Sentinel cannot know what it granted: it reckons with a grant of that moment.
- The list of voters is the primary's: a higher one is kept on disk before the next grant names it.
- A primary that was seen to restart is granted nothing until a leader has confirmed it.
- Fewer than three voters, or one Sentinel that is not ours, and there is no lease.

How to read it: `lease_ms` says whether there is one; `periodic` and `grant` send; `_answered`
takes the list; then what votes and leaders ask.
"""

from __future__ import annotations

from holdfast.sentinel import asking
from holdfast.sentinel.asking import UNWELL
from holdfast.sentinel.model import Failover, Instance, Primary, Sentinel, VoterList
from holdfast.sentinel.reply_reader import Reply, ReplyError

GRANTS_A_LEASE = 6
VOTERS_MIN = 3
CLOCKS_APART = 1.1
LOST, LEAVING = 0, 2
"""What a node says of itself; 1: nothing of that. UNWELL is added."""


def lease_ms(primary: Primary) -> int:
    """Return how long grants of ours last, 0 for no lease."""
    if has_stranger(primary) or (
        len(primary.voter_list.ids) < VOTERS_MIN and len(wish(primary)) < VOTERS_MIN
    ):
        return 0
    return primary.options.lease_ms


def has_stranger(primary: Primary) -> bool:
    """Tell whether a Sentinel is known that is not ours: it may lead, and wait for nobody."""
    # Asked at every look: a generator would cost the most of it.
    for each in primary.sentinels.values():  # noqa: SIM110
        if each.is_ours is False:
            return True
    return False


def applies(primary: Primary) -> bool:
    """Tell whether the primary's writes hang on a lease."""
    return bool(primary.node_id and primary.voter_list.ids) and lease_ms(primary) > 0


def wish(primary: Primary) -> frozenset[str]:
    """Return the list of voters as we want it."""
    met = {name for name, each in primary.sentinels.items() if each.is_ours}
    return (primary.voter_list.ids | met | {primary.my_id}) - primary.unwanted_voters


def counted(primary: Primary) -> frozenset[str]:
    """Return whose votes count: the numbered list, or everybody known where there is none."""
    if primary.voter_list.ids and not has_stranger(primary):
        return primary.voter_list.ids
    return frozenset((*primary.sentinels, primary.my_id))


def leading(primary: Primary) -> Instance:
    """Return the node that leads as far as we know."""
    if primary.promoted is not None and primary.failover in (
        Failover.RECONF_REPLICAS,
        Failover.UPDATE_CONFIG,
    ):
        return primary.promoted
    return primary


def say_what_holds(sentinel: Sentinel, primary: Primary) -> None:
    """Log once what we can promise for a primary, and again when that changes."""
    if primary.info_ms is None:
        return
    if not primary.node_id:
        text = "is a stock node: no fence, no lease; a planned failover pauses its writes"
    elif has_stranger(primary):
        text = "has a stock Sentinel in its quorum: no lease, for that one would not wait"
    elif not primary.options.lease_ms:
        text = "has no lease: primary-lease-ms is 0"
    elif not primary.voter_list.ids:
        text = "has no lease: fewer than three Sentinels have agreed on the list of voters"
    elif not applies(primary):
        text = f"has no lease: {len(primary.voter_list.ids)} voters, and three are needed"
    else:
        text = f"takes writes under a lease of {lease_ms(primary)} ms, {len(primary.voter_list.ids)} voters"
    if text != primary.said:
        primary.said = text
        sentinel.log(f"{primary.name} {text}")


def periodic(sentinel: Sentinel, node: Instance, now_ms: int) -> None:
    """Tell a node of ours about the lease when it is due."""
    primary = node.group
    if node is primary:
        say_what_holds(sentinel, primary)
    told_every_ms = period_ms(sentinel, node)
    if told_every_ms and now_ms - node.granted_ms >= told_every_ms:
        grant(sentinel, node, now_ms)


def period_ms(sentinel: Sentinel, node: Instance) -> int:
    """Return how often a node is told of the lease; 0: it is not to be told."""
    if not _is_to_be_told(node):
        return 0
    primary = node.group
    if node is leading(primary) and (duration_ms := lease_ms(primary)):
        return max(1, duration_ms // GRANTS_A_LEASE)
    return max(1, sentinel.times.ping_period)


def _is_to_be_told(node: Instance) -> bool:
    """Tell whether a node is one of ours, can be reached, and has said over this connection who it is."""
    has_told = node.info_ms is not None and node.info_ms >= node.link.connected_ms
    return bool(node.node_id) and node.link.is_up and has_told and not node.is_stranger


def ask_tokens(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    """Ask every node for a fresh token: whoever is promoted is granted as soon as we hear of it."""
    for each in (primary, *primary.replicas.values()):
        if _is_to_be_told(each):
            grant(sentinel, each, now_ms)


def may_grant(node: Instance) -> bool:
    """Tell whether this node may have a grant of ours now."""
    primary = node.group
    return (
        node is leading(primary)
        and bool(node.lease_token)
        and node.lease_epoch >= primary.leader_epoch
        and primary.failover in (Failover.NONE, Failover.RECONF_REPLICAS, Failover.UPDATE_CONFIG)
        and not is_unconfirmed(node)
        and lease_ms(primary) > 0
    )


def is_unconfirmed(node: Instance) -> bool:
    """Tell whether a primary has restarted and no leader has confirmed it since."""
    return node.restarted_in_epoch is not None and node.lease_epoch <= node.restarted_in_epoch


def grant(sentinel: Sentinel, node: Instance, now_ms: int) -> None:
    """Send a grant, or the mere list of voters to who may have none."""
    primary, duration_ms, link = node.group, lease_ms(node.group), node.link
    grants = may_grant(node)

    def answered(reply: Reply, at_ms: int) -> None:
        asking.grant_answered(sentinel, node, link, reply, now_ms, at_ms)
        if node.link is link:  # else the group has another primary meanwhile
            _answered(sentinel, node, grants, reply, at_ms)

    node.granted_ms = now_ms
    if link.grants_stand:
        asking.asked(link, now_ms)
    if grants:
        until_ms = node.token_ms + int(duration_ms * CLOCKS_APART) + 1
        primary.granted_until_ms = max(primary.granted_until_ms, until_ms)
    token = str(node.lease_token if grants else 0)
    if primary.lease_words_stirs != sentinel.stirs:
        primary.lease_words, primary.lease_words_stirs = _list_words(primary), sentinel.stirs
    run = (sentinel.my_id, str(duration_ms), str(node.lease_epoch), node.lease_run_id or "-", token)
    words = sentinel.renamed(node, ("HOLDFAST", "LEASE", *run, *primary.lease_words))
    sentinel.send_over(link, words, answered)


def _list_words(primary: Primary) -> tuple[str, ...]:
    """Return what a grant says of voters and nodes: the same until something stirs."""
    voters, wanted = primary.voter_list, wish(primary)
    words = [str(voters.epoch), str(voters.step)]
    words += ["VOTERS", *sorted(voters.ids)] if voters.ids else []
    words += ["WISH", *sorted(wanted)] if wanted != voters.ids else []
    words += ["NODES", *sorted({each.node_id or "?" for each in (primary, *primary.replicas.values())})]
    return tuple(words)


def _answered(sentinel: Sentinel, node: Instance, granted: bool, reply: Reply, now_ms: int) -> None:
    match reply:
        case [int(token), str(run_id), int(epoch), int(held), int(list_epoch), int(step), *ids]:
            if run_id != node.lease_run_id or epoch != node.lease_epoch:
                sentinel.stir()
                if node.lease_run_id and run_id != node.lease_run_id and epoch <= node.lease_epoch:
                    note_restart(node)  # a higher epoch comes from a leader's order, so after the restart
                node.lease_run_id, node.lease_epoch = run_id, epoch
            node.lease_token, node.token_ms = token, now_ms
            node.lease_lost, node.is_leaving = held & ~UNWELL == LOST, held & ~UNWELL == LEAVING
            if (list_epoch, step) > node.group.voter_list.number:
                _take_list(sentinel, node, VoterList(list_epoch, step, frozenset(map(str, ids))))
            if not granted and may_grant(node):
                grant(sentinel, node, now_ms)
        case ReplyError():
            node.lease_token = 0


def note_restart(node: Instance) -> None:
    """Note that a node runs anew: if it led under a lease, a leader must confirm it."""
    if node is leading(node.group) and applies(node.group):
        node.restarted_in_epoch = node.lease_epoch


def _take_list(sentinel: Sentinel, node: Instance, told: VoterList) -> None:
    """Keep a higher list of the primary that we know to lead."""
    primary = node.group
    sentinel.stir()
    if not told.ids:
        return
    if node is leading(primary) and node.lease_epoch >= primary.leader_epoch:
        primary.voter_list = told
        primary.unwanted_voters &= told.ids
        sentinel.persist()


def after_start(primary: Primary, now_ms: int) -> None:
    """Reckon with a grant that was sent just before the restart."""
    if primary.voter_list.ids:
        primary.granted_until_ms = now_ms + int(primary.options.lease_ms * CLOCKS_APART) + 1


def end(sentinel: Sentinel, primary: Primary) -> None:
    """Tell a node that is watched no more that no lease of ours binds it."""
    if primary.node_id and primary.link.is_up:
        voters = primary.voter_list
        words = [sentinel.my_id, "0", "0", "-", "0", str(voters.epoch), str(voters.step)]
        words += ["VOTERS", *sorted(voters.ids)] if voters.ids else []
        sentinel.send(primary, "HOLDFAST", "LEASE", *words)


# ---- what votes and leaders ask ----


def left_ms(primary: Primary, now_ms: int) -> int:
    """Return how long what we granted may still last."""
    return max(0, primary.granted_until_ms - now_ms)


def wait_until_ms(primary: Primary) -> int:
    """Return when a leader may promote: what it and its voters granted has ended by then."""
    voters = [each for each in primary.sentinels.values() if each.vote_epoch == primary.failover_epoch]
    return max([primary.granted_until_ms, *(each.vote_wait_until_ms for each in voters)])
