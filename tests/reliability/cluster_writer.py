"""A process that writes to one shard of a cluster, and remembers when it succeeded and with what.

What it is: a client on blocking sockets, in a process of its own, so that neither another shard's
writer nor whoever makes the faults can hold it up. It follows MOVED; on any other failure it asks the
next node of the shard. What it is not: judgement; `Seen` is what it saw.

How to read it: `Writer` starts, stops and asks; `_write` is the process.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection

import redis

PACE_S = 0.001
CLONE_NEWNET = 0x40000000
CONNECT_S = 0.2
"""How long a connection is waited for."""


@dataclass
class Seen:
    """What one writer saw; times are seconds of the machine's monotonic clock."""

    acknowledged: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When each of these was acknowledged."""
    refusals: Counter[str] = field(default_factory=Counter)

    def longest_gap_s(self, since: float, until: float) -> float:
        """Return the longest time without an acknowledged write, in seconds."""
        moments = [since, *(each for each in self.times if since <= each <= until), until]
        return max(later - earlier for earlier, later in pairwise(moments))


class Writer:
    """One writer at work."""

    def __init__(
        self, addresses: list[tuple[str, int]], prefix: str, reply_s: float, namespace: str = ""
    ) -> None:
        """`reply_s`: how long a reply is waited for; `namespace`: the network namespace to write from."""
        self.prefix = prefix
        self._mine, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_write, args=(addresses, prefix, reply_s, namespace, theirs), daemon=True
        )
        self._process.start()

    def stop(self) -> Seen:
        """End it, and return what it saw."""
        self._mine.send("stop")
        seen = self._mine.recv()
        self._process.join(10)
        assert isinstance(seen, Seen)
        return seen


def lost_writes(leader: redis.Redis, prefix: str, seen: Seen) -> int:
    """Return how many acknowledged writes a node does not have."""
    pipe, found = leader.pipeline(transaction=False), 0
    for start in range(0, len(seen.acknowledged), 1000):
        for number in seen.acknowledged[start : start + 1000]:
            pipe.exists(f"{prefix}{number}")
        found += sum(pipe.execute())
    return len(seen.acknowledged) - found


def _write(
    addresses: list[tuple[str, int]], prefix: str, reply_s: float, namespace: str, orders: Connection
) -> None:
    if namespace:
        enter(namespace)
    seen, number, place = Seen(), 0, 0
    target, link = addresses[0], None
    while not orders.poll():
        number += 1
        try:
            if link is None:
                link = socket.create_connection(target, CONNECT_S)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link.settimeout(reply_s)
            key = f"{prefix}{number}".encode()
            link.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\n1\r\n" % (len(key), key))
            reply = link.recv(1000)
        except OSError as error:
            reply = b"-" + type(error).__name__.encode() + b"\r\n"
        if reply == b"+OK\r\n":
            seen.times.append(time.monotonic())
            seen.acknowledged.append(number)
        else:
            seen.refusals[reply[1:40].decode(errors="replace").split(" ")[0].strip()] += 1
            if link is not None:
                link.close()
                link = None
            if reply.startswith(b"-MOVED"):
                host, _, port = reply.split()[2].decode().rpartition(":")
                target = (host, int(port))
            else:
                place += 1
                target = addresses[place % len(addresses)]
        time.sleep(PACE_S)
    orders.send(seen)


def enter(namespace: str) -> None:
    """Go over to a network namespace that `ip netns` has named."""
    with open(f"/run/netns/{namespace}") as file:
        enter_file(file.fileno())


def enter_file(descriptor: int) -> None:
    """Go over to the network namespace of an open file. Raises `OSError`."""
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
