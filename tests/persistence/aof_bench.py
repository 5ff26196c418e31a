"""A writer of an append-only file on a directory of its own, for the tests of its parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from holdfast.persistence.aof_policy import Fsync
from holdfast.persistence.aof_reader import Replayed, replay_manifest
from holdfast.persistence.aof_settings import AofSettings
from holdfast.persistence.aof_writer import AofWriter
from holdfast.persistence.manifest_store import AofPlace, load_manifest
from tests.persistence.commands import Recorder, command, read, run, write
from tests.persistence.disks import LocalDisk, StillClock

SET_A, SET_B, SET_C = (command("SET", name, name * 20) for name in "abc")
SELECT_0, SELECT_7 = command("SELECT", "0"), command("SELECT", "7")


class Bench:
    """A writer on a directory, with its log."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.disk, self.clock, self.place = LocalDisk(), StillClock(), AofPlace(str(path))
        self.log: list[str] = []
        chosen = AofSettings(appendfsync=Fsync.ALWAYS, aof_use_rdb_preamble=False)
        self.settings = replace(chosen, **settings)  # type: ignore[arg-type]
        self.writer = self.fresh()

    def fresh(self) -> AofWriter:
        return AofWriter(
            self.disk, self.clock, self.place, self.settings, 7, lambda level, text: self.log.append(text)
        )

    def open(self, base: bytes = b"") -> AofWriter:
        manifest, _ = load_manifest(self.disk, self.place)
        self.writer.open(manifest, 0, 0, lambda path, rdb: void(write(path, base)))
        return self.writer

    def tick(self, chunk: bytes, database: int = 0, now_ms: int = 0) -> None:
        offset = self.writer.tail.offset + len(chunk)
        self.writer.append(chunk, database, offset)
        self.writer.flush(now_ms)

    def increment(self, number: int) -> bytes:
        return read(self.place.path(f"appendonly.aof.{number}.incr.aof"))

    def loaded(self) -> tuple[bytes, tuple[Replayed, ...]]:
        """What a restart would replay."""
        engine = Recorder()
        manifest, _ = load_manifest(self.disk, self.place)
        done = run(replay_manifest(self.disk, self.place, manifest, engine, no_rdb, load_truncated=True))
        return engine.fed, done


def void(_: object) -> None:
    return None


def no_rdb(file: object) -> object:  # type: ignore[misc]
    raise AssertionError("there is no RDB here")
