"""The parts of a proxy, as Python sees them; `shapes.pxd` says what each attribute means."""

import asyncio
from collections.abc import Callable
from typing import Any

from holdfast.engine.state import Engine, Session

class Exchange:
    """What all parts of one proxy share: the engine of local commands, the tick, the verbs."""

    engine: Engine
    loop: Any
    node: Any
    dial: Callable[[Link], object]
    hub: Any
    draining: bool

    def __init__(self, engine: Engine, node: object) -> None: ...
    def start_polling(self) -> None:
        """Read beside the loop, where that can be done."""
    def stop_polling(self) -> None:
        """Give the poller back: all connections are closed."""
    def open_tick(self) -> None:
        """Begin a tick: set the time, and see to its end."""
    def end_tick(self) -> None:
        """Go on with clients that waited, then write to backends, then to clients."""
    def resume(self, client: Client) -> None:
        """Let a client go on that waited for something outside (a subscription)."""

class Target:
    """What a door leads to: a pool, or several behind routes."""

    name: str
    shards: list[Shard]

    def ordinal_of(self, key: bytes) -> int:
        """Return the ordinal of the shard that a key belongs to; -1: of none."""

class Pool(Target):
    """Shards under one policy, and the decisions that the policy makes."""

    exchange: Exchange
    password: bytes | None
    database: int
    connections: int
    timeout_ms: int
    hold_ms: int
    hold_bytes: int
    keeps_requests: bool
    server_ejects: int

    def __init__(self, exchange: Exchange, name: str) -> None: ...

class Shard:
    """One part of the keys: the backend that takes its writes, its replicas, and who waits for them."""

    pool: Pool
    name: str
    ordinal: int
    primary: Backend | None
    replicas: list[Backend]
    held_count: int

    def __init__(self, pool: Pool, name: str, ordinal: int) -> None: ...

class Backend:
    """One server: an address that may change, its connections and counters."""

    pool: Pool
    name: str
    host: str
    port: int
    weight: int
    facts: Any
    plain: Lane
    failures: int
    ejected: bool
    server_eof: int
    server_err: int
    server_timedout: int
    server_ejected_at: int
    server_connections: int
    requests: int
    request_bytes: int
    responses: int
    response_bytes: int
    in_queue: int
    in_queue_bytes: int
    out_queue: int
    out_queue_bytes: int

    def __init__(self, pool: Pool, name: str, host: str, port: int, weight: int = 1) -> None: ...
    def move(self, host: str, port: int) -> None:
        """Follow the server to another address: what was sent is lost, what was not goes there."""
    def disconnect(self, errno_: int = ...) -> None:
        """Close all connections; requests that were never written are routed anew where the pool holds."""
    def busy(self) -> bool:
        """Whether a request waits for this server."""

class Lane:
    """The connections to a backend that are in one database and speak one protocol."""

    backend: Backend
    database: int
    protocol: int

class Link(asyncio.BufferedProtocol):
    """One connection to a backend: an `asyncio.BufferedProtocol`."""

    lane: Lane
    transport: Any
    connected: bool
    closed: bool
    private: bool
    retired: bool
    push_sink: Callable[[bytes], object] | None
    waiting: int

    def connection_refused(self, errno_: int) -> None:
        """There is no connection to be had."""

class Door:
    """Where clients come in: a listener, its target, its counters."""

    name: str
    target: Target
    password: bytes | None
    database: int
    client_limit: int
    facts: Any
    listeners: list[Any]
    client_eof: int
    client_err: int
    forward_error: int
    fragments: int
    client_connections: int

    def __init__(self, name: str, target: Target) -> None: ...

class Client(asyncio.BufferedProtocol):
    """One client: an `asyncio.BufferedProtocol` around a `Session`."""

    session: Session
    door: Door
    transport: Any
    database: int
    pinned: Link | None
    memory: Any
    is_closed: bool
    is_full: bool
    is_idle: bool
    write_buffer_bytes: int

    def __init__(self, exchange: Exchange, door: Door, registry: object) -> None: ...
    def flush(self) -> None:
        """Hand the waiting replies to the transport."""
    def abort(self) -> None:
        """Close now; what waits is dropped."""
    def refuse(self, message: bytes) -> None:
        """Say why the client may not stay, and close."""
