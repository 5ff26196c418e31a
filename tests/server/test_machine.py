"""The real machine behaves as the simulated one does."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from holdfast.server.host import Disk, Host
from holdfast.server.machine import LARGE_BYTES, Machine
from holdfast.sim import World


@pytest.fixture(params=["real", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """Return a disk of each kind."""
    if request.param == "real":
        return Machine(str(tmp_path)).disk
    disk: Disk = World(1).host("a").disk
    return disk


def test_what_is_written_is_read(disk: Disk) -> None:
    with pytest.raises(FileNotFoundError):
        disk.open("x/f", "rb")
    disk.makedirs("x/y")
    disk.makedirs("x/y")
    file = disk.open("x/f", "wb")
    assert file.write(memoryview(b"0123456789")) == 10
    file.sync()
    assert file.size() == 10
    file.close()
    file = disk.open("x/f", "r+b")
    file.seek(4)
    assert file.write(bytearray(b"xx")) == 2
    file.truncate(8)
    file.seek(2)
    assert file.read(3) == b"23x"
    assert file.read() == b"x67"
    assert file.read(10) == b""
    file.close()
    file = disk.open("x/f", "ab")
    file.write(b"end")
    file.close()
    disk.rename("x/f", "x/g")
    disk.sync_dir("x")
    assert disk.listdir("x") == ["g", "y"]
    assert disk.exists("x/y")
    assert not disk.exists("x/f")
    assert disk.open("x/g", "rb").read() == b"0123xx67end"
    disk.remove("x/g")
    assert disk.listdir("x") == ["y"]


async def test_a_large_file_that_goes_is_given_back_by_a_thread(tmp_path: Path) -> None:
    disk = Machine(str(tmp_path)).disk
    open_before = len(os.listdir("/dev/fd"))
    for name in ("old", "new"):
        file = disk.open(name, "wb")
        file.write(bytes(2 * LARGE_BYTES))
        file.close()
    disk.rename("new", "old")
    disk.remove("old")
    assert disk.listdir("") == []
    await asyncio.get_running_loop().shutdown_default_executor()
    assert len(os.listdir("/dev/fd")) == open_before


def test_a_large_file_goes_without_a_loop_too(tmp_path: Path) -> None:
    disk = Machine(str(tmp_path)).disk
    open_before = len(os.listdir("/dev/fd"))
    file = disk.open("f", "wb")
    file.write(bytes(2 * LARGE_BYTES))
    file.close()
    disk.remove("f")
    assert len(os.listdir("/dev/fd")) == open_before


def test_errors_are_those_of_the_operating_system(disk: Disk) -> None:
    with pytest.raises(IsADirectoryError):
        disk.open(".", "wb")
    with pytest.raises(FileNotFoundError):
        disk.rename("a", "b")
    with pytest.raises(FileNotFoundError):
        disk.listdir("a")
    with pytest.raises(ValueError, match="mode"):
        disk.open("f", "w")
    disk.open("f", "wb").close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        disk.open("f", "rb").write(b"x")
    with pytest.raises(NotADirectoryError):
        disk.listdir("f")


def test_a_file_may_be_closed_while_it_is_synced(tmp_path: Path) -> None:
    async def main() -> None:
        file = Machine(str(tmp_path)).disk.open("f", "wb")
        file.write(b"x")
        syncing = asyncio.create_task(file.sync_later())
        await asyncio.sleep(0)
        file.close()
        await syncing

    asyncio.run(main())


def test_the_clocks_are_the_systems() -> None:
    machine: Host = Machine(seed=1)
    before = time.time_ns() // 1000
    assert before <= machine.clock.wall_us() <= time.time_ns() // 1000
    first = machine.clock.boot_us()
    assert machine.clock.boot_us() >= first > 0
    assert machine.random.random() == Machine(seed=1).random.random()
