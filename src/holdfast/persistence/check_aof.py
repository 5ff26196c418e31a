"""Checks append-only files without loading them, and mends what can be mended.

It takes a manifest, one file of a multi-part AOF or a single-file AOF, and says
of each file up to which offset it is whole, how many commands that is, and what
is wrong behind it. It executes nothing, so it cannot tell a command that no
server knows. Mending cuts the last file after its last whole command, or before
the first command later than a given time; the original is copied first.

As in redis-check-aof only the last file may be cut: whatever an earlier one
lost, the later ones build on. It is stricter in these: a manifest that passes
over a file, a missing file, an annotation cut short, a command without
arguments.

How to read it: `check` is a generator that yields progress and returns a
`Report`; `mend` takes the report of a damaged file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Generator
from dataclasses import dataclass

from holdfast.persistence.aof_reader import Progress, RdbRefused, starts_with_rdb
from holdfast.persistence.aof_walk import State, Verdict, walk
from holdfast.persistence.manifest import Kind, Manifest, ManifestError, parse_manifest
from holdfast.persistence.manifest_store import Lie, file_sizes, find_lies, read_whole
from holdfast.persistence.rdb_seal import SealFinder
from holdfast.server.host import Disk, DiskFile

CHUNK_BYTES = 1024 * 1024
HEAD_BYTES = 4096
SUFFIX = ".manifest"


@dataclass(frozen=True)
class RdbChecked:
    """An RDB that is whole: the offset after it, and its keys (-1: not counted)."""

    end_offset: int
    keys: int = -1


CheckRdb = Callable[[DiskFile], Generator[int, None, RdbChecked]]
"""Checks the RDB at the start of a file: yields bytes done; raises RdbRefused."""


@dataclass(frozen=True)
class FileReport:
    """What one file is."""

    path: str
    role: str
    last: bool
    rdb_bytes: int
    rdb_keys: int
    verdict: Verdict

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.verdict.state is State.WHOLE

    @property
    def excess_bytes(self) -> int:
        """Bytes behind what is whole."""
        return self.verdict.size - self.verdict.safe

    @property
    def mendable(self) -> bool:
        """Whether cutting it leaves something worth having: not when damage is all that there is."""
        nothing = self.verdict.state is State.DAMAGED and self.verdict.safe == 0
        return self.last and self.excess_bytes > 0 and self.rdb_bytes >= 0 and not nothing


@dataclass(frozen=True)
class Report:
    """What was found: the files in loading order, what the manifest hides, or why it cannot be followed."""

    path: str
    files: tuple[FileReport, ...] = ()
    lies: tuple[Lie, ...] = ()
    manifest_error: str = ""

    @property
    def whole(self) -> bool:
        """Whether a server may load it without losing anything."""
        sound = not self.manifest_error and not any(lie.fatal for lie in self.lies)
        return sound and all(file.whole for file in self.files)

    @property
    def damaged(self) -> FileReport | None:
        """The first file that is not whole."""
        return next((file for file in self.files if not file.whole), None)

    @property
    def mendable(self) -> bool:
        """Whether `mend` makes it whole: only the tail of the last file is wrong."""
        sound = not self.manifest_error and not any(lie.fatal for lie in self.lies)
        return sound and self.damaged is not None and self.damaged.mendable


def check(
    disk: Disk, path: str, *, check_rdb: CheckRdb | None = None, latest: int = -1
) -> Generator[Progress, None, Report]:
    """Check a manifest, an increment or a single file; OSError if it cannot be read.

    With `latest` (seconds since 1970) a file ends before the first annotation that is later.
    """
    rdb = check_rdb or check_rdb_seal
    if not is_manifest(disk, path):
        steps = _check_file(disk, path, "single file", rdb, last=True, latest=latest, rdb_allowed=True)
        report = yield from _shifted(steps, 0, 0)
        return Report(path, (report,))
    directory, name = posixpath.dirname(path) or ".", posixpath.basename(path)
    try:
        manifest = parse_manifest(read_whole(disk, path), path)
    except ManifestError as error:
        return Report(path, manifest_error=str(error))
    sizes = file_sizes(disk, directory)
    lies = find_lies(manifest, sizes, name.removesuffix(SUFFIX))
    return Report(path, (yield from _check_parts(disk, directory, manifest, sizes, rdb, latest)), lies)


def _check_parts(
    disk: Disk, directory: str, manifest: Manifest, sizes: dict[str, int], rdb: CheckRdb, latest: int
) -> Generator[Progress, None, tuple[FileReport, ...]]:
    present = [entry for entry in manifest.files if entry.name in sizes]
    total = sum(sizes[entry.name] for entry in present)
    done, reports = 0, []
    for entry in present:
        base = entry.kind is Kind.BASE
        steps = _check_file(
            disk,
            posixpath.join(directory, entry.name),
            "base" if base else "increment",
            rdb,
            last=entry is manifest.files[-1],
            latest=latest,
            rdb_allowed=base,
        )
        reports.append((yield from _shifted(steps, done, total)))
        done += sizes[entry.name]
    return tuple(reports)


def _shifted(
    steps: Generator[Progress, None, FileReport], done: int, total: int
) -> Generator[Progress, None, FileReport]:
    """Turn the progress of one file into that of all."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            report: FileReport = end.value
            return report
        yield Progress(step.file, done + step.done_bytes, total or step.total_bytes, step.commands)


def _check_file(
    disk: Disk, path: str, role: str, check_rdb: CheckRdb, *, last: bool, latest: int, rdb_allowed: bool
) -> Generator[Progress, None, FileReport]:
    file = disk.open(path, "rb")
    try:
        size, rdb = file.size(), RdbChecked(0)
        if rdb_allowed and starts_with_rdb(file):
            file.seek(0)
            checking = check_rdb(file)
            while True:
                try:
                    done = next(checking)
                except StopIteration as end:
                    rdb = end.value
                    break
                except RdbRefused as error:
                    reason = f"The RDB in front of the commands is not sane: {error.reason}"
                    verdict = Verdict(State.DAMAGED, 0, size, error.offset, reason, 0)
                    return FileReport(path, role, last, -1, -1, verdict)
                yield Progress(path, done, size, 0)
        steps = walk(file, rdb.end_offset, latest=latest)
        commands = 0
        while True:
            try:
                run = next(steps)
            except StopIteration as end:
                return FileReport(path, role, last, rdb.end_offset, rdb.keys, end.value)
            commands += run.commands
            yield Progress(path, run.offset + len(run.content), size, commands)
    finally:
        file.close()


def is_manifest(disk: Disk, path: str) -> bool:
    """Tell whether a file is a manifest: by its name, or by its first line that is no comment."""
    if path.endswith(SUFFIX):
        return True
    file = disk.open(path, "rb")
    try:
        head = file.read(HEAD_BYTES)
    finally:
        file.close()
    lines = (line for line in head.split(b"\n") if not line.startswith(b"#"))
    return next(lines, b"").startswith(b"file")


def check_rdb_seal(file: DiskFile) -> Generator[int, None, RdbChecked]:
    """Check an RDB by its checksum alone; see `rdb_seal` for what that proves."""
    finder, done = SealFinder(), 0
    while chunk := file.read(CHUNK_BYTES):
        end = finder.look(chunk)
        if end >= 0:
            file.seek(0)
            return RdbChecked(end)
        done += len(chunk)
        yield done
    raise RdbRefused(0, "nowhere is an end of file mark with the checksum of what stands before it")


@dataclass(frozen=True)
class Mended:
    """What mending did."""

    path: str
    copy_path: str
    size: int
    dropped_bytes: int


def mend(disk: Disk, report: Report) -> Mended:
    """Copy the damaged last file, then cut it after its last whole command; OSError leaves it as it was."""
    broken = report.damaged
    assert broken is not None and report.mendable, "only a damaged tail of the last file can be cut"
    copy_path = _copy(disk, broken.path)
    file = disk.open(broken.path, "r+b")
    try:
        file.truncate(broken.verdict.safe)
        file.sync()
    finally:
        file.close()
    return Mended(broken.path, copy_path, broken.verdict.safe, broken.excess_bytes)


def _copy(disk: Disk, path: str) -> str:
    """Copy a file beside itself, under a name that is free; return that name."""
    number = 1
    while disk.exists(copy_path := f"{path}.before-fix-{number}"):
        number += 1
    source = disk.open(path, "rb")
    try:
        target = disk.open(copy_path, "wb")
        try:
            while chunk := source.read(CHUNK_BYTES):
                target.write(chunk)
            target.sync()
        finally:
            target.close()
    finally:
        source.close()
    disk.sync_dir(posixpath.dirname(path) or ".")
    return copy_path
