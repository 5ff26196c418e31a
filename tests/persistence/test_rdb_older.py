"""Layouts of older Redis, from the generator in `rdb_files`; redis-server says what they mean."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from holdfast.persistence.aof_reader import RdbRefused
from tests.persistence.rdb_files import engine, length, load, old, save, text, ziplist, zipmap
from tests.persistence.redis_process import RedisProcess, needs_redis

MIXED = (b"a", b"x" * 70, b"y" * 300, 0, 12, 13, -1, 300, -70000, 8_000_000, 1 << 40, b"end")
INTSET = struct.pack("<II3i", 4, 3, -70000, 5, 70000)
FILES = {
    "list of strings": (1, length(3) + text(b"a") + b"\xc0\x05" + text(b"c")),
    "list as ziplist": (10, text(ziplist(*MIXED))),
    "quicklist of ziplists": (14, length(2) + text(ziplist(b"a", 1)) + text(ziplist(b"b", b"z" * 260, 7))),
    "set of strings": (2, length(3) + text(b"a") + text(b"1") + text(b"c")),
    "intset": (11, text(INTSET)),
    "hash of strings": (4, length(2) + text(b"f") + text(b"v") + text(b"g") + b"\xc1\x2c\x01"),
    "hash as zipmap": (9, text(zipmap((b"f", b"v"), (b"g", b"w" * 300)))),
    "hash as ziplist": (13, text(ziplist(b"f", b"v", b"g", 5))),
    "sorted set with text scores": (
        3,
        length(3) + text(b"a") + b"\x031.5" + text(b"b") + b"\xfe" + text(b"c") + b"\xff",
    ),
    "sorted set as ziplist": (12, text(ziplist(b"a", 1, b"b", b"2.5"))),
}


@needs_redis
@pytest.mark.parametrize("version", [4, 9])
@pytest.mark.parametrize("name", FILES)
def test_an_older_layout_means_what_redis_reads_in_it(tmp_path: Path, name: str, version: int) -> None:
    kind, value = FILES[name]
    content = old(version, (kind, b"key", value))
    (tmp_path / "old.rdb").write_bytes(content)
    with RedisProcess(str(tmp_path), "--dbfilename", "old.rdb") as redis:
        assert redis.call("DBSIZE") == 1
        digest = redis.digest()
    for step in (1, 1 << 20):
        ours = engine()
        assert load(ours, content, step=step).keys == 1
        save(ours, tmp_path / "ours.rdb")
    with RedisProcess(str(tmp_path), "--dbfilename", "ours.rdb") as redis:
        assert redis.digest() == digest


def test_expired_keys_are_left_out_and_counted() -> None:
    ours = engine()
    body = b"\xfd" + struct.pack("<I", 5) + b"\x00" + text(b"gone") + text(b"1")
    body += b"\xfc" + struct.pack("<q", 9999999999999) + b"\x00" + text(b"here") + text(b"1")
    reader = load(ours, b"REDIS0003\xfe\x00" + body + b"\xff")
    assert (reader.keys, reader.expired, ours.key_count(0)) == (1, 1, 1)


def test_a_key_that_comes_twice_is_refused() -> None:
    content = old(9, (0, b"k", text(b"1")), (0, b"k", text(b"2")))
    with pytest.raises(RdbRefused, match="key 'k' in database 0: the key comes twice"):
        load(engine(), content)


def test_a_value_without_elements_is_left_out() -> None:
    reader = load(engine(), old(9, (1, b"none", length(0)), (0, b"k", text(b"1"))))
    assert (reader.keys, reader.empty) == (1, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"SIDER0010", "does not begin with REDIS"),
        (b"REDIS00x0", "version is no number"),
        (b"REDIS0013", "version of the format that is not known"),
        (b"REDIS0009\xfe\x10", "database 16 does not exist"),
        (old(9, (7, b"m", b"")), "key 'm' in database 0 is a module's value"),
        (old(9, (2, b"s", length(2) + text(b"a") + text(b"a"))), "a set holds a member twice"),
        (old(9, (4, b"h", length(2) + text(b"a") * 4)), "a hash holds a field twice"),
        (old(9, (13, b"h", text(ziplist(b"f", b"v", b"g")))), "a hash without a last value"),
        (old(9, (12, b"z", text(ziplist(b"m", b"no number")))), "a score that is no number"),
        (old(9, (5, b"z", length(1) + text(b"m") + struct.pack("<d", float("nan")))), "no number"),
        (old(9, (0, b"k", b"\xc3" + length(3) + b"\x80\x7f\xff\xff\xff" + b"abc")), "impossible lengths"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(RdbRefused, match=reason):
        load(engine(), content)
