"""Single decisions of a cluster node on who owns a slot: claims, imports, moves, heirs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.cluster import claims, election, flags, health, messages, orders, outgoing, table, voting
from holdfast.cluster.effects import Persist
from holdfast.cluster.machine import Machine
from holdfast.cluster.messages import Extensions, Gossip
from holdfast.cluster.model import Link, Node, View
from holdfast.cluster.slots import of_range
from holdfast.cluster.told import Told
from holdfast.engine.values import CommandError
from tests.cluster.views import ME, NOW, A, B, R, S, a_view, as_replica, from_node, sent


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


def test_a_fenced_primary_follows_its_heir_and_gives_up_what_that_one_does_not_know() -> None:
    """It claimed a slot, and a power loss everywhere took the claim from all but it (swarm seed 4246)."""
    view = a_view()
    heir, inherited, machine = view.nodes[S], view.me.slots, Machine(view)
    table.turn_primary(view, heir)
    view.give_slot(5000, view.me)
    heir.config_epoch, link = 30, Link(heir, False, NOW, is_up=True)
    machine.received(link, from_node(view, heir, slots=inherited), NOW)
    assert view.me.is_primary, "it works: a slot of its own keeps it one"
    view.is_fenced = True
    told = Extensions(shard_id=view.me.shard_id)
    machine.received(link, from_node(view, heir, slots=inherited, extensions=told), NOW)
    assert view.me.primary is heir
    assert view.owners[5000] is None


def test_a_fenced_primary_follows_no_former_replica_that_was_reset_and_has_slots_by_now() -> None:
    """It was away meanwhile: what it remembers of that one's shard is from before."""
    view = a_view()
    former, mine, link = view.nodes[S], view.me.slots, Link(view.nodes[S], False, NOW, is_up=True)
    former.shard_id, view.is_fenced = view.me.shard_id, True
    view.nodes[B].config_epoch = 30
    said = from_node(view, former, primary_id="", flags=flags.PRIMARY, slots=1 << 10_000, config_epoch=31)
    update = from_node(view, view.nodes[A], messages.UPDATE, about=S, about_epoch=31, about_slots=1 << 10_000)
    machine = Machine(view)
    machine.received(Link(view.nodes[A], False, NOW, is_up=True), update, NOW)
    assert (view.me.slots, view.owners[10_000]) == (mine, former), "another one says it"
    machine.received(link, said, NOW)  # it does not know yet that we read ids
    new_shard = Extensions(shard_id="7" * 40)
    machine.received(link, said._replace(slots=3 << 10_000, extensions=new_shard), NOW)
    assert (view.me.slots, view.me.primary) == (mine, None)


def test_a_fenced_primary_follows_a_stock_node_of_its_shard_only_if_that_takes_slots_of_it() -> None:
    view = a_view()
    other, mine = view.nodes[S], view.me.slots
    other.shard_id, other.is_ours, view.is_fenced = view.me.shard_id, False, True
    table.turn_primary(view, other)
    view.give_slot(5000, view.me)
    claims.claim(view, other, 30, 1 << 10_000)
    assert view.me.slots == mine | 1 << 5000
    claims.claim(view, other, 31, mine)
    assert view.me.primary is other


def test_a_replica_that_is_reset_leaves_the_shards_id_behind() -> None:
    view = as_replica(a_view())
    before = view.me.shard_id
    orders.reset(view, False)
    assert view.me.shard_id != before
    kept = view.me.shard_id
    orders.reset(view, False)
    assert view.me.shard_id == kept, "a primary's replicas have it, too"


def test_an_heir_gives_no_vote_in_an_epoch_in_which_its_former_primary_may_have_voted() -> None:
    """Two won in one epoch, with the votes of a primary and of who led in its stead (swarm seed 4243)."""
    view = as_replica(a_view())
    view.epoch = 12
    election.lead(view, NOW)
    candidate, primary = view.nodes[S], view.nodes[B]
    candidate.primary, primary.flags = primary, primary.flags | flags.FAIL
    request = from_node(view, candidate, kind=messages.AUTH_REQUEST, epoch=12)
    assert "already voted" in str(voting.refusal(view, candidate, request, NOW + 5000))
    view.epoch = 13
    request = from_node(view, candidate, kind=messages.AUTH_REQUEST, epoch=13)
    assert voting.refusal(view, candidate, request, NOW + 5000) is None


def test_while_another_node_claims_slots_of_ours_our_epoch_stays() -> None:
    view = a_view()
    view.giving = 0b11
    view.me.config_epoch = view.nodes[A].config_epoch
    claims.resolve_collision(view, view.nodes[A])
    for order in (
        lambda: orders.bump_epoch(view, NOW),
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
    assert a.link is not None
    outgoing.ping(view, a.link, messages.PING, NOW)
    machine.received(a.link, from_node(view, a, messages.PONG, config_epoch=51), NOW)  # it knows
    claims.claim(view, a, 99, a.slots | slot)  # and has got it again
    assert view.owners[5000] is a


def test_what_a_former_owner_said_before_it_had_a_slot_is_no_word_that_it_let_it_go() -> None:
    view = a_view()
    a, slot, machine = view.nodes[A], 1 << 5000, Machine(view)
    assert a.link is not None
    outgoing.ping(view, a.link, messages.PING, NOW)
    _imported(view)
    for link, kind in ((Link(a, False, NOW, is_up=True), messages.PONG), (a.link, messages.PONG)):
        machine.received(link, from_node(view, a, kind), NOW)  # under way since before we took the slot
    claims.claim(view, a, 50, a.slots | slot)
    assert view.owners[5000] is view.me
    assert view.me.config_epoch > 50


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


def _told(view: View, slots: int, to: Node) -> None:
    orders.set_owner(view, slots.bit_length() - 1, to.id, lambda slot: 0, NOW)


@pytest.mark.parametrize("moves_on", [orders.give_slots, _told])
def test_who_gives_its_last_slot_away_when_an_heir_has_the_others_follows_the_heir(
    moves_on: Callable[[View, int, Node], None],
) -> None:
    view = a_view()
    view.settings.allow_replica_migration = False
    s, last = view.nodes[S], 1 << 0
    table.turn_primary(view, s)
    s.shard_id = view.me.shard_id
    claims.claim(view, s, 50, view.me.slots & ~last)
    assert view.me.slots == last
    moves_on(view, last, view.nodes[A])
    assert view.me.primary is s


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


def test_a_claim_that_waited_is_refused_where_the_slot_has_moved_on() -> None:
    """The keys are at its third owner: they would be deleted there (swarm seed 100603)."""
    view = a_view()
    b, slot = view.nodes[B], 1 << 5000
    orders.set_importing(view, 5000, A)
    orders.set_stable(view, 5000)  # by the tool that moves it on
    claims.claim(view, b, 50, b.slots | slot)
    with pytest.raises(CommandError, match="not being imported"):
        orders.set_owner(view, 5000, ME, lambda slot: 0, NOW)
    assert view.owners[5000] is b


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


def test_who_is_cut_off_takes_no_epoch_as_it_may_have_an_heir() -> None:
    """It went above that heir, claim by claim, and had the slots again when it was back (swarm seed 886)."""
    view, later = a_view(), NOW + 5000
    a = view.nodes[A]
    a.id, a.config_epoch = "f" * 40, view.me.config_epoch
    view.open_slot(view.importing, 5000, a)
    health.judge(view, later)
    for order in (
        lambda: orders.reserve_epoch(view, later),
        lambda: orders.use_reserved_epoch(view, 10, later),
        lambda: orders.bump_epoch(view, later),
        lambda: orders.set_owner(view, 5000, ME, lambda slot: 1, later),
    ):
        with pytest.raises(CommandError, match="TRYAGAIN A majority"):
            order()
    claims.resolve_collision(view, a)
    assert (view.me.config_epoch, view.epoch) == (a.config_epoch, 9)
    health.judge(view, NOW)
    claims.resolve_collision(view, a)
    assert view.me.config_epoch == 10


def test_a_claims_epoch_is_ours_when_a_majority_knows_that_it_is_taken_and_nobody_has_a_higher_one() -> None:
    """Cut off meanwhile, it had the slots in the epoch in which its heir was elected (swarm seed 886)."""
    view, told = a_view(), Told()
    epoch = orders.reserve_epoch(view, NOW)
    assert not orders.voters_know(view, told, NOW)
    assert epoch > 9
    told_epochs = [each.message.epoch for each in sent(view, messages.PING)]
    assert told_epochs == [epoch + 1] * 2, "who knows votes in none that is as small as ours"
    assert view.me.config_epoch == 1
    link = view.nodes[A].link
    assert link is not None
    link.pongs = link.pings
    assert orders.voters_know(view, told, NOW)
    view.nodes[B].config_epoch = epoch
    assert not orders.use_reserved_epoch(view, epoch, NOW)
    view.nodes[B].config_epoch = 9
    view.epoch = epoch + 2  # by a candidate, who perhaps does not win
    assert orders.use_reserved_epoch(view, epoch, NOW)
    orders.begin_claim(view, 1 << 5000, NOW)
    assert (view.me.config_epoch, view.epoch) == (epoch, epoch + 2)


def test_primaries_that_reserve_an_epoch_at_the_same_time_do_not_take_the_same_one() -> None:
    """One took a slot of the other in the epoch that this one had taken, too (swarm seed 18711)."""
    reserved = []
    for name in (ME, A, B):
        view = a_view()
        view.me = view.nodes[name]
        for highest in (9, 10, 11, 20):
            view.epoch = highest
            reserved.append((name, orders.reserve_epoch(view, NOW)))
    epochs = {name: {epoch for each, epoch in reserved if each == name} for name in (ME, A, B)}
    assert not epochs[ME] & epochs[A] and not epochs[A] & epochs[B] and not epochs[ME] & epochs[B]


def test_who_was_told_an_epoch_of_a_claim_is_served_in_it() -> None:
    """The claim took another one, which no majority knew, behind the one that was told."""
    for take in (
        lambda view: orders.take_slots(view, 1 << 5000, view.nodes[A], NOW),
        lambda view: orders.set_owner(view, 5000, ME, lambda slot: 1, NOW),
    ):
        view = a_view()
        view.open_slot(view.importing, 5000, view.nodes[A])
        health.judge(view, NOW)
        epoch = orders.reserve_epoch(view, NOW)
        assert orders.use_reserved_epoch(view, epoch, NOW)
        orders.begin_claim(view, 1 << 5000, NOW)
        take(view)
        assert view.owners[5000] is view.me
        assert view.me.config_epoch == epoch


@pytest.mark.parametrize(
    "order",
    [
        lambda view: orders.reserve_epoch(view, NOW),
        lambda view: orders.use_reserved_epoch(view, 10, NOW),
        lambda view: orders.begin_claim(view, 1 << 5000, NOW),
        lambda view: orders.set_owner(view, 5000, ME, lambda _: 1, NOW),
        lambda view: orders.take_slots(view, 1 << 5000, view.nodes[A], NOW),
        lambda view: orders.bump_epoch(view, NOW),
    ],
    ids=["reserve", "use", "begin", "set owner", "take", "bump"],
)
def test_a_node_that_was_fenced_since_its_claim_began_takes_neither_epoch_nor_slot(
    order: Callable[[View], object],
) -> None:
    view = a_view()
    view.open_slot(view.importing, 5000, view.nodes[A])
    view.is_fenced = True
    with pytest.raises(CommandError, match="FENCED"):
        order(view)
    assert view.owners[5000] is view.nodes[A]
    assert (view.me.config_epoch, view.epoch, view.reserved_epoch, view.claiming) == (1, 9, 0, 0)
    assert not view.take_effects()
