"""The real file system behind the `Disk` seam.

Files are unbuffered: what `write` returns from has left the process. Nothing
here decides anything; the simulator has another disk under the same interface.

How to read it: `OpenFile`, then `FileSystem` that opens it.
"""

from __future__ import annotations

import os
from io import FileIO


class OpenFile:
    """An open file of the operating system (`holdfast.server.host.DiskFile`)."""

    def __init__(self, path: str, mode: str) -> None:
        self._file = FileIO(path, mode.replace("b", ""))

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of `data` or raise."""
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            written += self._file.write(view[written:]) or 0
        return written

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes (-1: all that is left); b"" at the end."""
        if size < 0:
            return self._file.readall() or b""
        return self._file.read(size) or b""

    def seek(self, offset: int) -> None:
        """Set the position, in bytes from the start."""
        self._file.seek(offset)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        self._file.truncate(size)

    def sync(self) -> None:
        """Return when the content is on stable storage."""
        synchronise = getattr(os, "fdatasync", os.fsync)
        synchronise(self._file.fileno())

    async def sync_later(self) -> None:
        """The same in a thread of the running loop's pool."""
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.sync)

    def size(self) -> int:
        """Return the file's size in bytes."""
        return os.fstat(self._file.fileno()).st_size

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close without syncing."""
        self._file.close()


class FileSystem:
    """The file system of this machine (`holdfast.server.host.Disk`)."""

    def open(self, path: str, mode: str) -> OpenFile:
        """Open a file; mode is "rb", "wb", "ab" or "r+b"."""
        return OpenFile(path, mode)

    def rename(self, old: str, new: str) -> None:
        """Replace `new` by `old` in one step."""
        os.replace(old, new)

    def remove(self, path: str) -> None:
        """Remove a file."""
        os.remove(path)

    def exists(self, path: str) -> bool:
        """Tell whether a file or directory is there."""
        return os.path.exists(path)

    def listdir(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        return sorted(os.listdir(path))

    def makedirs(self, path: str) -> None:
        """Make a directory and its parents."""
        os.makedirs(path, exist_ok=True)

    def sync_dir(self, path: str) -> None:
        """Make creations, renames and removals in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
