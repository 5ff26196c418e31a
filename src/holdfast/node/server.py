"""The data node: one engine, its clients, its files, its peers, wired into one object.

What it is: the place where the layers below meet. What it is not: decisions; each
part makes its own. Its pulse is `node/tick.pyx`, the process around it `node/process.py`.

How to read it: `ServerNode.start` and `stop` are the life of a node.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

from holdfast.commands import declare_all
from holdfast.engine import sessions
from holdfast.engine.effects import EffectSink
from holdfast.engine.registry import rename_command
from holdfast.engine.state import Session
from holdfast.engine.values import OK, Status
from holdfast.node.cluster import ClusterSide
from holdfast.node.shell import Shell
from holdfast.node.tick import Tick
from holdfast.node.whole_copies import whole_copies
from holdfast.persistence.keeper import Keeper
from holdfast.replication.replicator import Replicator
from holdfast.server import engine_settings, info_sections
from holdfast.server.busy import BusyService
from holdfast.server.commands import declare_server_commands
from holdfast.server.config import Configuration
from holdfast.server.connection import Connection
from holdfast.server.host import Host
from holdfast.server.listeners import Listeners
from holdfast.server.log import Log
from holdfast.server.memory_report import allocated_bytes, resident_bytes
from holdfast.server.pauses import LEASE
from holdfast.server.poller import Poller
from holdfast.server.shutdown import Manner
from holdfast.server.upkeep import Upkeep

READ_BUFFER_BYTES = 128 * 1024


class ServerNode(Shell):
    """One data node. Several may live in one process; each has all its state in here."""

    def __init__(self, configuration: Configuration, host: Host, log: Log, *, any_port: bool = False) -> None:
        """Build the node; nothing listens and nothing is loaded before `start`.

        `any_port`: port 0 means one that is free, where redis.conf means none.
        """
        slots = configuration["cluster-enabled"]
        super().__init__(configuration, host, log, databases=configuration["databases"], has_slots=slots)
        declare_all(self.engine)
        declare_server_commands(self.engine)
        for renaming in configuration.renamed_commands:
            if not rename_command(self.engine, renaming.old_name, renaming.new_name):
                raise ValueError(f"No such command in rename-command: {renaming.line}")
        self.startup_bytes = resident_bytes(self)
        self.sinks: list[Callable[[bytes], None] | EffectSink] = []
        """Take the effects of each tick, in this order."""
        self.keeper: Keeper = Keeper(self.engine, configuration, host, log)
        self.keeper.sinks = self.sinks
        self.keeper.deliver = self.deliver_effects
        self.cron.every(1, self.keeper.beat)
        self.upkeep = Upkeep(self)
        self.listeners = Listeners(self, self._accept, any_port)
        self._read_buffer = bytearray(READ_BUFFER_BYTES)
        engine_settings.follow(self)
        info_sections.register(self)
        self.replication = Replicator(self, *whole_copies(self))
        self.cluster = ClusterSide(self) if configuration["cluster-enabled"] else None
        self.tick = Tick(self)
        self.engine.open_tick = self.tick
        self._open_doors()
        self.cron.every(1, self.clients.each_beat)
        self.cron.every(1, self._sample)
        configuration.on_change(("stay-awake-us",), self._stay_awake)
        self._busy: BusyService | None = None
        self.poller: Poller | None = None

    # ---- life ----

    async def start(self) -> None:
        """Listen on all addresses; `OSError` when one cannot be had."""
        self.loop = asyncio.get_running_loop()
        self.poller = Poller(self.loop, self.tick, self._connection_fault, self.host.clock)
        self._stay_awake(self.configuration)
        self.tick.start(self.loop, self.poller)
        self.stopped = asyncio.Event()
        if self.cluster is not None:
            self.cluster.load()
        self.replication.read_state()
        await self.listeners.open()
        self.cron.start(self.loop)
        await self.keeper.load()
        self.replication.start(self.keeper.kept.fields)
        if self.cluster is not None:
            await self.cluster.start()

    def _stay_awake(self, configuration: Configuration) -> None:
        if self.poller is not None:
            self.poller.patience_us = configuration["stay-awake-us"]

    def _open_doors(self) -> None:
        """Let the parts below hear of files and replicas."""
        replication, keeper, doors = self.replication, self.keeper, self.doors
        keeper.replication_fields = replication.place.aux_fields
        keeper.stream_place = replication.place.in_log
        replication.record_changed = keeper.aof.writer.mark_soon
        keeper.aof.writer.before_sync = replication.feed_before_sync
        replication.copy_replaced = keeper.aof.begin_anew
        replication.waiting.fsynced = keeper.aof.synced_offset
        self.info.tell("replication", replication.info)
        self.info.tell("persistence", lambda: keeper.fields().items())
        self.clients.on_close.append(replication.connection_closed)
        doors.role = lambda: "replica" if replication.is_replica else "master"
        doors.replicas_lag = replication.replicas_lag
        doors.leave, doors.has_left, doors.stay = self._leave, replication.has_left, replication.stay
        doors.replica_output_bytes = replication.output_bytes
        doors.change_replication_id = replication.change_replication_id
        doors.save_at_shutdown = self._save_at_shutdown
        doors.reload = self._reload
        doors.cluster = self.cluster

    async def stop(self) -> None:
        """Close everything; the node cannot be started again."""
        if self.stopped is None or self.stopped.is_set():
            return
        self.cron.stop()
        self.upkeep.stop()
        self.client_pauses.cancel()
        self.listeners.close()
        self.tick.stop()
        if self.cluster is not None:
            self.cluster.stop()
        self.replication.quiet()
        if self.keeper.close():
            self.replication.stopped()
        for connection in list(self.clients.connections.values()):
            connection.abort()
        if self.poller is not None:
            self.poller.close()
        self.stopped.set()

    def shut_down(self, status: int = 0) -> None:
        """Let the node end as SHUTDOWN does."""
        self.exit_status = status
        self.shutdown.begin(Manner())

    @property
    def port(self) -> int:
        """The first TCP port that the node listens on."""
        return self.listeners.ports[0][1]

    # ---- the tick ----

    def open_tick(self) -> None:
        """Begin a tick: set the time, and see to its end."""
        self.tick()

    def deliver_effects(self) -> None:
        """Hand the effects there are to those who take them."""
        self.tick.deliver_effects()

    def _sample(self) -> None:
        """Take the counters that rates and peaks are made of."""
        engine, traffic, now_us = self.engine, self.traffic, self.host.clock.boot_us()
        traffic.sample(now_us, engine.stat_commands, engine.net_input_bytes, engine.net_output_bytes)
        sessions.note_peak(engine)
        self.peak_bytes = max(self.peak_bytes, allocated_bytes(self) + self.startup_bytes)

    # ---- for the parts ----

    async def _save_at_shutdown(self, must: bool) -> str:
        return "" if self.keeper.prepare_shutdown(save=must or None) else "see the log"

    def _leave(self) -> bool:
        if not self.engine.tick_open:
            self.open_tick()
        return self.replication.leave()

    def _reload(self, session: Session, save: bool, flush: bool, merge: bool) -> Status:
        self.keeper.reload(save=save, flush=flush)
        return OK

    def _accept(self) -> Connection:
        connection = Connection(self.clients, self.engine, self._read_buffer, self.poller)
        self.clients.expected.add(connection)
        return connection

    def _connection_fault(self, connection: Connection, fault: BaseException) -> None:
        lines = "".join(traceback.format_exception(fault)).rstrip()
        self.log.warning(f"A fault in the work on one connection, which ends:\n{lines}")
        connection.abort()

    # ---- a script that runs too long ----

    def pump(self) -> None:
        """Serve the clients without the loop, which a script holds."""
        if self._busy is None:
            self._busy = BusyService(
                self._accept, self.listeners.servers, self.clients.connections, self.clients.expected
            )
        self._busy.serve()

    def pump_ended(self) -> None:
        """The script has ended: the loop serves again, those too who came meanwhile."""
        if self._busy is not None:
            self._busy.hand_over(self.loop)
            self._busy = None

    # ---- questions of the engine ----

    def pauses(self, session: Session, writes: bool) -> bool:
        """Whether a pause holds back such a request now; who grants the lease never waits for it."""
        passed_over = LEASE if self.replication.lease.is_manager(session) else ""
        return self.client_pauses.holds(writes, passed_over)

    def forked(self, took_us: int) -> None:
        """A child was made, which stopped everybody for so long."""
        self.traffic.forks += 1
        self.traffic.fork_us = took_us
        self.latency_events.add_if_long("fork", took_us)

    def emptied(self) -> None:
        """FLUSHALL was executed: its files follow."""
        self.keeper.after_flush()

    def write_refusal(self) -> bytes:
        """The MISCONF error of a node that cannot write its files."""
        return self.keeper.trouble.write_refusal()

    def fence_refusal(self, session: Any) -> bytes | None:
        """Why a write may not run on a fenced node; None: it may."""
        return self.replication.guards.refusal()
