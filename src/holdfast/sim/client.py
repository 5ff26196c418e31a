"""A lean client: one connection to a node, one request or pipeline at a time.

What this is: what simulated clients and managers speak through. What it is not: a
client library (the project's tests drive redis-py through the simulator, too).

How to read it: `connect` makes a `Client`, `ask` is one request, `ask_all` a pipeline.
Errors of the server are returned as `ReplyError`, errors of the connection raised.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast


class ReplyError(Exception):
    """An error reply; the text is without the minus sign."""

    @property
    def code(self) -> str:
        """The first word."""
        return str(self).split(" ", 1)[0]


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        """Make a client that is not connected; `connect` does both."""
        self._buffer = b""
        self._replies: list[Any] = []
        self._wanted = 0
        self._answered: asyncio.Future[list[Any]] | None = None
        self._transport: asyncio.Transport | None = None
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read what replies there are."""
        self._buffer += data
        while self._buffer:
            parsed = parse(self._buffer, 0)
            if parsed is None:
                break
            self._replies.append(parsed[0])
            self._buffer = self._buffer[parsed[1] :]
        if self._answered is not None and len(self._replies) >= self._wanted:
            answered, self._answered = self._answered, None
            replies, self._replies = self._replies[: self._wanted], self._replies[self._wanted :]
            if not answered.done():
                answered.set_result(replies)

    def connection_lost(self, error: Exception | None) -> None:
        """Let whoever waits know."""
        self.is_closed = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionResetError("the connection is closed"))

    async def ask(self, *words: object, within: float = 1.0) -> Any:
        """Send one command and return its reply. Raises `ConnectionError`, `TimeoutError`."""
        return (await self.ask_all([words], within=within))[0]

    async def ask_all(self, commands: list[tuple[object, ...]], *, within: float = 1.0) -> list[Any]:
        """Send several at once. On a time-out the connection is closed: it cannot be used again."""
        if self.is_closed or self._transport is None:
            raise ConnectionResetError("the connection is closed")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[list[Any]] = loop.create_future()
        self._answered, self._wanted = answered, len(commands)
        self._transport.write(b"".join(encode(words) for words in commands))
        timer = loop.call_later(within, self._time_out, answered)
        try:
            return await answered
        finally:
            timer.cancel()

    def _time_out(self, answered: asyncio.Future[list[Any]]) -> None:
        if not answered.done():
            answered.set_exception(TimeoutError("no reply in time"))
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()


async def connect(host: str, port: int, *, within: float = 1.0) -> Client:
    """Return a connected client. Raises `OSError`, `TimeoutError`."""
    async with asyncio.timeout(within):
        _, client = await asyncio.get_running_loop().create_connection(Client, host, port)
    return client


def encode(words: tuple[object, ...]) -> bytes:
    """Return a command as it goes over the wire."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def parse(buffer: bytes, at: int) -> tuple[Any, int] | None:
    """Return the reply that begins at `at` and where it ends, None if it is not whole yet."""
    end = buffer.find(b"\r\n", at)
    if end < 0:
        return None
    kind, rest, after = buffer[at : at + 1], buffer[at + 1 : end], end + 2
    if kind == b"+":
        return rest.decode(), after
    if kind == b":":
        return int(rest), after
    if kind == b"-":
        return ReplyError(rest.decode("utf-8", "replace")), after
    size = int(rest)
    if kind == b"$":
        if size < 0:
            return None, after
        if len(buffer) < after + size + 2:
            return None
        return buffer[after : after + size], after + size + 2
    if kind != b"*":
        raise ValueError(f"no reply begins with {kind!r}")
    if size < 0:
        return None, after
    items = []
    for _ in range(size):
        item = parse(buffer, after)
        if item is None:
            return None
        items.append(item[0])
        after = item[1]
    return items, after
