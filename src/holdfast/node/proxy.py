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
from typing import Any, cast

from holdfast import __version__
from holdfast.commands import declare_all
from holdfast.node.proxy_clients import ProxyClients
from holdfast.node.shell import Shell
from holdfast.proxy import commands, stats
from holdfast.proxy.cluster_pool import ClusterTarget
from holdfast.proxy.config import BadFile, ListenAt, PoolFile, read
from holdfast.proxy.following_files import build_cluster_pool, build_sentinel_pool
from holdfast.proxy.hash_pool import HashPool
from holdfast.proxy.hub import Hub
from holdfast.proxy.link import connect_all
from holdfast.proxy.routes import RouteTarget
from holdfast.proxy.shapes import Backend, Client, Door, Exchange, Link, Target
from holdfast.proxy.verbs import learn
from holdfast.server import info_sections
from holdfast.server.commands import authentication, client, info
from holdfast.server.config import Configuration
from holdfast.server.host import Host
from holdfast.server.listeners import Listeners
from holdfast.server.log import Log
from holdfast.server.memory_report import resident_bytes

CLIENTS_MOST = 1_000_000
DRAIN_LOOK_S = 0.05
DATABASES = 16
"""Of the engine that answers local commands; a client may select any that its servers have."""


class ProxyNode(Shell):
    """One proxy. Several may live in one process; each has all its state in here."""

    def __init__(
        self,
        path: str,
        host: Host,
        log: Log,
        *,
        stats_at: tuple[str, int] | None = None,
        drain_s: float = 30.0,
    ) -> None:
        """Read the file at `path`; statistics are told at (address, port). Raises BadFile, OSError."""
        configuration = Configuration(host.disk, "")
        for name, value in (("protected-mode", False), ("maxclients", CLIENTS_MOST)):
            configuration.assign(name, value)
        super().__init__(configuration, host, log, databases=DATABASES, clients=ProxyClients)
        self.path = path
        log.role = "P"
        self.stats_at = stats_at
        self.drain_s = drain_s
        self.files = read(self._text())
        self.doors_by_name: dict[str, Door] = {}
        self._build_shell()
        self.exchange = Exchange(self.engine, self)
        self.exchange.dial = self._dial
        self.exchange.hub = self.hub = Hub(self.exchange)
        learn(self.exchange)
        self._stats_server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._dialing: set[asyncio.Task[None]] = set()
        self._leaving: list[Backend] = []
        self._drained: asyncio.TimerHandle | None = None

    def _build_shell(self) -> None:
        """Make the server around it: local commands, INFO."""
        declare_all(self.engine)
        for family in (authentication, client, info):
            family.register(self.engine)
        commands.register(self.engine)
        self.engine.proto_max_bulk_len = self.configuration["proto-max-bulk-len"]
        self.engine.query_buffer_limit = self.configuration["client-query-buffer-limit"]
        self.engine.slowlog_slower_than_us = -1
        self.listeners: Listeners = cast(Any, self)  # ports and describe are all that is asked
        self.startup_bytes = resident_bytes(self)
        sections = info_sections.ServerSections(self)
        for name in ("server", "clients", "cpu", "stats"):
            self.info.tell(name, getattr(sections, name))
        self.info.tell("proxy", self._info_section)

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
        """Take no new clients; end when those that are there wait for nothing, or after `drain_s`."""
        if self.exchange.draining:
            return
        self.exchange.draining = True
        self.log.notice("Draining: no new clients are taken.")
        for door in self.doors_by_name.values():
            self._close_listeners(door)
        self._look_drained(self.loop.time() + self.drain_s)

    def _look_drained(self, until: float) -> None:
        for each in self.all_clients():
            if each.is_idle and not each.session.input_bytes:
                each.abort()
        if not self.clients.connections or self.loop.time() >= until:
            self._tasks.add(self.loop.create_task(self.stop()))
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
        task = self.loop.create_task(self._reload(files))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
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
        for each in sorted(files, key=lambda each: bool(each.get("routes"))):
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
                if not isinstance(old, RouteTarget):
                    self._leaving += stats.backends_behind(old)
            self._lead_routes()
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
        self._close_leaving()

    def _lead_routes(self) -> None:
        """Let the doors of routes lead to the pools that there are now."""
        for door in self.doors_by_name.values():
            if isinstance(door.target, ClusterTarget):
                door.target.changed = self._lead_routes
        for door in self.doors_by_name.values():
            target = door.target
            if isinstance(target, RouteTarget) and door.facts is not None:
                routes = [(prefix, self.doors_by_name.get(name)) for prefix, name in door.facts.get("routes")]
                target.lead_to([(_bytes(prefix), to.target) for prefix, to in routes if to is not None])

    def _close_leaving(self) -> None:
        waiting = []
        for backend in self._leaving:
            backend.has_left = True
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
        left = [each for each in self.all_clients() if each.door is door]
        for each in left:
            if each.is_idle or self.loop.time() >= until:
                each.abort()
        if any(not each.is_closed for each in left):
            self.loop.call_later(DRAIN_LOOK_S, self._see_off, door, until)
        else:
            if not isinstance(door.target, RouteTarget):
                self.leave(stats.backends_of(door))

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

    def all_clients(self) -> list[Client]:
        """Return the clients that are connected."""
        return cast("list[Client]", list(self.clients.connections.values()))

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
            shards = stats.whole_of(door)
            waiting = sum(shard.held_count for shard in shards)
            facts = f"name={name},listen={door.facts.listen.text},clients={door.client_connections}"
            facts += f",shards={len(shards)},held={waiting},errors={door.forward_error}"
            told.append((f"pool{number}", facts))
            for place, backend in enumerate(stats.backends_of(door)):
                facts = f"name={backend.name},address={backend.host}:{backend.port}"
                facts += f",connections={backend.server_connections},requests={backend.requests}"
                told.append((f"pool{number}_server{place}", f"{facts},ejected={int(backend.ejected)}"))
        return told

    def tell_fault(self, fault: BaseException) -> None:
        """Log a fault of ours that ended a connection."""
        lines = "".join(traceback.format_exception(fault)).rstrip()
        self.log.warning(f"A fault ended a connection:\n{lines}")

    def open_tick(self) -> None:
        """Begin a tick."""
        self.exchange.open_tick()


class StatsConnection(asyncio.Protocol):
    """A connection to the statistics port: it gets them, and is closed."""

    def __init__(self, node: ProxyNode) -> None:
        self._node = node

    def connection_made(self, transport: Any) -> None:
        """Tell, and close."""
        transport.write(json.dumps(self._node.statistics()).encode() + b"\n")
        transport.close()


def build_pool(node: ProxyNode, file: PoolFile, old: object, before: PoolFile | None) -> Target:
    """Make the pool of a section; one whose servers alone changed is kept, with its connections."""
    if file.get("routes"):
        return RouteTarget(file.name)
    if file.get("cluster"):
        return build_cluster_pool(node, file)
    if file.get("sentinels"):
        return build_sentinel_pool(node, file)
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
    owner = target.whole[0].pool if isinstance(target, ClusterTarget) else target
    retire = getattr(owner, "retire", None)
    if retire is not None:
        retire()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
