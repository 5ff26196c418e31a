"""Tests of whom a leader promotes."""

from __future__ import annotations

import pytest

from holdfast.replication.fence import FenceReport
from holdfast.replication.promotion import Choice, FetchFirst, Promote, Wait, choose_promotion
from holdfast.replication.set_record import MemberSet, Position, SetRecord


def record(*sets: tuple[str, int]) -> SetRecord:
    return SetRecord(1, "p", tuple(MemberSet(frozenset(names), needed) for names, needed in sets))


def report(
    name: str, epoch: int, offset: int, bound: SetRecord | None, intact: bool = True, known: bool = True
) -> FenceReport:
    return FenceReport(name, 9, "L", Position(epoch, offset), bound, intact, known, None)


TOO_FEW = "too few intact members have reported: "
AB = record(("ab", 1))
ABC2 = record(("abc", 2))
JOINT = record(("cd", 1), ("ab", 1))


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([report("a", 1, 10, AB), report("b", 1, 12, AB)], Promote("b", Position(1, 12))),
        ([report("a", 2, 10, AB), report("b", 1, 99, AB)], Promote("a", Position(2, 10))),
        ([report("a", 1, 10, AB)], Wait(TOO_FEW + "1 of 2 of 2 members", frozenset("bp"))),
        ([report("a", 1, 10, ABC2), report("b", 1, 9, ABC2)], Promote("a", Position(1, 10))),
        ([report("p", 1, 20, AB), report("a", 1, 10, AB), report("b", 1, 12, AB)],
         Promote("p", Position(1, 20))),
        ([report("p", 1, 20, AB), report("a", 1, 10, AB)],
         Wait(TOO_FEW + "1 of 2 of 2 members", frozenset("b"))),
        ([report("c", 1, 10, JOINT), report("d", 1, 9, JOINT)],
         Wait(TOO_FEW + "0 of 2 of 2 members", frozenset("abp"))),
        ([report(each, 1, 10, JOINT) for each in "abcd"], Promote("a", Position(1, 10))),
        ([report("a", 1, 10, AB, intact=False), report("b", 1, 12, AB)],
         Wait(TOO_FEW + "1 of 2 of 2 members", frozenset("p"))),
        ([report("a", 1, 10, record(("ab", 0)))], Promote("a", Position(1, 10))),
        ([], Wait("no node has reported", frozenset("p"))),
        ([report("e", 0, 0, None)], Wait("no intact copy has reported that holds anything", frozenset("p"))),
    ],
)  # fmt: skip
def test_the_best_position_leads_when_enough_of_each_binding_set_are_fenced_and_intact(
    reports: list[FenceReport], expected: Choice
) -> None:
    assert choose_promotion(9, "L", reports, "p") == expected


def test_reports_of_other_epochs_or_leaders_or_of_loading_nodes_do_not_count() -> None:
    good = [report("a", 1, 10, AB), report("b", 1, 12, AB)]
    assert isinstance(choose_promotion(8, "L", good, "p"), Wait)
    assert isinstance(choose_promotion(9, "M", good, "p"), Wait)
    loading = [report("a", 1, 10, AB), report("b", 0, 0, None, intact=False, known=False)]
    choice = choose_promotion(9, "L", [*loading, report("p", 1, 1, AB, intact=False)], "p")
    assert isinstance(choice, Wait) and choice.missing == frozenset("b")


def test_among_equals_the_preferred_leads_and_one_that_may_not_lead_gives_its_tail() -> None:
    good = [report("a", 1, 12, AB), report("b", 1, 12, AB)]
    assert choose_promotion(9, "L", good, "p", preference="ba") == Promote("b", Position(1, 12))
    good = [report("a", 1, 10, AB), report("b", 1, 12, AB)]
    assert choose_promotion(9, "L", good, "p", may_lead="a") == FetchFirst("a", "b", Position(1, 12))


def test_without_acknowledged_writes_any_intact_copy_leads_though_the_last_members_are_gone() -> None:
    bound = record(("x", 0))  # who promoted last knew only of x, which was since replaced by an empty node
    reports = [report("a", 3, 10, bound), report("b", 3, 12, bound)]
    assert choose_promotion(9, "L", reports, "abp") == Promote("b", Position(3, 12))


def test_a_loss_is_accepted_only_when_everybody_has_answered_or_the_operator_says_so() -> None:
    wreck = [report("a", 1, 10, AB, intact=False), report("b", 1, 12, AB, intact=False)]
    assert isinstance(choose_promotion(9, "L", wreck, "p"), Wait)
    forced = choose_promotion(9, "L", wreck, "p", allow_data_loss=True)
    assert isinstance(forced, Promote) and forced.may_lose_writes and forced.node_id == "b"
    everyone = [*wreck, report("p", 1, 3, AB, intact=False)]
    choice = choose_promotion(9, "L", everyone, "p")
    assert isinstance(choice, Promote) and choice.may_lose_writes and "may be lost" in choice.reason
    fetch = choose_promotion(9, "L", everyone, "p", may_lead="a")
    assert fetch == FetchFirst("a", "b", Position(1, 12), may_lose_writes=True)


def test_a_copy_that_is_not_intact_fetches_first_where_no_intact_one_may_lead() -> None:
    reports = [report("a", 1, 12, AB), report("b", 1, 11, AB), report("p", 1, 20, AB, intact=False)]
    assert choose_promotion(9, "L", reports, "p", may_lead="p") == FetchFirst("p", "a", Position(1, 12))
    assert choose_promotion(9, "L", reports, "p", may_lead="bp") == FetchFirst("b", "a", Position(1, 12))
    assert isinstance(choose_promotion(9, "L", reports[1:], "p", may_lead="p"), Wait), "a may know better"
    assert isinstance(choose_promotion(9, "L", reports[:2], "p", may_lead="p"), Wait), "it has not reported"


def test_all_empty_is_a_position_too_so_nothing_hangs() -> None:
    empty = [report(each, 0, 0, None, intact=False) for each in "pab"]
    choice = choose_promotion(9, "L", empty, "pab")
    assert isinstance(choice, Promote) and choice.may_lose_writes
    assert isinstance(choose_promotion(9, "L", empty[:2], "pab"), Wait)
