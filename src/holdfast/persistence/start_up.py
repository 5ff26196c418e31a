"""Start-up of a node's files: the AOF when it is on, else the RDB, in steps between which clients are served.

What it is: which file is loaded, in which order, and the one line in the log about
it. What it is not: formats (`loader` and below), or what is written afterwards
(`keeper`).

How to read it: `load`, the two kinds, then `load_rdb_now` for DEBUG RELOAD.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING

from holdfast.persistence.aof_reader import AofRefused
from holdfast.persistence.aof_settings import AofError
from holdfast.persistence.engine_side import set_loading
from holdfast.persistence.loader import LoadFailed, Loading, load_append_only, load_rdb_file, summary
from holdfast.persistence.manifest import ManifestError
from holdfast.persistence.manifest_store import load_manifest

if TYPE_CHECKING:
    from holdfast.persistence.keeper import Keeper

BREATHE_BYTES = 2 << 20
"""While loading, clients are served after so many bytes."""


class StartUp:
    """The loads of one node."""

    def __init__(self, keeper: Keeper) -> None:
        """Load into the engine of `keeper`."""
        self.keeper = keeper

    async def load(self) -> None:
        """Load the AOF when it is on, else the RDB; then let the keeper open the AOF. LoadFailed."""
        started_us = self.keeper.host.clock.boot_us()
        self.keeper.loading = Loading(self.keeper.host.clock.wall_us() // 1_000_000)
        set_loading(self.keeper.engine, True)
        try:
            if self.keeper.configuration["appendonly"]:
                await self._run(self._load_append_only(started_us))
            else:
                await self._run(self._load_rdb(started_us))
        except (AofRefused, ManifestError) as error:
            raise LoadFailed(str(error)) from error
        except AofError as error:
            raise LoadFailed(str(error)) from error
        except OSError as error:
            raise LoadFailed(f"Can't read {error.filename or 'a file'}: {error.strerror}") from error
        finally:
            set_loading(self.keeper.engine, False)
            self.keeper.loading = None

    async def _run(self, steps: Generator[int, None, None]) -> None:
        """Take the steps of a load; let the loop live in between."""
        assert self.keeper.loading is not None
        breathed = 0
        for done in steps:
            self.keeper.loading.done_bytes = done
            if done - breathed >= BREATHE_BYTES or done < breathed:
                breathed = done
                await asyncio.sleep(0)

    def _load_rdb(self, started_us: int) -> Generator[int, None, None]:
        assert self.keeper.loading is not None
        path = self.keeper.saves.path
        if not path or not self.keeper.host.disk.exists(path):
            return
        end = yield from load_rdb_file(
            self.keeper.host.disk, path, self.keeper.engine, self.keeper.kept, self.keeper.loading,
            check_seal=self.keeper.configuration["rdbchecksum"], skip_expired=self._skip_expired,
        )  # fmt: skip
        self._loaded()
        seconds = (self.keeper.host.clock.boot_us() - started_us) / 1e6
        self.keeper.log.notice(summary(path, seconds, self.keeper.kept, None, end))

    def _load_append_only(self, started_us: int) -> Generator[int, None, None]:
        assert self.keeper.loading is not None
        manifest, lies = load_manifest(self.keeper.host.disk, self.keeper.aof.place)
        for lie in lies:
            self.keeper.log.warning(f"{lie.name}: {lie.reason}")
        if manifest.files:
            loaded = yield from load_append_only(
                self.keeper.host.disk, self.keeper.aof.place, manifest,
                self.keeper.engine, self.keeper.kept, self.keeper.loading,
                load_truncated=self.keeper.configuration["aof-load-truncated"],
                check_seal=self.keeper.configuration["rdbchecksum"],
            )  # fmt: skip
            self._loaded()
            seconds = (self.keeper.host.clock.boot_us() - started_us) / 1e6
            self.keeper.log.notice(summary("", seconds, self.keeper.kept, loaded, 0))
        elif self.keeper.saves.path and self.keeper.host.disk.exists(self.keeper.saves.path):
            self.keeper.log.warning(
                f"appendonly is on and there is no append-only file yet: {self.keeper.saves.path} is NOT "
                "loaded. To keep its keys start with appendonly no, then CONFIG SET appendonly yes"
            )
        base_bytes = self._file_bytes(self.keeper.aof.place.path(manifest.base.name)) if manifest.base else 0
        self.keeper.aof.open(manifest, base_bytes)

    def _loaded(self) -> None:
        self.keeper.last_load = (self.keeper.kept.keys, self.keeper.kept.expired)
        if self.keeper.take_functions is not None and self.keeper.kept.functions:
            self.keeper.take_functions(self.keeper.kept.functions)

    def _file_bytes(self, path: str) -> int:
        file = self.keeper.host.disk.open(path, "rb")
        try:
            return file.size()
        finally:
            file.close()

    @property
    def _skip_expired(self) -> bool:
        return self.keeper.configuration["replicaof"] is None

    def load_rdb_now(self) -> None:
        """Load the RDB while everybody waits."""
        keeper = self.keeper
        keeper.loading = Loading(keeper.host.clock.wall_us() // 1_000_000)
        set_loading(keeper.engine, True)
        try:
            for _ in self._load_rdb(keeper.host.clock.boot_us()):
                pass
        finally:
            set_loading(keeper.engine, False)
            keeper.loading = None
