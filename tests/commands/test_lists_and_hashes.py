"""Lists and hashes against Python's own, in all their forms; effects, counted changes; memory comes back."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands.node_of_one import take_effects
from tests.engine.client import DirectClient, encode

TEXTS = st.one_of(
    st.sampled_from([b"", b"a", b"b", b"12", b"-1", b"007", b"x" * 64, b"y" * 65]),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: b"%d" % number),
    st.binary(max_size=40),
    st.integers(100, 9000).map(lambda size: b"z" * size),
)
FIELDS = st.one_of(
    st.integers(0, 30).map(lambda n: b"f%d" % n), st.integers(-5, 300).map(lambda n: b"%d" % n)
)
INDEXES = st.integers(-12, 12)


def bulks(items: Iterable[bytes]) -> bytes:
    return encode(items)


def node(list_size: int = -2, compress: int = 0) -> DirectClient:
    client = DirectClient()
    client.engine.list_max_listpack_size = list_size
    client.engine.list_compress_depth = compress
    client.engine.hash_max_listpack_entries = 8
    return client


def stream(client: DirectClient, *words: bytes | str | int) -> list[list[str]]:
    """Run one command and return what replicas hear, SELECT left out."""
    client.call(*words)
    return take_effects(client.engine)


LIST_STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["LPUSH", "RPUSH"]), st.lists(TEXTS, min_size=1, max_size=6)),
        st.tuples(st.sampled_from(["LPOP", "RPOP"]), st.integers(0, 5)),
        st.tuples(st.just("LSET"), INDEXES, TEXTS),
        st.tuples(st.just("LINSERT"), st.sampled_from(["BEFORE", "AFTER"]), TEXTS, TEXTS),
        st.tuples(st.just("LREM"), st.integers(-3, 3), TEXTS),
        st.tuples(st.just("LTRIM"), INDEXES, INDEXES),
        st.tuples(st.just("LRANGE"), INDEXES, INDEXES),
        st.tuples(st.just("ROTATE"), st.booleans(), st.booleans()),
    ),
    max_size=40,
)


def between(model: list[bytes], first: int, last: int) -> list[bytes]:
    """Return what LRANGE means."""
    first = max(first + len(model) if first < 0 else first, 0)
    last = last + len(model) if last < 0 else last
    return model[first : last + 1] if last >= 0 else []


def play(client: DirectClient, model: list[bytes], step: tuple) -> None:  # type: ignore[type-arg]
    name, *rest = step
    if name in ("LPUSH", "RPUSH"):
        texts = rest[0]
        model[:] = [*reversed(texts), *model] if name == "LPUSH" else [*model, *texts]
        assert client.call(name, "l", *texts) == b":%d\r\n" % len(model)
    elif name in ("LPOP", "RPOP"):
        count = rest[0]
        if not model:
            wanted = b"*-1\r\n"
        elif name == "LPOP":
            wanted = bulks(model[:count])
            del model[:count]
        else:
            wanted = bulks(reversed(model[max(len(model) - count, 0) :])) if count else b"*0\r\n"
            del model[max(len(model) - count, 0) :]
        assert client.call(name, "l", count) == wanted
    elif name == "LSET":
        index, text = rest
        reply = client.call(name, "l", index, text)
        if -len(model) <= index < len(model):
            model[index] = text
            assert reply == b"+OK\r\n"
        else:
            assert reply == (b"-ERR index out of range\r\n" if model else b"-ERR no such key\r\n")
    elif name == "LINSERT":
        side, pivot, text = rest
        reply = client.call(name, "l", side, pivot, text)
        if pivot in model:
            model.insert(model.index(pivot) + (side == "AFTER"), text)
            assert reply == b":%d\r\n" % len(model)
        else:
            assert reply == (b":-1\r\n" if model else b":0\r\n")
    elif name == "LREM":
        limit, text = rest
        places = [place for place, item in enumerate(model) if item == text]
        doomed = places[:limit] if limit > 0 else places[limit:] if limit < 0 else places
        model[:] = [item for place, item in enumerate(model) if place not in doomed]
        assert client.call(name, "l", limit, text) == b":%d\r\n" % len(doomed)
    elif name == "LTRIM":
        model[:] = between(model, *rest)
        assert client.call(name, "l", *rest) == b"+OK\r\n"
    elif name == "LRANGE":
        assert client.call(name, "l", *rest) == bulks(between(model, *rest))
    else:
        from_head, to_head = rest
        reply = client.call(
            "LMOVE", "l", "l", "LEFT" if from_head else "RIGHT", "LEFT" if to_head else "RIGHT"
        )
        if model:
            moved = model.pop(0 if from_head else -1)
            model.insert(0 if to_head else len(model), moved)
            assert reply == b"$%d\r\n%s\r\n" % (len(moved), moved)


@settings(max_examples=120, deadline=None)
@given(LIST_STEPS, st.sampled_from([-2, -1, 2, 5]), st.integers(0, 2))
def test_a_list_does_what_a_python_list_does(steps: list, list_size: int, compress: int) -> None:  # type: ignore[type-arg]
    client = node(list_size, compress)
    client.call("RPUSH", "other", "keeps the table of keys")
    empty = client.engine.used_bytes
    model: list[bytes] = []
    for step in steps:
        play(client, model, step)
        assert client.call("LLEN", "l") == b":%d\r\n" % len(model)
    assert client.call("LRANGE", "l", 0, -1) == bulks(model)
    for place, text in enumerate(model):
        assert client.call("LINDEX", "l", place) == b"$%d\r\n%s\r\n" % (len(text), text)
        assert client.call("LPOS", "l", text) == b":%d\r\n" % model.index(text)
    client.call("LTRIM", "l", 1, 0)
    assert client.engine.key_count(0) == 1
    assert client.engine.used_bytes == empty


HASH_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("HSET"), st.lists(st.tuples(FIELDS, TEXTS), min_size=1, max_size=5)),
        st.tuples(st.just("HSETNX"), FIELDS, TEXTS),
        st.tuples(st.just("HDEL"), st.lists(FIELDS, min_size=1, max_size=4)),
        st.tuples(st.just("HINCRBY"), FIELDS, st.integers(-1000, 1000)),
    ),
    max_size=40,
)


@settings(max_examples=120, deadline=None)
@given(HASH_STEPS)
def test_a_hash_does_what_a_python_dict_does(steps: list) -> None:  # type: ignore[type-arg]
    client = node()
    client.call("RPUSH", "other", "keeps the table of keys")
    empty = client.engine.used_bytes
    model: dict[bytes, bytes] = {}
    for name, *rest in steps:
        if name == "HSET":
            before = len(model)
            model.update(rest[0])
            words = [word for entry in rest[0] for word in entry]
            assert client.call(name, "h", *words) == b":%d\r\n" % (len(model) - before)
        elif name == "HSETNX":
            new = rest[0] not in model
            model.setdefault(*rest)
            assert client.call(name, "h", *rest) == b":%d\r\n" % new
        elif name == "HDEL":
            gone = {field for field in rest[0] if model.pop(field, None) is not None}
            assert client.call(name, "h", *rest[0]) == b":%d\r\n" % len(gone)
        else:
            field, delta = rest
            reply = client.call(name, "h", field, delta)
            text = model.get(field, b"0")
            if reply.startswith(b":"):
                model[field] = b"%d" % (int(text) + delta)
                assert reply == b":%s\r\n" % model[field]
            else:
                assert reply.startswith(b"-ERR ")
        assert client.call("HLEN", "h") == b":%d\r\n" % len(model)
    for field, text in model.items():
        assert client.call("HGET", "h", field) == b"$%d\r\n%s\r\n" % (len(text), text)
        assert client.call("HSTRLEN", "h", field) == b":%d\r\n" % len(text)
    assert client.call("HMGET", "h", *model, "missing").startswith(b"*%d\r\n" % (len(model) + 1))
    assert len(client.call("HGETALL", "h")) == len(bulks(word for entry in model.items() for word in entry))
    if model:
        client.call("HDEL", "h", *model)
    assert client.engine.used_bytes == empty


def test_drawn_fields_are_different_ones_and_all_come_up() -> None:
    client = DirectClient()
    client.call("HSET", "h", *[word for n in range(1000) for word in (b"%d" % n, b"v%d" % n)])
    seen = set()
    for count in (10, 300, 900, 5000):
        for _ in range(20):
            words = client.call("HRANDFIELD", "h", count).split(b"\r\n")[2::2]
            assert len(words) == len(set(words)) == min(count, 1000)
            seen.update(words)
    assert len(seen) == 1000
    again = client.call("HRANDFIELD", "h", -3000, "WITHVALUES").split(b"\r\n")[2::2]
    assert len(again) == 6000
    assert all(value == b"v" + field for field, value in zip(again[::2], again[1::2], strict=True))


@pytest.mark.parametrize(
    ("command", "effect", "changes"),
    [
        ("RPUSH l d e", "RPUSH l d e", 2),
        ("LPUSHX none a", None, 0),
        ("LPOP l", "LPOP l", 1),
        ("LPOP l 2", "LPOP l 2", 2),
        ("LPOP l 0", None, 0),
        ("LMPOP 2 none l RIGHT COUNT 9", "RPOP l 3", 3),
        ("BLPOP none l 0", "LPOP l", 1),
        ("BLMPOP 0 1 l LEFT", "LPOP l 1", 1),
        ("LMOVE l m LEFT RIGHT", "LMOVE l m LEFT RIGHT", 1),
        ("BLMOVE l m left right 5", "LMOVE l m left right", 1),
        ("BRPOPLPUSH l m 0", "RPOPLPUSH l m", 1),
        ("LREM l 0 b", "LREM l 0 b", 1),
        ("LREM l 0 zzz", None, 0),
        ("LTRIM l 0 0", "LTRIM l 0 0", 2),
        ("LTRIM l 0 -1", None, 0),
        ("LSET l 0 x", "LSET l 0 x", 1),
        ("LINSERT l BEFORE b x", "LINSERT l BEFORE b x", 1),
        ("LINSERT l BEFORE zzz x", None, 0),
        ("HSET h f 9 g 9", "HSET h f 9 g 9", 2),
        ("HMSET h f 9", "HMSET h f 9", 1),
        ("HSETNX h f 9", None, 0),
        ("HSETNX h g 9", "HSETNX h g 9", 1),
        ("HDEL h f g", "HDEL h f g", 1),
        ("HDEL h g", None, 0),
        ("HINCRBY h f 2", "HINCRBY h f 2", 1),
        ("HINCRBYFLOAT h f 0.5", "HSET h f 1.5", 1),
        ("HINCRBYFLOAT h f abc", None, 0),
    ],
)
def test_effects_and_counted_changes(command: str, effect: str | None, changes: int) -> None:
    client = DirectClient()
    client.engine.stream_on = True
    client.call("RPUSH", "l", "a", "b", "c")
    stream(client, "HSET", "h", "f", "1")
    before = client.engine.dirty
    assert stream(client, *command.split()) == ([effect.split()] if effect else [])
    assert client.engine.dirty - before == changes


def test_a_list_becomes_a_listpack_again_at_half_of_its_limit() -> None:
    client = node(list_size=8)
    client.call("RPUSH", "l", *range(9))
    assert client.call("OBJECT", "ENCODING", "l") == b"$9\r\nquicklist\r\n"
    for left in range(8, 4, -1):
        client.call("RPOP", "l")
        assert client.call("OBJECT", "ENCODING", "l") == b"$9\r\nquicklist\r\n", left
    client.call("RPOP", "l")
    assert client.call("OBJECT", "ENCODING", "l") == b"$8\r\nlistpack\r\n"
    assert client.call("LRANGE", "l", 0, -1) == bulks([b"0", b"1", b"2", b"3"])
