"""Group "memory": resident bytes per key, from what the kernel says of the process.

For each kind of key a server is started fresh, filled, and its resident memory
before and after compared. So everything counts that a key costs: the table, the
allocator's waste, the expiry. Both servers get the same commands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.client import Connection, Refused, encode
from bench.figures import Compare, Figure, Goal
from bench.rounds import Bench, Samples
from bench.server import Program, ServerDidNotStart

GROUP = "memory"
ROUNDS_MOST = 3
QUICK_PART = 8
"""A quick run fills an eighth of the keys."""

STRINGS = Goal(Compare.RATIO_AT_MOST, 0.75)
COMPACT = Goal(Compare.RATIO_AT_MOST, 1.0)
LARGE = Goal(Compare.RATIO_AT_MOST, 1.2)


@dataclass(frozen=True)
class Kind:
    """A kind of key: how many, and the commands that make the one of a number."""

    name: str
    keys: int
    goal: Goal
    make: Callable[[int], list[bytes]]


def key(number: int) -> bytes:
    return b"key:%012d" % number


def value(number: int, width: int = 32) -> bytes:
    """Return a value of `width` bytes that no other number has."""
    return (b"%d:" % number).ljust(width, b"v")


def string(number: int) -> list[bytes]:
    return [b"SET", key(number), value(number)]


def string_that_expires(number: int) -> list[bytes]:
    return [b"SET", key(number), value(number), b"EX", b"%d" % (100_000 + number % 1000)]


def hash_of(fields: int) -> Callable[[int], list[bytes]]:
    def make(number: int) -> list[bytes]:
        words = [word for i in range(fields) for word in (b"field:%06d" % i, value(number + i, 16))]
        return [b"HSET", key(number), *words]

    return make


def list_of(elements: int) -> Callable[[int], list[bytes]]:
    return lambda number: [b"RPUSH", key(number), *(value(number + i, 32) for i in range(elements))]


def integers_of(members: int) -> Callable[[int], list[bytes]]:
    return lambda number: [b"SADD", key(number), *(b"%d" % (number + i * 17) for i in range(members))]


def set_of(members: int) -> Callable[[int], list[bytes]]:
    return lambda number: [b"SADD", key(number), *(value(number + i, 16) for i in range(members))]


def sorted_set_of(members: int) -> Callable[[int], list[bytes]]:
    def make(number: int) -> list[bytes]:
        words = [word for i in range(members) for word in (b"%d" % (i * 31 % 997), value(number + i, 16))]
        return [b"ZADD", key(number), *words]

    return make


KINDS = (
    Kind("strings", 1_000_000, STRINGS, string),
    Kind("strings with expiry", 1_000_000, STRINGS, string_that_expires),
    Kind("hashes of 10", 150_000, COMPACT, hash_of(10)),
    Kind("hashes of 1,000", 1_000, LARGE, hash_of(1000)),
    Kind("lists of 10", 150_000, COMPACT, list_of(10)),
    Kind("lists of 1,000", 2_000, LARGE, list_of(1000)),
    Kind("sets of 10 integers", 300_000, COMPACT, integers_of(10)),
    Kind("sets of 10", 150_000, COMPACT, set_of(10)),
    Kind("sets of 1,000", 1_000, LARGE, set_of(1000)),
    Kind("sorted sets of 10", 150_000, COMPACT, sorted_set_of(10)),
    Kind("sorted sets of 1,000", 1_000, LARGE, sorted_set_of(1000)),
)


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield resident bytes per key of each kind."""
    for kind in KINDS:
        if not bench.wants(GROUP, kind.name):
            continue
        bench.say(f"memory of {kind.name}")
        samples = Samples(bench)
        for program in bench.order(1 if bench.quick else min(bench.rounds, ROUNDS_MOST)):
            if samples.failed(program):
                continue
            try:
                samples.add(program, bytes_per_key(program, kind, bench.quick))
            except (ServerDidNotStart, Refused, OSError) as error:
                samples.fail(program, error)
        yield samples.figure(Figure(GROUP, kind.name, "bytes/key", None, None, kind.goal))


def bytes_per_key(program: Program, kind: Kind, quick: bool) -> float:
    """Start a server, fill it, and return what a key cost."""
    keys = kind.keys // QUICK_PART if quick else kind.keys
    with program.running() as server, Connection(server.port) as connection:
        # Buffers are there before we look.
        connection.fill(encode(b"PING") for _ in range(5000))
        before = settled(server.resident_bytes)
        connection.fill((encode(*kind.make(number)) for number in range(keys)), commands_at_once=100)
        return (settled(server.resident_bytes) - before) / keys


def settled(read: Callable[[], int]) -> int:
    """Return a reading that changed by less than 1 % in 0.3 s: resizing goes on in the background."""
    deadline = time.monotonic() + 10
    last = read()
    while time.monotonic() < deadline:
        time.sleep(0.3)  # between two looks at another process: its memory settles without an event
        now = read()
        if abs(now - last) <= last // 100:
            return now
        last = now
    return last
