"""What the tests of simulated clusters share: settings, a writer who remembers, faults, a node's side."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

from holdfast.node.cluster import ClusterSide
from holdfast.sim.client import connect
from holdfast.sim.nodes import PORT
from holdfast.sim.scenario.cluster import agrees
from holdfast.sim.scenario.stage import Stage

SEEDS = range(int(os.environ.get("CLUSTER_SIM_SEEDS", "2")))
"""More of them by hand: CLUSTER_SIM_SEEDS=300."""
OK = ("OK", b"OK")
PRIMARIES = ("a", "b", "c")
SHARD_SETTINGS = {"min-replicas-to-ack": "1", "min-replicas-to-ack-timeout": "500"}


class Writer:
    """A client of slot 0 that follows redirections and notes what was acknowledged."""

    def __init__(self, stage: Stage, shard: list[str]) -> None:
        self.stage, self.shard = stage, shard
        self.luck = random.Random(stage.world.luck("writer").getrandbits(64))
        self.by_address = {stage.world.hosts[name].address: name for name in stage.nodes.settings}
        self.acknowledged: list[int] = []
        self.tried = 0
        self.is_ending = False

    async def main(self, host: Any) -> None:
        """Write until it is told to end."""
        target, client = self.shard[0], None
        while not self.is_ending:
            self.tried += 1
            try:
                if client is None:
                    client = await connect(target, PORT, within=0.3)
                reply = await client.ask("SET", f"{{06S}}{self.tried}", self.tried, within=1.0)
            except (OSError, TimeoutError):
                reply = None
            if reply in ("OK", b"OK"):
                self.acknowledged.append(self.tried)
                continue
            target = self._next(str(reply))
            if client is not None:
                client.close()
            client = None
            await asyncio.sleep(0.02)  # virtual

    def _next(self, reply: str) -> str:
        if reply.startswith("MOVED"):
            address = reply.split(" ")[2].rpartition(":")[0]
            return self.by_address.get(address, self.luck.choice(self.shard))
        return self.luck.choice(self.shard)


def a_fault(stage: Stage, shard: list[str], luck: random.Random) -> None:
    """Let one of several faults happen, or mend one."""
    world, everybody = stage.world, list(stage.nodes.settings)
    match luck.randrange(6):
        case 0:
            luck.shuffle(everybody)
            at = luck.randrange(1, len(everybody))
            world.partition(everybody[:at], everybody[at:])
        case 1:
            world.heal_all()
        case 2:
            world.pause(luck.choice(shard))
        case 3:
            for name in shard:
                world.resume(name)
        case 4:
            name = luck.choice(shard)
            if all_are_whole(stage, shard):  # never the memory of two holders at once
                stage.kill(name)
        case 5:
            for name in shard:
                if not stage.nodes.runs(name):
                    stage.start_again(name)


def all_are_whole(stage: Stage, shard: list[str]) -> bool:
    nodes = [stage.nodes.serving(name) for name in shard]
    return all(node is not None and node.replication.standing.node.state.intact for node in nodes) and agrees(
        stage
    )


def side_of(stage: Stage, name: str) -> ClusterSide:
    """Return a node's part in the cluster."""
    side = stage.nodes.latest[name].cluster
    assert side is not None
    return side


def owner_of_slot_0(stage: Stage, name: str) -> str:
    """Return the id of whom a node takes for the owner."""
    owner = side_of(stage, name).owner(0)
    assert owner is not None
    return owner.id
