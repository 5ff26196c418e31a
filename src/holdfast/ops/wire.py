"""One connection to a node, a Sentinel or a proxy: commands, pipelines, subscriptions.

What it is: what watching, drilling and moving data need, on asyncio's streams, without
retries: who asks learns at once that the answer did not come. What it is not: a client
library for programs.

How to read it: `Wire`. Texts are decoded with surrogateescape, so that bytes survive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from holdfast.sentinel.reply_reader import BrokenReply, Reply, ReplyError, ReplyReader, encode_command

PIECE_BYTES = 1 << 16
DEFAULT_TIMEOUT_S = 2.0


class WireError(Exception):
    """The connection could not be made, broke, or was silent for too long."""


class Refused(Exception):
    """The answer was an error; the text is what the server said."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        """As people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @staticmethod
    def parse(text: str, port: int = 6379) -> Address:
        """Read "host", "host:port", ":port" or "redis://host:port". Raises ValueError."""
        text = text.removeprefix("redis://").rpartition("@")[2].partition("/")[0]
        host, colon, digits = text.rpartition(":")
        if not colon:
            return Address("127.0.0.1", int(digits)) if digits.isdigit() else Address(digits, port)
        if not digits.isdigit():
            raise ValueError(f"{text!r} is no address: HOST:PORT")
        return Address(host.strip("[]") or "127.0.0.1", int(digits))


class Wire:
    """A connection. Not for two tasks at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        self._reader, self._writer, self.timeout_s = reader, writer, timeout_s
        self._replies = ReplyReader()
        self._ready: list[Reply] = []

    @staticmethod
    async def open(address: Address, password: str = "", timeout_s: float = DEFAULT_TIMEOUT_S) -> Wire:
        """Connect, and log in where there is a password. Raises `WireError` and `Refused`."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(address.host, address.port)
        except (OSError, TimeoutError) as error:
            raise WireError(f"{address}: {str(error) or 'no connection in time'}") from error
        wire = Wire(reader, writer, timeout_s)
        if password:
            try:
                await wire.ask("AUTH", password)
            except Refused as refusal:
                if "without any password" not in str(refusal):
                    wire.close()
                    raise
        return wire

    async def ask(self, *words: object, timeout_s: float | None = None) -> Reply:
        """Send a command and return its reply. Raises `WireError` and `Refused`."""
        (reply,) = await self.pipeline([words], timeout_s)
        if isinstance(reply, ReplyError):
            raise Refused(str(reply))
        return reply

    async def pipeline(
        self, commands: Sequence[Sequence[object]], timeout_s: float | None = None
    ) -> list[Reply]:
        """Send commands together; return their replies, errors among them. Raises `WireError`."""
        try:
            async with asyncio.timeout(self.timeout_s if timeout_s is None else timeout_s):
                asked = [encode_command([str(word) for word in each]) for each in commands]
                self._writer.write(b"".join(asked))
                await self._writer.drain()
                return [await self._next() for _ in commands]
        except (OSError, TimeoutError, BrokenReply) as error:
            self.close()
            raise WireError(str(error) or "no answer in time") from error

    async def messages(self, *patterns: str) -> AsyncIterator[tuple[str, str]]:
        """Subscribe to patterns; yield channel and payload until the connection ends, with `WireError`."""
        try:
            self._writer.write(encode_command(["PSUBSCRIBE", *patterns]))
            while True:
                reply = await self._next()
                if isinstance(reply, list) and len(reply) == 4 and reply[0] == "pmessage":
                    yield str(reply[2]), str(reply[3])
        except (OSError, BrokenReply) as error:
            raise WireError(str(error)) from error

    async def _next(self) -> Reply:
        while not self._ready:
            piece = await self._reader.read(PIECE_BYTES)
            if not piece:
                raise ConnectionResetError("the connection was closed")
            self._ready = self._replies.feed(piece)
        return self._ready.pop(0)

    def close(self) -> None:
        """End the connection; twice does no harm."""
        self._writer.close()


@asynccontextmanager
async def connected(
    address: Address, password: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
) -> AsyncIterator[Wire]:
    """Hold a connection for a block. Raises `WireError` and `Refused`."""
    wire = await Wire.open(address, password, timeout_s)
    try:
        yield wire
    finally:
        wire.close()


async def ask(
    address: Address, *words: object, password: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
) -> Reply:
    """Connect, ask one thing and close. Raises `WireError` and `Refused`."""
    async with connected(address, password, timeout_s) as wire:
        return await wire.ask(*words)


def info_fields(text: str) -> dict[str, str]:
    """Return the fields of an INFO reply."""
    pairs = (line.partition(":") for line in text.splitlines() if line and line[0] != "#")
    return {name: value for name, colon, value in pairs if colon}


def pairs(reply: Reply) -> dict[str, str]:
    """Return a flat array of names and values as a dictionary."""
    if not isinstance(reply, list):
        return {}
    return {str(name): str(value) for name, value in zip(reply[::2], reply[1::2], strict=False)}
