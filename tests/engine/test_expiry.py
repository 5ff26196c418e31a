"""The end of keys: what is told of it, and the cycle that finds keys that nobody asks for."""

import pytest

from holdfast.engine import expiry, upkeep
from tests.lone_engine import START_MS, LoneEngine

GUARD_REPLICA = 1 << 2
GUARD_PAUSED = 1 << 6
GUARD_FENCED = 1 << 9
NOTIFY_KEYEVENT = 1 << 1
NOTIFY_EXPIRED = 1 << 8


def test_an_expired_key_is_gone_for_a_read_and_its_deletion_is_told() -> None:
    node = LoneEngine()
    node.run("SET", "k", "v", "PX", 100)
    node.effects()
    node.pass_ms(100)
    assert node.run("GET", "k") == b"$1\r\nv\r\n"
    node.pass_ms(1)
    assert node.run("GET", "k") == b"$-1\r\n"
    assert node.effects() == [[b"DEL", b"k"]]
    assert node.engine.key_count(0) == 0


def test_an_expired_key_that_is_overwritten_ends_before_it_begins() -> None:
    node = LoneEngine()
    node.run("SET", "k", "v", "PX", 100)
    node.effects()
    node.pass_ms(101)
    node.run("SET", "k", "w", "KEEPTTL")
    assert node.effects()[0] == [b"DEL", b"k"]
    assert node.run("TTL", "k") == b":-1\r\n"


def test_a_relative_time_is_propagated_as_an_absolute_one() -> None:
    node = LoneEngine()
    node.set_number("k")
    node.effects()
    node.run("EXPIRE", "k", 10)
    node.run("PEXPIRE", "k", 10, "LT")
    node.run("PERSIST", "k")
    node.run("EXPIRE", "k", -1)
    assert node.effects() == [
        [b"PEXPIREAT", b"k", b"%d" % (START_MS + 10_000)],
        [b"PEXPIREAT", b"k", b"%d" % (START_MS + 10)],
        [b"PERSIST", b"k"],
        [b"DEL", b"k"],
    ]


def test_lazy_expiry_is_told_as_unlink() -> None:
    node = LoneEngine()
    node.engine.lazyfree_lazy_expire = True
    node.run("SET", "k", "v", "PX", 100)
    node.effects()
    node.pass_ms(101)
    expiry.expire_cycle(node.engine, 1000)
    assert node.effects() == [[b"UNLINK", b"k"]]


def test_the_cycle_deletes_what_nobody_asks_for_and_nothing_else() -> None:
    node = LoneEngine()
    for number in range(1000):
        node.run("SET", f"short{number}", 1, "PX", 100)
        node.run("SET", f"long{number}", 1, "PX", 100_000)
        node.set_number(f"for ever{number}")
    node.run("SELECT", 5)
    node.run("SET", "elsewhere", 1, "PX", 100)
    node.effects()
    node.pass_ms(101)
    deleted = 0
    for _ in range(100):
        deleted += expiry.expire_cycle(node.engine, 1000)
    assert deleted == 1001
    assert node.engine.key_count(0) == 2000
    assert node.engine.key_count(5) == 0
    told = node.effects()
    assert len(told) == 1001
    assert all(command[0] == b"DEL" for command in told)
    assert expiry.facts(node.engine)["expired_keys"] == 1001


def test_the_cycle_goes_on_while_much_has_expired_and_stops_when_little_has() -> None:
    node = LoneEngine()
    for number in range(2000):
        node.run("SET", f"short{number}", 1, "PX", 100)
    node.pass_ms(101)
    assert expiry.expire_cycle(node.engine, 1000) == 2000
    for number in range(2000):
        node.run("SET", f"long{number}", 1, "PX", 100_000)
    node.run("SET", "short", 1, "PX", 100)
    node.pass_ms(101)
    assert expiry.expire_cycle(node.engine, 1000) <= 20


def test_the_cycle_ends_when_its_time_is_over_and_says_so() -> None:
    node = LoneEngine()
    now_us = iter(range(0, 10**9, 400))
    node.engine.stopwatch = lambda: next(now_us)
    for number in range(20_000):
        node.run("SET", f"short{number}", 1, "PX", 100)
    node.pass_ms(101)
    deleted = expiry.expire_cycle(node.engine, 1000)
    assert 0 < deleted < 2000
    assert expiry.facts(node.engine)["expired_time_cap_reached_count"] == 1
    assert expiry.facts(node.engine)["expired_stale_perc"] > 1
    assert expiry.expire_fast(node.engine) > 0


@pytest.mark.parametrize("guard", [GUARD_REPLICA, GUARD_PAUSED, GUARD_FENCED])
def test_a_node_that_may_not_delete_hides_expired_keys(guard: int) -> None:
    class Pauses:
        def pauses(self, session: object, writes: bool) -> bool:
            return False

    node = LoneEngine()
    node.engine.node = Pauses()
    node.engine.link_up = True
    node.run("SET", "k", "v", "PX", 100)
    node.effects()
    node.pass_ms(101)
    node.engine.guard |= guard
    assert expiry.expire_cycle(node.engine, 1000) == 0
    assert node.run("GET", "k") == b"$-1\r\n"
    assert node.run("EXISTS", "k") == b":0\r\n"
    assert node.run("KEYS", "*") == b"*0\r\n"
    assert node.run("SCAN", "0") == b"*2\r\n$1\r\n0\r\n*0\r\n"
    assert node.engine.key_count(0) == 1
    assert node.effects() == []
    node.engine.guard &= ~guard
    assert expiry.expire_cycle(node.engine, 1000) == 1
    assert node.effects() == [[b"DEL", b"k"]]


@pytest.mark.parametrize("cluster", [False, True])
def test_what_is_freed_lazily_is_freed_in_slices_and_wholly(cluster: bool) -> None:
    node = LoneEngine(cluster=cluster)
    empty = node.engine.used_bytes
    for number in range(5000):
        node.run("SET", f"key:{number}", "x" * 50, "PX", 100_000)
    full = node.engine.used_bytes
    assert node.run("FLUSHALL", "ASYNC") == b"+OK\r\n"
    assert node.run("DBSIZE") == b":0\r\n"
    assert upkeep.facts(node.engine)["lazyfree_pending_objects"] == 5000
    assert node.engine.used_bytes > (full + empty) / 2
    node.set_number("fresh")
    slices = 0
    while upkeep.free_some(node.engine, 200):
        slices += 1
    assert slices > 20
    node.run("DEL", "fresh")
    assert upkeep.facts(node.engine) == {"lazyfree_pending_objects": 0, "lazyfreed_objects": 5000}
    assert node.engine.used_bytes <= empty + 4096


def test_a_running_scan_of_slots_sees_every_key_and_a_slot_tells_its_own() -> None:
    from holdfast.commands import slot_keys

    node = LoneEngine(cluster=True)
    keys = {f"key:{number}" for number in range(500)} | {f"{{tag}}{number}" for number in range(500)}
    for key in keys:
        node.set_number(key)
    seen: set[str] = set()
    cursor = "0"
    while True:
        words = node.run("SCAN", cursor, "COUNT", 30).decode().split("\r\n")
        cursor = words[2]
        seen.update(words[5::2])
        if cursor == "0":
            break
    assert seen - {""} == keys
    assert slot_keys.count_keys_in_slot(node.engine, 8338) == 500  # CLUSTER KEYSLOT tag
    assert len(slot_keys.keys_in_slot(node.engine, 8338, 20)) == 20
    drawn = [node.run("RANDOMKEY") for _ in range(400)]
    tagged = sum(b"{tag}" in reply for reply in drawn)
    assert 120 < tagged < 280
