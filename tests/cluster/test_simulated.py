"""Unchanged nodes as a cluster in virtual time: faults by seed, and what was acknowledged is there."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from typing import Any

import pytest

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
    a_fault,
)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_acknowledged_write_is_lost(seed: int, replicas: int) -> None:
    with closing(Stage(f"cluster/{seed}/{replicas}")) as stage:
        following = [f"{name}{number}" for number in range(replicas) for name in PRIMARIES]
        form_cluster(stage, ", ".join(PRIMARIES), ", ".join(following), SHARD_SETTINGS)
        shard = ["a", *(f"a{number}" for number in range(replicas))]
        writer = Writer(stage, shard)
        stage.world.start("writer", writer.main)
        luck = random.Random(seed)
        for _ in range(10):
            stage.world.run(luck.choice((0.1, 0.6, 1.3, 2.5)))
            a_fault(stage, shard, luck)
        stage.mend()
        healed = len(writer.acknowledged)
        assert stage.await_true(lambda: len(writer.acknowledged) > healed, 60), "writes go on after healing"
        writer.is_ending = True
        assert stage.await_true(lambda: agrees(stage), 60), "they agree after healing"
        leader = next(name for name in shard if not stage.nodes.latest[name].replication.is_replica)
        lost = [
            number
            for number in writer.acknowledged
            if stage.nodes.latest[leader].engine and stage.ask(leader, "EXISTS", f"{{06S}}{number}") != 1
        ]
        assert not lost, f"{len(lost)} of {len(writer.acknowledged)}"


def test_a_replica_that_lacks_an_acknowledged_write_does_not_lead_though_it_has_the_votes() -> None:
    with closing(Stage(11)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f, g, h, i", SHARD_SETTINGS)
        stage.world.run(3.0)
        stage.world.partition(["a", "d"], ["b", "c", "e", "f", "g", "h", "i"])
        assert stage.ask("a", "SET", "{06S}", "held by a and d") in ("OK", b"OK")
        stage.world.run(6.0)
        assert stage.nodes.latest["g"].replication.is_replica
        stage.mend()
        assert stage.await_true(lambda: agrees(stage), 60)
        leader = next(name for name in "adg" if not stage.nodes.latest[name].replication.is_replica)
        assert stage.ask(leader, "GET", "{06S}") in ("held by a and d", b"held by a and d")


def test_an_empty_primary_that_returns_is_not_followed_and_its_replica_leads() -> None:
    with closing(Stage(7)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f", {"cluster-node-timeout": "5000"})
        for number in range(50):
            assert stage.ask("a", "SET", f"{{06S}}{number}", number) in ("OK", b"OK")
        stage.world.run(1.0)
        stage.world.pause("b")
        stage.world.pause("c")  # nobody can fail it over before it is back
        stage.kill("a")
        stage.start_again("a")
        stage.world.run(0.3)
        stage.world.resume("b")
        stage.world.resume("c")
        assert stage.await_true(lambda: agrees(stage), 30)
        assert not stage.nodes.latest["d"].replication.is_replica
        assert stage.ask("d", "DBSIZE") == 50
        assert stage.nodes.latest["a"].engine.key_count(0) == 50


def test_a_primary_that_restarts_unseen_is_led_again_by_its_replica() -> None:
    with closing(Stage(9)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f", {"cluster-node-timeout": "5000", **SHARD_SETTINGS})
        stage.kill("a")
        assert stage.await_true(lambda: not stage.nodes.latest["d"].replication.is_replica, 5)
        stage.start_again("a")
        assert stage.await_true(lambda: agrees(stage), 20)
        assert stage.await_true(lambda: stage.ask("d", "SET", "{06S}", "one") in ("OK", b"OK"), 5)
        stage.world.pause("b")
        stage.world.pause("c")
        stage.kill("d")
        stage.start_again("d")  # it waits for a leader now
        stage.world.run(0.3)
        stage.world.resume("b")
        stage.world.resume("c")
        assert stage.await_true(lambda: agrees(stage), 30)
        assert stage.ask("a", "GET", "{06S}") in ("one", b"one")
        assert stage.ask("a", "SET", "{06S}", "two") in ("OK", b"OK")


def test_a_failover_by_hand_loses_nothing_though_the_primary_waits_for_its_disk() -> None:
    with closing(Stage(41)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f", {"repl-timeout": "60"})
        stage.world.run(3.0)
        old, new = stage.nodes.latest["a"], stage.nodes.latest["d"]
        assert old.cluster is not None and new.cluster is not None
        acknowledged: list[int] = []

        async def write(host: Any) -> None:
            client = await connect("a", PORT, within=1.0)
            while await client.ask("SET", f"{{06S}}{len(acknowledged)}", "x" * 20_000, within=9.0) in OK:
                acknowledged.append(len(acknowledged))
                await asyncio.sleep(0.001)  # virtual

        stage.world.start("writer", write)
        stage.world.run(0.5)
        stage.world.slow_disk("a", 0.3)
        stage.world.slow_reader("d", 4_000_000)  # it is behind
        old.cluster.view.save(synced=True)  # as a vote for another shard does
        old.cluster.queue.run()
        assert stage.ask("d", "CLUSTER", "FAILOVER") in OK
        assert stage.await_true(lambda: not new.replication.is_replica, 20)
        stage.world.slow_reader("d", 0)
        stage.world.run(1.0)
        assert len(acknowledged) > 300
        assert new.engine.key_count(0) == len(acknowledged)


def test_garbage_on_the_bus_port_harms_nothing() -> None:
    with closing(Stage(8)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f", {})
        luck = random.Random(8)

        async def throw(host: Any) -> None:
            for _ in range(30):
                _, writer = await asyncio.open_connection("a", PORT + 10_000)
                writer.write(luck.randbytes(luck.randrange(1, 5000)))
                writer.write(b"RCmb" + luck.randbytes(3000))
                await asyncio.sleep(0.02)  # virtual
                writer.close()

        stage.world.start("stranger", throw)
        stage.world.run(3.0)
        assert agrees(stage)
        assert stage.nodes.latest["a"].cluster is not None
        assert stage.nodes.latest["a"].cluster.bus.broken > 0
