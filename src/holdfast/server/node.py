"""What the server's parts may ask of the node that they are in.

An interface only, as `host` is for the machine: the node itself is wired in
`holdfast.node`, above this layer. `node_of` finds it from a session, which is
all that a command written in Python is handed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from holdfast.engine.state import Engine, Session
from holdfast.server.config import Configuration
from holdfast.server.host import Host
from holdfast.server.log import Log

if TYPE_CHECKING:
    from holdfast.server.clients import Clients
    from holdfast.server.cluster import Cluster
    from holdfast.server.cron import Cron
    from holdfast.server.info import InfoSections
    from holdfast.server.listeners import Listeners
    from holdfast.server.pauses import Pauses
    from holdfast.server.shutdown import Shutdown
    from holdfast.server.slowlog import LatencyEvents, SlowCommands
    from holdfast.server.traffic import Traffic


class Node(Protocol):
    """One data node."""

    configuration: Configuration
    host: Host
    log: Log
    engine: Engine
    loop: asyncio.AbstractEventLoop
    stopped: asyncio.Event | None
    """Set when the node has ended; None before its start."""
    run_id: str
    started_us: int
    peak_bytes: int
    """The most that was in use when somebody asked, or the cron."""
    startup_bytes: int
    """Resident bytes of data when the node was built: what INFO calls startup."""
    cron: Cron
    clients: Clients
    listeners: Listeners
    client_pauses: Pauses
    slow_commands: SlowCommands
    latency_events: LatencyEvents
    traffic: Traffic
    info: InfoSections
    shutdown: Shutdown
    doors: Doors

    def open_tick(self) -> None:
        """Begin a tick."""

    async def stop(self) -> None:
        """Close everything."""


class Doors:
    """What other parts of the node hang in here; None: the part is not there.

    Each is called by a command of the server's own family, so that these need not
    know persistence or replication.
    """

    def __init__(self) -> None:
        self.reload: Callable[[Session, bool, bool, bool], object] | None = None
        """DEBUG RELOAD: session, save, flush, merge."""
        self.change_replication_id: Callable[[], None] | None = None
        """DEBUG CHANGE-REPL-ID."""
        self.role: Callable[[], str] = lambda: "master"
        """The role as HELLO says it: master or replica."""
        self.save_at_shutdown: Callable[[bool], Awaitable[str]] | None = None
        """Save before the end (True: even without save points); return why not, "" for success."""
        self.replicas_lag: Callable[[], bool] = lambda: False
        """Whether a replica still lacks something; a shutdown waits for it."""
        self.leave: Callable[[], bool] = lambda: False
        """Ask for another to lead, as this node is to end; False: nobody is there to ask, or no need."""
        self.has_left: Callable[[], bool] = lambda: True
        """Whether another leads now and this node follows it."""
        self.stay: Callable[[], None] = lambda: None
        """Lead on: the node does not end after all."""
        self.before_shutdown: list[Callable[[], Awaitable[None]]] = []
        """Called in this order when nothing can abort the shutdown any more."""
        self.reset_statistics: list[Callable[[], None]] = []
        """Called by CONFIG RESETSTAT."""
        self.replica_output_bytes: Callable[[], int] = lambda: 0
        """Bytes that wait for replicas (INFO memory)."""
        self.cluster: Cluster | None = None
        """The cluster, with cluster-enabled."""


def node_of(session: Session) -> Node:
    """Return the node that a session belongs to."""
    node: Node = session.engine.node
    return node
