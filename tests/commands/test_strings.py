"""Strings and bits: what replicas and files are told, and how many changes are counted."""

import pytest

from tests.commands.node_of_one import START_MS, NodeOfOne


@pytest.fixture
def node() -> NodeOfOne:
    return NodeOfOne()


@pytest.mark.parametrize(
    ("command", "at_ms"),
    [
        ("SET k v EX 10", START_MS + 10_000),
        ("SET k v px 10", START_MS + 10),
        ("SET k v EXAT 33177117420", 33177117420000),
        ("SET k v NX GET EX 10", START_MS + 10_000),
        ("SETEX k 10 v", START_MS + 10_000),
        ("PSETEX k 10 v", START_MS + 10),
    ],
)
def test_an_expiry_propagates_as_a_moment(node: NodeOfOne, command: str, at_ms: int) -> None:
    assert node.tell(*command.split()) == [["SET", "k", "v", "PXAT", str(at_ms)]]


def test_a_plain_set_propagates_as_it_came(node: NodeOfOne) -> None:
    assert node.tell("sEt", "k", "v") == [["sEt", "k", "v"]]
    assert node.tell("SET", "k", "v", "KEEPTTL") == [["SET", "k", "v", "KEEPTTL"]]
    assert node.tell("MSET", "a", 1, "b", 2) == [["MSET", "a", "1", "b", "2"]]
    assert node.tell("APPEND", "a", "x") == [["APPEND", "a", "x"]]


def test_set_propagates_without_get(node: NodeOfOne) -> None:
    assert node.tell("SET", "k", "v", "get", "NX", "GET") == [["SET", "k", "v", "NX"]]


def test_what_changed_nothing_is_not_propagated(node: NodeOfOne) -> None:
    node.tell("SET", "k", "v")
    for command in (
        "SET k w NX", "SET other w XX", "SETNX k w", "MSETNX other 1 k 2", "GETDEL other", "GETEX k",
        "GETEX k PERSIST",
        "SETRANGE other 3", "INCR k", "INCRBYFLOAT k 1", "GETRANGE k 0 1", "BITOP AND other missing",
        "BITFIELD k OVERFLOW FAIL INCRBY u2 0 100", "BITFIELD k GET u8 0", "SETBIT k 0 0", "SETEX k 0 v",
    ):  # fmt: skip
        words = [*command.split(), ""] if command.startswith("SETRANGE") else command.split()
        assert node.tell(*words) == [], command


def test_getex_propagates_the_moment_or_its_end(node: NodeOfOne) -> None:
    node.tell("SET", "k", "v")
    assert node.tell("GETEX", "k", "EX", 10) == [["PEXPIREAT", "k", str(START_MS + 10_000)]]
    assert node.tell("GETEX", "k", "PERSIST") == [["PERSIST", "k"]]
    assert node.tell("GETEX", "k", "PERSIST") == []
    assert node.tell("GETEX", "k", "PXAT", 1) == [["DEL", "k"]]
    assert node.tell("GETEX", "k", "PXAT", 1) == []


def test_getex_of_the_past_propagates_as_unlink_when_expiry_frees_lazily(node: NodeOfOne) -> None:
    node.engine.lazyfree_lazy_expire = True
    node.tell("SET", "k", "v")
    assert node.tell("GETEX", "k", "EXAT", 1) == [["UNLINK", "k"]]


def test_getset_and_getdel_propagate_as_set_and_del(node: NodeOfOne) -> None:
    assert node.tell("GETSET", "k", "v") == [["SET", "k", "v"]]
    assert node.tell("GETDEL", "k") == [["DEL", "k"]]


def test_a_sum_of_decimals_propagates_as_its_outcome(node: NodeOfOne) -> None:
    node.tell("SET", "k", "10.5")
    assert node.tell("INCRBYFLOAT", "k", "0.1") == [["SET", "k", "10.6", "KEEPTTL"]]


def test_a_set_in_the_past_leaves_a_key_that_has_expired(node: NodeOfOne) -> None:
    assert node.tell("SET", "k", "v", "PXAT", 1) == [["SET", "k", "v", "PXAT", "1"]]
    assert node.engine.key_count(0) == 1
    node.tell("GET", "k")
    assert node.engine.key_count(0) == 0


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("SET k 1", 1),
        ("MSET a 1 b 2 a 3", 3),
        ("MSETNX a 1 b 2", 2),
        ("APPEND k v", 1),
        ("SETBIT k 7 0", 1),
        ("BITFIELD k SET u8 0 1 SET u8 8 0 GET u8 0", 2),
        ("BITFIELD k INCRBY u8 0 0", 1),
        ("SETRANGE k 3 v", 1),
        ("INCRBYFLOAT k 1", 1),
    ],
)
def test_changes_are_counted(node: NodeOfOne, command: str, count: int) -> None:
    assert node.changes(*command.split()) == count


def test_a_bit_that_stays_is_no_change(node: NodeOfOne) -> None:
    node.tell("SETBIT", "k", 7, 1)
    assert node.changes("SETBIT", "k", 7, 1) == 0
    assert node.changes("BITFIELD", "k", "SET", "u8", 0, 1) == 0
    assert node.changes("BITFIELD", "k", "SET", "u8", 0, 2) == 1


def test_a_pipeline_cut_anywhere_does_the_same(node: NodeOfOne) -> None:
    """Requests cut ahead and requests that wait for their rest are executed in order."""
    from holdfast.engine import request
    from tests.commands.node_of_one import encode

    commands = [("SET", f"key:{n % 7}", "x" * (n % 40)) for n in range(40)]
    commands.append(("APPEND", "key:1", "y" * 20_000))
    commands += [("INCR", "n")] * 20
    stream = b"".join(encode(command) for command in commands)
    for cut in range(0, len(stream), 97):
        other = NodeOfOne()
        request.receive(other.session, stream[:cut])
        request.receive(other.session, stream[cut:])
        assert [command[0] for command in other.take()] == [command[0] for command in commands]
        assert other.session.input_bytes == 0


@pytest.mark.parametrize("number", ["007", "+1", "1 ", "", "0x1", "-1"])
def test_a_length_that_redis_refuses_closes_the_connection_after_earlier_requests(number: str) -> None:
    from holdfast.engine import request
    from tests.commands.node_of_one import encode

    node = NodeOfOne()
    request.receive(node.session, encode(("SET", "a", 1)) + f"*2\r\n${number}\r\nGET\r\n$1\r\na\r\n".encode())
    assert node.take() == [["SET", "a", "1"]]
    request.receive(node.session, encode(("SET", "a", 2)))
    assert node.take() == []
