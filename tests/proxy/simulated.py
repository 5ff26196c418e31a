"""A Sentinel group and a proxy in front of it, all unchanged, in virtual time.

What this is: the proxy's host `p`, and clients that know its address alone. What it is not:
assertions; the group itself (`tests.sentinel.simulated`).

How to read it: `Proxied` starts the proxy; `Counting` is a client that writes, `Listening` one
that is subscribed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from holdfast.server.host import Host
from holdfast.sim import World
from holdfast.sim.proxies import Proxies
from tests.sentinel.simulated import PORT as SENTINEL_PORT
from tests.sentinel.simulated import SimulatedGroup
from tests.wire import encode

PORT = 6380


class Proxied:
    """A group, settled, and a proxy on `p` that follows it; every Sentinel is in its file."""

    def __init__(self, world: World, *, to_ack: int = 0, **directives: object) -> None:
        """Start all; `to_ack`: min-replicas-to-ack of the nodes, `directives` of the pool."""
        self.world = world
        self.group = SimulatedGroup(world, **({"min-replicas-to-ack": str(to_ack)} if to_ack else {}))
        world.run_until(lambda: self.group.knows_all() and self.group.lease_held(), 60)
        sentinels = [self.address(each) for each in sorted(self.group.sentinels)]
        lines = ["cache:", f"  listen: 0.0.0.0:{PORT}", "  redis: true"]
        lines += [f"  {key.replace('_', '-')}: {value}" for key, value in directives.items()]
        lines += ["  sentinels:", *(f"   - {each}:{SENTINEL_PORT}" for each in sentinels)]
        self.text = "\n".join([*lines, "  masters:", "   - mymaster"]) + "\n"
        world.host("p")
        Proxies(world).run("p", self.text)
        world.run(2.0)

    def address(self, name: str) -> str:
        """Return a host's address."""
        address: str = self.world.hosts[name].interface.addresses[0]
        return address

    def start(self, name: str, main: Callable[[Host], Awaitable[object]]) -> None:
        """Run a client on a host of its own."""
        self.world.host(name)
        self.world.start(name, main)

    def switch_over(self) -> None:
        """Have a Sentinel begin a planned failover, and wait until another node leads."""
        before = self.group.leading()
        address = self.address("s0")

        async def order(host: Host) -> None:
            reader, writer = await asyncio.open_connection(address, SENTINEL_PORT)
            writer.write(encode([b"SENTINEL", b"FAILOVER", b"mymaster"]))
            await reader.readline()
            writer.close()

        self.start("operator", order)
        self.world.run_until(lambda: self.group.leading() not in ([], before), 30)

    async def ask(self, *words: bytes) -> bytes:
        """Send one request to the proxy over a new connection; return the line that answers."""
        reader, writer = await asyncio.open_connection(self.address("p"), PORT)
        writer.write(encode(words))
        line = await reader.readline()
        writer.close()
        return line

    def kept(self, name: bytes, of: str) -> int:
        """Return how long a list is at a node."""
        found: list[bytes] = []
        address = self.address(of)

        async def count(host: Host) -> None:
            reader, writer = await asyncio.open_connection(address, 7000)
            writer.write(encode([b"LLEN", name]))
            found.append(await reader.readline())
            writer.close()

        self.start(f"counter-{len(self.world.hosts)}", count)
        self.world.run_until(lambda: bool(found), 10)
        return int(found[0][1:])


class Counting:
    """A client that appends to a list of its own, one request at a time, and notes what it hears and when."""

    def __init__(self, proxied: Proxied, name: str) -> None:
        self.name = name.encode()
        self.heard: list[tuple[float, bytes]] = []
        self.lost = 0
        self._proxied = proxied
        proxied.start(name, self._write)

    async def _write(self, host: Host) -> None:
        while True:
            reader, writer = await asyncio.open_connection(self._proxied.address("p"), PORT)
            while True:
                writer.write(encode([b"RPUSH", self.name, b"x"]))
                line = await reader.readline()
                if not line:
                    self.lost += 1
                    break
                self.heard.append((self._proxied.world.now, line))
                await asyncio.sleep(0.002)

    @property
    def acknowledged(self) -> int:
        """How many appends were answered with a length."""
        return sum(line.startswith(b":") for _, line in self.heard)

    @property
    def errors(self) -> list[bytes]:
        """What else it heard."""
        return [line for _, line in self.heard if not line.startswith(b":")]

    def longest_gap_s(self) -> float:
        """Return the longest time between two acknowledgements."""
        times = [at for at, line in self.heard if line.startswith(b":")]
        return max(after - before for before, after in itertools.pairwise(times))


class Listening:
    """A client that is subscribed, and what arrives."""

    def __init__(self, proxied: Proxied, name: str, *words: bytes) -> None:
        self.heard = bytearray()
        self.ended = False
        self._proxied, self._words = proxied, words
        proxied.start(name, self._listen)

    async def _listen(self, host: Host) -> None:
        reader, writer = await asyncio.open_connection(self._proxied.address("p"), PORT)
        writer.write(encode(self._words))
        while chunk := await reader.read(65536):
            self.heard += chunk
        self.ended = True
