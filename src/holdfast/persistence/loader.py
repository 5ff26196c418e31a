"""Loading at start-up: the append-only file when it is on, else the RDB.

What it is: the walk over the files in slices, so that clients can be served
-LOADING meanwhile, with progress for INFO and one line for the log at the end.
What it is not: a decision about damage; the readers refuse, and that ends the
start.

How to read it: `load_rdb_file` and `load_append_only` are generators that yield
bytes done; `Loading` is what INFO shows of them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from holdfast.engine.state import Engine
from holdfast.persistence.aof_marks import PLACE_FIELDS, Marks
from holdfast.persistence.aof_reader import Progress, RdbRefused, Replayed, replay_manifest
from holdfast.persistence.aof_replay import Replay
from holdfast.persistence.manifest import Manifest
from holdfast.persistence.manifest_store import AofPlace
from holdfast.persistence.rdb_read import RdbReader
from holdfast.server.host import Disk, DiskFile

READ_BYTES = 128 * 1024 - 64
LOAD_FIELDS = frozenset((
    b"redis-ver", b"redis-bits", b"ctime", b"used-mem", b"aof-base", b"aof-preamble", b"repl-stream-db",
    b"repl-id", b"repl-offset", b"holdfast-former", b"holdfast-set",
))  # fmt: skip
"""Aux fields that every snapshot of ours writes itself; others are kept."""


class LoadFailed(Exception):
    """Files that must not be loaded; the text says which, where, and what mends it."""


@dataclass
class Loading:
    """How far a load is."""

    started_s: int
    total_bytes: int = 0
    done_bytes: int = 0
    keys: int = 0


@dataclass
class Kept:
    """What a file held beside keys."""

    fields: dict[bytes, bytes] = field(default_factory=dict)
    functions: list[bytes] = field(default_factory=list)
    keys: int = 0
    expired: int = 0
    version: int = 0

    def take(self, reader: RdbReader) -> None:
        """Remember what a reader found."""
        self.fields = dict(reader.fields)
        self.functions = list(reader.functions)
        self.keys += reader.keys
        self.expired += reader.expired
        self.version = reader.version

    @property
    def extra_fields(self) -> list[tuple[bytes, bytes]]:
        """Aux fields that are not ours, to be written again."""
        return [(name, text) for name, text in self.fields.items() if name not in LOAD_FIELDS]


def read_rdb(
    file: DiskFile, engine: Engine, kept: Kept, *, check_seal: bool, skip_expired: bool
) -> Generator[int, None, int]:
    """Load the RDB at the start of a file: yield bytes done, return the offset after it. RdbRefused."""
    reader = RdbReader(engine, check_seal=check_seal, skip_expired=skip_expired, total_bytes=file.size())
    done = 0
    while not reader.ended:
        chunk = file.read(READ_BYTES)
        if not chunk:
            where = f" inside key {reader.at_key!r}" if reader.at_key is not None else ""
            raise RdbRefused(reader.done_bytes, f"the file ends{where}: it was cut short")
        done += reader.feed(chunk)
        yield done
    kept.take(reader)
    return done


def load_rdb_file(
    disk: Disk,
    path: str,
    engine: Engine,
    kept: Kept,
    progress: Loading,
    *,
    check_seal: bool,
    skip_expired: bool,
) -> Generator[int, None, int]:
    """Load an RDB file: yield bytes done, return its length. LoadFailed, OSError."""
    file = disk.open(path, "rb")
    try:
        progress.total_bytes = file.size()
        end = yield from read_rdb(file, engine, kept, check_seal=check_seal, skip_expired=skip_expired)
    except RdbRefused as error:
        raise LoadFailed(
            f"Bad RDB file {path}, offset {error.offset}: {error.reason}. "
            f"Look at it with: holdfast check-rdb {path}; nothing was changed in it"
        ) from error
    finally:
        file.close()
    return end  # what follows the end mark is ignored, as in Redis: it may be the zeros of a power loss


def load_append_only(
    disk: Disk,
    place: AofPlace,
    manifest: Manifest,
    engine: Engine,
    kept: Kept,
    progress: Loading,
    *,
    load_truncated: bool,
    check_seal: bool,
) -> Generator[int, None, tuple[Replayed, ...]]:
    """Load base and increments: yield bytes done. AofRefused, OSError."""

    def load_preamble(file: DiskFile) -> Generator[int, None, int]:
        # What follows was written when these keys still lived (PERSIST, APPEND): none may be left out.
        end = yield from read_rdb(file, engine, kept, check_seal=check_seal, skip_expired=False)
        marks.take_base(kept.fields)
        return end

    marks = Marks()
    steps = replay_manifest(
        disk, place, manifest, Replay(engine), load_preamble, load_truncated=load_truncated, seen=marks.take
    )
    while True:
        try:
            step: Progress = next(steps)
        except StopIteration as end:
            loaded: tuple[Replayed, ...] = end.value
            others = {name: text for name, text in kept.fields.items() if name not in PLACE_FIELDS}
            kept.fields = {**others, **marks.fields}
            return loaded
        progress.total_bytes = step.total_bytes
        yield step.done_bytes


def summary(what: str, seconds: float, kept: Kept, loaded: tuple[Replayed, ...] | None, end: int) -> str:
    """Say in one line what was loaded, how long it took, and where it ended."""
    expired = f", {kept.expired} expired keys left out" if kept.expired else ""
    if loaded is None:
        took = f"DB loaded from disk: {seconds:.3f} seconds"
        return f"{took}; {what}: {kept.keys} keys{expired}, up to offset {end}"
    return f"DB loaded from append only file: {seconds:.3f} seconds; " + "; ".join(
        str(part) for part in loaded
    )
