"""Sorted sets: what replicas and files are told, how changes are counted, who is woken."""

import pytest

from holdfast.engine import request
from holdfast.engine.state import Session
from tests.commands.node_of_one import NodeOfOne, encode


class Inbox:
    """Takes what a session would send."""

    def flush(self) -> None:
        """Replies stay in the session."""


@pytest.fixture
def node() -> NodeOfOne:
    return NodeOfOne()


def waiting(node: NodeOfOne, *words: str | int) -> Session:
    """A second client that has sent a command which blocks."""
    session = Session(node.engine, Inbox())
    node.engine.sessions[session.id] = session
    request.receive(session, encode(words))
    assert session.take_output() == b""
    return session


def test_changes_are_counted_as_redis_counts_them(node: NodeOfOne) -> None:
    assert node.changes("ZADD", "z", 1, "a", 2, "b", 3, "c") == 3
    assert node.changes("ZADD", "z", 1, "a", 5, "b", 4, "d") == 2
    assert node.changes("ZADD", "z", "NX", 9, "a") == 0
    assert node.changes("ZADD", "z", "GT", 0, "a") == 0
    assert node.changes("ZINCRBY", "z", 1, "a") == 1
    assert node.changes("ZINCRBY", "z", 0, "a") == 0
    assert node.changes("ZREM", "z", "a", "x") == 1
    assert node.changes("ZPOPMIN", "z", 2) == 2
    assert node.changes("ZREMRANGEBYRANK", "z", 0, -1) == 1
    node.tell("ZADD", "y", 1, "a", 2, "b")
    assert node.changes("ZUNIONSTORE", "u", 1, "y") == 1
    assert node.changes("ZRANGESTORE", "r", "y", 0, -1) == 1
    assert node.changes("ZINTERSTORE", "u", 2, "y", "missing") == 1
    assert node.changes("ZINTERSTORE", "u", 2, "y", "missing") == 0


def test_commands_whose_outcome_is_certain_propagate_as_they_came(node: NodeOfOne) -> None:
    for command in (
        "ZADD z 1 a 2 b 3 c 4 d", "ZINCRBY z 1.5 a", "ZPOPMIN z", "ZPOPMAX z 1", "ZREM z c",
        "ZADD z 1 a 2 b 3 c", "ZREMRANGEBYSCORE z 1 2", "ZUNIONSTORE u 1 z WEIGHTS 2", "ZRANGESTORE r z 0 -1",
    ):  # fmt: skip
        assert node.tell(*command.split()) == [command.split()], command


def test_pops_from_the_first_key_propagate_as_a_pop_of_that_key(node: NodeOfOne) -> None:
    node.tell("ZADD", "z", 1, "a", 2, "b", 3, "c", 4, "d", 5, "e", 6, "f")
    assert node.tell("ZMPOP", 2, "missing", "z", "MIN") == [["ZPOPMIN", "z", "1"]]
    assert node.tell("BZPOPMIN", "missing", "z", 0) == [["ZPOPMIN", "z"]]
    assert node.tell("BZPOPMAX", "z", 0) == [["ZPOPMAX", "z"]]
    assert node.tell("BZMPOP", 0, 1, "z", "MAX", "COUNT", 2) == [["ZPOPMAX", "z", "2"]]
    assert node.tell("ZMPOP", 1, "z", "MAX", "COUNT", 9) == [["ZPOPMAX", "z", "1"]]
    assert node.engine.key_count(0) == 0


def test_a_waiting_client_gets_the_member_after_the_command_that_brought_it(node: NodeOfOne) -> None:
    for bring, key in (
        (("ZADD", "z", 2, "b", 1, "a"), "z"), (("ZINCRBY", "z", 1, "a"), "z"),
        (("ZUNIONSTORE", "z", 1, "source"), "z"), (("ZRANGESTORE", "z", "source", 0, -1), "z"),
    ):  # fmt: skip
        node.tell("DEL", "z")
        node.tell("ZADD", "source", 1, "a", 2, "b")
        client = waiting(node, "BZPOPMIN", "other", key, 0)
        effects = node.tell(*bring)
        assert effects == [[str(word) for word in bring], ["ZPOPMIN", "z"]]
        assert client.take_output() == b"*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n"


def test_clients_that_wait_are_served_first_come_first(node: NodeOfOne) -> None:
    first = waiting(node, "BZPOPMAX", "z", 0)
    second = waiting(node, "BZMPOP", 0, 2, "y", "z", "MIN", "COUNT", 5)
    node.tell("ZADD", "z", 1, "a", 2, "b", 3, "c")
    assert first.take_output() == b"*3\r\n$1\r\nz\r\n$1\r\nc\r\n$1\r\n3\r\n"
    assert second.take_output() == (
        b"*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
    )
    assert node.engine.key_count(0) == 0


def test_a_list_does_not_wake_who_waits_for_a_sorted_set(node: NodeOfOne) -> None:
    client = waiting(node, "BZPOPMIN", "k", 0)
    node.tell("RPUSH", "k", "x")
    assert client.take_output() == b""
    node.tell("DEL", "k")
    node.tell("ZADD", "k", 1, "a")
    assert client.take_output() == b"*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\n1\r\n"


def test_minus_zero_is_kept_by_the_tree_and_not_by_the_listpack(node: NodeOfOne) -> None:
    node.tell("ZADD", "small", "-0", "a")
    node.tell("ZADD", "large", "-0", "a", 1, "x" * 65)
    node.session.take_output()
    node.tell("ZSCORE", "small", "a")
    node.tell("ZSCORE", "large", "a")
    assert node.session.take_output() == b"$1\r\n0\r\n$2\r\n-0\r\n"


def test_memory_returns_to_what_it_was(node: NodeOfOne) -> None:
    empty = node.engine.used_bytes
    node.tell("ZADD", "large", *[word for i in range(3000) for word in (i * 7919 % 3001, f"member-{i}")])
    node.tell("ZADD", "small", 1, "a", 2.5, "b", "inf", "c")
    node.tell("SADD", "set", "a", "member-5")
    node.tell("ZUNIONSTORE", "u", 3, "large", "small", "set", "WEIGHTS", 1, 2, 3)
    for command in ("ZUNION 2 large small", "ZINTER 2 large set", "ZDIFF 2 u set", "ZDIFF 3 small u large"):
        node.tell(*command.split())
    node.tell("ZRANGESTORE", "r", "large", 100, 2000)
    node.tell("ZREMRANGEBYRANK", "large", 500, 2500)
    node.tell("ZREMRANGEBYSCORE", "r", "(5", 1500)
    for key in ("large", "small", "u", "r"):
        node.tell("ZPOPMAX", key, 10)
        node.tell("ZREMRANGEBYSCORE", key, "-inf", "+inf")
    node.tell("DEL", "set", "small")
    assert node.engine.key_count(0) == 0
    assert node.engine.used_bytes <= empty + 1024
