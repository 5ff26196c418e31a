"""The quicklist against a Python list: any edits, at any fill and compression; memory."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.testing.probes_tree import QuicklistProbe

TEXTS = st.one_of(
    st.binary(max_size=8),
    st.integers(-(2**63), 2**63 - 1).map(lambda n: b"%d" % n),
    st.tuples(st.binary(min_size=1, max_size=3), st.integers(1, 900)).map(lambda pair: pair[0] * pair[1]),
    st.sampled_from([4096, 4097, 8192, 8193, 20_000]).map(lambda size: b"x" * size),
)


class QuicklistMachine(RuleBasedStateMachine):
    """Every edit is done twice: on the quicklist, and on a list. `place` is the cursor's index."""

    @initialize(
        fill=st.sampled_from([-1, -2, -3, -5, 0, 1, 2, 5, 128]),
        compress=st.sampled_from([0, 0, 1, 2, 3]),
        count=st.integers(0, 600),
        width=st.sampled_from([2, 60, 300]),
    )
    def fill(self, fill: int, compress: int, count: int, width: int) -> None:
        self.list = QuicklistProbe(fill, compress)
        self.model: list[bytes] = []
        self.place: int | None = None
        for number in range(count):
            self.push(b"%d" % number * width, number % 3 == 0)

    @rule(text=TEXTS, head=st.booleans())
    def push(self, text: bytes, head: bool) -> None:
        self.list.push(text, head)
        self.model.insert(0 if head else len(self.model), text)
        self.place = None

    @rule(text=TEXTS, head=st.booleans(), count=st.integers(1, 60))
    def push_many(self, text: bytes, head: bool, count: int) -> None:
        for _ in range(count):
            self.push(text, head)

    @rule(head=st.booleans(), count=st.integers(1, 100))
    def pop(self, head: bool, count: int) -> None:
        for _ in range(count):
            expected = None if not self.model else self.model.pop(0 if head else -1)
            assert self.list.peek(head) == expected
            self.list.drop(head)
        self.place = None

    @rule(texts=st.lists(TEXTS, max_size=10))
    def load_listpack(self, texts: list[bytes]) -> None:
        self.list.append_listpack(texts)
        self.model += texts
        self.place = None

    @rule(text=TEXTS)
    def load_plain(self, text: bytes) -> None:
        self.list.append_plain(text)
        self.model.append(text)
        self.place = None

    @rule(index=st.integers(-700, 700))
    def seek(self, index: int) -> None:
        there = -len(self.model) <= index < len(self.model)
        assert self.list.seek(index) == there
        self.place = index % len(self.model) if there else None

    @precondition(lambda self: self.place is not None)
    @rule(backwards=st.booleans(), count=st.integers(1, 30))
    def step(self, backwards: bool, count: int) -> None:
        for _ in range(count):
            if self.place is None:
                return
            self.place += -1 if backwards else 1
            there = 0 <= self.place < len(self.model)
            assert self.list.step(backwards) == there
            if not there:
                self.place = None

    @precondition(lambda self: self.place is not None)
    @rule(text=TEXTS, after=st.booleans(), count=st.sampled_from([1, 1, 2, 30]))
    def insert(self, text: bytes, after: bool, count: int) -> None:
        assert self.place is not None
        for _ in range(count):
            self.list.insert(text, after)
            self.model.insert(self.place + after, text)
            self.place += not after

    @precondition(lambda self: self.place is not None)
    @rule(text=TEXTS)
    def replace(self, text: bytes) -> None:
        assert self.place is not None
        self.list.replace(text)
        self.model[self.place] = text

    @precondition(lambda self: self.place is not None)
    @rule(backwards=st.booleans(), count=st.integers(1, 200))
    def delete(self, backwards: bool, count: int) -> None:
        for _ in range(count):
            if self.place is None:
                return
            del self.model[self.place]
            self.place -= backwards
            there = 0 <= self.place < len(self.model)
            assert self.list.delete(backwards) == there
            if not there:
                self.place = None

    @rule(start=st.integers(-700, 700), count=st.integers(0, 400))
    def delete_range(self, start: int, count: int) -> None:
        before = len(self.model)
        if -before <= start < before:
            start %= before
            del self.model[start : start + count]
        assert self.list.delete_range(start, count) == before - len(self.model)
        self.place = None

    @rule(start=st.integers(0, 700), backwards=st.booleans())
    def read(self, start: int, backwards: bool) -> None:
        expected = self.model[start::-1] if backwards else self.model[start:]
        assert self.list.read(start, backwards) == (expected if start < len(self.model) else [])
        self.place = None

    @rule()
    def copy(self) -> None:
        assert self.list.copy() == self.model
        self.place = None

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "list"):
            return
        assert self.list.check()
        assert len(self.list) == len(self.model)
        assert self.list.bytes == self.list.used
        if self.place is None:
            assert self.list.read() == self.model
        else:
            assert self.list.text() == self.model[self.place]
            assert self.list.equal(self.model[self.place])
            assert not self.list.equal(self.model[self.place] + b"?")

    def teardown(self) -> None:
        if hasattr(self, "list"):
            assert self.list.read() == self.model
            assert self.list.close() == 0


QuicklistMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_quicklist_and_list_agree_after_any_edits = QuicklistMachine.TestCase


@pytest.mark.parametrize(
    ("fill", "bound"), [(-1, 4096), (-2, 8192), (-3, 16384), (-4, 32768), (-5, 65536), (-9, 65536)]
)
def test_negative_fill_bounds_a_node_in_bytes_and_fills_it(fill: int, bound: int) -> None:
    probe = QuicklistProbe(fill)
    for number in range(20_000):
        probe.push(b"element:%06d" % number)
    sizes = [size for _, size, _, _ in probe.nodes()]
    assert max(sizes) <= bound
    assert min(sizes[:-1]) > bound - 64


def test_positive_fill_counts_elements_but_keeps_nodes_below_8_kib() -> None:
    probe = QuicklistProbe(100)
    for _ in range(1000):
        probe.push(b"short")
    assert [count for count, *_ in probe.nodes()] == [100] * 10
    probe = QuicklistProbe(100)
    for _ in range(1000):
        probe.push(b"x" * 1000)
    assert max(size for _, size, _, _ in probe.nodes()) <= 8192


def test_an_element_larger_than_a_node_stands_alone() -> None:
    probe = QuicklistProbe(-1)
    for text in (b"a", b"b" * 4096, b"c" * 4097, b"d"):
        probe.push(text)
    assert [plain for *_, plain in probe.nodes()] == [False, False, True, False]
    assert probe.read() == [b"a", b"b" * 4096, b"c" * 4097, b"d"]


def test_only_the_ends_stay_raw_under_compression() -> None:
    probe = QuicklistProbe(-1, 2)
    for number in range(10_000):
        probe.push(b"a text that repeats itself %06d" % number, head=number % 2 == 0)
    packed = [bool(size) for _, _, size, _ in probe.nodes()]
    assert len(packed) > 10
    assert packed == [False] * 2 + [True] * (len(packed) - 4) + [False] * 2
    probe.seek(5000)
    probe.read()
    assert [bool(size) for _, _, size, _ in probe.nodes()] == packed


def test_deleting_most_elements_leaves_few_nodes() -> None:
    luck = random.Random(5)
    probe = QuicklistProbe()
    model = [b"element:%06d" % number for number in range(50_000)]
    for text in model:
        probe.push(text)
    kept = []
    there = probe.seek(0)
    while there:
        if luck.random() < 0.05:
            kept.append(probe.text())
            there = probe.step()
        else:
            there = probe.delete()
    assert probe.read() == kept
    assert probe.check()
    assert probe.bytes < 4 * sum(map(len, kept))


def test_inserting_in_the_middle_leaves_nodes_half_full_at_least() -> None:
    luck = random.Random(6)
    probe = QuicklistProbe()
    model: list[bytes] = []
    probe.push(b"first")
    model.append(b"first")
    for number in range(6000):
        text = b"element:%06d" % number
        place = luck.randrange(len(model))
        assert probe.seek(place)
        probe.insert(text, after=True)
        model.insert(place + 1, text)
    assert probe.read() == model
    assert sum(size for _, size, _, _ in probe.nodes()) > 0.45 * 8192 * len(probe.nodes())


def test_a_long_list_costs_little_more_than_its_elements() -> None:
    for head in (False, True):
        probe = QuicklistProbe()
        for number in range(100_000):
            probe.push(b"element:%08d" % number, head)
        assert probe.bytes < 1.03 * 18 * 100_000
