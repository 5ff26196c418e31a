"""The stream that this node feeds: its history, its backlog, its replicas.

What this is: which history the stream belongs to, whether this node makes it or forwards
its primary's, and whether there is a backlog.

What this is not: the bytes on their way (`feed`, which it inherits), who may attach,
snapshots, acknowledgements.

How to read it: `offset` says where the stream ends; a node without backlog feeds
nobody, and what it writes meanwhile belongs to no history that anyone can continue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from holdfast.engine import effects
from holdfast.replication.backlog import Backlog
from holdfast.replication.feed import StreamFeed
from holdfast.replication.history import History, former_text, read_former
from holdfast.replication.ports import Node


class Stream(StreamFeed):
    """The replication stream of one node."""

    def __init__(self, node: Node, new_id: Callable[[], str]) -> None:
        self._node = node
        self._new_id = new_id
        self._history = History(new_id())
        self._former: dict[str, int] = {}
        """Ids that the history had before, each up to where it was that one's."""

    # ---- where it stands ----

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
            self.forwarded = history.offset
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

    @property
    def former(self) -> str:
        """Return the ids that the history had before, for files and snapshots."""
        return former_text(self._former)

    def recall(self, former: str) -> None:
        """Take what a file or snapshot says of them: a primary that restarts twice is known by the first."""
        self._former = {**read_former(former), **self._former}

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
        if wanted and self not in sinks:
            sinks.append(self)
        elif not wanted and self in sinks:
            sinks.remove(self)
        engine.stream_on = bool(sinks)

    # ---- roles ----

    def begin_forwarding(self) -> None:
        """Become a replica's stream: only the primary's bytes go into it."""
        if not self.is_forwarding:
            self._node.deliver_effects()
            self.forwarded = self.offset
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
