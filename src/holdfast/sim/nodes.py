"""Data nodes on simulated hosts: unchanged `ServerNode`s, found by the name of their host.

What this is: the program of such a host, and the book of the nodes that run. What it is
not: faults (`world`) or clients (`client`).

How to read it: `Nodes.start` starts one; `Adapt` is the one hook: it sees each node
after construction and before its start, so that observers and deliberate faults can put
something in the place of a part of this one node.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping

from holdfast.node.server import ServerNode
from holdfast.server.config import Configuration
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.server.shutdown import Manner
from holdfast.sim.world import World

PORT = 6379
DIRECTORY = "/data"
USUAL = {"save": "", "repl-diskless-sync-delay": "0", "protected-mode": "no"}

Adapt = Callable[[str, ServerNode], None]


class Nodes:
    """The data nodes of one world."""

    def __init__(self, world: World, adapt: tuple[Adapt, ...] = ()) -> None:
        """Begin without nodes."""
        self.world = world
        self.adapt = adapt
        self.latest: dict[str, ServerNode] = {}
        """Host to the node that runs there, or ran last."""
        self.settings: dict[str, dict[str, str]] = {}
        self.warnings: list[tuple[float, str, str]] = []
        """What nodes have logged as warnings: time, host, text."""

    def start(self, name: str, settings: Mapping[str, str]) -> None:
        """Start a node on the host of this name; `settings` as CONFIG SET takes them."""
        self.settings[name] = USUAL | dict(settings)
        self.world.start(name, self._program(name))

    def name_of(self, where: str) -> str:
        """Return the name of the host with this name or address."""
        if where in self.world.hosts:
            return where
        return next(
            (name for name, host in self.world.hosts.items() if where in host.interface.addresses), where
        )

    def runs(self, name: str) -> bool:
        """Tell whether the process is there (it may be paused)."""
        process = self.world.processes.get(name)
        return process is not None and process.running

    def serving(self, name: str) -> ServerNode | None:
        """Return the node if it runs and has loaded its files."""
        node = self.latest.get(name)
        return node if node is not None and self.runs(name) and node.replication.is_started else None

    def all_serving(self) -> dict[str, ServerNode]:
        """Return the nodes that run and have loaded, by name."""
        return {name: node for name in self.settings if (node := self.serving(name)) is not None}

    def _program(self, name: str) -> Callable[[Host], Awaitable[object]]:
        async def main(host: Host) -> None:
            host.disk.makedirs(DIRECTORY)
            configuration = Configuration(host.disk, DIRECTORY)
            for setting, value in self.settings[name].items():
                if setting == "replicaof":
                    upstream, port = value.split()
                    configuration.assign(setting, (upstream, int(port)))
                elif setting == "cluster-enabled":  # cannot be set while a node runs
                    configuration.assign(setting, value == "yes")
                else:
                    configuration.set_all([setting, value])
            configuration.assign("port", PORT)
            log = Log(host.clock, host.disk, host.pid, lambda line: self._warn(name, line), level="warning")
            node = ServerNode(configuration, host, log)
            for adapt in self.adapt:
                adapt(name, node)
            self.latest[name] = node
            await node.start()
            manner = Manner.of_words(node.configuration["shutdown-on-sigterm"])
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, node.shutdown.begin, manner)
            assert node.stopped is not None
            await node.stopped.wait()

        return main

    def _warn(self, name: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace").split(" # ", 1)[-1].strip()
        self.warnings.append((self.world.now, name, text))
