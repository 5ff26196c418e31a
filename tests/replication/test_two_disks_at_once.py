"""appendfsync always with members: the primary's sync and theirs run side by side, and nothing is lost by it.

Power is lost in place of each of the operations by which writes reach the primary's disk, with clients
that write on; whoever is promoted holds all that was acknowledged, and the members' logs hold it too.
"""

from __future__ import annotations

import pytest

from holdfast.sim.scenario import run_text

SETTINGS = "appendonly yes, appendfsync always, min-replicas-to-ack 1"
POWER_FAILS = f"""
start a with {SETTINGS}
start b from a with {SETTINGS}
start c from a with {SETTINGS}
manager m
wait until epoch 1 has a primary within 5 s
wait until convergence within 10 s
expect b is primary
clients 3 at 40 a second
wait 1 s
power-loss b at disk operation {{operation}}
wait until b is away within 5 s
power-loss b
{{after}}
wait until epoch 2 has a primary within 20 s
wait 2 s
power-on b
wait 2 s
stop clients
wait until convergence within 30 s
judge
"""
AFTER = {
    "stays away": "",
    "is back at once": "power-on b",
    "with all the others": "power-loss a\npower-loss c\npower-on a\npower-on c\npower-on b",
}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("operation", range(1, 5))
def test_power_that_fails_within_a_write_takes_nothing_that_was_acknowledged(
    operation: int, after: str
) -> None:
    *_, verdict, _, _, _ = run_text(POWER_FAILS.format(operation=operation, after=AFTER[after]))
    assert "no objection" in verdict
    assert " 0 acknowledged writes" not in verdict
