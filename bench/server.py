"""A server under measurement: start it on its core, read its CPU and memory, end it.

It is any program with redis-server's command line. Nothing is asked of it
beyond that and /proc; what it serves is the business of the groups.

How to read it: `Program` is what can be started, `Server` what runs.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import Connection

CANDIDATE = (
    sys.executable,
    "-c",
    "import sys; from holdfast.cli.server import main; sys.argv[0] = 'holdfast-server'; sys.exit(main())",
)
"""holdfast-server of this tree, with the Python that runs the benchmark."""

START_TIMEOUT_S = 30.0


class ServerDidNotStart(Exception):
    """The program ended, or did not answer in time; the text has its last words."""


@dataclass(frozen=True)
class Program:
    """Something that can be started as a server."""

    name: str
    command: tuple[str, ...]
    cores: frozenset[int]

    @classmethod
    def parse(cls, name: str, line: str | None, cores: frozenset[int]) -> Program:
        """Make one of a command line; None is the server of this tree."""
        return cls(name, tuple(shlex.split(line)) if line else CANDIDATE, cores)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment with this tree's sources first."""
        source = str(Path(__file__).resolve().parent.parent / "src")
        paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    @contextlib.contextmanager
    def running(self, *options: str) -> Iterator[Server]:
        """Run it on a free port in a new folder until the block ends; ready when it is given out."""
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
            server = Server(self, Path(folder), options)
            try:
                server.await_pong()
                yield server
            finally:
                server.end()


@dataclass
class Server:
    """A running process. Times are in seconds of CPU since it was started."""

    program: Program
    folder: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] = field(init=False)
    started_at: float = field(init=False)
    pong_after_s: float = field(init=False, default=0.0)
    """From the start of the process to its first PONG."""

    def __post_init__(self) -> None:
        self.port = self.port or free_port()
        words = [*self.program.command, "--port", str(self.port), "--bind", "127.0.0.1"]
        words += ["--dir", str(self.folder), "--save", "", "--appendonly", "no", *self.options]
        self.started_at = time.perf_counter()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.program.environment,
                preexec_fn=lambda: os.sched_setaffinity(0, self.program.cores),
            )

    def await_pong(self) -> None:
        """Wait until it answers PING."""
        while time.perf_counter() - self.started_at < START_TIMEOUT_S:
            if self.process.poll() is not None:
                break
            try:
                with Connection(self.port, timeout_s=START_TIMEOUT_S) as connection:
                    if connection.ask(b"PING") == b"+PONG":
                        self.pong_after_s = time.perf_counter() - self.started_at
                        return
            except (ConnectionError, OSError):
                pass
            time.sleep(0.001)  # nothing listens yet: there is no event to await
        words = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        raise ServerDidNotStart(words[-1] if words else "no answer to PING")

    def cpu_s(self) -> float:
        """Return the CPU time of all its threads, ended ones too, to the nanosecond."""
        # The clock of another process, as clock_getcpuclockid(3) computes it.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def user_share(self, since: tuple[int, int]) -> float:
        """Return which part of the CPU time after `since` (of `ticks`) was spent outside the kernel."""
        user, system = (now - before for now, before in zip(self.ticks(), since, strict=True))
        return user / (user + system) if user + system else 0.0

    def ticks(self) -> tuple[int, int]:
        """Return user and system time in the kernel's ticks (1/100 s): good for a share, not for a figure."""
        fields = self.stat_fields()
        return int(fields[11]), int(fields[12])

    def stat_fields(self) -> list[str]:
        """Return /proc/PID/stat from the state on (the name before it may hold blanks)."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        return text.rpartition(")")[2].split()

    def resident_bytes(self) -> int:
        """Return the memory that it holds in RAM."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> None:
        """End the process and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
