"""The manifest on disk: reading, replacing, upgrading, and catching one that lies.

A manifest is replaced in one step (temporary file, fsync, rename, fsync of the
directory), so a crash leaves the old one or the new one. What the format means
is `manifest`; which files are written when is `aof_writer`.

How to read it: `load_manifest` is what start-up calls; `find_lies` compares a
manifest with the directory that it describes; `store_manifest` replaces it;
`upgrade_single_file` takes over the one-file AOF of servers before 7.0.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.persistence.manifest import Manifest, ManifestError, format_manifest, parse_manifest
from holdfast.server.host import Disk

TEMPORARY_PREFIX = "temp-"


@dataclass(frozen=True)
class AofPlace:
    """Where an append-only file lives: `dir`, `appenddirname` and `appendfilename` of the configuration."""

    working_directory: str
    directory_name: str = "appendonlydir"
    filename: str = "appendonly.aof"

    @property
    def directory(self) -> str:
        """The directory of manifest, base and increments."""
        return posixpath.join(self.working_directory, self.directory_name)

    @property
    def manifest_path(self) -> str:
        """The manifest."""
        return self.path(f"{self.filename}.manifest")

    @property
    def single_file_path(self) -> str:
        """Where servers before 7.0 kept the whole AOF."""
        return posixpath.join(self.working_directory, self.filename)

    def path(self, name: str) -> str:
        """The path of a file in the directory."""
        return posixpath.join(self.directory, name)


@dataclass(frozen=True)
class Lie:
    """A place where manifest and directory disagree; a fatal one must stop start-up."""

    fatal: bool
    name: str
    reason: str


def load_manifest(disk: Disk, place: AofPlace) -> tuple[Manifest, tuple[Lie, ...]]:
    """Read the manifest (empty if there is none yet), upgrading a single-file AOF first.

    Returns it with what is odd but harmless. Raises ManifestError for a
    manifest that is malformed, or that must not be followed, and OSError.
    """
    manifest = Manifest()
    if disk.exists(place.manifest_path):
        manifest = parse_manifest(read_whole(disk, place.manifest_path), place.manifest_path)
    if wants_upgrade(disk, place, manifest):
        manifest = upgrade_single_file(disk, place, manifest)
    lies = find_lies(manifest, file_sizes(disk, place.directory), place.filename)
    for lie in lies:
        if lie.fatal:
            raise ManifestError(place.manifest_path, 0, f"{lie.name}: {lie.reason}")
    return manifest, lies


def find_lies(manifest: Manifest, sizes: Mapping[str, int], filename: str) -> tuple[Lie, ...]:
    """Compare a manifest with the sizes in bytes of the files in its directory."""
    lies = [
        Lie(True, entry.name, "the manifest names this file, but it is missing")
        for entry in manifest.files
        if entry.name not in sizes
    ]
    known = {entry.name for entry in (*manifest.files, *manifest.history)}
    sequences = {entry.sequence for entry in manifest.increments}
    first = min(sequences, default=0)
    pattern = re.compile(re.escape(filename) + r"\.(\d+)\.(base|incr)\.(rdb|aof)")
    for name in sorted(sizes):
        match = pattern.fullmatch(name)
        if not match or name in known or not sizes[name]:
            continue
        sequence, kind = int(match[1]), match[2]
        if not manifest.files:
            lies.append(Lie(True, name, "the directory holds this file, but the manifest is missing"))
        elif kind == "incr" and first < sequence < manifest.increment_sequence:
            lies.append(Lie(True, name, "the manifest passes over this increment"))
        elif kind == "incr" and sequence > manifest.increment_sequence:
            lies.append(Lie(False, name, "the manifest does not know this later increment; it is not loaded"))
        else:
            lies.append(Lie(False, name, "left over by a rewrite that did not end; it is not loaded"))
    return tuple(lies)


def store_manifest(disk: Disk, place: AofPlace, manifest: Manifest) -> None:
    """Replace the manifest in one step; OSError leaves the old one in force."""
    temporary = place.path(f"{TEMPORARY_PREFIX}{place.filename}.manifest")
    file = disk.open(temporary, "wb")
    try:
        file.write(format_manifest(manifest))
        file.sync()
    finally:
        file.close()
    disk.rename(temporary, place.manifest_path)
    disk.sync_dir(place.directory)


def wants_upgrade(disk: Disk, place: AofPlace, manifest: Manifest) -> bool:
    """Tell whether a single-file AOF waits to be taken over, or an earlier take-over was cut short."""
    if not disk.exists(place.single_file_path):
        return False
    if not manifest.files:
        return True
    only_base = manifest.base is not None and not manifest.increments
    return (
        only_base and manifest.files[0].name == place.filename and not disk.exists(place.path(place.filename))
    )


def upgrade_single_file(disk: Disk, place: AofPlace, manifest: Manifest) -> Manifest:
    """Make the single-file AOF the base of a multi-part one; may be repeated after a crash."""
    disk.makedirs(place.directory)
    disk.sync_dir(place.working_directory)
    upgraded = manifest.with_upgraded_base(place.filename)
    store_manifest(disk, place, upgraded)
    disk.rename(place.single_file_path, place.path(place.filename))
    disk.sync_dir(place.directory)
    disk.sync_dir(place.working_directory)
    return upgraded


def file_sizes(disk: Disk, directory: str) -> dict[str, int]:
    """Return the size in bytes of every plain file in a directory (none if it does not exist)."""
    if not disk.exists(directory):
        return {}
    sizes = {}
    for name in disk.listdir(directory):
        try:
            file = disk.open(f"{directory}/{name}", "rb")
        except IsADirectoryError:
            continue
        try:
            sizes[name] = file.size()
        finally:
            file.close()
    return sizes


def read_whole(disk: Disk, path: str) -> bytes:
    """Return the content of a small file."""
    file = disk.open(path, "rb")
    try:
        return file.read()
    finally:
        file.close()
