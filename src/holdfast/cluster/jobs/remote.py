"""A connection to one node: requests in, replies out, many under way at once.

What it is: as much of a client as the jobs need (RESP2, AUTH, TLS). What it is not: a client
library; nothing here follows redirects or tries again, since a job must know which node did what.

How to read it: `Access` is how to get in, `Line` the connection, `read_reply` the parser.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

ANSWER_S = 15.0
"""A node that is silent for so long, with requests waiting, is lost."""
CONNECT_S = 5.0
PIECE_BYTES = 1 << 18
BULK_MAX_BYTES = 1 << 31
COUNT_MAX = 1 << 24
DEPTH_MAX = 8


class Refusal(str):
    """An error reply, its code first."""

    __slots__ = ()

    @property
    def code(self) -> str:
        """Return the first word: ERR, BUSYKEY, IOERR …"""
        return self.partition(" ")[0]


Reply = Union[bytes, int, None, Refusal, list["Reply"]]  # noqa: UP007 - it names itself
Word = str | bytes | int


class NodeLost(Exception):
    """A node does not answer: it cannot be reached, hung up, or was silent for too long."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"{address}: {why}")
        self.address = address


class Refused(Exception):
    """A node answered a request that had to succeed with an error."""

    def __init__(self, address: str, request: str, reply: str) -> None:
        super().__init__(f"{address} refused {request}: {reply}")
        self.address, self.reply = address, Refusal(reply)


@dataclass(frozen=True)
class Access:
    """How to get in: credentials and TLS, the same for all nodes."""

    username: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def migrate_words(self) -> list[Word]:
        """Return what MIGRATE must say so that the source may write to the target."""
        if not self.password:
            return []
        return ["AUTH2", self.username, self.password] if self.username else ["AUTH", self.password]


def _why(error: OSError | TimeoutError) -> str:
    """Return why nobody could be reached, without the address that stands before it anyway."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or "no answer to connecting"


class Line:
    """An open connection. Any number of tasks may ask at the same time."""

    def __init__(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.address = address
        self._reader, self._writer = reader, writer
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._lost: NodeLost | None = None
        self._listener = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def open(cls, host: str, port: int, access: Access) -> Line:
        """Connect and log in. Raises NodeLost, Refused."""
        address = f"{host}:{port}"
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    host,
                    port,
                    ssl=access.tls,
                    limit=PIECE_BYTES,
                    server_hostname=host if access.tls else None,
                )
        except (OSError, TimeoutError) as error:
            raise NodeLost(address, _why(error)) from error
        line = cls(address, reader, writer)
        if access.password:
            words = [access.username, access.password] if access.username else [access.password]
            try:
                await line.ask("AUTH", *words, shown="AUTH")
            except BaseException:
                await line.close()
                raise
        return line

    @property
    def is_lost(self) -> bool:
        """Return whether nothing can be asked any more."""
        return self._lost is not None

    async def ask(self, *words: Word, shown: str = "", within_s: float = ANSWER_S) -> Reply:
        """Return the reply of one request. Raises NodeLost, and Refused on an error reply."""
        (reply,) = await self.ask_all([words], within_s=within_s)
        if isinstance(reply, Refusal):
            raise Refused(self.address, shown or " ".join(str(word) for word in words[:4]), reply)
        return reply

    async def ask_all(self, requests: Sequence[Sequence[Word]], within_s: float = ANSWER_S) -> list[Reply]:
        """Send requests in one piece and return their replies, errors among them. Raises NodeLost."""
        if self._lost is not None:
            raise self._lost
        if not requests:
            return []
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Reply]] = [loop.create_future() for _ in requests]
        for future in futures:
            future.add_done_callback(_seen)
        self._waiting.extend(futures)
        self._writer.write(b"".join(encode(request) for request in requests))
        try:
            async with asyncio.timeout(within_s):
                return [await future for future in futures]
        except TimeoutError:
            lost = NodeLost(self.address, f"no answer within {within_s:g} s")
            self._hang_up(lost)
            raise lost from None

    async def close(self) -> None:
        """Hang up."""
        self._hang_up(NodeLost(self.address, "closed"))
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener

    async def _listen(self) -> None:
        held = b""
        try:
            while piece := await self._reader.read(PIECE_BYTES):
                held = held + piece if held else piece
                at = 0
                while at < len(held):
                    try:
                        reply, at = read_reply(held, at)
                    except Incomplete:
                        break
                    if not self._waiting:
                        raise ValueError("a reply to nothing")
                    future = self._waiting.popleft()
                    if not future.done():
                        future.set_result(reply)
                held = held[at:]
            self._hang_up(NodeLost(self.address, "it closed the connection"))
        except (OSError, ValueError) as error:
            self._hang_up(NodeLost(self.address, str(error)))

    def _hang_up(self, why: NodeLost) -> None:
        if self._lost is None:
            self._lost = why
            self._writer.close()
            for future in self._waiting:
                if not future.done():
                    future.set_exception(why)
            self._waiting.clear()


def _seen(future: asyncio.Future[Reply]) -> None:
    """Take note of how a request ended: perhaps whoever asked waits no longer."""
    if not future.cancelled():
        future.exception()


class Incomplete(Exception):
    """More bytes are needed."""


def encode(words: Sequence[Word]) -> bytes:
    """Return a request as RESP."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        octets = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(octets), octets))
    return b"".join(parts)


def read_reply(held: bytes, at: int, depth: int = 0) -> tuple[Reply, int]:
    """Return the reply at a place and where the next begins. Raises Incomplete, ValueError."""
    end = held.find(b"\r\n", at)
    if end < 0:
        raise Incomplete
    kind, text, after = held[at : at + 1], held[at + 1 : end], end + 2
    if kind == b"$":
        size = int(text)
        if size < 0:
            return None, after
        if size > BULK_MAX_BYTES:
            raise ValueError("a reply is too long")
        if len(held) < after + size + 2:
            raise Incomplete
        return held[after : after + size], after + size + 2
    if kind == b"+":
        return text, after
    if kind == b":":
        return int(text), after
    if kind == b"-":
        return Refusal(text.decode("utf-8", "replace")), after
    if kind == b"*":
        count = int(text)
        if count < 0:
            return None, after
        if depth == DEPTH_MAX or count > COUNT_MAX:
            raise ValueError("a reply is too deep or too long")
        items: list[Reply] = []
        for _ in range(count):
            item, after = read_reply(held, after, depth + 1)
            items.append(item)
        return items, after
    raise ValueError(f"not a reply: {held[at : at + 20]!r}")
