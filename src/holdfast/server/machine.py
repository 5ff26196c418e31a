"""The real machine: clock, disk and luck from the operating system.

What this is: `holdfast.server.host.Host` in production. What it is not: a cache of
the time (the loop's owner keeps that, once per tick) or a buffer (callers batch).

How to read it: `Machine` holds the three parts. Files are bare descriptors; a write
goes on until all is written or the system refuses. `sync_later` holds a second
descriptor of the file while its thread works, so that closing the file meanwhile can
neither fail the sync nor make it hit another file. A large file that is removed or replaced
is held open meanwhile, and closed in a thread: the last close gives its pages back, which takes
a millisecond for 6 to 15 MB.
"""

from __future__ import annotations

import os
import random
import resource
import socket
import sys

from holdfast.server.host import Clock, Disk
from holdfast.server.machine_clock import MachineClock

_datasync = getattr(os, "fdatasync", os.fsync)

OPEN_FLAGS = {
    "rb": os.O_RDONLY,
    "wb": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "r+b": os.O_RDWR,
}
FILE_MODE = 0o644
LARGE_BYTES = 1024 * 1024
"""Smaller files are removed at once: to wake a thread takes longer."""


class MachineFile:
    """An open file; see `holdfast.server.host.DiskFile`."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str, mode: str) -> None:
        """Open `path`; raise OSError as the system does."""
        if mode not in OPEN_FLAGS:
            raise ValueError(f"mode {mode!r} is none of {', '.join(OPEN_FLAGS)}")
        self._path = path
        self._descriptor = os.open(path, OPEN_FLAGS[mode] | os.O_CLOEXEC, FILE_MODE)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of `data` or raise."""
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        written = os.write(self._descriptor, data)
        if written < size:
            rest = memoryview(data).cast("B")[written:]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        return size

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; fewer only at the end of the file."""
        pieces = []
        left = size
        while left:
            wanted = left if left > 0 else 1 << 20
            piece = os.read(self._descriptor, wanted)
            if not piece:
                break
            pieces.append(piece)
            if size > 0:
                left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def seek(self, offset: int) -> None:
        """Set the position, in bytes from the start."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        """Return when the content is on stable storage."""
        _datasync(self._descriptor)

    async def sync_later(self) -> None:
        """The same in a thread of the running loop's executor."""
        import asyncio  # here, because a command line that only reads files has no loop

        copy = os.dup(self._descriptor)
        # The thread closes the copy: a cancelled wait does not stop the thread.
        await asyncio.get_running_loop().run_in_executor(None, _sync_and_close, copy)

    def size(self) -> int:
        """Return the file's size in bytes."""
        return os.fstat(self._descriptor).st_size

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Close without syncing; closing twice does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def close_soon(self) -> None:
        """Close in a thread of the running loop's executor; where no loop runs, at once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _close_aside(descriptor)

    def __del__(self) -> None:
        """Close, if its owner forgot to."""
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()


def _sync_and_close(descriptor: int) -> None:
    try:
        _datasync(descriptor)
    finally:
        os.close(descriptor)


def _hold(path: str) -> int:
    """Open a large file, so that it outlives its name; -1: there is none."""
    try:
        if os.stat(path).st_size >= LARGE_BYTES:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        pass  # it is not there, or not to be read: then its last close is where it is
    return -1


def _close_aside(descriptor: int) -> None:
    """Close in a thread of the running loop's executor; where no loop runs, or it ends, at once."""
    import asyncio  # as in sync_later

    try:
        asyncio.get_running_loop().run_in_executor(None, os.close, descriptor)
    except RuntimeError:
        os.close(descriptor)


class MachineDisk:
    """The file system below a working directory; see `holdfast.server.host.Disk`."""

    __slots__ = ("directory",)

    def __init__(self, directory: str = "") -> None:
        """Take relative paths from `directory` (the process's own if empty)."""
        self.directory = directory
        """May be changed (`CONFIG SET dir`)."""

    def _at(self, path: str) -> str:
        return os.path.join(self.directory, path)

    def open(self, path: str, mode: str) -> MachineFile:
        """Open a file."""
        return MachineFile(self._at(path), mode)

    def rename(self, old: str, new: str) -> None:
        """Replace `new` by `old` in one step."""
        held = _hold(self._at(new))
        try:
            os.replace(self._at(old), self._at(new))
        finally:
            if held >= 0:
                _close_aside(held)

    def remove(self, path: str) -> None:
        """Remove a file."""
        held = _hold(self._at(path))
        try:
            os.unlink(self._at(path))
        finally:
            if held >= 0:
                _close_aside(held)

    def exists(self, path: str) -> bool:
        """Tell whether a file or directory is there."""
        return os.path.exists(self._at(path))

    def listdir(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        return sorted(os.listdir(self._at(path) or "."))

    def makedirs(self, path: str) -> None:
        """Make a directory and its parents."""
        os.makedirs(self._at(path), exist_ok=True)

    def sync_dir(self, path: str) -> None:
        """Make creations, renames and removals in a directory durable."""
        descriptor = os.open(self._at(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    async def sync_dir_later(self, path: str) -> None:
        """The same in a thread of the running loop's executor."""
        import asyncio  # as in MachineFile.sync_later

        await asyncio.get_running_loop().run_in_executor(None, self.sync_dir, path)


class Machine:
    """The real `Host`."""

    def __init__(self, directory: str = "", *, seed: int | None = None) -> None:
        """Take relative paths from `directory`; `seed` fixes the luck (for tests)."""
        self.name = socket.gethostname()
        self.clock: Clock = MachineClock()
        self.disk: Disk = MachineDisk(directory)
        self.random = random.Random(seed)
        self.can_fork = hasattr(os, "fork")
        self.pid = os.getpid()

    def resident_bytes(self) -> int:
        """Return the resident set of the process (the largest so far where the system tells no more)."""
        try:
            with open("/proc/self/statm", "rb") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        except (OSError, IndexError, ValueError):
            largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return largest if sys.platform == "darwin" else largest * 1024
