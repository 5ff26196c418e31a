"""A replica's own candidacy, by itself or by hand (CLUSTER FAILOVER).

What it is: when to ask for votes, when the votes suffice, and what follows. What it is
not: giving votes (`voting`).

Redis lets every election wait half a second and a bit of luck, so that FAIL gets around
and the best replica comes first. Here the candidate carries FAIL itself, on the same
connections before its request, so no voter can know less than it; and a replica waits only
for what it does not know: it has heard from every other working replica of the shard since
the primary failed, and ranks first (ties go to the smaller id), so it asks at once. Where
it ranks lower, or where a sibling does not answer, it waits a little.

One guard: where the primary's port refuses, but this replica's own stream from it is up,
the primary is perhaps alive; then the node timeout is waited for.

How to read it: `consider` is called whenever something may have changed, as often as one
likes; below it the steps.
"""

from __future__ import annotations

from holdfast.cluster import flags, messages, outgoing, table
from holdfast.cluster.effects import LookAgain, TakeOver
from holdfast.cluster.model import Election, Node, View

SIBLING_WAIT_MS = 150
"""How long a sibling that is thought to work may keep us waiting for its offset."""
RANK_MS = 300
"""What a rank costs among nodes of ours."""
STOCK_DELAY_MS = 500
STOCK_RANK_MS = 1000
"""What Redis waits at least, and for a rank; kept where a stock sibling is better than we are."""
FENCED_WAIT_MS = 1000
"""How long a leader that fenced us may take, before we ask to lead ourselves."""
RETRY_MS = 500
"""After the shard could not be taken over."""
ASK_AGAIN_MS = 100
ASK_AGAIN_TIMES = 4
RELOG_MS = 10_000
ATTEMPT_MS = 2000
"""For how long votes are waited for; twice that after it began a new attempt may begin. Redis takes
twice the node timeout where that is longer."""


def consider(view: View, now_ms: int) -> None:
    """Go on with our candidacy as far as it goes now."""
    view.must_elect = False
    me, primary, election = view.me, view.me.primary, view.election
    forced = (bool(view.manual.end_ms) and view.manual.can_start) or _needs_leader(view, now_ms)
    no_failover = view.settings.replica_no_failover and not forced
    if (
        not me.is_replica
        or primary is None
        or not primary.slots
        or no_failover
        or not (primary.is_failed or forced)
    ):
        election.told = ""
        return
    if view.has_foreign_copy:
        _tell(view, "my data is not of this shard yet", now_ms)
        return
    if not forced and _is_too_old(view, now_ms):
        _tell(view, "my data is too old", now_ms)
        return
    if now_ms - election.at_ms > ATTEMPT_MS * 2:
        _schedule(view, primary, now_ms)
        election = view.election
    if not election.is_sent:
        election.at_ms = now_ms if forced else _due_ms(view, primary, now_ms)
        if now_ms < election.at_ms:
            view.do(LookAgain(election.at_ms - now_ms))
            _tell(view, "waiting the delay before I can start a new failover", now_ms)
            return
        _ask(view, primary, now_ms)
    if now_ms - election.at_ms > ATTEMPT_MS:
        _tell(view, "failover attempt expired", now_ms)
        return
    if _count(view) >= view.majority:
        _win(view, now_ms)
    else:
        _ask_again(view, primary, now_ms)
        _tell(view, "waiting for votes, but majority still not reached", now_ms)


def _needs_leader(view: View, now_ms: int) -> bool:
    """Whether the shard has no leader though its primary seems to work.

    It came back without its history, or a fence was taken and its leader is gone: only a
    higher epoch helps.
    """
    if not view.is_fenced or not view.me.is_replica:
        view.fenced_since_ms = None
    elif view.fenced_since_ms is None:
        view.fenced_since_ms = now_ms
    if view.primary_is_empty:
        return True
    since_ms = view.fenced_since_ms
    return since_ms is not None and now_ms - since_ms > FENCED_WAIT_MS + rank(view) * RANK_MS


def outcome_ms(view: View) -> int:
    """Return for how long after its last vote an election may still end with a claim: a stock node's, too.

    Votes count for that time, halved; the rest is for the fencing of the shard.
    """
    return 2 * max(view.settings.node_timeout * 2, ATTEMPT_MS)


def voted(view: View, voter: Node, epoch: int) -> None:
    """Take a vote."""
    if view.election.is_sent and voter.is_primary and voter.slots and epoch >= view.election.epoch:
        view.election.voters.add(voter.id)
        view.must_elect = True


def rank(view: View) -> int:
    """Return how many other replicas of the shard go before us."""
    me, primary = view.me, view.me.primary
    if primary is None:
        return 0
    return sum(_goes_before(view, each) for each in primary.replicas if each is not me)


def _goes_before(view: View, sibling: Node) -> bool:
    if sibling.flags & (flags.NO_FAILOVER | flags.FAIL | flags.PFAIL):
        return False
    if sibling.offset != view.my_offset:
        return sibling.offset > view.my_offset
    return sibling.is_ours and sibling.id < view.me.id


# ---- steps ----


def _is_too_old(view: View, now_ms: int) -> bool:
    factor = view.settings.replica_validity_factor
    if not factor:
        return False
    if view.primary_heard_ms is None:
        return True
    age_ms = now_ms - view.primary_heard_ms - view.settings.node_timeout
    return age_ms > view.settings.repl_ping_period + view.settings.node_timeout * factor


def _schedule(view: View, primary: Node, now_ms: int) -> None:
    """Begin an attempt; tell the others of the shard how far we are."""
    view.election = Election(since_ms=now_ms, jitter_ms=view.luck.randrange(STOCK_DELAY_MS))
    outgoing.pong_shard(view, now_ms)
    view.log(f"Start of election (rank #{rank(view)}, offset {view.my_offset}).")


def _due_ms(view: View, primary: Node, now_ms: int) -> int:
    """Return when we may ask for votes, as far as is known now."""
    election = view.election
    behind = rank(view)
    siblings = [
        each
        for each in primary.replicas
        if each is not view.me and not each.flags & (flags.NO_FAILOVER | flags.FAIL | flags.PFAIL)
    ]
    if behind and any(not each.is_ours and _goes_before(view, each) for each in siblings):
        return election.since_ms + STOCK_DELAY_MS + election.jitter_ms + behind * STOCK_RANK_MS
    due_ms = election.since_ms + behind * RANK_MS
    if any(each.offset_ms < primary.fail_ms for each in siblings if each.is_ours):
        due_ms += SIBLING_WAIT_MS
    if primary.refused_ms and view.primary_link_up:
        due_ms = max(due_ms, primary.fail_ms + view.settings.node_timeout)
    return due_ms


def _ask(view: View, primary: Node, now_ms: int) -> None:
    election = view.election
    view.epoch += 1
    election.epoch, election.is_sent = view.epoch, True
    view.voted_epoch = view.epoch  # our own: if we win, we have no vote to give in this epoch
    election.at_ms = election.asked_ms = now_ms
    view.save()  # that we asked may be forgotten: it is the votes that are given once
    view.log(f"Starting a failover election for epoch {view.epoch}.")
    if primary.is_failed:
        outgoing.broadcast(view, outgoing.make(view, messages.FAIL, about=primary.id))
    outgoing.broadcast(view, _request(view))
    view.do(LookAgain(ASK_AGAIN_MS))


def _request(view: View) -> messages.Message:
    primary = view.me.primary
    force = 0 if primary is not None and primary.is_failed and not view.manual.end_ms else messages.FORCE_ACK
    request = outgoing.make(view, messages.AUTH_REQUEST, force)
    return request._replace(slots=request.slots & ~view.not_claiming)


def _ask_again(view: View, primary: Node, now_ms: int) -> None:
    """Ask those whose vote is missing: a request may have met a voter that did not know us yet."""
    election = view.election
    if election.asked_times >= ASK_AGAIN_TIMES or view.epoch != election.epoch:
        return
    wait_ms = (ASK_AGAIN_MS << election.asked_times) - (now_ms - election.asked_ms)
    if wait_ms > 0:
        return
    election.asked_ms, election.asked_times = now_ms, election.asked_times + 1
    request = _request(view)
    for each in view.others():
        if each.is_primary and each.slots and each is not primary and each.id not in election.voters:
            outgoing.send(view, each.link, request)
    view.do(LookAgain(ASK_AGAIN_MS << election.asked_times))


def _count(view: View) -> int:
    return sum(
        (node := view.node(each)) is not None and node.is_primary and bool(node.slots)
        for each in view.election.voters
    )


def _win(view: View, now_ms: int) -> None:
    me, election = view.me, view.election
    if view.is_bound and not view.manual.is_forced:
        if not election.is_won:
            election.is_won = True
            view.log(f"Failover election won, fencing the shard in epoch {election.epoch}.")
            view.do(TakeOver(election.epoch))
        return
    view.log("Failover election won: I'm the new master.")
    me.config_epoch = max(me.config_epoch, election.epoch)
    lead(view, now_ms)


def took_over(view: View, epoch: int, leads: bool, now_ms: int) -> None:
    """The shard was fenced, and this node was promoted in this epoch; or it was not."""
    me, election = view.me, view.election
    if not election.is_won or election.epoch != epoch or me.is_primary or me.primary is None:
        return
    if leads:
        view.log("Failover election won: I'm the new master.")
        me.config_epoch = max(me.config_epoch, epoch)
        lead(view, now_ms)
    else:
        view.election = Election(at_ms=now_ms - ATTEMPT_MS * 2 + RETRY_MS, is_sent=True)


def lead(view: View, now_ms: int) -> None:
    """Take the slots of our primary, and tell everybody."""
    table.take_over(view)
    table.end_manual_failover(view)
    view.election = Election()
    outgoing.pong_all(view, now_ms)


def _tell(view: View, reason: str, now_ms: int) -> None:
    """Log why nothing happens: once, and again from time to time."""
    election = view.election
    if election.told == reason and now_ms - election.told_ms < RELOG_MS:
        return
    primary = view.me.primary
    if primary is not None and now_ms - primary.fail_ms < view.settings.node_timeout + 5000:
        return
    election.told, election.told_ms = reason, now_ms
    view.log(f"Currently unable to failover: {reason}.", "warning")
