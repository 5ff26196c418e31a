"""A snapshot into a file while everybody waits, and nothing else runs.

What it is: the bytes, written and synced. What it is not: the file's name and its
place (`saves`, `append_only_file`), or snapshots beside the service (`snapshot`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.persistence.rdb_write import write_snapshot
from holdfast.persistence.snapshot import CHUNK_BYTES, Order, begin_walk

if TYPE_CHECKING:
    from holdfast.engine.state import Engine
    from holdfast.server.host import DiskFile, Host


def write_at_once(engine: Engine, host: Host, path: str, order: Order) -> int:
    """Write and sync a snapshot; return its keys. OSError."""
    file = host.disk.open(path, "wb")
    try:
        if host.can_fork:
            _, keys = write_snapshot(
                engine, file.fileno(), order.head, commands=order.commands, compress=order.compress,
                checksum=order.checksum, early_sync=order.early_sync, idle=order.idle,
                frequency=order.frequency,
            )  # fmt: skip
        else:
            keys = _write_walk(engine, file, order)
        file.sync()
    finally:
        file.close()
    return keys


def _write_walk(engine: Engine, file: DiskFile, order: Order) -> int:
    walk = begin_walk(engine, order)
    try:
        while not walk.ended:
            file.write(walk.step(CHUNK_BYTES))
    finally:
        walk.stop()
    return walk.keys
