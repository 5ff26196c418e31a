"""Sets and sorted sets against Python's own, through the commands, in every form that they take."""

import math
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.engine import request
from tests.commands.node_of_one import NodeOfOne, encode
from tests.wire import parse

NAMES = st.one_of(
    st.integers(-40, 40).map(lambda n: str(n).encode()),
    st.sampled_from([b"", b"a", b"b", b"aa", b"\x00\xff", b"x" * 30, b"01"]),
)
SCORES = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([0.5, -2.25, math.inf, -math.inf]))
KEYS = st.sampled_from([b"p", b"q", b"r"])
LIMITS = st.sampled_from([0, 2, 8, 128])


def plain(value: Any) -> Any:
    """A parsed reply as lists, bytes and numbers."""
    items = getattr(value, "items", None)
    return [plain(item) for item in items] if isinstance(items, tuple) else value


class Asker(NodeOfOne):
    """Runs commands and parses their replies."""

    def ask(self, *words: bytes | str | int) -> Any:
        request.receive(self.session, encode(words))
        return plain(parse(self.session.take_output()))

    def thresholds(self, limit: int) -> None:
        self.engine.set_max_intset_entries = limit
        self.engine.set_max_listpack_entries = limit
        self.engine.set_max_listpack_value = 20
        self.engine.zset_max_listpack_entries = limit
        self.engine.zset_max_listpack_value = 20


SET_OPERATIONS = {"SUNIONSTORE": set.union, "SINTERSTORE": set.intersection, "SDIFFSTORE": set.difference}
SET_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["SADD", "SADD", "SREM", "SISMEMBER", "SPOP", *SET_OPERATIONS]),
        KEYS, KEYS, st.lists(NAMES, min_size=1, max_size=12),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(SET_STEPS, LIMITS)
def test_sets_are_as_those_of_python(steps: list[tuple[str, bytes, bytes, list[bytes]]], limit: int) -> None:
    node = Asker()
    node.thresholds(limit)
    empty = node.engine.used_bytes
    model: dict[bytes, set[bytes]] = {b"p": set(), b"q": set(), b"r": set()}
    for name, key, other, names in steps:
        mine = model[key]
        if name == "SADD":
            assert node.ask(name, key, *names) == len(set(names) - mine)
            mine.update(names)
        elif name == "SREM":
            assert node.ask(name, key, *names) == len(set(names) & mine)
            mine.difference_update(names)
        elif name == "SISMEMBER":
            assert node.ask(name, key, names[0]) == (names[0] in mine)
        elif name == "SPOP":
            popped = node.ask(name, key, len(names))
            assert len(popped) == min(len(names), len(mine))
            assert set(popped) <= mine
            mine.difference_update(popped)
        else:
            model[key] = SET_OPERATIONS[name](model[other], model[b"r"])
            assert node.ask(name, key, other, "r") == len(model[key])
        for each, members in model.items():
            assert node.ask("SCARD", each) == len(members)
            assert set(node.ask("SMEMBERS", each)) == members
    for each in model:
        node.ask("DEL", each)
    assert node.engine.used_bytes <= empty + 512


ZSET_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ZADD", "ZADD", "ZADD", "ZREM", "ZINCRBY", "ZPOPMIN", "ZPOPMAX", "ZREMRANGEBYRANK",
                         "ZREMRANGEBYSCORE", "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]),
        KEYS, KEYS, st.lists(st.tuples(SCORES, NAMES), min_size=1, max_size=12),
        st.integers(-5, 5), st.integers(-5, 5),
    ),
    max_size=25,
)  # fmt: skip


def in_order(model: dict[bytes, float]) -> list[tuple[bytes, float]]:
    return sorted(model.items(), key=lambda item: (item[1], item[0]))


def told(items: Iterable[tuple[bytes, float]]) -> list[tuple[bytes, float]]:
    return [(name, score) for name, score in items]


def pairs(reply: list[bytes]) -> list[tuple[bytes, float]]:
    return [(reply[i], float(reply[i + 1])) for i in range(0, len(reply), 2)]


def added(a: float, b: float) -> float:
    return 0.0 if math.isnan(a + b) else a + b


def apply_algebra(name: str, a: dict[bytes, float], b: dict[bytes, float]) -> dict[bytes, float]:
    if name == "ZDIFFSTORE":
        return {m: score for m, score in a.items() if m not in b}
    if name == "ZINTERSTORE":
        return {m: added(score, b[m]) for m, score in a.items() if m in b}
    return {m: added(a.get(m, 0), b.get(m, 0)) for m in a | b}


def check_questions(node: Asker, key: bytes, model: dict[bytes, float], first: int, last: int) -> None:
    """Every way to read a sorted set tells the same."""
    order = in_order(model)
    assert node.ask("ZCARD", key) == len(order)
    assert pairs(node.ask("ZRANGE", key, 0, -1, "WITHSCORES")) == told(order)
    assert pairs(node.ask("ZREVRANGE", key, 0, -1, "WITHSCORES")) == told(reversed(order))
    low, high = min(first, last) / 2, max(first, last) / 2
    found = [item for item in order if low < item[1] <= high]
    assert pairs(node.ask("ZRANGEBYSCORE", key, f"({low}", str(high), "WITHSCORES")) == found
    assert node.ask("ZCOUNT", key, f"({low}", str(high)) == len(found)
    some = found[::-1][1:3]
    assert pairs(node.ask("ZREVRANGEBYSCORE", key, str(high), f"({low}", "WITHSCORES", "LIMIT", 1, 2)) == some
    for rank, (name, score) in enumerate(order):
        assert node.ask("ZRANK", key, name) == rank
        assert node.ask("ZREVRANK", key, name) == len(order) - 1 - rank
        assert float(node.ask("ZSCORE", key, name)) == score


def slice_of_ranks(count: int, first: int, last: int) -> range:
    start = max(first + count if first < 0 else first, 0)
    stop = min(last + count if last < 0 else last, count - 1)
    return range(start, stop + 1)


@settings(max_examples=120, deadline=None)
@given(ZSET_STEPS, LIMITS)
def test_sorted_sets_are_as_sorted_items_of_a_dict(steps: list[Any], limit: int) -> None:
    node = Asker()
    node.thresholds(limit)
    empty = node.engine.used_bytes
    model: dict[bytes, dict[bytes, float]] = {b"p": {}, b"q": {}, b"r": {}}
    for name, key, other, items, first, last in steps:
        mine = model[key]
        order = in_order(mine)
        if name == "ZADD":
            fresh = {member for _, member in items} - mine.keys()
            assert node.ask(name, key, *[w for s, m in items for w in (repr(s).encode(), m)]) == len(fresh)
            mine.update({member: score for score, member in items})
        elif name == "ZREM":
            gone = {member for _, member in items} & mine.keys()
            assert node.ask(name, key, *[member for _, member in items]) == len(gone)
            for member in gone:
                del mine[member]
        elif name == "ZINCRBY":
            score, member = items[0]
            if not math.isnan(mine.get(member, 0) + score):
                assert float(node.ask(name, key, repr(score), member)) == mine.get(member, 0) + score
                mine[member] = mine.get(member, 0) + score
        elif name in ("ZPOPMIN", "ZPOPMAX"):
            popped = (order if name == "ZPOPMIN" else order[::-1])[: abs(first)]
            assert pairs(node.ask(name, key, abs(first))) == popped
            for member, _ in popped:
                del mine[member]
        elif name == "ZREMRANGEBYRANK":
            ranks = slice_of_ranks(len(order), first, last)
            assert node.ask(name, key, first, last) == len(ranks)
            for rank in ranks:
                del mine[order[rank][0]]
        elif name == "ZREMRANGEBYSCORE":
            gone = {member for member, score in order if first <= score <= last}
            assert node.ask(name, key, first, last) == len(gone)
            for member in gone:
                del mine[member]
        else:
            model[key] = apply_algebra(name, model[other], model[b"r"] if other != b"r" else model[b"q"])
            sources = (other, b"r" if other != b"r" else b"q")
            assert node.ask(name, key, 2, *sources) == len(model[key])
        check_questions(node, key, model[key], first, last)
    for each in model:
        node.ask("DEL", each)
    assert node.engine.used_bytes <= empty + 512


@settings(max_examples=100, deadline=None)
@given(st.sets(NAMES, max_size=30), NAMES, NAMES, st.booleans(), st.booleans(), LIMITS)
def test_ranges_of_names_are_as_comparing_them(
    names: set[bytes], low: bytes, high: bytes, low_open: bool, high_open: bool, limit: int
) -> None:
    node = Asker()
    node.thresholds(limit)
    for name in names:
        node.ask("ZADD", "z", 0, name)
    above = {name for name in names if low < name or (low == name and not low_open)}
    found = sorted(name for name in above if name < high or (name == high and not high_open))
    ends = (b"(" if low_open else b"[") + low, (b"(" if high_open else b"[") + high
    assert node.ask("ZRANGEBYLEX", "z", *ends) == found
    assert node.ask("ZREVRANGEBYLEX", "z", *ends[::-1]) == found[::-1]
    assert node.ask("ZLEXCOUNT", "z", *ends) == len(found)
    assert node.ask("ZREMRANGEBYLEX", "z", *ends) == len(found)
    assert node.ask("ZRANGE", "z", "-", "+", "BYLEX") == sorted(names - set(found))
