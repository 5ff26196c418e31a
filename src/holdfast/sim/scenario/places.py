"""Who is named in a line must be there, and who begins must not.

What this is: the check of a line's places when it is done. What it is not: how they are written (`form`).

How to read it: `check` is called with the form of a line and what stands in its places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from holdfast.sim.scenario.form import Form, ScenarioError
from holdfast.sim.scenario.stage import Stage
from holdfast.sim.world import DRIVER

Acts = TypeVar("Acts", bound=Callable[..., object])


def check(stage: Stage, form: Form[Acts], given: Mapping[str, str]) -> None:
    """Raise `ScenarioError` where a place names nobody, or begins what is there already."""
    for place, kind in form.kinds:
        names = given[place].split(", ") if place in given else []
        if kind in ("NEW", "NEWS"):
            for name in names:
                if stage.nodes.runs(name) or name == DRIVER or names.count(name) > 1:
                    raise ScenarioError(f"{name!r} is there already")
            continue
        there = _there(stage, kind)
        for name in names:
            if there is not None and name not in there:
                raise ScenarioError(f"there is no {name!r}: there are {', '.join(there)}")


def _there(stage: Stage, kind: str) -> list[str] | None:
    match kind:
        case "HOST" | "HOSTS":
            return [*stage.world.hosts]
        case "END" | "ENDS":
            return [*stage.world.hosts, DRIVER]
        case "PROCESS":
            return [*stage.world.processes]
        case "NODE" | "NODES":
            return [*stage.nodes.settings]
    return None
