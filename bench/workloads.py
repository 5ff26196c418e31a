"""What is asked of the servers, and the goal of each figure: one table, `WORKLOADS`.

Every workload is one command of redis-benchmark, put on a server that `prepare`
has filled. All goals of request workloads are here; those of memory, stalls and
start stand at the top of their own modules.

How to read it: the table first, then how servers are filled for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from bench.client import encode
from bench.figures import Compare, Goal

KEYS = 100_000
"""Keys that strings are spread over; `key:` and 12 digits, 16 bytes."""
MILLION = 1_000_000
MEMBERS = MILLION
"""Members that SADD and ZADD draw from."""
PIPELINES = (1, 16, 100)
SMALL_BYTES, LARGE_BYTES = 32, 1024

KERNEL_BOUND = Goal(Compare.RATIO_AT_LEAST, 0.95)


def cpu_at_most(at_16: float, at_100: float) -> dict[int, Goal]:
    """Return goals for server CPU per request, by pipeline."""
    return {16: Goal(Compare.RATIO_AT_MOST, at_16), 100: Goal(Compare.RATIO_AT_MOST, at_100)}


HOT = cpu_at_most(0.7, 0.5)
OTHER = cpu_at_most(0.8, 0.8)


@dataclass(frozen=True)
class Workload:
    """One command, and what it needs to find on the server."""

    name: str
    words: tuple[str, ...]
    """The command; VALUE stands for the value, `__rand_int__` for 12 random digits."""
    prepare: Callable[[int, int], Iterator[bytes]]
    """Commands that fill an empty server, for a number of requests and a size of values in bytes."""
    cpu_goals: Mapping[int, Goal] = field(default_factory=lambda: OTHER)
    value_bytes: tuple[int, ...] = (SMALL_BYTES,)
    keys: int = KEYS
    changes: bool = False
    """Whether a run leaves the server other than it found it: then it is filled anew for each."""
    requests_most: int = 4_000_000


def nothing(requests: int, value_bytes: int) -> Iterator[bytes]:
    """An empty server."""
    return iter(())


def strings(requests: int, value_bytes: int) -> Iterator[bytes]:
    value = b"x" * value_bytes
    return (encode(b"SET", b"key:%012d" % number, value) for number in range(KEYS))


def counters(requests: int, value_bytes: int) -> Iterator[bytes]:
    return (encode(b"SET", b"key:%012d" % number, b"1000000") for number in range(KEYS))


def list_to_pop(requests: int, value_bytes: int) -> Iterator[bytes]:
    value = b"x" * value_bytes
    return in_hundreds([b"RPUSH", b"list"], (value for _ in range(requests + 1)))


def set_to_pop(requests: int, value_bytes: int) -> Iterator[bytes]:
    return in_hundreds([b"SADD", b"set"], (b"element:%012d" % number for number in range(requests + 1)))


def sorted_set_to_pop(requests: int, value_bytes: int) -> Iterator[bytes]:
    # Scores in no order, as users' scores come.
    pairs = (
        word
        for number in range(requests + 1)
        for word in (b"%d" % (number * 7919 % 1_000_003), b"element:%012d" % number)
    )
    return in_hundreds([b"ZADD", b"zset"], pairs)


def list_of_hundred(requests: int, value_bytes: int) -> Iterator[bytes]:
    return in_hundreds([b"RPUSH", b"list"], (b"x" * value_bytes for _ in range(100)))


def hash_of_fifty(requests: int, value_bytes: int) -> Iterator[bytes]:
    words = [word for number in range(50) for word in (b"field:%02d" % number, b"x" * value_bytes)]
    yield encode(b"HSET", b"hash", *words)


def sorted_set_of_thousand(requests: int, value_bytes: int) -> Iterator[bytes]:
    words = (word for number in range(1000) for word in (b"%d" % number, b"element:%04d" % number))
    return in_hundreds([b"ZADD", b"zset"], words)


def in_hundreds(head: list[bytes], words: Iterator[bytes]) -> Iterator[bytes]:
    """Spread many words over commands of a hundred words (always an even number) each."""
    some: list[bytes] = []
    for word in words:
        some.append(word)
        if len(some) == 100:
            yield encode(*head, *some)
            some = []
    if some:
        yield encode(*head, *some)


KEY = "key:__rand_int__"
ELEMENT = "element:__rand_int__"
BOTH = (SMALL_BYTES, LARGE_BYTES)

WORKLOADS = (
    Workload("PING", ("PING",), nothing, cpu_at_most(1.0, 1.0)),
    Workload("SET", ("SET", KEY, "VALUE"), strings, HOT, BOTH),
    Workload("GET", ("GET", KEY), strings, HOT, BOTH),
    Workload("INCR", ("INCR", KEY), counters, HOT),
    Workload("SET with EX", ("SET", KEY, "VALUE", "EX", "3600"), strings, HOT, BOTH),
    Workload("MSET of 10", ("MSET", *(KEY, "VALUE") * 10), strings, OTHER, BOTH, requests_most=400_000),
    Workload("LPUSH", ("LPUSH", "list", "VALUE"), nothing, OTHER, BOTH, changes=True, requests_most=MILLION),
    Workload("LPOP", ("LPOP", "list"), list_to_pop, OTHER, BOTH, changes=True, requests_most=500_000),
    Workload("SADD", ("SADD", "set", ELEMENT), nothing, keys=MEMBERS, changes=True),
    Workload("SPOP", ("SPOP", "set"), set_to_pop, changes=True, requests_most=500_000),
    Workload("HSET", ("HSET", "hash", "field:__rand_int__", "VALUE"), nothing, OTHER, BOTH, changes=True),
    Workload("ZADD", ("ZADD", "zset", "__rand_int__", ELEMENT), nothing, keys=MEMBERS, changes=True),
    Workload("ZPOPMIN", ("ZPOPMIN", "zset"), sorted_set_to_pop, changes=True, requests_most=500_000),
    Workload("LRANGE_100", ("LRANGE", "list", "0", "99"), list_of_hundred),
    Workload("HGETALL of 50", ("HGETALL", "hash"), hash_of_fifty),
    Workload(
        "ZRANGE of 1,000",
        ("ZRANGE", "zset", "0", "999"),
        sorted_set_of_thousand,
        requests_most=100_000,
    ),
    Workload(
        "EVAL",
        ("EVAL", "return redis.call('GET', KEYS[1])", "1", KEY),
        strings,
        cpu_at_most(1.5, 1.5),
    ),
)
