"""Everything that a scenario can wait for or expect.

What this is: the table of conditions, each a sentence that is true or not of the stage.
What it is not: waiting.

How to read it: one function a sentence; it returns whether it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from holdfast.engine.digest import digest_of_all
from holdfast.replication.fence import Standing
from holdfast.replication.replicator import Replicator
from holdfast.sim.client import ReplyError
from holdfast.sim.scenario.form import ScenarioError, Table
from holdfast.sim.scenario.places import check
from holdfast.sim.scenario.stage import Stage
from holdfast.sim.swarm import files

Holds = Callable[..., bool]
CONDITIONS: Table[Holds] = Table("condition")


def condition(stage: Stage, text: str) -> Callable[[], bool]:
    """Read a condition of what is on the stage. Raises `ScenarioError`."""
    form, places = CONDITIONS.match(text)
    given = {name: value for name, value in places.items() if value is not None}
    check(stage, form, given)
    return lambda: form.act(stage, **given)


def replication(stage: Stage, name: str) -> Replicator | None:
    """Return the replication of a node that runs and has loaded."""
    node = stage.nodes.serving(name)
    return None if node is None else node.replication


@CONDITIONS.form("{name:NODE} follows {other:NODE}")
def follows(stage: Stage, name: str, other: str) -> bool:
    """The link is up and nothing is missing."""
    mine, there = replication(stage, name), replication(stage, other)
    if mine is None or there is None or not mine.upstream.is_up:
        return False
    if stage.nodes.name_of(mine.followed[0]) != other:
        return False
    return mine.stream.offset == there.end_offset


@CONDITIONS.form("{name:NODE} has a link")
def has_link(stage: Stage, name: str) -> bool:
    """The stream flows from its primary."""
    mine = replication(stage, name)
    return mine is not None and mine.upstream.is_up


@CONDITIONS.form("{name:NODE} has no link")
def has_no_link(stage: Stage, name: str) -> bool:
    """It has no stream from a primary."""
    return not has_link(stage, name)


@CONDITIONS.form("{name:NODE} is intact")
def is_intact(stage: Stage, name: str) -> bool:
    """Its copy has lost nothing that it ever acknowledged."""
    mine = replication(stage, name)
    return mine is not None and mine.standing.node.state.intact


@CONDITIONS.form("{name:NODE} is {standing:WORD}")
def stands(stage: Stage, name: str, standing: str) -> bool:
    """It is primary, replica, fenced, candidate, or away."""
    mine = replication(stage, name)
    if standing == "away":
        return mine is None
    if standing not in {each.value for each in Standing}:
        raise ScenarioError(f"a node is primary, replica, fenced, candidate or away, not {standing!r}")
    return mine is not None and mine.standing.node.standing.value == standing


@CONDITIONS.form("{name:NODE} has {count:COUNT} members")
def has_members(stage: Stage, name: str, count: str) -> bool:
    """Its set of members is in force, with so many."""
    mine = replication(stage, name)
    gate = mine.gate.gate if mine is not None else None
    return (
        mine is not None and gate is not None and not gate.record.is_joint
        and len(gate.record.newest.members) == int(count) and mine.gate.refusal is None
    )  # fmt: skip


@CONDITIONS.form("{name:NODE} has {count:COUNT} keys")
def has_keys(stage: Stage, name: str, count: str) -> bool:
    """It holds so many keys."""
    node = stage.nodes.serving(name)
    return node is not None and node.engine.key_count(0) == int(count)


@CONDITIONS.form("{name:NODE} has done {count:COUNT} full syncs")
def full_syncs(stage: Stage, name: str, count: str) -> bool:
    """It has sent so many whole copies since its start."""
    mine = replication(stage, name)
    return mine is not None and mine.node.traffic.full_syncs == int(count)


@CONDITIONS.form("{name:NODE} has done {count:COUNT} partial syncs")
def partial_syncs(stage: Stage, name: str, count: str) -> bool:
    """It has let so many replicas continue since its start."""
    mine = replication(stage, name)
    return mine is not None and mine.node.traffic.partial_syncs == int(count)


@CONDITIONS.form("{name:NODE} refuses its primary")
def refuses(stage: Stage, name: str) -> bool:
    """It keeps its data and does not take the primary's."""
    mine = replication(stage, name)
    return mine is not None and bool(mine.upstream.refusal)


@CONDITIONS.form("{name:NODE} and {other:NODE} hold the same")
def same(stage: Stage, name: str, other: str) -> bool:
    """Their data are equal."""
    one, two = stage.nodes.serving(name), stage.nodes.serving(other)
    return one is not None and two is not None and digest_of_all(one.engine) == digest_of_all(two.engine)


@CONDITIONS.form("the files of {name:HOST} are valid")
def valid_files(stage: Stage, name: str) -> bool:
    """What is on its disk can be loaded."""
    return not files.wrong_files(stage.world.hosts[name].disk)


@CONDITIONS.form("the answer is {text:TEXT}")
def answered(stage: Stage, text: str) -> bool:
    """The last answer reads so."""
    return shown(stage.answer) == text


@CONDITIONS.form("the answer begins with {text:TEXT}")
def answered_with(stage: Stage, text: str) -> bool:
    """The last answer begins so."""
    return shown(stage.answer).startswith(text)


@CONDITIONS.form("epoch {epoch:COUNT} has a primary")
def has_primary(stage: Stage, epoch: str) -> bool:
    """A node leads in that epoch."""
    return any(each.epoch == int(epoch) for each in stage.history.promotions)


@CONDITIONS.form("convergence")
def convergence(stage: Stage) -> bool:
    """One primary, all others follow it, all hold the same."""
    return not stage.checks.difference()


def shown(answer: object) -> str:
    """Return an answer as a line of text."""
    match answer:
        case None:
            return "(nothing)"
        case bytes():
            return answer.decode("utf-8", "backslashreplace")
        case ReplyError():
            return str(answer)
        case list():
            return "[" + ", ".join(shown(each) for each in answer) + "]"
    return re.sub(r"\s+", " ", str(answer))
