"""Small programs that the simulator's tests run: an echo, a counter, a tiny RESP server.

What this is: unchanged asyncio programs. What it is not: anything that knows of the
simulator.

How to read it: each is a `main(host)` as `World.start` takes it.
"""

from __future__ import annotations

import asyncio

from holdfast.server.host import Host

PORT = 7000


async def echo(host: Host) -> None:
    """Send every line back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", PORT)
    await server.serve_forever()


async def resp(host: Host) -> None:
    """Serve SET, GET, INCRBY and PING of the Redis protocol, as far as redis-py asks for them."""
    values: dict[bytes, bytes] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            writer.write(answer(words))
        writer.close()

    def answer(words: list[bytes]) -> bytes:
        match words[0].upper(), *words[1:]:
            case b"SET", key, value:
                values[key] = value
                return b"+OK\r\n"
            case b"GET", key:
                found = values.get(key)
                return b"$-1\r\n" if found is None else b"$%d\r\n%s\r\n" % (len(found), found)
            case b"INCRBY", key, step:
                values[key] = b"%d" % (int(values.get(key, b"0")) + int(step))
                return b":%s\r\n" % values[key]
            case (b"PING",):
                return b"+PONG\r\n"
            case b"CLIENT", *_:
                return b"+OK\r\n"
        raise AssertionError(words)

    server = await asyncio.start_server(serve, "0.0.0.0", PORT)
    await server.serve_forever()
