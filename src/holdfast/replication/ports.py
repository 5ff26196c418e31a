"""What replication is handed by its node: the interfaces it needs, and nothing more.

What this is: protocols. `Node` is the data node as replication sees it; `SnapshotSource`
and `SnapshotSink` are how copies of the whole data set leave and come in (persistence
stands behind them, wired by the node, for the two do not know each other).

What this is not: behaviour.

How to read it: `Snapshot` first; its contract on the instant is what full resyncs rest on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from holdfast.engine.effects import EffectSink
from holdfast.server.clients import Clients
from holdfast.server.config import Configuration
from holdfast.server.cron import Cron
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.server.pauses import Pauses
from holdfast.server.poller import Poller
from holdfast.server.traffic import Traffic

Engine = Any
"""`holdfast.engine.state.Engine`, a compiled class."""
Session = Any
"""`holdfast.engine.state.Session`, a compiled class."""


class Connection(Protocol):
    """A client's connection (`holdfast.server.connection.Connection`)."""

    session: Session
    transport: Any
    is_closed: bool
    is_full: bool
    write_buffer_bytes: int

    def flush(self) -> None:
        """Hand the waiting replies to the transport."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...

    def finish(self) -> None:
        """Close for us, while the other end still gets what was sent."""
        ...

    def send(self, chunk: bytes | memoryview) -> None:
        """Write past the session."""
        ...

    def keep_more(self, high: int) -> None:
        """Let the transport hold up to this before it says that it is full."""
        ...


class Snapshot(Protocol):
    """One copy of the data set as it was at the instant of `SnapshotSource.begin`."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the RDB file in pieces; raises `OSError` where it cannot be written."""
        ...

    def close(self) -> None:
        """Give it up; nobody reads on."""
        ...


class SnapshotSource(Protocol):
    """Takes snapshots."""

    @property
    def is_busy(self) -> bool:
        """Tell whether another snapshot is under way and this one has to wait."""
        ...

    def begin(self, fields: Mapping[str, str], with_data: bool = True) -> Snapshot:
        """Fix the data of this very instant, with these auxiliary fields; no later change is in it.

        Without data it is the file of an empty data set (REPLCONF rdb-filter-only).
        """
        ...


class Loading(Protocol):
    """One data set coming in."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the RDB file. Raises `ValueError` on what is none."""
        ...

    def finish(self) -> Mapping[str, str]:
        """Put the new data set in the place of the old one; return its auxiliary fields.

        Raises `ValueError` if it is not complete.
        """
        ...

    def abandon(self) -> None:
        """Forget what came."""
        ...


class SnapshotSink(Protocol):
    """Loads snapshots."""

    def begin(self, keeps_old: bool) -> Loading:
        """Start; with `keeps_old` the present data stay until `finish`, else they go now."""
        ...


class Node(Protocol):
    """The data node."""

    configuration: Configuration
    host: Host
    log: Log
    cron: Cron
    engine: Engine
    sinks: list[Callable[[bytes], None] | EffectSink]
    run_id: str
    client_pauses: Pauses
    clients: Clients
    poller: Poller | None
    traffic: Traffic

    @property
    def port(self) -> int:
        """The first TCP port that the node listens on."""
        ...

    def open_tick(self) -> None:
        """Begin a tick."""
        ...

    def deliver_effects(self) -> None:
        """Give what this tick has made so far to those who take it."""
        ...


def now_ms(node: Node) -> int:
    """Return the time for intervals: milliseconds that never go back."""
    return node.host.clock.boot_us() // 1000
