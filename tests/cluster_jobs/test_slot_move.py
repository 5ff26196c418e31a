"""One slot's move: from wherever it was left it comes to its end, with every key at one end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cluster.jobs.keys_at_both import Keep, Verdict, judge
from holdfast.cluster.jobs.pace import Allowance, Key, Pace, Windows
from holdfast.cluster.jobs.slot_move import CannotMove, End, Step, after, next_step

S, T = "source", "target"


@dataclass
class Ends:
    """Two nodes as far as one slot goes, doing what stock nodes do."""

    source: End = field(default_factory=lambda: End(S))
    target: End = field(default_factory=lambda: End(S))
    here: dict[str, int] = field(default_factory=dict)
    there: dict[str, int] = field(default_factory=dict)

    def do(self, step: Step) -> None:
        match step:
            case Step.MOVE_KEYS:
                key, value = self.here.popitem()
                self.there[key] = value
            case Step.COMPARE | Step.DONE:
                pass
            case _:
                self.source, self.target = after(step, S, T, self.source, self.target)
        self.count()

    def count(self) -> None:
        self.source = End(
            self.source.owner, self.source.migrating_to, self.source.importing_from, len(self.here)
        )
        self.target = End(
            self.target.owner, self.target.migrating_to, self.target.importing_from, len(self.there)
        )

    def write(self, key: str, value: int) -> None:
        """Write as a client does that follows redirects."""
        if self.target.owner == T:
            self.there[key] = value
        elif key in self.here or self.source.migrating_to != T:
            self.here[key] = value
        else:
            assert self.target.importing_from == S, "an ASK that nobody answers"
            self.there[key] = value
        self.count()

    def next(self, compared: bool = False) -> Step:
        return next_step(7, S, T, self.source, self.target, compared=compared)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 5),
    st.lists(st.sampled_from(["step", "write", "write", "time out"]), max_size=40),
)
def test_every_key_is_at_one_end_wherever_the_tool_stops(keys: int, events: list[str]) -> None:
    ends = Ends(here={f"k{number}": 0 for number in range(keys)})
    ends.count()
    truth = dict(ends.here)
    for number, event in enumerate(events):
        if event == "step":
            ends.do(ends.next(compared=True))
        elif event == "write":
            ends.write(f"k{number % 7}", number)
            truth[f"k{number % 7}"] = number
        elif ends.next(compared=True) is Step.MOVE_KEYS:
            # MIGRATE wrote the key at the target, and was not there to delete it at the source.
            key, value = next(iter(ends.here.items()))
            ends.there[key] = value
            ends.count()
    for _ in range(100):  # another tool, which knows nothing but what the ends say
        step = ends.next(compared=True)
        if step is Step.DONE:
            break
        ends.do(step)
    assert ends.next() is Step.DONE
    assert ends.here == {} and ends.there == truth


def test_the_steps_come_in_the_order_that_leaves_no_moment_without_an_owner() -> None:
    ends, seen = Ends(here={"k": 1}), []
    ends.count()
    while (step := ends.next()) is not Step.DONE:
        seen.append(step)
        ends.do(step)
    assert seen == [Step.MARK_TARGET, Step.MARK_SOURCE, Step.MOVE_KEYS, Step.CLAIM, Step.TELL_SOURCE]


def test_a_source_without_its_mark_is_marked_again_before_anything_is_claimed() -> None:
    source, target = End(S, keys=2), End(S, importing_from=S, keys=3)
    assert next_step(7, S, T, source, target) is Step.COMPARE
    assert next_step(7, S, T, source, target, compared=True) is Step.MARK_SOURCE


def test_a_target_that_holds_on_to_a_dead_source_is_told_who_was_promoted() -> None:
    heir, target = End(S, keys=2), End("dead", importing_from="dead", keys=3)
    assert next_step(7, S, T, heir, target) is Step.CORRECT_TARGET
    heir, target = after(Step.CORRECT_TARGET, S, T, heir, target)
    assert next_step(7, S, T, heir, target) is Step.MARK_TARGET


def test_a_slot_that_is_claimed_while_its_source_has_keys_is_not_touched() -> None:
    with pytest.raises(CannotMove, match="both ends claim"):
        next_step(7, S, T, End(S, keys=1), End(T))


def test_a_slot_of_somebody_else_is_not_touched() -> None:
    with pytest.raises(CannotMove, match="served by other"):
        next_step(7, S, T, End("other"), End("other"))


def test_a_differing_key_is_decided_by_the_mark_or_by_the_operator() -> None:
    assert judge(b"1", None, mark_was_kept=False) is Verdict.MOVE
    assert judge(b"1", b"1", mark_was_kept=False) is Verdict.REPLACE
    assert judge(b"1", b"2", mark_was_kept=True) is Verdict.REPLACE
    assert judge(b"1", b"2", mark_was_kept=False) is Verdict.UNDECIDED
    assert judge(b"1", b"2", mark_was_kept=False, keep=Keep.TARGET) is Verdict.DROP


# -------------------------------------------------------------------- pace


def test_small_keys_travel_together_and_a_huge_one_alone() -> None:
    small = [Key(1, b"%d" % number, 80) for number in range(50)]
    pieces = list(Pace(budget_ms=5.0).pieces([*small, Key(1, b"huge", 50_000_000), *small]))
    sizes = [[len(batch) for batch in piece] for piece in pieces]
    assert sizes == [[50], [1], [50]]


def test_what_took_long_makes_the_next_pieces_smaller() -> None:
    pace = Pace(budget_ms=5.0)
    keys = [Key(slot, b"k", 80) for slot in range(200)]
    before = len(next(pace.pieces(keys)))
    pace.took(next(pace.pieces(keys)), 50.0)
    assert len(next(pace.pieces(keys))) < before / 2
    for _ in range(20):
        piece = next(pace.pieces(keys))
        pace.took(piece, 0.1)
    assert len(next(pace.pieces(keys))) > before


def test_fewer_slots_are_open_when_windows_take_long() -> None:
    windows = Windows.of(range(1000), [1] * 1000)
    first = windows.take()
    windows.were_open(len(first), 600.0)
    assert len(windows.take()) < len(first) / 2
    for _ in range(20):
        windows.were_open(windows.size, 10.0)
    assert len(windows.take()) > len(first)


def test_a_window_holds_no_more_keys_than_travel_in_a_moment() -> None:
    windows = Windows.of([1, 2, 3, 4], [600, 600, 5000, 1])
    assert [windows.take() for _ in range(5)] == [(1,), (2,), (3,), (4,), ()]


def test_the_rate_limit_lets_through_what_it_says() -> None:
    allowance, now = Allowance(1000.0), 0.0
    for _ in range(100):
        now += allowance.spend(100, now)
    assert 9.0 < now < 10.0


def test_a_window_of_many_keys_waits_for_all_of_them_before_it_goes() -> None:
    allowance = Allowance(800.0)
    assert 22.0 < allowance.spend(18_172, 5.0) < 22.72


def test_what_was_waited_for_and_did_not_go_is_not_waited_for_again() -> None:
    allowance = Allowance(100.0)
    now = allowance.spend(1000, 0.0)
    allowance.give_back(1000, now)
    assert allowance.spend(900, now + 60.0) == 0
    assert allowance.spend(200, now + 60.0) == pytest.approx(1.0)
