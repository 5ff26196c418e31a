"""Whole deployments for tests: started and asked by the commands that people type.

What it is: `deployment(...)` runs `holdfast up --detach` on free ports in a directory of its own and
ends it with `holdfast down`. Where a test waits for something it looks as `holdfast status` does, but
without a process for each look. What it is not: assertions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.backoff import ConstantBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from holdfast.ops.files_on_disk import Directory
from holdfast.ops.picture import take
from holdfast.ops.topology import own

REPOSITORY = Path(__file__).resolve().parents[2]
SPAN, SHARES = 16, 16
PATIENCE_S = 30.0


def holdfast(*words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command `holdfast` to its end, with these variables in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "holdfast.cli.main", *words],
        cwd=cwd,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment() -> dict[str, str]:
    """Return ours, with this tree's package first."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}


def _share() -> list[int]:
    """Return this test process's bases, in an order of its own: other runs may be about."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    mine = list(range(10_000, 12_700, SPAN))[int(worker) % SHARES :: SHARES]
    random.shuffle(mine)
    return mine


_LEFT = _share()


def free_base() -> int:
    """Return a stable port whose followers, their buses and Sentinels are free: the longest unused."""
    for _ in _LEFT:
        first = _LEFT.pop(0)  # 20,000 above is still below the ports of outgoing connections
        _LEFT.append(first)
        with contextlib.ExitStack() as held:
            try:
                for each in (first + add + n for add in (0, 10_000, 20_000) for n in range(SPAN)):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", each))
            except OSError:
                continue
        return first
    raise AssertionError("no free ports for a deployment")


def until(question: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Ask until the answer is true; fail after the deadline."""
    deadline = time.monotonic() + patience_s
    while True:
        with contextlib.suppress(redis.RedisError, OSError, KeyError, IndexError):
            if question():
                return
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.05)  # other processes: there is nothing to await but their answers


@dataclass
class Running:
    """A deployment that runs."""

    home: Path
    port: int
    ready_s: float
    words: tuple[str, ...] = ()
    directory: str = "data"

    @property
    def data(self) -> Path:
        """Its directory."""
        return self.home / self.directory

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command about it."""
        return holdfast(*words, "--data", str(self.data))

    def status(self) -> dict[str, Any]:
        """Return what `holdfast status --json` prints."""
        told: dict[str, Any] = asyncio.run(take(own(Directory(str(self.data))))).as_json()
        return told

    def until_well(self) -> None:
        """Wait until all members are well."""
        until(lambda: self.status()["health"] == "ok", "all is well")

    def run_file(self) -> dict[str, Any]:
        """Return the pids."""
        told: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return told

    def pid(self, name: str) -> int:
        """Return the pid of a process; KeyError while it does not run."""
        return int(self.run_file()["children"][name][0])

    def kill(self, name: str) -> None:
        """End a process as a crash does."""
        os.kill(self.pid(name), signal.SIGKILL)

    def leader(self) -> str:
        """Return who leads; IndexError while nobody does."""
        return str(self.status()["leaders"][0])

    def client(self, **options: Any) -> Any:
        """Return redis-py at the stable port, or by the Sentinels or the cluster where there is none."""
        options = {"socket_timeout": 15, "decode_responses": True, **options}
        if (self.data / "proxy").exists():
            return redis.Redis(port=self.port, retry=Retry(ConstantBackoff(0), 0), **options)
        if json.loads((self.data / "deployment.json").read_text())["cluster"]:
            return RedisCluster(host="127.0.0.1", port=self.port + 1, **options)
        sentinels = [("127.0.0.1", self.port + 20_000 + each) for each in range(3)]
        return Sentinel(sentinels).master_for("mymaster", **options)


def up(home: Path, port: int, *words: str) -> Running:
    """Start a deployment in the background."""
    began = time.monotonic()
    done = holdfast("up", "--detach", "--port", str(port), "--data", str(home / "data"), *words, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return Running(home, port, time.monotonic() - began, words)


@contextmanager
def deployment(*words: str, file: str = "") -> Iterator[Running]:
    """Hold a deployment for a block; `file` is what stands in its holdfast.toml."""
    home = Path(tempfile.mkdtemp(prefix="holdfast-up-"))
    (home / "holdfast.toml").write_text(file)
    running = None
    try:
        running = up(home, free_base(), *words)
        yield running
    finally:
        holdfast("down", "--data", str(home / "data"))
        shutil.rmtree(home, ignore_errors=True)
