"""A group behind the proxy in virtual time: cuts on each of its sides, subscriptions, the nearest server."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from holdfast.server.host import Host
from holdfast.sim import World
from tests.proxy.simulated import PORT, Counting, Listening, Proxied
from tests.wire import encode

SENTINELS = ["s0", "s1", "s2"]


def go_on(proxied: Proxied, clients: list[Counting], seconds: float = 30) -> None:
    """Run until every client has been answered a while longer."""
    counts = [each.acknowledged for each in clients]
    proxied.world.run_until(
        lambda: all(each.acknowledged > count + 50 for each, count in zip(clients, counts, strict=True)),
        seconds,
    )


def clients_of(proxied: Proxied, count: int = 3) -> list[Counting]:
    """Start clients, and let them write."""
    made = [Counting(proxied, f"c{number}") for number in range(count)]
    go_on(proxied, made)
    return made


def nothing_is_lost(proxied: Proxied, clients: list[Counting], leader: str) -> None:
    """Assert that what was acknowledged is there, and nothing twice: beyond it only what is not known."""
    for each in clients:
        acknowledged = each.acknowledged
        kept = proxied.kept(each.name, leader)
        assert acknowledged <= kept <= each.acknowledged + len(each.errors) + each.lost + 1


def test_a_planned_failover_is_no_error_to_anybody() -> None:
    with World(11) as world:
        proxied = Proxied(world)
        clients = clients_of(proxied)
        proxied.switch_over()
        go_on(proxied, clients)
        for each in clients:
            assert (each.errors, each.lost) == ([], 0)
            assert each.longest_gap_s() < 0.5
        nothing_is_lost(proxied, clients, proxied.group.leading()[0])


@pytest.mark.parametrize(("stopped", "for_s"), [("p", 0.2), ("p", 0.37), ("primary", 0.18)])
def test_a_planned_failover_is_no_error_where_links_are_slow_and_somebody_gets_no_processor(
    stopped: str, for_s: float
) -> None:
    with World(21) as world:
        proxied = Proxied(world, to_ack=1)
        for one, other in itertools.combinations([*proxied.group.names, *SENTINELS, "p"], 2):
            world.set_link(one, other, latency=0.01, jitter=0.01)
        clients = clients_of(proxied)
        for turn in range(6):
            name = proxied.group.leading()[0] if stopped == "primary" else stopped
            pause_at = world.now + 0.025 * turn
            world.loop.push(pause_at, world.pause, name)
            world.loop.push(pause_at + for_s, world.resume, name)
            proxied.switch_over()
            go_on(proxied, clients)
            world.run(1.0)
        for each in clients:
            assert (each.errors, each.lost) == ([], 0)
        nothing_is_lost(proxied, clients, proxied.group.leading()[0])


@pytest.mark.parametrize("alone", [False, True])
def test_a_primary_that_only_the_proxy_reaches_takes_no_write_that_is_lost(alone: bool) -> None:
    """Cut off from the Sentinels, or from the replicas too: what it cannot promise it refuses."""
    with World(12 + alone) as world:
        proxied = Proxied(world, to_ack=1)
        clients = clients_of(proxied)
        world.partition(["n0"], SENTINELS + (["n1", "n2"] if alone else []))
        world.run_until(lambda: proxied.group.leading() not in ([], ["n0"]), 30)
        go_on(proxied, clients)
        world.heal_all()
        world.run(3.0)
        go_on(proxied, clients)
        for each in clients:
            assert each.lost == 0
            assert len(each.errors) <= 2  # -NOACK, and what was open when another led: outcomes not known
            assert each.longest_gap_s() < 5
        assert len(proxied.group.leading()) == 1
        nothing_is_lost(proxied, clients, proxied.group.leading()[0])


def test_a_proxy_that_does_not_reach_the_primary_waits_for_it_and_nothing_is_sent_twice() -> None:
    with World(14) as world:
        proxied = Proxied(world)
        clients = clients_of(proxied)
        world.cut("p", "n0")
        world.run(4.0)
        assert proxied.group.leading() == ["n0"]
        world.heal("p", "n0")
        go_on(proxied, clients)
        for each in clients:
            assert (each.errors, each.lost) == ([], 0)
        nothing_is_lost(proxied, clients, "n0")


def test_one_sentinel_in_reach_is_enough_to_follow() -> None:
    with World(15) as world:
        proxied = Proxied(world)
        clients = clients_of(proxied)
        for each in ("s0", "s1"):
            world.cut("p", each)
        proxied.switch_over()
        go_on(proxied, clients)
        assert [each.errors for each in clients] == [[], [], []]


def test_without_a_sentinel_requests_wait_and_are_answered_when_one_is_back() -> None:
    with World(16) as world:
        proxied = Proxied(world)
        clients = clients_of(proxied)
        for each in SENTINELS:
            world.cut("p", each)
        proxied.switch_over()
        world.run(5.0)
        for each in SENTINELS:
            world.heal("p", each)
        go_on(proxied, clients)
        assert [each.errors for each in clients] == [[], [], []]
        nothing_is_lost(proxied, clients, proxied.group.leading()[0])


def test_a_primary_that_dies_costs_what_was_open_and_a_pause_as_long_as_the_switch() -> None:
    with World(17) as world:
        proxied = Proxied(world)
        clients = clients_of(proxied)
        world.kill("n0")
        died = world.now
        world.run_until(lambda: bool(proxied.group.leading()), 10)
        outage_s = world.now - died
        go_on(proxied, clients)
        for each in clients:
            assert len(each.errors) + each.lost <= 1
            assert each.longest_gap_s() < outage_s + 0.05


@pytest.mark.parametrize("verb", [b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"])
def test_a_subscription_outlives_a_failover_and_its_client_need_not_know(verb: bytes) -> None:
    publish = b"SPUBLISH" if verb == b"SSUBSCRIBE" else b"PUBLISH"
    with World(18) as world:
        proxied = Proxied(world)
        listener = Listening(proxied, "listener", verb, b"news")
        world.run_until(lambda: b"subscribe" in listener.heard, 10)
        told: list[int] = []

        async def tell(host: Host) -> None:
            reader, writer = await asyncio.open_connection(proxied.address("p"), PORT)
            for number in range(100_000):
                writer.write(encode([publish, b"news", b"<%d>" % number]))
                assert (await reader.readline()).startswith(b":")
                told.append(number)
                await asyncio.sleep(0.01)

        proxied.start("teller", tell)
        world.run_until(lambda: b"<20>" in listener.heard, 10)
        for switch in (proxied.switch_over, lambda: world.kill(proxied.group.leading()[0])):
            switch()
            world.run_until(lambda: bool(proxied.group.leading()), 10)
            world.run(3.0)
            last = told[-1]
            world.run_until(lambda last=last: b"<%d>" % (last + 20) in listener.heard, 10)
            assert all(b"<%d>" % number in listener.heard for number in range(last + 1, last + 20))
        assert not listener.ended


def test_the_nearest_server_is_read_from_whoever_that_is() -> None:
    with World(19) as world:
        proxied = Proxied(world, read_policy="nearest", read_your_writes="false")
        far_s, near_s = 0.010, 0.001
        took: list[float] = []

        async def read(host: Host) -> None:
            reader, writer = await asyncio.open_connection(proxied.address("p"), PORT)
            while True:
                began = world.now
                writer.write(encode([b"GET", b"x"]))
                assert await reader.readline() == b"$-1\r\n"
                took.append(world.now - began)
                await asyncio.sleep(0.005)

        def served_by(name: str) -> None:
            for each in proxied.group.names:
                world.set_link("p", each, latency=near_s if each == name else far_s, jitter=0.0)
            world.run_until(lambda: all(each < far_s for each in took[-100:]), 30)

        for each in proxied.group.names:
            world.set_link("p", each, latency=far_s, jitter=0.0)
        proxied.start("reader", read)
        world.run_until(lambda: len(took) > 100 and min(took[-50:]) > far_s, 10)
        for name in ("n1", "n2", "n0", "n2"):
            served_by(name)
        world.kill("n2")
        world.run_until(lambda: min(took[-20:]) > far_s, 10)


@pytest.mark.parametrize(("ceiling_ms", "by_replicas"), [(200, False), (1000, True)])
def test_no_read_is_older_than_the_ceiling(ceiling_ms: int, by_replicas: bool) -> None:
    """Replicas are half a second behind, and their links are up: within the ceiling they are read from."""
    with World(23) as world:
        proxied = Proxied(
            world, read_policy="prefer-replica", read_your_writes="false", read_lag_ms=ceiling_ms
        )
        leader = proxied.group.leading()[0]
        for each in proxied.group.names:
            if each != leader:
                world.set_link(leader, each, latency=0.5, jitter=0.0)
        ages: list[float] = []

        async def write(host: Host) -> None:
            reader, writer = await asyncio.open_connection(proxied.address("p"), PORT)
            while True:
                writer.write(encode([b"SET", b"written", b"%d" % (world.now * 1e6)]))
                assert await reader.readline() == b"+OK\r\n"
                await asyncio.sleep(0.01)

        async def read(host: Host) -> None:
            reader, writer = await asyncio.open_connection(proxied.address("p"), PORT)
            while True:
                began = world.now
                writer.write(encode([b"GET", b"written"]))
                await reader.readline()
                ages.append(began - int(await reader.readline()) / 1e6)
                await asyncio.sleep(0.01)

        proxied.start("writer", write)
        world.run(3.0)
        proxied.start("reader", read)
        world.run_until(lambda: len(ages) > 500, 60)
        assert max(ages) <= ceiling_ms / 1000 + 0.05
        assert (min(ages[100:]) > 0.4) == by_replicas
