"""The Sentinel node: one engine with Sentinel's commands, its links, its file, wired into one object.

What it is: the place where the machine's effects are run, in their order, and where
everything that comes from outside is handed to it with the time. What it is not: decisions
(`holdfast.sentinel.machine`), orders to nodes of ours (`sentinel_orders`), the process
(`sentinel_process`).

How to read it: `start` and `stop`; `look` is the pulse; `run_effects` is the contract on
effects; below it the listener of connections, then what commands ask.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Sequence
from typing import Any

from holdfast.commands import command_table, connection, pubsub
from holdfast.engine import effects as engine_effects
from holdfast.engine.events import publish_message
from holdfast.engine.registry import add_function, command_names, rename_command, specification
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import Pairs
from holdfast.node.sentinel_orders import SentinelOrders
from holdfast.node.shell import Shell
from holdfast.sentinel import commands, granting, listing
from holdfast.sentinel.address_grants import AddressGrants
from holdfast.sentinel.config_file import Line, read_lines, rewritten, state_lines
from holdfast.sentinel.effects import (
    Connect,
    Crash,
    Disconnect,
    LogOnly,
    LookAgain,
    OnReply,
    Persist,
    RunScript,
    Send,
    Tell,
)
from holdfast.sentinel.hello import CHANNEL
from holdfast.sentinel.link import Connection as LinkConnection
from holdfast.sentinel.machine import Machine
from holdfast.sentinel.model import Link, Sentinel
from holdfast.sentinel.reply_reader import Reply
from holdfast.sentinel.scripts import Runner, ScriptQueue
from holdfast.sentinel.settings import BEAT_MS
from holdfast.server import engine_settings, info_sections
from holdfast.server.commands import acl, authentication, client, info, shutdown
from holdfast.server.config import Configuration
from holdfast.server.config.words import as_bytes, as_text
from holdfast.server.connection import Connection, flush_pending, serve_waiting
from holdfast.server.host import Host
from holdfast.server.listeners import Listeners
from holdfast.server.log import Log
from holdfast.server.memory_report import resident_bytes
from holdfast.server.shutdown import Manner

READ_BUFFER_BYTES = 64 * 1024
CRASHED = 99
FAMILIES = (command_table, connection, pubsub, authentication, client, acl, info, shutdown)
SERVED = frozenset(
    (
        *("acl", "auth", "client", "command", "hello", "info", "ping", "quit", "reset", "shutdown"),
        *("subscribe", "unsubscribe", "psubscribe", "punsubscribe"),
    )
)
"""What the families hold that a Sentinel serves; the rest is taken out again."""
SECTIONS = ("server", "clients", "cpu", "stats", "sentinel")


class SentinelNode(Shell):
    """One Sentinel. Several may live in one process; each has all its state in here."""

    def __init__(
        self,
        configuration: Configuration,
        lines: Sequence[Line],
        host: Host,
        log: Log,
        runner: Runner,
        *,
        any_port: bool = False,
    ) -> None:
        """Build the node from the directives and the `sentinel` lines of its file.

        Raises BadLine for a line that cannot be used.
        """
        super().__init__(configuration, host, log, databases=1)
        log.role = "X"
        self._runner = runner
        self.sentinel = Sentinel("", host.random, self.now_ms())
        self.sentinel.orders = SentinelOrders()
        read_lines(self.sentinel, lines, self.now_ms(), self.is_script)
        for primary in self.sentinel.primaries.values():
            granting.after_start(primary, self.now_ms())
        self.machine = Machine(self.sentinel)
        self.address_grants = AddressGrants(self.now_ms())
        self.scripts = ScriptQueue(runner, self.sentinel.times, self._tell_of_script, self.now_ms)
        self.is_durable = True
        self._links: dict[tuple[int, bool], LinkConnection] = {}
        self._beat: asyncio.TimerHandle | None = None
        self._look_soon: asyncio.Handle | None = None
        self._look_later: asyncio.TimerHandle | None = None
        self._build_shell(any_port)

    def _build_shell(self, any_port: bool) -> None:
        """Make the server around it: commands, listeners, INFO."""
        self.engine.open_tick = self.open_tick
        declare_sentinel_commands(self.engine)
        self.listeners = Listeners(self, self._accept, any_port)
        self._read_buffer = bytearray(READ_BUFFER_BYTES)
        self.startup_bytes = resident_bytes(self)
        engine_settings.follow(self)
        sections = info_sections.ServerSections(self)
        self.info.tell("server", lambda: _with_mode(sections.server()))
        for name in ("clients", "cpu", "stats"):
            self.info.tell(name, getattr(sections, name))
        self.info.tell("sentinel", self._info_section)
        self.cron.every_second(self.clients.each_beat)

    # ---- life ----

    async def start(self) -> None:
        """Listen, and begin to watch. Raises OSError when an address or the file cannot be had."""
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
        await self.listeners.open()
        self.cron.start(self.loop)
        sentinel = self.sentinel
        sentinel.options.own_port = self.port
        sentinel.options.own_pass = self.configuration["requirepass"]
        sentinel.looked_ms = self.now_ms()
        if not sentinel.my_id:
            sentinel.my_id = f"{self.host.random.getrandbits(160):040x}"
        for primary in sentinel.primaries.values():
            primary.my_id = sentinel.my_id
        self._persist()
        if not self.is_durable:
            raise OSError("the configuration file cannot be written")
        self.log.notice(f"Sentinel ID is {sentinel.my_id}")
        for primary in sentinel.primaries.values():
            sentinel.tell("+monitor", primary, f"quorum {primary.options.quorum}")
        self._beat_again()

    async def stop(self) -> None:
        """Close everything; the node cannot be started again."""
        if self.stopped is None or self.stopped.is_set():
            return
        for timer in (self._beat, self._look_soon, self._look_later):
            if timer is not None:
                timer.cancel()
        self.cron.stop()
        self.client_pauses.cancel()
        self.listeners.close()
        for link in self._links.values():
            link.close()
        self._links.clear()
        if self.engine.tick_open:
            self.end_tick()
        for each in list(self.clients.connections.values()):
            each.abort()
        self.stopped.set()

    def shut_down(self, status: int = 0) -> None:
        """Let the node end as SHUTDOWN does."""
        self.exit_status = status
        self.shutdown.begin(Manner(nosave=True))

    @property
    def port(self) -> int:
        """The first TCP port that the node listens on."""
        return self.listeners.ports[0][1]

    def now_ms(self) -> int:
        """Return milliseconds of a clock that never goes back."""
        return self.host.clock.boot_us() // 1000

    # ---- the pulse ----

    def _beat_again(self) -> None:
        self._beat = self.loop.call_later(BEAT_MS / 1000, self._beat_again)
        self.scripts.look(self.now_ms())
        self.look()

    def look(self) -> None:
        """Look at everything, and do what follows from it."""
        self._look_soon = None
        self.machine.look(self.now_ms())
        self.run_effects()

    def _soon(self) -> None:
        """Look again in this turn of the loop, once for everything that came."""
        if self._look_soon is None:
            self._look_soon = self.loop.call_soon(self.look)

    def run_effects(self) -> None:
        """Run what waits, in order; one writing of the file serves all of a batch."""
        while batch := self.sentinel.take_effects():
            is_written = False
            for effect in batch:
                match effect:
                    case Persist():
                        if not is_written:
                            self._persist()
                            is_written = True
                    case Send():
                        self._send(effect)
                    case Connect():
                        self._connect(effect.link, effect.pubsub)
                    case Disconnect():
                        self._disconnect(effect.link, effect.pubsub)
                    case Tell():
                        self._tell(effect)
                    case LogOnly():
                        self.log.write(effect.level, effect.text)
                    case RunScript():
                        self.scripts.add(effect.words)
                    case LookAgain():
                        self._look_after(effect.after_ms)
                    case Crash():
                        self.exit_status = CRASHED
                        self.loop.create_task(self.stop())
                        return

    def _look_after(self, after_ms: int) -> None:
        if self._look_later is not None:
            self._look_later.cancel()
        self._look_later = self.loop.call_later(max(after_ms, 1) / 1000, self.look)

    def _tell(self, effect: Tell) -> None:
        self.log.write(effect.level, f"{effect.event} {effect.text}")
        if effect.level != "debug":
            if not self.engine.tick_open:
                self.open_tick()
            publish_message(self.engine, effect.event.encode(), as_bytes(effect.text))
        if effect.script:
            self.scripts.add((effect.script, effect.event, effect.text))

    def _tell_of_script(self, event: str, text: str, level: str) -> None:
        self._tell(Tell(level, event, text))

    # ---- the file ----

    def _persist(self) -> None:
        """Write the file: a new one, synced, in the place of the old."""
        disk, path = self.host.disk, self.configuration.config_file
        fresh = f"{path}.new"
        try:
            content = rewritten(self._content(path), state_lines(self.sentinel))
            file = disk.open(fresh, "wb")
            try:
                file.write(as_bytes(content))
                file.sync()
            finally:
                file.close()
            disk.rename(fresh, path)
            disk.sync_dir(posixpath.dirname(path) or ".")
        except OSError as error:
            self.is_durable = False
            self.log.warning(
                f"WARNING: Sentinel was not able to save the new configuration on disk!!!: {error.strerror}"
            )
            return
        self.is_durable = True
        self.log.verbose("Sentinel new configuration saved on disk")

    def _content(self, path: str) -> str:
        if not self.host.disk.exists(path):
            return ""
        file = self.host.disk.open(path, "rb")
        try:
            return as_text(file.read())
        finally:
            file.close()

    # ---- links ----

    def _connect(self, link: Link, pubsub: bool) -> None:
        resolve = self.sentinel.options.resolve_hostnames
        host = link.address.host if resolve or not link.address.ip else link.address.ip
        timeout_ms = max(200, min(self.sentinel.times.ping_period * 2, 3000))
        connection = LinkConnection(self, link, pubsub)
        self._links[id(link), pubsub] = connection
        connection.open(self.loop, host, timeout_ms / 1000)

    def _disconnect(self, link: Link, pubsub: bool) -> None:
        connection = self._links.pop((id(link), pubsub), None)
        if connection is not None:
            connection.close()

    def _send(self, effect: Send) -> None:
        connection = self._links.get((id(effect.link), effect.pubsub))
        if connection is None or not self.is_durable:
            effect.link.pending_commands = max(0, effect.link.pending_commands - 1)
            return
        connection.send(effect.words, effect.on_reply)

    def connection_made(self, connection: LinkConnection, local_ip: str, peer_ip: str) -> None:
        """A link is up."""
        self.machine.connected(connection.link, connection.pubsub, local_ip, peer_ip, self.now_ms())
        self.run_effects()
        self._soon()

    def connection_gone(self, connection: LinkConnection, refused: bool) -> None:
        """A link is down."""
        key = id(connection.link), connection.pubsub
        if self._links.get(key) is connection:
            del self._links[key]
            self.machine.lost(connection.link, connection.pubsub, refused, self.now_ms())
            self.run_effects()
            self._soon()

    def replies_came(self, connection: LinkConnection, replies: list[tuple[OnReply | None, Reply]]) -> None:
        """Replies, or messages of the hello channel."""
        now_ms = self.now_ms()
        for on_reply, reply in replies:
            if connection.pubsub:
                match reply:
                    case ["message", channel, str(text)] if channel == CHANNEL:
                        self.machine.message(connection.link, text, now_ms)
                continue
            connection.link.pending_commands = max(0, connection.link.pending_commands - 1)
            if on_reply is not None:
                on_reply(reply, now_ms)
        if not self.machine.may_rest(now_ms):
            self._soon()

    # ---- what commands ask ----

    def is_script(self, path: str) -> bool:
        """Tell whether a file may be run."""
        return self._runner.may_run(path)

    def set_log_level(self, level: str) -> None:
        """Log from this level on."""
        self.log.level = level

    def log_level(self) -> str:
        """Return the level that is logged from."""
        return self.log.level

    def _info_section(self) -> list[tuple[str, str]]:
        return listing.info_section(
            self.sentinel, self.scripts.running, len(self.scripts.jobs), self.now_ms()
        )

    # ---- the tick of the server around it ----

    def open_tick(self) -> None:
        """Begin a tick: set the time, and see to its end."""
        self.engine.tick_open = True
        self.engine.set_time(self.host.clock.wall_us() // 1000)
        self.traffic.tick_count += 1
        self.loop.call_soon(self.end_tick)

    def end_tick(self) -> None:
        """Hand out the replies of this tick."""
        engine = self.engine
        if engine.stream_on:
            engine_effects.take_stream(engine)
        flush_pending(engine)
        engine.tick_open = False
        if engine.unblocked:
            self.open_tick()
            serve_waiting(engine)

    def _accept(self) -> Connection:
        return Connection(self.clients, self.engine, self._read_buffer)


def declare_sentinel_commands(engine: Engine) -> None:
    """Declare what a Sentinel serves, and nothing else."""
    for family in FAMILIES:
        family.register(engine)
    for name in command_names(engine):
        if "|" not in name and name not in SERVED:
            rename_command(engine, name, "")
    commands.register(engine)
    spec = specification(engine, "hello")
    rename_command(engine, "hello", "")
    assert spec is not None
    add_function(engine, spec, _hello)
    info_spec = specification(engine, "info")
    rename_command(engine, "info", "")
    assert info_spec is not None
    add_function(engine, info_spec, _info)


def _hello(session: Session, args: list[bytes]) -> object:
    """HELLO: as of a server, with the mode that this is."""
    told = authentication.hello(session, args)
    if not isinstance(told, Pairs):
        return told
    return Pairs(
        [(name, "sentinel" if name == b"mode" else value) for name, value in told if name != b"role"]
    )


def _info(session: Session, args: list[bytes]) -> object:
    """INFO: the sections that a Sentinel has."""
    words = [as_text(each).lower() for each in args[1:]]
    whole = not words or {"default", "all", "everything"} & set(words)
    wanted = SECTIONS if whole else [each for each in words if each in SECTIONS]
    return session.engine.node.info.text(wanted) if wanted else ""


def _with_mode(fields: Any) -> list[tuple[str, object]]:
    return [(name, "sentinel" if name == "redis_mode" else value) for name, value in fields]
