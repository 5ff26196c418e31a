"""A proxy inside the test's own loop, with servers that the test plays itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.node.proxy import ProxyNode
from holdfast.server.log import Log
from holdfast.server.machine import Machine
from tests.wire import encode


class Played:
    """A server that keeps what it is sent and answers when the test says so."""

    def __init__(self) -> None:
        self.port = 0
        self.received = bytearray()
        self.writers: list[asyncio.StreamWriter] = []
        self._arrived = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> Played:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while chunk := await reader.read(65536):
            self.received += chunk
            self._arrived.set()
        writer.close()

    async def expect(self, *requests: Sequence[bytes]) -> None:
        """Wait for exactly these requests, and take them."""
        wanted = b"".join(encode(words) for words in requests)
        while len(self.received) < len(wanted):
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), 10)
        assert bytes(self.received[: len(wanted)]) == wanted, bytes(self.received)
        del self.received[: len(wanted)]

    def say(self, text: bytes) -> None:
        """Answer on the connection that came last."""
        self.writers[-1].write(text)

    def drop(self) -> None:
        """Close every connection."""
        for each in self.writers:
            each.transport.abort()
        self.writers.clear()

    def stop(self) -> None:
        """Listen no more, drop all."""
        if self._server is not None:
            self._server.close()
        self.drop()


class Caller:
    """A client in the test's loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Caller:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, *requests: Sequence[bytes]) -> None:
        """Send requests."""
        self.writer.write(b"".join(encode(words) for words in requests))

    async def hear(self, text: bytes) -> None:
        """Wait for exactly this."""
        got = await asyncio.wait_for(self._reader.readexactly(len(text)), 10)
        assert got == text

    async def ask(self, *words: bytes) -> bytes:
        """Send a request and return its one line."""
        self.send(words)
        return await asyncio.wait_for(self._reader.readline(), 10)


@asynccontextmanager
async def proxy_inside(text: str, folder: Path) -> AsyncIterator[ProxyNode]:
    """Run a proxy of a configuration in this loop."""
    path = folder / "proxy.yml"
    path.write_text(text)
    host = Machine(seed=1)
    node = ProxyNode(str(path), host, Log(host.clock, host.disk, host.pid, lambda line: None))
    await node.start()
    try:
        yield node
    finally:
        await node.stop()
