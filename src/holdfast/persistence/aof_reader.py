"""Replays append-only files into an engine.

Runs of whole commands go to the engine as they stand in the file; no command is
parsed here. Every step is a generator that yields its progress after at most
half a megabyte, so that the caller can serve clients (-LOADING) in between and
is free to stop. How a file may end is decided in `aof_walk`.

What a start may lose: the tail of the last file, when it was cut short and
`aof-load-truncated` is on; the loader cuts the file there and says how many
bytes it dropped. Everything else is refused with file, offset and the command
that mends it.

How to read it: `replay_manifest` loads a directory, `replay_file` one file of
it; `Engine` is what the engine must offer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from holdfast.persistence.aof_scan import scan, without_annotations
from holdfast.persistence.aof_walk import CHUNK_BYTES, Run, State, Verdict, walk
from holdfast.persistence.manifest import Manifest
from holdfast.persistence.manifest_store import AofPlace, file_sizes
from holdfast.server.host import Disk, DiskFile

RDB_MAGIC = b"REDIS"
RDB_HEADER_BYTES = 9


class Engine(Protocol):
    """The loader's side of an engine."""

    def feed(self, buffer: memoryview) -> int:
        """Execute the commands in `buffer` (whole commands and transactions, no annotations).

        Returns the bytes executed: fewer than given when the next command cannot
        be executed (unknown, wrong arity), and then `refusal` says why.
        """
        ...

    refusal: str


LoadRdb = Callable[[DiskFile], Generator[int, None, int]]
"""Loads the RDB at the start of a file: yields bytes done, returns the offset after it; raises RdbRefused."""


class RdbRefused(Exception):
    """An RDB that cannot be loaded: where and why."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"offset {offset}: {reason}")
        self.offset = offset
        self.reason = reason


class AofRefused(Exception):
    """An append-only file that must not be loaded: file, offset, why, and what mends it."""

    def __init__(self, file: str, offset: int, reason: str, mend: str) -> None:
        super().__init__(f"Bad append only file {file}, offset {offset}: {reason}. {mend}")
        self.file = file
        self.offset = offset
        self.reason = reason
        self.mend = mend


@dataclass(frozen=True)
class Progress:
    """How far a load is."""

    file: str
    done_bytes: int
    total_bytes: int
    commands: int


@dataclass(frozen=True)
class Replayed:
    """What was loaded from one file."""

    file: str
    rdb_bytes: int
    commands: int
    end_offset: int
    dropped_bytes: int = 0
    dropped_commands: int = 0
    reason: str = ""

    def __str__(self) -> str:
        text = f"{self.file}: {self.commands} commands"
        if self.rdb_bytes:
            text += f" after an RDB of {self.rdb_bytes} bytes"
        text += f", up to offset {self.end_offset}"
        if self.dropped_bytes:
            text += f"; DROPPED the last {self.dropped_bytes} bytes ({self.reason})"
        return text


def replay_manifest(
    disk: Disk,
    place: AofPlace,
    manifest: Manifest,
    engine: Engine,
    load_rdb: LoadRdb,
    *,
    load_truncated: bool,
    seen: Callable[[Run], None] = lambda _: None,
) -> Generator[Progress, None, tuple[Replayed, ...]]:
    """Load base and increments in order; `seen` gets each run executed. Raise AofRefused, OSError."""
    sizes = file_sizes(disk, place.directory)
    total = sum(sizes[entry.name] for entry in manifest.files)
    done, commands, loaded = 0, 0, []
    for entry in manifest.files:
        steps = replay_file(
            disk,
            place.path(entry.name),
            engine,
            load_rdb,
            load_truncated=load_truncated,
            last=entry is manifest.files[-1],
            mend_path=place.manifest_path,
            seen=seen,
        )
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                replayed: Replayed = end.value
                break
            yield Progress(step.file, done + step.done_bytes, total, commands + step.commands)
        done += sizes[entry.name]
        commands += replayed.commands
        loaded.append(replayed)
    return tuple(loaded)


def replay_file(
    disk: Disk,
    path: str,
    engine: Engine,
    load_rdb: LoadRdb,
    *,
    load_truncated: bool,
    last: bool = True,
    mend_path: str | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    seen: Callable[[Run], None] = lambda _: None,
) -> Generator[Progress, None, Replayed]:
    """Load one file; cut its tail off if it was cut short, is the last one, and that is allowed."""
    file = disk.open(path, "rb")
    try:
        size = file.size()
        rdb_bytes = commands = 0
        if starts_with_rdb(file):
            rdb_bytes = yield from _load_rdb(file, path, size, load_rdb, mend_path or path)
        steps = walk(file, rdb_bytes, chunk_bytes=chunk_bytes)
        while True:
            try:
                run = next(steps)
            except StopIteration as end:
                verdict: Verdict = end.value
                break
            _execute(engine, run, path)
            seen(run)
            commands += run.commands
            yield Progress(path, run.offset + len(run.content), size, commands)
    finally:
        file.close()
    if verdict.state is State.WHOLE:
        return Replayed(path, rdb_bytes, commands, size)
    if verdict.state is State.DAMAGED or not load_truncated or not last:
        raise AofRefused(path, verdict.at, _why(verdict, last), _mend(verdict, last, mend_path or path))
    _cut(disk, path, verdict.safe)
    return Replayed(
        path,
        rdb_bytes,
        commands,
        verdict.safe,
        size - verdict.safe,
        verdict.dropped_commands,
        verdict.reason,
    )


def starts_with_rdb(file: DiskFile) -> bool:
    """Tell whether an RDB stands at the start of the file."""
    file.seek(0)
    head = file.read(RDB_HEADER_BYTES)
    return len(head) == RDB_HEADER_BYTES and head.startswith(RDB_MAGIC)


def _load_rdb(
    file: DiskFile, path: str, size: int, load_rdb: LoadRdb, mend_path: str
) -> Generator[Progress, None, int]:
    file.seek(0)
    steps = load_rdb(file)
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            return int(end.value)
        except RdbRefused as error:
            reason = f"the RDB in front of the commands cannot be read: {error.reason}"
            mend = f"Look at it with: holdfast check-aof {mend_path}; restore the file from a backup"
            raise AofRefused(path, error.offset, reason, mend) from error
        yield Progress(path, done, size, 0)


def _execute(engine: Engine, run: Run, path: str) -> None:
    content = run.content
    if run.annotations:
        content = memoryview(without_annotations(run.content, len(run.content)))
    done = engine.feed(content)
    if done == len(content):
        return
    # The same number of commands from the start of the run, annotations and all.
    executed = scan(content[:done])
    whole = scan(run.content, most=executed.commands + executed.held)
    refused = whole.safe if not whole.multi else whole.at
    mend = "It was written by a server that knows more commands; nothing was changed in the file"
    raise AofRefused(path, run.offset + refused, f"a command cannot be executed: {engine.refusal}", mend)


def _why(verdict: Verdict, last: bool) -> str:
    if verdict.state is State.CUT_SHORT and not last:
        return f"{verdict.reason}, and this is not the last file"
    return verdict.reason


def _mend(verdict: Verdict, last: bool, path: str) -> str:
    dropped = verdict.size - verdict.safe
    lost = f"it drops everything after offset {verdict.safe} ({dropped} bytes) and keeps a copy"
    if not last:
        return f"Restore the file from a backup; holdfast check-aof {path} tells what is whole"
    mend = f"Mend it with: holdfast check-aof --fix {path} ({lost})"
    if verdict.state is State.CUT_SHORT:
        mend += ", or set aof-load-truncated to yes"
    return mend


def _cut(disk: Disk, path: str, size: int) -> None:
    file = disk.open(path, "r+b")
    try:
        file.truncate(size)
        file.sync()
    finally:
        file.close()
