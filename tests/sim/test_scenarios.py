"""Every scenario runs, and prints what it printed before.

`python -m tests.sim.test_scenarios` writes the outputs anew; read the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.sim.scenario import ScenarioError, Unmet, parse, run_text

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


def played(path: Path) -> str:
    return "".join(f"{line}\n" for line in run_text(path.read_text()))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_prints_what_it_printed_before(path: Path) -> None:
    assert played(path) == path.with_suffix(".out").read_text()


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("strat a", "line 2: no step begins with 'strat': was 'start' meant?"),
        ("cut a", "line 2: this step is written: cut ONE from OTHER | cut ONE to OTHER"),
        ("expect a has three members", "line 2: no condition"),
        ("at 3 s wait until b flies within 2 s", "line 2: no condition"),
        ("wait long", "line 2: this step is written: wait TIME"),
    ],
)
def test_a_line_that_is_wrong_is_explained_before_anything_runs(line: str, advice: str) -> None:
    with pytest.raises(ScenarioError) as error:
        parse(f"start a\n{line}\n")
    assert str(error.value).startswith(advice)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("kill b", "there is no 'b': there are a"),
        ("cut a from zz", "there is no 'zz'"),
        ("partition a, q from r", "there is no 'q'"),
        ("start b from q", "there is no 'q'"),
        ("fail over among a, q in epoch 1", "there is no 'q'"),
        ("replicaof a q", "there is no 'q'"),
        ("expect a follows q", "there is no 'q'"),
        ("wait until q is away within 1 s", "there is no 'q'"),
        ("writer w at 10 a second through q", "there is no 'q' to write through"),
        ("writer w at 0 a second through a", "a rate is above zero, not 0"),
        ("start a", "'a' is there already"),
        ("cluster of a, b, c", "'a' is there already"),
        ("cluster of b, b, c", "'b' is there already"),
        ("drift a at 0", "a clock's rate is above zero, not 0"),
        ("break a to driver after 0 bytes", "a byte's number is above zero, not 0"),
        ("clients 1 at 0 a second", "a rate is above zero, not 0"),
        ("ask a: SET 'k v", '"SET \'k v" cannot be cut into words'),
        ("expect a is asleep", "a node is primary, replica"),
        ("sentinels 0 with down-after 1 s", "Sentinels begin once"),
    ],
)
def test_a_line_that_cannot_be_done_says_why(line: str, reason: str) -> None:
    with pytest.raises(ScenarioError) as error:
        list(run_text(f"start a\n{line}\n"))
    assert str(error.value).startswith(f"line 2: {reason}")


def test_what_is_not_so_is_told_with_its_line() -> None:
    with pytest.raises(Unmet, match=r"^line 3: a has 5 keys: it is not so"):
        list(run_text("start a\nwrite 4 keys at a\nexpect a has 5 keys\n"))


def test_a_step_that_comes_late_says_so() -> None:
    *_, late, _ = run_text("start a\nwait 6 s\nat 2 s write k = 1 at a\n")
    assert late.endswith("  at 2 s write k = 1 at a  ->  OK; 4.00 s late")


if __name__ == "__main__":
    for each in SCENARIOS:
        each.with_suffix(".out").write_text(played(each))
