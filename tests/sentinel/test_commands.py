"""SENTINEL's commands, with redis-sentinel beside as the measure: same replies, same errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers import require_peer
from tests.sentinel.group import Group, group, until
from tests.wire import WireClient


@pytest.fixture(scope="module")
def pair() -> Iterator[Group]:
    """One stock Sentinel and one of ours around one server without replicas."""
    require_peer("redis-server")
    require_peer("redis-sentinel")
    with group(down_after_ms=5000) as made:
        made.add_node("redis").wait_ready()
        made.add_sentinel("redis")
        made.add_sentinel("holdfast")
        made.settle()
        yield made


SAME = [
    "PING",
    "SENTINEL",
    "SENTINEL NOSUCH",
    "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster",
    "SENTINEL GET-MASTER-ADDR-BY-NAME nobody",
    "SENTINEL GET-MASTER-ADDR-BY-NAME",
    "SENTINEL MASTER nobody",
    "SENTINEL REPLICAS mymaster",
    "SENTINEL SLAVES nobody",
    "SENTINEL SENTINELS nobody",
    "SENTINEL CKQUORUM mymaster",
    "SENTINEL CKQUORUM nobody",
    "SENTINEL FAILOVER mymaster",
    "SENTINEL FAILOVER nobody",
    "SENTINEL RESET nobody*",
    "SENTINEL REMOVE nobody",
    "SENTINEL MONITOR a 127.0.0.1 1",
    "SENTINEL MONITOR a 127.0.0.1 x 1",
    "SENTINEL MONITOR a 127.0.0.1 1 x",
    "SENTINEL MONITOR a 127.0.0.1 1 0",
    "SENTINEL MONITOR a nowhere.example 1 1",
    "SENTINEL MONITOR mymaster 127.0.0.1 1 1",
    "SENTINEL MONITOR a 127.0.0.1 70000 1",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 10.9.9.9 1 0 *",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *",
    "SENTINEL SET mymaster down-after-milliseconds 0",
    "SENTINEL SET mymaster nosuch 1",
    "SENTINEL SET mymaster down-after-milliseconds 5000",
    "SENTINEL SET mymaster quorum x",
    "SENTINEL SET nobody quorum 1",
    "SENTINEL SET mymaster notification-script /bin/true",
    "SENTINEL SET mymaster rename-command CONFIG guess",
    "SENTINEL SET mymaster rename-command CONFIG CONFIG",
    "SENTINEL SET mymaster auth-pass",
    "SENTINEL CONFIG GET announce-port",
    "SENTINEL CONFIG GET resolve*",
    "SENTINEL CONFIG SET announce-port 7",
    "SENTINEL CONFIG SET announce-port 0",
    "SENTINEL DEBUG",
    "SENTINEL DEBUG ask-period 0",
    "SENTINEL DEBUG ask-period 1000",
    "SENTINEL DEBUG nosuch 1",
    "SENTINEL PENDING-SCRIPTS",
    "SENTINEL SIMULATE-FAILURE nosuch",
    "SENTINEL SIMULATE-FAILURE help",
    "SENTINEL FLUSHCONFIG",
    "SENTINEL INFO-CACHE nobody",
    "SENTINEL MASTER",
    "SENTINEL MASTERS x",
    "SENTINEL REPLICAS",
    "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0",
    "SENTINEL CKQUORUM",
    "SENTINEL FAILOVER",
    "SENTINEL FAILOVER nobody b c",
    "SENTINEL RESET",
    "SENTINEL MONITOR a 127.0.0.1 -1 2",
    "SENTINEL MONITOR a 127.0.0.1 6379 -2",
    "SENTINEL MONITOR a 300.0.0.1 6379 2",
    "SENTINEL SET mymaster quorum",
    "SENTINEL SET mymaster quorum -1",
    "SENTINEL SET mymaster down-after-milliseconds x",
    "SENTINEL SET mymaster failover-timeout 0",
    "SENTINEL SET mymaster parallel-syncs -1",
    "SENTINEL SET mymaster master-reboot-down-after-period -1",
    "SENTINEL SET mymaster master-reboot-down-after-period 0",
    "SENTINEL SET mymaster rename-command a",
    'SENTINEL SET mymaster rename-command a ""',
    'SENTINEL MONITOR a "" 6379 2',
    "SENTINEL SET mymaster DOWN-AFTER-MILLISECONDS 5000",
    "SENTINEL CONFIG",
    "SENTINEL CONFIG SET announce-port",
    "SENTINEL CONFIG SET announce-port 70000",
    "SENTINEL CONFIG SET resolve-hostnames x",
    "SENTINEL CONFIG GET nosuch",
    "SENTINEL CONFIG GET ANNOUNCE-PORT",
    "SENTINEL CONFIG FOO bar",
    "SENTINEL DEBUG info-period x",
    "SENTINEL DEBUG info-period 10000 ping-period",
    "SENTINEL MYID x",
    "SENTINEL INFO-CACHE",
    "SENTINEL HELP x",
    "SENTINEL SIMULATE-FAILURE crash-after-election nosuch",
    "INFO nosuch",
    "INFO replication",
    "PING x",
    "PING x y",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE a",
    "AUTH x",
    "AUTH default x",
    "CLIENT GETNAME",
    "CLIENT KILL 1.1.1.1:1",
    "CLIENT NOSUCH",
    "COMMAND INFO get",
    "COMMAND INFO ping",
    "SHUTDOWN NOSUCH",
    "CONFIG GET port",
    "MULTI",
    "MONITOR",
    "REPLICAOF NO ONE",
    "ROLE",
    "PUBLISH a b",
    "PUBLISH __sentinel__:hello nonsense",
    "GET a",
    "SET a b",
    "SUBSCRIBE a",
    "HELLO 9",
]


@pytest.mark.parametrize("words", SAME)
def test_ours_answers_as_redis_sentinel(pair: Group, words: str) -> None:
    asked = [each.strip(b'"') for each in words.encode().split()]
    for greeting in ((), (b"HELLO", b"3")):
        replies = []
        for sentinel in pair.sentinels:
            with WireClient(sentinel.port) as client:
                if greeting:
                    client.command(*greeting)
                replies.append(client.command(*asked))
        assert replies[0] == replies[1]


def test_masters_tell_the_same_fields(pair: Group) -> None:
    fields = [list(each.client.execute_command("SENTINEL MASTER mymaster")) for each in pair.sentinels]
    assert fields[0] == fields[1]


def test_sentinels_tell_the_same_fields(pair: Group) -> None:
    fields = [list(each.client.sentinel_sentinels("mymaster")[0]) for each in pair.sentinels]
    assert fields[0] == fields[1]


def test_info_tells_of_the_primaries_and_of_nothing_that_is_not_here(pair: Group) -> None:
    stock, ours = (each.client.info() for each in pair.sentinels)
    assert ours["redis_mode"] == "sentinel"
    assert ours["master0"] == stock["master0"]
    assert "used_memory" not in ours and "role" not in ours


def test_a_primary_is_watched_and_forgotten_at_run_time(pair: Group) -> None:
    ours = pair.sentinels[1]
    assert ours.client.sentinel_monitor("extra-group", "127.0.0.1", pair.nodes[0].port, 1)
    until(lambda: ours.client.sentinel_master("extra-group")["runid"], "it is known")
    assert ours.client.sentinel_remove("extra-group")
    assert "extra-group" not in ours.client.sentinel_masters()
    assert "extra-group" not in (ours.directory / "sentinel.conf").read_text()


def test_passwords_are_not_told(pair: Group) -> None:
    ours = pair.sentinels[1]
    events = pair.events(ours)
    ours.client.sentinel_set("mymaster", "auth-user", "")
    ours.client.sentinel_set("mymaster", "auth-pass", "secret")
    events.await_event("+set")
    assert events.await_event("+set").endswith("auth-pass ******")
    ours.client.sentinel_set("mymaster", "auth-pass", "")
