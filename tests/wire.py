"""A raw RESP connection for tests: what was sent and what came back, byte for byte.

`WireClient` sends commands or any bytes and returns replies as they stood on the
wire; `parse` turns one reply into Python values. It is not a client for
applications: it blocks, has no pool, and never retries.

How to read it: `WireClient`, then `reply_end` (where a reply ends), then `parse`.
Values: simple strings and errors are `Simple` and `Failure`, bulk strings `bytes`,
integers `int`, null `None`; the RESP3 types map, set, push and verbatim have a
class of their own so that a wrong type never compares equal to the right one.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


class Closed(ConnectionError):
    """The server closed the connection; `partial` is what came before, unfinished."""

    def __init__(self, partial: bytes = b"") -> None:
        super().__init__("connection closed by the server")
        self.partial = partial


@dataclass(frozen=True)
class Simple:
    """A simple string (+), a double (,), a big number (() or a boolean (#): one line."""

    mark: str
    text: bytes


@dataclass(frozen=True)
class Failure:
    """An error (-) or a bulk error (!)."""

    text: bytes


@dataclass(frozen=True)
class Verbatim:
    """A verbatim string (=): three letters of format and the text."""

    form: bytes
    text: bytes


@dataclass(frozen=True)
class Group:
    """An aggregate: array (*), set (~), push (>), map (%) or attribute (|); maps lie flat."""

    mark: str
    items: tuple[Value, ...] | None


@dataclass(frozen=True)
class Null:
    """The null of RESP3 (_), the null bulk string ($-1)."""

    mark: str


Value: TypeAlias = "int | bytes | Simple | Failure | Verbatim | Group | Null"


def encode(words: Sequence[bytes]) -> bytes:
    """Return a command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


class WireClient:
    """One TCP connection; replies come back as raw bytes, one reply at a time."""

    def __init__(self, port: int, host: str = "127.0.0.1", timeout_seconds: float = 10.0) -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout_seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()

    def send(self, content: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(content)

    def command(self, *words: bytes) -> bytes:
        """Send one command and return its raw reply."""
        self.send(encode(words))
        return self.read()

    def value(self, *words: bytes | str | int) -> Value:
        """Send one command and return its reply parsed."""
        return parse(self.command(*[_word(word) for word in words]))

    def pipeline(self, commands: Sequence[Sequence[bytes]]) -> list[bytes]:
        """Send all commands at once and return one raw reply for each."""
        self.send(b"".join(encode(words) for words in commands))
        return [self.read() for _ in commands]

    def read(self) -> bytes:
        """Return the next reply or push as raw bytes; raise `Closed` or `TimeoutError`."""
        while True:
            end = reply_end(self.received, 0)
            if end:
                reply = bytes(self.received[:end])
                del self.received[:end]
                return reply
            self._receive()

    def read_value(self) -> Value:
        """Return the next reply or push parsed."""
        return parse(self.read())

    def read_to_end(self) -> bytes:
        """Return everything up to the close by the server."""
        try:
            while True:
                self._receive()
        except Closed as closed:
            return closed.partial
        except ConnectionError:
            return bytes(self.received)

    def leftover(self) -> bytes:
        """Say goodbye (half close) and return what the server had sent that nobody read."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return bytes(self.received)
        return self.read_to_end()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _receive(self) -> None:
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionResetError:
            piece = b""
        if not piece:
            partial = bytes(self.received)
            self.received.clear()
            raise Closed(partial)
        self.received += piece


def reply_end(content: bytes | bytearray, start: int) -> int:
    """Return the position after the reply at `start`, or 0 while it is incomplete."""
    pending = 1
    position = start
    while pending:
        pending -= 1
        line_end = content.find(b"\r\n", position)
        if line_end < 0:
            return 0
        mark = content[position]
        next_position = line_end + 2
        if mark in b"$=!":
            length = int(content[position + 1 : line_end])
            if length >= 0:
                next_position += length + 2
                if len(content) < next_position:
                    return 0
        elif mark in b"*~>":
            pending += max(0, int(content[position + 1 : line_end]))
        elif mark in b"%":
            pending += 2 * int(content[position + 1 : line_end])
        elif mark in b"|":
            pending += 2 * int(content[position + 1 : line_end]) + 1
        elif mark not in b"+-:,(#_":
            raise ValueError(f"not a reply: {bytes(content[position : position + 40])!r}")
        position = next_position
    return position


def parse(reply: bytes) -> Value:
    """Return the value of one complete raw reply; raise `ValueError` when bytes are left."""
    value, end = _parse(reply, 0)
    if end != len(reply):
        raise ValueError(f"{len(reply) - end} bytes after the reply")
    return value


def render(value: Value) -> bytes:
    """Return the raw reply of a value: `render(parse(reply)) == reply`."""
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, Simple):
        return value.mark.encode() + value.text + b"\r\n"
    if isinstance(value, Failure):
        return b"-" + value.text + b"\r\n"
    if isinstance(value, Verbatim):
        return b"=%d\r\n%b:%b\r\n" % (len(value.text) + 4, value.form, value.text)
    if isinstance(value, Null):
        return value.mark.encode() + (b"\r\n" if value.mark == "_" else b"-1\r\n")
    if value.items is None:
        return value.mark.encode() + b"-1\r\n"
    count = len(value.items) // 2 if value.mark in "%|" else len(value.items)
    return b"".join([b"%b%d\r\n" % (value.mark.encode(), count), *map(render, value.items)])


def _parse(content: bytes, position: int) -> tuple[Value, int]:
    line_end = content.index(b"\r\n", position)
    mark = chr(content[position])
    line = content[position + 1 : line_end]
    position = line_end + 2
    if mark == ":":
        return int(line), position
    if mark in "+,(#":
        return Simple(mark, line), position
    if mark == "-":
        return Failure(line), position
    if mark == "_":
        return Null("_"), position
    length = int(line)
    if mark in "$=!":
        if length < 0:
            return Null("$"), position
        text = content[position : position + length]
        position += length + 2
        if mark == "=":
            return Verbatim(text[:3], text[4:]), position
        return (Failure(text) if mark == "!" else text), position
    if length < 0:
        return Group(mark, None), position
    items: list[Value] = []
    for _ in range(length * 2 if mark in "%|" else length):
        item, position = _parse(content, position)
        items.append(item)
    return Group(mark, tuple(items)), position


def _word(word: bytes | str | int) -> bytes:
    if isinstance(word, bytes):
        return word
    return str(word).encode()
