"""Cuts and flips: an RDB of any bytes never crashes, and damage is told."""

from __future__ import annotations

import random

import pytest

from holdfast.persistence.aof_reader import RdbRefused
from holdfast.persistence.rdb_walk import SnapshotWalk
from tests.persistence.rdb_files import engine, length, load, old, save, text, ziplist, zipmap

MEMBERS = [b"member %d" % number for number in range(200)]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a file with every form of ours."""
    source = engine()
    listed = length(200) + b"".join(text(member) for member in MEMBERS)
    pairs = length(200) + b"".join(text(member) + text(member * 3) for member in MEMBERS)
    scored = length(200) + b"".join(text(member) + b"\x031.5" for member in MEMBERS)
    short = b"".join(text(member) for member in MEMBERS[:20])
    load(source, old(
        9, (0, b"string", text(b"x" * 100)), (0, b"number", b"\xc1\x2c\x01"),
        (1, b"list", length(20) + short), (1, b"long list", listed),
        (1, b"huge", length(1) + text(b"q" * 70000)),
        (2, b"set", length(20) + short), (2, b"table", listed),
        (2, b"ints", length(2) + text(b"1") + text(b"-9")),
        (4, b"hash", length(10) + short), (4, b"hash table", pairs),
        (12, b"zset", text(ziplist(b"m", 1, b"n", b"2.5"))), (3, b"tree", scored),
    ))  # fmt: skip
    return save(source, tmp_path_factory.mktemp("rdb") / "whole.rdb", compress=False)


@pytest.mark.parametrize("seed", range(5))
def test_five_hundred_cuts_and_flips_are_refused_or_read(content: bytes, seed: int) -> None:
    luck = random.Random(seed)
    for _ in range(100):
        damaged = bytearray(content)
        if luck.random() < 0.3:
            del damaged[luck.randrange(len(damaged)) :]
        for _ in range(luck.randrange(3)):
            if damaged:
                damaged[luck.randrange(len(damaged))] ^= 1 << luck.randrange(8)
        if luck.random() < 0.3 and len(damaged) > 20:
            at = luck.randrange(9, len(damaged))
            damaged[at : at + luck.randrange(9)] = luck.randbytes(luck.randrange(9))
        ours = engine()
        try:
            load(ours, bytes(damaged), step=luck.choice((7, 1000, 1 << 20)), check_seal=False)
        except RdbRefused as refusal:
            assert 0 <= refusal.offset <= len(damaged)
        walk_through(ours)


def test_a_flip_anywhere_is_noticed_by_the_checksum(content: bytes) -> None:
    luck = random.Random(1)
    for _ in range(100):
        damaged = bytearray(content)
        damaged[luck.randrange(9, len(damaged) - 8)] ^= 1 << luck.randrange(8)
        with pytest.raises(RdbRefused):
            if not load(engine(), bytes(damaged)).ended:
                raise RdbRefused(len(damaged), "cut short")


def test_old_layouts_of_any_bytes_never_crash() -> None:
    luck = random.Random(2)
    blobs = ((10, ziplist(b"a", 1, b"x" * 300)), (9, zipmap((b"f", b"v"))), (13, ziplist(b"f", b"v")))
    for number in range(600):
        kind, blob = blobs[number % 3]
        damaged = bytearray(blob)
        for _ in range(luck.randrange(1, 4)):
            damaged[luck.randrange(len(damaged))] = luck.randrange(256)
        ours = engine()
        try:
            load(ours, old(9, (kind, b"k", text(bytes(damaged)))))
        except RdbRefused:
            pass
        walk_through(ours)


def walk_through(source: object) -> None:
    """Read every element of every value once more."""
    walk = SnapshotWalk(source, b"", commands=True, compress=False, checksum=False)
    while not walk.ended:
        walk.step(1 << 20)
    assert walk.keys == walk.keys_told
