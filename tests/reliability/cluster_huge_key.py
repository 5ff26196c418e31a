"""What others feel while the slot of one huge key moves: ours and stock nodes in turn.

What it is: three primaries; one key of a million fields (some 120 MB as DUMP has it) in a slot that
`holdfast cluster reshard --move` moves to another node and back; a bare client at each node asks for small
keys meanwhile. It prints how long the move took, and each client's longest wait. The key itself is not
asked for: who asks for it waits until it is there. What it is not: a judge (`cluster_moves`).

Run: python -m tests.reliability.cluster_huge_key [--fields 1000000] [--rounds 2]; about a minute.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import time
from multiprocessing.connection import Connection

import redis

from holdfast.engine.slots import slot_of_key
from tests.cluster_jobs.stage import Stage, holdfast, own_cluster, stock_cluster
from tests.reliability.cluster_load import preload

TAG = "huge"
MADE = {"holdfast": own_cluster, "redis": stock_cluster}


def ask(port: int, key: bytes, orders: Connection) -> None:
    """Read a small key of one node until told to stop; tell the longest waits for a value, in ms."""
    line = socket.create_connection(("127.0.0.1", port))
    request, waits = b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key), [0.0]
    while not orders.poll():
        began, reply = time.monotonic(), b""
        while not reply.startswith(b"$"):  # a node that is held for dead stops the cluster
            line.sendall(request)
            reply = line.recv(4096)
        waits.append((time.monotonic() - began) * 1000)
        if len(waits) > 1000:
            waits = sorted(waits, reverse=True)[:3]
    orders.send(sorted(waits, reverse=True)[:3])


def moved(stage: Stage, target: int) -> tuple[float, list[list[float]]]:
    """Move the slot; return seconds, and for source, target and the third node the longest waits."""
    slot, context = slot_of_key(TAG.encode()), multiprocessing.get_context("spawn")
    source, _ = holder(stage)
    third = 3 - source - target
    ends = []
    for number in (source, target, third):
        mine, theirs = context.Pipe()
        key = small_key(stage, number, slot)
        context.Process(target=ask, args=(stage.peers[number].port, key, theirs), daemon=True).start()
        ends.append(mine)
    time.sleep(1.0)  # they begin
    began = time.monotonic()
    code, report = holdfast("reshard", stage.addresses[0], "--move", f"{slot}={stage.id(target)}", "--yes")
    took = time.monotonic() - began
    assert code == 0, report
    for end in ends:
        end.send("stop")
    return took, [end.recv() for end in ends]


def holder(stage: Stage) -> tuple[int, int]:
    """Return who holds the key, and how many fields it has there."""
    for number in range(3):
        client = redis.Redis(port=stage.peers[number].port)
        try:
            if fields := int(client.hlen(TAG)):
                return number, fields
        except redis.ResponseError:
            continue
    raise AssertionError("nobody has the key")


def small_key(stage: Stage, number: int, besides: int) -> bytes:
    """Return a key of a node, not in that slot."""
    client = redis.Redis(port=stage.peers[number].port)
    for each in range(10_000):
        key = f"p:{each}"
        try:
            if slot_of_key(key.encode()) != besides and client.get(key) is not None:
                return key.encode()
        except redis.ResponseError:
            continue
    raise AssertionError("no key")


def main() -> None:
    """Run and print."""
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    parser.add_argument("--fields", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=MADE)
    chosen = parser.parse_args()
    for kind in [chosen.only] if chosen.only else MADE:
        with MADE[kind](3, 0, "--save", "", "--cluster-node-timeout", "15000") as stage:
            preload([peer.port for peer in stage.peers], 10_000)
            client = stage.cluster_client()
            for start in range(0, chosen.fields, 10_000):
                rows = {f"field:{each}": "x" * 100 for each in range(start, start + 10_000)}
                client.hset(TAG, mapping=rows)
            client.close()
            for _ in range(chosen.rounds):
                source, _ = holder(stage)
                target = (source + 1) % 3
                took, waits = moved(stage, target)
                held = holder(stage)
                assert held == (target, chosen.fields), held
                told = "; ".join(
                    f"{name} {', '.join(f'{ms:.0f}' for ms in each)}"
                    for name, each in zip(("source", "target", "third"), waits, strict=True)
                )
                load = os.getloadavg()[0]
                print(f"{kind}, load {load:.1f}: {took:.2f} s; longest waits, ms: {told}", flush=True)


if __name__ == "__main__":
    main()
