"""Servers for tests: one in a thread of this process, or one as a process of its own.

`serve` gives a running `holdfast.Server`; `ServerProcess` is `holdfast-server` itself,
for signals and files.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import holdfast
from tests.wire import WireClient

ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def serve(**options: object) -> Iterator[holdfast.Server]:
    """Run a server in a thread for the length of a with block."""
    with holdfast.Server(port=0, **options) as server:
        yield server


class ServerProcess:
    """`holdfast-server` on a port that it chooses to be free."""

    def __init__(self, directory: Path, *options: str, port: int) -> None:
        self.port = port
        words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.server", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        )
        assert self.process.stdout is not None
        self.lines: list[bytes] = []
        for line in self.process.stdout:
            self.lines.append(line)
            if b"Ready to accept connections" in line:
                break

    def client(self) -> WireClient:
        """Connect."""
        return WireClient(self.port)

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        self.process.stdout.close()
        return self.process.wait(10)

    def kill(self) -> None:
        """End at once, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
