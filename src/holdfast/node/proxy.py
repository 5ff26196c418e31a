"""The proxy node: doors for clients, pools of backends, and the engine of local commands, as one object.

What it is: the wiring. It makes pools and doors of a configuration file, listens,
connects to backends, and follows the file when it changes. What it is not: the
data path (`holdfast.proxy`), the process (`proxy_process`).

How to read it: `start` and `stop`; `apply` is the one way in which a configuration
takes effect, at the start and at a reload; below it the ends of connections, then
what commands ask.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import traceback
from dataclasses import replace
from typing import Any

from holdfast import __version__
from holdfast.commands import declare_all
from holdfast.engine.state import Engine
from holdfast.node.proxy_clients import ProxyClients
from holdfast.proxy import commands, stats
from holdfast.proxy.config import BadFile, ListenAt, PoolFile, read
from holdfast.proxy.hash_pool import HashPool
from holdfast.proxy.hub import Hub
from holdfast.proxy.link import connect_all
from holdfast.proxy.shapes import Backend, Client, Door, Exchange, Link, Pool
from holdfast.proxy.verbs import learn
from holdfast.server import info_sections
from holdfast.server.commands import authentication, client, info
from holdfast.server.config import Configuration
from holdfast.server.cron import Cron
from holdfast.server.host import Host
from holdfast.server.info import InfoSections
from holdfast.server.log import Log
from holdfast.server.memory_report import resident_bytes
from holdfast.server.node import Doors
from holdfast.server.pauses import Pauses
from holdfast.server.shutdown import Shutdown
from holdfast.server.slowlog import LatencyEvents, SlowCommands
from holdfast.server.traffic import Traffic

CLIENTS_MOST = 1_000_000
DRAIN_LOOK_S = 0.05
DATABASES = 16
"""Of the engine that answers local commands; a client may select any that its servers have."""


class ProxyNode:
    """One proxy. Several may live in one process; each has all its state in here."""

    loop: asyncio.AbstractEventLoop

    def __init__(
        self, path: str, host: Host, log: Log, *, stats_at: tuple[str, int] | None = None, drain_s: float = 30.0
    ) -> None:
        """Read the file at `path`; statistics are told at (address, port). Raises BadFile, OSError."""
        self.path, self.host, self.log = path, host, log
        log.role = "P"
        self.stats_at = stats_at
        self.drain_s = drain_s
        self.files = read(self._text())
        self.doors_by_name: dict[str, Door] = {}
        self.configuration = Configuration(host.disk, "")
        for name, value in (("protected-mode", False), ("maxclients", CLIENTS_MOST)):
            self.configuration.assign(name, value)
        self._build_shell()
        self.exchange = Exchange(self.engine, self)
        self.exchange.dial = self._dial
        self.exchange.hub = self.hub = Hub(self.exchange)
        learn(self.exchange)
        self._stats_server: asyncio.AbstractServer | None = None
        self._dialing: set[asyncio.Task[None]] = set()
        self._leaving: list[Backend] = []
        self._drained: asyncio.TimerHandle | None = None

    def _build_shell(self) -> None:
        """Make what the server's own commands ask of a node."""
        host = self.host
        self.engine = Engine(DATABASES, host.random.getrandbits(63) | 1, False)
        self.engine.node = self
        self.engine.on_fault = self._tell_fault
        self.engine.set_time(host.clock.wall_us() // 1000)
        declare_all(self.engine)
        for family in (authentication, client, info):
            family.register(self.engine)
        commands.register(self.engine)
        self.engine.proto_max_bulk_len = self.configuration["proto-max-bulk-len"]
        self.engine.query_buffer_limit = self.configuration["client-query-buffer-limit"]
        self.engine.slowlog_slower_than_us = -1
        self.run_id = f"{host.random.getrandbits(160):040x}"
        self.started_us = host.clock.boot_us()
        self.active_expire = False
        self.peak_bytes = 0
        self.doors = Doors()
        self.cron = Cron(self)
        self.clients = ProxyClients(self)
        self.listeners = self
        self.client_pauses = Pauses(self)
        self.slow_commands = SlowCommands(self)
        self.latency_events = LatencyEvents(self)
        self.traffic = Traffic()
        self.info = InfoSections()
        self.shutdown = Shutdown(self)
        self.stopped: asyncio.Event | None = None
        self.exit_status = 0
        self.startup_bytes = resident_bytes(self)
        sections = info_sections.ServerSections(self)
        for name in ("server", "clients", "cpu", "stats"):
            self.info.tell(name, getattr(sections, name))
        self.info.tell("proxy", self._info_section)
        self.cron.every_second(self.clients.each_second)

    # ---- life ----

    async def start(self) -> None:
        """Listen. Raises OSError when an address cannot be had."""
        self.loop = asyncio.get_running_loop()
        self.exchange.loop = self.loop
        self.exchange.start_polling()
        self.stopped = asyncio.Event()
        try:
            await self.apply(self.files)
            if self.stats_at is not None:
                self._stats_server = await self.loop.create_server(
                    lambda: StatsConnection(self), self.stats_at[0], self.stats_at[1]
                )
        except BaseException:
            await self.stop()
            raise
        self.cron.start(self.loop)

    async def stop(self) -> None:
        """Close everything; the node cannot be started again."""
        if self.stopped is None or self.stopped.is_set():
            return
        if self._drained is not None:
            self._drained.cancel()
        self.cron.stop()
        for door in self.doors_by_name.values():
            self._close_listeners(door)
        if self._stats_server is not None:
            self._stats_server.close()
        self.hub.close()
        if self.engine.tick_open:
            self.exchange.end_tick()
        for each in list(self.clients.connections.values()):
            each.abort()
        for door in self.doors_by_name.values():
            for backend in stats.backends_of(door):
                backend.disconnect()
            _retire(door.target)
        for task in self._dialing:
            task.cancel()
        self.exchange.stop_polling()
        self.stopped.set()

    def drain(self) -> None:
        """Take no new clients; end when those that are there wait for nothing, at the latest after `drain_s`."""
        if self.exchange.draining:
            return
        self.exchange.draining = True
        self.log.notice("Draining: no new clients are taken.")
        for door in self.doors_by_name.values():
            self._close_listeners(door)
        self._look_drained(self.loop.time() + self.drain_s)

    def _look_drained(self, until: float) -> None:
        for each in list(self.clients.connections.values()):
            if each.is_idle and not each.session.input_bytes:
                each.abort()
        if not self.clients.connections or self.loop.time() >= until:
            self.loop.create_task(self.stop())
        else:
            self._drained = self.loop.call_later(DRAIN_LOOK_S, self._look_drained, until)

    # ---- configuration ----

    def _text(self) -> str:
        file = self.host.disk.open(self.path, "rb")
        try:
            return file.read().decode("utf-8", "surrogateescape")
        finally:
            file.close()

    def reload(self) -> str:
        """Read the file again and follow it; return why not, "" for success. Clients stay connected."""
        try:
            files = read(self._text())
        except (BadFile, OSError) as error:
            self.log.warning(f"The configuration stays as it is: {error}")
            return str(error)
        self.loop.create_task(self._reload(files))
        return ""

    async def _reload(self, files: list[PoolFile]) -> None:
        try:
            await self.apply(files)
        except OSError as error:
            self.log.warning(f"Reload: {error}")
            return
        self.log.notice("Configuration reloaded.")

    async def apply(self, files: list[PoolFile]) -> None:
        """Make pools, doors and listeners what the file says. Raises OSError for an address not to be had."""
        wanted = {each.name: each for each in files}
        for name in [each for each in self.doors_by_name if each not in wanted]:
            self._remove_door(name)
        for each in files:
            door = self.doors_by_name.get(each.name)
            if door is not None and door.facts == each:
                continue
            old = door.target if door is not None else None
            before: PoolFile | None = door.facts if door is not None else None
            target = build_pool(self, each, old, before)
            if door is None:
                door = Door(each.name, target)
                self.doors_by_name[each.name] = door
            door.target = target
            door.facts = each
            door.password = _bytes(each.redis_auth) if each.redis_auth else None
            door.database = each.redis_db
            door.client_limit = each.client_connections
            if old is not None and old is not target:
                _retire(old)
                self._leaving += [backend for shard in old.shards if (backend := shard.primary) is not None]
            self.hub.follow(target)
            if before is None or before.listen != each.listen or not door.listeners:
                await self._listen(door, each)
            if each.preconnect:
                for backend in stats.backends_of(door):
                    connect_all(backend)
        self.files = files
        self._close_leaving()

    def leave(self, backends: list[Backend]) -> None:
        """Close servers that left a pool, once nobody waits for them."""
        self._leaving += backends

    def _close_leaving(self) -> None:
        waiting = []
        for backend in self._leaving:
            if backend.busy():
                waiting.append(backend)
            else:
                backend.disconnect()
        self._leaving = waiting
        if waiting:
            self.loop.call_later(DRAIN_LOOK_S, self._close_leaving)

    def _remove_door(self, name: str) -> None:
        """A pool is not in the file any more: its listener goes, its clients end as they become idle."""
        door = self.doors_by_name.pop(name)
        self._close_listeners(door)
        _retire(door.target)
        self._see_off(door, self.loop.time() + self.drain_s)

    def _see_off(self, door: Door, until: float) -> None:
        left = [each for each in self.clients.connections.values() if each.door is door]
        for each in left:
            if each.is_idle or self.loop.time() >= until:
                each.abort()
        if any(not each.is_closed for each in left):
            self.loop.call_later(DRAIN_LOOK_S, self._see_off, door, until)
        else:
            self.leave(stats.backends_of(door))
            self._close_leaving()

    # ---- listening ----

    async def _listen(self, door: Door, file: PoolFile) -> None:
        """Open the new listener, then close the old one."""
        assert file.listen is not None
        old, door.listeners = door.listeners, []
        try:
            door.listeners = [await self._open(door, file, file.listen)]
        except OSError:
            door.listeners = old
            raise
        for each in old:
            each.close()

    async def _open(self, door: Door, file: PoolFile, at: ListenAt) -> asyncio.AbstractServer:
        def accept() -> Client:
            return Client(self.exchange, door, self.clients)

        if not at.port:
            if self.host.disk.exists(at.host):
                self.host.disk.remove(at.host)
            server = await self.loop.create_unix_server(accept, at.host, backlog=file.backlog)
            if at.permissions:
                os.chmod(at.host, at.permissions)
            return server
        options: dict[str, Any] = {"reuse_port": True} if file.reuseport else {}
        return await self.loop.create_server(accept, at.host, at.port, backlog=file.backlog, **options)

    def _close_listeners(self, door: Door) -> None:
        for each in door.listeners:
            each.close()
        door.listeners = []
        at: ListenAt | None = door.facts.listen if door.facts is not None else None
        if at is not None and not at.port and self.host.disk.exists(at.host):
            self.host.disk.remove(at.host)

    # ---- connections to backends ----

    def _dial(self, link: Link) -> None:
        task = self.loop.create_task(self._connect(link))
        self._dialing.add(task)
        task.add_done_callback(self._dialing.discard)

    async def _connect(self, link: Link) -> None:
        backend = link.lane.backend
        try:
            if backend.port:
                transport, _ = await self.loop.create_connection(lambda: link, backend.host, backend.port)
                self._keep_alive(backend, transport)
            else:
                await self.loop.create_unix_connection(lambda: link, backend.host)
        except OSError as error:
            if isinstance(error, socket.gaierror):
                link.connection_refused(errno.EHOSTDOWN)
            else:
                link.connection_refused(error.errno or errno.ECONNREFUSED)

    def _keep_alive(self, backend: Backend, transport: Any) -> None:
        door = self.doors_by_name.get(backend.pool.name)
        link = transport.get_extra_info("socket")
        if door is not None and door.facts.tcpkeepalive and link is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def tell_ejected(self, pool: str, server: str, retry_ms: int) -> None:
        """Log that a server was left out."""
        self.log.warning(f"pool '{pool}': server '{server}' is left out for {retry_ms} ms")

    # ---- what parts and commands ask ----

    def wall_ms(self) -> int:
        """Return milliseconds since 1970."""
        return self.host.clock.wall_us() // 1000

    def wall_us(self) -> int:
        """Return microseconds since 1970."""
        return self.host.clock.wall_us()

    @property
    def ports(self) -> list[tuple[str, int]]:
        """Address and port of each TCP listener, for INFO."""
        return [
            each.getsockname()[:2]
            for door in self.doors_by_name.values()
            for server in door.listeners
            for each in server.sockets
            if each.family != socket.AF_UNIX
        ]

    def describe(self) -> list[str]:
        """Return the listeners as INFO server shows them."""
        return [f"name={name},bind={door.facts.listen.text}" for name, door in self.doors_by_name.items()]

    def statistics(self) -> dict[str, object]:
        """Return the statistics as the statistics port tells them."""
        return stats.report(
            self.doors_by_name.values(),
            source=self.host.name,
            version=__version__,
            uptime_s=(self.host.clock.boot_us() - self.started_us) // 1_000_000,
            now_s=self.host.clock.wall_us() // 1_000_000,
            total=self.engine.stat_connections,
            current=len(self.clients.connections),
        )

    def _info_section(self) -> list[tuple[str, object]]:
        told: list[tuple[str, object]] = [("pools", len(self.doors_by_name))]
        for number, (name, door) in enumerate(self.doors_by_name.items()):
            shards = door.target.shards
            waiting = sum(shard.held_count for shard in shards)
            told.append(
                (
                    f"pool{number}",
                    f"name={name},listen={door.facts.listen.text},clients={door.client_connections},"
                    f"shards={len(shards)},held={waiting},errors={door.forward_error}",
                )
            )
            for place, backend in enumerate(stats.backends_of(door)):
                told.append(
                    (
                        f"pool{number}_server{place}",
                        f"name={backend.name},address={backend.host}:{backend.port},"
                        f"connections={backend.server_connections},requests={backend.requests},"
                        f"ejected={int(backend.ejected)}",
                    )
                )
        return told

    def _tell_fault(self, fault: BaseException, command: bytes) -> None:
        lines = "".join(traceback.format_exception(fault)).rstrip()
        self.log.warning(f"A fault in '{command.decode()}', answered with an internal error:\n{lines}")

    def open_tick(self) -> None:
        """Begin a tick."""
        self.exchange.open_tick()

    def pauses(self, writes: bool) -> bool:
        """Never: CLIENT PAUSE is not for proxies."""
        return False

    def write_refusal(self) -> bytes:
        """Never asked: local commands write nothing."""
        return b"ERR a proxy takes no writes of its own"

    def fence_refusal(self, session: Any) -> bytes | None:
        """Never asked: a proxy is not fenced."""
        return None


class StatsConnection(asyncio.Protocol):
    """A connection to the statistics port: it gets them, and is closed."""

    def __init__(self, node: ProxyNode) -> None:
        self._node = node

    def connection_made(self, transport: Any) -> None:
        """Tell, and close."""
        transport.write(json.dumps(self._node.statistics()).encode() + b"\n")
        transport.close()


def build_pool(node: ProxyNode, file: PoolFile, old: object, before: PoolFile | None) -> Pool:
    """Make the pool of a section; one whose servers alone changed is kept, with its connections."""
    servers = [(each.name, each.host, each.port, each.weight) for each in file.servers]
    if isinstance(old, HashPool) and before is not None and _policy(before) == _policy(file):
        node.leave(old.take_servers(servers))
        return old
    pool = HashPool(
        node.exchange,
        file.name,
        hash_name=file.hash,
        distribution=file.distribution,
        hash_tag=_bytes(file.hash_tag),
        password=_bytes(file.redis_auth) if file.redis_auth else None,
        database=file.redis_db,
        connections=file.server_connections,
        timeout_ms=max(file.timeout, 0),
        ejects=file.auto_eject_hosts,
        retry_ms=file.server_retry_timeout,
        failure_limit=file.server_failure_limit,
        seed=node.host.random.getrandbits(63),
    )
    pool.take_servers(servers)
    return pool


def _policy(file: PoolFile) -> PoolFile:
    """The section without what a pool can change while it lives."""
    return replace(file, servers=(), listen=None, backlog=0, client_connections=0, preconnect=False)


def _retire(target: object) -> None:
    retire = getattr(target, "retire", None)
    if retire is not None:
        retire()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
