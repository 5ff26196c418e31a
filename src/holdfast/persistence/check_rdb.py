"""Checks RDB files by loading them into an engine that nobody serves.

So it sees everything that start-up would refuse: damage at any depth, a wrong
checksum, keys that come twice, types that we lack. It takes the memory of the
data set for as long as it runs. An RDB cannot be mended by cutting: what is
behind the damage may be sound, but where it begins cannot be told.

How to read it: `check_rdb` checks one file; `check_preamble` is the same for the
RDB in front of an append-only file.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from holdfast.engine.state import Engine
from holdfast.persistence.aof_reader import Progress, RdbRefused
from holdfast.persistence.check_aof import RdbChecked
from holdfast.persistence.rdb_read import RdbReader
from holdfast.server.host import Disk, DiskFile

READ_BYTES = 1024 * 1024
DATABASES = 16384
"""More than any server is set to have."""


@dataclass(frozen=True)
class RdbReport:
    """What was found."""

    path: str
    size: int
    version: int
    keys: int
    """Keys read whole before the end or the damage."""
    expiring: int
    functions: int
    fields: dict[str, str]
    wrong_at: int = -1
    reason: str = ""
    trailing_bytes: int = 0
    """Bytes behind the end of the RDB; a server ignores them."""

    @property
    def whole(self) -> bool:
        """Whether a server may load it."""
        return not self.reason


def check_rdb(disk: Disk, path: str) -> Generator[Progress, None, RdbReport]:
    """Check an RDB file; OSError if it cannot be read."""
    file = disk.open(path, "rb")
    try:
        size = file.size()
        reader = _reader(size)
        end, wrong_at, reason = 0, -1, ""
        steps = _read(file, reader)
        while True:
            try:
                end = next(steps)
            except StopIteration as stop:
                end = int(stop.value)
                break
            except RdbRefused as refusal:
                wrong_at, reason = refusal.offset, refusal.reason
                break
            yield Progress(path, end, size, 0)
    finally:
        file.close()
    fields = {_text(name): _text(value) for name, value in reader.fields.items()}
    return RdbReport(
        path, size, reader.version, reader.keys, reader.volatile, len(reader.functions), fields, wrong_at,
        reason,
        0 if reason else size - end,
    )  # fmt: skip


def check_preamble(file: DiskFile) -> Generator[int, None, RdbChecked]:
    """Check the RDB at the start of an open file; RdbRefused."""
    reader = _reader(file.size())
    end = yield from _read(file, reader)
    return RdbChecked(end, reader.keys)


def _reader(size: int) -> RdbReader:
    return RdbReader(Engine(DATABASES), skip_expired=False, total_bytes=size)


def _read(file: DiskFile, reader: RdbReader) -> Generator[int, None, int]:
    done = 0
    while not reader.ended:
        chunk = file.read(READ_BYTES)
        if not chunk:
            inside = f" inside key {reader.at_key!r}" if reader.at_key is not None else ""
            raise RdbRefused(reader.done_bytes, f"the file ends{inside}: it was cut short")
        done += reader.feed(chunk)
        yield done
    return done


def _text(word: bytes) -> str:
    return word.decode("utf-8", "backslashreplace")
