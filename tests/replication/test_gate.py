"""Tests of the set record and the acknowledgement gate."""

from __future__ import annotations

import pytest

from holdfast.replication.gate import (
    AcknowledgementGate,
    GateSettings,
    ReadPromise,
    SetChangeRefused,
    acknowledgeable_offset,
    committed_offset,
)
from holdfast.replication.set_record import (
    MemberSet,
    SetRecord,
    SetRecordError,
    decode_set_record,
    first_record,
)


def members(text: str, needed: int) -> MemberSet:
    return MemberSet(frozenset(text), needed)


def gate_with(
    newest: MemberSet, *, strict: bool = True, timeout_ms: int = 1000, attached: str = "abcd"
) -> AcknowledgementGate:
    record = SetRecord(1, "p", (newest,))
    gate = AcknowledgementGate("p", GateSettings(timeout_ms, 5000, strict), record, 10, 0)
    for member in attached:
        gate.attached(member)
    return gate


@pytest.mark.parametrize(
    ("sets", "held", "expected"),
    [
        ((members("ab", 1),), {"a": 5, "b": 9}, 9),
        ((members("ab", 2),), {"a": 5, "b": 9}, 5),
        ((members("abc", 2),), {"a": 5, "b": 9}, 5),
        ((members("abc", 2),), {"b": 9}, 0),
        ((members("cd", 1), members("ab", 1)), {"a": 5, "b": 9, "c": 3}, 3),
        ((members("cd", 1), members("pb", 1)), {"c": 7}, 7),
        ((members("ab", 0),), {}, 20),
        ((members("ab", 1), members("ab", 0)), {"a": 5, "b": 9}, 5),
    ],
)
def test_an_offset_is_committed_when_enough_of_each_set_hold_it(
    sets: tuple[MemberSet, ...], held: dict[str, int], expected: int
) -> None:
    assert committed_offset(SetRecord(1, "p", sets), held, "p", 20) == expected


def test_a_reply_goes_when_a_member_acknowledges_and_a_stranger_does_not_count() -> None:
    gate = gate_with(members("ab", 1))
    assert gate.hold(7, 30, 0).release_up_to == 0
    assert gate.acknowledge("x", 30, 1).release_up_to == 0
    assert gate.acknowledge("a", 29, 1).release_up_to == 29
    assert gate.waiting_count == 1
    assert gate.acknowledge("b", 30, 2).release_up_to == 30
    assert gate.waiting_count == 0


def test_a_late_reply_ends_with_no_acknowledgement_and_earlier_ones_are_released() -> None:
    gate = gate_with(members("ab", 1))
    gate.hold(1, 30, 0)
    gate.hold(2, 40, 500)
    assert gate.tick(999).timed_out == ()
    assert gate.tick(1000).timed_out == (1,)
    verdict = gate.acknowledge("a", 40, 1100)
    assert (verdict.release_up_to, verdict.timed_out, gate.waiting_count) == (40, (), 0)


def test_what_a_member_held_counts_after_its_link_is_lost_but_not_after_it_attaches_anew() -> None:
    gate = gate_with(members("ab", 2))
    gate.hold(1, 30, 0)
    gate.acknowledge("a", 30, 0)
    gate.detached("a", 1)
    gate.attached("a")
    assert gate.acknowledge("b", 30, 2).release_up_to == 0
    assert gate.acknowledge("a", 30, 3).release_up_to == 30


def test_a_change_of_the_set_is_joint_until_enough_of_each_hold_it() -> None:
    gate = gate_with(members("ab", 1))
    gate.acknowledge("a", 10, 0)
    joint = gate.change(members("cd", 1), 0).append
    assert joint is not None and joint.sets == (members("cd", 1), members("ab", 1))
    gate.record_appended(joint, 50, 0)
    with pytest.raises(SetChangeRefused, match="under way"):
        gate.change(members("abc", 1), 0)
    assert gate.acknowledge("c", 50, 1).append is None
    assert not gate.may_leave("a")
    alone = gate.acknowledge("b", 50, 2).append
    assert alone == SetRecord(1, "p", (members("cd", 1),))
    gate.record_appended(alone, 90, 2)
    assert not gate.may_leave("a")
    gate.acknowledge("d", 90, 3)
    assert gate.may_leave("a") and not gate.may_leave("c")


def test_a_set_that_cannot_be_or_holds_the_primary_itself_is_refused() -> None:
    gate = gate_with(members("ab", 1))
    gate.acknowledge("a", 10, 0)
    for newest, reason in ((members("pb", 1), "own set"), (members("ab", 1), "already so")):
        with pytest.raises(SetChangeRefused, match=reason):
            gate.change(newest, 0)
    with pytest.raises(SetRecordError):
        members("a", 2)


def test_a_member_that_is_gone_is_taken_out_but_never_below_n() -> None:
    gate = gate_with(members("ab", 1))
    gate.acknowledge("b", 10, 0)
    gate.detached("a", 100)
    assert gate.tick(5099).append is None
    removal = gate.tick(5100).append
    assert removal is not None and removal.newest == members("b", 1)
    gate.record_appended(removal, 50, 5100)
    alone = gate.acknowledge("b", 50, 5101).append
    assert alone is not None
    gate.record_appended(alone, 60, 5101)
    gate.acknowledge("b", 60, 5102)
    gate.detached("b", 6000)
    assert gate.tick(60_000).append is None


@pytest.mark.parametrize(("strict", "released"), [(True, 10), (False, 70)])
def test_without_strict_replies_go_unpromised_while_too_few_members_are_left(
    strict: bool, released: int
) -> None:
    gate = gate_with(members("a", 1), strict=strict, timeout_ms=0)
    gate.acknowledge("a", 10, 0)
    gate.detached("a", 0)
    gate.hold(1, 70, 0)
    assert gate.tick(5000).release_up_to == released
    assert gate.is_promise_suspended is not strict
    gate.attached("a")
    gate.tick(5001)
    assert not gate.is_promise_suspended


def test_a_closed_gate_acknowledges_nothing_any_more() -> None:
    gate = gate_with(members("ab", 1))
    gate.hold(1, 30, 0)
    assert gate.close() == (1,)
    assert gate.acknowledge("a", 30, 1).release_up_to == 0
    with pytest.raises(SetChangeRefused, match="fenced"):
        gate.change(members("a", 1), 0)


def test_n_of_zero_releases_at_once_and_lets_the_gate_go_when_no_earlier_set_binds() -> None:
    gate = gate_with(members("ab", 1))
    gate.acknowledge("a", 10, 0)
    joint = gate.change(members("ab", 0), 0).append
    assert joint is not None
    gate.record_appended(joint, 40, 0)
    assert gate.hold(1, 45, 0).release_up_to == 45
    assert not gate.is_needless
    alone = gate.acknowledge("a", 40, 1).append
    assert alone is not None
    gate.record_appended(alone, 60, 1)
    assert gate.is_needless


def test_a_read_waits_for_what_its_promise_says() -> None:
    gate = gate_with(members("ab", 1))
    gate.stream_advanced(33)
    assert gate.read_hold_offset(ReadPromise.NO, 80) is None
    assert gate.read_hold_offset(ReadPromise.COMMITTED, 80) == 33
    assert gate.read_hold_offset(ReadPromise.LINEARIZABLE, 80) == 80


def test_a_replica_acknowledges_nothing_from_inside_a_transaction() -> None:
    assert acknowledgeable_offset(90, None) == 90
    assert acknowledgeable_offset(90, 40) == 40


def test_a_new_primary_writes_a_record_with_the_old_primary_in_itself_out_and_all_that_binds() -> None:
    inherited = SetRecord(3, "p", (members("ab", 1), members("cd", 1)))
    record = first_record("a", 4, inherited, 1)
    assert record == SetRecord(4, "a", (members("bp", 1), members("ab", 1), members("cd", 1)))
    assert first_record("a", 4, None, 1, "ab") == SetRecord(4, "a", (members("b", 1),))


def test_a_record_reads_back_and_other_texts_are_none_or_an_error() -> None:
    record = SetRecord(3, "p", (members("ab", 1), members("cd", 2)))
    assert decode_set_record(record.encode()) == record
    assert record.as_command().startswith(b"*2\r\n$4\r\nPING\r\n$")
    assert decode_set_record(b"hello") is None
    for text in (
        b"",
        b"1",
        b"1:p",
        b"x:p:1=a",
        b"1:p:2=a",
        b"1:p:1=a,a",
        b"1:p:1=a b",
        b"1:p:",
        b"1:p:1=\xff",
    ):
        with pytest.raises(SetRecordError):
            decode_set_record(b"holdfast-set:1:" + text)
