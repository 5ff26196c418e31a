"""Whole groups in virtual time: nodes and Sentinels unchanged, faults by seed."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.sentinel import failover, observation
from holdfast.sentinel.model import VoterList
from holdfast.sim import World
from tests.sentinel.simulated import SimulatedGroup


def settle(world: World, **settings: object) -> SimulatedGroup:
    """Start a group and wait until everybody knows everybody."""
    made = SimulatedGroup(world, **settings)
    world.run_until(lambda: made.knows_all(), 60)
    return made


@pytest.mark.parametrize(
    ("down_after_ms", "lease", "limit_s"), [(1000, "-1", 0.6), (30_000, "0", 0.5), (30_000, "-1", 1.5)]
)
def test_a_killed_primary_is_replaced_when_its_lease_has_ended(
    down_after_ms: int, lease: str, limit_s: float
) -> None:
    with World(1) as world:
        extra = f"sentinel primary-lease-ms mymaster {lease}\n"
        made = settle(world, down_after_ms=down_after_ms, extra=extra)
        world.run(2)
        at = world.now
        world.kill("n0")
        world.run_until(lambda: bool(made.leading()), 5)
        assert world.now - at < limit_s
        world.run_until(made.agreed, 10)
        world.restart("n0")
        world.run_until(lambda: made.agreed() and len(made.leading()) == 1, 20)


def test_a_cut_off_primary_is_replaced_and_follows_after_the_cut() -> None:
    with World(2) as world:
        made = settle(world, extra="sentinel primary-lease-ms mymaster 0\n")
        world.partition(["n0"], ["n1", "n2", "s0", "s1", "s2"])
        world.run_until(lambda: len(made.leading()) == 2, 10)
        world.heal_all()
        world.run_until(made.agreed, 20)


@pytest.mark.parametrize("seed", range(3))
def test_a_host_that_was_frozen_votes_again_when_the_next_host_is_cut_off(seed: int) -> None:
    with World(20 + seed) as world:
        made = settle(world)
        world.run_until(made.lease_held, 30)
        frozen = ["n0", "s0"]
        for each in frozen:
            world.pause(each)
        world.run_until(lambda: made.leading() not in ([], ["n0"]), 5)
        world.run(2.5)
        elections = len(made.epochs_and_leaders())
        for each in frozen:
            world.resume(each)
        world.run_until(made.agreed, 5)
        world.run(3)
        assert len(made.epochs_and_leaders()) == elections, "nobody was down: no failover was needed"
        cut = [made.leading()[0], "s" + made.leading()[0][1:]]
        world.partition(cut, [each for each in (*made.names, *made.sentinels) if each not in cut])
        world.run_until(lambda: made.leading() not in ([], [cut[0]]), 3)


def test_a_minority_of_sentinels_promotes_nobody() -> None:
    with World(3) as world:
        made = settle(world)
        world.partition(["n1", "s0"], ["n0", "n2", "s1", "s2"])
        world.run(20.0)
        assert made.leading() == ["n0"]
        world.heal_all()
        world.run_until(made.agreed, 30)


def put(made: SimulatedGroup, name: str, count: int) -> None:
    """Write keys to a node, and wait until its replicas have them."""

    async def write() -> None:
        for number in range(count):
            assert await made.nodes.ask(name, "SET", f"k{number}", number) == "OK"
        await made.nodes.ask(name, "WAIT", 2, 1000)

    made.world.run(write())


def test_a_primary_that_restarts_empty_is_replaced_and_all_keys_are_left() -> None:
    with World(4) as world:
        made = settle(world, down_after_ms=30_000)
        put(made, "n0", 50)
        world.restart("n0")
        world.run_until(lambda: made.agreed() and made.leading() != ["n0"], 20)
        assert all(made.nodes.running[name].engine.key_count(0) == 50 for name in made.names)


def test_a_primary_that_was_ever_fenced_waits_after_a_restart_and_gets_its_leader() -> None:
    with World(5) as world:
        made = settle(world, down_after_ms=30_000)
        world.kill("n0")
        world.run_until(lambda: bool(made.leading()), 5)
        world.start("n0")
        world.run_until(made.agreed, 20)
        first = made.leading()[0]
        put(made, first, 50)
        world.restart(first)
        world.run_until(made.agreed, 20)
        assert all(made.nodes.running[name].engine.key_count(0) == 50 for name in made.names)


@pytest.mark.parametrize("seed", range(6))
def test_after_any_faults_one_leads_and_no_epoch_had_two_leaders(seed: int) -> None:
    with World(100 + seed) as world:
        made = settle(world)
        luck = world.luck("faults")
        everyone = [*made.names, "s0", "s1", "s2"]
        for _ in range(6):
            victim = luck.choice(everyone)
            match luck.randrange(3):
                case 0:
                    world.kill(victim)
                    world.run(luck.uniform(0.05, 4))
                    world.start(victim)
                case 1:
                    world.partition([victim], [each for each in everyone if each != victim])
                    world.run(luck.uniform(0.5, 6))
                    world.heal_all()
                case 2:
                    world.pause(victim)
                    world.run(luck.uniform(0.5, 4))
                    world.resume(victim)
            world.run(luck.uniform(0.1, 3))
        world.run_until(made.agreed, 90)
        assert all(len(leaders) == 1 for leaders in made.epochs_and_leaders().values())


def under_lease(world: World, **settings: object) -> SimulatedGroup:
    """Start a group whose primary takes writes only while most Sentinels grant it."""
    made = settle(world, **settings)
    replication = made.nodes.running["n0"].replication
    world.run_until(lambda: replication.lease.word == "held", 20)
    return made


def watch(made: SimulatedGroup, seconds: float) -> list[list[str]]:
    """Let time pass; return whoever took writes at the same time."""
    together: list[list[str]] = []

    def look() -> bool:
        leading = made.leading()
        if len(leading) > 1:
            together.append(leading)
        return False

    end = made.world.now + seconds
    made.world.run_until(lambda: look() or made.world.now >= end, seconds + 1)
    return together


def test_under_a_lease_a_cut_off_primary_takes_no_writes_when_another_leads() -> None:
    with World(6) as world:
        made = under_lease(world)
        world.partition(["n0"], ["n1", "n2", "s0", "s1", "s2"])
        assert watch(made, 10) == []
        assert len(made.leading()) == 1 and made.leading() != ["n0"]
        world.heal_all()
        world.run_until(made.agreed, 20)


def test_without_most_sentinels_a_primary_goes_on_while_all_replicas_grant() -> None:
    with World(7) as world:
        made = under_lease(world)
        for name in ("s0", "s1", "s2"):
            world.kill(name)
        world.run(3.0)
        assert made.leading() == ["n0"]
        world.kill("n2")
        world.run(3.0)
        assert made.leading() == []
        for name in ("s0", "s1"):
            world.start(name)
        world.run_until(lambda: len(made.leading()) == 1, 20)


@pytest.mark.parametrize("seed", range(4))
def test_under_a_lease_no_two_take_writes_whatever_is_cut(seed: int) -> None:
    with World(200 + seed) as world:
        made = under_lease(world)
        luck = world.luck("faults")
        everyone = [*made.names, "s0", "s1", "s2"]
        for _ in range(5):
            victim = luck.choice(everyone)
            world.partition([victim], [each for each in everyone if each != victim])
            assert watch(made, luck.uniform(0.5, 6)) == []
            world.heal_all()
            assert watch(made, luck.uniform(0.1, 3)) == []
        world.run_until(made.agreed, 90)


def test_a_write_that_waits_for_a_lease_is_refused_when_the_node_becomes_a_replica() -> None:
    with World(11) as world:
        made = under_lease(world, lease_hold_ms="60000")
        world.partition(["n0"], ["n1", "n2", "s0", "s1", "s2"])
        world.run(3)

        async def write_and_demote() -> object:
            writing = asyncio.ensure_future(made.nodes.ask("n0", "SET", "waits", 1))
            await asyncio.sleep(1)
            assert not writing.done()
            address = world.hosts["n1"].interface.addresses[0]
            assert await made.nodes.ask("n0", "REPLICAOF", address, 7000) == "OK"
            return await writing

        assert "READONLY" in str(world.run(write_and_demote()))


def test_a_primary_told_to_end_hands_over_first_and_nothing_is_lost() -> None:
    with World(8) as world:
        made = under_lease(world)
        put(made, "n0", 50)
        at = world.now
        world.terminate("n0")
        world.run_until(lambda: made.leading() not in ([], ["n0"]), 5)
        assert world.now - at < 0.5
        world.run_until(lambda: not world.process("n0").running, 5)
        leader = made.leading()[0]
        assert made.nodes.running[leader].engine.key_count(0) == 50


def test_a_planned_failover_waits_for_the_disk_twice_the_fence_and_the_promotion() -> None:
    sync_s = 0.01  # of a file; a name that changes takes as long again
    with World(13) as world:
        made = under_lease(world, down_after_ms=5000)
        world.run(2)
        for name in (*made.names, *made.sentinels):
            world.hosts[name].disk.sync_seconds = sync_s
        node = made.sentinels["s0"]
        primary = node.sentinel.primaries["mymaster"]
        failover.start(node.sentinel, primary, node.now_ms())
        primary.is_forced = primary.must_change = True
        node.look()
        world.run_until(lambda: made.leading() == [], 5)
        stopped = world.now
        world.run_until(lambda: bool(made.leading()), 5)
        assert made.leading() != ["n0"]
        assert world.now - stopped < 2 * 2 * sync_s + 0.02


def test_two_of_five_sentinels_that_were_told_to_forget_the_others_elect_nobody() -> None:
    with World(9) as world:
        made = settle(world, sentinels=5, extra="sentinel failover-timeout mymaster 10000\n")
        world.run_until(lambda: made.nodes.running["n0"].replication.lease.word == "held", 20)
        world.run_until(lambda: all(len(each) == 5 for each in made.voter_lists()), 20)
        for node in made.sentinels.values():
            node.sentinel.primaries["mymaster"].options.quorum = 2
        world.partition(["n0", "s0", "s1", "s2"], ["n1", "n2", "s3", "s4"])
        for name in ("s3", "s4"):
            node = made.sentinels[name]
            observation.reset(node.sentinel, node.sentinel.primaries["mymaster"], node.now_ms())
            node.run_effects()
        assert watch(made, 20) == []
        assert made.leading() == ["n0"]
        world.heal_all()
        world.run_until(made.agreed, 30)


def test_a_sixth_sentinel_joins_the_list_and_a_dead_one_leaves_it_when_most_are_told() -> None:
    with World(10) as world:
        made = under_lease(world)
        world.start("s3", made._program(world.hosts["n0"].interface.addresses[0], 1000, 2))
        world.run_until(lambda: all(len(each) == 4 for each in made.voter_lists()), 20)
        gone = made.sentinels["s3"].sentinel.my_id
        world.kill("s3")
        world.run(5)
        assert all(len(each) == 4 for each in made.voter_lists()), "nobody leaves by age"
        for name in ("s0", "s1", "s2"):
            primary = made.sentinels[name].sentinel.primaries["mymaster"]
            primary.unwanted_voters |= {gone}
        del made.sentinels["s3"]
        world.run_until(lambda: all(len(each) == 3 for each in made.voter_lists()), 10)
        assert made.leading() == ["n0"]


@pytest.mark.parametrize("behind", ["s0", "s1", "s2"])
def test_a_sentinel_that_is_behind_with_the_list_delays_no_election(behind: str) -> None:
    with World(12) as world:
        made = under_lease(world)
        world.run(2)
        world.kill("n0")
        made.sentinels[behind].sentinel.primaries["mymaster"].voter_list = VoterList()
        for name, node in made.sentinels.items():  # so that it is the first to stand
            node.sentinel.primaries["mymaster"].start_after_ms = node.now_ms() + (
                0 if name == behind else 300
            )
        world.run_until(made.agreed, 5)
        assert {len(each) for each in made.voter_lists()} == {3}
