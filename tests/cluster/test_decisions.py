"""Single decisions of a cluster node, each as a table."""

from __future__ import annotations

import random

import pytest

from holdfast.cluster import (
    claims,
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
from holdfast.cluster.effects import Persist, Send
from holdfast.cluster.machine import Machine
from holdfast.cluster.messages import Gossip, Message
from holdfast.cluster.model import Link, Node, View
from holdfast.cluster.settings import Settings
from holdfast.cluster.slots import ALL, of_range
from holdfast.cluster.told import Told
from holdfast.engine.values import CommandError

NOW = 1_000_000
ME, A, B, R, S = (letter * 40 for letter in "5abcd")


def a_view(timeout_ms: int = 1000) -> View:
    """Return a primary with a third of the slots, two others, and a replica of A (R) and of ME (S)."""
    view = View(ME, random.Random(1), Settings(node_timeout=timeout_ms), NOW)
    view.started_ms = view.looked_ms = NOW
    view.me.config_epoch, view.epoch, view.first_look_ms, view.is_ok = 1, 9, NOW - 10_000, True
    for number, node_id in enumerate((A, B)):
        node = add(view, node_id, flags.PRIMARY)
        node.config_epoch = number + 2
        view.give_slots(of_range((number + 1) * 5000, (number + 1) * 5000 + 4999), node)
    view.give_slots(of_range(0, 4999) | of_range(15000, 16383), view.me)
    for node_id, primary in ((R, view.nodes[A]), (S, view.me)):
        view.attach(add(view, node_id, flags.REPLICA), primary)
    health.judge(view, NOW)
    view.take_effects()
    return view


def add(view: View, node_id: str, node_flags: int) -> Node:
    """Add a connected node that answered a moment ago."""
    node = table.new_node(view, node_id, node_flags, NOW)
    node.host, node.port, node.bus_port = "127.0.0.1", 7000 + len(view.nodes), 17000 + len(view.nodes)
    node.link = Link(node, True, NOW, is_up=True, has_answered=True)
    node.heard_ms = node.pong_received_ms = node.answered_ms = NOW
    node.is_ours = True
    return node


def as_replica(view: View, primary_id: str = A) -> View:
    """Let this node be a replica."""
    view.give_slots(view.me.slots, None)
    view.detach(view.nodes[S])
    table.follow(view, view.nodes[primary_id])
    view.has_foreign_copy, view.primary_heard_ms = False, NOW
    health.judge(view, NOW)
    view.take_effects()
    return view


def from_node(view: View, node: Node, kind: int = messages.PING, **fields: object) -> Message:
    """Return a message as this node would send it now."""
    shown = node.group
    message = outgoing.make(view, kind)._replace(
        sender=node.id,
        primary_id=node.primary.id if node.primary else "",
        slots=shown.slots,
        config_epoch=shown.config_epoch,
        flags=node.flags,
        host=node.host,
        port=node.port,
        bus_port=node.bus_port,
    )
    return message._replace(**fields)  # type: ignore[arg-type]


def sent(view: View, kind: int) -> list[Send]:
    """Return the messages of this type that would be sent, and forget all effects."""
    return [each for each in view.take_effects() if isinstance(each, Send) and each.message.type == kind]


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


# ---- slots ----


def test_a_higher_epoch_takes_slots_and_a_lower_one_is_told_better() -> None:
    view = a_view()
    a, b = view.nodes[A], view.nodes[B]
    machine = Machine(view)
    machine.received(a.link or Link(a, True, NOW), from_node(view, a, slots=a.slots | b.slots), NOW)
    assert view.owners[10_000] is b
    (update,) = sent(view, messages.UPDATE)
    assert update.message.about == B
    claimed = from_node(view, a, slots=a.slots | b.slots, config_epoch=7)
    machine.received(a.link or Link(a, True, NOW), claimed, NOW)
    assert view.owners[10_000] is a


def test_a_replica_tells_nobody_of_slots_that_perhaps_only_its_shard_knows_to_be_claimed() -> None:
    view = as_replica(a_view())
    a, b = view.nodes[A], view.nodes[B]
    machine = Machine(view)
    claiming = from_node(view, a, slots=a.slots | 1 << 10_000, config_epoch=7)
    machine.received(a.link or Link(a, True, NOW), claiming, NOW)
    assert view.owners[10_000] is a
    view.take_effects()
    machine.received(b.link or Link(b, True, NOW), from_node(view, b, slots=b.slots | 1 << 10_000), NOW)
    assert not sent(view, messages.UPDATE)


def test_keys_of_slots_that_were_lost_are_forgotten_unless_all_were_lost() -> None:
    view = a_view()
    lost = of_range(0, 99)
    claims.claim(view, view.nodes[B], 7, view.nodes[B].slots | lost)
    assert view.lost == lost
    claims.claim(view, view.nodes[B], 7, view.nodes[B].slots | view.me.slots)
    assert view.me.primary is view.nodes[B]
    assert view.lost == lost


def test_a_slot_that_we_import_is_not_taken() -> None:
    view = a_view()
    b = view.nodes[B]
    view.open_slot(view.importing, 5000, view.nodes[A])
    claims.claim(view, b, 7, b.slots | 1 << 5000)
    assert view.owners[5000] is view.nodes[A]


def test_a_slot_is_imported_from_the_heir_of_whom_it_was_imported_from() -> None:
    view = a_view()
    heir = view.nodes[R]
    heir.shard_id = view.nodes[A].shard_id
    view.open_slot(view.importing, 5000, view.nodes[A])
    table.turn_primary(view, heir)
    claims.claim(view, heir, 7, view.nodes[A].slots)
    assert view.owners[5000] is heir
    assert view.importing == {5000: heir}


def test_a_slot_is_sent_elsewhere_where_its_first_target_leads_no_more() -> None:
    view = a_view()
    orders.set_migrating(view, 1, A)
    view.nodes[A].flags |= flags.FAIL
    orders.set_migrating(view, 1, B)
    assert view.migrating == {1: view.nodes[B]}


def test_our_heir_has_what_we_were_importing_and_is_followed_though_others_took_the_last_slot() -> None:
    view = a_view()
    view.settings.allow_replica_migration = False
    b, heir = view.nodes[B], view.nodes[S]
    heir.shard_id = view.me.shard_id
    view.open_slot(view.importing, 5000, view.nodes[A])
    table.turn_primary(view, heir)
    claims.claim(view, heir, 7, (view.me.slots | 1 << 5000) & ~1)
    assert view.owners[5000] is heir
    claims.claim(view, b, 8, b.slots | 1)
    assert view.me.primary is heir


def test_a_claim_takes_a_new_epoch_though_its_own_is_the_highest() -> None:
    view = a_view()
    view.me.config_epoch = view.epoch
    orders.begin_claim(view, 1 << 5000, NOW)
    assert view.me.config_epoch == 10
    orders.take_slots(view, 1 << 5001, view.nodes[A], NOW)
    assert view.me.config_epoch == 11


def test_a_fenced_primary_yields_to_an_heir_that_was_elected_in_the_epoch_it_had_taken() -> None:
    view = a_view()
    heir = view.nodes[S]
    heir.shard_id, heir.id = view.me.shard_id, "f" * 40
    table.turn_primary(view, heir)
    view.is_fenced, view.me.config_epoch, heir.config_epoch = True, 30, 30
    claims.resolve_collision(view, heir)
    assert not table.bump_epoch(view, always=True)
    claims.claim(view, heir, 30, view.me.slots)
    assert (view.me.config_epoch, view.me.primary) == (30, heir)


def test_while_another_node_claims_slots_of_ours_our_epoch_stays() -> None:
    view = a_view()
    view.giving = 0b11
    view.me.config_epoch = view.nodes[A].config_epoch
    claims.resolve_collision(view, view.nodes[A])
    for order in (
        lambda: orders.bump_epoch(view),
        lambda: orders.begin_claim(view, 1 << 5000, NOW),
        lambda: orders.take_slots(view, 1 << 5000, view.nodes[A], NOW),
    ):
        with pytest.raises(CommandError, match="TRYAGAIN"):
            order()
    assert view.me.config_epoch == view.nodes[A].config_epoch
    view.giving = 0
    claims.resolve_collision(view, view.nodes[A])
    assert view.me.config_epoch > view.nodes[A].config_epoch


def _imported(view: View) -> None:
    view.open_slot(view.importing, 5000, view.nodes[A])
    orders.set_owner(view, 5000, ME, lambda slot: 1, NOW)
    assert view.owners[5000] is view.me


def test_what_a_former_owner_claims_before_it_hears_of_a_move_does_not_undo_the_move() -> None:
    view = a_view()
    a, slot = view.nodes[A], 1 << 5000
    _imported(view)
    claims.claim(view, a, 50, a.slots | slot)
    assert view.owners[5000] is view.me
    assert view.me.config_epoch > 50
    machine = Machine(view)
    machine.received(a.link or Link(a, True, NOW), from_node(view, a, config_epoch=51), NOW)  # it knows
    claims.claim(view, a, 99, a.slots | slot)  # and has got it again
    assert view.owners[5000] is a


def test_of_a_claimant_and_its_former_owner_in_one_epoch_only_the_smaller_id_moves_on() -> None:
    view = a_view()
    a, slot = view.nodes[A], 1 << 5000
    _imported(view)
    a.config_epoch = epoch = view.me.config_epoch
    assert ME < A
    claims.claim(view, a, epoch, a.slots | slot)
    assert view.me.config_epoch == epoch + 1
    a.id, a.config_epoch = "0" * 40, epoch + 1
    claims.claim(view, a, epoch + 1, a.slots | slot)
    claims.resolve_collision(view, a)
    assert view.owners[5000] is view.me
    assert view.me.config_epoch == epoch + 1, "a moves on, and then we go above it"
    claims.claim(view, a, epoch + 2, a.slots | slot)
    assert view.me.config_epoch == epoch + 3


def test_who_calls_the_former_owner_down_does_not_count_among_those_who_know_of_a_claim() -> None:
    view = a_view()
    a, b = view.nodes[A], view.nodes[B]
    machine, told = Machine(view), Told()
    for each in (a, b):
        each.link = Link(each, True, NOW, is_up=True)
    assert not orders.voters_know(view, told, NOW, a)

    def answer(node: Node, now_ms: int, row_flags: int) -> None:
        row = Gossip(A, 0, 0, "10.0.0.1", 7000, 17000, flags.PRIMARY | row_flags, 0)
        pong = from_node(view, node, type=messages.PONG, gossip=(row,) if node is b else ())
        assert node.link is not None
        machine.received(node.link, pong, now_ms)

    answer(b, NOW + 1, flags.FAIL)
    assert orders.voters_know(view, told, NOW + 1)
    assert not orders.voters_know(view, told, NOW + 1, a), "it has perhaps voted for an heir of a"
    view.take_effects()
    assert not orders.voters_know(view, told, NOW + 100, a)
    assert sent(view, messages.PING), "it is asked again"
    answer(b, NOW + 101, 0)
    assert orders.voters_know(view, told, NOW + 101, a)


def test_pings_to_our_own_kind_tell_of_primaries_that_failed() -> None:
    view = a_view()
    a, b = view.nodes[A], view.nodes[B]
    failure.mark_failed(view, a, NOW)
    for is_ours in (True, False):
        b.is_ours = is_ours
        told = [A in [row.node_id for row in outgoing._gossip(view, b)] for _ in range(20)]
        assert all(told) or not is_ours


def test_two_that_take_slots_of_each_other_at_once_come_to_an_end() -> None:
    view = a_view()
    a, mine = view.nodes[A], view.me.slots & -view.me.slots
    _imported(view)
    epoch = view.me.config_epoch + 1
    claims.claim(view, a, epoch, a.slots | 1 << 5000 | mine)  # it does not know that we took one
    assert view.owners[5000] is view.me
    assert not view.me.slots & mine
    assert view.me.config_epoch == epoch + 1


def test_a_slot_that_is_sent_back_to_where_it_came_from_may_be_claimed_there() -> None:
    view = a_view()
    a = view.nodes[A]
    _imported(view)
    orders.set_migrating(view, 5000, A)
    claims.claim(view, a, 50, a.slots | 1 << 5000)
    assert view.owners[5000] is a


def test_a_former_owner_knows_of_a_move_if_it_follows_us_or_who_leads_its_shard_has_let_go() -> None:
    view = a_view()
    a, heir, slot = view.nodes[A], view.nodes[R], 1 << 5000
    _imported(view)
    table.turn_primary(view, heir)
    table.turn_replica(view, a)
    view.attach(a, heir)
    claims.heard(view, a, slot)  # a replica shows what its primary has, as far as it knows
    assert view.imported
    claims.heard(view, heir, slot)
    assert view.imported
    claims.heard(view, heir, 0)
    assert not view.imported
    view.imported[5000] = a
    view.attach(a, view.me)
    claims.heard(view, a, slot)
    assert not view.imported


def test_an_heir_claims_no_slot_that_its_primary_claimed_no_more() -> None:
    view = as_replica(a_view())
    a = view.nodes[A]
    gone = a.slots & -a.slots
    claims.claim(view, a, a.config_epoch, a.slots & ~gone)
    assert election._request(view).slots == a.slots & ~gone
    left = a.slots & ~gone
    table.take_over(view)
    assert view.me.slots == left


def test_an_older_message_does_not_take_back_what_an_heir_knows_of_a_claim() -> None:
    view = as_replica(a_view())
    a = view.nodes[A]
    before, machine = a.slots, Machine(view)
    link = a.link or Link(a, True, NOW)
    machine.received(link, from_node(view, a, slots=before | 1 << 10_000, config_epoch=20), NOW)
    machine.received(link, from_node(view, a, slots=before, config_epoch=7), NOW)  # by another connection
    table.take_over(view)
    assert view.me.slots == before | 1 << 10_000


def test_a_slot_without_a_mark_is_claimed_only_from_the_dead_and_above_their_epoch() -> None:
    view = a_view()
    a = view.nodes[A]
    a.config_epoch = view.epoch = 40
    slot = (a.slots & -a.slots).bit_length() - 1
    with pytest.raises(CommandError, match="not being imported"):
        orders.set_owner(view, slot, ME, lambda slot: 1, NOW)
    a.flags |= flags.FAIL
    orders.set_owner(view, slot, ME, lambda slot: 1, NOW)
    assert view.me.config_epoch == 41
    claims.claim(view, a, 40, a.slots | 1 << slot)
    assert view.owners[slot] is view.me
    assert not view.lost


def test_keys_that_were_imported_stay_where_an_heir_of_their_owner_had_not_heard_of_the_move() -> None:
    view = a_view()
    heir, slot = view.nodes[R], 1 << 5000
    heir.shard_id = view.nodes[A].shard_id
    _imported(view)
    table.turn_primary(view, heir)
    view.take_effects()
    claims.claim(view, heir, 50, view.nodes[A].slots | slot)
    assert view.owners[5000] is heir
    assert view.importing == {5000: heir}
    assert not view.lost


def test_of_two_primaries_with_one_epoch_the_smaller_id_moves_on() -> None:
    view = a_view()
    view.me.config_epoch = 2
    claims.resolve_collision(view, view.nodes[A])
    assert view.me.config_epoch == 10
    assert view.take_effects()[0] == Persist(synced=True)
    view.nodes[A].id, view.nodes[A].config_epoch = "0" * 40, 10
    claims.resolve_collision(view, view.nodes[A])
    assert view.me.config_epoch == 10


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
        (lambda view: orders.reset(view, False, True), "containing keys"),
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
    orders.reset(view, True, False)
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
