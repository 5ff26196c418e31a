"""Whole servers exchange files: redis-server's load here and ours load there, with equal DEBUG DIGEST."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.persistence.commands import command
from tests.persistence.nodes import running, until
from tests.persistence.redis_process import RedisProcess, needs_redis
from tests.persistence.test_rdb_with_redis import HASHES, LISTS, SETS, SORTED_SETS, STRINGS

pytestmark = needs_redis
EVERYTHING = [*LISTS, *SETS, *SORTED_SETS, *HASHES, *STRINGS]
DEBUG = ("--enable-debug-command", "yes")


def fill_redis(redis: RedisProcess) -> bytes:
    """Write all types and encodings; return the digest."""
    for reply in redis.send(b"".join(command(*words) for words in EVERYTHING), len(EVERYTHING)):
        assert not isinstance(reply, Exception), reply
    return digest_of(redis)


def digest_of(redis: RedisProcess) -> bytes:
    """Return the digest as our client returns it."""
    shown = redis.digest()
    return shown if isinstance(shown, bytes) else str(shown).encode()


async def test_an_rdb_goes_there_and_back(tmp_path: Path) -> None:
    with RedisProcess(str(tmp_path)) as redis:
        expected = fill_redis(redis)
        redis.call("SAVE")
    async with running(tmp_path, *DEBUG) as (node, client):
        assert await client.call("DEBUG", "DIGEST") == expected
        (tmp_path / "dump.rdb").unlink()
        await client.call("BGSAVE")
        await until(lambda: not node.keeper.busy)
    with RedisProcess(str(tmp_path)) as redis:
        assert digest_of(redis) == expected


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("stamps", ["yes", "no"])
async def test_an_append_only_file_goes_there_and_back(tmp_path: Path, preamble: str, stamps: str) -> None:
    options = ("--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", stamps)
    with RedisProcess(str(tmp_path), *options) as redis:
        expected = fill_redis(redis)
    async with running(tmp_path, *DEBUG, *options) as (node, client):
        assert await client.call("DEBUG", "DIGEST") == expected
        await client.call("BGREWRITEAOF")
        await client.call("SET", "after", "1")
        await until(lambda: not node.keeper.busy)
        await client.call("DEL", "after")
    copy = await asyncio.to_thread(shutil.copytree, tmp_path, tmp_path.with_name(tmp_path.name + "-copy"))
    with RedisProcess(str(copy), *options) as redis:
        assert digest_of(redis) == expected
