"""Streams, protocols and flow control over the simulated network."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest
import redis.asyncio

from holdfast.server.host import Host
from holdfast.sim import World
from tests.sim.programs import PORT, echo, resp


def test_streams_echo(world: World) -> None:
    world.start("a", echo)

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection("a", PORT)
        writer.write(b"hello\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    assert world.run(main()) == b"hello\n"
    assert 0.001 < world.now < 0.01


def test_unchanged_redis_clients_work(world: World) -> None:
    world.start("a", resp)

    async def client(number: int) -> None:
        async with redis.asyncio.Redis(host="a", port=PORT, protocol=2) as client:
            for _ in range(50):
                await client.incr("n")
                await asyncio.sleep(0.1)

    async def main() -> object:
        await asyncio.gather(*(client(number) for number in range(4)))
        async with redis.asyncio.Redis(host="a", port=PORT, protocol=2, socket_timeout=5) as asking:
            await asking.set("k", b"v" * 100_000)
            assert await asking.get("k") == b"v" * 100_000
            return await asking.get("n")

    assert world.run(main()) == b"200"


def test_buffered_protocols_are_filled(world: World) -> None:
    received = bytearray()

    class Filled(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(7)

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            received.extend(self.buffer[:nbytes])

    async def main(host: Host) -> None:
        await asyncio.get_running_loop().create_server(Filled, port=PORT)
        await asyncio.Event().wait()

    world.start("a", main)

    async def send() -> None:
        _, writer = await asyncio.open_connection("a", PORT)
        writer.write(b"0123456789" * 3)
        writer.write_eof()
        await asyncio.sleep(1)

    world.run(send())
    assert received == b"0123456789" * 3


def test_a_program_may_be_handed_single_bytes(world: World) -> None:
    world.start("a", resp)
    world.network.read_bytes = 1

    async def main() -> object:
        async with redis.asyncio.Redis(host="a", port=PORT, protocol=2) as client:
            await client.set("k", "value")
            return await client.get("k")

    assert world.run(main()) == b"value"


def test_a_port_nobody_listens_on_refuses(world: World) -> None:
    world.host("a")
    with pytest.raises(ConnectionRefusedError):
        world.run(asyncio.open_connection("a", PORT))
    assert world.now < 0.01


def test_an_unknown_name_does_not_resolve(world: World) -> None:
    with pytest.raises(socket.gaierror):
        world.run(asyncio.open_connection("nowhere", PORT))


def test_a_port_is_taken_once_and_zero_finds_a_free_one(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = await loop.create_server(asyncio.Protocol, "0.0.0.0", PORT)
        with pytest.raises(OSError, match="address already in use"):
            await loop.create_server(asyncio.Protocol, "127.0.0.1", PORT)
        two = await loop.create_server(asyncio.Protocol, "0.0.0.0", 0)
        three = await loop.create_server(asyncio.Protocol, "0.0.0.0", 0)
        assert two.sockets[0].getsockname()[1] != three.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="cannot assign"):
            await loop.create_server(asyncio.Protocol, "10.9.9.9", PORT)
        one.close()
        await loop.create_server(asyncio.Protocol, ["127.0.0.1", "::1"], PORT)

    world.run(main())


def test_a_slow_reader_makes_the_writer_wait_and_loses_nothing(world: World) -> None:
    sizes: list[int] = []

    async def main(host: Host) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sizes.append(len(await reader.read(-1)))

        await (await asyncio.start_server(serve, port=PORT)).serve_forever()

    world.start("a", main)
    world.run(0.1)
    world.slow_reader("a", 100_000)

    async def send() -> float:
        loop = asyncio.get_running_loop()
        _, writer = await asyncio.open_connection("a", PORT)
        started = loop.time()
        for _ in range(100):
            writer.write(b"x" * 10_000)
            await writer.drain()
        writer.write_eof()
        return loop.time() - started

    assert world.run(send()) > 5
    world.run(10)
    assert sizes == [1_000_000]


def test_bandwidth_is_shared_by_the_connections_of_a_link(world: World) -> None:
    world.start("a", echo)
    world.set_link("driver", "a", bytes_per_second=10_000)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("a", PORT)
        writer.write(b"x" * 9_999 + b"\n")
        await reader.readline()

    async def main() -> None:
        await asyncio.gather(one(), one())

    world.run(main())
    assert 2 < world.now < 3.5


def test_a_protocol_is_told_to_pause_from_within_its_own_callback(world: World) -> None:
    told: list[str] = []

    class Floods(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.Transport, transport)

        def data_received(self, data: bytes) -> None:
            self.transport.write(bytes(1_000_000))

        def pause_writing(self) -> None:
            told.append("pause")

        def resume_writing(self) -> None:
            told.append("resume")

    async def main(host: Host) -> None:
        await (await asyncio.get_running_loop().create_server(Floods, port=PORT)).serve_forever()

    world.start("a", main)

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("a", PORT)
        writer.write(b"x")
        await asyncio.sleep(1)
        told.append("read")
        return len(await reader.readexactly(1_000_000))

    assert world.run(ask()) == 1_000_000
    assert told == ["pause", "read", "resume"]


def test_half_closed_connections_still_receive(world: World) -> None:
    async def main(host: Host) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.read(-1)
            writer.write(b"got " + request)
            writer.close()

        await (await asyncio.start_server(serve, port=PORT)).serve_forever()

    world.start("a", main)

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("a", PORT)
        writer.write(b"all")
        writer.write_eof()
        return await reader.read(-1)

    assert world.run(ask()) == b"got all"


def test_a_transport_knows_its_names_and_flow_control(world: World) -> None:
    world.start("a", echo)

    async def main() -> None:
        _, writer = await asyncio.open_connection("a", PORT)
        transport = writer.transport
        assert transport.get_extra_info("peername") == (world.host("a").address, PORT)
        assert transport.get_extra_info("sockname")[0] == "10.255.255.1"
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=1000)
        world.pause("a")
        writer.write(b"x" * 300_000)
        assert transport.get_write_buffer_size() == 300_000 - world.network.window_bytes
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await writer.drain()
        transport.abort()
        assert transport.is_closing()

    world.run(main())
