"""Tests of the fence machine, the node's state file and the orders' wire form, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.replication import fence
from holdfast.replication.fence import (
    Act,
    Copy,
    FenceOrder,
    FetchOrder,
    FollowOrder,
    Node,
    Persist,
    PromoteOrder,
    Refuse,
    Reply,
    Standing,
)
from holdfast.replication.node_state import NodeState, StateFileError, decode_node_state, intact_after_start
from holdfast.replication.orders import OrderError, order_words, parse_order, read_report, report_fields
from holdfast.replication.set_record import MemberSet, Position, SetRecord

RECORD = SetRecord(3, "p", (MemberSet(frozenset({"a", "b"}), 1),))
COPY = Copy(Position(3, 100), RECORD)


def node(standing: Standing = Standing.REPLICA, **changes: object) -> Node:
    state = NodeState(
        "a", fence_epoch=3, fence_leader="L3", term_epoch=3, is_primary=standing is Standing.PRIMARY
    )
    return Node(replace(state, **changes), standing)  # type: ignore[arg-type]


def refusal(decision: fence.Decision) -> str:
    return next((effect.text for effect in decision.effects if isinstance(effect, Refuse)), "")


@pytest.mark.parametrize(
    ("fence_epoch", "term_epoch", "order_epoch", "leader", "taken"),
    [
        (3, 3, 4, "L4", True),
        (3, 3, 2, "L2", False),
        (3, 3, 3, "L3", False),
        (4, 3, 4, "L3", True),
        (4, 3, 4, "other", False),
        (0, 0, 1, "L1", True),
    ],
)
@pytest.mark.parametrize("standing", list(Standing))
def test_a_fence_is_taken_in_any_standing_if_its_epoch_is_new_or_unused_and_from_the_same_leader(
    standing: Standing, fence_epoch: int, term_epoch: int, order_epoch: int, leader: str, taken: bool
) -> None:
    before = node(standing, fence_epoch=fence_epoch, term_epoch=term_epoch)
    after = fence.fenced(before, FenceOrder(order_epoch, leader), COPY)
    assert bool(refusal(after)) is not taken
    assert (after.node.standing is Standing.FENCED) or not taken
    if not taken:
        assert after.node == before


def test_a_fenced_primary_stops_everything_before_it_writes_the_fence_and_replies_last() -> None:
    effects = fence.fenced(node(Standing.PRIMARY), FenceOrder(4, "L4"), COPY).effects
    stops = (Act.STOP_ACKNOWLEDGING, Act.STOP_WRITES, Act.DROP_UPSTREAM, Act.CLOSE_REPLICA_LINKS)
    assert effects[:4] == stops
    assert isinstance(effects[4], Persist) and effects[4].state.fence_epoch == 4
    assert isinstance(effects[5], Reply) and effects[5].report is not None
    assert effects[5].report.position == COPY.position


def test_a_node_that_is_still_loading_takes_the_fence_and_says_that_its_copy_is_unknown() -> None:
    effects = fence.fenced(node(), FenceOrder(4, "L4"), replace(COPY, is_known=False)).effects
    report = next(each.report for each in effects if isinstance(each, Reply))
    assert (
        report is not None and not report.is_known and not report.intact and report.position == Position(0, 0)
    )


FENCED = fence.fenced(node(), FenceOrder(4, "L4"), COPY).node
PROMOTE = PromoteOrder(4, "L4", COPY.position)

TOO_SHORT = "NOPROMOTE this copy does not reach the position named"
NOT_INTACT = replace(FENCED, state=replace(FENCED.state, intact=False))


@pytest.mark.parametrize(
    ("before", "order", "copy", "expected"),
    [
        (FENCED, PROMOTE, COPY, ""),
        (FENCED, replace(PROMOTE, epoch=5), COPY, "FENCED PROMOTE refused: fenced at epoch 4 by L4"),
        (FENCED, replace(PROMOTE, leader="x"), COPY, "FENCED PROMOTE refused: fenced at epoch 4 by L4"),
        (node(), PromoteOrder(3, "L3", COPY.position), COPY,
         "FENCED PROMOTE refused: fenced at epoch 3 by L3"),
        (FENCED, PROMOTE, Copy(Position(3, 99), RECORD), TOO_SHORT),
        (FENCED, PROMOTE, Copy(Position(2, 999), RECORD), TOO_SHORT),
        (NOT_INTACT, PROMOTE, COPY, "NOPROMOTE this copy is not intact"),
        (NOT_INTACT, replace(PROMOTE, accept_loss=True), COPY, ""),
    ],
)  # fmt: skip
def test_promote_is_refused_unless_fence_position_and_intactness_fit(
    before: Node, order: PromoteOrder, copy: Copy, expected: str
) -> None:
    after = fence.promoted(before, order, copy)
    assert refusal(after) == expected
    if not expected:
        assert after.node.standing is Standing.PRIMARY
        kinds = [type(effect).__name__ for effect in after.effects]
        assert kinds == ["Act", "Persist", "BecomePrimary", "Reply"]


def test_a_repeated_promote_is_answered_and_changes_nothing_but_not_after_a_restart() -> None:
    leading = fence.promoted(FENCED, PROMOTE, COPY).node
    assert fence.promoted(leading, PROMOTE, COPY) == fence.Decision(leading, (Reply(),))
    back = fence.started(leading.state, "new", COPY.position, False, False).node
    assert back.standing is Standing.CANDIDATE
    assert refusal(fence.promoted(back, PROMOTE, COPY))


@pytest.mark.parametrize(
    ("before", "order", "refused"),
    [
        (FENCED, FollowOrder(4, "L4", "h", 1, "p"), False),
        (FENCED, FollowOrder(3, "L3", "h", 1, "p"), True),
        (FENCED, FollowOrder(4, "other", "h", 1, "p"), True),
        (node(Standing.PRIMARY), FollowOrder(3, "L3", "h", 1, "p"), True),
        (node(Standing.PRIMARY), FollowOrder(4, "L4", "h", 1, "p"), False),
        (node(Standing.CANDIDATE), FollowOrder(4, "L4", "h", 1, "p"), False),
    ],
)
def test_follow_is_taken_at_the_fence_or_above_and_never_by_the_primary_of_that_epoch(
    before: Node, order: FollowOrder, refused: bool
) -> None:
    after = fence.told_to_follow(before, order)
    assert bool(refusal(after)) is refused
    if not refused:
        kinds = [type(effect).__name__ for effect in after.effects]
        assert kinds.index("Persist") < kinds.index("Follow") < kinds.index("Reply")


@pytest.mark.parametrize(("epoch", "refused"), [(0, True), (3, True), (4, False), (5, False)])
def test_only_a_primary_at_or_above_the_fence_is_followed(epoch: int, refused: bool) -> None:
    assert bool(refusal(fence.attached(FENCED, epoch, Position(epoch, 7)))) is refused


def test_intact_returns_when_the_position_of_the_primary_at_the_attachment_is_reached() -> None:
    lost = replace(FENCED, state=replace(FENCED.state, intact=False))
    following = fence.attached(lost, 5, Position(5, 200)).node
    assert not fence.applied(following, Position(5, 199)).node.state.intact
    assert not fence.applied(fence.upstream_lost(following), Position(5, 200)).node.state.intact
    reached = fence.applied(following, Position(5, 200))
    assert reached.node.state.intact and isinstance(reached.effects[0], Persist)


def test_a_copy_of_a_replica_between_makes_nobody_intact() -> None:
    """It may lag behind what this node acknowledged to the primary, and lost."""
    lost = replace(FENCED, state=replace(FENCED.state, intact=False))
    following = fence.attached(lost, 5, None).node
    assert not fence.applied(following, Position(5, 10**9)).node.state.intact


@pytest.mark.parametrize(("accept_loss", "intact"), [(False, True), (True, False)])
def test_the_tail_of_an_intact_copy_makes_intact_and_that_of_another_does_not(
    accept_loss: bool, intact: bool
) -> None:
    lost = replace(FENCED, state=replace(FENCED.state, intact=False))
    order = FetchOrder(4, "L4", "h", 1, "b", Position(3, 120), accept_loss)
    fetching = fence.told_to_fetch(lost, order).node
    assert not fetching.may_acknowledge
    assert fence.applied(fetching, Position(3, 120)).node.state.intact is intact


@pytest.mark.parametrize(
    ("clean", "stopped_at", "after_fsync", "was_intact", "expected"),
    [
        (True, 100, False, True, True),
        (True, 101, False, True, False),
        (True, 100, False, False, False),
        (False, 100, False, True, False),
        (False, 100, True, True, True),
        (False, 100, True, False, False),
    ],
)
def test_a_restart_ends_intact_unless_the_shutdown_was_clean_or_every_acknowledgement_was_synced(
    clean: bool, stopped_at: int, after_fsync: bool, was_intact: bool, expected: bool
) -> None:
    state = NodeState(
        "a", 3, "L3", 3, intact=was_intact, stopped_cleanly=clean, stopped_at=Position(3, stopped_at),
        acknowledges_after_fsync=after_fsync,
    )  # fmt: skip
    assert intact_after_start(state, Position(3, 100)) is expected
    begun = fence.started(state, "new", Position(3, 100), True, after_fsync)
    assert begun.node.state.intact is expected and not begun.node.state.stopped_cleanly
    assert begun.effects == (Persist(begun.node.state),)


def test_a_fence_outlives_the_restart_of_a_fenced_node() -> None:
    back = fence.started(decode_node_state(FENCED.state.encode()), "new", Position(3, 10), True, False).node
    assert back.standing is Standing.FENCED and back.state.fence_epoch == 4 and not back.may_acknowledge


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"version": 2}', b'{"version": 1, "stopped_at": [0]}',
     FENCED.state.encode().replace(b'"fence_epoch": 4', b'"fence_epoch": -4'),
     FENCED.state.encode().replace(b'"fence_epoch": 4', b'"fence_epoch": 1'),
     FENCED.state.encode().replace(b'"intact": true', b'"intact": 1')],
)  # fmt: skip
def test_a_broken_state_file_is_an_error_and_never_a_new_node(content: bytes) -> None:
    with pytest.raises(StateFileError):
        decode_node_state(content)


@pytest.mark.parametrize(
    "order",
    [FenceOrder(4, "L4"), PROMOTE, replace(PROMOTE, accept_loss=True), FollowOrder(4, "L4", "h", 1, "p"),
     FetchOrder(4, "L4", "h", 1, "b", Position(3, 5)),
     FetchOrder(4, "L4", "h", 1, "b", Position(3, 5), True)],
)  # fmt: skip
def test_an_order_reads_back_from_its_wire_form(
    order: FenceOrder | PromoteOrder | FollowOrder | FetchOrder,
) -> None:
    assert parse_order(order_words(order)[1:]) == order


@pytest.mark.parametrize(
    "words",
    [[], ["NOTHING"], ["FENCE"], ["FENCE", "0", "L"], ["FENCE", "x", "L"], ["FENCE", "-1", "L"],
     ["FENCE", "1", ""],
     ["FENCE", str(1 << 64), "L"], ["PROMOTE", "1", "L", "1", "2", "MAYBE"],
     ["FOLLOW", "1", "L", "h", "70000", "p"],
     ["FENCE", "\u0661", "L"]],
)  # fmt: skip
def test_words_that_are_no_order_are_an_error(words: list[str]) -> None:
    with pytest.raises(OrderError):
        parse_order(words)


def test_a_report_reads_back_passes_over_unknown_fields_and_refuses_broken_ones() -> None:
    report = fence.FenceReport("a", 4, "L4", Position(3, 100), RECORD, True, True, 12)
    words = report_fields(report)
    assert read_report([*words, "colour", "green"]) == report
    assert read_report(report_fields(replace(report, record=None, heard_primary_ms_ago=None))).record is None
    for broken in (words[2:], [*words, "intact"][:-3], [*words, "set-record", "holdfast-set:1:x"], []):
        if broken != words[:-2]:
            with pytest.raises(OrderError):
                read_report(broken)


def test_a_node_that_follows_in_an_epoch_may_be_pointed_to_its_primary_by_any_manager() -> None:
    state = NodeState("n", fence_epoch=3, fence_leader="L1", term_epoch=3)
    order = fence.FollowOrder(3, "L2", "host", 6379, "p")
    decision = fence.told_to_follow(fence.Node(state, Standing.REPLICA), order)
    assert fence.Follow("host", 6379, "p") in decision.effects
    assert decision.node.state.fence_leader == "L1"
    open_fence = fence.Node(NodeState("n", fence_epoch=3, fence_leader="L1", term_epoch=2), Standing.FENCED)
    refused = fence.told_to_follow(open_fence, order)
    assert isinstance(refused.effects[0], fence.Refuse)
