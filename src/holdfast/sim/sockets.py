"""What a program gets when it asks a transport or a server for its socket.

What this is: an object that answers what may be asked of a `socket.socket` without
sending or receiving: addresses, family, options. What it is not: a way to move bytes.

How to read it: options are remembered, so that what was set can be read back.
"""

from __future__ import annotations

import errno
import os
import socket


class SimSocket:
    """The harmless face of a simulated socket."""

    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, sockname: tuple[str, int], peername: tuple[str, int] | None = None) -> None:
        """Show a socket bound to `sockname`."""
        self._sockname = sockname
        self._peername = peername
        self._options: dict[tuple[int, int], int | bytes] = {}
        self.family = socket.AF_INET6 if ":" in sockname[0] else socket.AF_INET

    def getsockname(self) -> tuple[str, int]:
        """Return the own address and port."""
        return self._sockname

    def getpeername(self) -> tuple[str, int]:
        """Return the peer's address and port."""
        if self._peername is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._peername

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Remember an option."""
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int, buffer_bytes: int = 0) -> int | bytes:
        """Return an option that was set, or 0."""
        return self._options.get((level, option), 0)

    def fileno(self) -> int:
        """Return -1: there is no descriptor."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """Do nothing: nothing blocks."""

    def gettimeout(self) -> float:
        """Return 0: nothing blocks."""
        return 0.0
