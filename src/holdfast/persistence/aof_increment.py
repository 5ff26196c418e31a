"""One increment that is open for appending: bytes written, bytes known to be on stable storage.

It cuts off what a failed write left behind, so that a file on a full disk
always ends with a whole command. When to write and sync is `aof_policy`; which
increment is the current one is `aof_syncs`.

How to read it: `append` and its way back `cut_to`, then the two kinds of sync.
"""

from __future__ import annotations

from holdfast.server.host import Disk, DiskFile


class Increment:
    """An open increment.

    - `0 <= synced_bytes <= size`; the file holds `size` good bytes;
    - `synced_offset <= offset` are positions in the stream of effects (replication offsets);
    - `suspect`: a sync failed after bytes had left the buffer. The kernel may have dropped them, and a
      later sync that succeeds proves nothing about them; so nothing is counted as synced any more, and
      a rewrite must replace the file.
    """

    def __init__(self, path: str, file: DiskFile, size: int, offset: int) -> None:
        self.path = path
        self.size = size
        self.synced_bytes = size
        self.offset = offset
        self.synced_offset = offset
        self.suspect = False
        self.syncing = False
        self.is_closed = False
        self._file = file
        self._torn = False

    @classmethod
    def create(cls, disk: Disk, path: str, offset: int) -> Increment:
        """Make an empty file."""
        return cls(path, disk.open(path, "wb"), 0, offset)

    @classmethod
    def reopen(cls, disk: Disk, path: str, offset: int) -> Increment:
        """Go on with a file that was loaded (or does not exist yet); what it holds is synced first."""
        file = disk.open(path, "ab")
        try:
            file.sync()
            return cls(path, file, file.size(), offset)
        except OSError:
            file.close()
            raise

    @property
    def unsynced_bytes(self) -> int:
        """Bytes written that may be lost with the power."""
        return self.size - self.synced_bytes

    def append(self, chunk: bytearray, offset: int) -> None:
        """Write all of a chunk that ends at `offset`, or nothing and raise OSError."""
        if self._torn:
            self.cut_to(self.size, self.offset)
        try:
            self._file.write(chunk)
        except OSError:
            self._torn = True
            try:
                self.cut_to(self.size, self.offset)
            except OSError:
                pass  # the file stays torn: the next append cuts before it writes
            raise
        self.size += len(chunk)
        self.offset = offset

    def cut_to(self, size: int, offset: int) -> None:
        """Take back what was written after `size`; OSError leaves the file marked as torn."""
        self._torn = True
        self.size, self.offset = size, offset
        self._file.truncate(size)
        self._file.seek(size)
        self._torn = False

    def sync(self) -> None:
        """Return when everything written is on stable storage."""
        self._file.sync()
        self._synced(self.size, self.offset)

    async def sync_later(self) -> None:
        """The same beside the loop, for what was written up to now; nothing if it is closed: nobody waits."""
        if self.is_closed:
            self.syncing = False
            return
        size, offset = self.size, self.offset
        self.syncing = True
        try:
            await self._file.sync_later()
            self._synced(size, offset)
        except OSError:
            self.suspect = True
            raise
        finally:
            self.syncing = False

    def close(self) -> None:
        """Close without syncing."""
        self.is_closed = True
        self._file.close()

    def _synced(self, size: int, offset: int) -> None:
        if not self.suspect:
            self.synced_bytes = max(self.synced_bytes, min(size, self.size))
            self.synced_offset = max(self.synced_offset, min(offset, self.offset))
