"""Sets of slots: runs, members, and back."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from holdfast.cluster import slots

SETS = st.builds(
    lambda runs: sum({1 << slot for first, length in runs for slot in range(first, first + length)}),
    st.lists(st.tuples(st.integers(0, slots.SLOTS - 40), st.integers(1, 40)), max_size=20),
)


@given(SETS)
def test_runs_of_a_set_are_its_members_and_no_two_touch(chosen: int) -> None:
    runs = list(slots.ranges(chosen))
    assert sum(slots.of_range(first, last) for first, last in runs) == chosen
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(runs))
    assert slots.of_slots(slots.members(chosen)) == chosen


def test_nothing_and_everything_are_sets_too() -> None:
    assert list(slots.ranges(0)) == []
    assert list(slots.ranges(slots.ALL)) == [(0, slots.SLOTS - 1)]
