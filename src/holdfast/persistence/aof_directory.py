"""The directory of a running AOF: which file is made, renamed, named in the manifest and removed, in order.

Every step is safe to crash after: the manifest on disk always names files that
exist and hold everything. When the steps are taken is `aof_writer` and `aof_rewriter`.

How to read it: `prepare` at start-up; `next_increment`, `put_in_force` and
`remove_history` are the three steps of a rewrite.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.persistence.aof_increment import Increment
from holdfast.persistence.manifest import Manifest
from holdfast.persistence.manifest_store import AofPlace, file_sizes, store_manifest
from holdfast.server.host import Disk

Log = Callable[[str, str], None]
"""Takes a level ("notice", "warning") and a line."""

TEMPORARY_BASE = "temp-rewriteaof-bg-"


class AofDirectory:
    """The files of one AOF. `manifest` is the one in force on disk."""

    def __init__(self, disk: Disk, place: AofPlace, pid: int, log: Log) -> None:
        self.manifest = Manifest()
        self.snapshot_path = place.path(f"{TEMPORARY_BASE}{pid}.aof")
        """Where a rewrite writes its snapshot."""
        self.waiting_path = place.path(f"temp-{place.filename}.incr")
        """Where effects go during the rewrite that switches the AOF on."""
        self._disk, self._place, self._log = disk, place, log

    def prepare(
        self, manifest: Manifest, offset: int, rdb: bool, write_base: Callable[[str, bool], None]
    ) -> Increment:
        """Open the last increment at start-up, after making what is missing; OSError."""
        self._make_directory()
        for name in self._disk.listdir(self._place.directory):
            if name.startswith(TEMPORARY_BASE) or self._place.path(name) == self.waiting_path:
                self.forget(self._place.path(name))
        if not manifest.files:
            manifest = manifest.with_base(self._place.filename, rdb=rdb)
            assert manifest.base
            write_base(self._place.path(manifest.base.name), rdb)
        if not manifest.increments:
            manifest = manifest.with_increment(self._place.filename)
        increment = Increment.reopen(self._disk, self._place.path(manifest.increments[-1].name), offset)
        try:
            store_manifest(self._disk, self._place, manifest)
        except OSError:
            increment.close()
            raise
        self.manifest = manifest
        return increment

    def next_increment(self, offset: int) -> Increment:
        """Make the next increment and name it in the manifest; OSError changes nothing."""
        manifest = self.manifest.with_increment(self._place.filename)
        name = manifest.increments[-1].name
        increment = Increment.create(self._disk, self._place.path(name), offset)
        try:
            store_manifest(self._disk, self._place, manifest)
        except OSError:
            increment.close()
            raise
        self._log("notice", f"Creating AOF incr file {name} on background rewrite")
        self.manifest = manifest
        return increment

    def waiting_increment(self, offset: int) -> Increment:
        """Make the increment of an AOF that is being switched on; the manifest does not name it yet."""
        self._make_directory()
        return Increment.create(self._disk, self.waiting_path, offset)

    def _make_directory(self) -> None:
        """Make the directory, durably: a file in it is worth nothing if power loss takes the directory."""
        self._disk.makedirs(self._place.directory)
        self._disk.sync_dir(self._place.working_directory)

    def put_in_force(self, *, rdb: bool, waiting: bool, keep: int) -> None:
        """Make the snapshot the base, the waiting increment the next, and all but `keep` increments history.

        OSError leaves the manifest before in force.
        """
        manifest = self.manifest.with_base(self._place.filename, rdb=rdb)
        assert manifest.base
        renames = [(self.snapshot_path, self._place.path(manifest.base.name))]
        if waiting:
            manifest = manifest.with_increment(self._place.filename)
            renames.append((self.waiting_path, self._place.path(manifest.increments[-1].name)))
        manifest = manifest.with_increments_done(keep=keep)
        try:
            for old, new in renames:
                self._disk.rename(old, new)
            store_manifest(self._disk, self._place, manifest)
        except OSError:
            self._undo([new for _, new in renames])
            raise
        self.manifest = manifest

    def _undo(self, paths: list[str]) -> None:
        # A manifest whose rename did not sync may be on disk all the same: it is replaced by the one before,
        # and only when that is sure are the files removed that it names.
        try:
            if self.manifest.files:
                store_manifest(self._disk, self._place, self.manifest)
            else:
                self._disk.remove(self._place.manifest_path)
        except FileNotFoundError:
            pass
        except OSError:
            return
        for path in paths:
            self.forget(path)

    def remove_history(self) -> None:
        """Remove what a rewrite made obsolete; a failure is logged and harms nothing."""
        if not self.manifest.history:
            return
        for entry in self.manifest.history:
            self._log("notice", f"Removing the history file {entry.name}")
            self.forget(self._place.path(entry.name))
        try:
            store_manifest(self._disk, self._place, self.manifest.without_history())
            self.manifest = self.manifest.without_history()
        except OSError as error:
            # The manifest names history that is gone, and the next rewrite forgets it.
            self._log("warning", f"Can't take removed files out of the AOF manifest: {error.strerror}")

    def size(self) -> int:
        """Return the bytes of base and increments."""
        sizes = file_sizes(self._disk, self._place.directory)
        return sum(sizes.get(entry.name, 0) for entry in self.manifest.files)

    def forget(self, path: str) -> None:
        """Remove a file that nothing needs; a failure is logged."""
        try:
            self._disk.remove(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._log("warning", f"Can't remove {path}: {error.strerror}")
