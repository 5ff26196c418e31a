"""Clients that wait for lists: who is served, in which order, and what replicas hear of it."""

from __future__ import annotations

import pytest

from holdfast.engine import blocking, effects
from tests.engine.client import DirectClient, encode

BLOCKED = 1 << 2


def heard(client: DirectClient) -> list[list[str]]:
    """Return the effects since the last time as lists of words, SELECT left out."""
    words = (effects.take_stream(client.engine) or b"").decode("latin-1").split("\r\n")
    commands = []
    at = 0
    while at < len(words) - 1:
        count = int(words[at][1:])
        commands.append(words[at + 2 : at + 2 + 2 * count : 2])
        at += 1 + 2 * count
    return [command for command in commands if command[0] != "SELECT"]


def pair(key: str, value: str) -> bytes:
    """Return the reply of BLPOP."""
    return encode([key.encode(), value.encode()])


def waits(client: DirectClient) -> bool:
    return bool(client.session.flags & BLOCKED)


@pytest.fixture
def main() -> DirectClient:
    client = DirectClient()
    client.engine.stream_on = True
    return client


def test_clients_of_one_key_are_served_first_come_first_served(main: DirectClient) -> None:
    first, second, third = main.another(), main.another(), main.another()
    for client in (first, second, third):
        assert client.call("BLPOP", "q", 0) == b""
    assert main.call("RPUSH", "q", "a", "b") == b":2\r\n"
    assert [client.read() for client in (first, second, third)] == [pair("q", "a"), pair("q", "b"), b""]
    assert heard(main) == [["RPUSH", "q", "a", "b"], ["LPOP", "q"], ["LPOP", "q"]]
    assert waits(third) and not waits(first)


def test_a_client_of_several_keys_is_served_once_and_keeps_its_place_nowhere(main: DirectClient) -> None:
    waiting, later = main.another(), main.another()
    waiting.call("BRPOP", "a", "b", "a", 0)
    later.call("BRPOP", "a", 0)
    main.call("RPUSH", "b", "1")
    assert waiting.read() == pair("b", "1")
    main.call("RPUSH", "a", "2")
    assert (waiting.read(), later.read()) == (b"", pair("a", "2"))
    assert main.engine.blocked_keys == {}


def test_the_first_key_of_the_request_wins_whatever_was_pushed_first(main: DirectClient) -> None:
    waiting = main.another()
    waiting.call("BLPOP", "k1", "k2", 0)
    main.call("MULTI")
    main.call("RPUSH", "k2", "second")
    main.call("RPUSH", "k1", "first")
    main.call("EXEC")
    assert waiting.read() == pair("k1", "first")


def test_what_a_request_took_away_again_wakes_nobody(main: DirectClient) -> None:
    mover, waiting = main.another(), main.another()
    waiting.call("BLPOP", "through", 0)
    mover.call("BLMOVE", "source", "source", "LEFT", "RIGHT", 0)
    main.call("RPUSH", "source", "v")
    assert mover.read() == b"$1\r\nv\r\n"
    assert waits(waiting) and waiting.read() == b""


def test_a_chain_of_moves_is_followed_to_its_end(main: DirectClient) -> None:
    one, two, last = main.another(), main.another(), main.another()
    last.call("BLPOP", "c", 0)
    two.call("BRPOPLPUSH", "b", "c", 0)
    one.call("BLMOVE", "a", "b", "LEFT", "RIGHT", 0)
    main.call("RPUSH", "a", "v")
    assert [client.read() for client in (one, two, last)] == [b"$1\r\nv\r\n", b"$1\r\nv\r\n", pair("c", "v")]
    assert heard(main) == [
        ["RPUSH", "a", "v"],
        ["LMOVE", "a", "b", "LEFT", "RIGHT"],
        ["RPOPLPUSH", "b", "c"],
        ["LPOP", "c"],
    ]
    assert main.engine.key_count(0) == 0


def test_all_who_wait_for_a_key_come_before_those_of_a_key_that_one_of_them_fills(main: DirectClient) -> None:
    mover, second, end = main.another(), main.another(), main.another()
    end.call("BLPOP", "dst", 0)
    mover.call("BLMOVE", "src", "dst", "LEFT", "LEFT", 0)
    second.call("BLPOP", "src", 0)
    main.call("RPUSH", "src", "1", "2")
    assert heard(main)[1:] == [["LMOVE", "src", "dst", "LEFT", "LEFT"], ["LPOP", "src"], ["LPOP", "dst"]]
    assert (second.read(), end.read()) == (pair("src", "2"), pair("dst", "1"))


def test_a_key_of_another_type_leaves_the_client_waiting(main: DirectClient) -> None:
    waiting = main.another()
    waiting.call("BLPOP", "k", 0)
    main.call("HSET", "k", "f", "v")
    assert waits(waiting) and waiting.read() == b""
    main.call("HDEL", "k", "f")
    main.call("RPUSH", "k", "v")
    assert waiting.read() == pair("k", "v")


def test_a_destination_of_the_wrong_type_is_an_error_and_keeps_the_element(main: DirectClient) -> None:
    waiting = main.another()
    waiting.call("BLMOVE", "a", "wrong", "LEFT", "LEFT", 0)
    main.call("SET", "wrong", "text")
    main.call("RPUSH", "a", "v")
    assert waiting.read().startswith(b"-WRONGTYPE")
    assert not waits(waiting)
    assert main.call("LRANGE", "a", 0, -1) == encode([b"v"])


def test_blmpop_takes_several_and_propagates_how_many(main: DirectClient) -> None:
    waiting = main.another()
    waiting.call("BLMPOP", 0, 2, "a", "b", "RIGHT", "COUNT", 5)
    main.call("RPUSH", "b", "1", "2")
    assert waiting.read() == b"*2\r\n$1\r\nb\r\n" + encode([b"2", b"1"])
    assert heard(main)[1:] == [["RPOP", "b", "2"]]


@pytest.mark.parametrize(
    "words",
    [
        ("BLPOP", "k", "0.5"),
        ("BLMOVE", "k", "d", "LEFT", "LEFT", "0.5"),
        ("BRPOPLPUSH", "k", "d", "0.5"),
        ("BLMPOP", "0.5", "1", "k", "LEFT"),
    ],
)
def test_a_wait_ends_at_its_time_with_a_null_array(main: DirectClient, words: tuple[str, ...]) -> None:
    waiting = main.another()
    now = main.engine.now_ms
    assert waiting.call(*words) == b""
    assert blocking.next_deadline_ms(main.engine) == now + 500
    main.engine.set_time(now + 499)
    blocking.expire_parked(main.engine)
    assert waits(waiting)
    main.engine.set_time(now + 500)
    blocking.expire_parked(main.engine)
    assert waiting.read() == b"*-1\r\n"
    assert blocking.next_deadline_ms(main.engine) is None
    main.call("RPUSH", "k", "v")
    assert main.call("LLEN", "k") == b":1\r\n"


def test_what_a_client_sent_while_it_waited_runs_after_its_wait(main: DirectClient) -> None:
    waiting = main.another()
    waiting.call("BLPOP", "k", "0.5")
    waiting.send(encode([b"RPUSH", b"k", b"own"]) + encode([b"LLEN", b"k"]))
    assert waiting.read() == b""
    main.engine.set_time(main.engine.now_ms + 500)
    blocking.expire_parked(main.engine)
    assert waiting.read() == b"*-1\r\n:1\r\n:1\r\n"


def test_unblock_answers_as_a_timeout_or_as_an_error(main: DirectClient) -> None:
    polite, rude = main.another(), main.another()
    polite.call("BLPOP", "k", 0)
    rude.call("BLPOP", "k", 0)
    assert blocking.unblock(polite.session) and blocking.unblock(rude.session, True)
    assert not blocking.unblock(rude.session)
    assert polite.read() == b"*-1\r\n"
    assert rude.read() == b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"
    main.call("RPUSH", "k", "v")
    assert main.call("LLEN", "k") == b":1\r\n"


def test_a_client_that_went_is_not_served(main: DirectClient) -> None:
    gone, next_one = main.another(), main.another()
    gone.call("BLPOP", "k", 0)
    next_one.call("BLPOP", "k", 0)
    blocking.abandon(gone.session)
    main.call("RPUSH", "k", "v")
    assert next_one.read() == pair("k", "v")


def test_a_node_that_became_a_replica_sends_waiting_clients_away(main: DirectClient) -> None:
    waiting = main.another()
    waiting.call("BLPOP", "k", 0)
    blocking.refuse_parked(main.engine)
    assert waiting.read().startswith(b"-UNBLOCKED force unblock")
    assert waiting.is_closing
    assert main.engine.blocked_keys == {}


def test_deadlines_of_clients_that_were_served_do_not_pile_up(main: DirectClient) -> None:
    waiting = main.another()
    for _ in range(3000):
        waiting.call("BLPOP", "k", 1000)
        main.call("RPUSH", "k", "v")
        assert waiting.read() == pair("k", "v")
    assert len(main.engine.deadlines) <= 1025


def test_many_waiting_clients_cost_a_push_nothing(main: DirectClient) -> None:
    clients = [main.another() for _ in range(2000)]
    for client in clients:
        client.call("BLPOP", "k", 0)
    for number, client in enumerate(clients):
        main.call("RPUSH", "k", number)
        assert client.read() == pair("k", str(number))
