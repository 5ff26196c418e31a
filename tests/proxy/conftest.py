"""Fixtures of the proxy's tests: three redis-servers, and a proxy in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.peers import Peer, require_peer, running, start_redis_server
from tests.ports import free_port
from tests.proxy.peers import Process, pool_text, proxy_process
from tests.wire import WireClient


@dataclass
class Front:
    """A proxy process and what is behind it."""

    process: Process
    ports: dict[str, int]
    """Of its pools, by name."""
    backends: tuple[Peer, ...]
    stats_port: int

    def client(self, pool: str = "plain", timeout_seconds: float = 10.0) -> WireClient:
        """Connect to a pool."""
        return WireClient(self.ports[pool], timeout_seconds=timeout_seconds)

    def flush(self) -> None:
        """Empty the servers."""
        for each in self.backends:
            with_client = each.connect()
            with_client.command(b"FLUSHALL")
            with_client.close()

    def home(self, key: bytes) -> Peer:
        """Return the server that holds a key."""
        for each in self.backends:
            client = each.connect()
            found = client.value(b"EXISTS", key)
            client.close()
            if found:
                return each
        raise KeyError(key)


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[Peer, ...]]:
    """Three redis-servers."""
    require_peer("redis-server")
    with running(*(start_redis_server() for _ in range(3))) as peers:
        yield peers


@pytest.fixture(scope="session")
def running_front(servers: tuple[Peer, ...]) -> Iterator[Front]:
    """One proxy for all tests that do not stop it: pools plain, tagged, auth, two, many."""
    lines = [f"127.0.0.1:{each.port}:1" for each in servers]
    ports = {name: free_port() for name in ("plain", "tagged", "auth", "two", "lone")}
    stats_port = free_port()
    text = (
        pool_text("plain", ports["plain"], lines)
        + pool_text("tagged", ports["tagged"], lines, hash_tag='"{}"', hash="murmur")
        + pool_text("auth", ports["auth"], lines[:1], redis_auth="secret")
        + pool_text("two", ports["two"], lines, redis_db=2, server_connections=3, preconnect="true")
        + pool_text("lone", ports["lone"], lines[:1], hash_tag='"{}"')
    )
    with proxy_process(text, ports["lone"], stats_port=stats_port) as process:
        for each in ports.values():
            process.wait_for(each)
        yield Front(process, ports, servers, stats_port)


@pytest.fixture
def front(running_front: Front) -> Front:
    """The proxy, with empty servers behind it."""
    running_front.flush()
    return running_front
