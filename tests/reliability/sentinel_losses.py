"""What is lost when a primary is paused, cut off, killed again and again, or comes back empty.

What it is: fault runs with real processes, redis-sentinel around redis-server and ours around
ours in the same run. Each case returns what was acknowledged and what of it the final primary
lacks. What it is not: outages, see `sentinel_outage`, which prints both tables.

How to read it: one function a case; `LOSSES` lists them. One kind of node, part of a case's name, runs:
python -m tests.reliability.sentinel_losses redis|holdfast [part of a name [runs]]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import redis

from holdfast.sentinel.settings import PrimaryOptions
from tests.reliability.writer import Writer
from tests.sentinel.apart import apart
from tests.sentinel.group import Group, Process, group, until

FAULT_S = 15.0
KILLS = 4


@dataclass(frozen=True)
class Loss:
    """One run: acknowledged, and lost of it."""

    acknowledged: int
    lost: int
    more: str = ""


def started(made: Group, kind: str, *options: str) -> Group:
    """Start three nodes and three Sentinels."""
    for _ in range(3):
        made.add_node(kind, *options).wait_ready()
    for each in made.nodes[1:]:
        until(lambda each=each: made.link_up(each), "a replica is in sync")
    for _ in range(3):
        made.add_sentinel(kind)
    made.settle()
    time.sleep(2.5)  # the group has been at work for a while: hello, leases, members
    return made


def final_primary(made: Group, limit_s: float = 90) -> redis.Redis:
    """Wait until all agree; return a client of the primary."""
    alive = next(each for each in made.sentinels if each.process.poll() is None)
    until(lambda: made.agreed(made.primary_of(alive)), "all agree", limit_s)
    node = next(each for each in made.nodes if each.port == made.primary_of(alive))
    return redis.Redis(host=node.host, port=node.port)


def missing(client: redis.Redis, keys: Iterable[str]) -> int:
    """Return how many keys are not there."""
    return len(lost_of(client, keys))


def lost_of(client: redis.Redis, keys: Iterable[str]) -> list[str]:
    """Return the keys that are not there."""
    wanted = list(keys)
    parts = [wanted[place : place + 5000] for place in range(0, len(wanted), 5000)]
    return [
        key for part in parts for key, value in zip(part, client.mget(part), strict=True) if value is None
    ]


class Faithful:
    """The client that stays, as a process."""

    def __init__(self, node: Process, before: list[str]) -> None:
        self._book = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when it has been read
        program = str(Path(__file__).with_name("faithful_client.py"))
        self._process = subprocess.Popen(
            [*before, sys.executable, program, node.host, str(node.port)],
            stdin=subprocess.PIPE,
            stdout=self._book,  # a file: a pipe would be full after some thousand lines, and stop it
        )

    def stop(self) -> dict[str, float]:
        """End it; return the keys that were acknowledged to it, and when each was, as `time.monotonic`."""
        self._process.communicate(timeout=60)
        with self._book as book:
            book.seek(0)
            words = book.read().split()
        return {f"f:{int(key)}": int(at) / 1e6 for key, at in zip(words[::2], words[1::2], strict=True)}


def parked(kind: str) -> Loss:
    """A client waits at a primary that is paused for 15 s."""
    with group(1000, 10_000) as made:
        started(made, kind)
        old = made.nodes[0]
        client = Faithful(old, [])
        time.sleep(1)
        old.signal(SIGSTOP)
        time.sleep(FAULT_S)
        old.signal(SIGCONT)
        time.sleep(12)  # until redis-sentinel demotes it, ten seconds later
        keys = client.stop()
        return Loss(len(keys), missing(final_primary(made), keys))


def lease_of(made: Group, node: Process) -> float:
    """Return how long grants last in this group, in seconds; 0 around redis-server."""
    lease_ms = PrimaryOptions(2, down_after_ms=made.down_after_ms).lease_ms
    return lease_ms / 1000 if node.client.info("replication").get("lease") == "held" else 0.0


def when_lost(times: list[float], unplugged: tuple[float, float], lease_s: float) -> str:
    """Say when what is lost was acknowledged, seen from the cut (which took from - to)."""
    if not times:
        return ""
    first, last = ((each - unplugged[0]) * 1000 for each in (min(times), max(times)))
    text = f"acknowledged {first:.0f} to {last:.0f} ms after the cut"
    if not lease_s:
        return text
    late = sum(each > unplugged[1] + lease_s for each in times)
    return f"{text}, {late} of them after the lease of {lease_s * 1000:.0f} ms"


def _cut_off(kind: str, *options: str) -> Loss:
    with apart(1000) as made:
        started(made, kind, *options)
        old = made.nodes[0]
        lease_s = lease_of(made, old)
        client = Faithful(old, made.inside(old))
        time.sleep(1)
        before = time.monotonic()
        made.cut(old)
        unplugged = before, time.monotonic()
        time.sleep(FAULT_S)
        made.heal(old)
        time.sleep(12)
        keys = client.stop()
        lost = lost_of(final_primary(made), keys)
        return Loss(len(keys), len(lost), when_lost([keys[each] for each in lost], unplugged, lease_s))


def cut_off(kind: str) -> Loss:
    """The primary and a client on its machine are cut off for 15 s."""
    return _cut_off(kind)


def cut_off_with_members(kind: str) -> Loss:
    """The same, where one replica must have acknowledged."""
    if kind == "redis":
        return _cut_off(kind, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
    return _cut_off(kind, "--min-replicas-to-ack", "1")


def rolling(kind: str) -> Loss:
    """Every 10 s the primary is killed; its supervisor starts it again, without data, a second later."""
    with group(5000, 10_000) as made:
        started(made, kind)
        writer = Writer(made, "r", 1)
        for _ in range(KILLS):
            end = time.monotonic() + 10
            alive = made.sentinels[0]
            port = made.primary_of(alive)
            node = next(each for each in made.nodes if each.port == port)
            node.kill()
            time.sleep(1)
            node.start()
            time.sleep(max(0.0, end - time.monotonic()))
        writer.stop()
        keys = [f"r:{key}" for _, key in writer.acknowledged]
        return Loss(len(keys), missing(final_primary(made), keys))


def came_back_empty(kind: str) -> Loss:
    """A primary without persistence is killed and started again at once."""
    with group(5000, 10_000) as made:
        started(made, kind)
        keys = [f"e:{number}" for number in range(10_000)]
        made.nodes[0].client.mset(dict.fromkeys(keys, "x"))
        made.nodes[0].client.wait(2, 1000)
        made.nodes[0].kill()
        made.nodes[0].start()
        time.sleep(8)
        client = final_primary(made)
        return Loss(len(keys), missing(client, keys))


LOSSES: tuple[tuple[str, str, Callable[[str], Loss]], ...] = (
    ("a client parked on a primary paused for 15 s", "0", parked),
    ("primary and client cut off for 15 s", "those of the lease time", cut_off),
    (
        "cut off for 15 s, min-replicas-to-ack 1 (Redis: min-replicas-to-write 1, lag 2 s)",
        "0",
        cut_off_with_members,
    ),
    ("rolling kills every 10 s, down-after 5 s", "0", rolling),
    ("primary without persistence restarted empty", "0, all keys left", came_back_empty),
)


def measure(name: str, run: Callable[[str], Loss], kind: str, runs: int) -> str:
    """Run a case and return its cell."""
    done: list[Loss] = []
    for _ in range(runs):
        try:
            done.append(run(kind))
        except AssertionError as error:
            print(f"{name}: {kind}: {error}", flush=True)
    lost = sorted(each.lost for each in done)
    cell = f"{', '.join(map(str, lost))} of {sum(each.acknowledged for each in done)}"
    cell += "".join(f"; {each.more}" for each in done if each.more)
    if len(done) < runs:
        cell += f", {runs - len(done)} runs did not end"
    print(f"{name}: {kind}: {cell}", flush=True)
    return cell


def main() -> None:
    """Run some cases and print them."""
    parser = argparse.ArgumentParser(description="What is lost, of nodes and Sentinels of one kind.")
    parser.add_argument("kind", choices=("redis", "holdfast"))
    parser.add_argument("part", nargs="?", default="", help="of the names of the cases to run")
    parser.add_argument("runs", nargs="?", type=int, default=1, help="of each case (1)")
    asked = parser.parse_args()
    for name, _, run in LOSSES:
        if asked.part in name:
            measure(name, run, asked.kind, asked.runs)


if __name__ == "__main__":
    main()
