"""Servers as processes, ours, redis-server and valkey-server, and links between them that can be cut.

What this is: what the tests of pairs and chains stand on. What it is not: assertions.

How to read it: `Server` is a process with a client; `Link` a forwarder that replicas are
pointed at; `await_true` polls a process of the operating system; `contents` reads a data
set in a form that does not depend on encodings.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import redis

from tests.peers import require_peer
from tests.ports import free_port

PAIRS = [("ours", "ours"), ("redis", "ours"), ("ours", "redis"), ("valkey", "ours"), ("ours", "valkey")]
"""Primary and replica; what is not ours is at either end."""
ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 30.0


def await_true(condition: Callable[[], object], what: str, within_s: float = WAIT_S) -> None:
    """Poll until the condition holds; fail with `what` otherwise."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if condition():
                return
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true: {what}")
        time.sleep(0.01)  # another process: there is nothing to await but its answers


class Server:
    """A running server; `kind` is "ours", "redis" or "valkey" (without the program the test is skipped)."""

    def __init__(self, kind: str, directory: Path, *options: str, port: int = 0) -> None:
        self.kind = kind
        own = [sys.executable, "-m", "holdfast.cli.server"]
        self.program = own if kind == "ours" else [require_peer(f"{kind}-server")]
        self.port = port or free_port()
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.options = options
        self.log_path = directory / "log"
        self.start()

    def start(self) -> None:
        """Run it, and wait until it answers."""
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        quick = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--hz", "50"]
        words = [*self.program, *fixed, *quick]
        if "--save" not in self.options:
            words += ["--save", ""]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*words, *self.options], stdout=log, stderr=log, env=environment)
        self.client = redis.Redis(port=self.port, socket_timeout=20, protocol=2)
        await_true(self._answers, f"{self.kind} on port {self.port} answers, see {self.log_path}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log_path.read_text()
        return bool(self.client.ping())

    def info(self, field: str) -> Any:
        """Return a field of INFO replication (ROLE where there is no INFO yet)."""
        return self.client.info("replication").get(field)

    def follow(self, port: int) -> None:
        """Make it a replica of the server on this port."""
        self.client.execute_command("REPLICAOF", "127.0.0.1", port)

    def is_synced(self) -> bool:
        """Whether it is a replica whose link is up."""
        role: Any = self.client.execute_command("ROLE")
        return bool(role[0] == b"slave" and role[3] == b"connected")

    def pause(self) -> None:
        """Stop it where it stands; its sockets stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as SIGTERM does."""
        if self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.stop()


@contextmanager
def pair(kinds: tuple[str, str], directory: Path, *options: str) -> Iterator[tuple[Server, Server]]:
    """Run a primary and a replica of these kinds with the same options, in sync."""
    with Server(kinds[0], directory / "p", *options) as primary:
        with Server(kinds[1], directory / "r", *options) as replica:
            replica.follow(primary.port)
            await_true(replica.is_synced, "first sync")
            yield primary, replica


class Link:
    """Forwards connections to a port of this machine until it is cut."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.cut_after_bytes: int | None = None
        """Cut both ends once so many more bytes came from the target."""
        self.bytes_per_second = 0
        """How much it carries from the target; 0: as fast as it goes."""
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                if self.is_closed:
                    return
                near.close()
                continue
            self._open += [near, far]
            threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while piece := source.recv(65536 if not (counts and self.bytes_per_second) else 4096):
                if counts and self.bytes_per_second:
                    time.sleep(len(piece) / self.bytes_per_second)  # this is what makes it slow
                if counts and self.cut_after_bytes is not None:
                    room = self.cut_after_bytes
                    self.cut_after_bytes = room - len(piece) if room > len(piece) else None
                    if self.cut_after_bytes is None:
                        target.sendall(piece[:room])
                        break
                target.sendall(piece)
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def cut(self) -> None:
        """End all connections; new ones may come."""
        ends, self._open = self._open, []
        for each in ends:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        """End everything."""
        self.is_closed = True
        self._listener.close()
        self.cut()


def contents(client: redis.Redis) -> dict[bytes, object]:
    """Return what database 0 holds, by value and not by encoding; expiries with it."""
    found: dict[bytes, object] = {}
    names = sorted(client.scan_iter(count=1000))
    for start in range(0, len(names), 500):
        part = names[start : start + 500]
        pipe = client.pipeline(transaction=False)
        for name in part:
            pipe.type(name)
            pipe.execute_command("PEXPIRETIME", name)
        answers = pipe.execute()
        pipe = client.pipeline(transaction=False)
        for number, name in enumerate(part):
            _read(pipe, name, answers[2 * number])
        values = pipe.execute(raise_on_error=False)
        for number, name in enumerate(part):
            value = values[number]
            kind = answers[2 * number]
            if kind == b"set":
                value = sorted(value)
            found[name] = (kind, value, answers[2 * number + 1])
    return found


def _read(pipe: Any, name: bytes, kind: bytes) -> None:
    match kind:
        case b"string":
            pipe.get(name)
        case b"list":
            pipe.lrange(name, 0, -1)
        case b"set":
            pipe.smembers(name)
        case b"hash":
            pipe.hgetall(name)
        case b"zset":
            pipe.zrange(name, 0, -1, withscores=True)
        case _:
            pipe.exists(name)


def await_equal(primary: Server, replica: Server) -> None:
    """Wait until the replica has all that the primary has, then compare the data."""
    await_true(replica.is_synced, f"the {replica.kind} replica is in sync, see {replica.log_path}")

    def offset_of(server: Server) -> int:
        role: Any = server.client.execute_command("ROLE")
        return int(role[1] if role[0] == b"master" else role[4])

    await_true(lambda: offset_of(replica) >= offset_of(primary), "the replica has the whole stream")
    held: list[dict[bytes, object]] = [{}, {}]

    def equal() -> bool:
        held[:] = contents(primary.client), contents(replica.client)
        return held[0] == held[1]

    try:
        await_true(equal, "equal data", within_s=20)  # keys may expire while they are read
    except AssertionError:
        ours, theirs = held
        names = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
        different = [(name, ours.get(name), theirs.get(name)) for name in sorted(names)[:5]]
        assert not different, f"{len(names)} keys differ, so these: {different}"
