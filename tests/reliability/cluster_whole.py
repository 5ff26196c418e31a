"""Three hundred whole nodes in the simulator: a primary crashes, a replica is elected, all agree.

What this is: unchanged cluster nodes, each with its engine, its files, its replication and a connection to
each of the others, over which the real bytes of the bus go. They begin with a nodes.conf that names them all,
as after a restart of everything. What it is not: how they get to know each other from nothing, or a storm of
crashes; `cluster_many` plays these with the decisions alone.

    python -m tests.reliability.cluster_whole [--primaries 100] [--replicas 2] [--crashes 1] [--timeout 15000]

It prints virtual time, the processor's and the clock's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from holdfast.cluster import slots
from holdfast.sim import World
from holdfast.sim.nodes import DIRECTORY, PORT, Nodes

BUS_PORT = PORT + 10_000
LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 120.0


class WholeCluster:
    """A world of cluster nodes, replica n behind primary n, around."""

    def __init__(self, world: World, primaries: int, replicas: int, timeout_ms: int) -> None:
        """Start them all from one picture of the cluster."""
        self.world, self.nodes = world, Nodes(world)
        self.names = [f"n{number}" for number in range(primaries * (replicas + 1))]
        self.ids = {name: f"{number + 1:040x}" for number, name in enumerate(self.names)}
        self.primaries = primaries
        settings = {"cluster-enabled": "yes", "cluster-node-timeout": str(timeout_ms)}
        for name in self.names:
            world.host(name)  # all have an address before the first is told of the others
        for name in self.names:
            disk = world.hosts[name].disk
            disk.makedirs(DIRECTORY)
            file = disk.open(f"{DIRECTORY}/nodes.conf", "wb")
            file.write(self._picture(name).encode())
            file.sync()
            file.close()
            self.nodes.start(name, settings)

    def _picture(self, myself: str) -> str:
        lines = []
        share = -(-slots.SLOTS // self.primaries)
        for number, name in enumerate(self.names):
            leads = number < self.primaries
            first, last = number * share, min((number + 1) * share, slots.SLOTS) - 1
            above = "-" if leads else self.ids[self.names[number % self.primaries]]
            words = [
                self.ids[name],
                f"{self.world.host(name).address}:{PORT}@{BUS_PORT}",
                ("myself," if name == myself else "") + ("master" if leads else "slave"),
                above,
                "0 0",
                str(number % self.primaries + 1),
                "connected",
                *([f"{first}-{last}"] if leads else []),
            ]
            lines.append(" ".join(words))
        return "\n".join([*lines, f"vars currentEpoch {self.primaries} lastVoteEpoch 0", ""])

    def owners_agree(self) -> bool:
        """Tell whether all that run serve, and see the same owners, who run."""
        running = self.nodes.all_serving()
        sides = [node.cluster for node in running.values() if node.cluster is not None]
        if not sides or not all(side.is_ok for side in sides):
            return False
        owners = {
            tuple(sorted((each.id, each.slots) for each in side.nodes() if each.slots)) for side in sides
        }
        alive = {self.ids[name] for name in running}
        return len(owners) == 1 and {owner for owner, _ in owners.pop()} <= alive

    def replicas_follow(self) -> bool:
        """Tell whether every replica has the link to its primary, and all owners are agreed on."""
        running = self.nodes.all_serving().values()
        return self.owners_agree() and all(
            node.replication.upstream.is_up for node in running if node.replication.is_replica
        )

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until something holds; it is looked at twice a second."""
        end = self.world.now + PATIENCE_SECONDS
        while not condition():
            assert self.world.now < end, f"not within {PATIENCE_SECONDS} s: {condition.__name__}"
            self.world.run(LOOK_SECONDS)

    def crash(self, count: int) -> None:
        """Kill the first primaries."""
        for name in self.names[:count]:
            self.world.kill(name)


class Timed:
    """Tells what things cost."""

    def __init__(self, cluster: WholeCluster, began: tuple[float, float, float]) -> None:
        self._cluster, self._at = cluster, began

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Let time pass until something holds, and tell when it did."""
        self._cluster.run_until(condition)
        before, self._at = self._at, now(self._cluster.world)
        virtual, cpu, real = (new - old for new, old in zip(self._at, before, strict=True))
        print(f"{what}: {virtual:.1f} virtual s, {cpu:.1f} s of CPU, {real:.1f} s of time", flush=True)


def now(world: World) -> tuple[float, float, float]:
    """Return virtual time, that of the processor and that of the clock, in seconds."""
    return world.now, time.process_time(), time.monotonic()


def main() -> None:
    """Start, crash, and wait for agreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--primaries", type=int, default=100)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--crashes", type=int, default=1)
    parser.add_argument("--timeout", type=int, default=15_000, help="cluster-node-timeout, in milliseconds")
    given = parser.parse_args()
    with World(1) as world:
        began = now(world)
        cluster = WholeCluster(world, given.primaries, given.replicas, given.timeout)
        timed = Timed(cluster, began)
        timed.until(cluster.replicas_follow, f"{len(cluster.names)} nodes run, serve and follow")
        cluster.crash(given.crashes)
        timed.until(cluster.owners_agree, f"{given.crashes} crashed, others lead, and all agree")
        assert not world.errors, world.errors[0]


if __name__ == "__main__":
    main()
