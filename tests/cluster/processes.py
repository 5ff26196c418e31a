"""Clusters of real processes, stock and ours mixed.

What it is: starting, joining, killing and awaiting. Waiting is by asking until a deadline,
never by a pause of fixed length. What it is not: assertions.

How to read it: `ClusterNode` is one process, `Cluster` some that were joined, `StockNode`
a redis-server alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import redis

from tests.peers import find_binary
from tests.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_S = 25.0
SLOTS = 16384
OURS, STOCK, VALKEY = "holdfast", "redis", "valkey"
PROGRAMS = {STOCK: "redis-server", VALKEY: "valkey-server"}


def until(question: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> float:
    """Ask until the answer is true, and return how many seconds it took; fail after the deadline."""
    start = time.monotonic()
    while True:
        try:
            if question():
                return time.monotonic() - start
        except (redis.RedisError, OSError):
            pass
        assert time.monotonic() - start < patience_s, f"not within {patience_s} s: {what}"
        time.sleep(0.005)  # other processes: there is nothing to await but their answers


class ClusterNode:
    """One process."""

    def __init__(self, kind: str, directory: Path, timeout_ms: int, options: Sequence[str] = ()) -> None:
        self.kind = kind
        self.port = free_port(with_bus=True)
        self.directory = directory / f"{kind}-{self.port}"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.options = (
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(timeout_ms)),
            *("--repl-diskless-sync-delay", "0", "--dir", str(self.directory)),
            *options,
        )
        self.client = redis.Redis(port=self.port, socket_timeout=5, decode_responses=True)
        self.start()

    def start(self) -> None:
        """Start the process, again if it ended."""
        ours = [sys.executable, "-m", "holdfast.cli.server"]
        program = PROGRAMS.get(self.kind)
        command = [find_binary(program) or program] if program else ours
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
        with (self.directory / "output.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def log(self) -> str:
        """Return what it logged."""
        return (self.directory / "output.log").read_text(errors="replace")

    def cluster(self, *words: object) -> str:
        """Return the reply to CLUSTER words as text."""
        reply = self.client.execute_command("CLUSTER " + str(words[0]), *words[1:])
        return reply if isinstance(reply, str) else str(reply)

    @property
    def id(self) -> str:
        """Return its node id."""
        return self.cluster("MYID")

    def table(self) -> dict[int, list[str]]:
        """Return the words of CLUSTER NODES by port."""
        connection = redis.Connection(port=self.port, socket_timeout=5, decode_responses=True)
        try:
            connection.send_command("CLUSTER", "NODES")
            text = str(connection.read_response())
        finally:
            connection.disconnect()
        rows = [line.split(" ") for line in text.split("\n") if line]
        return {int(row[1].partition("@")[0].rpartition(":")[2]): row for row in rows}

    def flags(self, port: int) -> list[str]:
        """Return the flags that it has for the node at this port."""
        return self.table()[port][2].split(",")

    def state(self) -> str:
        """Return cluster_state."""
        info = self.client.execute_command("CLUSTER INFO")
        return str(
            info["cluster_state"] if isinstance(info, dict) else info.partition("cluster_state:")[2][:4]
        ).strip()

    def is_primary(self) -> bool:
        """Whether it calls itself a primary."""
        return bool(self.client.role()[0] in ("master", b"master"))

    def signal(self, number: int) -> None:
        """Send a signal to this very process."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self.client.close()
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class StockNode(ClusterNode):
    """A redis-server in cluster mode, alone."""

    def __init__(self, directory: Path) -> None:
        super().__init__(STOCK, directory, 1000)
        until(self.client.ping, "redis-server answers")


class Cluster:
    """Primaries, each with one replica."""

    def __init__(
        self,
        directory: Path,
        primaries: Sequence[str],
        replicas: Sequence[str],
        timeout_ms: int = 1000,
        options: Sequence[str] = (),
    ) -> None:
        self.primaries = [ClusterNode(kind, directory, timeout_ms, options) for kind in primaries]
        self.replicas = [ClusterNode(kind, directory, timeout_ms, options) for kind in replicas]
        self.nodes = [*self.primaries, *self.replicas]

    def join(self) -> None:
        """Make a cluster of them: slots, meetings, replicas; wait until all is well."""
        first, count = self.nodes[0], len(self.primaries)
        for each in self.nodes:
            until(each.client.ping, f"{each.kind} {each.port} answers")
        for number, each in enumerate(self.primaries):
            each.cluster("ADDSLOTSRANGE", number * SLOTS // count, (number + 1) * SLOTS // count - 1)
            each.cluster("SET-CONFIG-EPOCH", number + 1)
        for each in self.nodes[1:]:
            first.cluster("MEET", "127.0.0.1", each.port)
        until(lambda: all(self._knows_all(each) for each in self.nodes), "all know each other")
        for primary, replica in zip(self.primaries, self.replicas, strict=False):
            replica.cluster("REPLICATE", primary.id)
        until(lambda: all(each.state() == "ok" for each in self.nodes), "the cluster is ok")
        for replica in self.replicas:
            until(lambda each=replica: each.client.info()["master_link_status"] == "up", "replica in sync")
        ports = [each.port for each in self.replicas]
        until(
            lambda: all("slave" in each.flags(port) for each in self.nodes for port in ports),
            "all know the replicas",
        )

    def _knows_all(self, node: ClusterNode) -> bool:
        table = node.table()
        return len(table) == len(self.nodes) and not any("handshake" in row[2] for row in table.values())

    def close(self) -> None:
        """End all processes."""
        for each in self.nodes:
            each.kill()
