"""Routes by key prefix: a module whose servers fail leaves the others whole."""

from __future__ import annotations

import signal
import time

import pytest
import redis

from holdfast.proxy.config import BadFile, read
from tests.peers import free_port, require_peer, start_redis_server
from tests.proxy.peers import pool_text, proxy_process

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
