"""The stream that this node feeds: its history, its backlog, its replicas.

What this is: the one place where bytes enter the stream, whether this node made
them (`take`, a sink of the tick) or its primary did (`forward`), and from where every
attached replica is fed.

What this is not: who may attach, snapshots, acknowledgements.

How to read it: `offset` says where the stream ends; a node without backlog feeds
nobody, and what it writes meanwhile belongs to no history that anyone can continue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from holdfast.engine import effects
from holdfast.replication.backlog import Backlog
from holdfast.replication.history import History
from holdfast.replication.ports import Node
from holdfast.replication.remote_replica import RemoteReplica


class Stream:
    """The replication stream of one node."""

    def __init__(self, node: Node, new_id: Callable[[], str]) -> None:
        self._node = node
        self._new_id = new_id
        self._history = History(new_id())
        self._former: dict[str, int] = {}
        """Ids that the history had before, each up to where it was that one's."""
        self._forwarded = 0
        self.is_forwarding = False
        """The bytes are a primary's; what this node makes goes to its own files only."""
        self.backlog: Backlog | None = None
        self.replicas: list[RemoteReplica] = []
        self._fresh: bytes | None = None
        """What has not been offered to replicas: one piece; empty: several."""
        self.made_bytes = 0
        """Bytes of effects that came in since the last call of `moved`."""

    # ---- where it stands ----

    @property
    def offset(self) -> int:
        """The last byte that the stream has; effects of the running tick come later."""
        return self._forwarded if self.is_forwarding else int(self._node.engine.stream_offset)

    @property
    def replication_id(self) -> str:
        """The id of the history."""
        return self._history.replication_id

    @property
    def history(self) -> History:
        """The history up to here."""
        return replace(self._history, offset=self.offset)

    def adopt(self, history: History) -> None:
        """Go on from another history; the backlog begins anew unless it continues it."""
        before = self.history
        if history.second_id == before.replication_id:
            self._former[before.replication_id] = before.offset
        elif history.replication_id != before.replication_id:
            self._former.clear()
        if history.second_valid_up_to >= 0:
            self._former[history.second_id] = history.second_valid_up_to - 1
        self._history = history
        if self.is_forwarding:
            self._forwarded = history.offset
        else:
            self._node.engine.stream_offset = history.offset
        if self.backlog is not None and self.backlog.next_byte != history.offset + 1:
            self._drop_backlog()

    # ---- the backlog ----

    def open_backlog(self) -> Backlog:
        """Return the backlog; where there is none, make it and begin a history of its own."""
        if self.backlog is None:
            if not self.is_forwarding:
                self._node.deliver_effects()
                self._begin_anew()
                effects.forget_database(self._node.engine)
            self._make_backlog()
        assert self.backlog is not None
        return self.backlog

    def keep_from_here(self) -> None:
        """Make a backlog that continues the present history (a restarted or following node)."""
        if self.backlog is None:
            self._make_backlog()

    def close_backlog(self) -> None:
        """Give the backlog back; what is written from now on continues nothing."""
        if self.backlog is not None:
            self._drop_backlog()
            self._begin_anew()

    def _begin_anew(self) -> None:
        before = self.history
        self._former[before.replication_id] = before.offset
        self._history = before.without_past(self._new_id())

    def shared_with(self, replication_id: str) -> int:
        """Return up to where the history of this id is part of this copy's, 0 if it never was.

        Offsets of different histories say nothing of each other: one that began anew at 0 grows past
        everybody's in time.
        """
        if replication_id == self._history.replication_id:
            return self.offset
        return self._former.get(replication_id, 0)

    def change_id(self) -> None:
        """Take a new replication id that continues nothing (DEBUG CHANGE-REPL-ID)."""
        self._begin_anew()

    def _make_backlog(self) -> None:
        node = self._node
        self.backlog = Backlog(node.configuration["repl-backlog-size"], self.offset + 1)
        self._wire()

    def _drop_backlog(self) -> None:
        for each in list(self.replicas):
            each.connection.abort()
        self.backlog = None
        self._wire()

    def _wire(self) -> None:
        """Take the tick's effects while they are this stream's and someone may want them."""
        sinks, engine = self._node.sinks, self._node.engine
        wanted = self.backlog is not None and not self.is_forwarding
        if wanted and self.take not in sinks:
            sinks.append(self.take)
        elif not wanted and self.take in sinks:
            sinks.remove(self.take)
        engine.stream_on = bool(sinks)

    # ---- roles ----

    def begin_forwarding(self) -> None:
        """Become a replica's stream: only the primary's bytes go into it."""
        if not self.is_forwarding:
            self._node.deliver_effects()
            self._forwarded = self.offset
            self.is_forwarding = True
            self._wire()

    def begin_making(self) -> None:
        """Become a primary's stream: go on under a new id, the old one becomes the second."""
        if self.is_forwarding:
            node = self._node
            node.deliver_effects()
            history = self.history.promoted(self._new_id())
            self._former[history.second_id] = history.offset
            self.is_forwarding = False
            self._history = history
            node.engine.stream_offset = history.offset
            effects.forget_database(node.engine)
            self.keep_from_here()
            self._wire()

    # ---- bytes ----

    def take(self, chunk: bytes) -> None:
        """Add what this node made in a tick."""
        self.made_bytes += len(chunk)
        self._append(chunk)

    def forward(self, chunk: bytes) -> None:
        """Add what the primary sent and this node has applied, verbatim."""
        self._forwarded += len(chunk)
        if self.backlog is not None:
            self._append(chunk)

    def _append(self, chunk: bytes) -> None:
        assert self.backlog is not None
        self.backlog.append(chunk)
        self._fresh = chunk if self._fresh is None else b""

    @property
    def has_unsent(self) -> bool:
        """Whether anything came in since the last `send`."""
        return self._fresh is not None

    def send(self) -> None:
        """Let replicas have what came in since the last call.

        The node's own log has it by now: a node killed at any moment is not behind its replicas.
        """
        fresh, self._fresh = self._fresh, None
        if fresh:
            for each in self.replicas:
                each.fed(fresh)
        elif fresh is not None:
            for each in self.replicas:
                each.pump()
