"""Clients that follow redirections, on a cluster of ours.

redis-py, ioredis, redis-cli -c, redis-benchmark --cluster; and what a client sees when slots move.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio.cluster
from redis.cluster import LoadBalancingStrategy, RedisCluster

from tests.cluster.processes import OURS, Cluster, until
from tests.peers import IOREDIS, Peer, require_ioredis, require_peer
from tests.ports import free_port
from tests.wire import Failure, Group, WireClient

RUN_LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three primaries of ours with a replica each."""
    made = Cluster(tmp_path_factory.mktemp("clients"), [OURS] * 3, [OURS] * 3, 4000)
    try:
        made.join()
        yield made
    finally:
        made.close()


def run(*words: object, typed: str = "") -> str:
    """Run a program; return what it printed."""
    done = subprocess.run(
        [str(word) for word in words], input=typed, capture_output=True, text=True, timeout=RUN_LIMIT_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_redis_py_finds_every_key(cluster: Cluster) -> None:
    for protocol in (2, 3):
        with RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port, protocol=protocol) as client:
            for number in range(100):
                assert client.set(f"py:{number}", number)
            assert [client.get(f"py:{number}") for number in range(100)] == [b"%d" % n for n in range(100)]
            assert client.mget_nonatomic([f"py:{number}" for number in range(5)]) == [
                b"0",
                b"1",
                b"2",
                b"3",
                b"4",
            ]
            with client.pipeline() as pipeline:
                for number in range(100):
                    pipeline.incr(f"py:{number}")
                assert pipeline.execute() == list(range(1, 101))
            with pytest.raises(redis.exceptions.RedisClusterException):
                client.sunion("py:a", "py:b")
            assert client.register_script("return redis.call('GET', KEYS[1])")(keys=["py:1"]) == b"2"
            assert len(list(client.scan_iter("py:*"))) == 100
            assert client.delete(*[f"py:{number}" for number in range(100)]) == 100


def test_redis_py_asyncio_reads_from_replicas(cluster: Cluster) -> None:
    async def play() -> None:
        async with redis.asyncio.cluster.RedisCluster(
            host="127.0.0.1",
            port=cluster.nodes[0].port,
            load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN_REPLICAS,
        ) as client:
            assert await client.set("async", "x")
            replica = next(each for each in cluster.replicas if "async" in _keys(each.port))
            for _ in range(4):
                assert await client.get("async") == b"x"
            with redis.Redis(port=replica.port) as direct:
                with pytest.raises(redis.exceptions.MovedError):
                    direct.get("async")
                assert direct.readonly()
            assert await client.delete("async") == 1

    asyncio.run(play())


def _keys(port: int) -> list[str]:
    """The keys that a node holds, asked until it has some (a replica may be behind)."""
    with redis.Redis(port=port, decode_responses=True) as client:
        found: list[str] = client.keys("*")
        return found


def test_ioredis_finds_every_key(cluster: Cluster) -> None:
    assert run(require_ioredis(), IOREDIS / "cluster.js", cluster.nodes[0].port).strip() == "ok"


def test_redis_cli_follows_redirections(cluster: Cluster) -> None:
    require_peer("redis-cli")
    port = cluster.nodes[0].port
    commands = "".join(f"SET cli:{number} {number}\nGET cli:{number}\n" for number in range(20))
    text = run("redis-cli", "-c", "-p", port, typed=commands)
    assert [line for line in text.splitlines() if line.isdigit()] == [str(number) for number in range(20)]
    assert "MOVED" in run("redis-cli", "-p", port, typed=commands)
    run("redis-cli", "-c", "-p", port, typed="".join(f"DEL cli:{number}\n" for number in range(20)))


def test_redis_benchmark_loads_all_primaries(cluster: Cluster) -> None:
    require_peer("redis-benchmark")
    text = run(
        "redis-benchmark", "--cluster", "-p", cluster.nodes[0].port, "-t", "set,get,lpush,mset", "-n", 3000,
        "-c", 12, "-P", 4, "-r", 100, "-q",
    )  # fmt: skip
    assert "Cluster has 3 master nodes" in text
    assert "Error" not in text
    assert all(each.client.dbsize() > 0 for each in cluster.primaries)
    for each in cluster.primaries:
        each.client.flushall()


def test_a_message_reaches_all_nodes_and_a_shard_message_its_shard(cluster: Cluster) -> None:
    far = cluster.replicas[2]
    with WireClient(far.port) as everywhere, WireClient(cluster.primaries[0].port) as sender:
        everywhere.command(b"SUBSCRIBE", b"news")
        sender.command(b"PUBLISH", b"news", b"hello")
        assert everywhere.read_value() == Group("*", (b"message", b"news", b"hello"))
    channel = _channel_of(cluster, 0)
    with WireClient(cluster.replicas[0].port) as inside, WireClient(far.port) as outside:
        inside.command(b"SSUBSCRIBE", channel)
        moved = outside.value(b"SSUBSCRIBE", channel)
        assert isinstance(moved, Failure) and moved.text.startswith(b"MOVED")
        cluster.primaries[0].client.execute_command("SPUBLISH", channel, "hello")
        assert inside.read_value() == Group("*", (b"smessage", channel, b"hello"))


def _channel_of(cluster: Cluster, number: int) -> bytes:
    """A channel whose slot a primary has."""
    share = 16384 // len(cluster.primaries)
    for tried in range(1000):
        slot = int(cluster.nodes[0].cluster("KEYSLOT", f"channel:{tried}"))
        if slot // share == number:
            return b"channel:%d" % tried
    raise AssertionError("no such channel")


def test_a_client_that_waits_is_sent_after_its_slot(cluster: Cluster) -> None:
    away, here, _ = cluster.primaries
    key = _channel_of(cluster, 0)
    slot = int(away.cluster("KEYSLOT", key.decode()))
    with WireClient(away.port) as waiting:
        waiting.send(b"BLPOP %b 0\r\n" % key)
        until(lambda: away.client.info("clients")["blocked_clients"] == 1, "the client waits")
        here.cluster("SETSLOT", slot, "IMPORTING", away.id)
        for each in (here, away, cluster.primaries[2]):
            each.cluster("SETSLOT", slot, "NODE", here.id)
        assert waiting.read() == b"-MOVED %d 127.0.0.1:%d\r\n" % (slot, here.port)
        away.cluster("SETSLOT", slot, "IMPORTING", here.id)
        for each in (away, here, cluster.primaries[2]):
            each.cluster("SETSLOT", slot, "NODE", away.id)
    until(lambda: all(each.state() == "ok" for each in cluster.nodes), "the slot is back")


def test_redis_cli_sets_the_timeout_of_all_nodes(tmp_path: Path) -> None:
    require_peer("redis-cli")
    port = free_port(with_bus=True)
    path = tmp_path / "redis.conf"
    path.write_text(f'port {port}\ncluster-enabled yes\ndir {tmp_path}\nsave ""\n')
    command = [sys.executable, "-m", "holdfast.cli.server", str(path)]
    with Peer(command, port, tmp_path) as node:
        node.wait_until_ready()
        client = redis.Redis(port=port, decode_responses=True)
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        run("redis-cli", "--cluster", "set-timeout", f"127.0.0.1:{port}", 1234)
        assert client.config_get("cluster-node-timeout") == {"cluster-node-timeout": "1234"}
        assert "cluster-node-timeout 1234" in path.read_text()
