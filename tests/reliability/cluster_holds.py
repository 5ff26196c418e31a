"""What makes clients wait while slots move as a whole: what nodes hold, and what clients make of it.

What it is: 1,200 slots moved to and fro between nodes of ours under load, with two kinds of clients: a
bare one on blocking sockets that remembers where a slot is, and redis-py's RedisCluster, which reads
the whole map anew at every fifth MOVED. Nodes write to their logs how long each window was held and for
what; this prints those, beside the longest gaps of clients. What it is not: a judge of what is lost
(`cluster_moves`).

Run: python -m tests.reliability.cluster_holds [--rounds 3] [--directory DIR] [--keys 100000]; a round takes
6 seconds. `--directory` is where nodes keep their files: the disk is the larger part of a hold.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from holdfast.engine.slots import slot_of_key
from tests.cluster_jobs.stage import Stage, holdfast, own_cluster
from tests.reliability.cluster_load import Load, preload

SLOTS = 1200
WAITED = re.compile(r"Clients of (\d+) slots with (\d+) keys waited ([\d.]+) ms: (.*)")
CLAIM = re.compile(r"Claim of \d+ slots, ms: (.*)")


class Bare:
    """A client of a cluster on blocking sockets: one request at a time, and what MOVED says is remembered."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._sockets = {port: socket.create_connection(("127.0.0.1", port)) for port in ports}
        self._where: dict[int, int] = {}
        self._any = ports[0]

    def ask(self, key: bytes, request: bytes) -> bytes:
        """Return the reply's first bytes, where it is no MOVED."""
        slot = slot_of_key(key)
        while True:
            line = self._sockets[self._where.get(slot, self._any)]
            line.sendall(request)
            reply = line.recv(4096)
            if not reply.startswith(b"-MOVED"):
                return reply
            self._where[slot] = int(reply.split(b":")[1])


def work(ports: Sequence[int], keys: int, orders: Connection) -> None:
    """Write and read in turn until told to stop; tell the longest wait since told to begin, in ms."""
    client, number, longest_s = Bare(ports), 0, 0.0
    while True:
        if orders.poll():
            if orders.recv() == "stop":
                break
            longest_s = 0.0
        number += 7919
        key = b"p:%d" % (number % keys)
        request = b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key)
        if number % 2:
            key = b"b:%d" % (number % 20_000)
            request = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nx\r\n" % (len(key), key)
        began = time.monotonic()
        reply = client.ask(key, request)
        longest_s = max(longest_s, time.monotonic() - began)
        assert reply[:1] in b"+$", reply
    orders.send(longest_s * 1000)


class BareLoad:
    """Bare clients in processes of their own."""

    def __init__(self, ports: Sequence[int], keys: int, count: int = 2) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends = []
        for _ in range(count):
            mine, theirs = context.Pipe()
            context.Process(target=work, args=(ports, keys, theirs), daemon=True).start()
            self._ends.append(mine)

    def begin(self) -> None:
        """Count from now on."""
        for end in self._ends:
            end.send("begin")

    def stop(self) -> float:
        """Return the longest wait, in ms."""
        for end in self._ends:
            end.send("stop")
        return max(end.recv() for end in self._ends)


def under_load(stage: Stage, keys: int, kind: str, move: bool, turn: int) -> tuple[float, float]:
    """Move slots, or nothing, under one kind of load; return seconds that it took, longest gap in ms."""
    ports = [peer.port for peer in stage.peers]
    load = BareLoad(ports, keys) if kind == "bare" else Load(ports, keys)
    time.sleep(1.0)  # clients get into their stride: it is part of what is measured
    load.begin()
    began = time.monotonic()
    if move:
        source, target = stage.id(turn % 2), stage.id(1 - turn % 2)
        words = ("--from", source, "--to", target, "--slots", str(SLOTS), "--yes")
        code, report = holdfast("reshard", stage.addresses[0], *words)
        assert code == 0, report
    else:
        time.sleep(1.5)  # as long as a move takes, or so
    took = time.monotonic() - began
    seen = load.stop()
    return took, seen if isinstance(seen, float) else max(each.longest_gap_ms for each in seen)


def spread(values: Sequence[float]) -> str:
    """Return median, and the longest."""
    ordered = sorted(values)
    most = ordered[len(ordered) * 95 // 100]
    return f"median {statistics.median(ordered):.1f}, 95 of 100 {most:.1f}, longest {ordered[-1]:.1f}"


def main() -> None:
    """Run and print."""
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--directory", help="where nodes keep their files; default: a temporary one")
    chosen = parser.parse_args()
    if chosen.directory:
        tempfile.tempdir = chosen.directory
    rows: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    with own_cluster(3, 0, "--save", "", "--loglevel", "verbose") as stage:
        preload([peer.port for peer in stage.peers], chosen.keys)
        turn = 0
        for _ in range(chosen.rounds):
            for kind in ("bare", "redis-py"):
                for move in (False, True):
                    rows.setdefault((kind, move), []).append(
                        under_load(stage, chosen.keys, kind, move, turn)
                    )
                    turn += move
        logs = [peer.log() for peer in stage.peers]
    print(f"load of the machine {os.getloadavg()[0]:.1f}")
    for (kind, move), seen in rows.items():
        gaps = ", ".join(f"{gap:.0f}" for _, gap in seen)
        times = f" in {', '.join(f'{took:.2f}' for took, _ in seen)} s" if move else ""
        print(f"{kind}, {f'{SLOTS} slots move' if move else 'nothing moves'}: longest gaps {gaps} ms{times}")
    text = "\n".join(logs)
    waited = WAITED.findall(text)
    print(f"{len(waited)} windows; held, ms: {spread([float(each[2]) for each in waited])}")
    for told in ([each[3] for each in waited], CLAIM.findall(text)):
        steps: dict[str, list[float]] = {}
        for line in told:
            for step in line.split(", "):
                name, ms = step.rsplit(" ", 1)
                steps.setdefault(name, []).append(float(ms))
        for name, values in steps.items():
            print(f"  {name}: {spread(values)}")


if __name__ == "__main__":
    main()
