"""Single decisions of a cluster node, each as a table; those on slots are in test_slot_ownership.py."""

from __future__ import annotations

import pytest

from holdfast.cluster import (
    election,
    failure,
    flags,
    health,
    messages,
    orders,
    outgoing,
    promise,
    table,
    voting,
)
from holdfast.cluster.effects import PauseWrites, Persist, Send, Then
from holdfast.cluster.machine import Machine
from holdfast.cluster.messages import Gossip, Message
from holdfast.cluster.model import Link, Node, View
from holdfast.cluster.slots import ALL
from holdfast.engine.values import CommandError
from tests.cluster.views import ME, NOW, A, B, R, S, a_view, as_replica, from_node, sent

# ---- votes ----


def _asks(view: View) -> Message:
    view.nodes[A].flags |= flags.FAIL
    return from_node(view, view.nodes[R], messages.AUTH_REQUEST, epoch=view.epoch)


def test_a_vote_is_written_before_it_leaves_and_given_once_an_epoch() -> None:
    view = a_view()
    request = _asks(view)
    voting.asked(view, view.nodes[R], request, NOW)
    effects = view.take_effects()
    assert effects[0] == Persist(synced=True)
    assert [each.message.type for each in effects if isinstance(each, Send)] == [messages.AUTH_ACK]
    view.nodes[A].voted_ms = 0
    voting.asked(view, view.nodes[R], request, NOW)
    assert not sent(view, messages.AUTH_ACK)


@pytest.mark.parametrize(
    ("why", "spoil"),
    [
        ("its master is up", lambda view: setattr(view.nodes[A], "flags", flags.PRIMARY)),
        ("reqEpoch", lambda view: setattr(view, "epoch", 10)),
        ("already voted", lambda view: setattr(view, "voted_epoch", 9)),
        ("I don't know its master", lambda view: view.detach(view.nodes[R])),
        ("it is a master node", lambda view: table.turn_primary(view, view.nodes[R])),
        ("can't vote about this master", lambda view: setattr(view.nodes[A], "voted_ms", NOW - 1999)),
        ("slot 5000 epoch (8)", lambda view: setattr(view.nodes[A], "config_epoch", 8)),
    ],
)
def test_a_vote_is_refused(why: str, spoil: object) -> None:
    view = a_view()
    request = _asks(view)
    spoil(view)  # type: ignore[operator]
    refusal = voting.refusal(view, view.nodes[R], request, NOW)
    assert refusal is not None
    assert why in refusal


def test_by_hand_a_vote_is_given_though_the_primary_works() -> None:
    view = a_view()
    request = _asks(view)._replace(message_flags=messages.FORCE_ACK)
    view.nodes[A].flags &= ~flags.FAIL
    assert voting.refusal(view, view.nodes[R], request, NOW) is None


def test_who_has_no_slots_has_no_vote() -> None:
    view = a_view()
    request = _asks(view)
    view.give_slots(view.me.slots, None)
    voting.asked(view, view.nodes[R], request, NOW)
    assert not sent(view, messages.AUTH_ACK)


# ---- failure ----


def test_a_majority_fails_a_node_and_everybody_is_told() -> None:
    view = a_view()
    node = view.nodes[A]
    failure.suspect(view, node, NOW)
    assert node.is_suspect
    assert not node.is_failed
    node.failure_reports[view.nodes[B]] = NOW
    assert failure.agree(view, node, NOW)
    assert len(sent(view, messages.FAIL)) == 4


def test_reports_of_replicas_and_old_ones_do_not_count() -> None:
    view = a_view()
    node = view.nodes[A]
    failure.suspect(view, node, NOW)
    node.failure_reports[view.nodes[S]] = NOW
    assert not failure.agree(view, node, NOW)
    node.failure_reports[view.nodes[B]] = NOW - 2001
    assert not failure.agree(view, node, NOW)
    assert failure.reports(view, node, NOW) == 0


def test_reports_without_an_own_suspicion_fail_nobody() -> None:
    view = a_view()
    node = view.nodes[A]
    node.failure_reports[view.nodes[B]] = NOW
    assert not failure.agree(view, node, NOW)


@pytest.mark.parametrize(
    ("is_replica", "has_slots", "after_ms", "is_cleared"),
    [(True, False, 0, True), (False, False, 0, True), (False, True, 1999, False), (False, True, 2001, True)],
)
def test_when_fail_is_taken_back(is_replica: bool, has_slots: bool, after_ms: int, is_cleared: bool) -> None:
    view = a_view()
    node = view.nodes[R] if is_replica else view.nodes[A]
    if not has_slots:
        view.give_slots(node.slots, None)
    failure.mark_failed(view, node, NOW)
    failure.answered(view, node, NOW + after_ms)
    assert node.is_failed is not is_cleared


def test_a_refusal_alone_is_no_suspicion_but_behind_a_lost_connection_it_is() -> None:
    view = a_view()
    machine, node = Machine(view), view.nodes[A]
    lost = node.link
    assert lost is not None
    machine.lost(lost, False, NOW)
    assert not node.is_suspect
    again = node.link
    assert again is not None
    assert again is not lost
    machine.lost(again, True, NOW)
    assert node.is_suspect

    fresh = a_view()
    machine, node = Machine(fresh), fresh.nodes[B]
    node.link = Link(node, True, NOW)
    machine.lost(node.link, True, NOW)
    assert not node.is_suspect


def test_pings_to_our_own_kind_tell_of_primaries_that_failed() -> None:
    view = a_view()
    a, b = view.nodes[A], view.nodes[B]
    failure.mark_failed(view, a, NOW)
    for is_ours in (True, False):
        b.is_ours = is_ours
        told = [A in [row.node_id for row in outgoing._gossip(view, b)] for _ in range(20)]
        assert all(told) or not is_ours


# ---- state ----


@pytest.mark.parametrize(
    ("what", "spoil", "is_ok"),
    [
        ("nothing", lambda view: None, True),
        ("one primary suspect", lambda view: failure.suspect(view, view.nodes[A], NOW), True),
        ("a slot without owner", lambda view: view.give_slot(77, None), False),
        (
            "failed, with a replica: for a moment",
            lambda view: failure.mark_failed(view, view.nodes[A], NOW),
            True,
        ),
        ("failed, without one", lambda view: failure.mark_failed(view, view.nodes[B], NOW), False),
        (
            "two that have not answered",
            lambda view: [setattr(view.nodes[each], "answered_ms", NOW - 1001) for each in (A, B)],
            False,
        ),
    ],
)
def test_when_the_cluster_serves(what: str, spoil: object, is_ok: bool) -> None:
    view = a_view()
    spoil(view)  # type: ignore[operator]
    health.judge(view, NOW)
    assert view.is_ok is is_ok, what


def test_without_full_coverage_a_lost_slot_stops_nobody_but_a_minority_does() -> None:
    view = a_view()
    view.settings.require_full_coverage = False
    view.give_slot(77, None)
    health.judge(view, NOW)
    assert view.is_ok
    for each in (A, B):
        view.nodes[each].flags |= flags.PFAIL
    health.judge(view, NOW)
    assert not view.is_ok
    for each in (A, B):
        view.nodes[each].flags &= ~flags.PFAIL
    health.judge(view, NOW + 900)
    assert not view.is_ok, "it waits a moment after it was among a minority"


# ---- elections ----


def test_the_only_replica_asks_at_once_and_fail_goes_before_its_request() -> None:
    view = as_replica(a_view())
    view.nodes[R].flags |= flags.FAIL
    failure.mark_failed(view, view.nodes[A], NOW)
    election.consider(view, NOW)
    effects = view.take_effects()
    to_b = [
        each.message.type for each in effects if isinstance(each, Send) and each.link is view.nodes[B].link
    ]
    assert to_b == [messages.FAIL, messages.AUTH_REQUEST]


@pytest.mark.parametrize(
    ("sibling_offset", "heard_after", "is_ours", "waits_ms"),
    [
        (5, True, True, 0),
        (5, False, True, 150),
        (20, True, True, 300),
        (20, True, False, 1500),
        (5, True, False, 0),
    ],
)
def test_how_long_a_replica_waits_for_a_sibling(
    sibling_offset: int, heard_after: bool, is_ours: bool, waits_ms: int
) -> None:
    view = as_replica(a_view())
    view.my_offset = 10
    sibling = view.nodes[R]
    sibling.offset, sibling.is_ours = sibling_offset, is_ours
    failure.mark_failed(view, view.nodes[A], NOW)
    sibling.offset_ms = NOW + 1 if heard_after else NOW - 50
    election.consider(view, NOW)
    if not waits_ms:
        assert view.election.is_sent
        return
    assert not view.election.is_sent
    due_ms = view.election.at_ms - NOW
    assert waits_ms <= due_ms <= waits_ms + (0 if is_ours else 500)


def test_a_replica_whose_stream_still_flows_waits_where_only_the_port_refuses() -> None:
    view = as_replica(a_view())
    view.nodes[R].flags |= flags.FAIL
    view.nodes[A].refused_ms, view.primary_link_up = NOW, True
    failure.mark_failed(view, view.nodes[A], NOW)
    election.consider(view, NOW)
    assert not view.election.is_sent
    view.primary_link_up = False
    election.consider(view, NOW)
    assert view.election.is_sent


def test_who_has_won_an_epoch_votes_for_nobody_else_in_it() -> None:
    view = as_replica(a_view())
    view.nodes[R].flags |= flags.FAIL
    failure.mark_failed(view, view.nodes[A], NOW)
    election.consider(view, NOW)
    epoch = view.election.epoch
    election.voted(view, view.nodes[B], epoch)
    view.size = 1
    election.consider(view, NOW)
    assert view.me.is_primary
    assert view.voted_epoch == view.me.config_epoch == epoch


@pytest.mark.parametrize(
    ("heard_ms_ago", "factor", "may"), [(5000, 10, True), (99_000, 10, False), (99_000, 0, True)]
)
def test_a_replica_with_old_data_stays_back(heard_ms_ago: int, factor: int, may: bool) -> None:
    view = as_replica(a_view())
    view.settings.replica_validity_factor = factor
    view.nodes[R].flags |= flags.FAIL
    failure.mark_failed(view, view.nodes[A], NOW)
    view.primary_heard_ms = NOW - heard_ms_ago
    election.consider(view, NOW)
    assert view.election.is_sent is may


def test_a_replica_that_holds_another_shards_data_never_leads_even_if_asked_to() -> None:
    view = as_replica(a_view())
    table.follow(view, view.nodes[B])
    assert view.has_foreign_copy
    orders.failover(view, "FORCE", NOW)
    election.consider(view, NOW)
    assert not view.election.is_sent


def test_a_vote_counts_once_and_a_majority_wins() -> None:
    view = as_replica(a_view())
    view.size = 3
    view.nodes[R].flags |= flags.FAIL
    failure.mark_failed(view, view.nodes[A], NOW)
    election.consider(view, NOW)
    for _ in range(3):
        election.voted(view, view.nodes[B], view.epoch)
    election.consider(view, NOW)
    assert view.me.is_replica
    view.size = 2
    election.voted(view, view.nodes[S], view.epoch)
    election.consider(view, NOW)
    assert view.me.is_replica, "a replica has no vote"
    view.size = 1
    election.consider(view, NOW)
    assert view.me.is_primary
    assert view.me.config_epoch == view.epoch
    assert view.owners[5000] is view.me


def test_shards_with_stock_nodes_are_named() -> None:
    view = a_view()
    view.nodes[B].is_ours = view.nodes[R].is_ours = False
    assert promise.gaps(view) == {A: f"stock-replica:{R}", B: "stock-primary"}
    view.nodes[R].flags |= flags.NO_FAILOVER
    assert promise.gaps(view) == {B: "stock-primary"}


def test_a_primary_tells_its_offset_as_paused_when_its_writers_are_held_back_and_not_before() -> None:
    view = a_view()
    replica = view.nodes[S]
    Machine(view).received(replica.link, from_node(view, replica, messages.MFSTART), NOW)
    before, paused = [each for each in view.take_effects() if isinstance(each, Send | PauseWrites | Then)]
    assert isinstance(before, PauseWrites) and isinstance(paused, Then)
    view.my_offset = 1000  # clients write on while nodes.conf is on its way to the disk
    outgoing.ping(view, replica.link, messages.PING, NOW)
    view.my_offset = 9000
    paused.what(True)
    told = [each.message for each in sent(view, messages.PING)]
    assert [(each.offset, each.message_flags & messages.PAUSED) for each in told] == [
        (1000, 0),
        (9000, messages.PAUSED),
    ]


# ---- orders and strangers ----


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (lambda view: orders.forget(view, ME, NOW), "I can't forget myself"),
        (lambda view: orders.forget(view, "f" * 40, NOW), "Unknown node"),
        (lambda view: orders.replicate(view, R, False), "I can only replicate a master"),
        (lambda view: orders.replicate(view, A, False), "the node must be empty"),
        (lambda view: orders.add_slots(view, 1), "Slot 0 is already busy"),
        (lambda view: orders.set_migrating(view, 5000, A), "I'm not the owner of hash slot 5000"),
        (lambda view: orders.set_migrating(view, 1, B), f"Slot 1 is on its way already to {A}"),
        (lambda view: orders.set_importing(view, 0, A), "I'm already the owner"),
        (lambda view: orders.set_importing(view, 5000, R), "Target node is not a master"),
        (lambda view: orders.set_owner(view, 0, A, lambda slot: 1, NOW), "while I still hold keys"),
        (lambda view: orders.set_config_epoch(view, 5), "does not know any other node"),
        (lambda view: orders.failover(view, "", NOW), "You should send CLUSTER FAILOVER to a replica"),
        (lambda view: orders.check_reset(view, True), "containing keys"),
    ],
)
def test_orders_that_are_refused_change_nothing(order: object, text: str) -> None:
    view = a_view()
    view.migrating[1] = view.nodes[A]
    before = list(view.owners), list(view.nodes)
    with pytest.raises(CommandError, match=text):
        order(view)  # type: ignore[operator]
    assert (list(view.owners), list(view.nodes)) == before
    assert not view.take_effects()


def test_a_hard_reset_leaves_a_new_node_without_a_past() -> None:
    view = a_view()
    orders.reset(view, True)
    assert list(view.nodes.values()) == [view.me]
    assert view.me.id != ME
    assert (view.epoch, view.voted_epoch, view.me.slots) == (0, 0, 0)


def test_a_forgotten_node_does_not_come_back_by_gossip_for_a_minute() -> None:
    view = a_view()
    machine, b = Machine(view), view.nodes[B]
    orders.forget(view, R, NOW)
    row = Gossip(R, 0, 0, "127.0.0.1", 1, 2, flags.REPLICA, 0)
    for at, is_there in ((NOW + 59_000, False), (NOW + 60_001, True)):
        assert b.link is not None
        machine.received(b.link, from_node(view, b, gossip=(row,)), at)
        assert (R in view.nodes) is is_there


def test_an_unknown_sender_changes_nothing() -> None:
    view = a_view()
    stranger = Node("f" * 40, flags.PRIMARY, NOW, "127.0.0.1", 9, bus_port=10)
    machine = Machine(view)
    before = list(view.owners), sorted(view.nodes), view.epoch
    for kind in (messages.PING, messages.PONG, messages.FAIL, messages.UPDATE, messages.AUTH_REQUEST):
        message = from_node(
            view, stranger, kind, slots=ALL, config_epoch=99, epoch=99, about=A, about_epoch=99
        )
        machine.received(Link(None, False, NOW, is_up=True), message, NOW)
    assert (list(view.owners), sorted(view.nodes), view.epoch) == before
    assert not view.nodes[A].is_failed
