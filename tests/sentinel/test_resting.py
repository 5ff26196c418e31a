"""Looks that a Sentinel leaves out: none of them would have found anything."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.node.sentinel import SentinelNode
from holdfast.sim.scenario.runner import perform

CALM = """\
seed {seed}
nodes know each other by address
start a with min-replicas-to-ack 1
start b from a with min-replicas-to-ack 1
start c from a with min-replicas-to-ack 1
sentinels 3 with down-after 1 s
at 3 s clients 2 at 10 a second
at 9 s kill {killed}
at 12 s restart {killed}
at 13 s cut s1 from a
at 14 s heal s1 with a
at 15 s pause b
at 17 s resume b
at 22 s mend everything
"""


def everything_looked_at(node: SentinelNode) -> None:
    """Let nobody rest."""
    machine: Any = node.machine
    look = machine.look

    def whole(now_ms: int) -> None:
        node.sentinel.stir()
        look(now_ms)

    machine.look = whole


@pytest.mark.parametrize(("seed", "killed"), [(1, "a"), (2, "c"), (3, "s2")])
def test_a_run_is_the_same_when_everything_is_looked_at_all_the_time(seed: int, killed: str) -> None:
    text = CALM.format(seed=seed, killed=killed)
    resting, problem = perform(text, trace=True)
    assert not problem
    restless, problem = perform(text, adapt_sentinels=(everything_looked_at,), trace=True)
    assert not problem
    assert resting.world.log == restless.world.log
