"""Tests of the line for snapshots, of good replicas, and of FAILOVER."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.replication import failover_command as failover
from holdfast.replication.attachments import (
    Attachment,
    Stage,
    StartSnapshot,
    SyncSettings,
    WaitUntil,
    can_join,
    good_replicas,
    holders_of,
    members_to_add,
    next_snapshot,
    room_left,
    timed_out,
    writes_are_allowed,
)
from holdfast.replication.failover_command import (
    Act,
    FailoverMachine,
    FailoverRefused,
    Phase,
    Target,
    parse_failover,
)

DISKLESS = SyncSettings(diskless_delay_ms=5000, diskless_max_replicas=3, max_concurrent_syncs=4)


def waiting(name: str, asked_at_ms: int, *, knows_eof: bool = True) -> Attachment:
    return Attachment(name, Stage.WAITING, asked_at_ms, knows_eof)


def test_a_diskless_snapshot_waits_for_others_and_starts_when_enough_came_or_the_delay_is_over() -> None:
    one = [waiting("b", 1000), waiting("a", 2000)]
    assert next_snapshot(one, DISKLESS, False, 3000) == WaitUntil(6000, "other replicas may come")
    assert next_snapshot(one, DISKLESS, False, 6000) == StartSnapshot(("b", "a"), True)
    assert next_snapshot([*one, waiting("c", 2500)], DISKLESS, False, 3000) == StartSnapshot(
        ("b", "a", "c"), True
    )
    assert isinstance(next_snapshot(one, DISKLESS, True, 9000), WaitUntil)
    assert isinstance(next_snapshot([], DISKLESS, False, 9000), WaitUntil)


def test_at_most_so_many_syncs_run_and_the_others_keep_their_place() -> None:
    settings = replace(DISKLESS, diskless=False, max_concurrent_syncs=2)
    line = [waiting(name, at) for at, name in enumerate("dcba")]
    assert next_snapshot(line, settings, False, 9) == StartSnapshot(("d", "c"), False)
    busy = [line[0]._replace(stage=Stage.SENDING), line[1]._replace(stage=Stage.SNAPSHOTTING), *line[2:]]
    assert isinstance(next_snapshot(busy, settings, False, 9), WaitUntil)
    freed = [busy[0]._replace(stage=Stage.ONLINE), *busy[1:]]
    assert next_snapshot(freed, settings, False, 9) == StartSnapshot(("b",), False)
    assert room_left(freed, settings) == 1


def test_a_replica_without_the_end_mark_is_served_from_disk_and_left_out_of_a_diskless_snapshot() -> None:
    old, new = waiting("old", 0, knows_eof=False), waiting("new", 1)
    assert next_snapshot([old, new], DISKLESS, False, 9000) == StartSnapshot(("old", "new"), False)
    young_old = old._replace(asked_at_ms=5)
    assert next_snapshot([young_old, new], DISKLESS, False, 9000) == StartSnapshot(("new",), True)


def test_a_late_comer_joins_a_snapshot_on_disk_while_its_stream_is_kept_and_no_other_stands_before_it() -> (
    None
):
    running = StartSnapshot(("a",), False)
    served, late = Attachment("a", Stage.SNAPSHOTTING), waiting("z", 5)
    assert can_join(late, running, [served, late], 1)
    assert not can_join(late, running, [served, late], 0)
    assert not can_join(late, running, [served._replace(stage=Stage.SENDING), late], 1)
    assert not can_join(late, running, [served, late, waiting("b", 4)], 1)
    assert not can_join(late, replace(running, diskless=True), [served, late], 1)


def test_good_replicas_are_online_and_heard_within_the_lag() -> None:
    replicas = [
        Attachment("a", Stage.ONLINE, last_heard_ms=9000, acknowledged_offset=50, node_id="na"),
        Attachment("b", Stage.ONLINE, last_heard_ms=100, acknowledged_offset=70),
        Attachment("c", Stage.SENDING, last_heard_ms=10_000, acknowledged_offset=90, node_id="nc"),
    ]
    assert good_replicas(replicas, 10_000, 10_000) == 2
    assert good_replicas(replicas, 1000, 10_000) == 1
    assert writes_are_allowed(replicas, 1, 1000, 10_000) and not writes_are_allowed(replicas, 2, 1000, 10_000)
    assert writes_are_allowed(replicas, 0, 1000, 10_000) and writes_are_allowed(replicas, 9, 0, 10_000)
    assert holders_of(replicas, 60) == 1
    assert timed_out(replicas, replace(DISKLESS, timeout_ms=9000), 10_000) == ["b"]
    assert members_to_add(replicas, frozenset()) == ["na"]
    assert Stage.SNAPSHOTTING.word_in_info == "wait_bgsave"


ONE = [Target("h", 1, 90, True)]


@pytest.mark.parametrize(
    ("words", "is_replica", "replicas", "error"),
    [
        ("ABORT", False, ONE, failover.NONE_IN_PROGRESS),
        ("TIMEOUT 0", False, ONE, failover.TIMEOUT_NOT_POSITIVE),
        ("TIMEOUT x", False, ONE, failover.NOT_AN_INTEGER),
        ("TIMEOUT", False, ONE, failover.SYNTAX),
        ("TO h", False, ONE, failover.SYNTAX),
        ("FORCE FORCE", False, ONE, failover.SYNTAX),
        ("", True, ONE, failover.IS_REPLICA),
        ("", False, [], failover.NO_REPLICAS),
        ("FORCE TIMEOUT 5", False, ONE, failover.FORCE_NEEDS_BOTH),
        ("TO h 1 FORCE", False, ONE, failover.FORCE_NEEDS_BOTH),
        ("TO h 2", False, ONE, failover.NOT_A_REPLICA),
        ("TO h 1", False, [Target("h", 1, 0, False)], failover.NOT_ONLINE),
    ],
)
def test_failover_is_refused_in_the_words_of_redis(
    words: str, is_replica: bool, replicas: list[Target], error: str
) -> None:
    machine = FailoverMachine()
    with pytest.raises(FailoverRefused) as refused:
        machine.begin(parse_failover(words.split()), is_replica, replicas, 0)
    assert str(refused.value) == error and machine.phase is Phase.NONE


def test_failover_pauses_writes_waits_for_any_replica_and_hands_over() -> None:
    machine = FailoverMachine()
    assert machine.begin(parse_failover([]), False, ONE, 0).acts == (Act.PAUSE_WRITES,)
    with pytest.raises(FailoverRefused, match="already"):
        machine.begin(parse_failover([]), False, ONE, 0)
    assert machine.check(ONE, 100, 1).acts == ()
    assert machine.check([Target("h", 1, 100, True)], 100, 2).acts == (Act.BECOME_REPLICA_OF_TARGET,)
    assert (machine.phase, machine.target) == (Phase.IN_PROGRESS, ("h", 1))
    assert machine.target_accepted().acts == (Act.RESUME_WRITES,)
    assert machine.phase is Phase.NONE and machine.target_accepted().acts == ()


@pytest.mark.parametrize(
    ("words", "acts", "phase"),
    [
        ("TO h 1 TIMEOUT 50", (Act.RESUME_WRITES,), Phase.NONE),
        ("TO h 1 TIMEOUT 50 FORCE", (Act.BECOME_REPLICA_OF_TARGET,), Phase.IN_PROGRESS),
    ],
)
def test_failover_that_times_out_is_aborted_or_forced(
    words: str, acts: tuple[Act, ...], phase: Phase
) -> None:
    machine = FailoverMachine()
    machine.begin(parse_failover(words.split()), False, ONE, 0)
    assert machine.check(ONE, 100, 49).acts == ()
    assert machine.check(ONE, 100, 50).acts == acts
    assert machine.phase is phase


def test_a_target_that_refuses_makes_the_node_primary_again_and_abort_does_so_at_any_time() -> None:
    for end in ("refuse", "abort"):
        machine = FailoverMachine()
        machine.begin(parse_failover([]), False, ONE, 0)
        machine.check([Target("h", 1, 100, True)], 100, 1)
        outcome = (
            machine.target_refused()
            if end == "refuse"
            else machine.begin(parse_failover(["abort"]), False, ONE, 2)
        )
        assert outcome.acts == (Act.BECOME_PRIMARY_AGAIN, Act.RESUME_WRITES)
        assert machine.phase is Phase.NONE and machine.target_refused().acts == ()
