"""Whole copies of the data set, between persistence and replication.

What this is: the two small interfaces that replication asks for (`replication.ports`), over
the snapshots and the RDB reader of persistence. What it is not: either of them.

How to read it: `Source` gives snapshots out, `Sink` takes one in: it is read into a twin
of the engine and put in place in one step, so a failed transfer changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from holdfast.engine.engine_twin import empty, follow_settings, swap_data, twin_of
from holdfast.engine.state import Engine
from holdfast.persistence.aof_reader import RdbRefused
from holdfast.persistence.keeper import Keeper
from holdfast.persistence.loader import Kept
from holdfast.persistence.rdb_read import RdbReader
from holdfast.persistence.snapshot import SnapshotStream

if TYPE_CHECKING:
    from holdfast.node.server import ServerNode


class Copy:
    """One snapshot on its way out."""

    def __init__(self, stream: SnapshotStream) -> None:
        self._stream = stream

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the RDB file in pieces."""
        async for piece in self._stream.chunks():
            yield piece
        outcome = self._stream.outcome
        if outcome is None or outcome.error:
            raise OSError(5, outcome.error if outcome is not None else "the snapshot did not end")

    def close(self) -> None:
        """Give it up."""
        self._stream.stop()


class Source:
    """Takes snapshots of a node's data."""

    def __init__(self, node: ServerNode) -> None:
        self._node = node

    @property
    def is_busy(self) -> bool:
        """Whether another snapshot is under way."""
        return self._node.keeper.busy

    def begin(self, fields: Mapping[str, str], with_data: bool = True) -> Copy:
        """Fix the data of this instant; the keeper asks for the fields itself."""
        node = self._node
        engine = node.engine if with_data else twin_of(node.engine)
        return Copy(SnapshotStream(engine, node.host, node.keeper.order()))


class Arrival:
    """One data set coming in."""

    def __init__(self, node: ServerNode, twin: Engine, empty_bytes: int, keeps_old: bool) -> None:
        self._node = node
        self._twin = twin
        self._empty_bytes = empty_bytes
        if not keeps_old:
            node.keeper.before_flush()
            empty(node.engine, True)
        follow_settings(twin, node.engine)
        self._reader = RdbReader(twin, check_seal=node.configuration["rdbchecksum"], skip_expired=False)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._reader.ended:
            raise ValueError("bytes follow the end of the RDB")
        try:
            self._reader.feed(chunk)
        except RdbRefused as error:
            raise ValueError(str(error)) from error

    def finish(self) -> Mapping[str, str]:
        """Put the new data set in place."""
        if not self._reader.ended:
            raise ValueError("the RDB is cut short")
        keeper: Keeper = self._node.keeper
        keeper.before_flush()
        keeper.deliver()
        swap_data(self._node.engine, self._twin, self._empty_bytes)
        keeper.kept = Kept()
        keeper.kept.take(self._reader)
        if keeper.take_functions is not None:
            keeper.take_functions(self._reader.functions)
        keeper.replaced()
        fields = self._reader.fields.items()
        return {name.decode("latin-1"): text.decode("latin-1") for name, text in fields}

    def abandon(self) -> None:
        """Forget what came."""
        empty(self._twin, False)


class Sink:
    """Loads snapshots into a node."""

    def __init__(self, node: ServerNode) -> None:
        self._node = node
        self._twin: Engine | None = None
        self._empty_bytes = 0

    def begin(self, keeps_old: bool) -> Arrival:
        """Start; without `keeps_old` the present data go now."""
        if self._twin is None:
            self._twin = twin_of(self._node.engine)
            self._empty_bytes = self._twin.used_bytes
        return Arrival(self._node, self._twin, self._empty_bytes, keeps_old)


def whole_copies(node: ServerNode) -> tuple[Source, Sink]:
    """Return what replication needs of the node's persistence."""
    return Source(node), Sink(node)
