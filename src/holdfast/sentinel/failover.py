"""The failover: from the agreement that a primary is down to the new configuration.

The states are Redis's; each step is taken as soon as what it waits for is there:

    WAIT_START        votes are collected, each in its epoch
    SELECT_REPLICA    a replica is chosen from INFO that is younger than the death
    SEND_PROMOTION    REPLICAOF NO ONE is sent (or the primary is asked to hand over)
    WAIT_PROMOTION    until INFO says that it leads (`observation.promoted`)
    RECONF_REPLICAS   the others are turned to it, parallel-syncs at a time
    UPDATE_CONFIG     it becomes the primary of this configuration: +switch-master

When it goes wrong before WAIT_PROMOTION has ended, the attempt is given up and another
begins in a higher epoch: soon, and less soon each time. Whoever voted for another waits
as Redis does while that one lives; if it dies as well, the next attempt begins at once.

How to read it: `objectively_down`, `start_if_needed`, then `step`, then one function a state.
"""

from __future__ import annotations

from holdfast.sentinel import (
    asking,
    down,
    election,
    fetching,
    hand_over,
    observation,
    orders,
    selection,
    takeover,
)
from holdfast.sentinel.effects import LogOnly
from holdfast.sentinel.model import Failover, Instance, Primary, Reconf, Role, Sentinel
from holdfast.sentinel.reply_reader import Reply, ReplyError
from holdfast.sentinel.settings import CANDIDATE_DELAY_MS, ELECTION_ROUND_MS, PLANNED_WAIT_MS

FRESH_INFO_WAIT_MS = 150
ORPHAN_WAIT_MS = 100
"""How long a primary that waits for an order is left to the leader that may have fenced it.

Where it leads on, and only a replica was fenced, a leader of whom we have not heard has the time of a hello.
"""
ROUND_DOUBLINGS_MAX = 5


def objectively_down(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    """Note whether a quorum agrees."""
    count, quorum = down.agreeing(primary), primary.options.quorum
    if count >= quorum and count and not primary.is_odown:
        primary.odown_since_ms = now_ms
        primary.start_after_ms = now_ms + sentinel.luck.randrange(CANDIDATE_DELAY_MS)
        sentinel.tell("+odown", primary, f"#quorum {count}/{quorum}")
        for replica in primary.replicas.values():
            asking.ask_info(sentinel, replica, now_ms)
    elif count < quorum and primary.is_odown:
        primary.odown_since_ms = None
        sentinel.tell("-odown", primary)


def start_if_needed(sentinel: Sentinel, primary: Primary, now_ms: int) -> bool:
    """Begin a failover of a primary that is objectively down, if it is ours to begin now."""
    if primary.in_failover:
        return False
    if not primary.is_odown:
        if not takeover.waits_for_leader(primary):
            primary.orphan_since_ms = None
            return False
        if primary.orphan_since_ms is None:
            primary.orphan_since_ms = now_ms
            was_mine = primary.leader == sentinel.my_id and primary.leader_epoch == sentinel.epoch
            is_urgent = was_mine or takeover.is_orphan(primary)
            patience_ms = ORPHAN_WAIT_MS if is_urgent else sentinel.times.publish_period
            wait_ms = patience_ms + sentinel.luck.randrange(CANDIDATE_DELAY_MS)
            primary.start_after_ms = max(primary.start_after_ms, now_ms + wait_ms)
        if not takeover.is_orphan(primary) and not takeover.is_left_behind(primary, primary.orphan_since_ms):
            return False
    wait_until_ms = _not_before(sentinel, primary, now_ms)
    if now_ms < wait_until_ms:
        if wait_until_ms - now_ms > 1000 and primary.delay_logged_ms != primary.failover_start_ms:
            primary.delay_logged_ms = primary.failover_start_ms
            sentinel.do(
                LogOnly(
                    "notice",
                    f"Next failover delay: none of mine for {wait_until_ms - now_ms} ms",
                )
            )
        sentinel.look_again(min(wait_until_ms - now_ms, 1000))
        return False
    start(sentinel, primary, now_ms)
    return True


def _not_before(sentinel: Sentinel, primary: Primary, now_ms: int) -> int:
    """Return when an attempt may begin: after the one that we voted for has had its time, if it lives."""
    started = primary.failover_start_ms
    if started is None or primary.leader == sentinel.my_id:
        return primary.start_after_ms
    leader = primary.sentinels.get(primary.leader)
    if leader is None or leader.link.refused_since_ms is not None or leader.is_sdown:
        return max(primary.start_after_ms, started - election.MAX_DESYNC_MS // 2)
    if fetching.is_copying(primary):
        return max(primary.start_after_ms, now_ms + 1000)
    patience_ms = min(primary.options.failover_timeout_ms * 2, sentinel.times.election_timeout + 1000)
    return max(primary.start_after_ms, started + patience_ms)


def start(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    """Begin an attempt in a new epoch."""
    primary.failover = Failover.WAIT_START
    sentinel.epoch = max(sentinel.epoch, takeover.highest_fence(primary)) + 1
    primary.failover_epoch = sentinel.epoch
    sentinel.tell_text("+new-epoch", str(sentinel.epoch), instance=primary)
    sentinel.tell("+try-failover", primary)
    primary.failover_start_ms = primary.failover_changed_ms = now_ms
    primary.orphan_since_ms = None
    primary.hand_over_sent, primary.takeover = False, None
    primary.must_change = primary.is_leaving


def abort(sentinel: Sentinel, primary: Primary, event: str, now_ms: int) -> None:
    """Give an attempt up; the next one, if the primary is still down, waits longer each time."""
    sentinel.tell(event, primary)
    hand_over.end(sentinel, primary)
    if primary.promoted is not None:
        primary.promoted.is_promoted = False
    rounds = min(primary.election_rounds, ROUND_DOUBLINGS_MAX)
    primary.failover, primary.promoted, primary.takeover = Failover.NONE, None, None
    primary.is_forced = primary.is_planned = primary.hand_over_sent = primary.must_change = False
    primary.election_rounds += 1
    pause_ms = (ELECTION_ROUND_MS // 2) << rounds
    primary.start_after_ms = now_ms + pause_ms // 4 + sentinel.luck.randrange(pause_ms)
    primary.failover_changed_ms = now_ms


def _enter(primary: Primary, state: Failover, now_ms: int) -> None:
    primary.failover, primary.failover_changed_ms = state, now_ms


def step(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    """Go as far as can be gone now."""
    while primary.in_failover:
        before = primary.failover
        match before:
            case Failover.WAIT_START:
                _wait_start(sentinel, primary, now_ms)
            case Failover.SELECT_REPLICA:
                _select(sentinel, primary, now_ms)
            case Failover.SEND_PROMOTION:
                _send_promotion(sentinel, primary, now_ms)
            case Failover.WAIT_PROMOTION:
                _wait_promotion(sentinel, primary, now_ms)
            case Failover.RECONF_REPLICAS:
                _reconfigure(sentinel, primary, now_ms)
            case Failover.UPDATE_CONFIG:
                _switch(sentinel, primary, now_ms)
        if primary.failover is before:
            return


def _wait_start(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    leader = election.leader_of(sentinel, primary, primary.failover_epoch, now_ms)
    if leader != sentinel.my_id and (not primary.is_forced or takeover.applies(sentinel, primary)):
        round_ms = ELECTION_ROUND_MS << min(primary.election_rounds, ROUND_DOUBLINGS_MAX)
        limit_ms = min(round_ms, sentinel.times.election_timeout, primary.options.failover_timeout_ms)
        lost = sentinel.epoch > primary.failover_epoch
        if lost or now_ms - primary.failover_changed_ms > limit_ms:
            abort(sentinel, primary, "-failover-abort-not-elected", now_ms)
        return
    primary.elected_ms = now_ms
    sentinel.tell("+elected-leader", primary)
    if sentinel.crash_after_election:
        sentinel.crash()
        return
    _enter(primary, Failover.SELECT_REPLICA, now_ms)
    sentinel.tell("+failover-state-select-slave", primary)


def _select(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    if not primary.is_forced and now_ms - primary.failover_changed_ms < FRESH_INFO_WAIT_MS:
        since = primary.sdown_since_ms if primary.sdown_since_ms is not None else -(10**9)
        stale = [
            each
            for each in primary.replicas.values()
            if each.link.is_up and not each.is_sdown and (each.info_ms is None or each.info_ms < since)
        ]
        if stale:
            for each in stale:
                if each.info_sent_ms < since:
                    asking.ask_info(sentinel, each, now_ms)
            return
    if takeover.applies(sentinel, primary):
        if takeover.step(sentinel, primary, now_ms):
            _enter(primary, Failover.WAIT_PROMOTION, now_ms)
            assert primary.promoted is not None
            sentinel.tell("+failover-state-wait-promotion", primary.promoted, level="notice")
        else:
            has_time = now_ms - primary.failover_changed_ms <= primary.options.failover_timeout_ms
            if not has_time and not fetching.is_copying(primary):
                abort(sentinel, primary, "-failover-abort-no-good-slave", now_ms)
        return
    chosen = selection.best_replica(primary, sentinel.times, now_ms)
    if chosen is None:
        abort(sentinel, primary, "-failover-abort-no-good-slave", now_ms)
        return
    choose(sentinel, primary, chosen)
    _enter(primary, Failover.SEND_PROMOTION, now_ms)
    sentinel.tell("+failover-state-send-slaveof-noone", chosen, level="notice")


def choose(sentinel: Sentinel, primary: Primary, chosen: Instance) -> None:
    """Note whom we promote."""
    sentinel.tell("+selected-slave", chosen)
    chosen.is_promoted = True
    primary.promoted = chosen


def _send_promotion(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    chosen = primary.promoted
    assert chosen is not None
    if not primary.is_planned:
        sent = orders.replica_of(sentinel, chosen, None, now_ms)
    elif primary.node_id:
        sent = _ask_hand_over(sentinel, primary, chosen, now_ms)
    else:
        sent = _hand_over(sentinel, primary, chosen, now_ms)
    if not primary.in_failover:
        return
    if sent:
        _enter(primary, Failover.WAIT_PROMOTION, now_ms)
        sentinel.tell("+failover-state-wait-promotion", chosen, level="notice")
    elif now_ms - primary.failover_changed_ms > primary.options.failover_timeout_ms:
        abort(sentinel, primary, "-failover-abort-slave-timeout", now_ms)


def _hand_over(sentinel: Sentinel, primary: Primary, chosen: Instance, now_ms: int) -> bool:
    """Pause the writes of a stock primary, and promote when the replica has everything."""
    if hand_over.step(sentinel, primary, chosen, now_ms):
        return True
    state = primary.hand_over
    if state is None or state.refusal:
        why = state.refusal if state is not None else "it cannot be reached"
        sentinel.log(f"{primary.name} cannot hand over ({why}): it is replaced instead", "warning")
        hand_over.end(sentinel, primary)
        primary.is_planned = False
        return orders.replica_of(sentinel, chosen, None, now_ms)
    if now_ms - primary.failover_changed_ms > PLANNED_WAIT_MS:
        abort(sentinel, primary, "-failover-abort-slave-timeout", now_ms)
    return False


def _ask_hand_over(sentinel: Sentinel, primary: Primary, chosen: Instance, now_ms: int) -> bool:
    """Have the primary pause writes, wait for the replica and hand over (FAILOVER, Redis 6.2)."""
    if not primary.link.is_up:
        primary.is_planned = False
        return False
    epoch = primary.failover_epoch

    def answered(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, ReplyError) and primary.in_failover and primary.failover_epoch == epoch:
            sentinel.log(f"{primary.name} cannot hand over ({reply}): it is replaced instead", "warning")
            primary.is_planned = primary.hand_over_sent = False
            _enter(primary, Failover.SEND_PROMOTION, at_ms)

    limit_ms = min(PLANNED_WAIT_MS, primary.options.failover_timeout_ms)
    host, port = sentinel.shown(chosen.address), str(chosen.address.port)
    sentinel.send(primary, "FAILOVER", "TO", host, port, "TIMEOUT", str(limit_ms), on_reply=answered)
    primary.hand_over_sent = True
    asking.ask_info(sentinel, primary, now_ms)
    asking.ask_info(sentinel, chosen, now_ms)
    return True


def _wait_promotion(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    waited_ms = now_ms - primary.failover_changed_ms
    limit_ms = primary.options.failover_timeout_ms
    chosen = primary.promoted
    if primary.hand_over_sent and chosen is not None:
        limit_ms = min(limit_ms, PLANNED_WAIT_MS + 1000)
        gave_up = (
            primary.role_reported is Role.PRIMARY
            and primary.failover_state == "no-failover"
            and primary.info_ms is not None
            and primary.info_ms > primary.failover_changed_ms + 2 * FRESH_INFO_WAIT_MS
            and chosen.role_reported is Role.REPLICA
        )
        if gave_up:
            limit_ms = 0
    if primary.takeover is not None and takeover.is_refused(primary):
        limit_ms = 0
    if waited_ms > limit_ms:
        abort(sentinel, primary, "-failover-abort-slave-timeout", now_ms)


def _reconfigure(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    target, times = primary.promoted, sentinel.times
    assert target is not None
    running = sum(each.reconf in (Reconf.SENT, Reconf.IN_PROGRESS) for each in primary.replicas.values())
    for replica in primary.replicas.values():
        if replica.is_promoted or replica.reconf is Reconf.DONE:
            continue
        if replica.reconf is Reconf.SENT and now_ms - replica.reconf_sent_ms > times.slave_reconf_timeout:
            sentinel.tell("-slave-reconf-sent-timeout", replica, level="notice")
            replica.reconf = Reconf.DONE
            continue
        if replica.reconf is not Reconf.NONE or not replica.link.is_up:
            continue
        if running < primary.options.parallel_syncs and orders.follow(sentinel, replica, target, now_ms):
            replica.reconf, replica.reconf_sent_ms = Reconf.SENT, now_ms
            sentinel.tell("+slave-reconf-sent", replica, level="notice")
            running += 1
    _detect_end(sentinel, primary, target, now_ms)


def _detect_end(sentinel: Sentinel, primary: Primary, target: Instance, now_ms: int) -> None:
    if target.is_sdown:
        if not primary.is_sdown or now_ms - primary.failover_changed_ms > primary.options.failover_timeout_ms:
            _enter(primary, Failover.UPDATE_CONFIG, now_ms)
        return
    left = [
        each
        for each in primary.replicas.values()
        if not each.is_promoted and each.reconf is not Reconf.DONE and not _is_gone(each)
    ]
    timed_out = now_ms - primary.failover_changed_ms > primary.options.failover_timeout_ms
    if timed_out:
        sentinel.tell("+failover-end-for-timeout", primary)
    if timed_out or not left:
        sentinel.tell("+failover-end", primary)
        _enter(primary, Failover.UPDATE_CONFIG, now_ms)
    if timed_out:
        for each in left:
            if each.reconf is Reconf.NONE and orders.follow(sentinel, each, target, now_ms):
                sentinel.tell("+slave-reconf-sent-be", each, level="notice")
                each.reconf = Reconf.SENT


def _is_gone(replica: Instance) -> bool:
    return replica.is_sdown or replica.is_stranger or replica.link.refused_since_ms is not None


def _switch(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    assert primary.promoted is not None
    address = primary.promoted.address
    if address is not primary.address:
        observation.tell_switch(sentinel, primary, primary.address, address)
    observation.change_address(sentinel, primary, address, now_ms)
    asking.publish_everywhere(sentinel, primary, now_ms)
