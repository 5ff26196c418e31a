"""What the lease costs on the write path: CPU of one node per SET, with and without it.

What it is: redis-benchmark against one node, in turns, while three threads grant as Sentinels
do. CPU is the process's own (user and system), so that other work on the machine hardly
matters; still its spread is larger than the lease. So instructions are counted, too: one
client, the node under callgrind (of valgrind), which executes it deterministically. What it
is not: throughput.

How to read it: `cpu` measures seconds, `instructions` counts; both in turns, with and without.

Run: python -m tests.reliability.lease_cost [rounds], or ... lease_cost instructions [rounds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import redis

from tests.sentinel.group import Group, Process, group, until

LEASE_MS = 300
LONG_LEASE_MS = 60_000
"""For a node that runs fifty times slower than by itself."""
GRANT_PERIOD_S = 0.05
REQUESTS = {1: 100_000, 16: 1_000_000, 100: 3_000_000}
COUNTED = {1: 4000, 16: 32_000, 100: 100_000}


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
        self.is_quiet = False
        """Nothing is said for the time being: what was granted lasts."""
        self._threads = [threading.Thread(target=self._grant, args=(each,)) for each in "abc"]
        for each in self._threads:
            each.start()

    def _grant(self, name: str) -> None:
        client = redis.Redis(port=self._node.port, decode_responses=True)
        answer: list[object] = [0, "-", 0, 0, 0, 0]
        while not self._end.wait(GRANT_PERIOD_S):
            if self.is_quiet:
                continue
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


class CountedGroup(Group):
    """A group whose nodes run under callgrind."""

    def place(self) -> tuple[str, list[str]]:
        """Return the words before the node's command."""
        out = f"--callgrind-out-file={self.directory}/counted.%p"
        return "127.0.0.1", ["valgrind", "--tool=callgrind", out]


def instructions(node: Process, pipeline: int) -> float:
    """Return instructions per SET of one client."""
    pid, count = str(node.process.pid), COUNTED[pipeline]
    subprocess.run(["callgrind_control", "--zero", pid], check=True, capture_output=True)
    words = ["redis-benchmark", "-p", node.port, "-t", "set", "-n", count, "-P", pipeline, "-c", 1, "-q"]
    subprocess.run([str(each) for each in (*words, "-d", 32)], check=True, capture_output=True)
    subprocess.run(["callgrind_control", "--dump", pid], check=True, capture_output=True)
    dumps = node.directory.parent.glob(f"counted.{pid}.*")
    newest = max(dumps, key=lambda path: int(path.suffix[1:]))
    total = next(line for line in newest.read_text().splitlines() if line.startswith("totals:"))
    return int(total.split()[1]) / count


def in_turns(
    node: Process,
    lease_ms: int,
    rounds: int,
    pipelines: Iterable[int],
    cost: Callable[[Process, int], float],
    least: Callable[[list[float]], float],
) -> Iterator[tuple[int, float, float]]:
    """Yield for each pipeline what a SET costs without a lease and with it.

    Grants go on all the while, in both cases the same, but where the lease is long enough to last.
    `least` makes one figure of several rounds: of instructions the smallest, for what the node does by the
    clock meanwhile is counted with them.
    """
    voters = Granting(node)
    try:
        for pipeline in pipelines:
            found: dict[bool, list[float]] = {False: [], True: []}
            for number in range(rounds * 2):
                is_held = number % 2 == 1
                voters.lease_ms, voters.is_quiet = lease_ms if is_held else 0, False
                wanted = "held" if is_held else "off"
                until(lambda wanted=wanted: node.client.info("replication").get("lease") == wanted, wanted)
                voters.is_quiet = lease_ms == LONG_LEASE_MS
                time.sleep(2 * GRANT_PERIOD_S)  # until the last one is answered
                found[is_held].append(cost(node, pipeline))
                still = node.client.info("replication").get("lease")
                assert still == wanted, f"the lease is {still} at the end"
            yield pipeline, least(found[False]), least(found[True])
    finally:
        voters.stop()


def main() -> None:
    """Print a line for each pipeline."""
    words = sys.argv[1:]
    counted = words[:1] == ["instructions"]
    rounds = int(words[-1]) if words and words[-1].isdigit() else 3 if counted else 5
    if not counted:
        with group() as made:
            node = made.add_node("holdfast")
            node.wait_ready()
            for pipeline, off, on in in_turns(node, LEASE_MS, rounds, REQUESTS, cost_us, statistics.median):
                print(f"pipeline {pipeline}: {off:.3f} us without, {on:.3f} us with, {on / off - 1:+.1%}")
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-counted-") as directory:
        made = CountedGroup(Path(directory))
        try:
            node = made.add_node("holdfast")
            until(node.client.ping, "it answers", 60)
            for pipeline, off, on in in_turns(node, LONG_LEASE_MS, rounds, COUNTED, instructions, min):
                more = f"{on - off:+.0f}, {on / off - 1:+.2%}"
                print(f"pipeline {pipeline}: {off:.0f} instructions without, {on:.0f} with, {more}")
        finally:
            made.close()


if __name__ == "__main__":
    main()
