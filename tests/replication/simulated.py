"""Whole data nodes under the simulator: unchanged `ServerNode`s in virtual time.

What this is: starting nodes on simulated hosts and a small client to speak to them. What it
is not: assertions.

How to read it: `serve` is the program of a host, `Cluster` the nodes of one world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.node.server import ServerNode
from holdfast.server.config import Configuration
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.sim import World

PORT = 7000


class Nodes:
    """The data nodes of one world, by the name of their host."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running: dict[str, ServerNode] = {}
        self.adapt: Callable[[ServerNode], None] = lambda node: None
        """Sees each node before its start, so that deliberate faults can be put into it."""

    def start(self, name: str, **settings: str) -> None:
        """Start a node on the host of this name; `settings` as CONFIG SET takes them, with underscores."""
        self.world.start(name, self._program(settings))

    def _program(self, settings: dict[str, str]) -> Callable[[Host], Awaitable[object]]:
        async def main(host: Host) -> None:
            host.disk.makedirs("/data")
            configuration = Configuration(host.disk, "/data")
            words = {"save": "", "repl-diskless-sync-delay": "0", "protected-mode": "no", **settings}
            for name, value in words.items():
                setting = name.replace("_", "-")
                if setting == "replicaof":
                    host_name, port = value.split()
                    configuration.assign(setting, (host_name, int(port)))
                else:
                    configuration.set_all([setting, value])
            configuration.assign("port", PORT)
            log = Log(host.clock, host.disk, host.pid, lambda line: None, level="warning", path="")
            node = ServerNode(configuration, host, log)
            self.adapt(node)
            self.running[host.name] = node
            await node.start()
            assert node.stopped is not None
            await node.stopped.wait()

        return main

    async def ask(self, name: str, *words: object) -> Any:
        """Send one command over a connection of its own and return the reply."""
        client = Client(name)
        try:
            return await client.ask(*words)
        finally:
            client.close()


class Client:
    """One connection to a node."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, *words: object) -> Any:
        """Send a command, return its reply; errors come back as `Exception` values."""
        await self.send(*words)
        return await self.reply()

    async def send(self, *words: object) -> None:
        """Send a command and do not wait."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, PORT)
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    async def reply(self) -> Any:
        """Read one reply."""
        assert self._reader is not None
        line = await self._reader.readline()
        if not line:
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else (await self._reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return [await self.reply() for _ in range(int(rest))]
        raise AssertionError(line)

    def close(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()
