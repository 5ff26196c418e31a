"""What the append-only file is told, whether it is on, and the error of a step that fails.

How to read it: `AofSettings`, as redis.conf has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from holdfast.persistence.aof_policy import Fsync


@dataclass(frozen=True)
class AofSettings:
    """The settings of the AOF, by their names in redis.conf."""

    appendfsync: Fsync = Fsync.EVERYSEC
    aof_use_rdb_preamble: bool = True
    aof_timestamp_enabled: bool = False
    no_appendfsync_on_rewrite: bool = False
    auto_aof_rewrite_percentage: int = 100
    auto_aof_rewrite_min_size: int = 64 * 1024 * 1024
    aof_disable_auto_gc: bool = False


class State(Enum):
    """Whether effects are recorded."""

    OFF = "off"
    WAITING = "waiting for the first rewrite"
    ON = "on"


class AofError(Exception):
    """A step of the AOF that could not be made; the text says which and why."""
