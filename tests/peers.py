"""Real servers for tests: redis-server and Holdfast as processes with one interface.

Starts a server on a free port of 127.0.0.1 in a directory of its own, waits until
it answers, and stops it by its process id. It is not a client library: talk to a
peer with `tests.wire.WireClient` (`peer.connect()`) when bytes matter, with redis-py
when they do not.

How to read it: `Peer` first, then `start_redis_server` and `start_holdfast`, then
`require_peer`, which every test that needs a foreign binary calls first.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.wire import WireClient

REPOSITORY = Path(__file__).resolve().parents[1]
START_LIMIT_SECONDS = 20.0
STOP_LIMIT_SECONDS = 10.0
QUIET_OPTIONS = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--daemonize", "no")


class Peer:
    """A server process of ours: where it listens, how to reach it, how to end it."""

    def __init__(self, command: Sequence[str], port: int, directory: Path, password: str = "") -> None:
        self.command = list(command)
        self.port = port
        self.directory = directory
        self.password = password
        self.log_path = directory / "output.log"
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(REPOSITORY / "src"), *filter(None, [environment.get("PYTHONPATH", "")])]
        )
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def address(self) -> str:
        """Return host:port."""
        return f"127.0.0.1:{self.port}"

    def connect(self, protocol: int = 2, timeout_seconds: float = 10.0) -> WireClient:
        """Open a raw connection, logged in when the server has a password, speaking `protocol`."""
        client = WireClient(self.port, timeout_seconds=timeout_seconds)
        if self.password:
            client.command(b"AUTH", self.password.encode())
        if protocol == 3:
            client.command(b"HELLO", b"3")
        return client

    def alive(self) -> bool:
        """Return whether the process still runs."""
        return self.process.poll() is None

    def log(self) -> str:
        """Return what the server has printed so far."""
        return self.log_path.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        """Return once the server accepts connections and has loaded its data; raise if it ended."""
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            if not self.alive():
                raise RuntimeError(f"{self.command[0]} ended with {self.process.returncode}:\n{self.log()}")
            try:
                client = WireClient(self.port, timeout_seconds=START_LIMIT_SECONDS)
            except OSError:
                time.sleep(0.005)  # nothing listens yet and there is no event to await
                continue
            try:
                if not client.command(b"PING").startswith(b"-LOADING"):
                    return
            except OSError:
                continue
            finally:
                client.close()
        self.stop()
        raise RuntimeError(f"{self.command[0]} did not answer within {START_LIMIT_SECONDS} s:\n{self.log()}")

    def stop(self) -> None:
        """End the process and remove its directory; no error when it is gone already."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """End the process as a power cut would (SIGKILL), keeping its directory."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()


def start_redis_server(*options: str, port: int = 0, binary: str | None = None) -> Peer:
    """Start redis-server with `options` ("--name", "value", ...) and wait until it answers."""
    executable = binary or find_binary("redis-server")
    if executable is None:
        raise FileNotFoundError("redis-server is not on the PATH")
    return _start([executable], options, port)


def start_holdfast(*options: str, port: int = 0) -> Peer:
    """Start a Holdfast server of this source tree with `options` and wait until it answers."""
    return _start([sys.executable, "-m", "holdfast.cli.server"], options, port)


@contextmanager
def running(*peers: Peer) -> Iterator[tuple[Peer, ...]]:
    """Stop all `peers` at the end of the block, also when it fails."""
    try:
        yield peers
    finally:
        for peer in peers:
            peer.stop()


def find_binary(name: str) -> str | None:
    """Return the path of a foreign program, or None.

    `HOLDFAST_REDIS_SERVER`, `HOLDFAST_VALKEY_SERVER` and the like come before the PATH.
    """
    chosen = os.environ.get("HOLDFAST_" + name.upper().replace("-", "_"))
    return chosen or shutil.which(name)


WITHOUT_PACKAGE = ("valkey-server", "valkey-sentinel", "valkey-cli")
"""Programs that Debian does not package: whoever has built them names them, and CI does without."""


def require_peer(name: str) -> str:
    """Return the path of a foreign program; without it skip loudly, or fail when CI=true (if packaged)."""
    path = find_binary(name)
    if path is not None:
        return path
    message = f"PEER MISSING: {name} is not installed, nothing was compared with it"
    if os.environ.get("CI", "").lower() == "true" and name not in WITHOUT_PACKAGE:
        pytest.fail(message)
    print(message, file=sys.stderr)
    pytest.skip(message)


IOREDIS = REPOSITORY / "tests" / "clients" / "ioredis"
INSTALL_LIMIT_SECONDS = 120


def require_ioredis() -> str:
    """Return the path of node, with ioredis installed; without it skip, or fail when CI=true."""
    node, npm = require_peer("node"), require_peer("npm")
    with (IOREDIS / "package.json").open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # one test process installs, the others wait
        if (IOREDIS / "node_modules" / "ioredis").exists():
            return node
        installed = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"],
            cwd=IOREDIS, capture_output=True, text=True, timeout=INSTALL_LIMIT_SECONDS, check=False,
        )  # fmt: skip
    if installed.returncode == 0:
        return node
    shutil.rmtree(IOREDIS / "node_modules", ignore_errors=True)
    message = f"PEER MISSING: npm ci could not install ioredis: {installed.stderr[-500:]}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)


def _start(command: list[str], options: Sequence[str], port: int) -> Peer:
    attempts = 1 if port else 3  # a free port can be taken between choosing and binding
    for attempt in range(attempts):
        chosen = port or free_port(with_bus="--cluster-enabled" in options)
        directory = Path(tempfile.mkdtemp(prefix="holdfast-peer-"))
        given = list(options)
        quiet = [
            word
            for name, value in zip(QUIET_OPTIONS[::2], QUIET_OPTIONS[1::2], strict=True)
            if name not in given
            for word in (name, value)
        ]
        password = given[given.index("--requirepass") + 1] if "--requirepass" in given else ""
        line = [*command, "--port", str(chosen), "--dir", str(directory), *quiet, *given]
        peer = Peer(line, chosen, directory, password)
        try:
            peer.wait_until_ready()
            return peer
        except BaseException:
            peer.stop()
            if attempt + 1 == attempts or "in use" not in str(sys.exc_info()[1]):
                raise
    raise AssertionError("unreachable")
