"""One attached replica, as its primary serves it.

What this is: a client connection that has become a replica: what it told of itself, its
place in the stream (a `Reader` of the backlog), and the writing, which follows the
transport's high and low mark.

What this is not: the decision whom to serve when (`attachments`, `sync_line`), or the
sending of the stream (`feed`, which it inherits).

How to read it: `join` and `leave`; `too_far_behind` is client-output-buffer-limit.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from holdfast.replication.attachments import Attachment, Stage
from holdfast.replication.backlog import Backlog
from holdfast.replication.feed import ReplicaFeed
from holdfast.replication.ports import Connection
from holdfast.server.config.lists import OutputLimit
from holdfast.server.traffic import Traffic

HIGH_MARK_BYTES = 1 << 20
LINGER_S = 2.0
"""How long a replica whose link was ended may take to read the last of it."""


class RemoteReplica(ReplicaFeed):
    """One replica at the other end of a client's connection."""

    def __init__(self, connection: Connection, traffic: Traffic, now_ms: int) -> None:
        self._traffic = traffic
        self.session = connection.session
        self.attachment = Attachment(str(self.session.id), last_heard_ms=now_ms)
        self.listening_port = 0
        self.announced_ip = ""
        self.version = ""
        self.fsynced_offset = 0
        self.leaves_data_out = False
        """It asked for a snapshot without data (REPLCONF rdb-only, rdb-filter-only)."""
        self.wants_snapshot_only = False
        self.is_silent = False
        """It came by SYNC and never acknowledges."""
        self.awaits_first_word = False
        """The snapshot has been sent; the stream follows when the replica says that it has loaded it."""
        self._room: asyncio.Event | None = None
        self._soft_since_ms: int | None = None

    # ---- who it is ----

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return self.attachment.stage

    def note(self, **fields: Any) -> None:
        """Change the attachment's fields."""
        self.attachment = self.attachment._replace(**fields)
        self.is_online = self.attachment.stage is Stage.ONLINE

    def has_applied(self, offset: int, now_ms: int) -> None:
        """Note an acknowledgement, as often as one comes; offsets never go back."""
        name, stage, asked_at_ms, knows_eof, knows_psync2, node_id, known, _ = self.attachment
        self.attachment = Attachment(
            name, stage, asked_at_ms, knows_eof, knows_psync2, node_id, max(offset, known), now_ms
        )

    @property
    def ip(self) -> str:
        """The address it announced, or that it comes from."""
        if self.announced_ip:
            return self.announced_ip
        peer = self.connection.transport.get_extra_info("peername") if self.connection.transport else None
        return str(peer[0]) if isinstance(peer, tuple) else ""

    @property
    def name(self) -> str:
        """Address and port, for the log."""
        return f"{self.ip}:{self.listening_port or '<unknown>'}"

    # ---- writing ----

    def send_at_once(self, at_once: bool) -> None:
        """Let the kernel send small pieces as they come, or join them (repl-disable-tcp-nodelay)."""
        link = self.connection.transport.get_extra_info("socket")
        if link is not None and link.family in (socket.AF_INET, socket.AF_INET6):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, at_once)

    def write(self, chunk: bytes) -> None:
        """Send bytes now: what the socket does not take waits in the transport."""
        if not self.is_gone and not self.connection.is_closed:
            self.connection.send(chunk)
            self._traffic.replication_output_bytes += len(chunk)

    def join(self, backlog: Backlog, next_byte: int) -> None:
        """Keep the stream from this byte on for it."""
        self.leave()
        self.backlog, self.reader = backlog, backlog.open_reader(next_byte)

    def leave(self) -> None:
        """Need nothing of the stream any more."""
        if self.reader is not None and self.backlog is not None:
            self.backlog.close_reader(self.reader)
        self.reader = self.backlog = None

    def writable(self) -> None:
        """Go on: the transport has room again."""
        if self._room is not None:
            self._room.set()
        self.pump()

    async def room(self) -> None:
        """Return when the transport takes more, or the replica is gone."""
        while self.connection.is_full and not self.is_gone:
            if self._room is None:
                self._room = asyncio.Event()
            self._room.clear()
            await self._room.wait()

    # ---- the end ----

    def finish(self) -> None:
        """End its link, but let it read what was sent: closed outright, that would be lost on its way."""
        transport = self.connection.transport
        self.connection.finish()
        asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def gone(self) -> None:
        """Forget what is kept for it; whoever waits for room goes on."""
        self.is_gone = True
        self.leave()
        if self._room is not None:
            self._room.set()

    @property
    def unsent_bytes(self) -> int:
        """What it has not taken: in the transport, and of the stream."""
        lag = self.backlog.lag_bytes(self.reader) if self.reader is not None and self.backlog else 0
        return lag + self.connection.write_buffer_bytes

    def too_far_behind(self, limit: OutputLimit, backlog_bytes: int, now_ms: int) -> bool:
        """Tell whether it takes more than `client-output-buffer-limit` allows.

        A limit below the backlog's size would end replicas that have just resynced partially.
        """
        unsent = self.unsent_bytes
        if limit.hard_bytes and unsent > max(limit.hard_bytes, backlog_bytes):
            return True
        if not limit.soft_bytes or unsent <= max(limit.soft_bytes, backlog_bytes):
            self._soft_since_ms = None
            return False
        if self._soft_since_ms is None:
            self._soft_since_ms = now_ms
        return now_ms - self._soft_since_ms > limit.soft_seconds * 1000
