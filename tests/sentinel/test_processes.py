"""Real processes: our Sentinels beside redis-sentinel, around redis-server and around ours."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import redis
from redis.sentinel import Sentinel as SentinelClient

from tests.peers import require_peer
from tests.sentinel.group import Group, group, until


@pytest.fixture(autouse=True)
def _peers() -> None:
    require_peer("redis-server")
    require_peer("redis-sentinel")


def build(made: Group, nodes: list[str], sentinels: list[str], quorum: int = 2) -> Group:
    """Start nodes, wait until they are in sync, then start Sentinels."""
    for kind in nodes:
        made.add_node(kind).wait_ready()
    for each in made.nodes[1:]:
        until(lambda each=each: made.link_up(each), "a replica is in sync")
    for kind in sentinels:
        made.add_sentinel(kind, quorum)
    made.settle()
    return made


@pytest.fixture
def ours() -> Iterator[Group]:
    """Three Sentinels of ours around stock servers, with Redis's default of 30 s."""
    with group(down_after_ms=30_000) as made:
        yield build(made, ["redis"] * 3, ["holdfast"] * 3)


@pytest.fixture
def mixed() -> Iterator[Group]:
    """Two stock Sentinels and one of ours around stock servers.

    Not less than 1.5 s: a stock Sentinel comes back to a closed link only after a second.
    """
    with group(down_after_ms=1500) as made:
        yield build(made, ["redis"] * 3, ["redis", "redis", "holdfast"])


def test_a_crash_is_answered_within_a_second_whatever_down_after_says(ours: Group) -> None:
    events = ours.events(ours.sentinels[0])
    ours.nodes[0].kill()
    payload = events.await_event("+switch-master", 2.0).split()
    port = int(payload[4])
    assert payload[:3] == ["mymaster", "127.0.0.1", str(ours.nodes[0].port)]
    until(lambda: ours.agreed(port), "all agree")


def test_a_dead_primary_that_comes_back_follows_and_its_keys_are_the_new_ones(ours: Group) -> None:
    events = ours.events(ours.sentinels[0])
    ours.nodes[0].kill()
    port = int(events.await_event("+switch-master").split()[4])
    redis.Redis(port=port).set("after", "1")
    ours.nodes[0].start()
    until(lambda: ours.agreed(port), "the old primary follows")
    until(lambda: ours.nodes[0].client.get("after") == "1", "it has the new keys")


def test_a_stopped_primary_is_replaced_and_demoted_when_it_goes_on() -> None:
    with group(down_after_ms=500) as made:
        build(made, ["redis"] * 2, ["holdfast"] * 3)
        events = made.events(made.sentinels[1])
        made.nodes[0].signal(signal.SIGSTOP)
        port = int(events.await_event("+switch-master", 20).split()[4])
        assert port == made.nodes[1].port
        made.nodes[0].signal(signal.SIGCONT)
        until(lambda: made.agreed(port), "the old primary follows", 20)


def test_a_planned_failover_loses_nothing(ours: Group) -> None:
    primary = ours.nodes[0].client
    for number in range(2000):
        primary.set(f"k{number}", number)
    sentinel = ours.sentinels[0]
    assert sentinel.client.sentinel_failover("mymaster")
    until(lambda: ours.primary_of(sentinel) != ours.nodes[0].port, "another leads", 3)
    port = ours.primary_of(sentinel)
    assert redis.Redis(port=port).dbsize() == 2000
    until(lambda: ours.agreed(port), "all agree")


@pytest.mark.parametrize(
    ("nodes", "sentinels", "down_after_ms"),
    [
        ("redis", ["redis", "redis", "holdfast"], 1500),
        ("redis", ["holdfast"] * 3, 5000),
        ("holdfast", ["holdfast"] * 3, 5000),
    ],
    ids=["two stock Sentinels and ours around stock", "ours around stock", "ours around ours"],
)
def test_the_client_of_redis_py_follows_a_crash_and_a_planned_failover(
    nodes: str, sentinels: list[str], down_after_ms: int
) -> None:
    with group(down_after_ms) as made:
        build(made, [nodes] * 3, sentinels)
        client = SentinelClient([("127.0.0.1", each.port) for each in made.sentinels], socket_timeout=2)
        primary = client.master_for("mymaster")
        primary.set("k", "v")
        assert len(client.discover_slaves("mymaster")) == 2
        made.nodes[0].kill()
        until(lambda: primary.set("k", "w"), "writes go on", 15)
        port = client.discover_master("mymaster")[1]
        assert port != made.nodes[0].port
        made.nodes[0].start()
        until(lambda: made.agreed(port), "the dead one follows")
        # Whoever led the first failover may still be ending it.
        until(lambda: made.sentinels[2].client.sentinel_failover("mymaster"), "the next may begin")
        until(lambda: client.discover_master("mymaster")[1] != port, "handed over")
        until(lambda: primary.set("k", "x"), "writes go on", 5)
        assert client.slave_for("mymaster").get("k") is not None


def test_stock_sentinels_and_ours_agree_and_vote_for_one_another(mixed: Group) -> None:
    ours = mixed.sentinels[2]
    events = [mixed.events(each) for each in mixed.sentinels]
    mixed.nodes[0].kill()
    ports = {int(each.await_event("+switch-master").split()[4]) for each in events}
    assert len(ports) == 1
    port = ports.pop()
    until(lambda: mixed.agreed(port), "all agree")
    for sentinel in mixed.sentinels:
        reply = sentinel.client.execute_command("SENTINEL CKQUORUM mymaster")
        assert reply.startswith("OK 3 usable Sentinels")
    assert ours.client.execute_command("SENTINEL MYID") in mixed.sentinels[0].log()


def test_replicas_and_sentinels_are_told_with_the_same_fields_and_flags(mixed: Group) -> None:
    told = [
        [
            *(each.client.execute_command("SENTINEL REPLICAS mymaster")),
            *(each.client.execute_command("SENTINEL SENTINELS mymaster")),
        ]
        for each in (mixed.sentinels[0], mixed.sentinels[2])
    ]
    shapes = [[(*each, each["flags"]) for each in listed] for listed in told]
    assert shapes[0] == shapes[1]


def test_our_leader_is_followed_by_stock_sentinels(mixed: Group) -> None:
    stock = mixed.events(mixed.sentinels[0])
    mixed.sentinels[2].client.sentinel_failover("mymaster")
    stock.await_event("+config-update-from")
    port = int(stock.await_event("+switch-master").split()[4])
    until(lambda: mixed.agreed(port), "all agree")


def test_their_leader_is_followed_by_ours(mixed: Group) -> None:
    events = mixed.events(mixed.sentinels[2])
    mixed.sentinels[0].client.sentinel_failover("mymaster")
    port = int(events.await_event("+switch-master").split()[4])
    until(lambda: mixed.agreed(port), "all agree")


def told_of_a_failover(kind: str) -> list[tuple[str, str]]:
    """Return what a Sentinel of a kind tells when a primary dies, with words in the place of its ports."""
    with group(down_after_ms=1500) as made:
        build(made, ["redis"] * 3, [kind], quorum=1)
        sentinel = made.sentinels[0]
        events = made.events(sentinel)
        made.nodes[0].kill()
        events.await_event("+switch-master", 40)
        for _ in made.nodes[1:]:
            events.await_event("+slave")
        words = {sentinel.client.execute_command("SENTINEL MYID"): "me", str(made.nodes[0].port): "old"}
        words |= {str(each.port): "other" for each in made.nodes[1:]}
        words[str(made.primary_of(sentinel))] = "new"
        told = []
        for event, text in events.seen:
            for old, new in words.items():
                text = text.replace(old, new)
            told.append((event, text))
        return told


def test_a_failover_is_told_event_by_event_as_redis_sentinel_tells_it() -> None:
    assert told_of_a_failover("holdfast") == told_of_a_failover("redis")


def test_the_next_sentinel_goes_on_when_the_leader_dies_at_its_election(ours: Group) -> None:
    doomed = ours.sentinels[0]
    others = [ours.events(each) for each in ours.sentinels[1:]]
    doomed.client.execute_command("SENTINEL SIMULATE-FAILURE CRASH-AFTER-ELECTION")
    for each in ours.sentinels[1:]:  # the doomed one alone can be first
        each.signal(signal.SIGSTOP)
    for each in ours.sentinels[1:]:
        each.signal(signal.SIGCONT)
    ours.nodes[0].kill()
    port = int(others[0].await_event("+switch-master", 5).split()[4])
    until(lambda: ours.agreed(port), "all agree")


def test_a_sentinel_knows_after_a_restart_what_it_knew(ours: Group) -> None:
    sentinel = ours.sentinels[0]
    my_id = sentinel.client.execute_command("SENTINEL MYID")
    events = ours.events(ours.sentinels[1])
    ours.nodes[0].kill()
    port = int(events.await_event("+switch-master").split()[4])
    until(lambda: ours.agreed(port), "all agree")
    sentinel.kill()
    content = (sentinel.directory / "sentinel.conf").read_text()
    assert content.startswith("# written by hand\n")
    sentinel.start()
    sentinel.wait_ready()
    assert sentinel.client.execute_command("SENTINEL MYID") == my_id
    assert ours.primary_of(sentinel) == port
    assert sentinel.client.sentinel_master("mymaster")["num-other-sentinels"] == 2


def test_a_primary_without_persistence_that_comes_back_empty_wipes_nobody() -> None:
    # Stock replicas follow it within a second, whatever Sentinels do: only those of ours refuse.
    with group(down_after_ms=30_000) as made:
        build(made, ["holdfast"] * 3, ["holdfast"] * 3)
        for number in range(100):
            made.nodes[0].client.set(f"k{number}", number)
        made.nodes[0].client.wait(2, 5000)
        events = made.events(made.sentinels[0])
        made.nodes[0].kill()
        made.nodes[0].start()
        port = int(events.await_event("+switch-master").split()[4])
        until(lambda: made.agreed(port), "all agree")
        until(lambda: all(each.client.dbsize() == 100 for each in made.nodes), "all have all keys")


def test_nodes_of_ours_are_fenced_promoted_and_handed_over() -> None:
    with group(down_after_ms=5000) as made:
        build(made, ["holdfast"] * 3, ["holdfast"] * 3)
        made.nodes[0].client.set("k", "v")
        made.nodes[0].client.wait(2, 1000)
        events = made.events(made.sentinels[0])
        made.nodes[0].kill()
        port = int(events.await_event("+switch-master", 5).split()[4])
        until(lambda: made.agreed(port), "all agree")
        new = redis.Redis(port=port, decode_responses=True)
        assert new.get("k") == "v"
        assert new.info("replication")["term_epoch"] >= 1
        made.nodes[0].start()
        until(lambda: made.agreed(port), "the old primary follows")
        new.set("k", "w")
        # Whoever led the first failover may still be ending it.
        until(lambda: made.sentinels[0].client.sentinel_failover("mymaster"), "the next may begin")
        until(lambda: made.primary_of(made.sentinels[0]) != port, "handed over")
        port = made.primary_of(made.sentinels[0])
        until(lambda: made.agreed(port), "all agree again")
        assert redis.Redis(port=port, decode_responses=True).get("k") == "w"
