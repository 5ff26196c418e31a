"""Failovers one after another under faults: kills, pauses and cuts, one at a time, drawn from a seed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from holdfast.sim import World
from tests.replication.leader import lead
from tests.replication.simulated import PORT, Client, Nodes
from tests.replication.test_no_acknowledged_write_is_lost import all_keys, members

NAMES = ("a", "b", "c")


@pytest.mark.parametrize("seed", range(12))
def test_no_acknowledged_write_is_lost_over_several_failovers(seed: int) -> None:
    luck = random.Random(seed)
    with World(f"swarm {seed}") as world:
        nodes = Nodes(world)
        nodes.start("a", min_replicas_to_ack="1")
        for name in ("b", "c"):
            nodes.start(name, replicaof="a 7000", min_replicas_to_ack="1")
        world.run_until(lambda: members(nodes, "a") == 2, 10, what="two members")
        acknowledged: set[str] = set()
        primary = "a"

        def ask(name: str, *words: object) -> Any:
            reply = world.run(nodes.ask(name, *words))
            assert not isinstance(reply, Exception), reply
            return reply

        for epoch in range(1, 5):
            world.loop.create_task(write(primary, epoch, acknowledged))
            world.run(luck.random() * 0.3)
            others = [name for name in NAMES if name != primary]
            fault = luck.choice(("cut", "pause", "none"))
            victim = luck.choice(others)
            if fault == "cut":
                world.cut(primary, victim)
            elif fault == "pause":
                world.pause(victim)
            world.run(luck.random() * 0.5)
            if fault == "pause":
                world.resume(victim)
            if luck.random() < 0.7:  # what is written now reaches nobody, and must not be answered OK
                world.partition([primary], others)
                world.run(luck.random() * 0.2)
            world.kill(primary)
            fallen = primary
            primary = lead(ask, epoch, {name: (name, PORT) for name in others}, set(), lambda: world.run(0.2))
            world.heal_all()
            assert acknowledged <= set(world.run(all_keys(primary)))
            world.start(fallen)
            world.run(0.5)
            report = ask(fallen, "HOLDFAST", "FENCE", epoch, "leader")
            assert report[report.index(b"intact") + 1] == b"no"
            leader = nodes.running[primary].replication.standing.node_id
            ask(fallen, "HOLDFAST", "FOLLOW", epoch, "leader", primary, PORT, leader)
            world.run_until(lambda name=primary: members(nodes, name) == 2, 30, what="both follow again")  # type: ignore[misc]
        assert acknowledged <= set(world.run(all_keys(primary)))
        assert len(acknowledged) > 100


async def write(name: str, epoch: int, acknowledged: set[str]) -> None:
    client = Client(name)
    try:
        for count in range(100_000):
            await client.send("SET", f"{epoch}:{count}", "x")
            if await client.reply() == "OK":
                acknowledged.add(f"{epoch}:{count}")
    except (ConnectionError, OSError):
        return
