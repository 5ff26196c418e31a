"""Drawn values of every type, through RDB files and payloads, here and through redis-server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.engine.digest import digest_of_all
from tests.lone_engine import LoneEngine
from tests.persistence.rdb_files import load, save
from tests.persistence.redis_process import RedisProcess, needs_redis

Words = list[bytes]

TEXTS = st.one_of(
    st.binary(max_size=80),
    st.integers(-(2**63), 2**63 - 1).map(lambda n: b"%d" % n),
    st.tuples(st.binary(min_size=1, max_size=5), st.integers(1, 1500)).map(lambda pair: pair[0] * pair[1]),
    st.sampled_from([b"", b"007", b"-0", b"9223372036854775808", b"1e5"]),
)
SCORES = st.one_of(
    st.integers(-20, 5000).map(float),
    st.floats(allow_nan=False),
    st.sampled_from([float("inf"), float("-inf")]),
)
COUNTS = st.sampled_from([0, 0, 0, 140, 600])
"""Elements that are added to the drawn ones, to reach the larger forms."""


def many(count: int) -> Words:
    return [b"element %d" % number for number in range(count)]


VALUES: st.SearchStrategy[Words] = st.one_of(
    TEXTS.map(lambda text: [b"SET", text]),
    st.builds(lambda some, n: [b"RPUSH", *some, *many(n)], st.lists(TEXTS, min_size=1), COUNTS),
    st.builds(lambda some, n: [b"SADD", *sorted(some), *many(n)], st.sets(TEXTS, min_size=1), COUNTS),
    st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1).map(
        lambda some: [b"SADD", *(b"%d" % number for number in sorted(some))]
    ),
    st.builds(
        lambda some, n: [b"HSET", *(word for pair in some.items() for word in pair), *many(n)],
        st.dictionaries(TEXTS, TEXTS, min_size=1),
        COUNTS,
    ),
    st.builds(
        lambda some, n: [
            b"ZADD",
            *(word for member, score in some.items() for word in (b"%r" % score, member)),
            *(word for number, member in enumerate(many(n)) for word in (b"%d" % (number // 3), member)),
        ],
        st.dictionaries(TEXTS, SCORES, min_size=1),
        COUNTS,
    ),
)
KEYSPACES = st.dictionaries(st.binary(max_size=20), st.tuples(VALUES, st.booleans()), min_size=1, max_size=6)


def commands_for(keys: dict[bytes, tuple[Words, bool]]) -> Iterator[Words]:
    """Yield the commands that make a keyspace; who is told so expires, far from now."""
    for key, (value, expires) in keys.items():
        yield [value[0], key, *value[1:]]
        if expires:
            yield [b"PEXPIREAT", key, b"4000000000123"]


def filled(keys: dict[bytes, tuple[Words, bool]]) -> LoneEngine:
    lone = LoneEngine()
    for words in commands_for(keys):
        assert not lone.run(*words).startswith(b"-")
    return lone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@given(KEYSPACES, st.booleans(), st.sampled_from([1 << 30, 13]))
@settings(deadline=None, max_examples=60)
def test_what_is_saved_is_loaded_in_pieces_of_any_size(
    folder: Path, keys: dict[bytes, tuple[Words, bool]], compress: bool, step: int
) -> None:
    first, second = filled(keys).engine, LoneEngine().engine
    load(second, save(first, folder / "dump.rdb", compress=compress), step=step)
    assert digest_of_all(second) == digest_of_all(first)


@given(KEYSPACES)
@settings(deadline=None, max_examples=60)
def test_what_is_dumped_is_restored(keys: dict[bytes, tuple[Words, bool]]) -> None:
    lone = filled(keys)
    digest = digest_of_all(lone.engine)
    for key in keys:
        payload, lives_ms = string_of(lone.run(b"DUMP", key)), lone.run(b"PTTL", key)[1:-2]
        expires = b"0" if lives_ms == b"-1" else lives_ms
        assert lone.run(b"RESTORE", key, expires, payload, b"REPLACE") == b"+OK\r\n"
    assert digest_of_all(lone.engine) == digest


def string_of(reply: bytes) -> bytes:
    """Return the text of a bulk reply."""
    head, _, rest = reply.partition(b"\r\n")
    assert head.startswith(b"$")
    return rest[: int(head[1:])]


@pytest.fixture(scope="module")
def redis(folder: Path) -> Iterator[RedisProcess]:
    with RedisProcess(str(folder)) as process:
        yield process


@needs_redis
@given(KEYSPACES)
@settings(deadline=None, max_examples=40)
def test_redis_loads_what_is_saved_here_and_the_other_way_round(
    redis: RedisProcess, folder: Path, keys: dict[bytes, tuple[Words, bool]]
) -> None:
    ours, again = filled(keys).engine, LoneEngine().engine
    save(ours, folder / "dump.rdb")
    redis.call("DEBUG", "RELOAD", "NOSAVE")
    digest = digest_of_all(ours)
    assert redis.digest() == digest.encode()
    redis.call("SAVE")
    load(again, (folder / "dump.rdb").read_bytes())
    assert digest_of_all(again) == digest
