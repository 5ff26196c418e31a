"""Reading a scenario and playing it.

What this is: text to steps, steps to printed lines. What it is not: what steps do.

How to read it: `parse` checks every line before anything runs; `perform` does the steps;
`run_text` prints the step, what it said, and one line a node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.replication.promotion import choose_promotion
from holdfast.sim.loop import few_collections
from holdfast.sim.nodes import Adapt
from holdfast.sim.scenario.conditions import CONDITIONS
from holdfast.sim.scenario.doors import door_lines
from holdfast.sim.scenario.form import ScenarioError
from holdfast.sim.scenario.stage import Broken, Stage, Unmet
from holdfast.sim.scenario.vocabulary import STEPS, do
from holdfast.sim.sentinels import AdaptSentinel
from holdfast.sim.swarm.manager import Choose


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that was read: its seed and its steps with their line numbers."""

    seed: str
    steps: tuple[tuple[int, str], ...]


def parse(text: str) -> Scenario:
    """Read a scenario. Raises `ScenarioError` that names the line."""
    seed = "1"
    steps: list[tuple[int, str]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        if line.startswith("seed ") and not steps:
            seed = line.removeprefix("seed ").strip()
            continue
        try:
            check(line)
        except ScenarioError as error:
            raise ScenarioError(f"line {number}: {error}") from None
        steps.append((number, line))
    return Scenario(seed, tuple(steps))


def check(line: str) -> None:
    """Raise `ScenarioError` unless the line is a step, with a condition where one belongs."""
    _, places = STEPS.match(line)
    if line.startswith("at "):
        check(places["rest"] or "")
    if line.startswith(("wait until ", "expect ")):
        CONDITIONS.match(places["text"] or "")


def perform(
    text: str,
    *,
    adapt: tuple[Adapt, ...] = (),
    adapt_sentinels: tuple[AdaptSentinel, ...] = (),
    choose: Choose = choose_promotion,
    trace: bool = False,
) -> tuple[Stage, str]:
    """Play a scenario in silence; return the stage, closed, and what went wrong (empty: nothing).

    Raises `ScenarioError` if it cannot be read.
    """
    scenario = parse(text)
    stage = Stage(scenario.seed, adapt=adapt, adapt_sentinels=adapt_sentinels, choose=choose, trace=trace)
    problem = ""
    try:
        with few_collections():
            for number, line in scenario.steps:
                try:
                    do(stage, line)
                except (Broken, Unmet) as error:
                    problem = str(error)
                    break
                except ScenarioError as error:
                    raise ScenarioError(f"line {number}: {error}") from None
    finally:
        stage.close()
    return stage, problem


def run_text(text: str) -> Iterator[str]:
    """Play a scenario; yield what is printed, a line at a time. Raises `Broken`, `Unmet`, `ScenarioError`."""
    scenario = parse(text)
    stage = Stage(scenario.seed)
    try:
        for number, line in scenario.steps:
            if line.startswith("say "):
                yield ""
                yield f"# {line.removeprefix('say ')}"
                continue
            try:
                said = do(stage, line)
            except (ScenarioError, Broken, Unmet) as error:
                raise type(error)(f"line {number}: {error}") from None
            yield f"{stage.world.now:9.3f}  {line}" + (f"  ->  {said}" if said else "")
            yield from (f"{'':11}{each}" for each in standings(stage))
        stage.checks.watch()
        stage.raise_if_broken()
    finally:
        stage.close()


def standings(stage: Stage) -> list[str]:
    """Return one line a node: role, epoch, offset, keys, link, members."""
    lines = []
    for name in stage.nodes.settings:
        node = stage.nodes.serving(name)
        if node is None:
            down = stage.world.hosts[name].interface.down
            lines.append(
                f"{name}: {'no power' if down else 'loading' if stage.nodes.runs(name) else 'ended'}"
            )
            continue
        mine = node.replication
        words = [mine.standing.node.standing.value]
        if stage.world.processes[name].paused:
            words.append("paused")
        if mine.standing.node.state.fence_epoch:
            words.append(f"epoch {mine.standing.node.state.term_epoch}")
        words += [f"offset {mine.end_offset}", f"keys {node.engine.key_count(0)}"]
        if mine.is_replica:
            link = mine.upstream.state.value if mine.upstream.state.value != "none" else "no link"
            words.append(f"{link} with {stage.nodes.name_of(mine.followed[0])}" if mine.followed[0] else link)
            if mine.upstream.refusal:
                words.append("refuses it")
        if node.cluster is not None:
            served = f"{node.cluster.me.slot_count} slots"
            words.append(served if node.cluster.is_ok else f"{served}, not serving")
        gate = mine.gate.gate
        if gate is not None:
            words.append(
                f"members {len(gate.record.newest.members)} of which {gate.record.newest.needed} acknowledge"
            )
            words.append(f"acknowledged {gate.released_offset}, waiting {gate.waiting_count}")
        lines.append(f"{name}: {', '.join(words)}")
    return lines + door_lines(stage)
