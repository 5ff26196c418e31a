"""The unchanged proxy under the simulator: cuts and kills between it and its servers."""

from __future__ import annotations

import asyncio

from holdfast.server.host import Host
from holdfast.sim import World
from holdfast.sim.proxies import Proxies
from tests.proxy.peers import pool_text
from tests.replication.simulated import Nodes
from tests.wire import encode

PORT = 22121


class Simulated:
    """Data nodes n0 and n1, a proxy on p, and a client on c."""

    def __init__(self, world: World, **directives: object) -> None:
        self.world = world
        self.nodes = Nodes(world)
        for name in ("n0", "n1", "p", "c"):
            world.host(name)
        for name in ("n0", "n1"):
            self.nodes.start(name, bind="0.0.0.0")
        lines = [f"{self.address(name)}:7000:1 {name}" for name in ("n0", "n1")]
        self.text = pool_text("p", f"0.0.0.0:{PORT}", lines, hash="md5", **directives)
        Proxies(world).run("p", self.text)
        self.heard: list[bytes] = []

    def address(self, name: str) -> str:
        """Return a host's address."""
        address: str = self.world.hosts[name].interface.addresses[0]
        return address

    def speak(self, rounds: int, pause_s: float = 0.01) -> None:
        """Let the client set a key of each server again and again, one connection for all."""
        address = self.address("p")

        async def client(host: Host) -> None:
            reader, writer = await asyncio.open_connection(address, PORT)
            for number in range(rounds):
                for key in (b"a", b"b", b"c", b"d"):
                    writer.write(encode([b"SET", key, b"%d" % number]))
                for _ in range(4):
                    self.heard.append(await reader.readline())
                await asyncio.sleep(pause_s)

        self.world.start("c", client)


def play(seed: int) -> tuple[list[bytes], bytes]:
    with World(seed, trace=True) as world:
        scene = Simulated(world, timeout=200)
        world.run(1.0)
        scene.speak(300)
        world.run(0.5)
        world.cut("p", "n1")
        world.run(1.5)
        world.heal("p", "n1")
        world.run(1.0)
        world.kill("n0")
        world.run(0.5)
        world.restart("n0")
        world.run(20.0)
        return scene.heard, world.log_bytes()


def test_cuts_and_kills_are_told_and_overcome() -> None:
    heard, _ = play(4)
    assert len(heard) == 1200
    assert set(heard) <= {
        b"+OK\r\n", b"-ERR Connection timed out\r\n", b"-ERR Connection refused\r\n",
        b"-ERR Connection reset by peer\r\n", b"-ERR unknown\r\n",
    }  # fmt: skip
    assert heard.count(b"-ERR Connection timed out\r\n") > 3
    assert heard[-400:] == [b"+OK\r\n"] * 400


def test_the_same_seed_is_the_same_run() -> None:
    assert play(5) == play(5)


def test_a_request_that_waited_for_a_connection_dies_with_its_client() -> None:
    """What its client gave up on before it was written is never executed later, over what came meanwhile."""
    with World(6) as world:
        scene = Simulated(world)
        world.run(1.0)
        for name in ("n0", "n1"):
            world.set_link("p", name, latency=0.3, jitter=0.0)
        address = scene.address("p")
        heard: list[bytes] = []

        async def client(host: Host) -> None:
            _, gone = await asyncio.open_connection(address, PORT)
            gone.write(encode([b"SET", b"a", b"gone"]))
            gone.write(encode([b"MSET", b"a", b"gone", b"b", b"gone", b"c", b"gone"]))
            reader, ended = await asyncio.open_connection(address, PORT)
            ended.write(encode([b"SET", b"a", b"ended"]))
            patient, kept = await asyncio.open_connection(address, PORT)
            kept.write(encode([b"GET", b"a"]) + encode([b"EXISTS", b"a", b"b", b"c", b"d"]))
            await asyncio.sleep(0.05)
            gone.transport.abort()
            ended.write_eof()
            heard.append(await reader.readline())
            heard.append(await patient.readline())
            heard.append(await patient.readline())

        world.start("c", client)
        world.run_until(lambda: len(heard) == 3, 10)
        assert heard == [b"-ERR Connection timed out\r\n", b"$-1\r\n", b":0\r\n"]
