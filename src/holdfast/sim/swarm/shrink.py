"""Fewer faults, same failure: what is left of a failing seed is its explanation.

What this is: delta debugging (Zeller 1999) over the list of faults of a drawn run. What it
is not: a change of seed, topology or settings.

How to read it: `shrunk` tries to leave out halves, then quarters, down to single faults.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.sim.swarm.draw import Fault
from holdfast.sim.swarm.kinds import KINDS
from holdfast.sim.swarm.run import Outcome, run_seed


def shrunk(
    outcome: Outcome,
    *,
    mutation: str = "",
    kind: str = "replication",
    tries: int = 60,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Return the outcome of the smallest list of faults found that still fails."""
    faults = KINDS[kind](outcome.seed).faults
    best, pieces = outcome, 2
    while faults and tries > 0:
        size = max(1, len(faults) // pieces)
        for begin in range(0, len(faults), size):
            fewer: tuple[Fault, ...] = faults[:begin] + faults[begin + size :]
            tries -= 1
            attempt = run_seed(outcome.seed, mutation=mutation, faults=fewer, kind=kind)
            if attempt.problem:
                faults, best = fewer, attempt
                tell(f"{len(faults)} faults are enough: {attempt.problem.splitlines()[0]}")
                pieces = max(2, pieces - 1)
                break
        else:
            if size == 1:
                break
            pieces *= 2
    return best
