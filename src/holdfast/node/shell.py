"""The server around every node: what its own commands and INFO ask of it.

What it is: the engine that parses and answers, and beside it clients, jobs by the clock, counters and
INFO, as the commands of `holdfast.server` expect them of any node. What it is not: a tick, listeners, or
anything that a data node, a Sentinel or a proxy is for; these inherit it and add their own.

How to read it: `__init__`, then the answers of a node that keeps no data; a data node has its own.
"""

from __future__ import annotations

import asyncio
import traceback
from abc import ABC, abstractmethod
from typing import Any

from holdfast.engine.state import Engine, Session
from holdfast.server.clients import Clients
from holdfast.server.config import Configuration
from holdfast.server.cron import Cron
from holdfast.server.host import Host
from holdfast.server.info import InfoSections
from holdfast.server.listeners import Listeners
from holdfast.server.log import Log
from holdfast.server.node import Doors
from holdfast.server.pauses import Pauses
from holdfast.server.shutdown import Shutdown
from holdfast.server.slowlog import LatencyEvents, SlowCommands
from holdfast.server.traffic import Traffic


class Shell(ABC):
    """What every node has around its own work. The engine has no commands yet."""

    loop: asyncio.AbstractEventLoop
    listeners: Listeners

    def __init__(
        self,
        configuration: Configuration,
        host: Host,
        log: Log,
        *,
        databases: int,
        has_slots: bool = False,
        clients: type[Clients] = Clients,
    ) -> None:
        """Make an engine of so many databases (in hash slots or not), and what stands around it."""
        self.configuration, self.host, self.log = configuration, host, log
        self.engine = Engine(databases, host.random.getrandbits(63) | 1, has_slots)
        self.engine.node = self
        self.engine.on_fault = self._tell_fault
        self.engine.set_time(host.clock.wall_us() // 1000)
        self.run_id = f"{host.random.getrandbits(160):040x}"
        self.started_us = host.clock.boot_us()
        self.startup_bytes = self.peak_bytes = 0
        self.doors = Doors()
        self.cron = Cron(self)
        self.clients = clients(self)
        self.client_pauses = Pauses(self)
        self.slow_commands = SlowCommands(self)
        self.latency_events = LatencyEvents(self)
        self.traffic = Traffic()
        self.info = InfoSections()
        self.shutdown = Shutdown(self)
        self.stopped: asyncio.Event | None = None
        self.exit_status = 0
        self.cron.every_second(self.clients.each_second)

    @abstractmethod
    def open_tick(self) -> None:
        """Begin a tick."""

    @abstractmethod
    async def stop(self) -> None:
        """Close everything; the node cannot be started again."""

    def _tell_fault(self, fault: BaseException, command: bytes) -> None:
        lines = "".join(traceback.format_exception(fault)).rstrip()
        self.log.warning(f"A fault in '{command.decode()}', answered with an internal error:\n{lines}")

    # ---- questions of the engine ----

    def pauses(self, session: Session, writes: bool) -> bool:
        """Whether a pause holds back such a request now."""
        return self.client_pauses.holds(writes)

    def write_refusal(self) -> bytes:
        """Never asked: no data, no writes."""
        return b"ERR this node takes no writes of its own"

    def fence_refusal(self, session: Any) -> bytes | None:
        """Never asked: only data nodes are fenced."""
        return None
