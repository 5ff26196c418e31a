"""A primary, its replicas and its Sentinels as real processes, stock and ours mixed.

What it is: starting, killing and awaiting. Waiting is by Sentinel's own events (`Events`)
or by asking until a deadline, never by a pause of fixed length. What it is not: assertions.

How to read it: `Group` is what a test holds; `Process` one member.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_S = 20.0


def until(question: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Ask until the answer is true; fail after the deadline."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            if question():
                return
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            pass
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.01)  # other processes: there is nothing to await but their answers


class Process:
    """One member: where it listens, how to reach and end it."""

    def __init__(
        self, kind: str, command: list[str], port: int, directory: Path, host: str = "127.0.0.1"
    ) -> None:
        self.kind, self.port, self.directory, self.host = kind, port, directory, host
        self.command = command
        self.password: str | None = None
        self.log_path = directory / f"{port}.log"
        self._client: redis.Redis | None = None
        self.start()

    def start(self) -> None:
        """Start the process, again if it ended."""
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    @property
    def client(self) -> redis.Redis:
        """Return a client without retries."""
        if self._client is None:
            self._client = redis.Redis(
                host=self.host,
                port=self.port,
                password=self.password,
                socket_timeout=5,
                decode_responses=True,
            )
        return self._client

    def wait_ready(self) -> None:
        """Wait until it answers."""
        until(self.client.ping, f"{self.kind} {self.port} answers: {self.log_path}")

    def signal(self, number: int) -> None:
        """Send a signal to this very process."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        """Return what it logged."""
        return self.log_path.read_text(errors="replace")


class Events:
    """The events of one Sentinel from here on."""

    def __init__(self, sentinel: Process) -> None:
        self._subscription = sentinel.client.pubsub(ignore_subscribe_messages=True)
        self._subscription.psubscribe("*")
        self._subscription.get_message(timeout=1, ignore_subscribe_messages=False)
        self.seen: list[tuple[str, str]] = []

    def await_event(self, name: str, patience_s: float = PATIENCE_S) -> str:
        """Wait for an event; return its payload."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            message = self._subscription.get_message(timeout=deadline - time.monotonic())
            if message is None:
                continue
            self.seen.append((message["channel"], message["data"]))
            if message["channel"] == name:
                return str(message["data"])
        raise AssertionError(f"no {name} within {patience_s} s, but {self.seen}")

    def close(self) -> None:
        """Listen no more."""
        self._subscription.close()


class Group:
    """Nodes of data and Sentinels. `nodes[0]` begins as the primary."""

    def __init__(self, directory: Path, down_after_ms: int = 600, failover_timeout_ms: int = 6000) -> None:
        self.directory = directory
        self.down_after_ms, self.failover_timeout_ms = down_after_ms, failover_timeout_ms
        self.nodes: list[Process] = []
        self.sentinels: list[Process] = []
        self._events: list[Events] = []

    def place(self) -> tuple[str, list[str]]:
        """Return where the next member runs: its address, and the words before its command."""
        return "127.0.0.1", []

    def add_node(self, kind: str = "redis", *options: str) -> Process:
        """Start a node of data; all but the first follow the first."""
        port, (host, before) = free_port(), self.place()
        program = ["redis-server"] if kind == "redis" else [sys.executable, "-m", "holdfast.cli.server"]
        home = self.directory / str(port)
        home.mkdir()
        (home / "redis.conf").write_text(
            f'port {port}\nbind {host}\nprotected-mode no\nsave ""\ndir {home}\nrepl-diskless-sync-delay 0\n'
            + (f"replicaof {self.nodes[0].host} {self.nodes[0].port}\n" if self.nodes else "")
        )
        node = Process(kind, [*before, *program, str(home / "redis.conf"), *options], port, home, host)
        self.nodes.append(node)
        return node

    def add_sentinel(self, kind: str = "holdfast", quorum: int = 2, extra: str = "") -> Process:
        """Start a Sentinel of either kind."""
        port, (host, before) = free_port(), self.place()
        program = ["redis-sentinel"] if kind == "redis" else [sys.executable, "-m", "holdfast.cli.sentinel"]
        home = self.directory / str(port)
        home.mkdir()
        (home / "sentinel.conf").write_text(
            f"# written by hand\nport {port}\nbind {host}\nprotected-mode no\ndir {home}\n"
            f"sentinel monitor mymaster {self.nodes[0].host} {self.nodes[0].port} {quorum}\n"
            f"sentinel down-after-milliseconds mymaster {self.down_after_ms}\n"
            f"sentinel failover-timeout mymaster {self.failover_timeout_ms}\n"
            f"sentinel parallel-syncs mymaster 2\n{extra}"
        )
        sentinel = Process(kind, [*before, *program, str(home / "sentinel.conf")], port, home, host)
        self.sentinels.append(sentinel)
        return sentinel

    def settle(self) -> None:
        """Wait until everybody knows everybody and the replicas are in sync."""
        for each in (*self.nodes, *self.sentinels):
            each.wait_ready()
        replicas = len(self.nodes) - 1
        for each in self.nodes[1:]:
            until(lambda each=each: self.link_up(each), "a replica is in sync")
        for each in self.sentinels:
            try:
                until(
                    lambda each=each: self._knows(each, replicas),
                    f"Sentinel {each.port} knows {replicas} replicas and {len(self.sentinels) - 1} Sentinels",
                )
            except AssertionError as late:
                raise AssertionError(f"{late}; it says:\n{each.log()[-3000:]}") from None

    def _knows(self, sentinel: Process, replicas: int) -> bool:
        told = sentinel.client.sentinel_master("mymaster")
        if (told["num-slaves"], told["num-other-sentinels"]) != (replicas, len(self.sentinels) - 1):
            return False
        others = [
            *sentinel.client.sentinel_slaves("mymaster"),
            *sentinel.client.sentinel_sentinels("mymaster"),
            told,
        ]
        return all(not each["is_disconnected"] and not each["is_sdown"] for each in others) and all(
            each["master-link-status"] == "ok" for each in others if each["is_slave"]
        )

    def link_up(self, node: Process) -> bool:
        """Tell whether a replica hears its primary."""
        return bool(node.client.info("replication").get("master_link_status") == "up")

    def events(self, sentinel: Process) -> Events:
        """Listen to a Sentinel."""
        events = Events(sentinel)
        self._events.append(events)
        return events

    def primary_of(self, sentinel: Process) -> int:
        """Return the port that a Sentinel tells clients."""
        address = sentinel.client.sentinel_get_master_addr_by_name("mymaster")
        return int(address[1])

    def agreed(self, port: int) -> bool:
        """Tell whether all living Sentinels name this primary and all living nodes follow it."""
        for each in self.sentinels:
            if each.process.poll() is None and self.primary_of(each) != port:
                return False
        for each in self.nodes:
            if each.process.poll() is not None:
                continue
            told = each.client.info("replication")
            if each.port == port:
                if told["role"] != "master":
                    return False
            elif told["role"] != "slave" or told["master_port"] != port or told["master_link_status"] != "up":
                return False
        return True

    def close(self) -> None:
        """End everything that this group started."""
        for events in self._events:
            events.close()
        for each in (*self.sentinels, *self.nodes):
            each.kill()
            if each._client is not None:
                each._client.close()


@contextmanager
def group(down_after_ms: int = 600, failover_timeout_ms: int = 6000) -> Iterator[Group]:
    """Hold an empty group in a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="holdfast-sentinel-"))
    made = Group(directory, down_after_ms, failover_timeout_ms)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)
