"""Under a lease no two nodes ever take writes; and the judge sees every rule that is dropped."""

from __future__ import annotations

import os

import pytest

from tests.sentinel.lease_swarm import MUTATIONS, run_seed, seen

SEEDS = int(os.environ.get("HOLDFAST_LEASE_SEEDS", "4"))
SEEN_IN = {
    "the leader does not wait": 1,
    "a restarted Sentinel forgets its grants": 1,
    "a vote does not end the granting": 0,
    "a grant counts from its arrival": 1,
    "one grant is a majority": 1,
    "a replica that granted leads at once": 1,
    "one replica grants for all": 1,
}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_two_nodes_take_writes_whatever_happens(seed: int) -> None:
    assert run_seed(seed) == []


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_judge_sees_that_a_rule_is_dropped(name: str) -> None:
    assert seen(name, SEEN_IN[name])
