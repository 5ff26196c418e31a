"""Disks for tests: the real file system, with a size limit and failing syncs on demand.

Not the simulator's disk: nothing is lost at a crash here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from holdfast.server.host import DiskFile


class LocalFile:
    """A file of `LocalDisk`."""

    def __init__(self, disk: LocalDisk, path: str, mode: str) -> None:
        self.disk = disk
        self.file = Path(path).open(mode, buffering=0)  # type: ignore[call-overload]  # noqa: SIM115

    def write(self, data: bytes | bytearray | memoryview) -> int:
        room = self.disk.space_left
        if room is not None and room < len(data):
            self.file.write(memoryview(data)[:room])
            self.disk.space_left = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if room is not None:
            self.disk.space_left = room - len(data)
        return self.file.write(data)

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)

    def seek(self, offset: int) -> None:
        self.file.seek(offset)

    def truncate(self, size: int) -> None:
        if self.disk.cut_fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.file.truncate(size)

    def sync(self) -> None:
        self.disk.syncs += 1
        if self.disk.sync_fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def sync_later(self) -> None:
        await self.disk.before_sync()
        self.sync()

    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def fileno(self) -> int:
        return self.file.fileno()

    def close(self) -> None:
        self.file.close()

    def close_soon(self) -> None:
        self.file.close()


class LocalDisk:
    """The real file system with faults: `space_left` bytes, `sync_fails`, `cut_fails`."""

    def __init__(self) -> None:
        self.space_left: int | None = None
        self.sync_fails = self.cut_fails = False
        self.rename_fails: Callable[[str], bool] = lambda path: False
        self.syncs = 0
        self.sync_gate: object = None

    async def before_sync(self) -> None:
        if self.sync_gate is not None:
            await self.sync_gate.wait()  # type: ignore[attr-defined]

    def open(self, path: str, mode: str) -> DiskFile:
        return LocalFile(self, path, mode)

    def rename(self, old: str, new: str) -> None:
        if self.rename_fails(new):
            raise OSError(errno.EIO, os.strerror(errno.EIO), old)
        os.replace(old, new)

    def remove(self, path: str) -> None:
        os.remove(path)

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def makedirs(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def sync_dir(self, path: str) -> None:
        assert os.path.isdir(path)

    async def sync_dir_later(self, path: str) -> None:
        self.sync_dir(path)


class StillClock:
    """A clock that a test moves."""

    def __init__(self, wall_seconds: int = 1_700_000_000) -> None:
        self.wall = wall_seconds * 1_000_000
        self.boot = 0

    def wall_us(self) -> int:
        return self.wall

    def boot_us(self) -> int:
        return self.boot
