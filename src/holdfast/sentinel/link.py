"""One connection to a node: bytes out, replies in, in the order of the questions.

What it is: the asyncio part of a `model.Link`, as thin as it can be. What it is not:
decisions; it tells `Listener` what happened and forgets.

How to read it: `open_connection`, then the protocol's callbacks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol, cast

from holdfast.sentinel.effects import OnReply
from holdfast.sentinel.model import Link
from holdfast.sentinel.reply_reader import BrokenReply, Reply, ReplyReader, encode_command


class Listener(Protocol):
    """Who is told."""

    def connection_made(self, connection: Connection, local_ip: str, peer_ip: str) -> None:
        """The connection is there."""
        ...

    def connection_gone(self, connection: Connection, refused: bool) -> None:
        """It has ended, or could not be had."""
        ...

    def replies_came(self, connection: Connection, replies: list[tuple[OnReply | None, Reply]]) -> None:
        """Replies with who waits for them."""
        ...


class Connection(asyncio.Protocol):
    """A client connection of a Sentinel. After `close` nothing is told any more."""

    def __init__(self, listener: Listener, link: Link, pubsub: bool) -> None:
        self.link, self.pubsub = link, pubsub
        self._listener: Listener | None = listener
        self._reader = ReplyReader()
        self._waiting: deque[OnReply | None] = deque()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self, loop: asyncio.AbstractEventLoop, host: str, timeout_s: float) -> None:
        """Begin to connect."""
        self._task = loop.create_task(self._open(loop, host, timeout_s))

    async def _open(self, loop: asyncio.AbstractEventLoop, host: str, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(
                loop.create_connection(lambda: self, host, self.link.address.port), timeout_s
            )
        except ConnectionRefusedError:
            self._gone(refused=True)
        except (OSError, TimeoutError):
            self._gone(refused=False)

    def send(self, words: Sequence[str], on_reply: OnReply | None) -> None:
        """Send a command; without a connection it is dropped with its question."""
        if self._transport is not None:
            if not self.pubsub:
                self._waiting.append(on_reply)
            self._transport.write(encode_command(words))

    def close(self) -> None:
        """End without a word."""
        self._listener = None
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)
        if self._listener is None:
            self._transport.abort()
            return
        local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._listener.connection_made(self, local[0] if local else "", peer[0] if peer else "")

    def data_received(self, data: bytes) -> None:
        """Hand on whole replies."""
        try:
            replies = self._reader.feed(data)
        except BrokenReply:
            self._end()
            return
        matched: list[tuple[OnReply | None, Reply]] = []
        for reply in replies:
            waiting = self._waiting.popleft() if self._waiting else None
            matched.append((waiting, reply))
        if matched and self._listener is not None:
            self._listener.replies_came(self, matched)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it is over."""
        self._transport = None
        self._gone(refused=False)

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _gone(self, refused: bool) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.connection_gone(self, refused)
