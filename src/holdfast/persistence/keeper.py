"""The keeper of a node's files: what is loaded, what is written, and when.

What it is: the one object in which persistence meets the node. It wires `saves`
(the RDB file), `aof` (the append-only file) and `trouble` (what clients are told
when the disk refuses), and holds what they share. What it is not: formats, or the
steps of a file's life; these are in the modules it wires.

The node calls `load` before it serves, `end_tick` after the effects of a tick,
`beat` from its cron, and `close` at the end. Commands ask `saves` and `aof`;
replication asks `stream`.

How to read it: start-up, the tick, snapshots, the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from holdfast.persistence.aof_settings import State
from holdfast.persistence.append_only_file import AppendOnlyFile
from holdfast.persistence.disk_trouble import DiskTrouble
from holdfast.persistence.engine_side import empty
from holdfast.persistence.keeper_info import info_fields
from holdfast.persistence.loader import Kept, Loading
from holdfast.persistence.rdb_write import snapshot_head
from holdfast.persistence.saves import Saves
from holdfast.persistence.snapshot import FileSnapshot, Order, SnapshotStream
from holdfast.persistence.start_up import StartUp

if TYPE_CHECKING:
    from holdfast.engine.effects import EffectSink
    from holdfast.engine.state import Engine
    from holdfast.server.config import Configuration
    from holdfast.server.host import Host
    from holdfast.server.log import Log

REDIS_VERSION = b"7.2.0"


class Keeper:
    """The files of one node."""

    def __init__(self, engine: Engine, configuration: Configuration, host: Host, log: Log) -> None:
        """Follow the settings; nothing is read or written before `load`."""
        self.engine, self.configuration, self.host, self.log = engine, configuration, host, log
        self.sinks: list[Callable[[bytes], None] | EffectSink] = []
        """The node's takers of effects; the AOF joins them while it is on."""
        self.deliver: Callable[[], None] = lambda: None
        """Hands out the effects there are, before a snapshot is taken (set by the node)."""
        self.release: Callable[[], None] = lambda: None
        """Sees that pending replies leave soon (set by the node)."""
        self.replication_fields: Callable[[], list[tuple[bytes, bytes]]] = list
        """Aux fields that replication wants in every snapshot."""
        self.stream_place: Callable[[], tuple[bytes, int, int] | None] = lambda: None
        """History, offset and database where the data stand in a replication stream; None: in none."""
        self.take_functions: Callable[[list[bytes]], None] | None = None
        """Loads function libraries that a file held; without it they are kept as they are."""
        self.give_functions: Callable[[], list[bytes]] | None = None
        self._start_up = StartUp(self)
        self.kept = Kept()
        self.loading: Loading | None = None
        self.last_load = (0, 0)
        """Keys loaded and keys left out as expired by the last load."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.saves = Saves(self)
        self.trouble = DiskTrouble(self)
        self.aof = AppendOnlyFile(self)

    # ---- start-up ----

    async def load(self) -> None:
        """Load the AOF when it is on, else the RDB; then open the AOF. LoadFailed."""
        await self._start_up.load()
        self.saves.loaded()

    def reload(self, *, save: bool = True, flush: bool = True) -> None:
        """DEBUG RELOAD: save, drop everything, load; everybody waits. LoadFailed, OSError."""
        if save and not self.saves.save_at_once():
            raise OSError(5, "the data set cannot be saved")
        if flush:
            self.before_flush()
            empty(self.engine)
        self._start_up.load_rdb_now()

    # ---- the tick ----

    def end_tick(self) -> None:
        """Write and sync what the policy asks for; keep back replies that must wait for the disk."""
        if not self.aof.is_on:
            return
        self.aof.writer.flush(self.host.clock.boot_us() // 1000)
        if self.trouble.is_near:
            self.trouble.follow()

    def beat(self) -> None:
        """Do by the clock: flush, save points, scheduled saves and rewrites."""
        self.trouble.raise_guard()
        if self.trouble.holds:
            self.trouble.follow()
        if self.busy or self.loading is not None:
            return
        now_ms = self.host.clock.boot_us() // 1000
        if not self.aof.begin_rewrite_if_due(now_ms):
            self.saves.begin_if_due(now_ms)

    # ---- snapshots ----

    @property
    def running(self) -> FileSnapshot | None:
        """The save or rewrite under way."""
        return self.saves.running or self.aof.rewriting

    @property
    def busy(self) -> bool:
        """Whether a child (or walk) writes a save or a rewrite."""
        return self.running is not None or self.engine.walk is not None

    def order(self, *, aof_base: bool = False, commands: bool = False) -> Order:
        """Return what a snapshot of this moment holds beside the keys."""
        policy = self.configuration["maxmemory-policy"]
        functions = self.give_functions() if self.give_functions is not None else self.kept.functions
        fields = [
            (b"redis-ver", REDIS_VERSION),
            (b"redis-bits", b"64"),
            (b"ctime", b"%d" % (self.host.clock.wall_us() // 1_000_000)),
            # What the allocator hands out differs from run to run; a run in virtual time must not.
            *([(b"used-mem", b"%d" % self.engine.used_bytes)] if self.host.can_fork else ()),
            (b"aof-base", b"%d" % aof_base),
            *self.replication_fields(),
            *self.kept.extra_fields,
        ]
        return Order(
            b"" if commands else snapshot_head(fields, functions),
            commands=commands,
            compress=self.configuration["rdbcompression"],
            checksum=self.configuration["rdbchecksum"],
            early_sync=self.configuration[
                "aof-rewrite-incremental-fsync" if aof_base else "rdb-save-incremental-fsync"
            ],
            idle="lru" in policy and not commands,
            frequency="lfu" in policy and not commands,
        )

    def stream(self) -> SnapshotStream:
        """Begin a snapshot for whoever takes its chunks (a full synchronisation). OSError."""
        return SnapshotStream(self.engine, self.host, self.order())

    def before_flush(self) -> None:
        """Stop what would write an emptied data set (FLUSHALL, SWAPDB, a full synchronisation)."""
        for snapshot in (self.saves.running, self.aof.rewriting):
            if snapshot is not None:
                snapshot.stop()

    def after_flush(self) -> None:
        """Let the RDB follow FLUSHALL: no save of older data ends after it; with save points it is empty."""
        self.saves.abandon()
        if self.configuration["save"] and self.loading is None:
            self.saves.save_at_once()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Wait for a snapshot in the background, until `close`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def fields(self) -> dict[str, str | int]:
        """Return the fields of INFO persistence, in Redis's order."""
        return info_fields(self)

    # ---- the end ----

    def prepare_shutdown(self, save: bool | None = None) -> bool:
        """Write what must not be lost; False: it could not be, and the node should go on.

        `save` None: as the save points say.
        """
        self.deliver()
        if self.aof.rewriting is not None:
            self.aof.rewriting.stop()
        if self.aof.writer.state is State.ON:
            self.aof.writer.flush(self.host.clock.boot_us() // 1000, forced=True)
        wanted = bool(self.configuration["save"]) if save is None else save
        if wanted:
            self.saves.abandon()
            self.log.notice("Saving the final RDB snapshot before exiting.")
            return self.saves.save_at_once()
        return True

    def close(self) -> bool:
        """Stop children and close files; tell whether everything is written and synced."""
        self.saves.abandon()
        is_safe = self.aof.close()
        for task in self._tasks:
            task.cancel()
        return is_safe
