"""Whole snapshots of a keyspace (see the `.pyx`)."""

from collections.abc import Iterable

from holdfast.engine.state import Engine

RDB_VERSION: int

def snapshot_head(fields: Iterable[tuple[bytes, bytes]], functions: Iterable[bytes] = ()) -> bytes:
    """Return what stands before the first database of an RDB: magic, aux fields, function libraries."""

def write_snapshot(
    engine: Engine,
    fd: int,
    head: bytes,
    *,
    commands: bool,
    compress: bool,
    checksum: bool,
    early_sync: bool,
    idle: bool = False,
    frequency: bool = False,
) -> tuple[int, int]:
    """Write everything to a descriptor at once; return bytes and keys. OSError.

    `commands`: as commands, not as an RDB. `idle` and `frequency`: with LRU or LFU of each key.
    """
