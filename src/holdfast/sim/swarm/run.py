"""One seed, played and judged.

What this is: from a seed to an `Outcome`. What it is not: many seeds (`pool`).

How to read it: `run_seed`; `Outcome` can be sent between processes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from holdfast.sim.scenario.runner import perform
from holdfast.sim.scenario.stage import Stage
from holdfast.sim.swarm.cluster_mutations import CLUSTER_MUTATIONS
from holdfast.sim.swarm.draw import Drawn, Fault
from holdfast.sim.swarm.kinds import KINDS
from holdfast.sim.swarm.mutations import MUTATIONS
from holdfast.sim.swarm.sentinel_mutations import SENTINEL_MUTATIONS

ALL_MUTATIONS = {**MUTATIONS, **SENTINEL_MUTATIONS, **CLUSTER_MUTATIONS}
OF_NODES = {name: each for name, each in MUTATIONS.items() if each.adapt}
"""Those of any data node; the others of this table are made by a stand-in for Sentinel."""
OF_KIND = {
    "replication": MUTATIONS,
    "sentinel": OF_NODES | SENTINEL_MUTATIONS,
    "cluster": OF_NODES | CLUSTER_MUTATIONS,
}
"""Kind to the deliberate faults that can be put into its runs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    problem: str
    """Empty: nothing was wrong."""
    scenario: str
    log_crc: int
    """Equal for equal runs, on any machine."""
    virtual_seconds: float
    requests: int
    acknowledged: int
    promotions: int
    losses_allowed: int


def run_seed(
    seed: int,
    *,
    mutation: str = "",
    faults: tuple[Fault, ...] | None = None,
    kind: str = "replication",
) -> Outcome:
    """Play a seed of a kind, with a deliberate fault of the product if one is named."""
    return play(KINDS[kind](seed), mutation=mutation, faults=faults)[0]


def play(
    drawn: Drawn, *, mutation: str = "", faults: tuple[Fault, ...] | None = None, trace: bool = False
) -> tuple[Outcome, Stage]:
    """Play a drawn run; return what became of it, and the stage for whoever wants to tell of it."""
    text = drawn.text(faults)
    if mutation:
        change = ALL_MUTATIONS[mutation]
        stage, problem = perform(
            text,
            adapt=change.adapt,
            adapt_sentinels=change.adapt_sentinels,
            choose=change.choose,
            trace=trace,
        )
    else:
        stage, problem = perform(text, trace=trace)
    history = stage.history
    outcome = Outcome(
        drawn.seed,
        problem,
        text,
        zlib.crc32(stage.world.log_bytes()),
        stage.world.now,
        len(history.operations),
        len(history.acknowledged("write", "pair", "set", "incr")),
        len(history.promotions),
        stage.checks.losses_allowed,
    )
    return outcome, stage
