"""The data node: one engine, its clients, its files, its peers, wired into one object.

What it is: the place where the layers below meet. A tick is one turn of the
event loop: the first bytes that arrive open it (the time is set), everything
that came is executed, and at its end the effects go to whoever takes them
(`sinks`: AOF, then replication) and then the replies leave. What it is not:
decisions; each part makes its own.

How to read it: `ServerNode.start` and `stop` are the life of a node; `open_tick`
and `end_tick` its pulse; `run` is the process around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from holdfast.commands import declare_all
from holdfast.engine import blocking, effects
from holdfast.engine.state import Engine
from holdfast.persistence.keeper import Keeper
from holdfast.persistence.loader import LoadFailed
from holdfast.server.config import Configuration
from holdfast.server.connection import Connection, flush_pending
from holdfast.server.cron import Cron
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.server.plain_connection import PlainConnection

READ_BUFFER_BYTES = 128 * 1024


class ServerNode:
    """One data node. Several may live in one process; each has all its state in here."""

    def __init__(self, configuration: Configuration, host: Host, log: Log) -> None:
        """Build the node; nothing listens and nothing is loaded before `start`."""
        self.configuration = configuration
        self.host = host
        self.log = log
        self.engine = Engine(
            configuration["databases"],
            host.random.getrandbits(63) | 1,
            configuration["cluster-enabled"],
        )
        self.engine.node = self
        self.engine.open_tick = self.open_tick
        self.engine.on_fault = self._tell_fault
        self.engine.set_time(host.clock.wall_us() // 1000)
        declare_all(self.engine)
        self.run_id = f"{host.random.getrandbits(160):040x}"
        self.started_us = host.clock.boot_us()
        self.connections: dict[int, Connection] = {}
        self.sinks: list[Callable[[bytes], None]] = []
        """Take the effects of each tick, in this order."""
        self.servers: list[asyncio.AbstractServer] = []
        self.ports: list[tuple[str, int]] = []
        self.cron = Cron(self)
        self.keeper = Keeper(self.engine, configuration, host, log)
        self.keeper.sinks = self.sinks
        self.keeper.deliver = self.deliver_effects
        self.cron.every(1, self.keeper.beat)
        self.stopped: asyncio.Event | None = None
        self.exit_status = 0
        self._read_buffer = bytearray(READ_BUFFER_BYTES)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: type[Connection] = PlainConnection
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_ms = 0

    # ---- life ----

    async def start(self) -> None:
        """Listen on all addresses, then load; `OSError` or `LoadFailed` when that cannot be."""
        self._loop = asyncio.get_running_loop()
        if type(self._loop).__module__.startswith("uvloop"):
            self._connection = Connection
        self.stopped = asyncio.Event()
        await self.listen()
        self.cron.start(self._loop)
        await self.keeper.load()

    async def listen(self) -> None:
        """Open the listening sockets of the configuration."""
        loop = asyncio.get_running_loop()
        port = self.configuration["port"]
        backlog = self.configuration["tcp-backlog"]
        path = self.configuration["unixsocket"]
        if port >= 0 and not (port == 0 and path):
            for address in self.configuration["bind"] or ("*",):
                optional = address.startswith("-")
                address = address.removeprefix("-")
                where = {"*": "0.0.0.0", "::*": "::"}.get(address, address)
                try:
                    server = await loop.create_server(self._accept, where, port, backlog=backlog)
                except OSError as error:
                    if optional:
                        continue
                    self.log.warning(f"Could not create server TCP listening socket {address}:{port}: {error}")
                    raise
                self.servers.append(server)
                for socket in server.sockets:
                    self.ports.append(socket.getsockname()[:2])

    async def stop(self) -> None:
        """Close everything; the node cannot be started again."""
        self.cron.stop()
        if self._deadline is not None:
            self._deadline.cancel()
        for server in self.servers:
            server.close()
        if self.engine.tick_open:
            self.end_tick()
        self.keeper.close()
        for connection in list(self.connections.values()):
            connection.abort()
        if self.stopped is not None:
            self.stopped.set()

    def shut_down(self, status: int = 0) -> None:
        """Let the node stop at the end of this tick."""
        self.exit_status = status
        assert self._loop is not None
        self._loop.call_soon(lambda: asyncio.ensure_future(self.stop()))

    def shut_down_saving(self) -> None:
        """Save as the save points ask, then shut down (SIGTERM, SIGINT)."""
        if self.keeper.prepare_shutdown():
            self.shut_down(0)
        else:
            self.log.warning("Error trying to save the DB, can't exit.")

    @property
    def port(self) -> int:
        """The first TCP port that the node listens on."""
        return self.ports[0][1]

    # ---- the tick ----

    def open_tick(self) -> None:
        """Begin a tick: set the time, and see to its end."""
        engine = self.engine
        engine.tick_open = True
        engine.set_time(self.host.clock.wall_us() // 1000)
        assert self._loop is not None
        self._loop.call_soon(self.end_tick)

    def end_tick(self) -> None:
        """Hand out what this tick made: effects first, then replies."""
        engine = self.engine
        if engine.stream_on:
            self.deliver_effects()
        self.keeper.end_tick()
        flush_pending(engine)
        engine.tick_open = False
        if engine.deadlines:
            self._watch_deadlines()

    def deliver_effects(self) -> None:
        """Hand the effects there are to those who take them."""
        chunk = effects.take_stream(self.engine)
        if chunk is not None:
            for sink in self.sinks:
                sink(chunk)

    def _watch_deadlines(self) -> None:
        """Set the timer for the first parked session that times out."""
        until = blocking.next_deadline_ms(self.engine)
        if until is None or (self._deadline is not None and self._deadline_ms == until):
            return
        if self._deadline is not None:
            self._deadline.cancel()
        assert self._loop is not None
        self._deadline_ms = until
        wait_ms = until - self.host.clock.wall_us() // 1000
        self._deadline = self._loop.call_later(max(wait_ms, 1) / 1000, self._expire_parked)

    def _expire_parked(self) -> None:
        self._deadline = None
        if not self.engine.tick_open:
            self.open_tick()
        blocking.expire_parked(self.engine)

    # ---- clients ----

    def _accept(self) -> Connection:
        return self._connection(self, self.engine, self._read_buffer)

    def connection_opened(self, connection: Connection) -> None:
        """Take a new client in."""
        session = connection.session
        self.engine.stat_connections += 1
        self.engine.sessions[session.id] = session
        self.connections[session.id] = connection

    def connection_closed(self, connection: Connection, why: BaseException | None) -> None:
        """Forget a client that went or was sent away."""
        session = connection.session
        blocking.abandon(session)
        self.engine.sessions.pop(session.id, None)
        self.connections.pop(session.id, None)

    def _tell_fault(self, fault: BaseException, command: bytes) -> None:
        import traceback

        lines = "".join(traceback.format_exception(fault)).rstrip()
        self.log.warning(f"A fault in '{command.decode()}', answered with an internal error:\n{lines}")

    # ---- questions of the engine ----

    def pauses(self, writes: bool) -> bool:
        """Whether CLIENT PAUSE holds back such a request now."""
        return False

    def write_refusal(self) -> bytes:
        """The MISCONF error of a node that cannot write its files."""
        return self.keeper.write_refusal()

    def fence_refusal(self, session: Any) -> bytes | None:
        """Why a write may not run on a fenced node; None: it may."""
        return None


def run(configuration: Configuration) -> int:
    """Run a node as this process until it is shut down; return the exit status."""
    from holdfast.server.machine import Machine

    host = Machine()
    log = Log(
        host.clock,
        host.disk,
        host.pid,
        lambda line: os.write(1, line),
        level=configuration["loglevel"],
        path=configuration.path("logfile"),
    )
    for notice in configuration.take_notices():
        log.write(notice.level, notice.text)
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        return runner.run(_serve(configuration, host, log))


async def _serve(configuration: Configuration, host: Host, log: Log) -> int:
    node = ServerNode(configuration, host, log)
    loop = asyncio.get_running_loop()
    try:
        await node.start()
    except OSError as error:
        print(f"holdfast-server: {error}", file=sys.stderr)
        return 1
    except LoadFailed as error:
        log.warning(f"{error}. Exiting.")
        print(f"holdfast-server: {error}", file=sys.stderr)
        return 1
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, ValueError):
            loop.add_signal_handler(name, node.shut_down_saving)
    log.notice("Ready to accept connections tcp")
    assert node.stopped is not None
    await node.stopped.wait()
    return node.exit_status
