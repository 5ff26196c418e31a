"""DUMP, RESTORE and MIGRATE as clients see them, between redis-server and a node."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from tests.persistence.nodes import Client, Failure, running, until
from tests.persistence.rdb_files import length, text, ziplist, zipmap
from tests.persistence.redis_process import RedisProcess, needs_redis


def sealed(value: bytes, version: int = 10) -> bytes:
    """Return a payload with a right checksum."""
    body = value + struct.pack("<H", version)
    return body + crc64(body).to_bytes(8, "little")


def crc64(body: bytes) -> int:
    """CRC64 Jones, a bit at a time."""
    crc = 0
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x95AC9329AC4BC9B5 if crc & 1 else crc >> 1
    return crc


@needs_redis
async def test_payloads_go_both_ways(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        with RedisProcess(str(tmp_path), "--dbfilename", "r.rdb") as redis:
            redis.call("RPUSH", "l", "a", "b", "1")
            redis.call("ZADD", "z", "1.5", "m")
            redis.call("HSET", "h", "f", "v")
            redis.call("SADD", "s", "1", "2", "x")
            redis.call("SET", "t", "abc" * 100)
            before = redis.digest()
            for key in ("l", "z", "h", "s", "t"):
                assert await client.call("RESTORE", key, "0", redis.call("DUMP", key)) == b"OK"
                redis.call("DEL", key)
                redis.call("RESTORE", key, "0", await client.call("DUMP", key))
            assert redis.digest() == before


async def test_restore_refuses_in_redis_words(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await client.call("SET", "k", "v")
        payload = await client.call("DUMP", "k")
        assert isinstance(payload, bytes)
        cases = [
            (("k", "0", payload), "BUSYKEY Target key name already exists."),
            (("n", "-1", payload), "ERR Invalid TTL value, must be >= 0"),
            (("n", "x", payload), "ERR value is not an integer or out of range"),
            (("n", "0", payload[:-1]), "ERR DUMP payload version or checksum are wrong"),
            (("n", "0", sealed(b"\x00\x01v", 13)), "ERR DUMP payload version or checksum are wrong"),
            (("n", "0", sealed(b"\x02\x05")), "ERR Bad data format"),
            (("n", "0", sealed(b"")), "ERR Bad data format"),
            (("n", "0", payload, "IDLETIME", "-1"), "ERR Invalid IDLETIME value, must be >= 0"),
            (("n", "0", payload, "FREQ", "256"), "ERR Invalid FREQ value, must be >= 0 and <= 255"),
            (("n", "0", payload, "NONSENSE"), "ERR syntax error"),
        ]
        for words, error in cases:
            with pytest.raises(Failure) as failure:
                await client.call("RESTORE", *words)
            assert str(failure.value) == error
        assert await client.call("DUMP", "nothing") is None
        assert await client.call("RESTORE", "k", "1", payload, "REPLACE", "ABSTTL") == b"OK"
        assert await client.call("GET", "k") is None


async def test_two_thousand_forged_payloads_leave_the_server_alive(tmp_path: Path) -> None:
    luck = random.Random(7)
    member = text(b"abc") + text(b"1")
    seeds = [
        b"\x00" + text(b"hello"), b"\x00\xc3\x0a\x40\x64" + bytes(10), b"\x01" + length(2) + member,
        b"\x02" + length(2) + member, b"\x04" + length(1) + member,
        b"\x05" + length(1) + text(b"m") + bytes(8),
        b"\x09" + text(zipmap((b"f", b"v"))), b"\x0a" + text(ziplist(b"a", 1, 70000)),
        b"\x0b" + text(struct.pack("<II2h", 2, 2, 1, 5)), b"\x0c" + text(ziplist(b"m", 1)),
        b"\x0d" + text(ziplist(b"f", b"v")), b"\x0e" + length(1) + text(ziplist(b"a")),
        b"\x10" + text(b"\x0f\0\0\0\x04\0\x81f\x02\x81v\x02\xff"),
        b"\x11" + text(b"\x0c\0\0\0\x02\0\x81m\x02\x01\x01\xff"),
        b"\x12" + length(1) + b"\x02" + text(b"\x0a\0\0\0\x01\0\x81a\x02\xff"),
        b"\x14" + text(b"\x0a\0\0\0\x01\0\x81a\x02\xff"),
    ]  # fmt: skip
    async with running(tmp_path) as (node, client):
        for number in range(2000):
            forged = bytearray(luck.choice(seeds))
            for _ in range(luck.randrange(1, 5)):
                what = luck.randrange(3)
                at = luck.randrange(1, len(forged)) if len(forged) > 1 else 0
                if what == 0:
                    forged[at] = luck.choice(
                        (0, 1, 0x7F, 0x80, 0x81, 0xC3, 0xF0, 0xF4, 0xFE, 0xFF, luck.randrange(256))
                    )
                elif what == 1:
                    forged[at:at] = luck.randbytes(luck.randrange(1, 9))
                else:
                    del forged[at : at + luck.randrange(1, 4)]
            try:
                await client.call("RESTORE", b"k%d" % (number % 50), "0", sealed(bytes(forged)), "REPLACE")
            except Failure as failure:
                assert str(failure) == "ERR Bad data format"
        assert node.engine.key_count(0) > 0
        for number in range(50):
            await client.call("DUMP", b"k%d" % number)
        assert await client.call("SAVE") == b"OK"


@needs_redis
async def test_migrate_moves_keys_and_others_do_not_wait(tmp_path: Path) -> None:
    with RedisProcess(str(tmp_path), "--dbfilename", "r.rdb") as redis:
        async with running(tmp_path) as (node, client):
            other = await Client.connect("127.0.0.1", node.port)
            for number in range(100):
                await client.call("SET", f"k{number}", "v" * number)
            port = str(redis.port)
            redis.call("SET", "k7", "in the way")
            with pytest.raises(Failure, match="Target instance replied with error: BUSYKEY"):
                await client.call("MIGRATE", "127.0.0.1", port, "k7", "0", "5000")
            assert await client.call("GET", "k7") == b"v" * 7
            moved = [f"k{number}" for number in range(100)]
            client.writer.write(b"")
            assert (
                await client.call("MIGRATE", "127.0.0.1", port, "", "3", "5000", "REPLACE", "KEYS", *moved)
                == b"OK"
            )
            assert await other.call("GET", "k5") is None
            assert await client.call("MIGRATE", "127.0.0.1", port, "k5", "0", "5000") == b"NOKEY"
            await client.call("SET", "c", "1")
            assert await client.call("MIGRATE", "127.0.0.1", port, "c", "3", "5000", "COPY") == b"OK"
            assert await client.call("GET", "c") == b"1"
            redis.call("SELECT", "3")
            assert redis.call("DBSIZE") == 101 and redis.call("GET", "k50") == b"v" * 50
            with pytest.raises(Failure, match="IOERR error or timeout connecting to the client"):
                await client.call("MIGRATE", "127.0.0.1", "1", "c", "0", "500")
            with pytest.raises(Failure, match="ERR syntax error"):
                await client.call("MIGRATE", "127.0.0.1", port, "c", "0", "500", "WHAT")
            other.close()
            node.migrate_targets.close()
            await until(lambda: not node.migrate_targets._idle)
