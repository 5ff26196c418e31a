"""What the lease costs on the write path: CPU of one node per SET, with and without it.

What it is: redis-benchmark against one node, in turns, while three threads grant as Sentinels
do, 300 ms at a time. CPU is the process's own (user and system), so that other work on the
machine hardly matters. What it is not: throughput.

Run: python -m tests.reliability.lease_cost [rounds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import redis

from tests.sentinel.group import Process, group

LEASE_MS = 300
REQUESTS = {1: 100_000, 16: 1_000_000, 100: 3_000_000}


def cpu_s(pid: int) -> float:
    """Return user and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Granting:
    """Three voters that grant, or decline."""

    def __init__(self, node: Process) -> None:
        self._node = node
        self._end = threading.Event()
        self.lease_ms = 0
        self._threads = [threading.Thread(target=self._grant, args=(each,)) for each in "abc"]
        for each in self._threads:
            each.start()

    def _grant(self, name: str) -> None:
        client = redis.Redis(port=self._node.port, decode_responses=True)
        answer: list[object] = [0, "-", 0, 0, 0, 0]
        while not self._end.wait(LEASE_MS / 6000):
            token, run_id, epoch, _, list_epoch, step, *ids = answer
            words = [name, self.lease_ms, epoch, run_id, token, list_epoch, step]
            words += ["VOTERS", *ids] if ids else ["WISH", "a", "b", "c"]
            answer = client.execute_command("HOLDFAST", "LEASE", *words)

    def stop(self) -> None:
        """Grant no more."""
        self._end.set()
        for each in self._threads:
            each.join()


def cost_us(node: Process, pipeline: int) -> float:
    """Return microseconds of CPU per SET."""
    count = REQUESTS[pipeline]
    before = cpu_s(node.process.pid)
    words = ["redis-benchmark", "-p", node.port, "-t", "set", "-n", count, "-P", pipeline, "-c", 50, "-q"]
    subprocess.run([str(each) for each in (*words, "-r", 100_000, "-d", 32)], check=True, capture_output=True)
    return (cpu_s(node.process.pid) - before) / count * 1e6


def main() -> None:
    """Print a line for each pipeline."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with group() as made:
        node = made.add_node("holdfast")
        node.wait_ready()
        voters = Granting(node)
        try:
            for pipeline in REQUESTS:
                found: dict[int, list[float]] = {0: [], LEASE_MS: []}
                for number in range(rounds * 2):
                    voters.lease_ms = LEASE_MS * (number % 2)
                    wanted = "held" if voters.lease_ms else "off"
                    while node.client.info("replication").get("lease") != wanted:
                        pass
                    found[voters.lease_ms].append(cost_us(node, pipeline))
                off, on = (statistics.median(each) for each in found.values())
                print(f"pipeline {pipeline}: {off:.3f} us without, {on:.3f} us with, {on / off - 1:+.1%}")
        finally:
            voters.stop()


if __name__ == "__main__":
    main()
