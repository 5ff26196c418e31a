"""The line of replicas that wait for a snapshot, and the transfers.

What this is: the acting half of `attachments`: it starts a snapshot when the rules of
the line say so, cuts the stream exactly there, and carries the pieces to all its
takers, by way of a file or straight into their connections. The slowest taker of a
diskless snapshot sets its pace until `repl-timeout` sends it away; the stream that
follows is kept once, in the backlog.

What this is not: the snapshot's content (`ports.SnapshotSource`).

How to read it: `look` decides, `_start` cuts, `_send_straight` and `_send_by_file` carry.

A snapshot never starts inside a command: `look` is called from the loop. A diskless
taker gets the stream only after its first word (REPLCONF ACK): the end mark would
not be found if anything followed it at once.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from holdfast.engine import effects
from holdfast.replication.attachments import (
    Stage,
    StartSnapshot,
    SyncSettings,
    WaitUntil,
    can_join,
    next_snapshot,
    room_left,
)
from holdfast.replication.history import full_resync_reply
from holdfast.replication.ports import Node, Snapshot, SnapshotSource, now_ms
from holdfast.replication.remote_replica import RemoteReplica
from holdfast.replication.stream import Stream

FILE_PIECE_BYTES = 256 * 1024


class SyncLine:
    """The full resyncs of one node."""

    def __init__(
        self,
        node: Node,
        stream: Stream,
        source: SnapshotSource,
        fields: Callable[[], Mapping[str, str]],
        went_online: Callable[[RemoteReplica], None],
    ) -> None:
        self._node = node
        self._stream = stream
        self.source = source
        self._fields = fields
        self._went_online = went_online
        self._running: StartSnapshot | None = None
        self._started_at = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._files = 0
        self._is_stopped = False

    def settings(self) -> SyncSettings:
        """Return what the configuration says."""
        configuration = self._node.configuration
        return SyncSettings(
            configuration["repl-diskless-sync"],
            configuration["repl-diskless-sync-delay"] * 1000,
            configuration["repl-diskless-sync-max-replicas"],
            configuration["repl-max-concurrent-syncs"],
            configuration["repl-timeout"] * 1000,
        )

    # ---- the line ----

    def enter(self, replica: RemoteReplica) -> None:
        """Let a replica wait for a snapshot, or join the one that is being written."""
        now = now_ms(self._node)
        self._stream.open_backlog()
        replica.note(stage=Stage.WAITING, asked_at_ms=now)
        everyone = [each.attachment for each in self._stream.replicas]
        running = self._running
        if (
            running is not None
            and not replica.leaves_data_out
            and can_join(replica.attachment, running, everyone, room_left(everyone, self.settings()))
        ):
            self._node.log.notice("Waiting for end of BGSAVE for SYNC")
            self._running = StartSnapshot((*running.replicas, replica.attachment.name), False)
            self._take_on(replica, self._started_at, Stage.SNAPSHOTTING)
            return
        asyncio.get_running_loop().call_soon(self.look)

    def look(self) -> None:
        """Start the next snapshot if it is time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        stream, node = self._stream, self._node
        waiting = [each for each in stream.replicas if each.stage is Stage.WAITING]
        if not waiting or self._is_stopped:
            return
        now = now_ms(node)
        is_busy = self._running is not None or self.source.is_busy
        everyone = [each.attachment for each in stream.replicas]
        decision = next_snapshot(everyone, self.settings(), is_busy, now)
        if isinstance(decision, WaitUntil):
            if decision.at_ms is not None:
                wait_s = max(decision.at_ms - now, 1) / 1000
                self._timer = asyncio.get_running_loop().call_later(wait_s, self.look)
            return
        takers = [each for each in waiting if each.attachment.name in decision.replicas]
        first = min(takers, key=lambda each: (each.attachment.asked_at_ms, each.attachment.name))
        takers = [each for each in takers if each.leaves_data_out == first.leaves_data_out]
        self._start(takers, decision.diskless or first.leaves_data_out)

    def _start(self, takers: list[RemoteReplica], diskless: bool) -> None:
        node, stream = self._node, self._stream
        node.deliver_effects()
        stream.open_backlog()
        if not stream.is_forwarding:
            effects.forget_database(node.engine)
        offset = stream.offset
        leaves_data_out = takers[0].leaves_data_out
        try:
            snapshot = self.source.begin(self._fields(), with_data=not leaves_data_out)
        except OSError as error:
            node.log.warning(f"BGSAVE for replication failed: {error}")
            for each in takers:
                each.connection.abort()
            return
        names = tuple(each.attachment.name for each in takers)
        self._running, self._started_at = StartSnapshot(names, diskless), offset
        kind = "replicas sockets" if diskless else "disk"
        node.log.notice(f"Starting BGSAVE for SYNC with target: {kind}")
        for each in takers:
            self._take_on(each, offset, Stage.SENDING if diskless else Stage.SNAPSHOTTING)
        carry = self._send_straight(snapshot, takers) if diskless else self._send_by_file(snapshot)
        self._spawn(self._carry(snapshot, carry))

    def _take_on(self, replica: RemoteReplica, offset: int, stage: Stage) -> None:
        replica.join(self._stream.open_backlog(), offset + 1)
        replica.note(stage=stage, last_heard_ms=now_ms(self._node))
        self._node.traffic.full_syncs += 1
        if not replica.is_silent:
            history = self._stream.history
            replica.write(full_resync_reply(history.advanced(offset - history.offset)))

    async def _carry(self, snapshot: Snapshot, carry: Coroutine[Any, Any, None]) -> None:
        node = self._node
        try:
            await carry
        except OSError as error:
            node.log.warning(f"Background transfer for replication failed: {error}")
            self._abort_takers()
        finally:
            snapshot.close()
            self._running = None
            self.look()

    def _abort_takers(self) -> None:
        names = self._running.replicas if self._running is not None else ()
        for each in list(self._stream.replicas):
            if each.attachment.name in names and each.stage is not Stage.ONLINE:
                each.connection.abort()

    # ---- carrying ----

    async def _send_straight(self, snapshot: Snapshot, takers: list[RemoteReplica]) -> None:
        mark = f"{self._node.host.random.getrandbits(160):040x}".encode()
        for each in takers:
            each.write(b"$EOF:" + mark + b"\r\n")
        async for piece in snapshot.chunks():
            takers = [each for each in takers if not each.is_gone]
            if not takers:
                self._node.log.warning("Diskless rdb transfer, last replica dropped, killing fork child.")
                return
            for each in takers:
                each.write(piece)
                each.note(last_heard_ms=now_ms(self._node))
            for each in takers:
                await each.room()
        for each in takers:
            if not each.is_gone:
                each.write(mark)
                await each.room()
                each.note(last_heard_ms=now_ms(self._node))
                each.awaits_first_word = True
                if each.is_silent:
                    self.go_online(each)

    async def _send_by_file(self, snapshot: Snapshot) -> None:
        node, disk = self._node, self._node.host.disk
        self._files += 1
        name = f"temp-{node.host.pid}-{self._files}.sync.rdb"
        path = posixpath.join(node.configuration["dir"], name)
        file = disk.open(path, "wb")
        size = 0
        try:
            async for piece in snapshot.chunks():
                size += file.write(piece)
                await asyncio.sleep(0)
        except BaseException:
            disk.remove(path)
            raise
        finally:
            file.close()
        names = self._running.replicas if self._running is not None else ()
        self._running = None
        takers = [
            each for each in self._stream.replicas if each.attachment.name in names and not each.is_gone
        ]
        for each in takers:
            each.note(stage=Stage.SENDING, last_heard_ms=now_ms(node))
        self._spawn(self._send_files(takers, path, size))

    async def _send_files(self, takers: list[RemoteReplica], path: str, size: int) -> None:
        try:
            await asyncio.gather(*(self._send_file(each, path, size) for each in takers))
        finally:
            self._node.host.disk.remove(path)
            self.look()

    async def _send_file(self, replica: RemoteReplica, path: str, size: int) -> None:
        file = self._node.host.disk.open(path, "rb")
        try:
            replica.write(b"$%d\r\n" % size)
            while not replica.is_gone and (piece := file.read(FILE_PIECE_BYTES)):
                replica.write(piece)
                replica.note(last_heard_ms=now_ms(self._node))
                await replica.room()
                await asyncio.sleep(0)
        finally:
            file.close()
        if not replica.is_gone:
            self.go_online(replica)

    def go_online(self, replica: RemoteReplica) -> None:
        """Begin to send the stream to a replica that has its snapshot."""
        replica.awaits_first_word = False
        if replica.wants_snapshot_only:
            replica.leave()
            replica.connection.transport.close()
            return
        replica.note(stage=Stage.ONLINE, last_heard_ms=now_ms(self._node))
        self._node.log.notice(f"Synchronization with replica {replica.name} succeeded")
        replica.pump()
        self._went_online(replica)

    # ---- the end ----

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._node.log.warning(f"A transfer to a replica ended: {error!r}")

    def stop(self) -> None:
        """End all transfers."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
