"""Slots that travel as a whole between unchanged nodes in virtual time: whose they are, by faults."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from typing import Any

import pytest

from holdfast.commands.slot_keys import keys_in_slot
from holdfast.engine.state import Session
from holdfast.sim.client import connect
from holdfast.sim.nodes import PORT
from holdfast.sim.scenario.cluster import agrees, form_cluster
from holdfast.sim.scenario.stage import Stage
from tests.cluster.simulated import (
    OK,
    PRIMARIES,
    SEEDS,
    SHARD_SETTINGS,
    Writer,
    owner_of_slot_0,
    side_of,
)

FIVE = "a, b, c, d, e", "f, g, h, i, j"
"""Primaries and their replicas, in this order."""


def test_a_slot_that_went_is_served_no_more_though_the_disk_is_slow() -> None:
    with closing(Stage(16)) as stage:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        side = side_of(stage, "a")
        stage.world.slow_disk("a", 2.0)
        side.view.save(synced=True)
        side.queue.run()
        assert stage.ask("a", "CLUSTER", "GIVE", side_of(stage, "b").me.id, 0) == 1
        assert str(stage.ask("a", "SET", "{06S}2", "more")).startswith("MOVED 0 ")
        assert stage.ask("b", "SET", "{06S}2", "more") in OK
        assert stage.ask("b", "DBSIZE") == 2


def test_who_gave_a_slot_knows_the_epoch_of_its_claim_before_the_bus_tells_it() -> None:
    with closing(Stage(18)) as stage:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        stage.world.set_link("a", "b", latency=0.9)
        stage.world.run(2.0)
        stage.world.set_link("a", "b", latency=0.001)  # what is under way arrives first
        assert _give_slot_0(stage) == 0
        giver, taker = side_of(stage, "a").view, side_of(stage, "b").view
        assert giver.nodes[taker.me.id].config_epoch < taker.me.config_epoch, "the bus lags"
        assert giver.epoch >= taker.me.config_epoch


def test_what_a_source_began_to_give_is_thrown_away_when_it_has_fallen_silent() -> None:
    with closing(Stage(20)) as stage:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        source, side = side_of(stage, "a").me.id, side_of(stage, "b")
        session = Session(stage.nodes.latest["b"].engine)
        side.take(session, "BEGIN", b"token", [source.encode(), b"0"])
        stage.world.run(9.0)
        assert "on their way" in str(stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source))
        stage.world.run(2.0)
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source) in OK
        stage.ask("b", "CLUSTER", "SETSLOT", 0, "STABLE")
        assert agrees(stage)


def _give_slot_0(stage: Stage) -> Any:
    side = stage.nodes.latest["b"].cluster
    assert side is not None
    return stage.ask("a", "CLUSTER", "GIVE", side.me.id, 0)


def test_a_slot_given_in_a_minority_is_served_by_nobody_there_and_what_was_acknowledged_stays() -> None:
    with closing(Stage(21)) as stage:
        settings = {"cluster-node-timeout": "2000", "cluster-require-full-coverage": "no"}
        form_cluster(stage, *FIVE, SHARD_SETTINGS | settings)
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        stage.world.partition(["a", "b", "g"], list("cdefhij"))
        given = _give_slot_0(stage)  # to b and its replica, both cut off from the majority
        assert not isinstance(given, int), given
        assert stage.ask("b", "SET", "{06S}2", "more") not in OK
        assert stage.await_true(lambda: not stage.nodes.latest["f"].replication.is_replica, 30)
        stage.world.run(6.0)
        assert stage.ask("f", "GET", "{06S}") in ("kept", b"kept")
        stage.mend()
        assert stage.await_true(lambda: agrees(stage), 60)
        holders = [
            name
            for name, node in stage.nodes.all_serving().items()
            if not node.replication.is_replica and keys_in_slot(node.engine, 0, 10)
        ]
        assert len(holders) == 1
        assert stage.ask(holders[0], "GET", "{06S}") in ("kept", b"kept")
        assert stage.ask(holders[0], "SET", "{06S}", "more") in OK


def test_a_slot_that_came_as_a_whole_is_the_heirs_though_its_taker_dies_right_behind_its_claim() -> None:
    with closing(Stage(22)) as stage:
        form_cluster(stage, *FIVE, {**SHARD_SETTINGS, "cluster-node-timeout": "2000"})
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        view: Any = side_of(stage, "b").view
        log = view.log

        def die(text: str, level: str = "notice") -> None:
            log(text, level)
            if "slots taken from" in text:  # claimed, and not yet announced to anybody
                stage.world.loop.call_soon(stage.kill, "b")

        view.log = die
        given = _give_slot_0(stage)
        assert not stage.nodes.runs("b")
        assert stage.await_true(lambda: not stage.nodes.latest["g"].replication.is_replica, 30)
        leader = "g" if isinstance(given, int) else "a"
        stage.world.run(6.0)
        assert stage.ask(leader, "GET", "{06S}") in ("kept", b"kept"), given
        stage.start_again("b")
        assert stage.await_true(lambda: agrees(stage), 60)
        assert owner_of_slot_0(stage, "c") == side_of(stage, leader).me.id


def test_a_slot_is_its_takers_though_a_replica_of_its_source_was_stopped_while_it_was_elected() -> None:
    with closing(Stage(25)) as stage:
        settings = {"cluster-node-timeout": "1000", "cluster-require-full-coverage": "no"}
        form_cluster(stage, "a, b, c, d, e", "f", settings)
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        stage.world.slow_disk("b", 0.1)
        order = ("CLUSTER", "GIVE", side_of(stage, "b").me.id, 0)
        stage.world.loop.create_task(stage._ask("tool", "a", order, PORT))
        while side_of(stage, "b").owner(0) is not side_of(stage, "b").me:
            stage.world.run(0.0001)
        stage.kill("a")
        while not side_of(stage, "f").view.election.is_sent:
            stage.world.run(0.0001)
        stage.world.pause("f")
        stage.world.run(0.05)
        voters = [side_of(stage, name).view for name in "cde"]
        assert all(each.voted_epoch == each.epoch for each in voters), "before they heard of the claim"
        assert stage.await_true(lambda: not side_of(stage, "b").claims, 10)
        assert side_of(stage, "b").me.config_epoch > max(each.voted_epoch for each in voters)
        assert stage.ask("b", "SET", "{06S}2", "more") in OK
        stage.world.resume("f")
        assert stage.await_true(lambda: not stage.nodes.latest["f"].replication.is_replica, 20)
        stage.world.run(2.0)
        assert {owner_of_slot_0(stage, name) for name in "bcdef"} == {side_of(stage, "b").me.id}
        assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")
        assert stage.ask("b", "GET", "{06S}2") in ("more", b"more")


def test_keys_stay_at_their_source_where_the_target_came_back_without_its_disk() -> None:
    """The node at its address knew nobody, and said that the slots were claimed."""
    with closing(Stage(23)) as stage:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        order = ("CLUSTER", "GIVE", side_of(stage, "b").me.id, 0)
        gift = stage.world.loop.create_task(stage._ask("tool", "a", order, PORT))
        while not side_of(stage, "a").view.giving:
            stage.world.run(0.0001)
        stage.kill("b")
        disk = stage.world.hosts["b"].disk
        for name in disk.listdir("."):
            disk.remove(name)
        stage.start_again("b")
        assert stage.await_true(gift.done, 20)
        assert "not given" in str(gift.result())
        assert keys_in_slot(stage.nodes.latest["a"].engine, 0, 10) == [b"{06S}"]
        assert side_of(stage, "a").owner(0) is side_of(stage, "a").me


def test_whether_slots_were_taken_says_only_who_is_asked_and_certain() -> None:
    with closing(Stage(24)) as stage:
        form_cluster(stage, "a, b, c", None, {"cluster-require-full-coverage": "no"})
        stage.world.run(3.0)
        ids = {name: side_of(stage, name).me.id for name in "abc"}

        def answer(source: str, target: str, *slots: int) -> str:
            return str(stage.ask("b", "CLUSTER", "TAKEN", "0" * 16, source, target, *slots))

        assert answer(ids["a"], ids["b"], 0).startswith("UNKNOWN")
        assert answer(ids["a"], ids["c"], 0).startswith("ERR")
        assert answer("f" * 40, ids["b"], 0).startswith("ERR")
        assert stage.ask("a", "CLUSTER", "GIVE", ids["b"], 0, 1) == 0
        assert answer(ids["a"], ids["b"], 0, 1).startswith("CLAIMED")
        assert answer(ids["a"], ids["b"], 0, 2).startswith("TRYAGAIN"), "one is the source's still"
        assert stage.ask("b", "CLUSTER", "GIVE", ids["c"], 1) == 0
        assert answer(ids["a"], ids["b"], 0, 1).startswith("CLAIMED"), "one has gone on"
        assert stage.ask("b", "CLUSTER", "DELSLOTS", 1) in OK
        assert answer(ids["a"], ids["b"], 0, 1).startswith("TRYAGAIN"), "nobody has one of them"


@pytest.mark.parametrize("replicas", [None, "d, e, f"])
def test_a_slot_is_served_though_its_source_dies_for_good_behind_the_claim(replicas: str | None) -> None:
    """Who called the source down did not count among those who know, for ever."""
    with closing(Stage(22)) as stage:
        settings = {"cluster-node-timeout": "1000", "cluster-require-full-coverage": "no"}
        form_cluster(stage, "a, b, c", replicas, settings)
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        if replicas:
            stage.kill("d")
            stage.world.run(8.0)
        stage.world.slow_disk("b", 0.1)
        order = ("CLUSTER", "GIVE", side_of(stage, "b").me.id, 0)
        stage.world.loop.create_task(stage._ask("tool", "a", order, PORT))
        while side_of(stage, "b").owner(0) is not side_of(stage, "b").me:
            stage.world.run(0.0001)
        stage.kill("a")
        before = side_of(stage, "b").me.config_epoch
        stage.world.run(3.0)
        assert bool(side_of(stage, "b").claims) is bool(replicas), "d may have votes, were it not dead"
        assert stage.await_true(lambda: not side_of(stage, "b").claims, 10)
        assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")
        assert (side_of(stage, "b").me.config_epoch > before) is bool(replicas), "above whom they elected"
        if replicas:
            stage.start_again("d")
            stage.world.run(10.0)
            assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")


def test_a_node_that_is_killed_right_behind_the_reply_remembers_which_slots_it_gives() -> None:
    with closing(Stage(14)) as stage:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        target = side_of(stage, "b").me.id
        for slot in range(20):
            assert stage.ask("a", "CLUSTER", "SETSLOT", slot, "MIGRATING", target) in OK
        assert stage.ask("a", "CLUSTER", "SETSLOT", 7, "STABLE") in OK
        stage.kill("a")
        stage.start_again("a")
        assert stage.await_true(lambda: agrees(stage), 20)
        view = side_of(stage, "a").view
        assert set(view.migrating) == set(range(20)) - {7}
        assert all(each.id == target for each in view.migrating.values())


async def _gives(stage: Stage, pairs: list[tuple[str, str]], given: list[int]) -> None:
    """Have slot 0 given to and fro, whoever has it, until the world ends."""
    luck = random.Random(stage.world.luck("gives").getrandbits(64))
    while True:
        await asyncio.sleep(luck.uniform(0.01, 0.3))  # virtual
        source, target = luck.choice(pairs)
        node = stage.nodes.serving(target)
        if node is None or node.cluster is None:
            continue
        try:
            client = await connect(source, PORT, within=0.3)
        except (OSError, TimeoutError):
            continue
        try:
            reply = await client.ask("CLUSTER", "GIVE", node.cluster.me.id, 0, within=8.0)
            given.append(reply) if isinstance(reply, int) else None
        except (OSError, TimeoutError):
            pass
        client.close()


@pytest.mark.parametrize("replicas", [0, 1])
@pytest.mark.parametrize("seed", SEEDS[: max(1, len(SEEDS) // 2)])
def test_a_slot_that_travels_as_a_whole_through_faults_loses_nothing(seed: int, replicas: int) -> None:
    with closing(Stage(f"cluster/give/{seed}/{replicas}")) as stage:
        following = [f"{name}0" for name in PRIMARIES] if replicas else []
        form_cluster(stage, ", ".join(PRIMARIES), ", ".join(following), SHARD_SETTINGS if replicas else {})
        both = ["a", "b", *(["a0", "b0"] if replicas else [])]
        writer, given = Writer(stage, both), list[int]()
        stage.world.start("writer", writer.main)
        pairs = [(one, other) for one in both for other in both if one[0] != other[0]]
        stage.world.start("giver", lambda host: _gives(stage, pairs, given))
        luck, world = random.Random(seed), stage.world
        for _ in range(8):
            world.run(luck.choice((0.1, 0.6, 1.3, 2.5)))
            match luck.randrange(4):
                case 0:
                    world.cut(*luck.choice(pairs), one_way=luck.random() < 0.5)
                case 1:
                    world.break_after(*luck.choice(pairs), luck.randrange(20_000))
                case 2:
                    world.pause(luck.choice(both))
                case 3:
                    world.heal_all()
                    for name in both:
                        world.resume(name)
        stage.mend()
        healed = len(writer.acknowledged)
        assert stage.await_true(lambda: len(writer.acknowledged) > healed, 60), "writes go on after healing"
        travelled = len(given)
        assert stage.await_true(lambda: len(given) > travelled, 60), "it travels after healing"
        world.kill("giver")
        writer.is_ending = True
        assert stage.await_true(lambda: agrees(stage), 60), "they agree after healing"
        world.run(1.0)
        holders = {}
        for name in stage.nodes.settings:
            node = stage.nodes.serving(name)
            if node is not None and node.cluster is not None and node.cluster.view.me.is_primary:
                holders[name] = set(keys_in_slot(node.engine, 0, 1 << 20))
        held = [names for names in holders.values() if names]
        wanted = {f"{{06S}}{number}".encode() for number in writer.acknowledged}
        assert len(held) == 1, {name: len(names) for name, names in holders.items()}
        assert wanted <= held[0], len(wanted - held[0])
