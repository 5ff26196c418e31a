"""Clusters behind a proxy, for tests: real processes, stock or ours, joined by redis-cli.

What it is: starting, joining, ending. What it is not: assertions.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peers import require_peer
from tests.ports import free_port
from tests.sentinel.group import Process, until

TIMEOUT_MS = 1500


class Cluster:
    """Nodes of one cluster."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes: list[Process] = []

    def add_node(self, kind: str = "redis") -> Process:
        """Start an empty node."""
        port = free_port(with_bus=True)
        program = ["redis-server"] if kind == "redis" else [sys.executable, "-m", "holdfast.cli.server"]
        home = self.directory / str(port)
        home.mkdir()
        (home / "redis.conf").write_text(
            f'port {port}\nbind 127.0.0.1\nsave ""\ndir {home}\nrepl-diskless-sync-delay 0\n'
            f"cluster-enabled yes\ncluster-node-timeout {TIMEOUT_MS}\ncluster-config-file nodes.conf\n"
            "cluster-require-full-coverage no\n"
        )
        node = Process(kind, [*program, str(home / "redis.conf")], port, home)
        self.nodes.append(node)
        return node

    def cli(self, *words: str) -> str:
        """Run redis-cli --cluster; return what it says."""
        done = subprocess.run(
            [require_peer("redis-cli"), "--cluster", *words], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def create(self, replicas: int) -> None:
        """Join all nodes, and wait until every one sees all slots served."""
        for each in self.nodes:
            each.wait_ready()
        places = [f"127.0.0.1:{each.port}" for each in self.nodes]
        self.cli("create", *places, "--cluster-replicas", str(replicas), "--cluster-yes")
        for each in self.nodes:
            until(lambda each=each: self.sees_all(each), f"{each.port} sees the cluster")
        until(self.agree, "all nodes see the same")

    def sees_all(self, node: Process) -> bool:
        """Tell whether a node sees all slots served, and as a replica hears its primary."""
        told = node.client.execute_command("CLUSTER INFO")
        if told["cluster_state"] != "ok" or int(told["cluster_known_nodes"]) != len(self.nodes):
            return False
        role = node.client.info("replication")
        return role["role"] == "master" or role["master_link_status"] == "up"

    def agree(self) -> bool:
        """Whether roles, epochs and slots are the same in all nodes' eyes; until then votes are refused."""
        views = []
        for each in self.nodes:
            told = each.client.execute_command("CLUSTER NODES")
            views.append(
                {
                    (value["node_id"], value["master_id"], value["epoch"], str(value["slots"]))
                    for value in told.values()
                }
            )
            if int(each.client.execute_command("CLUSTER INFO")["cluster_current_epoch"]) < len(self.nodes):
                return False
        return all(view == views[0] for view in views)

    def owner_of(self, slot: int) -> Process:
        """Return the node that says that it owns a slot."""
        for each in self.nodes:
            if each.process.poll() is None:
                told = each.client.execute_command("CLUSTER NODES")
                mine = next(value for value in told.values() if "myself" in value["flags"])
                if any(int(first) <= slot <= int(last) for first, last in map(_range, mine["slots"])):
                    return each
        raise AssertionError(f"nobody owns {slot}")

    def id_of(self, node: Process) -> str:
        """Return a node's id."""
        return str(node.client.execute_command("CLUSTER MYID"))

    def close(self) -> None:
        """End all."""
        for each in self.nodes:
            each.kill()
            if each._client is not None:
                each._client.close()


def _range(words: Sequence[str]) -> tuple[str, str]:
    return words[0], words[-1]


@contextmanager
def cluster(kind: str, primaries: int = 3, replicas: int = 0) -> Iterator[Cluster]:
    """Hold a cluster in a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="holdfast-proxied-"))
    made = Cluster(directory)
    try:
        for _ in range(primaries * (1 + replicas)):
            made.add_node(kind)
        made.create(replicas)
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)


def cluster_pool(port: int, nodes: Sequence[int], **directives: object) -> str:
    """Return the section of a pool of a cluster."""
    lines = ["shop:", f"  listen: 127.0.0.1:{port}", "  redis: true"]
    lines += [f"  {key.replace('__', '-')}: {value}" for key, value in directives.items()]
    return "\n".join([*lines, "  cluster:", *(f"   - 127.0.0.1:{each}" for each in nodes)]) + "\n"
