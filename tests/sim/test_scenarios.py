"""Every scenario runs, and prints what it printed before.

`python -m tests.sim.test_scenarios` writes the outputs anew; read the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.sim.scenario import ScenarioError, parse, run_text

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


def test_a_node_that_is_not_there_is_named() -> None:
    with pytest.raises(ScenarioError, match="line 2: there is no 'b': there are"):
        list(run_text("start a\nkill b\n"))


if __name__ == "__main__":
    for each in SCENARIOS:
        each.with_suffix(".out").write_text(played(each))
