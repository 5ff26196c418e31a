"""The connection to the primary: bytes in, events of the handshake and the stream out.

What this is: an `asyncio.Protocol` that cuts lines while the handshake lasts, hands
pieces over while a snapshot comes, and the stream after that. What it is not:
decisions; the handshake machine makes them, `Follower` acts on them.

How to read it: `data_received` goes by the machine's state. A held link reads nothing:
its owner asks something elsewhere first (`hold`, `go_on`).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from holdfast.replication.handshake import Event, Failed, Handshake, Output, Send, State
from holdfast.server.poller import PolledProtocol, Poller, Taker

LINE_MOST_BYTES = 64 * 1024


class Follower(Protocol):
    """Who acts on what comes over the link."""

    def heard(self, link: UpstreamLink, count: int) -> None:
        """Note that the primary lives, and has sent so many bytes."""
        ...

    def output(self, link: UpstreamLink, output: Output) -> None:
        """Act on what the handshake says, but for Send."""
        ...

    def snapshot_received(self, link: UpstreamLink, chunk: bytes) -> None:
        """Take a piece of the snapshot."""
        ...

    def stream_received(self, link: UpstreamLink, chunk: bytes) -> None:
        """Take a piece of the stream."""
        ...

    def link_lost(self, link: UpstreamLink, reason: str) -> None:
        """Note the end of the link; called once."""
        ...


def encode(words: tuple[bytes, ...]) -> bytes:
    """Return a command in RESP."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class UpstreamLink(asyncio.Protocol):
    """One connection to the primary."""

    def __init__(self, follower: Follower, handshake: Handshake, poller: Poller | None) -> None:
        self.handshake = handshake
        self.is_closed = False
        self.reason = ""
        self._follower = follower
        self._poller = poller
        self._socket: PolledProtocol | None = None
        self._lines = b""
        self._is_held = False

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._socket = PolledProtocol(self, transport, self._poller)
        if self.is_closed:
            self._socket.abort()
            return
        self._act(self.handshake.handle(Event.CONNECTED))

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self.is_closed:
            return
        self._follower.heard(self, len(data))
        if self.handshake.state is State.STREAMING and not self._is_held:
            self._follower.stream_received(self, data)
        elif self.handshake.state is State.SNAPSHOT and not self._is_held:
            self._follower.snapshot_received(self, data)
        else:
            self._lines += data
            self._read_lines()

    def eof_received(self) -> bool:
        """Nothing more will come."""
        return False

    def pause_writing(self) -> None:
        """The transport holds enough."""
        if self._socket is not None:
            self._socket.pause_writing()

    def resume_writing(self) -> None:
        """The transport has room."""
        if self._socket is not None:
            self._socket.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the follower."""
        self.close(f"Connection with the primary lost{f': {error}' if error else ''}.")

    # ---- for the follower ----

    def send(self, *words: bytes) -> None:
        """Send a command."""
        self.write(encode(words))

    def write(self, chunk: bytes) -> None:
        """Send bytes as they are."""
        if self._socket is not None and not self.is_closed:
            self._socket.write(chunk)

    def hold(self) -> None:
        """Look at nothing that comes until `go_on`."""
        self._is_held = True
        if self._socket is not None and not self.is_closed:
            self._socket.pause_reading()

    def go_on(self) -> None:
        """Look at what came meanwhile, and read again."""
        self._is_held = False
        if self._socket is not None and not self.is_closed:
            self._socket.resume_reading()
            self._read_lines()

    def hand_to(self, taker: Taker) -> None:
        """Let what arrives from now on go there, where nothing stands between; `go_on` sees to the rest."""
        if self._socket is not None:
            self._socket.taker = taker

    def put_back(self, rest: bytes) -> None:
        """Keep bytes that belong to what comes next."""
        self._lines = rest + self._lines

    def loaded(self) -> None:
        """Go on to the stream: the snapshot is in place."""
        self._act(self.handshake.handle(Event.SNAPSHOT_LOADED))

    def close(self, reason: str) -> None:
        """End the link; the follower hears of it once."""
        if self.is_closed:
            return
        self.is_closed = True
        self.reason = reason
        if self._socket is not None:
            self._socket.abort()
        self._follower.link_lost(self, reason)

    # ---- lines ----

    def _read_lines(self) -> None:
        while self._lines and not self._is_held and not self.is_closed:
            state = self.handshake.state
            if state is State.STREAMING or state is State.SNAPSHOT:
                rest, self._lines = self._lines, b""
                if state is State.STREAMING:
                    self._follower.stream_received(self, rest)
                else:
                    self._follower.snapshot_received(self, rest)
                return
            line, newline, rest = self._lines.partition(b"\n")
            if not newline:
                if len(line) > LINE_MOST_BYTES:
                    self.close("The primary sent a line without end")
                return
            self._lines = rest
            text = line.rstrip(b"\r").decode("latin-1")
            self._act(self.handshake.handle(Event.LINE, text))

    def _act(self, outputs: tuple[Output, ...]) -> None:
        for each in outputs:
            if self.is_closed:
                return
            if isinstance(each, Send):
                self.send(*each.words)
            elif isinstance(each, Failed):
                self.close(each.text)
            else:
                self._follower.output(self, each)
