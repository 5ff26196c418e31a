"""What a node knows of the machine it runs on: clock, disk, luck.

Every node is handed a `Host`. In production it is `holdfast.server.machine.Machine`
(the real clock, the real file system); under proof it is a host of
`holdfast.sim`. This module holds only the interfaces; it reads no clock and
opens no file itself. Network and waiting go through the running asyncio loop
(`create_server`, `create_connection`, `call_later`, `sleep`), nothing else.

How to read it: `Clock`, then `DiskFile` and `Disk`, then `Host`, which holds them.
"""

from __future__ import annotations

import random
from typing import Protocol


class Clock(Protocol):
    """Time of one host. Both may be read at any moment and cost little."""

    def wall_us(self) -> int:
        """Return microseconds since 1970 (may jump)."""
        ...

    def boot_us(self) -> int:
        """Return microseconds of CLOCK_BOOTTIME: never back, counts suspension."""
        ...


class DiskFile(Protocol):
    """An open file. Calls block; `OSError` as the operating system raises it."""

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append or write at the position; write all of it or raise."""
        ...

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the position (-1: all that is left)."""
        ...

    def seek(self, offset: int) -> None:
        """Set the position, in bytes from the start."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def sync(self) -> None:
        """Return when the content is on stable storage (fdatasync)."""
        ...

    async def sync_later(self) -> None:
        """The same without blocking the loop (a thread, or virtual time)."""
        ...

    def size(self) -> int:
        """Return the file's size in bytes."""
        ...

    def fileno(self) -> int:
        """Return the descriptor; `OSError` where there is none (simulator)."""
        ...

    def close(self) -> None:
        """Close without syncing."""
        ...

    def close_soon(self) -> None:
        """The same without blocking the loop: the last close of a removed file may wait for the disk."""
        ...


class Disk(Protocol):
    """One host's file system. Paths are text, relative to the host's working directory or absolute."""

    def open(self, path: str, mode: str) -> DiskFile:
        """Open: mode "rb" reads, "wb" creates or empties, "ab" appends, "r+b" edits."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Replace `new` by `old` in one step (durable after `sync_dir`)."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    def exists(self, path: str) -> bool:
        """Tell whether a file or directory is there."""
        ...

    def listdir(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        ...

    def makedirs(self, path: str) -> None:
        """Make a directory and its parents; no error if it is there."""
        ...

    def sync_dir(self, path: str) -> None:
        """Make creations, renames and removals in a directory durable."""
        ...

    async def sync_dir_later(self, path: str) -> None:
        """The same without blocking the loop."""
        ...


class Host(Protocol):
    """The machine as a node sees it."""

    name: str
    clock: Clock
    disk: Disk
    random: random.Random
    """All luck of the node: ids, jitter, sampling seeds."""
    can_fork: bool
    """Whether snapshots may be written by a forked child."""
    pid: int
