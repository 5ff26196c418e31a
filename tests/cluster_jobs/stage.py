"""Clusters for tests, stock or our own: started on free ports, killed and restarted, searched for every key.

How to read it: `stock_cluster` and `own_cluster` are the context managers; `Stage` is what they give;
`holdfast` runs the tool.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.cluster import ClusterNode

from tests.peers import REPOSITORY, Peer, start_holdfast, start_redis_server
from tests.ports import free_port

TOOL = [sys.executable, "-c", "from holdfast.cli.main import main; main()", "cluster"]
LIMIT_S = 30.0


class Stage:
    """Nodes of a cluster, or to be."""

    def __init__(self, count: int, *options: str, starter: Callable[..., Peer] = start_redis_server) -> None:
        self.peers: list[Peer] = []
        self._starter = starter
        self.options = options
        for _ in range(count):
            self.start()

    def start(self) -> Peer:
        """Start one more node."""
        bus = ("--cluster-port", str(free_port()))
        peer = self._starter("--cluster-enabled", "yes", *bus, *self.options)
        self.peers.append(peer)
        return peer

    @property
    def addresses(self) -> list[str]:
        """Return host:port of each."""
        return [peer.address for peer in self.peers]

    def client(self, number: int) -> redis.Redis:
        """Return a client of one node."""
        return redis.Redis(port=self.peers[number].port, decode_responses=True)

    def cluster_client(self) -> redis.RedisCluster[Any]:
        """Return a client that follows redirects."""
        nodes = [ClusterNode("127.0.0.1", peer.port) for peer in self.peers]
        return redis.RedisCluster(startup_nodes=nodes, decode_responses=True)

    def id(self, number: int) -> str:
        """Return a node's id."""
        return str(self.client(number).execute_command("CLUSTER MYID"))

    def restart(self, number: int) -> None:
        """Start a node that was killed, on its own files."""
        old = self.peers[number]
        self.peers[number] = Peer(old.command, old.port, old.directory)
        self.peers[number].wait_until_ready()

    def keys(self) -> Counter[str]:
        """Return how many primaries hold each key."""
        held: Counter[str] = Counter()
        for number, peer in enumerate(self.peers):
            if peer.alive():
                client = self.client(number)
                if client.info("replication")["role"] == "master":
                    held.update(set(client.scan_iter(count=10_000)))
        return held

    def marks(self) -> int:
        """Return how many marks of open slots there are."""
        return sum(
            len(node["migrations"])
            for number, peer in enumerate(self.peers)
            if peer.alive()
            for node in self.client(number).execute_command("CLUSTER NODES").values()
        )

    def slots(self, number: int) -> int:
        """Return how many slots a node serves in its own view."""
        nodes = self.client(number).execute_command("CLUSTER NODES")
        own = next(node for node in nodes.values() if "myself" in node["flags"])
        return sum(int(ends[-1]) - int(ends[0]) + 1 for ends in own["slots"])

    def stop(self) -> None:
        """End all."""
        for peer in self.peers:
            peer.stop()


@contextmanager
def stock_cluster(primaries: int, replicas: int = 0, *options: str) -> Iterator[Stage]:
    """Start a cluster of stock nodes, made by the tool under test."""
    stage = Stage(primaries * (1 + replicas), "--cluster-node-timeout", "2000", *options)
    with _made(stage, replicas):
        yield stage


@contextmanager
def own_cluster(primaries: int, replicas: int = 0, *options: str) -> Iterator[Stage]:
    """Start a cluster of our nodes, made by the tool under test."""
    count = primaries * (1 + replicas)
    stage = Stage(count, "--cluster-node-timeout", "2000", *options, starter=start_holdfast)
    with _made(stage, replicas):
        yield stage


@contextmanager
def _made(stage: Stage, replicas: int) -> Iterator[None]:
    try:
        code, report = holdfast("create", *stage.addresses, "--replicas", str(replicas), "--yes")
        assert code == 0, report
        yield
    finally:
        stage.stop()


def environment() -> dict[str, str]:
    """Return the environment in which the tool runs."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}


def holdfast(*words: str) -> tuple[int, dict[str, Any]]:
    """Run the tool; return its exit code and report."""
    run = subprocess.run(
        [*TOOL, *words, "--json"], capture_output=True, text=True, timeout=300, env=environment(), check=False
    )
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


def until(condition: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Ask until it is so: nodes tell nobody when they have heard of something."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.02)  # other processes: there is nothing to await but their answers
