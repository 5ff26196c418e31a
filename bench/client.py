"""The benchmark's own client: asks one thing, or fills a server with a million.

It is not a client library: replies of more than one line are not read, only
waited for. The load that is measured comes from redis-benchmark (`bench/load.py`).

How to read it: `Connection.ask` for one reply of one line, `Connection.info` for a
section of INFO, `Connection.fill` for many commands whose replies only must not be
errors, `encode` for the bytes.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from types import TracebackType

END_OF_FILL = b"holdfast-bench-end-of-fill"
END_OF_INFO = b"holdfast-bench-end-of-info"
ERROR_LINE = re.compile(rb"(?:^|\n)-([^\r]*)\r")


class Refused(Exception):
    """The server answered with an error."""


class Connection:
    """One blocking connection to 127.0.0.1."""

    def __init__(self, port: int, timeout_s: float = 120.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def ask(self, *words: bytes) -> bytes:
        """Send one command and return its first reply line, without the line's end."""
        self.socket.sendall(encode(*words))
        received = b""
        while not received.endswith(b"\n"):
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError("closed by the server")
            received += part
        line = received.split(b"\r\n", 1)[0]
        if line.startswith(b"-"):
            raise Refused(line[1:].decode(errors="replace"))
        return line

    def info(self, section: bytes) -> bytes:
        """Return a section of INFO whole."""
        self.socket.sendall(encode(b"INFO", section) + encode(b"ECHO", END_OF_INFO))
        end = END_OF_INFO + b"\r\n"
        received = b""
        while not received.endswith(end):
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError("closed by the server")
            received += part
        return received

    def fill(self, commands: Iterable[bytes], commands_at_once: int = 500) -> None:
        """Send encoded commands, a batch at a time, and wait for all replies; `Refused` on an error."""
        batch: list[bytes] = []
        for command in commands:
            batch.append(command)
            if len(batch) == commands_at_once:
                self.send_batch(batch)
                batch.clear()
        self.send_batch(batch)

    def send_batch(self, batch: list[bytes]) -> None:
        """Send a batch with a mark behind it, and read until the mark comes back."""
        self.socket.sendall(b"".join(batch) + encode(b"ECHO", END_OF_FILL))
        end = END_OF_FILL + b"\r\n"
        received = bytearray()
        while not received.endswith(end):
            part = self.socket.recv(1 << 18)
            if not part:
                raise ConnectionError("closed by the server")
            received += part
        found = ERROR_LINE.search(received)
        if found:
            raise Refused(found.group(1).decode(errors="replace"))


def encode(*words: bytes) -> bytes:
    """Return a command as it goes over the wire."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
