"""Plans: which slots go where, who leads and who follows, what is mended how."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cluster.jobs import balance
from holdfast.cluster.jobs.balance import NoPlan
from holdfast.cluster.jobs.health import Facts, examine, promise
from holdfast.cluster.jobs.mending import Kind, cases, remedies
from holdfast.cluster.jobs.placement import crowding, place
from holdfast.cluster.jobs.topology import (
    SLOTS,
    Node,
    Picture,
    View,
    compress,
    expand,
    parse_view,
    read_slots,
    written,
)


def node(name: str, ranges: tuple[tuple[int, int], ...] = (), primary: str = "", epoch: int = 1) -> Node:
    role = "slave" if primary else "master"
    return Node(name, f"host-{name}", 7000, frozenset({role}), primary, epoch, True, ranges)


def picture(
    *nodes: Node,
    migrating: dict[str, dict[int, str]] | None = None,
    importing: dict[str, dict[int, str]] | None = None,
    dead: tuple[str, ...] = (),
) -> Picture:
    table = {each.id: each for each in nodes}
    views = {
        name: View(name, table, (migrating or {}).get(name, {}), (importing or {}).get(name, {}))
        for name in table
        if name not in dead
    }
    return Picture(views, dict.fromkeys(dead, "no answer"))


THREE = (
    node("a", ((0, 5460),), epoch=1),
    node("b", ((5461, 10922),), epoch=2),
    node("c", ((10923, 16383),), epoch=3),
)


def held(shown: Picture) -> dict[str, list[int]]:
    return {each.id: shown.slots_of(each.id) for each in shown.primaries}


def moved(before: dict[str, list[int]], moves: list[balance.Move]) -> dict[str, set[int]]:
    """Do the moves, insisting that each source has what it gives."""
    now = {name: set(slots) for name, slots in before.items()}
    for move in moves:
        assert set(move.slots) <= now[move.source]
        now[move.source] -= set(move.slots)
        now[move.target] |= set(move.slots)
    return now


@st.composite
def holdings(draw: st.DrawFn) -> dict[str, list[int]]:
    """Draw clusters of two to six nodes, some of them without slots, some in many pieces."""
    names = [f"n{number}" for number in range(draw(st.integers(2, 6)))]
    cuts = sorted(draw(st.sets(st.integers(1, SLOTS - 1), max_size=12)))
    parts: dict[str, list[int]] = {name: [] for name in names}
    for first, last in zip([0, *cuts], [*cuts, SLOTS], strict=True):
        parts[draw(st.sampled_from(names))] += range(first, last)
    return parts


@settings(max_examples=40, deadline=None)
@given(holdings(), st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=6, max_size=6))
def test_a_rebalance_gives_each_its_share_and_moves_no_slot_more_than_that_takes(
    before: dict[str, list[int]], drawn: list[float]
) -> None:
    weights = dict(zip(before, drawn, strict=False))
    if not any(weights.values()):
        weights[next(iter(weights))] = 1.0
    wanted = balance.shares(weights)
    moves = balance.rebalance(before, weights)
    after = moved(before, moves)
    assert {name: len(slots) for name, slots in after.items()} == wanted
    needed = sum(max(0, len(before[name]) - wanted[name]) for name in before)
    assert sum(len(move.slots) for move in moves) == needed
    assert not {move.source for move in moves} & {move.target for move in moves}


@settings(max_examples=40, deadline=None)
@given(holdings(), st.integers(1, 3000))
def test_a_reshard_takes_from_each_source_in_proportion(before: dict[str, list[int]], count: int) -> None:
    target = next(iter(before))
    there = sum(len(slots) for name, slots in before.items() if name != target)
    if there < count:
        with pytest.raises(NoPlan):
            balance.reshard(before, list(before), target, count)
        return
    moves = balance.reshard(before, list(before), target, count)
    assert len(moved(before, moves)[target]) == len(before[target]) + count
    for move in moves:
        assert abs(len(move.slots) - count * len(before[move.source]) / there) <= 1


def test_a_drained_node_has_nothing_and_the_others_are_even() -> None:
    before = held(picture(*THREE))
    after = moved(before, balance.drain(before, "b"))
    assert [len(after[name]) for name in "abc"] == [8192, 0, 8192]


def test_slots_that_touch_the_takers_own_are_taken_so_that_ranges_stay_few() -> None:
    before = held(picture(*THREE))
    after = moved(before, balance.reshard(before, ["a"], "b", 100))
    assert compress(after["b"]) == ((5361, 10922),)


def test_nothing_moves_while_all_are_within_the_threshold() -> None:
    before = held(picture(node("a", ((0, 8100),)), node("b", ((8101, 16383),))))
    assert balance.rebalance(before, {}, 0.02) == []
    assert balance.rebalance(before, {}, 0.0)


def test_a_move_is_written_as_an_order_that_asks_for_what_shall_be() -> None:
    shown = picture(*THREE)
    (move,) = balance.reshard(held(shown), ["a"], "b", 100)
    slots, _, target = move.order.partition("=")
    again = balance.placed(shown.owners, dict.fromkeys(read_slots(slots), target))
    assert again == [move]
    there = dict(shown.owners) | dict.fromkeys(move.slots[:60], "b")
    (rest,) = balance.placed(there, dict.fromkeys(move.slots, "b"))
    assert rest.slots == move.slots[60:]


@given(st.sets(st.integers(0, SLOTS - 1), min_size=1, max_size=50))
def test_slots_are_read_as_they_are_written(slots: set[int]) -> None:
    assert read_slots(written(slots)) == sorted(slots) == expand(compress(slots))


# --------------------------------------------------------------- placement


@pytest.mark.parametrize(
    ("hosts", "each", "replicas"), [(3, 2, 1), (3, 3, 2), (4, 3, 1), (6, 1, 1), (3, 4, 1), (5, 3, 2)]
)
def test_no_replica_shares_a_host_with_its_shard_where_hosts_allow_it(
    hosts: int, each: int, replicas: int
) -> None:
    nodes = {f"h{host}:{port}": f"h{host}" for host in range(hosts) for port in range(each)}
    layout = place(nodes, replicas)
    shards = {name: [name] for name in layout.primaries}
    for replica, primary in layout.replicas.items():
        shards[primary].append(replica)
    assert crowding(shards, nodes) == 0
    assert sorted(each for members in shards.values() for each in members) == sorted(nodes)
    assert max(Counter(nodes[name] for name in layout.primaries).values()) <= -(
        -len(layout.primaries) // hosts
    )


def test_what_cannot_be_kept_apart_is_said() -> None:
    layout = place({f"one:{port}": "one" for port in range(6)}, 1)
    assert len([text for text in layout.warnings if "shares the host of its primary" in text]) == 3


def test_too_few_nodes_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(NoPlan, match="takes 6 nodes"):
        place({f"h:{port}": "h" for port in range(5)}, 1)


# ------------------------------------------------------------------ health


def test_cluster_nodes_is_read_with_marks_host_names_and_bus_ports() -> None:
    view = parse_view(
        "aa :7001@17009,name myself,master - 0 0 4 connected 0-99 200 [150->-bb] [300-<-bb]\n"
        "bb 10.0.0.2:7002@17002 slave,fail? aa 0 0 4 disconnected\n",
        "10.0.0.1",
    )
    assert (view.me.address, view.me.bus_port, view.me.hostname) == ("10.0.0.1:7001", 17009, "name")
    assert view.me.ranges == ((0, 99), (200, 200)) and view.me.slot_count == 101
    assert (view.migrating, view.importing) == ({150: "bb"}, {300: "bb"})
    assert view.nodes["bb"].is_failed and view.nodes["bb"].primary_id == "aa"


def test_a_sound_cluster_has_no_errors() -> None:
    replicas = [node(f"r{each.id}", primary=each.id) for each in THREE]
    assert examine(picture(*THREE, *replicas), {}) == []


def test_uncovered_slots_double_claims_and_other_views_are_found() -> None:
    kinds = {each.kind for each in examine(picture(*THREE[:2]), {})}
    assert "uncovered" in kinds
    other = node("c", ((5000, 16383),), epoch=9)
    found = examine(picture(*THREE[:2], other), {})
    assert "two-owners" in {each.kind for each in found}
    views = dict(picture(*THREE).views)
    stale = {**views["a"].nodes, "c": node("c", ((11000, 16383),), epoch=3)}
    views["a"] = View("a", stale, {}, {})
    assert "disagree" in {each.kind for each in examine(Picture(views, {}), {})}


def facts(*, ours: bool, needed: int = 0, may_be_promoted: bool = True) -> Facts:
    return Facts(ours, "7", 0, 0, 0, "", needed, "kept" if needed else "", may_be_promoted, "ok")


def test_a_stock_node_in_a_shard_takes_the_promise_away_unless_it_cannot_be_promoted() -> None:
    lead, replica = THREE[0], node("r", primary="a")
    say = lambda own, other: promise(lead, [replica], {"a": own, "r": other})  # noqa: E731
    assert say(facts(ours=True, needed=1), facts(ours=True)).startswith("kept")
    assert say(facts(ours=True, needed=1), facts(ours=False)).startswith("taken away by stock")
    assert say(facts(ours=True, needed=1), facts(ours=False, may_be_promoted=False)).startswith("kept")
    assert say(facts(ours=False), facts(ours=True)).startswith("none")


# ----------------------------------------------------------------- mending


def kinds_of(shown: Picture, keys: dict[str, dict[int, int]]) -> list[tuple[Kind, str, str]]:
    return [(each.kind, each.node, each.target) for each in remedies(cases(shown, keys), shown)]


def test_a_move_with_both_marks_is_finished() -> None:
    shown = picture(*THREE, migrating={"a": {5: "b"}}, importing={"b": {5: "a"}})
    assert kinds_of(shown, {"b": {5: 3}}) == [(Kind.FORWARD, "a", "b")]


def test_a_mark_before_any_key_travelled_is_taken_back() -> None:
    assert kinds_of(picture(*THREE, migrating={"a": {5: "b"}}), {}) == [(Kind.CLEAR, "a", "")]
    assert kinds_of(picture(*THREE, importing={"b": {5: "a"}}), {"a": {5: 3}}) == [(Kind.CLEAR, "b", "")]


def test_who_has_not_heard_that_its_slot_was_taken_keeps_its_mark_until_it_is_told() -> None:
    views = dict(picture(*THREE, migrating={"a": {5: "b"}}).views)
    has_it = replace(THREE[1], ranges=((5, 5), *THREE[1].ranges), epoch=9)
    views["b"] = replace(views["b"], nodes={**views["b"].nodes, "b": has_it})
    assert kinds_of(Picture(views, {}), {"b": {5: 3}}) == [(Kind.TELL, "a", "b")]


def test_a_mark_that_a_failover_lost_at_the_source_does_not_strand_the_keys_that_travelled() -> None:
    shown = picture(*THREE, importing={"b": {5: "a"}})
    assert kinds_of(shown, {"a": {5: 1}, "b": {5: 3}}) == [(Kind.FORWARD, "a", "b")]


def test_stray_keys_are_brought_to_their_owner() -> None:
    assert kinds_of(picture(*THREE), {"b": {5: 3}}) == [(Kind.GATHER, "b", "a")]


def test_an_uncovered_slot_goes_to_whoever_has_its_keys() -> None:
    shown = picture(*THREE[:2], node("c", ((10924, 16383),), epoch=3))
    assert kinds_of(shown, {"b": {10923: 3}}) == [(Kind.COVER, "b", "")]


def test_taking_slots_from_a_node_that_does_not_answer_says_what_could_be_lost() -> None:
    gone = replace(THREE[2], flags=frozenset({"master", "fail"}))
    shown = picture(*THREE[:2], gone, dead=("c",))
    found = remedies(cases(shown, {}), shown)
    assert {each.kind for each in found} == {Kind.COVER}
    assert len(found) == 5461 and all("does not answer" in each.risk for each in found)
    assert abs(Counter(each.node for each in found)["a"] - 2730) <= 2


def test_slots_of_a_dead_node_go_in_runs_and_all_have_alike_many_after_it() -> None:
    gone = replace(THREE[1], flags=frozenset({"master", "fail"}))
    shown = picture(THREE[0], gone, THREE[2], dead=("b",))
    found = remedies(cases(shown, {"c": {5461: 2}}), shown)
    assert [found[0].node, found[0].slot] == ["c", 5461]
    taken = [each.node for each in found[1:]]
    assert taken == sorted(taken)
    held = Counter(taken) + Counter({"a": 5461, "c": 5461 + 1})
    assert abs(held["a"] - held["c"]) <= 1


def test_a_node_that_answers_the_others_and_not_us_keeps_its_slots() -> None:
    shown = picture(*THREE, dead=("c",))
    assert remedies(cases(shown, {}), shown) == []


def test_a_move_to_a_node_that_does_not_answer_is_not_taken_back_without_a_word() -> None:
    shown = picture(*THREE, migrating={"a": {5: "c"}}, dead=("c",))
    clear = next(each for each in remedies(cases(shown, {}), shown) if each.slot == 5)
    assert clear.kind is Kind.CLEAR and "may hold keys of slot 5" in clear.risk


@pytest.mark.parametrize(
    ("migrating", "importing", "is_on_its_way"),
    [
        ({}, {}, False),
        ({}, {"b": {0: "a"}}, False),
        ({"a": {0: "b"}}, {"b": {0: "a"}}, True),
        ({"a": {0: "b"}}, {}, False),
        ({"b": {0: "c"}}, {"c": {0: "b"}}, False),
        ({"a": {0: "d"}}, {}, True),
        ({"a": {0: "e"}}, {}, True),
    ],
    ids=["none", "the taker's alone", "both", "nobody takes it", "not the owner's", "a replica", "the dead"],
)
def test_whose_keys_may_be_elsewhere(
    migrating: dict[str, dict[int, str]], importing: dict[str, dict[int, str]], is_on_its_way: bool
) -> None:
    nodes = (*THREE, node("d", primary="b"), node("e"))
    shown = picture(*nodes, migrating=migrating, importing=importing, dead=("e",))
    assert shown.is_on_its_way(0) is is_on_its_way
