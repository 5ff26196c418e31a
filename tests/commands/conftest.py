"""A server for the tests of commands, and clients of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.peers import Peer, running, start_holdfast
from tests.wire import WireClient

Connect = Callable[[], WireClient]


@pytest.fixture(scope="package")
def peer() -> Iterator[Peer]:
    with running(start_holdfast("--busy-reply-threshold", "20")) as (server,):
        yield server


@pytest.fixture
def connect(peer: Peer) -> Iterator[Connect]:
    clients: list[WireClient] = []

    def new() -> WireClient:
        clients.append(peer.connect())
        return clients[-1]

    yield new
    for client in clients:
        client.close()
