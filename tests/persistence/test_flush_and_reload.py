"""FLUSHALL, SWAPDB and DEBUG RELOAD over the wire: what becomes of the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.server.machine import Machine
from tests.persistence.nodes import Client, running, until


class Walking(Machine):
    """A machine without fork."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.can_fork = False


async def fill(client: Client, keys: int) -> None:
    """Set many keys."""
    client.writer.write(b"".join(b"SET k%d %d\r\n" % (number, number) for number in range(keys)))
    for _ in range(keys):
        await client.reply()


@pytest.mark.parametrize("machine", [Machine, Walking])
async def test_no_save_of_older_data_ends_after_flushall(tmp_path: Path, machine: type[Machine]) -> None:
    async with running(tmp_path, host=machine()) as (node, client):
        await fill(client, 5000)
        client.writer.write(b"BGSAVE\r\nFLUSHALL\r\n")
        assert [await client.reply() for _ in range(2)] == [b"Background saving started", b"OK"]
        await until(lambda: not node.keeper.busy)
        assert [name for name in os.listdir(tmp_path) if name.endswith(".rdb")] == []
        assert await client.call("SET", "k", "v") == b"OK"


async def test_with_save_points_flushall_empties_the_file_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, "--save", "3600 1000000") as (_, client):
        await fill(client, 1000)
        await client.call("SAVE")
        await client.call("FLUSHALL")
        assert (tmp_path / "dump.rdb").stat().st_size < 300


@pytest.mark.parametrize("machine", [Machine, Walking])
async def test_a_save_holds_its_moment_through_flush_and_swap(tmp_path: Path, machine: type[Machine]) -> None:
    async with running(tmp_path, host=machine()) as (node, client):
        await fill(client, 3000)
        client.writer.write(b"BGSAVE\r\nSWAPDB 0 1\r\nSET k0 new\r\nFLUSHDB\r\n")
        assert (await client.reply(), await client.reply()) == (b"Background saving started", b"OK")
        assert (await client.reply(), await client.reply()) == (b"OK", b"OK")
        await until(lambda: not node.keeper.busy)
    async with running(tmp_path) as (_, client):
        assert await client.call("DBSIZE") == 3000
        assert await client.call("GET", "k0") == b"0"


async def test_debug_reload_keeps_the_digest_even_beside_a_save(tmp_path: Path) -> None:
    async with running(tmp_path, "--enable-debug-command", "yes") as (node, client):
        await fill(client, 3000)
        await client.call("ZADD", "z", "1.5", "a", "-inf", "b")
        await client.call("HSET", "h", "f", "v" * 100)
        await client.call("PEXPIRE", "h", "1000000")
        before = await client.call("DEBUG", "DIGEST")
        client.writer.write(b"BGSAVE\r\nDEBUG RELOAD\r\n")
        assert [await client.reply() for _ in range(2)] == [b"Background saving started", b"OK"]
        assert await client.call("DEBUG", "DIGEST") == before
        await until(lambda: not node.keeper.busy)
