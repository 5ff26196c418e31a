"""Sentinels on simulated hosts: unchanged `SentinelNode`s around the nodes of a world.

What this is: the program of such a host, and the book of the Sentinels that run. What it is
not: the nodes that they watch (`nodes`), or a stand-in for them (`swarm.manager`).

How to read it: `Sentinels.start` starts one; its file is written once and then its own, so
a restart reads what it remembered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from holdfast.node.sentinel import SentinelNode
from holdfast.sentinel.config_file import Line
from holdfast.server.config import Configuration
from holdfast.server.config.words import split_words
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.sim.nodes import DIRECTORY, PORT
from holdfast.sim.world import World

SENTINEL_PORT = 26379
GROUP = "mymaster"
FAILOVER_TIMEOUT_MS = 10_000
AdaptSentinel = Callable[[SentinelNode], None]


class NoScripts:
    """Runs nothing: there are no other programs in a simulated machine."""

    def may_run(self, path: str) -> bool:
        """No script is there."""
        return False

    def start(self, words: tuple[str, ...], ended: Callable[[int, int], None]) -> int:
        """Refuse."""
        raise OSError("no processes here")

    def kill(self, pid: int) -> None:
        """Nothing runs."""


class Sentinels:
    """The Sentinels of one world."""

    def __init__(self, world: World, adapt: tuple[AdaptSentinel, ...] = ()) -> None:
        """Begin without any. `adapt` is called with each Sentinel before it starts."""
        self.world = world
        self._adapt = adapt
        self.latest: dict[str, SentinelNode] = {}
        """Host to the Sentinel that runs there, or ran last."""
        self.names: list[str] = []
        self.warnings: list[tuple[float, str, str]] = []
        """What they have logged as warnings: time, host, text."""

    def start(
        self, name: str, primary: str, quorum: int, down_after_ms: int, lease_ms: int | None = None
    ) -> None:
        """Start one on the host of this name, told of the primary on the host `primary`."""
        self.names.append(name)
        address = self.world.host(primary).interface.addresses[0]
        text = (
            f"sentinel monitor {GROUP} {address} {PORT} {quorum}\n"
            f"sentinel down-after-milliseconds {GROUP} {down_after_ms}\n"
            f"sentinel failover-timeout {GROUP} {FAILOVER_TIMEOUT_MS}\n"
        )
        if lease_ms is not None:
            text += f"sentinel primary-lease-ms {GROUP} {lease_ms}\n"
        self.world.start(name, self._program(text))

    def named(self) -> dict[str, str]:
        """Return the address that each living Sentinel gives to clients; "": it has forgotten the group."""
        groups = {
            name: self.latest[name].sentinel.primaries.get(GROUP)
            for name in self.names
            if name in self.latest and self.world.processes[name].running
        }
        return {name: group.current_address.ip if group else "" for name, group in groups.items()}

    def _program(self, text: str) -> Callable[[Host], Awaitable[object]]:
        async def main(host: Host) -> None:
            path = f"{DIRECTORY}/sentinel.conf"
            host.disk.makedirs(DIRECTORY)
            lines = sentinel_lines(file_of(host, path, text))
            configuration = Configuration(host.disk, DIRECTORY)
            configuration.assign("port", SENTINEL_PORT)
            configuration.assign("bind", ("0.0.0.0",))
            configuration.assign("protected-mode", False)
            configuration.config_file = path

            def warn(line: bytes) -> None:
                said = line.decode("utf-8", "replace").split(" # ", 1)[-1].strip()
                self.warnings.append((self.world.now, host.name, said))

            log = Log(host.clock, host.disk, host.pid, warn, level="warning")
            node = SentinelNode(configuration, lines, host, log, NoScripts())
            self.latest[host.name] = node
            for adapt in self._adapt:
                adapt(node)
            await node.start()
            assert node.stopped is not None
            await node.stopped.wait()

        return main


def file_of(host: Host, path: str, text: str) -> str:
    """Return what stands in a Sentinel's file; write it if there is none."""
    if not host.disk.exists(path):
        file = host.disk.open(path, "wb")
        try:
            file.write(text.encode())
            file.sync()
        finally:
            file.close()
        host.disk.sync_dir(DIRECTORY)
    file = host.disk.open(path, "rb")
    try:
        return file.read().decode()
    finally:
        file.close()


def sentinel_lines(content: str) -> list[Line]:
    """Cut the lines out that are Sentinel's own."""
    return [
        Line(tuple((split_words(text) or [])[1:]), number, text)
        for number, text in enumerate(content.splitlines(), 1)
        if text.startswith("sentinel ")
    ]
