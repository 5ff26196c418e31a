"""Figures of the benchmark: medians, spread, goals. Nothing is measured here."""

from __future__ import annotations

import pytest

from bench.document import markdown
from bench.figures import Compare, Figure, Goal, Sample, readable
from bench.groups import GROUPS
from bench.load import share
from bench.machine import Cores
from bench.rounds import Bench, Samples
from bench.server import Program
from bench.workloads import WORKLOADS, in_hundreds

HALF = Goal(Compare.RATIO_AT_MOST, 0.5)
NO_CORES = Cores(frozenset([0]), frozenset([0]))


def figure(baseline: tuple[float, ...], candidate: tuple[float, ...], goal: Goal | None) -> Figure:
    return Figure("group", "what", "µs", Sample(baseline), Sample(candidate), goal)


def two_programs(rounds: int) -> Bench:
    baseline, candidate = (Program.parse(name, "true", NO_CORES.server) for name in ("redis", "holdfast"))
    return Bench(baseline, candidate, NO_CORES, rounds, quick=True)


def test_one_outlier_changes_neither_median_nor_verdict() -> None:
    calm, disturbed = Sample((1.0, 1.0, 1.0, 1.0, 1.0)), Sample((1.0, 1.0, 90.0, 1.0, 1.0))
    assert calm.median == disturbed.median
    assert disturbed.spread == 0
    assert figure((2.0,), disturbed.values, HALF).verdict == "yes"


def test_spread_is_the_interquartile_range() -> None:
    assert Sample((1.0, 2.0, 3.0, 4.0, 5.0)).spread == 2.0
    assert Sample((7.0,)).spread == 0.0


@pytest.mark.parametrize(
    ("goal", "candidate", "verdict"),
    [
        (HALF, 0.5, "yes"),
        (HALF, 0.504, "yes"),
        (HALF, 0.51, "NO"),
        (Goal(Compare.RATIO_AT_LEAST, 0.95), 0.95, "yes"),
        (Goal(Compare.RATIO_AT_LEAST, 0.95), 0.94, "NO"),
        (Goal(Compare.CANDIDATE_AT_MOST, 300, "ms"), 300.0, "yes"),
        (Goal(Compare.CANDIDATE_AT_MOST, 300, "ms"), 300.1, "NO"),
        (None, 5.0, ""),
    ],
)
def test_a_goal_is_judged_as_it_is_written(goal: Goal | None, candidate: float, verdict: str) -> None:
    assert figure((1.0,), (candidate,), goal).verdict == verdict


def test_what_could_not_be_measured_is_not_reached_and_says_why() -> None:
    bench = two_programs(rounds=1)
    samples = Samples(bench)
    samples.add(bench.baseline, 1.0)
    samples.fail(bench.candidate, ConnectionError("refused"))
    found = samples.figure(Figure("group", "what", "µs", None, None, HALF))
    assert (found.ratio, found.verdict, found.note) == (None, "NO", "holdfast: refused")
    assert "holdfast: refused" in markdown("title", "", ("a", "b"), {}, [found], "")


def test_rounds_take_turns_in_who_is_first() -> None:
    names = [program.name for program in two_programs(rounds=3).order()]
    assert names == ["redis", "holdfast", "holdfast", "redis", "redis", "holdfast"]


def test_load_is_shared_out_without_losing_a_request() -> None:
    for processes in (1, 2, 3, 4):
        shares = [share(50, processes, index) for index in range(processes)]
        assert sum(shares) == 50
        assert max(shares) - min(shares) <= 1


def test_filling_in_hundreds_keeps_pairs_together() -> None:
    commands = list(in_hundreds([b"ZADD", b"zset"], (b"%d" % number for number in range(250))))
    assert [command.split(b"\r\n", 1)[0] for command in commands] == [b"*102", b"*102", b"*52"]


def test_groups_and_workloads_have_names_of_their_own() -> None:
    assert len({group.name for group in GROUPS}) == len(GROUPS)
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)


def test_numbers_are_shown_with_the_digits_that_mean_something() -> None:
    assert [readable(value) for value in (0, 0.1234, 1.234, 12.34, 1234567.8)] == [
        "0",
        "0.123",
        "1.23",
        "12.3",
        "1,234,568",
    ]
