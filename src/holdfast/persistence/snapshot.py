"""Snapshots in the background: by a forked child, or in slices where there is no fork.

What it is: the parent's side. `FileSnapshot` writes a file under a temporary
name, syncs it, renames it and syncs the directory; whatever goes wrong before
leaves the old file. `SnapshotStream` yields the same bytes in chunks, for a full
synchronisation without disk; whoever reads it may hand each chunk to several
takers. What it is not: when to save, or what it means (`keeper`).

Both hold the data set as it was when they were made: fork or walk begins in the
constructor, before anything else runs.

How to read it: `Order` says what is written, `Outcome` how it went.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterator
from dataclasses import dataclass

from holdfast.engine.state import Engine
from holdfast.persistence.rdb_walk import SnapshotWalk
from holdfast.persistence.snapshot_child import (
    REPORT_BYTES,
    ChildReport,
    end_child,
    fork_snapshot,
    parse_reports,
    reap,
)
from holdfast.server.host import DiskFile, Host

SLICE_BYTES = 128 * 1024
"""What the walker writes between two turns of the loop: about a millisecond."""
CHUNK_BYTES = 256 * 1024
PIPE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Order:
    """What is to be written."""

    head: bytes = b""
    """What stands before the first database (`rdb_write.snapshot_head`)."""
    commands: bool = False
    """As commands, not as an RDB."""
    compress: bool = True
    checksum: bool = True
    early_sync: bool = True
    idle: bool = False
    frequency: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a snapshot ended; `error` is empty when it is whole."""

    error: str = ""
    keys: int = 0
    written_bytes: int = 0
    cow_bytes: int = 0
    wanted: bool = False
    """It was stopped on purpose."""


class _Child:
    """A forked child and the pipe on which it reports."""

    def __init__(self, engine: Engine, host: Host, order: Order, fd: int, *, sync: bool) -> None:
        self.report = ChildReport(0, 0, 0, 0, False)
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(theirs, False)
        began_us = host.clock.boot_us()
        try:
            self.pid = fork_snapshot(
                engine, fd, theirs, order.head, commands=order.commands, compress=order.compress,
                checksum=order.checksum, early_sync=order.early_sync, sync=sync, idle=order.idle,
                frequency=order.frequency,
            )  # fmt: skip
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)
        engine.node.forked(host.clock.boot_us() - began_us)
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        """Its wait status."""
        self._loop.add_reader(self._pipe, self._read)

    def _read(self) -> None:
        try:
            piece = os.read(self._pipe, PIPE_BYTES)
        except BlockingIOError:
            return
        self._rest += piece
        report = parse_reports(self._rest)
        if report is not None:
            self.report = report
            self._rest = self._rest[len(self._rest) // REPORT_BYTES * REPORT_BYTES :]
        if not piece:
            self.close()
            self.ended.set_result(reap(self.pid))

    def close(self) -> None:
        """Stop listening to the child."""
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1

    def outcome(self, status: int) -> Outcome:
        """Say how it ended from its last report and its wait status."""
        report = self.report
        if report.error:
            return Outcome(os.strerror(report.error))
        if status or not report.done:
            ended = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {status}"
            return Outcome(f"the child ended with {ended}")
        return Outcome("", report.keys, report.written, report.cow_bytes)


def begin_walk(engine: Engine, order: Order) -> SnapshotWalk:
    """Begin a walk over the data set as it is now, for where there is no fork."""
    return SnapshotWalk(
        engine, order.head, commands=order.commands, compress=order.compress, checksum=order.checksum,
        idle=order.idle, frequency=order.frequency,
    )  # fmt: skip


class FileSnapshot:
    """A snapshot on its way into a file. OSError when it cannot begin."""

    def __init__(
        self, engine: Engine, host: Host, order: Order, path: str, *, temporary: str = "", final: bool = True
    ) -> None:
        """Begin; the file appears at `path` when it is whole (with `final` false it stays at `temporary`)."""
        self.path, self._final = path, final
        self._temporary = temporary or posixpath.join(posixpath.dirname(path), f"temp-{host.pid}.rdb")
        self._disk, self._can_fork = host.disk, host.can_fork
        self._stopped = self._abandoned = False
        self._child: _Child | None = None
        self._walker: SnapshotWalk | None = None
        self._file: DiskFile = self._disk.open(self._temporary, "wb")
        try:
            if host.can_fork:
                self._child = _Child(engine, host, order, self._file.fileno(), sync=True)
            else:
                self._walker = begin_walk(engine, order)
        except OSError:
            self._file.close()
            self._disk.remove(self._temporary)
            raise

    @property
    def keys(self) -> int:
        """Keys written so far, as far as is known."""
        if self._child is not None:
            return self._child.report.keys
        return self._walker.keys if self._walker is not None else 0

    @property
    def cow_bytes(self) -> int:
        """Memory that the child copied, as far as is known."""
        return self._child.report.cow_bytes if self._child is not None else 0

    def stop(self) -> None:
        """Give it up; `finish` returns soon."""
        self._stopped = True
        if self._child is not None and not self._child.ended.done():
            end_child(self._child.pid)
        if self._walker is not None:
            self._walker.stop()

    async def finish(self) -> Outcome:
        """Wait for the end, and put the file in its place."""
        try:
            outcome = await (self._finish_child() if self._child else self._finish_walk())
            if self._stopped:
                outcome = Outcome("it was stopped", wanted=True)
            if not outcome.error and self._final:
                self._disk.rename(self._temporary, self.path)
                await self._sync_directory()
        except OSError as error:
            outcome = Outcome(error.strerror or str(error))
        finally:
            self._file.close()
        if outcome.error and not self._abandoned:
            self._forget()
        return outcome

    def abandon(self) -> None:
        """Give it up without waiting; its temporary name is free for the next."""
        self._abandoned = True
        self.stop()
        if self._child is not None:
            self._child.close()
            reap(self._child.pid)
        self._file.close()
        self._forget()

    async def _finish_child(self) -> Outcome:
        assert self._child is not None
        return self._child.outcome(await self._child.ended)

    async def _finish_walk(self) -> Outcome:
        walk = self._walker
        assert walk is not None
        written = 0
        try:
            while not walk.ended and not self._stopped:
                written += self._file.write(walk.step(SLICE_BYTES))
                await asyncio.sleep(0)
            if self._stopped:
                return Outcome("it was stopped", wanted=True)
            await self._file.sync_later()
        finally:
            walk.stop()
        if walk.keys != walk.keys_told:
            return Outcome("databases were emptied or swapped meanwhile")
        return Outcome("", walk.keys, written)

    async def _sync_directory(self) -> None:
        directory = posixpath.dirname(self.path) or "."
        if self._can_fork:
            await asyncio.get_running_loop().run_in_executor(None, self._disk.sync_dir, directory)
        else:
            self._disk.sync_dir(directory)

    def _forget(self) -> None:
        try:
            self._disk.remove(self._temporary)
        except OSError:
            pass


class SnapshotStream:
    """A snapshot as chunks of bytes. OSError when it cannot begin."""

    def __init__(self, engine: Engine, host: Host, order: Order) -> None:
        """Begin; the data set is held as it is now."""
        self.outcome: Outcome | None = None
        """How it went; set when `chunks` has ended."""
        self._child: _Child | None = None
        self._walker: SnapshotWalk | None = None
        self._pipe = -1
        self._stopped = False
        if not host.can_fork:
            self._walker = begin_walk(engine, order)
            return
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            self._child = _Child(engine, host, order, theirs, sync=False)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes; who is slow to ask slows the snapshot down, nothing piles up."""
        if self._walker is not None:
            while not self._walker.ended and not self._stopped:
                yield self._walker.step(SLICE_BYTES)
                await asyncio.sleep(0)
            whole = self._walker.ended and self._walker.keys == self._walker.keys_told
            self._walker.stop()
            self.outcome = Outcome("" if whole else "it was stopped", self._walker.keys, wanted=self._stopped)
            return
        assert self._child is not None
        try:
            while piece := await self._next_piece():
                yield piece
            self.outcome = self._child.outcome(await self._child.ended)
            if self._stopped:
                self.outcome = Outcome("it was stopped", wanted=True)
        finally:
            os.close(self._pipe)
            if not self._child.ended.done():
                end_child(self._child.pid)

    async def _next_piece(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self._pipe, CHUNK_BYTES)
            except BlockingIOError:
                pass
            readable: asyncio.Future[None] = loop.create_future()
            loop.add_reader(self._pipe, _settle, readable)
            try:
                await readable
            finally:
                loop.remove_reader(self._pipe)

    def stop(self) -> None:
        """Give it up; `chunks` ends soon."""
        self._stopped = True
        if self._child is not None and not self._child.ended.done():
            end_child(self._child.pid)
        if self._walker is not None:
            self._walker.stop()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
