"""Clients that take turns, and those who come between: the poller guesses, and nobody waits for that.

All of it at once asleep, and awake for as long as may be set: so the turns of a test fall into that time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from holdfast.server.poller import trust_after
from tests.server.running import serve
from tests.wire import WireClient, encode


@pytest.fixture(params=[0, 1000], ids=["asleep", "awake"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with serve(stay_awake_us=request.param) as server:
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


def test_who_waits_until_a_time_is_over_is_told_in_time_while_others_take_turns(port: int) -> None:
    with WireClient(port) as first, WireClient(port) as second, WireClient(port) as waits:
        waits.send(encode([b"BLPOP", b"nothing", b"0.05"]))
        told = threading.Thread(target=lambda: replies.append(waits.read()))
        replies: list[bytes] = []
        told.start()
        while not replies:
            assert first.command(b"PING") == b"+PONG\r\n"
            assert second.command(b"PING") == b"+PONG\r\n"
        told.join()
        assert replies == [b"*-1\r\n"]


def test_new_clients_come_in_while_one_sends_again_and_again(port: int) -> None:
    with WireClient(port) as busy:
        for number in range(50):
            for _ in range(20):
                assert busy.command(b"PING") == b"+PONG\r\n"
            with WireClient(port) as comes:
                assert comes.command(b"ECHO", b"%d" % number).endswith(b"%d\r\n" % number)


def test_how_long_it_stays_awake_is_set_while_it_runs(port: int) -> None:
    with WireClient(port) as client:
        for patience in (b"0", b"200", b"0"):
            assert client.command(b"CONFIG", b"SET", b"stay-awake-us", patience) == b"+OK\r\n"
            for _ in range(50):
                assert client.command(b"PING") == b"+PONG\r\n"
        assert client.command(b"CONFIG", b"SET", b"stay-awake-us", b"1001").startswith(b"-ERR")


def test_who_comes_at_once_four_times_in_five_keeps_the_trust() -> None:
    trust = 0
    for number in range(1000):
        trust = trust_after(trust, number < 40 or number % 5 != 0)
    assert trust > 0


def test_trust_begins_with_the_first_time() -> None:
    assert trust_after(0, True) > 0


def test_a_vain_wait_is_not_repeated_for_long() -> None:
    trust = waits = 0
    for _ in range(1000):  # who comes at once only if nobody stays awake, for both share a core
        waits += trust > 0
        trust = trust_after(trust, trust <= 0)
    assert 0 < waits < 20


def test_one_who_is_late_now_and_then_is_trusted_again() -> None:
    trust = trust_after(1, False)
    assert trust < 0
    for number in range(400):
        trust = trust_after(trust, number % 10 != 0)
    assert trust > 0
