"""Sets: what replicas and files are told, how many changes are counted, which events are published."""

import re

import pytest

from tests.commands.node_of_one import NodeOfOne


@pytest.fixture
def node() -> NodeOfOne:
    return NodeOfOne()


def members(node: NodeOfOne, key: str) -> set[str]:
    node.session.take_output()
    node.tell("SMEMBERS", key)
    return set(re.findall(r"\$\d+\r\n([^\r]*)\r\n", node.session.take_output().decode()))


def test_a_popped_member_propagates_as_its_removal(node: NodeOfOne) -> None:
    for values in (("a", "b", "c"), (1, 2, 3), tuple(f"m{i}" for i in range(200))):
        node.tell("DEL", "s")
        node.tell("SADD", "s", *values)
        before = members(node, "s")
        [effect] = node.tell("SPOP", "s")
        assert effect[:2] == ["SREM", "s"]
        assert before - members(node, "s") == set(effect[2:])


def test_the_last_member_popped_propagates_as_its_removal_too(node: NodeOfOne) -> None:
    node.tell("SADD", "s", "only")
    assert node.tell("SPOP", "s") == [["SREM", "s", "only"]]
    assert node.engine.key_count(0) == 0


def test_some_members_popped_propagate_as_removals_of_a_thousand_at_most(node: NodeOfOne) -> None:
    node.tell("SADD", "s", *[f"m{i}" for i in range(4000)])
    before = members(node, "s")
    effects = node.tell("SPOP", "s", 2500)
    assert [effect[0] for effect in effects] == ["MULTI", "SREM", "SREM", "SREM", "EXEC"]
    assert [len(effect) - 2 for effect in effects[1:-1]] == [1024, 1024, 452]
    gone = {name for effect in effects[1:-1] for name in effect[2:]}
    assert len(gone) == 2500
    assert members(node, "s") == before - gone


@pytest.mark.parametrize("values", [("a", "b"), (1, 2)])
def test_all_members_popped_propagate_as_deletion(node: NodeOfOne, values: tuple[object, ...]) -> None:
    node.tell("SADD", "s", *values)
    assert node.tell("SPOP", "s", 2) == [["DEL", "s"]]
    node.tell("SADD", "s", *values)
    node.engine.lazyfree_lazy_server_del = True
    assert node.tell("SPOP", "s", 9) == [["UNLINK", "s"]]


def test_what_changed_nothing_is_not_propagated(node: NodeOfOne) -> None:
    node.tell("SADD", "s", "a")
    node.tell("SADD", "t", "b")
    for command in (
        "SADD s a", "SREM s x", "SREM missing x", "SMOVE s t x", "SMOVE s s a", "SMOVE missing s a",
        "SPOP missing", "SPOP s 0", "SPOP missing 3", "SRANDMEMBER s", "SINTERSTORE d s t",
        "SUNIONSTORE d missing", "SDIFFSTORE d s s", "SINTER s t", "SSCAN s 0",
    ):  # fmt: skip
        assert node.tell(*command.split()) == [], command


def test_changes_are_counted_as_redis_counts_them(node: NodeOfOne) -> None:
    assert node.changes("SADD", "s", "a", "b", "c", "a") == 3
    assert node.changes("SREM", "s", "a", "x") == 1
    assert node.changes("SMOVE", "s", "t", "b") == 2
    assert node.changes("SADD", "s", "b") == 1
    assert node.changes("SMOVE", "s", "t", "b") == 1
    assert node.changes("SUNIONSTORE", "d", "s", "t") == 1
    assert node.changes("SINTERSTORE", "d", "s", "t") == 1
    assert node.changes("SADD", "p", 1, 2, 3, 4, 5) == 5
    assert node.changes("SPOP", "p") == 1
    assert node.changes("SPOP", "p", 2) == 2
    assert node.changes("SPOP", "p", 9) == 2


def test_a_store_of_nothing_deletes_the_destination_and_propagates_as_it_came(node: NodeOfOne) -> None:
    node.tell("SET", "d", "v")
    assert node.tell("SINTERSTORE", "d", "x", "y") == [["SINTERSTORE", "d", "x", "y"]]
    assert node.engine.key_count(0) == 0


@pytest.mark.parametrize("kind", ["numbers", "few", "many"])
def test_random_members_without_repetition_are_all_different(node: NodeOfOne, kind: str) -> None:
    values = {
        "numbers": list(range(300)),
        "few": [f"m{i}" for i in range(100)],
        "many": [f"m{i}" for i in range(3000)],
    }
    node.tell("SADD", "s", *values[kind])
    for count in (1, 7, len(values[kind]) // 2, len(values[kind]) - 1, len(values[kind]), 5000):
        node.session.take_output()
        node.tell("SRANDMEMBER", "s", count)
        drawn = re.findall(r"\$\d+\r\n([^\r]*)\r\n", node.session.take_output().decode())
        assert len(drawn) == len(set(drawn)) == min(count, len(values[kind]))
        assert set(drawn) <= {str(value) for value in values[kind]}


def test_every_member_is_drawn_sooner_or_later(node: NodeOfOne) -> None:
    for names in ([f"m{i}" for i in range(20)], list(range(20)), [f"m{i}" for i in range(150)]):
        node.tell("DEL", "s")
        node.tell("SADD", "s", *names)
        node.session.take_output()
        node.tell("SRANDMEMBER", "s", -20 * len(names) * 10)
        drawn = re.findall(r"\$\d+\r\n([^\r]*)\r\n", node.session.take_output().decode())
        assert set(drawn) == {str(name) for name in names}


def test_memory_returns_to_what_it_was(node: NodeOfOne) -> None:
    empty = node.engine.used_bytes
    node.tell("SADD", "i", *range(600))
    node.tell("SADD", "s", *[f"member-{i}" for i in range(3000)])
    node.tell("SADD", "p", "a", 1, "b")
    node.tell("SUNIONSTORE", "d", "i", "s", "p")
    node.tell("SUNION", "i", "s")
    node.tell("SDIFF", "d", "i", "s")
    node.tell("SINTERSTORE", "d", "d", "s")
    node.tell("SPOP", "d", 1500)
    for key in ("i", "s", "p", "d"):
        for _ in range(40):
            node.tell("SPOP", key, 97)
    assert node.engine.key_count(0) == 0
    assert node.engine.used_bytes <= empty + 1024
