"""The ordered tree against a sorted list: order, ranks, ranges, cursors, rules, memory."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sortedcontainers import SortedList

from holdfast.testing.probes_tree import OrderedProbe, compare

SCORES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf]),
    st.floats(allow_nan=False),
    st.integers(-5, 5).map(float),
)
TEXTS = st.binary(max_size=6)


class OrderedMachine(RuleBasedStateMachine):
    """Every edit is done twice: on the tree, and on a sorted list of (score, bytes)."""

    @initialize(
        members=st.integers(0, 700),
        distinct=st.integers(1, 700),
        order=st.sampled_from("+-?"),
        seed=st.integers(),
    )
    def fill(self, members: int, distinct: int, order: str, seed: int) -> None:
        self.luck = random.Random(seed)
        self.tree = OrderedProbe()
        self.scores: dict[bytes, float] = {}
        self.model = SortedList()
        numbers = list(range(members))
        if order == "-":
            numbers.reverse()
        elif order == "?":
            self.luck.shuffle(numbers)
        for number in numbers:
            self.add(b"%05d" % number, float(number * distinct // 700))

    def add(self, text: bytes, score: float) -> None:
        if text in self.scores:
            self.model.remove((self.scores[text], text))
            self.tree.rescore(text, score)
        else:
            self.tree.add(text, score)
        self.scores[text] = score
        self.model.add((score, text))

    @rule(text=TEXTS, score=SCORES)
    def add_or_rescore(self, text: bytes, score: float) -> None:
        self.add(text, score)

    @precondition(lambda self: self.scores)
    @rule(pick=st.integers(0), score=SCORES)
    def rescore(self, pick: int, score: float) -> None:
        self.add(self.model[pick % len(self.model)][1], score)

    @precondition(lambda self: self.scores)
    @rule(pick=st.integers(0), step=st.sampled_from([-1e-9, 1e-9, 0.0, -0.5, 0.5]))
    def nudge(self, pick: int, step: float) -> None:
        score, text = self.model[pick % len(self.model)]
        self.add(text, score + step)

    @precondition(lambda self: self.scores)
    @rule(pick=st.integers(0))
    def move(self, pick: int) -> None:
        self.tree.move(self.model[pick % len(self.model)][1])

    @precondition(lambda self: self.scores)
    @rule(share=st.floats(0, 1), where=st.sampled_from(["random", "min", "max", "middle"]))
    def remove_many(self, share: float, where: str) -> None:
        for _ in range(1 + int(share * (len(self.model) - 1))):
            last = len(self.model) - 1
            places = {"random": self.luck.randint(0, last), "min": 0, "max": last, "middle": last // 2}
            _, text = self.model.pop(places[where])
            del self.scores[text]
            self.tree.remove(text)

    @rule(count=st.integers(1, 200))
    def append_many(self, count: int) -> None:
        top = max(self.model[-1][0] if self.model else 0.0, 0.0)
        for _ in range(count):
            text = b"~%d" % self.luck.getrandbits(60)
            self.tree.add(text, top, append=not self.model or self.model[-1] < (top, text))
            self.scores[text] = top
            self.model.add((top, text))

    @rule(low=SCORES, high=SCORES, with_low=st.booleans(), with_high=st.booleans())
    def score_range(self, low: float, high: float, with_low: bool, with_high: bool) -> None:
        scores = list(self.scores.values())
        start = sum(s < low if with_low else s <= low for s in scores)
        stop = sum(s <= high if with_high else s < high for s in scores)
        assert self.tree.score_range(low, high, with_low, with_high) == (start, stop)

    @precondition(lambda self: self.scores)
    @rule(pick=st.integers(0))
    def walk_both_ways(self, pick: int) -> None:
        rank = pick % len(self.model)
        pairs = list(self.model)
        assert self.tree.walk(rank) == pairs[rank:]
        assert self.tree.walk(rank, backwards=True) == pairs[rank::-1]
        assert self.tree.rank(pairs[rank][1]) == rank
        assert self.tree.at(rank) == pairs[rank]

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "tree"):
            return
        assert len(self.tree) == len(self.model)
        assert self.tree.check()
        assert self.tree.walk() == list(self.model)
        assert self.tree.at(len(self.model)) is None

    def teardown(self) -> None:
        if hasattr(self, "tree"):
            assert self.tree.close() == 0


OrderedMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
test_tree_and_sorted_list_agree_after_any_edits = OrderedMachine.TestCase


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5000])
def test_lex_ranges_count_members_below_the_bounds(size: int) -> None:
    luck = random.Random(size)
    texts = sorted({luck.randbytes(luck.randint(0, 3)) for _ in range(size)})
    tree = OrderedProbe()
    for text in luck.sample(texts, len(texts)):
        tree.add(text, 7.0)
    bounds = [b"", b"\xff" * 5] + [luck.randbytes(luck.randint(0, 3)) for _ in range(20)] + texts[:10]
    for low in bounds:
        for high in bounds[::3]:
            for with_low, with_high in [(True, True), (False, True), (True, False), (False, False)]:
                start = sum(t < low if with_low else t <= low for t in texts)
                stop = sum(t <= high if with_high else t < high for t in texts)
                assert tree.lex_range(low, high, with_low, with_high) == (start, stop)


def test_a_hundred_thousand_members_come_and_go_and_leave_no_byte() -> None:
    luck = random.Random(1)
    tree = OrderedProbe()
    members = [(luck.random(), b"%d" % number) for number in range(100_000)]
    for score, text in members:
        tree.add(text, score)
    assert tree.check()
    members.sort()
    assert [tree.rank(text) for _, text in members[::997]] == list(range(0, 100_000, 997))
    luck.shuffle(members)
    for _, text in members[1000:]:
        tree.remove(text)
    assert tree.check()
    assert tree.walk() == sorted(members[:1000])
    assert tree.tree_bytes < 1000 * 16 * 3 + 4096
    for _, text in members[:1000]:
        tree.remove(text)
    assert tree.check()
    assert tree.tree_bytes < 2048
    assert tree.close() == 0


@pytest.mark.parametrize("order", [lambda texts: texts, reversed], ids=["ascending", "descending"])
def test_members_that_arrive_in_order_fill_their_leaves(order: Callable[..., list[int]]) -> None:
    tree = OrderedProbe()
    for number in order(range(20_000)):
        tree.add(b"%06d" % number, float(number))
    assert tree.check()
    assert tree.tree_bytes < 20_000 * 18


def test_popping_from_either_end_keeps_the_tree_whole() -> None:
    for rank in (0, -1):
        tree = OrderedProbe()
        model = SortedList((float(n // 3), b"%d" % n) for n in range(6000))
        for score, text in model:
            tree.add(text, score, append=True)
        while model:
            score, text = model.pop(rank)
            assert tree.at(rank % len(tree)) == (score, text)
            tree.remove(text)
            if len(model) % 61 == 0:
                assert tree.check()
                assert tree.tree_bytes < len(model) * 16 * 4 + 4096
        assert tree.close() == 0


def test_ranges_removed_from_anywhere_keep_a_tall_tree_whole() -> None:
    luck = random.Random(3)
    for append in (True, False):
        tree = OrderedProbe()
        model = SortedList((float(n), b"%d" % n) for n in range(30_000))
        for score, text in model if append else luck.sample(model, len(model)):
            tree.add(text, score, append=append)
        while model:
            start = luck.randrange(len(model))
            for score, text in model[start : start + luck.choice([30, 300, 3000])]:
                model.remove((score, text))
                tree.remove(text)
            assert tree.check()
            assert tree.walk() == list(model)
            assert tree.tree_bytes < len(model) * 16 * 4 + 4096
        assert tree.close() == 0


def test_a_small_tree_takes_little_memory() -> None:
    tree = OrderedProbe()
    tree.add(b"one", 1.0)
    assert tree.tree_bytes < 300


def test_zeros_of_both_signs_are_equal_and_bytes_decide() -> None:
    assert compare(0.0, b"a", -0.0, b"a") == 0
    assert compare(-0.0, b"b", 0.0, b"a") > 0
    assert compare(1.0, b"a", 2.0, b"a") < 0
    assert compare(1.0, b"a", 1.0, b"aa") < 0
    assert compare(1.0, b"\xff", 1.0, b"a") > 0
    assert compare(-math.inf, b"z", math.inf, b"a") < 0
