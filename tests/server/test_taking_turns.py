"""Clients that take turns, and those who come between: the poller guesses, and nobody waits for that."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.server.running import serve
from tests.wire import WireClient, encode


@pytest.fixture
def port() -> Iterator[int]:
    with serve() as server:
        yield server.port


def test_whoever_comes_between_clients_that_take_turns_is_answered(port: int) -> None:
    with WireClient(port) as first, WireClient(port) as second, WireClient(port) as third:
        for number in range(200):
            assert first.command(b"INCR", b"n") == b":%d\r\n" % (number * 2 + 1)
            if number % 7 == 0:
                assert third.command(b"PING") == b"+PONG\r\n"
            assert second.command(b"INCR", b"n") == b":%d\r\n" % (number * 2 + 2)


def test_a_client_that_sends_without_pause_keeps_nobody_waiting(port: int) -> None:
    stop = threading.Event()
    batch = encode([b"SET", b"k", b"v"]) * 200

    def flood() -> None:
        with WireClient(port) as busy:
            while not stop.is_set():
                busy.send(batch)
                for _ in range(200):
                    busy.read()

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        with WireClient(port) as other:
            for _ in range(200):
                assert other.command(b"PING") == b"+PONG\r\n"
    finally:
        stop.set()
        flooding.join()


def test_a_client_that_leaves_while_its_turn_is_expected_is_gone(port: int) -> None:
    with WireClient(port) as stays:
        for _ in range(20):
            with WireClient(port) as leaves:
                for _ in range(4):
                    assert stays.command(b"PING") == b"+PONG\r\n"
                    assert leaves.command(b"PING") == b"+PONG\r\n"
            assert stays.command(b"PING") == b"+PONG\r\n"
        alone = (b"connected_clients:1\r\n" in stays.command(b"INFO", b"clients") for _ in range(100))
        assert any(alone), "a client that left is still counted after a hundred requests of another"
