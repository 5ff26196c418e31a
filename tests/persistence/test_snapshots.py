"""Snapshots in the background: what they hold, and what becomes of them when something goes wrong."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from holdfast.persistence.snapshot import SnapshotStream
from holdfast.server.machine import Machine
from tests.persistence.nodes import Failure, running, until
from tests.persistence.rdb_files import engine, load


class Walking(Machine):
    """A machine without fork."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.can_fork = False


@pytest.mark.parametrize("host", [Machine, Walking])
async def test_a_background_save_holds_the_moment_of_its_order(tmp_path: Path, host: type[Machine]) -> None:
    luck = random.Random(3)
    async with running(tmp_path, host=host()) as (node, client):
        for number in range(5000):
            await client.call("SET", f"k{number}", f"before {number}")
        assert await client.call("BGSAVE") == b"Background saving started"
        while node.keeper.saves.running:
            number = luck.randrange(6000)
            await client.call("SET", f"k{number}", "after")
        assert node.keeper.saves.last_ok
        assert await client.call("LASTSAVE") == node.keeper.saves.last_s
    loaded = engine()
    assert load(loaded, (tmp_path / "dump.rdb").read_bytes()).keys == 5000
    async with running(tmp_path) as (_, client):
        for number in range(0, 5000, 97):
            assert await client.call("GET", f"k{number}") == b"before %d" % number


@pytest.mark.parametrize("host", [Machine, Walking])
async def test_a_stream_of_chunks_is_a_whole_rdb(tmp_path: Path, host: type[Machine]) -> None:
    async with running(tmp_path, host=host()) as (node, client):
        for number in range(3000):
            await client.call("SET", f"k{number}", "x" * 200)
        stream = node.keeper.stream()
        await client.call("SET", "k1", "changed")
        content = b"".join([chunk async for chunk in stream.chunks()])
        assert stream.outcome is not None and stream.outcome.error == ""
    assert load(engine(), content).keys == 3000
    assert content.count(b"changed") == 0


async def test_a_killed_child_is_told_and_the_old_file_stays(tmp_path: Path) -> None:
    log: list[str] = []
    async with running(tmp_path, "--save", "3600 1", log=log) as (node, client):
        await client.call("SET", "k", "old")
        assert await client.call("SAVE") == b"OK"
        before = (tmp_path / "dump.rdb").read_bytes()
        for number in range(20000):
            client.writer.write(b"SET k%d %d\r\n" % (number, number))
        for _ in range(20000):
            await client.reply()
        await client.call("BGSAVE")
        with pytest.raises(Failure, match="ERR Background save already in progress"):
            await client.call("BGSAVE")
        os.kill(node.keeper.saves.running._child.pid, signal.SIGKILL)
        await until(lambda: not node.keeper.saves.running)
        if not node.keeper.saves.last_ok:  # it may have been quicker than the signal
            assert "child ended with signal 9" in "".join(log)
            assert (tmp_path / "dump.rdb").read_bytes() == before
            with pytest.raises(Failure, match="MISCONF Redis is configured to save RDB snapshots"):
                await client.call("SET", "k", "refused")
            assert await client.call("GET", "k") == b"old"
        assert [name for name in os.listdir(tmp_path) if name.startswith("temp-")] == []
        assert await client.call("SAVE") == b"OK"
        assert await client.call("SET", "k", "new") == b"OK"


async def test_a_directory_that_is_gone_is_told_and_heals(tmp_path: Path) -> None:
    place = tmp_path / "files"
    place.mkdir()
    async with running(place, "--save", "3600 1") as (node, client):
        await client.call("SET", "k", "v")
        place.rmdir()
        with pytest.raises(Failure, match=r"^ERR$"):
            await client.call("BGSAVE")
        with pytest.raises(Failure, match="MISCONF"):
            await client.call("SET", "k", "v")
        place.mkdir()
        await client.call("BGSAVE")
        await until(lambda: not node.keeper.saves.running)
        assert await client.call("SET", "k", "v") == b"OK"


async def test_save_points_save(tmp_path: Path) -> None:
    async with running(tmp_path, "--save", "1 1") as (node, client):
        node.keeper.saves.last_s -= 100
        await client.call("SET", "k", "v")
        await until(lambda: node.keeper.saves.count == 1)
        assert node.keeper.fields()["rdb_changes_since_last_save"] == 0


async def test_a_stopped_stream_ends_its_child(tmp_path: Path) -> None:
    async with running(tmp_path) as (node, client):
        for number in range(3000):
            await client.call("SET", f"k{number}", random.Random(number).randbytes(300))
        stream: SnapshotStream = node.keeper.stream()
        chunks = stream.chunks()
        await anext(chunks)
        stream.stop()
        async for _ in chunks:
            pass
        assert stream.outcome is not None and stream.outcome.error
        await asyncio.sleep(0)
