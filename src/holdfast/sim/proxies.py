"""Proxies on simulated hosts: unchanged `ProxyNode`s in front of the Sentinels of a world.

What this is: the program of such a host, and the book of the proxies that run. What it is not:
what stands behind them (`nodes`, `sentinels`).

How to read it: `Proxies.start` starts one; it listens where nodes do, so that clients of the
simulator speak to it as to a node. `Proxies.run` takes any file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from holdfast.node.proxy import ProxyNode
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.sim.nodes import DIRECTORY, PORT
from holdfast.sim.sentinels import GROUP, SENTINEL_PORT
from holdfast.sim.world import World

POOL = "front"


class Proxies:
    """The proxies of one world."""

    def __init__(self, world: World) -> None:
        """Begin without any."""
        self.world = world
        self.latest: dict[str, ProxyNode] = {}
        """Host to the proxy that runs there, or ran last."""

    def start(self, name: str, sentinels: Sequence[str], directives: Mapping[str, str]) -> None:
        """Start one on the host of this name, with further directives of nutcracker.yml."""
        voters = [self.world.host(each).interface.addresses[0] for each in sentinels]
        lines = [f"{POOL}:", f"  listen: 0.0.0.0:{PORT}", "  redis: true", "  sentinels:"]
        lines += [f"   - {address}:{SENTINEL_PORT}" for address in voters]
        lines += ["  masters:", f"   - {GROUP}"]
        lines += [f"  {key}: {value}" for key, value in directives.items()]
        self.run(name, "\n".join(lines) + "\n")

    def run(self, name: str, text: str) -> None:
        """Start one on the host of this name by the text of its nutcracker.yml."""
        self.world.start(name, self._program(text))

    def primary_of(self, name: str) -> str | None:
        """Return the address of the primary that a living proxy sends to, empty while it knows none."""
        proxy = self.latest.get(name)
        if proxy is None or not self.world.processes[name].running or proxy.stopped is None:
            return None
        for door in proxy.doors_by_name.values():
            primary = door.target.shards[0].primary
            return "" if primary is None else str(primary.host)
        return None

    def _program(self, text: str) -> Callable[[Host], Awaitable[object]]:
        async def main(host: Host) -> None:
            path = f"{DIRECTORY}/proxy.yml"
            host.disk.makedirs(DIRECTORY)
            file = host.disk.open(path, "wb")
            try:
                file.write(text.encode())
            finally:
                file.close()
            log = Log(host.clock, host.disk, host.pid, lambda line: None, level="warning")
            proxy = ProxyNode(path, host, log)
            self.latest[host.name] = proxy
            await proxy.start()
            assert proxy.stopped is not None
            await proxy.stopped.wait()

        return main
