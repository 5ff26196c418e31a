"""The table against a dict: content, the promise of SCAN across resizes, fair drawing, memory."""

import os
import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.testing.probes_table import TableProbe


class TableMachine(RuleBasedStateMachine):
    """Every edit is done twice; a SCAN runs alongside and must see what stays."""

    def __init__(self) -> None:
        super().__init__()
        self.table = TableProbe(7)
        self.model: set[bytes] = set()
        self.next = 0
        self.cursor = 0
        self.must_see: set[bytes] = set()
        self.seen: set[bytes] = set()

    @rule(count=st.integers(1, 300))
    def add(self, count: int) -> None:
        for _ in range(count):
            key = b"key:%d" % self.next
            self.next += 1
            self.table.add(key)
            self.model.add(key)

    @rule(count=st.integers(1, 300), luck=st.randoms())
    def pop(self, count: int, luck: random.Random) -> None:
        for key in luck.sample(sorted(self.model), min(count, len(self.model))):
            assert self.table.pop(key)
            self.model.discard(key)
            self.must_see.discard(key)
            self.table.shrink()
        assert not self.table.pop(b"missing")

    @rule(buckets=st.integers(1, 20))
    def step(self, buckets: int) -> None:
        self.table.step(buckets)

    @rule(calls=st.integers(1, 40))
    def scan(self, calls: int) -> None:
        for _ in range(calls):
            if self.cursor == 0:
                self.must_see = set(self.model)
                self.seen = set()
            self.cursor, found = self.table.scan(self.cursor)
            self.seen.update(found)
            assert self.cursor or self.must_see <= self.seen

    @invariant()
    def agrees(self) -> None:
        assert len(self.table) == len(self.model)
        walked = self.table.walk()
        assert len(walked) == len(self.model)
        assert set(walked) == self.model
        assert all(self.table.find(key) for key in list(self.model)[:20])

    def teardown(self) -> None:
        assert self.table.close() == 0


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def filled(keys: int, seed: int = 1) -> TableProbe:
    table = TableProbe(seed)
    for number in range(keys):
        table.add(b"%d" % number)
    return table


@pytest.mark.parametrize("keys", [10, 500, 900])
def test_drawing_is_fair(keys: int) -> None:
    table = filled(keys)
    draws = 200 * keys
    counts = Counter(table.random() for _ in range(draws))
    chi_square = sum((counts[b"%d" % key] - 200) ** 2 / 200 for key in range(keys))
    assert chi_square < 1.6 * keys + 30  # a fair draw: keys - 1


def test_a_sample_is_of_different_keys_and_as_large_as_asked() -> None:
    table = filled(1000)
    for size in (1, 5, 16, 64):
        sample = table.sample(size)
        assert len(sample) == len(set(sample)) == size
    assert len(filled(3).sample(10)) == 3
    assert TableProbe().sample(5) == []
    assert TableProbe().random() is None


def test_a_table_that_is_emptied_shrinks_and_gives_all_memory_back() -> None:
    table = filled(20_000)
    large = table.used
    for number in range(20_000):
        assert table.pop(b"%d" % number)
        table.shrink()
    while table.step(100):
        pass
    table.shrink()
    while table.step(100):
        pass
    assert len(table) == 0
    assert table.used < large / 50
    assert table.close() == 0


def test_a_table_is_freed_in_slices_even_in_the_middle_of_a_resize() -> None:
    table = filled(10_000)
    while not table.moving:
        table.add(b"more:%d" % len(table))
    slices = table.drain(100)
    assert slices > 50
    assert table.used == 0
    assert len(table) == 0


def test_no_addition_waits_for_a_resize() -> None:
    # Measured by the thread's own time; moving the table at once would take ten times as long.
    # A debug build pays for each block it is given, and for each access.
    most_us = 100_000 if os.environ.get("HOLDFAST_DEBUG_BUILD") else 20_000
    assert TableProbe().longest_add_us(300_000) < most_us
