"""Clients of a cluster that remember what they were told: processes of redis-py's RedisCluster.

A writer sets numbers, ever higher, and keeps for each key the last that was acknowledged and the last
that was tried. A reader reads values that never change. Both keep the longest time between two
successful requests. How to read it: `Load` starts and stops them; `Load.verdict` is what they saw.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from redis.cluster import ClusterNode, RedisCluster

KEYS_A_WRITER = 2000


@dataclass
class Seen:
    """What one client saw."""

    requests: int = 0
    longest_gap_ms: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    wrong_reads: int = 0


def connect(ports: list[int]) -> RedisCluster[Any]:
    """Return a client that follows redirects."""
    return RedisCluster(
        startup_nodes=[ClusterNode("127.0.0.1", port) for port in ports],
        decode_responses=True,
        socket_timeout=5,
    )


def write(ports: list[int], name: str, orders: Connection) -> None:
    """Write until told to stop."""
    client, seen, number, last = connect(ports), Seen(), 0, time.monotonic()
    luck = random.Random(name)
    while not told_to_stop(orders, seen):
        number += 1
        key = f"{name}:{luck.randrange(KEYS_A_WRITER)}"
        seen.tried[key] = number
        try:
            client.set(key, number)
            seen.acknowledged[key] = number
            if number % 4 == 0 and int(client.get(key) or 0) != number:
                seen.wrong_reads += 1
            if number % 16 == 0:
                # Two keys of one slot, of which one never exists: what a half-moved slot cannot answer.
                there, never = client.mget(key, "{" + key + "}")
                seen.wrong_reads += int(there or 0) != number or never is not None
        except Exception as error:
            seen.errors[f"{type(error).__name__}: {str(error)[:60]}"] += 1
            continue
        now = time.monotonic()
        seen.longest_gap_ms = max(seen.longest_gap_ms, (now - last) * 1000)
        last = now
    seen.requests = number
    orders.send(seen)


def read(ports: list[int], preloaded: int, orders: Connection) -> None:
    """Read what never changes until told to stop."""
    client, seen, last = connect(ports), Seen(), time.monotonic()
    luck = random.Random("reader")
    while not told_to_stop(orders, seen):
        number = luck.randrange(preloaded)
        seen.requests += 1
        try:
            if client.get(f"p:{number}") != value_of(number):
                seen.wrong_reads += 1
        except Exception as error:
            seen.errors[f"{type(error).__name__}: {str(error)[:60]}"] += 1
            continue
        now = time.monotonic()
        seen.longest_gap_ms = max(seen.longest_gap_ms, (now - last) * 1000)
        last = now
    orders.send(seen)


def told_to_stop(orders: Connection, seen: Seen) -> bool:
    """Hear what the run wants: to begin counting gaps, or to end."""
    if not orders.poll():
        return False
    seen.longest_gap_ms = 0.0 if (word := orders.recv()) == "begin" else seen.longest_gap_ms
    return bool(word == "stop")


def value_of(number: int) -> str:
    """Return what a preloaded key holds."""
    return f"{number:032d}"


def preload(ports: list[int], count: int) -> None:
    """Write the keys that never change."""
    client = connect(ports)
    for start in range(0, count, 2000):
        pipe = client.pipeline()
        for number in range(start, min(start + 2000, count)):
            pipe.set(f"p:{number}", value_of(number))
        pipe.execute()
    client.close()


class Load:
    """Clients at work."""

    def __init__(self, ports: list[int], preloaded: int, writers: int = 2) -> None:
        self._ends: list[Connection] = []
        self._processes = []
        forks = multiprocessing.get_context("spawn")
        for name in [*(f"w{number}" for number in range(writers)), "reader"]:
            mine, theirs = forks.Pipe()
            arguments = (ports, preloaded, theirs) if name == "reader" else (ports, name, theirs)
            process = forks.Process(target=read if name == "reader" else write, args=arguments, daemon=True)
            process.start()
            self._ends.append(mine)
            self._processes.append(process)
        time.sleep(2.0)  # they connect and get into their stride: part of what is measured

    def begin(self) -> None:
        """Count gaps from now on."""
        for end in self._ends:
            end.send("begin")
        time.sleep(0.1)  # the order is on its way to other processes, which answer none

    def stop(self) -> list[Seen]:
        """Return what each client saw."""
        seen = []
        for end in self._ends:
            end.send("stop")
        for end, process in zip(self._ends, self._processes, strict=True):
            seen.append(end.recv())
            process.join(10)
        return seen
