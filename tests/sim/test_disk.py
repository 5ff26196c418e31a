"""What a disk keeps: over crashes all, over power losses what was synced."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from holdfast.server.host import Disk, Host
from holdfast.sim import World


def write(disk: Disk, path: str, content: bytes, *, sync: bool = True, mode: str = "wb") -> None:
    file = disk.open(path, mode)
    file.write(content)
    if sync:
        file.sync()
    file.close()


def read(disk: Disk, path: str) -> bytes:
    return disk.open(path, "rb").read()


def fates(prepare: Callable[[Disk], None], look: Callable[[Disk], object], seeds: int = 60) -> set[object]:
    """Return all that was seen after a power loss, over many seeds."""
    seen = set()
    for seed in range(seeds):
        with World(seed) as world:
            disk = world.host("a").disk
            prepare(disk)
            world.power_loss("a")
            seen.add(look(disk))
    return seen


def test_files_survive_a_process_crash(world: World) -> None:
    async def main(host: Host) -> None:
        write(host.disk, "f", b"kept", sync=False)
        await asyncio.Event().wait()

    world.start("a", main)
    world.run(1)
    world.kill("a")
    assert read(world.host("a").disk, "f") == b"kept"


def test_synced_content_under_a_synced_name_survives_power_loss() -> None:
    def prepare(disk: Disk) -> None:
        write(disk, "f", b"safe")
        disk.sync_dir(".")
        write(disk, "f", b" and more", sync=False, mode="ab")

    seen = fates(prepare, lambda disk: read(disk, "f"))
    assert all(isinstance(content, bytes) and content.startswith(b"safe") for content in seen)
    assert {b"safe", b"safe and more"} < seen, "kept, lost, and torn between"


def test_a_new_name_may_vanish_until_its_directory_is_synced() -> None:
    assert fates(lambda disk: write(disk, "f", b"x"), lambda disk: disk.exists("f")) == {True, False}


def test_unsynced_content_under_a_synced_name_may_be_empty() -> None:
    def prepare(disk: Disk) -> None:
        write(disk, "f", b"x" * 100, sync=False)
        disk.sync_dir(".")

    assert {b"", b"x" * 100} < fates(prepare, lambda disk: read(disk, "f"))


def replace(disk: Disk, *, sync: bool) -> None:
    write(disk, "f", b"old")
    disk.sync_dir(".")
    write(disk, "f.new", b"new", sync=sync)
    disk.rename("f.new", "f")


def test_a_rename_of_a_synced_file_leaves_the_old_or_the_new_content() -> None:
    assert fates(lambda disk: replace(disk, sync=True), lambda disk: read(disk, "f")) == {b"old", b"new"}


def test_a_rename_of_an_unsynced_file_may_leave_neither() -> None:
    seen = fates(lambda disk: replace(disk, sync=False), lambda disk: read(disk, "f"))
    assert seen > {b"old", b"new"}


def test_a_rename_is_durable_after_its_directory_is_synced() -> None:
    def prepare(disk: Disk) -> None:
        replace(disk, sync=True)
        disk.sync_dir(".")

    assert fates(prepare, lambda disk: (read(disk, "f"), tuple(disk.listdir(".")))) == {(b"new", ("f",))}


def test_a_removal_may_come_back() -> None:
    def prepare(disk: Disk) -> None:
        write(disk, "f", b"x")
        disk.sync_dir(".")
        disk.remove("f")

    assert fates(prepare, lambda disk: disk.exists("f")) == {True, False}


def test_overwritten_blocks_are_old_new_or_torn() -> None:
    old, new = b"o" * 20_000, b"n" * 20_000

    def prepare(disk: Disk) -> None:
        write(disk, "f", old)
        disk.sync_dir(".")
        write(disk, "f", new, sync=False, mode="r+b")

    seen = fates(prepare, lambda disk: read(disk, "f"))
    assert {old, new} < seen
    assert all(isinstance(content, bytes) and len(content) == 20_000 for content in seen)


def test_directories_and_what_is_in_them_need_syncs_of_their_parents() -> None:
    def prepare(disk: Disk) -> None:
        disk.makedirs("x/y")
        write(disk, "x/y/f", b"deep")
        disk.sync_dir("x/y")
        disk.sync_dir("x")

    assert fates(prepare, lambda disk: disk.exists("x/y/f")) == {True, False}

    def prepare_all(disk: Disk) -> None:
        prepare(disk)
        disk.sync_dir(".")

    assert fates(prepare_all, lambda disk: read(disk, "x/y/f")) == {b"deep"}


def test_a_full_disk_takes_what_fits_and_refuses_the_rest(world: World) -> None:
    disk = world.host("a").disk
    write(disk, "f", b"12345")
    world.fill_disk("a", free_bytes=3)
    file = disk.open("f", "ab")
    with pytest.raises(OSError, match="No space left"):
        file.write(b"6789")
    assert read(disk, "f") == b"12345678"
    world.fill_disk("a", free_bytes=None)
    assert file.write(b"9") == 1


def test_a_blocking_sync_stalls_the_whole_process_and_its_replies(world: World) -> None:
    seen: list[tuple[str, float]] = []

    async def main(host: Host) -> None:
        loop = asyncio.get_running_loop()

        class Saves(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = cast(asyncio.Transport, transport)

            def data_received(self, data: bytes) -> None:
                before = loop.time()
                write(host.disk, "f", data)
                seen.append(("synced", loop.time() - before))
                self.transport.write(b"saved\n")

        await loop.create_server(Saves, port=7000)
        while True:
            await asyncio.sleep(0.5)
            seen.append(("beat", world.now))

    world.start("a", main)
    world.slow_disk("a", 3.0)

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("a", 7000)
        writer.write(b"x")
        assert await reader.readline() == b"saved\n"

    world.run(ask())
    assert 3 < world.now < 3.1
    assert seen[0][0] == "synced"
    assert seen[0][1] == pytest.approx(3)
    assert all(when >= 3 for what, when in seen if what == "beat")


def test_sync_later_lets_the_process_go_on(world: World) -> None:
    beats: list[float] = []

    async def main(host: Host) -> None:
        file = host.disk.open("f", "wb")
        file.write(b"early")
        syncing = asyncio.create_task(file.sync_later())
        await asyncio.sleep(0)
        file.write(b" late")
        while not syncing.done():
            beats.append(world.now)
            await asyncio.sleep(0.5)
        host.disk.sync_dir(".")
        await asyncio.Event().wait()

    world.host("a")
    world.slow_disk("a", 3.0)
    world.start("a", main)
    world.run(10)
    assert len(beats) > 4
    world.power_loss("a")
    assert read(world.host("a").disk, "f").startswith(b"early")


def test_a_failed_sync_loses_what_later_syncs_believe_written() -> None:
    def prepare(disk: Disk) -> None:
        write(disk, "f", b"old")
        disk.sync_dir(".")
        file = disk.open("f", "r+b")
        file.write(b"new")
        disk.syncs_fail = True  # type: ignore[attr-defined]
        with pytest.raises(OSError) as caught:
            file.sync()
        assert caught.value.errno == errno.EIO
        disk.syncs_fail = False  # type: ignore[attr-defined]
        file.sync()

    assert b"old" in fates(prepare, lambda disk: read(disk, "f"))


def test_a_read_only_disk_refuses_changes_and_flipped_bits_are_read(world: World) -> None:
    disk = world.host("a").disk
    write(disk, "f", bytes(100))
    world.read_only_disk("a")
    with pytest.raises(OSError, match="Read-only"):
        disk.open("f", "ab")
    assert read(disk, "f") == bytes(100)
    world.flip_bits("a", "f", 1)
    assert sum(byte.bit_count() for byte in read(disk, "f")) == 1


def crash_points() -> Iterator[tuple[int, bytes]]:
    for operation in range(1, 8):
        with World(operation) as world:
            write(world.host("a").disk, "f", b"old")
            world.host("a").disk.sync_dir(".")

            async def main(host: Host) -> None:
                write(host.disk, "f.new", b"new")
                host.disk.rename("f.new", "f")
                host.disk.sync_dir(".")

            world.start("a", main)
            world.power_loss_in("a", operation)
            world.run(1)
            world.power_loss("a")
            yield operation, read(world.host("a").disk, "f")


def test_power_can_be_lost_at_each_operation_of_a_program() -> None:
    seen = dict(crash_points())
    assert seen[1] == seen[2] == seen[3] == seen[4] == b"old"
    assert seen[5] in (b"old", b"new"), "the directory's sync itself was cut off"
    assert seen[6] == seen[7] == b"new"


def test_paths_and_modes_behave_as_on_the_operating_system(world: World) -> None:
    disk = world.host("a").disk
    with pytest.raises(FileNotFoundError):
        disk.open("f", "rb")
    with pytest.raises(FileNotFoundError):
        disk.open("nowhere/f", "wb")
    with pytest.raises(IsADirectoryError):
        disk.open(".", "rb")
    with pytest.raises(FileNotFoundError):
        disk.remove("f")
    write(disk, "/data/f", b"0123456789")
    file = disk.open("f", "r+b")
    file.seek(4)
    file.write(b"xx")
    file.truncate(8)
    file.seek(2)
    assert (file.read(3), file.read(), file.size()) == (b"23x", b"x67", 8)
    assert disk.listdir(".") == ["f"]
