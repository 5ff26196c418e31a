"""The virtual address in virtual time: one holder at most, whatever is killed, stopped or cut."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest

from holdfast.sim import World
from holdfast.sim.addresses import Agents
from tests.sentinel.simulated import SimulatedGroup

SEEDS = int(os.environ.get("HOLDFAST_ADDRESS_SEEDS", "2"))
"""Seeds a kind in an ordinary run."""


def settle(
    world: World, follow: str = "primary", hosts: int = 3, *, gateless: Sequence[str] = ()
) -> tuple[SimulatedGroup, Agents]:
    """Start nodes, Sentinels and agents, and wait until one host has the address."""
    group = SimulatedGroup(world, nodes=hosts)
    world.run_until(lambda: group.knows_all(), 60)
    agents = Agents(
        world, "10.99.0.100", group.names, ["s0", "s1", "s2"], follow=follow, port=7000, gateless=gateless
    )
    world.run_until(lambda: len(agents.kernels.holders()) == 1, 20)
    return group, agents


def test_the_address_stands_beside_the_primary_and_moves_at_once_when_its_server_is_killed() -> None:
    with World(1) as world:
        group, agents = settle(world)
        assert agents.kernels.holders() == ["n0"]
        world.run(5.0)
        world.kill("n0")
        world.run_until(lambda: bool(group.leading()), 5)
        switched = world.now
        world.run_until(lambda: agents.kernels.holders() == group.leading(), 5)
        assert world.now - switched < 0.4
        assert not agents.kernels.overlaps


@pytest.mark.parametrize("gateless", [(), ("n0", "n1", "n2")])
def test_a_stopped_host_loses_the_address_by_its_kernel_before_another_takes_it(
    gateless: Sequence[str],
) -> None:
    with World(2) as world:
        group, agents = settle(world, gateless=gateless)
        for each in ("n0", "agent-n0"):
            world.pause(each)
        world.run_until(lambda: group.leading() not in ([], ["n0"]), 10)
        switched = world.now
        world.run_until(lambda: agents.kernels.holders() not in ([], ["n0"]), 10)
        took = world.now - switched
        assert took < (2.5 if gateless else 0.4)
        world.run(3.0)
        for each in ("n0", "agent-n0"):
            world.resume(each)
        world.run(3.0)
        assert agents.kernels.holders() == group.leading()
        assert not agents.kernels.overlaps


def test_a_cut_off_holder_drops_the_address_by_itself() -> None:
    with World(3) as world:
        group, agents = settle(world)
        world.partition(["n0"], ["n1", "n2", "s0", "s1", "s2"])
        at = world.now
        world.run_until(lambda: "n0" not in agents.kernels.holders(), 5)
        assert world.now - at < 2.0
        world.run_until(lambda: bool(agents.kernels.holders()), 5)
        world.heal_all()
        world.run(5.0)
        assert agents.kernels.holders() == group.leading()
        assert not agents.kernels.overlaps


def test_a_pair_of_proxies_hands_the_address_over_and_the_one_that_returns_does_not_take_it_back() -> None:
    with World(4) as world:
        _, agents = settle(world, "proxy", hosts=2)
        first = agents.kernels.holders()[0]
        other = "n1" if first == "n0" else "n0"
        at = world.now
        world.kill(first)
        world.run_until(lambda: agents.kernels.holders() == [other], 5)
        assert world.now - at < 0.4
        world.restart(first)
        world.run(10.0)
        assert agents.kernels.holders() == [other]
        assert not agents.kernels.overlaps


def test_an_agent_without_a_majority_of_voters_takes_nothing() -> None:
    with World(5) as world:
        _, agents = settle(world, "proxy", hosts=2)
        for each in ("s0", "s1"):
            world.kill(each)
        world.run(10.0)
        assert agents.kernels.holders() == []
        keeper = agents.latest["n0"].keepers[0]
        assert any("does not answer" in each for each in keeper.status()["reasons"])  # type: ignore[attr-defined]
        world.restart("s0")
        world.run_until(lambda: len(agents.kernels.holders()) == 1, 20)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("follow", ["primary", "proxy"])
def test_never_two_holders_under_random_faults(seed: int, follow: str) -> None:
    luck = random.Random(f"{follow} {seed}")
    with World(seed + 100) as world:
        group, agents = settle(world, follow, gateless=luck.choice(((), ("n0", "n1", "n2"), ("n0",))))
        everybody = [*group.names, "s0", "s1", "s2"]
        for name in group.names:
            world.drift(name, 1 + luck.uniform(-0.04, 0.04))
        for _ in range(12):
            name, agent = luck.choice(everybody), f"agent-{luck.choice(group.names)}"
            match luck.randrange(6):
                case 0:
                    world.restart(name)
                case 1:
                    world.restart(agent)
                case 2:
                    world.pause(agent)
                    world.run(luck.uniform(0.1, 6))
                    world.resume(agent)
                case 3:
                    side = luck.sample(everybody, luck.randrange(1, 4))
                    world.partition(side, [each for each in everybody if each not in side])
                    world.run(luck.uniform(0.1, 6))
                    world.heal_all()
                case 4:
                    world.kill(name)
                    world.run(luck.uniform(0.1, 4))
                    world.restart(name)
                case 5:
                    world.reset(luck.choice(group.names), luck.choice(("s0", "s1", "s2")))
            world.run(luck.uniform(0, 3))
        world.heal_all()
        world.run_until(lambda: len(agents.kernels.holders()) == 1, 40)
        if follow == "primary":
            world.run_until(lambda: group.agreed() and agents.kernels.holders() == group.leading(), 40)
        assert not agents.kernels.overlaps, "\n".join([*agents.kernels.overlaps, *agents.log[-40:]])
