"""A disk that can lose what was not synced.

What this is: `holdfast.server.host.Disk` in memory, one a host, shared by its
processes, with the faults of real ones: power loss, full, slow, read-only, flipped
bits, failing syncs, and a power loss at a chosen operation. What it is not: the rules
of what survives, which are in `disk_image`.

How to read it: a process crash loses nothing, since what was written is in the page
cache. A power loss keeps file contents by the luck of each block and names by the
luck of each directory, except what `sync` and `sync_dir` made durable. As with a
journalling file system, changes of one directory survive in the order in which they
were made; two directories, and names and contents, have nothing to do with each other.

A blocking `sync` takes `sync_seconds`: the bytes are durable at once, and the process
stalls; as nothing it does can be seen before the stall ends, this is one of the
orders that a real disk could have shown. `sync_later` makes durable, at its end, what
was written before its beginning.
"""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.sim.disk_image import Inode, Names
from holdfast.sim.life import ProcessKilled

if TYPE_CHECKING:
    from holdfast.sim.life import Life
    from holdfast.sim.loop import SimLoop

WORKING_DIRECTORY = "/data"
SYNC_SECONDS = 0.0005
MODES = ("rb", "wb", "ab", "r+b")


def disk_error(number: int, path: str) -> OSError:
    """Return the OSError that the operating system would raise for `path`."""
    return OSError(number, os.strerror(number), path)


class SimDisk:
    """One host's file system; see `holdfast.server.host.Disk`."""

    def __init__(self, loop: SimLoop, luck: random.Random) -> None:
        """Make an empty disk; `luck` decides what a power loss spares."""
        self.loop = loop
        self.luck = luck
        self.names = Names(WORKING_DIRECTORY)
        self.capacity_bytes: int | None = None
        """Room for contents; None is unlimited."""
        self.sync_seconds = SYNC_SECONDS
        self.read_only = False
        self.syncs_fail = False
        """Each sync raises EIO and, as on Linux, what it should have written counts as clean after it."""
        self.power_loss_in: int | None = None
        """Lose power in place of this many-th changing operation from now (1: the next)."""
        self.power_fails: Callable[[], None] | None = None

    # What processes call

    def open(self, path: str, mode: str) -> SimFile:
        """Open a file."""
        if mode not in MODES:
            raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
        full = self._full(path)
        if full in self.names.directories:
            raise disk_error(errno.EISDIR, path)
        inode = self.names.files.get(full)
        if mode in ("rb", "r+b"):
            self._alive()
            if inode is None:
                raise disk_error(errno.ENOENT, path)
            if mode == "r+b" and self.read_only:
                raise disk_error(errno.EROFS, path)
        else:
            self._change(path)
            if posixpath.dirname(full) not in self.names.directories:
                raise disk_error(errno.ENOENT, path)
            if inode is None:
                inode = Inode()
                self.names.add(full, inode)
            elif mode == "wb":
                inode.truncate(0)
        return SimFile(self, path, inode, mode, self.loop.life)

    def rename(self, old: str, new: str) -> None:
        """Replace `new` by `old`; durable after `sync_dir`."""
        self._change(old)
        source, target = self._full(old), self._full(new)
        if source not in self.names.files or posixpath.dirname(target) not in self.names.directories:
            raise disk_error(errno.ENOENT, old)
        if target in self.names.directories:
            raise disk_error(errno.EISDIR, new)
        self.names.rename(source, target)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._change(path)
        full = self._full(path)
        if full not in self.names.files:
            raise disk_error(errno.EISDIR if full in self.names.directories else errno.ENOENT, path)
        self.names.remove(full)

    def exists(self, path: str) -> bool:
        """Tell whether a file or directory is there."""
        self._alive()
        full = self._full(path)
        return full in self.names.files or full in self.names.directories

    def listdir(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        self._alive()
        full = self._full(path)
        if full not in self.names.directories:
            raise disk_error(errno.ENOTDIR if full in self.names.files else errno.ENOENT, path)
        return self.names.children(full)

    def makedirs(self, path: str) -> None:
        """Make a directory and its parents."""
        full = self._full(path)
        missing = []
        while full not in self.names.directories:
            if full in self.names.files:
                raise disk_error(errno.EEXIST, path)
            missing.append(full)
            full = posixpath.dirname(full)
        if not missing:
            self._alive()
            return
        self._change(path)
        for directory in reversed(missing):
            self.names.make_directory(directory)

    def sync_dir(self, path: str) -> None:
        """Make creations, renames and removals in a directory durable."""
        self._change(path)
        full = self._full(path)
        if full not in self.names.directories:
            raise disk_error(errno.ENOENT, path)
        self._sync_takes_time()
        if self.syncs_fail:
            raise disk_error(errno.EIO, path)
        self.names.sync(full)

    async def sync_dir_later(self, path: str) -> None:
        """The same while the process goes on; what changes meanwhile is durable too."""
        self._change(path)
        await asyncio.sleep(self.sync_seconds)
        self._alive()
        if self.syncs_fail:
            raise disk_error(errno.EIO, path)
        self.names.sync(self._full(path))

    # What the world does

    def lose_power(self) -> list[str]:
        """Keep what is durable and, by luck, some of the rest; return the paths that changed."""
        return self.names.lose_power(self.luck)

    def flip_bits(self, path: str, count: int = 1) -> list[int]:
        """Flip `count` bits of a file by luck, durably; return their byte offsets."""
        inode = self.names.files[self._full(path)]
        return inode.flip_bits(self.luck, count)

    def used_bytes(self) -> int:
        """Return the size of all files together."""
        return sum(len(inode.content) for inode in self.names.files.values())

    def _full(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(WORKING_DIRECTORY, path))

    def _alive(self) -> None:
        if self.loop.life.dead:
            raise ProcessKilled

    def _change(self, path: str) -> None:
        """Stand before every operation that changes something."""
        if self.loop.life.dead:
            raise ProcessKilled
        if self.power_loss_in is not None:
            self.power_loss_in -= 1
            if self.power_loss_in <= 0:
                self.power_loss_in = None
                if self.power_fails is not None:
                    self.power_fails()
                raise ProcessKilled
        if self.read_only:
            raise disk_error(errno.EROFS, path)

    def _sync_takes_time(self) -> None:
        life = self.loop.life
        if self.sync_seconds and life is not self.loop.world_life:
            life.stall(self.sync_seconds)


class SimFile:
    """An open file; see `holdfast.server.host.DiskFile`."""

    def __init__(self, disk: SimDisk, path: str, inode: Inode, mode: str, life: Life) -> None:
        """Open `inode`; `SimDisk.open` does this."""
        self._disk = disk
        self._path = path
        self._inode = inode
        self._mode = mode
        self._life = life
        self._position = 0
        self._open = True

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all, or as much as there is room for and raise ENOSPC."""
        self._check(writing=True)
        self._disk._change(self._path)
        content = self._inode.content
        if self._mode == "ab":
            self._position = len(content)
        size = len(data) if not isinstance(data, memoryview) else data.nbytes
        fits = size
        if self._disk.capacity_bytes is not None:
            free = max(0, self._disk.capacity_bytes - self._disk.used_bytes())
            overwritten = max(0, len(content) - self._position)
            fits = min(size, free + overwritten)
        self._inode.write(self._position, data if fits == size else memoryview(data).cast("B")[:fits])
        self._position += fits
        if fits < size:
            raise disk_error(errno.ENOSPC, self._path)
        return size

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the position."""
        self._check(writing=False)
        end = len(self._inode.content) if size < 0 else self._position + size
        read = bytes(memoryview(self._inode.content)[self._position : end])
        self._position += len(read)
        return read

    def seek(self, offset: int) -> None:
        """Set the position."""
        self._check(writing=None)
        if offset < 0:
            raise disk_error(errno.EINVAL, self._path)
        self._position = offset

    def truncate(self, size: int) -> None:
        """Cut (or extend by zeros) to `size` bytes."""
        self._check(writing=True)
        self._disk._change(self._path)
        self._inode.truncate(size)

    def sync(self) -> None:
        """Make the content durable; the process stalls for the disk's `sync_seconds`."""
        self._check(writing=None)
        self._disk._change(self._path)
        self._disk._sync_takes_time()
        if self._disk.syncs_fail:
            self._inode.fail_sync()
            raise disk_error(errno.EIO, self._path)
        self._inode.sync()

    async def sync_later(self) -> None:
        """The same while the process goes on."""
        self._check(writing=None)
        self._disk._change(self._path)
        mark = self._inode.begin_sync()
        await asyncio.sleep(self._disk.sync_seconds)
        self._check(writing=None, may_be_closed=True)
        if self._disk.syncs_fail:
            self._inode.fail_sync()
            raise disk_error(errno.EIO, self._path)
        self._inode.end_sync(mark)

    def size(self) -> int:
        """Return the file's size in bytes."""
        self._check(writing=None)
        return len(self._inode.content)

    def fileno(self) -> int:
        """Raise: there is no descriptor."""
        raise disk_error(errno.EBADF, self._path)

    def close(self) -> None:
        """Close without syncing."""
        self._open = False

    def close_soon(self) -> None:
        """Close: here nothing waits."""
        self._open = False

    def _check(self, *, writing: bool | None, may_be_closed: bool = False) -> None:
        if self._life.dead:
            raise ProcessKilled
        if not self._open and not may_be_closed:
            raise ValueError("I/O operation on closed file")
        if (writing is True and self._mode == "rb") or (writing is False and self._mode in ("wb", "ab")):
            raise disk_error(errno.EBADF, self._path)
