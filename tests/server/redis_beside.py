"""A real redis-server beside the code under test, spoken to over a unix socket.

How to read it: `RealRedis` starts, asks and ends one process; `installed` says whether there is one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

Reply = bytes | int | None | list["Reply"]


def require_redis() -> None:
    """Skip where redis-server is not installed; fail where it must be."""
    if shutil.which("redis-server") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")


class RealRedis:
    """One redis-server process."""

    def __init__(self, directory: Path, *arguments: str, stdin: str = "") -> None:
        require_redis()
        self.socket_path = str(directory / "redis.sock")
        own = ["--port", "0", "--unixsocket", self.socket_path]
        # A file must come first, and the last option may want to be incomplete: ours go between.
        files = 1 if arguments and not arguments[0].startswith("-") else 0
        words = [*arguments[:files], *own, *arguments[files:]]
        self.process = subprocess.Popen(
            ["redis-server", *words],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(stdin.encode())
        self.process.stdin.close()
        self.said = b""
        for line in self.process.stdout:
            self.said += line
            if b"Ready to accept connections" in line or b"now ready to accept" in line:
                break
        else:
            self.process.wait()
            return
        # A full pipe would stop the server at its next line of log.
        self.drain = threading.Thread(target=self.process.stdout.read, daemon=True)
        self.drain.start()
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(self.socket_path)
        self.stream = self.connection.makefile("rb")

    @property
    def refused(self) -> bool:
        """Whether it ended instead of serving."""
        return self.process.returncode is not None

    def ask(self, *words: str | bytes) -> Reply:
        """Send one command and return its reply; errors as bytes with their minus sign."""
        encoded = [
            word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word for word in words
        ]
        parts = [b"*%d\r\n" % len(encoded)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
        self.connection.sendall(b"".join(parts))
        return self._reply()

    def settings(self) -> dict[str, str]:
        """Return CONFIG GET *."""
        flat = self.ask("CONFIG", "GET", "*")
        assert isinstance(flat, list)
        texts = [item.decode("utf-8", "surrogateescape") for item in flat if isinstance(item, bytes)]
        return dict(zip(texts[0::2], texts[1::2], strict=True))

    def close(self) -> None:
        """End the process."""
        if not self.refused:
            self.stream.close()
            self.connection.close()
            self.process.kill()
            self.process.wait()
            self.drain.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _reply(self) -> Reply:
        line = self.stream.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.stream.read(size + 2)[:-2]
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        return int(rest) if kind == b":" else line
