"""Runs of slots say slot by slot what tables of all slots would say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.cluster.jobs.runs import Runs, overlay

SLOTS = 40
ranges = st.lists(st.tuples(st.integers(0, SLOTS - 1), st.integers(0, 9)), max_size=5)
layers = st.lists(ranges, max_size=5)


def _apart(drawn: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges out of (first slot, further slots), apart from each other as a node's are."""
    taken: set[int] = set()
    kept = []
    for first, more in drawn:
        last = min(first + more, SLOTS - 1)
        if taken.isdisjoint(range(first, last + 1)):
            taken.update(range(first, last + 1))
            kept.append((first, last))
    return kept


@given(layers)
def test_overlaid_ranges_say_of_each_slot_whose_it_is(drawn: list[list[tuple[int, int]]]) -> None:
    each = [_apart(one) for one in drawn]
    runs = Runs((first, last, tuple(who)) for first, last, who in overlay(enumerate(each)))
    table = {}
    for slot in range(SLOTS):
        who = tuple(number for number, some in enumerate(each) if any(a <= slot <= b for a, b in some))
        if who:
            table[slot] = who
    assert dict(runs) == table
    assert [runs.get(slot, ()) for slot in range(SLOTS)] == [table.get(slot, ()) for slot in range(SLOTS)]
    assert len(runs) == len(table)
    gaps = [slot for first, last in runs.without(SLOTS) for slot in range(first, last + 1)]
    assert gaps == [slot for slot in range(SLOTS) if slot not in table]


@given(st.dictionaries(st.integers(0, SLOTS - 1), st.sampled_from("ab")))
def test_equal_tables_are_equal_however_they_were_cut(table: dict[int, str]) -> None:
    single = Runs((slot, slot, table[slot]) for slot in sorted(table))
    assert single == Runs(single.runs) == table
    assert single.ranges_of("a") == [(first, last) for first, last, who in single.runs if who == "a"]
    assert single != Runs([(SLOTS, SLOTS, "a")])
