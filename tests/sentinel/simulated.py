"""Whole Sentinels under the simulator: unchanged `SentinelNode`s around unchanged `ServerNode`s.

What this is: a group in virtual time. What it is not: assertions.

How to read it: `SimulatedGroup` starts everything and answers questions about it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from holdfast.node.sentinel import SentinelNode
from holdfast.node.server import ServerNode
from holdfast.sentinel.config_file import Line
from holdfast.server.config import Configuration
from holdfast.server.config.words import split_words
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.sim import World
from holdfast.sim.sentinels import NoScripts
from tests.replication.simulated import Nodes

PORT = 26379


class SimulatedGroup:
    """Nodes `n0` (the primary) to `nX` and Sentinels `s0` to `sX` of one world."""

    def __init__(
        self, world: World, nodes: int = 3, sentinels: int = 3, down_after_ms: int = 1000, extra: str = "",
        adapt: Callable[[ServerNode], None] = lambda node: None, **settings: str,
    ) -> None:  # fmt: skip
        self.world = world
        self.nodes = Nodes(world)
        self.nodes.adapt = adapt
        self.sentinels: dict[str, SentinelNode] = {}
        self.log: list[str] = []
        self.extra = extra
        self.names = [f"n{number}" for number in range(nodes)]
        for name in self.names:
            world.host(name)
        address = world.hosts["n0"].interface.addresses[0]
        for number, name in enumerate(self.names):
            follow = {"replicaof": f"{address} 7000"} if number else {}
            self.nodes.start(name, bind="0.0.0.0", **follow, **settings)
        for number in range(sentinels):
            name = f"s{number}"
            world.start(name, self._program(address, down_after_ms, sentinels // 2 + 1))

    def _program(self, address: str, down_after_ms: int, quorum: int) -> Callable[[Host], Awaitable[object]]:
        async def main(host: Host) -> None:
            host.disk.makedirs("/data")
            path = "/data/sentinel.conf"
            if not host.disk.exists(path):
                file = host.disk.open(path, "wb")
                file.write(
                    f"sentinel monitor mymaster {address} 7000 {quorum}\n"
                    f"sentinel down-after-milliseconds mymaster {down_after_ms}\n"
                    f"sentinel failover-timeout mymaster 10000\n{self.extra}".encode()
                )
                file.sync()
                file.close()
                host.disk.sync_dir("/data")
            file = host.disk.open(path, "rb")
            content = file.read().decode()
            file.close()
            lines = [
                Line(tuple((split_words(text) or [])[1:]), number, text)
                for number, text in enumerate(content.splitlines(), 1)
                if text.startswith("sentinel ")
            ]
            configuration = Configuration(host.disk, "/data")
            configuration.assign("port", PORT)
            configuration.assign("bind", ("0.0.0.0",))
            configuration.assign("protected-mode", False)
            configuration.config_file = path
            log = Log(
                host.clock,
                host.disk,
                host.pid,
                lambda line: self.log.append(f"{host.name} {line.decode()}"),
                path="",
            )
            node = SentinelNode(configuration, lines, host, log, NoScripts())
            self.sentinels[host.name] = node
            await node.start()
            assert node.stopped is not None
            await node.stopped.wait()

        return main

    def knows_all(self) -> bool:
        """Tell whether every Sentinel sees every node and every Sentinel."""
        for node in self.sentinels.values():
            primary = node.sentinel.primaries["mymaster"]
            if len(primary.replicas) < len(self.names) - 1 or primary.voters < len(self.sentinels):
                return False
            if not all(each.is_link_ok for each in primary.replicas.values()):
                return False
        return len(self.sentinels) > 0

    def lease_held(self) -> bool:
        """Tell whether the first primary holds the lease, and every Sentinel keeps its list."""
        lists = {node.sentinel.primaries["mymaster"].voter_list.number for node in self.sentinels.values()}
        return self.nodes.running["n0"].replication.lease.word == "held" and lists == {(0, 1)}

    def voter_lists(self) -> list[frozenset[str]]:
        """Return whom each Sentinel counts as voters."""
        return [node.sentinel.primaries["mymaster"].voter_list.ids for node in self.sentinels.values()]

    def leading(self) -> list[str]:
        """Return the living nodes that lead and take writes."""
        return [
            name
            for name in self.names
            if self.world.process(name).running
            and self.nodes.running[name].replication.is_started
            and self.nodes.running[name].replication.leads
            and self.nodes.running[name].replication.lease.may_write
        ]

    def named(self) -> set[str]:
        """Return the primaries that living Sentinels name to clients, by address."""
        return {
            node.sentinel.primaries["mymaster"].current_address.ip
            for name, node in self.sentinels.items()
            if self.world.process(name).running
        }

    def agreed(self) -> bool:
        """Tell whether one node leads, all Sentinels name it and all living others follow it."""
        leading = self.leading()
        if len(leading) != 1:
            return False
        address = self.world.hosts[leading[0]].interface.addresses[0]
        if self.named() != {address}:
            return False
        for name in self.names:
            if name == leading[0] or not self.world.process(name).running:
                continue
            replication = self.nodes.running[name].replication
            if not replication.is_replica or not replication.upstream.is_up:
                return False
            if replication.followed[0] != address:
                return False
        return True

    def epochs_and_leaders(self) -> dict[str, set[str]]:
        """Return who was elected in each epoch, from the logs."""
        found: dict[str, set[str]] = {}
        epoch: dict[str, str] = {}
        for line in self.log:
            name = line.split()[0]
            if "+new-epoch " in line:
                epoch[name] = line.split()[-1]
            if "+elected-leader" in line:
                found.setdefault(epoch.get(name, ""), set()).add(name)
        return found
