"""Requests: whole, in parts, damaged, random. No socket: an engine, a session, bytes."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.commands import declare_all
from holdfast.engine import request
from holdfast.engine.state import Engine, Session
from tests.engine.client import DirectClient, encode

PIPELINE = b"".join(
    encode(words)
    for words in (
        [b"SET", b"a", b"1"],
        [b"GET", b"a"],
        [b"SET", b"binary", bytes(range(256))],
        [b"GET", b"binary"],
        [b"SET", b"", b""],
        [b"GET", b""],
        [b"ECHO", b"\r\n*1\r\n"],
        [b"NOSUCH", b"x"],
        [b"PING"],
    )
)


def whole() -> bytes:
    client = DirectClient()
    return client.send(PIPELINE)


def test_a_pipeline_is_answered_in_order() -> None:
    replies = whole()
    assert replies.startswith(b"+OK\r\n$1\r\n1\r\n+OK\r\n$256\r\n")
    assert replies.endswith(b"+PONG\r\n")


def test_replies_are_the_same_when_bytes_arrive_one_by_one() -> None:
    client = DirectClient()
    assert b"".join(client.send(PIPELINE[i : i + 1]) for i in range(len(PIPELINE))) == whole()


@given(cuts=st.lists(st.integers(0, len(PIPELINE)), max_size=8))
def test_replies_are_the_same_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    client = DirectClient()
    places = [0, *sorted(cuts), len(PIPELINE)]
    pieces = [PIPELINE[a:b] for a, b in pairwise(places)]
    assert b"".join(client.send(piece) for piece in pieces) == whole()


def test_a_long_array_received_in_small_parts_is_executed_once_and_right() -> None:
    client = DirectClient()
    words = [b"NOSUCH", *(b"%d" % i for i in range(5000))]
    message = encode(words)
    replies = b"".join(client.send(message[i : i + 997]) for i in range(0, len(message), 997))
    assert replies.startswith(b"-ERR unknown command 'NOSUCH', with args beginning with: '0' '1' ")
    assert replies.count(b"\r\n") == 1
    assert client.send(encode([b"PING"])) == b"+PONG\r\n"


def test_trailing_bytes_wait_for_the_rest_of_their_request() -> None:
    client = DirectClient()
    assert client.send(encode([b"PING"]) + b"*1\r\n$4\r\nPI") == b"+PONG\r\n"
    assert client.send(b"NG\r\n") == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"PING\r\n", b"+PONG\r\n"),
        (b"PING\n", b"+PONG\r\n"),
        (b"  ping  \r\n", b"+PONG\r\n"),
        (b"\r\n\r\nPING\r\n", b"+PONG\r\n"),
        (b'ECHO "a b\\x41\\n"\r\n', b"$5\r\na bA\n\r\n"),
        (b"ECHO 'it\\'s'\r\n", b"$4\r\nit's\r\n"),
        (b'ECHO ""\r\n', b"$0\r\n\r\n"),
    ],
)
def test_inline_requests_are_understood(line: bytes, reply: bytes) -> None:
    assert DirectClient().send(line) == reply


@pytest.mark.parametrize(
    ("request_bytes", "error"),
    [
        (b"*1\r\n:4\r\nPING\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n"),
        (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*2147483648\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$536870913\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$1x\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b'GET "a\r\n', b"-ERR Protocol error: unbalanced quotes in request\r\n"),
        (b"x" * 70000, b"-ERR Protocol error: too big inline request\r\n"),
        (b"*" + b"1" * 70000, b"-ERR Protocol error: too big mbulk count string\r\n"),
        (b"*1\r\n$" + b"1" * 70000, b"-ERR Protocol error: too big bulk count string\r\n"),
    ],
)
def test_a_malformed_request_gets_its_error_and_ends_that_session_alone(
    request_bytes: bytes, error: bytes
) -> None:
    client = DirectClient()
    other = client.another()
    assert client.send(encode([b"PING"]) + request_bytes) == b"+PONG\r\n" + error
    assert client.is_closing
    assert client.send(encode([b"PING"])) == b""
    assert other.send(encode([b"PING"])) == b"+PONG\r\n"


def test_a_null_array_and_an_empty_array_are_no_request() -> None:
    assert DirectClient().send(b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n") == b"+PONG\r\n"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_break_the_engine(noise: bytes) -> None:
    client = DirectClient()
    client.send(noise)
    assert client.another().send(encode([b"PING"])) == b"+PONG\r\n"
    assert client.engine.stat_unexpected_errors == 0


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_damaged_pipeline_never_breaks_the_engine(luck: random.Random) -> None:
    message = bytearray(PIPELINE)
    for _ in range(luck.randint(1, 6)):
        place = luck.randrange(len(message))
        if luck.random() < 0.5:
            message[place] = luck.randrange(256)
        else:
            del message[place : place + luck.randint(1, 9)]
    client = DirectClient()
    client.send(bytes(message))
    assert client.another().send(encode([b"PING"])) == b"+PONG\r\n"
    assert client.engine.stat_unexpected_errors == 0


def test_a_session_that_may_not_run_keeps_its_requests_for_later() -> None:
    """A client that sends and never reads: execution stops while its replies wait."""
    client = DirectClient()
    client.send(encode([b"SET", b"big", b"x" * 100_000]))
    engine = client.engine
    session = Session(engine)
    request.receive(session, encode([b"GET", b"big"]) * 100)
    waiting = session.output_bytes
    assert 1_000_000 < waiting < 1_300_000
    assert session.input_bytes > 0


def test_an_engine_gives_back_all_its_memory() -> None:
    engine = Engine(seed=1)
    declare_all(engine)
    empty = engine.used_bytes
    client = DirectClient(engine)
    for i in range(2000):
        client.send(encode([b"SET", b"key:%d" % i, b"v" * (i % 300)]))
    assert engine.used_bytes > empty + 2000 * 60
    if client.send(encode([b"FLUSHALL"])) == b"+OK\r\n":
        assert engine.used_bytes == empty
