"""nodes.conf on disk: one writer, replaced in one step, durable when `synced`; or a line is added.

What it is: the file behind `nodes_file`'s text. What it is not: when it is written.
No file takes the name before it is on stable storage as a whole.

The lock is that of Redis: flock on the file for as long as the process lives. As the file
is replaced, each new one is locked before it takes the name. Where a disk has no
descriptors (the simulator) no other process can come, and there is no lock.
"""

from __future__ import annotations

import fcntl
import posixpath

from holdfast.server.host import Disk, DiskFile


class NodesFileLocked(OSError):
    """Another process uses the file."""


class NodesStore:
    """The file of one node."""

    def __init__(self, disk: Disk, path: str, pid: int) -> None:
        self._disk = disk
        self.path = path
        self._temporary = f"{path}.tmp-{pid}"
        self._held: DiskFile | None = None
        self._writes = 0
        """Writes that have begun, so that one that was overtaken knows it."""
        self.added_bytes = 0
        """Behind the file as it was last replaced."""
        self.is_named = False
        """Whether a power loss leaves the file as it was last replaced: what is added may be fsynced."""
        self.is_torn = False
        """Whether the file may end in half a line: nothing is added, the next thing to do is a `write`."""

    def open(self) -> str:
        """Lock the file, and return its text, "" where there is none. Raises `OSError`."""
        self._held = self._disk.open(self.path, "ab")
        self._lock(self._held)
        file = self._disk.open(self.path, "rb")
        try:
            return file.read().decode("utf-8", "surrogateescape")
        finally:
            file.close()

    def add(self, line: str) -> None:
        """Write lines behind the file as it is; a `write_later` under way is void.

        Raises `OSError`, and from then on, until the file was replaced: half a line may stand there.
        """
        self._writes += 1
        self._append(line)

    async def add_later(self, line: str) -> bool:
        """Write a line behind the file as it is, durably, without blocking the loop; `is_named` must be so.

        Return false where a `write` came in between: what it wrote is newer. Raises `OSError` as `add` does.
        """
        self._writes += 1
        mine = self._writes
        file = self._append(line)
        try:
            await file.sync_later()
        except OSError:
            self.is_torn = self.is_torn or file is self._held
            raise
        return mine == self._writes

    def _append(self, line: str) -> DiskFile:
        if self._held is None or self.is_torn:
            raise OSError(9, "the file is not open, or ends in half a line")
        self.is_torn = True
        self._held.write(line.encode("utf-8", "surrogateescape"))
        self.is_torn = False
        self.added_bytes += len(line)
        return self._held

    def write(self, text: str, synced: bool) -> None:
        """Replace the file; a `write_later` under way is void. Raises `OSError`; then the old one stands.

        Not `synced`: a power loss may bring the old one back, whole. (A new one that is not on disk yet would
        take with it what the old one had promised.)
        """
        self._writes += 1
        file = self._disk.open(self._temporary, "wb")
        try:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.sync()
            self._take_name(file, self._temporary)
        except OSError:
            file.close()
            raise
        if synced:
            self._disk.sync_dir(posixpath.dirname(self.path))
            self.is_named = True

    async def write_later(self, text: str) -> bool:
        """Replace the file durably without blocking the loop; one at a time.

        Return false where a `write` came in between: what it wrote is newer. Raises `OSError`.
        """
        self._writes += 1
        mine, temporary = self._writes, f"{self._temporary}-later"
        file = self._disk.open(temporary, "wb")
        try:
            file.write(text.encode("utf-8", "surrogateescape"))
            await file.sync_later()
            if mine != self._writes:
                file.close_soon()
                return False
            self._take_name(file, temporary)
        except BaseException:  # cancelled, too
            file.close()
            raise
        await self._disk.sync_dir_later(posixpath.dirname(self.path))
        is_newest = mine == self._writes
        self.is_named = self.is_named or is_newest
        return is_newest

    def _take_name(self, file: DiskFile, temporary: str) -> None:
        self._lock(file)
        self._disk.rename(temporary, self.path)
        if self._held is not None:
            self._held.close_soon()
        self._held, self.added_bytes, self.is_named, self.is_torn = file, 0, False, False

    def close(self) -> None:
        """Let the file go; a `write_later` under way is void."""
        self._writes += 1
        if self._held is not None:
            self._held.close()
            self._held = None

    def _lock(self, file: DiskFile) -> None:
        try:
            descriptor = file.fileno()
        except OSError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise NodesFileLocked(
                f"Sorry, the cluster configuration file {self.path} is already used by a different "
                "Redis Cluster node. Please make sure that different nodes use different cluster "
                "configuration files."
            ) from None
