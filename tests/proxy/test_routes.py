"""Routes by key prefix: a module whose servers fail leaves the others whole."""

from __future__ import annotations

import signal
import time

import pytest
import redis

from holdfast.proxy.config import BadFile, read
from tests.peers import require_peer, start_redis_server
from tests.ports import free_port
from tests.proxy.clusters import cluster, cluster_pool
from tests.proxy.groups import sentinel_pool, write_past, writers
from tests.proxy.peers import pool_text, proxy_process
from tests.sentinel.group import group

MODULES = ("users", "carts", "rest")


def front_text(port: int) -> str:
    """Return the section of the routes."""
    lines = [f"front:\n  listen: 127.0.0.1:{port}\n  redis: true\n  routes:"]
    return "\n".join([*lines, '   - "user: users"', '   - "cart: carts"', '   - "* rest"']) + "\n"


def worst_ms(client: redis.Redis, key: str, count: int = 200) -> float:
    """Return the longest of many answers."""
    worst = 0.0
    for _ in range(count):
        begun = time.monotonic()
        client.incr(key)
        worst = max(worst, (time.monotonic() - begun) * 1000)
    return worst


@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_a_module_that_fails_leaves_the_others_whole(fault: str) -> None:
    require_peer("redis-server")
    port = free_port()
    servers = [start_redis_server("--save", "") for _ in MODULES]
    try:
        text = front_text(port)
        for name, server in zip(MODULES, servers, strict=True):
            text += pool_text(name, free_port(), [f"127.0.0.1:{server.port}:1"], timeout=300)
        with proxy_process(text, port):
            client = redis.Redis(port=port, socket_timeout=20, decode_responses=True)
            other = redis.Redis(port=port, socket_timeout=20, decode_responses=True)
            assert client.mset({"user:1": "u", "cart:1": "c", "x": "r"})
            assert client.mget("user:1", "x", "cart:1") == ["u", "r", "c"]
            homes = [server.connect() for server in servers]
            assert [home.value(b"DBSIZE") for home in homes] == [1, 1, 1]
            assert client.dbsize() == 3
            with pytest.raises(redis.RedisError, match="same server"):
                client.rename("user:1", "cart:1")
            servers[0].process.send_signal(signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
            with pytest.raises(redis.RedisError):
                other.get("user:1")
            assert worst_ms(client, "cart:n") < 300
            assert worst_ms(client, "y") < 300
            with pytest.raises(redis.RedisError):
                other.get("user:1")
            assert client.get("cart:1") == "c"
    finally:
        for server in servers:
            server.process.send_signal(signal.SIGCONT)
            server.stop()


def test_a_route_leads_to_a_pool_that_is_there() -> None:
    with pytest.raises(BadFile, match="no pool"):
        read(front_text(1234) + pool_text("users", 1235, ["127.0.0.1:1:1"]))


def test_routes_lead_to_pools_of_every_kind_and_a_reload_keeps_clients() -> None:
    port, cluster_port, group_port = free_port(), free_port(), free_port()
    with cluster("redis") as shop, group() as users:
        users.add_node().wait_ready()
        sentinel = users.add_sentinel("redis", quorum=1)
        sentinel.wait_ready()
        front = f"front:\n  listen: 127.0.0.1:{port}\n  redis: true\n  routes:\n"
        front += '   - "user: cache"\n   - "* shop"\n'
        sections = [
            sentinel_pool(group_port, [sentinel.port]),
            cluster_pool(cluster_port, [shop.nodes[0].port]),
        ]
        with proxy_process(front + "".join(sections), port) as proxy:
            client = redis.Redis(port=port, decode_responses=True, socket_timeout=20)
            keys = ["user:1", "user:2", *(f"k{number}" for number in range(20))]
            assert client.mset({key: key for key in keys})
            assert client.mget(keys) == keys
            assert users.nodes[0].client.dbsize() == 2
            assert sum(each.client.dbsize() for each in shop.nodes) == 20
            assert client.dbsize() == 22
            assert sorted(client.scan_iter()) == sorted(keys)
            assert client.execute_command("PROXY RELOAD")
            with writers(port) as wrote:
                for hold_ms in (5000, 6000):
                    changed = sentinel_pool(group_port, [sentinel.port], failover__hold__ms=hold_ms)
                    changed += cluster_pool(cluster_port, [shop.nodes[1].port], failover__hold__ms=hold_ms)
                    (proxy.directory / "proxy.yml").write_text(front + changed)
                    assert client.execute_command("PROXY RELOAD")
                    write_past(wrote)
            assert [each.errors for each in wrote] == [[], [], []]
            assert client.mget(keys) == keys
