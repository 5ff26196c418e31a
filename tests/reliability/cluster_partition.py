"""A primary is cut off together with a client, for 15 seconds: what of its acknowledged writes is lost?

`python -m tests.reliability.cluster_partition` (as root) makes a network of namespaces, a host a
node, with 3 primaries and 3 replicas; a client sits on the host of the first primary. Its cable is
pulled, and plugged in again. Other clients write to all three shards from the other side. At the
end all writes that anybody was told OK are looked for. `--kinds`: `redis`, `holdfast`, and
`holdfast-ack`, which is ours with `min-replicas-to-ack 1`; they take turns in the same run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

from tests.cluster.processes import SLOTS, until
from tests.reliability.cluster_outage import KEYS
from tests.reliability.cluster_writer import Writer, enter, enter_file, lost_writes
from tests.vip.lan import Lan

PORT = 7000
DESK = "desk"
REPLY_S = 0.3
SHARDS = 3
KINDS = ("redis", "holdfast", "holdfast-ack")


class Node:
    """One process on a host of its own."""

    def __init__(self, lan: Lan, number: int, kind: str, timeout_ms: int) -> None:
        self.host = f"n{number}"
        self.address = lan.add_host(self.host, number + 1)
        directory = lan.directory / self.host
        directory.mkdir()
        program = ["redis-server"] if kind == "redis" else [sys.executable, "-m", "holdfast.cli.server"]
        options = {
            "port": PORT, "bind": self.address, "protected-mode": "no", "save": "", "dir": directory,
            "cluster-enabled": "yes", "cluster-node-timeout": timeout_ms, "repl-diskless-sync-delay": 0,
        }  # fmt: skip
        if kind == "holdfast-ack":
            options["min-replicas-to-ack"] = 1
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        with (directory / "output.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", lan.namespace(self.host), *program, *words], stdout=log, stderr=log
            )
        self.client = redis.Redis(self.address, PORT, socket_timeout=5, decode_responses=True)

    def cluster(self, *words: object) -> str:
        """Return the reply to CLUSTER words."""
        return str(self.client.execute_command("CLUSTER " + str(words[0]), *words[1:]))

    def is_ok(self) -> bool:
        """Whether the cluster serves, in its eyes."""
        info = self.client.execute_command("CLUSTER INFO")
        return (info["cluster_state"] if isinstance(info, dict) else info[14:16]) == "ok"

    def owns(self, slot_key: str) -> bool:
        """Whether it answers for a key itself, as a primary."""
        return self.client.role()[0] == "master" and self._serves(slot_key)

    def _serves(self, slot_key: str) -> bool:
        try:
            self.client.exists(slot_key)
        except redis.RedisError:
            return False
        return True


def join(nodes: list[Node]) -> None:
    """Make a cluster: the first three lead, each with one of the others."""
    for each in nodes:
        until(each.client.ping, f"{each.host} answers")
    for number, each in enumerate(nodes[:SHARDS]):
        each.cluster("ADDSLOTSRANGE", number * SLOTS // SHARDS, (number + 1) * SLOTS // SHARDS - 1)
        each.cluster("SET-CONFIG-EPOCH", number + 1)
    for each in nodes[1:]:
        nodes[0].cluster("MEET", each.address, PORT)

    def known(node: Node) -> bool:
        rows = node.client.execute_command("CLUSTER NODES")
        return len(rows) == len(nodes) and "handshake" not in str(rows)

    until(lambda: all(known(each) for each in nodes), "all know each other")
    for primary, replica in zip(nodes[:SHARDS], nodes[SHARDS:], strict=True):
        replica.cluster("REPLICATE", primary.cluster("MYID"))
        until(lambda each=replica: each.client.info()["master_link_status"] == "up", "in sync")  # type: ignore[misc]
    until(lambda: all(each.is_ok() for each in nodes), "all serve")
    time.sleep(2)  # what is told by gossip is told


def measure(kind: str, timeout_ms: int, cut_s: float) -> str:
    """Run once; return a row."""
    with tempfile.TemporaryDirectory() as directory, open("/proc/self/ns/net") as home:
        lan, nodes = Lan(Path(directory)), []
        try:
            lan.add_host(DESK, 100)
            enter(lan.namespace(DESK))
            nodes = [Node(lan, number, kind, timeout_ms) for number in range(2 * SHARDS)]
            join(nodes)
            return one_run(lan, nodes, kind, timeout_ms, cut_s)
        finally:
            for each in nodes:
                each.process.kill()
                each.process.wait()
            enter_file(home.fileno())
            lan.close()


def one_run(lan: Lan, nodes: list[Node], kind: str, timeout_ms: int, cut_s: float) -> str:
    """Write on both sides, cut, heal, and look for every write."""
    sides = [(nodes[0].host, "in:", 0), *((DESK, "out:", shard) for shard in range(SHARDS))]
    prefixes = [KEYS[shard] + side for _, side, shard in sides]
    writers = [
        Writer(
            [(nodes[shard].address, PORT), (nodes[shard + SHARDS].address, PORT)],
            prefix, REPLY_S, lan.namespace(host),
        )
        for (host, _, shard), prefix in zip(sides, prefixes, strict=True)
    ]  # fmt: skip
    time.sleep(2)
    began = time.monotonic()
    lan.cut(nodes[0].host)
    time.sleep(cut_s)
    healed = time.monotonic()
    lan.heal(nodes[0].host)
    time.sleep(timeout_ms / 1000 * 2 + 4)
    until(lambda: all(each.is_ok() for each in nodes), "all serve again")
    ended = time.monotonic()
    seen = [each.stop() for each in writers]
    lost = []
    for (_, _, shard), prefix, each in zip(sides, prefixes, seen, strict=True):
        leaders = [node for node in (nodes[shard], nodes[shard + SHARDS]) if node.owns(KEYS[shard])]
        assert len(leaders) == 1, "one leader a shard"
        lost.append(lost_writes(leaders[0].client, prefix, each))
    inside = sum(began <= at <= healed for at in seen[0].times)
    outage_s = seen[1].longest_gap_s(began, ended)
    return (
        f"| {kind} | {timeout_ms / 1000:g} s | {lost[0]} of {inside} | {sum(lost[1:])} "
        f"| {outage_s * 1000:.0f} ms | {sum(len(each.times) for each in seen)} | {os.getloadavg()[0]:.0f} |"
    )


def main() -> None:
    """Measure what was asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--timeouts", nargs="+", type=int, default=[1000, 5000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cut", type=float, default=15.0, help="seconds")
    given = parser.parse_args()
    print(
        "| server | node timeout | lost of those acknowledged in the minority | lost elsewhere "
        "| outage outside | acknowledged in all | load |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for timeout_ms in given.timeouts:
        for _ in range(given.runs):
            for kind in given.kinds:
                print(measure(kind, timeout_ms, given.cut), flush=True)


if __name__ == "__main__":
    main()
