"""Eviction: which keys go under each policy, that the bound holds, and what is told of it."""

import pytest

from holdfast.engine import eviction
from tests.lone_engine import LoneEngine

OOM = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"


def bounded(policy: str, room: int, samples: int = 10) -> LoneEngine:
    """An engine whose data may grow by so many bytes."""
    node = LoneEngine()
    node.engine.maxmemory_samples = samples
    eviction.set_policy(node.engine, policy)
    eviction.set_maxmemory(node.engine, node.engine.used_bytes + room)
    return node


def keys(node: LoneEngine, prefix: str) -> int:
    return int(node.run("EXISTS", *[f"{prefix}{number}" for number in range(1000)])[1:-2])


def test_without_eviction_writes_are_refused_and_reads_and_deletions_are_not() -> None:
    node = bounded("noeviction", 20_000)
    replies = [node.run("SET", f"k{number}", "x" * 100) for number in range(1000)]
    assert replies[0] == b"+OK\r\n"
    assert replies[-1] == OOM
    assert node.run("GET", "k0") != OOM
    assert node.run("DEL", "k0") == b":1\r\n"
    assert node.engine.stat_evicted == 0


@pytest.mark.parametrize("policy", eviction.POLICIES[1:])
def test_the_bound_holds_under_every_policy(policy: str) -> None:
    node = bounded(policy, 100_000)
    for number in range(3000):
        assert node.run("SET", f"k{number}", "x" * 100, "PX", 100_000 + number) == b"+OK\r\n"
        assert node.engine.used_bytes <= node.engine.maxmemory + 20_000
    assert node.engine.stat_evicted > 1000
    assert node.engine.key_count(0) > 300


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_volatile_policies_spare_keys_that_do_not_expire(policy: str) -> None:
    node = bounded(policy, 100_000)
    for number in range(100):
        node.run("SET", f"stays{number}", "x" * 100)
    for number in range(2000):
        node.run("SET", f"k{number}", "x" * 100, "EX", 1000)
    assert keys(node, "stays") == 100
    assert node.engine.stat_evicted > 500
    node.run("FLUSHALL")
    replies = [node.run("SET", f"stays{number}", "x" * 100) for number in range(2000)]
    assert replies[-1] == OOM


def test_keys_that_end_soonest_go_first() -> None:
    node = bounded("volatile-ttl", 100_000)
    for number in range(300):
        node.run("SET", f"late{number}", "x" * 100, "EX", 10_000 + number)
    for number in range(2000):
        node.run("SET", f"soon{number}", "x" * 100, "EX", 100 + number)
    assert keys(node, "late") == 300


def test_least_recently_used_keys_go_first() -> None:
    node = bounded("allkeys-lru", 100_000)
    for number in range(400):
        node.run("SET", f"k{number}", "x" * 100)
        node.pass_ms(1000)
    for number in range(0, 400, 2):
        node.run("GET", f"k{number}")
        node.pass_ms(1000)
    before = node.engine.stat_evicted
    number = 0
    while node.engine.stat_evicted < before + 150:
        node.run("SET", f"fresh{number}", "x" * 100)
        node.pass_ms(1000)
        number += 1
    even = sum(node.run("EXISTS", f"k{number}") == b":1\r\n" for number in range(0, 400, 2))
    odd = sum(node.run("EXISTS", f"k{number}") == b":1\r\n" for number in range(1, 400, 2))
    assert even > 180  # an exact order would keep all 200
    assert odd < 80  # and 50 of these


def test_least_frequently_used_keys_go_first() -> None:
    node = bounded("allkeys-lfu", 100_000)
    for number in range(200):
        node.run("SET", f"k{number}", "x" * 100)
    for _ in range(60):
        for number in range(0, 200, 2):
            node.run("GET", f"k{number}")
    for number in range(2000):
        node.run("SET", f"fresh{number}", "x" * 100)
    often = sum(node.run("EXISTS", f"k{number}") == b":1\r\n" for number in range(0, 200, 2))
    seldom = sum(node.run("EXISTS", f"k{number}") == b":1\r\n" for number in range(1, 200, 2))
    assert often > 90
    assert seldom < 20


def test_a_frequency_grows_with_use_and_decays_with_time() -> None:
    node = LoneEngine()
    eviction.set_policy(node.engine, "allkeys-lfu")
    node.set_number("k")
    assert node.run("OBJECT", "FREQ", "k") == b":5\r\n"
    for _ in range(1000):
        node.run("GET", "k")
    used = int(node.run("OBJECT", "FREQ", "k")[1:-2])
    assert used > 10
    node.pass_ms(3 * 60_000)
    assert int(node.run("OBJECT", "FREQ", "k")[1:-2]) == used - 3


@pytest.mark.parametrize(("lazily", "name"), [(False, b"DEL"), (True, b"UNLINK")])
def test_an_eviction_is_told_to_replicas_before_the_write_that_caused_it(lazily: bool, name: bytes) -> None:
    node = bounded("allkeys-random", 20_000)
    node.engine.lazyfree_lazy_eviction = lazily
    number = 0
    while node.engine.stat_evicted == 0:
        node.effects()
        node.run("SET", f"k{number}", "x" * 100)
        number += 1
    told = node.effects()
    assert told[0][0] == name
    assert told[-1][0] == b"SET"


def test_eviction_without_time_goes_on_later() -> None:
    node = LoneEngine()
    for number in range(2000):
        node.run("SET", f"k{number}", "x" * 100)
    eviction.set_policy(node.engine, "allkeys-lru")
    now_us = iter(range(0, 10**9, 400))
    node.engine.stopwatch = lambda: next(now_us)
    eviction.set_maxmemory(node.engine, node.engine.used_bytes // 2)
    assert node.run("SET", "one more", 1) == b"+OK\r\n"
    assert node.engine.evicting
    assert node.engine.used_bytes > node.engine.maxmemory
    while node.engine.evicting:
        assert eviction.evict(node.engine)
    assert node.engine.used_bytes <= node.engine.maxmemory


def test_a_replica_leaves_eviction_to_its_primary() -> None:
    node = bounded("allkeys-lru", 20_000)
    node.engine.guard |= 1 << 2
    node.engine.replica_read_only = False
    node.engine.link_up = True
    for number in range(500):
        assert node.run("SET", f"k{number}", "x" * 100) == b"+OK\r\n"
    assert node.engine.stat_evicted == 0
