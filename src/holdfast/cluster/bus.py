"""The cluster bus on asyncio: one listener, and a connection for each link.

What it is: bytes out of messages, messages out of bytes, connections that come and go.
What it is not: decisions; it tells `BusEvents` what happened.

How to read it: `Bus` opens, connects, sends and closes; `BusConnection` is the protocol of
one connection.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from holdfast.cluster.codec import BrokenBus, Reader, encode
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Link

CONNECT_TIMEOUT_LEAST_S = 1.0


class BusEvents(Protocol):
    """Who is told."""

    def accepted(self, connection: BusConnection) -> Link:
        """Somebody connected; return the link that it is."""
        ...

    def connected(self, link: Link) -> None:
        """A connection that was asked for is there."""
        ...

    def lost(self, link: Link, refused: bool) -> None:
        """A connection ended, or could not be had; `refused`: nobody listens there."""
        ...

    def received(self, link: Link, message: Message) -> None:
        """A message came."""
        ...

    def warn(self, text: str) -> None:
        """Write to the log."""
        ...


class BusConnection(asyncio.Protocol):
    """One connection. After `close` nothing is told any more."""

    def __init__(self, bus: Bus, link: Link | None) -> None:
        self._bus: Bus | None = bus
        self.link = link
        self.transport: asyncio.Transport | None = None
        self.peer_ip = ""
        self.local_ip = ""
        self.reader = Reader()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, and greet."""
        self.transport = cast(asyncio.Transport, transport)
        bus = self._bus
        if bus is None:
            self.transport.abort()
            return
        self.peer_ip = _address(transport.get_extra_info("peername"))
        self.local_ip = _address(transport.get_extra_info("sockname"))
        if self.link is None:
            self.link = bus.events.accepted(self)
            bus.connections[self.link] = self
            self.link.is_up = True
        self.link.peer_ip, self.link.local_ip = self.peer_ip, self.local_ip
        if self.link.outbound:
            bus.events.connected(self.link)

    def data_received(self, chunk: bytes) -> None:
        """Hand on whole messages."""
        try:
            found = self.reader.feed(chunk)
        except BrokenBus as error:
            if self._bus is not None:
                self._bus.broken += 1
                self._bus.events.warn(f"Bad data on the cluster bus from {self.peer_ip}: {error}")
            self._end()
            return
        for message in found:
            if self._bus is None or self.link is None:
                return
            self._bus.events.received(self.link, message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it is over."""
        self.transport = None
        self.gone(refused=False)

    def gone(self, refused: bool) -> None:
        """Tell that it is over, or was never there."""
        bus, self._bus = self._bus, None
        if bus is not None and self.link is not None:
            bus.connections.pop(self.link, None)
            bus.events.lost(self.link, refused)

    def close(self) -> None:
        """End without a word."""
        self._bus = None
        if self.task is not None:
            self.task.cancel()
        self._end()

    def _end(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Bus:
    """The bus of one node."""

    def __init__(self, events: BusEvents) -> None:
        self.events = events
        self.connections: dict[Link, BusConnection] = {}
        self.broken = 0
        """Connections that ended as what came was not of this bus."""
        self._servers: list[asyncio.Server] = []
        self._encoded: tuple[Message, bytes] | None = None

    async def open(self, loop: asyncio.AbstractEventLoop, addresses: list[str], port: int) -> None:
        """Listen. `OSError` where none of the addresses can be had."""
        failure: OSError | None = None
        for address in addresses:
            try:
                server = await loop.create_server(lambda: BusConnection(self, None), address, port)
            except OSError as error:
                failure = error
                continue
            self._servers.append(server)
        if not self._servers and failure is not None:
            raise failure

    def connect(
        self, loop: asyncio.AbstractEventLoop, link: Link, host: str, port: int, timeout_ms: int, source: str
    ) -> None:
        """Begin to open the connection of an outbound link."""
        connection = BusConnection(self, link)
        self.connections[link] = connection
        timeout_s = max(timeout_ms / 1000, CONNECT_TIMEOUT_LEAST_S)
        connection.task = loop.create_task(self._open(loop, connection, host, port, timeout_s, source))

    async def _open(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: BusConnection,
        host: str,
        port: int,
        timeout_s: float,
        source: str,
    ) -> None:
        local = (source, 0) if source else None
        try:
            opening = loop.create_connection(lambda: connection, host, port, local_addr=local)
            await asyncio.wait_for(opening, timeout_s)
        except ConnectionRefusedError:
            connection.gone(refused=True)
        except (OSError, TimeoutError, UnicodeError):
            connection.gone(refused=False)
        finally:
            connection.task = None

    def send(self, link: Link, message: Message) -> None:
        """Send a message; without a connection it is dropped."""
        connection = self.connections.get(link)
        if connection is None or connection.transport is None:
            return
        if self._encoded is None or self._encoded[0] is not message:
            self._encoded = (message, encode(message))
        connection.transport.write(self._encoded[1])

    def disconnect(self, link: Link) -> None:
        """Close a connection; nothing more is heard of it."""
        connection = self.connections.pop(link, None)
        if connection is not None:
            connection.close()

    def buffered(self, link: Link) -> int:
        """Return how many bytes wait to be sent over a link."""
        connection = self.connections.get(link)
        if connection is None or connection.transport is None:
            return 0
        return connection.transport.get_write_buffer_size()

    def close(self) -> None:
        """End everything."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for link in list(self.connections):
            self.disconnect(link)


def _address(name: object) -> str:
    if isinstance(name, tuple) and name and isinstance(name[0], str):
        return name[0].removeprefix("::ffff:")
    return ""
