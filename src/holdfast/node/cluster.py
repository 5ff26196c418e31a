"""A data node as a member of a cluster: the machine wired to bus, disk, replication and engine.

What it is: `ClusterSide`, the life of it and its inputs: time, connections, messages. It is the
`holdfast.server.cluster.Cluster` that commands ask. What it is not: decisions
(`holdfast.cluster.machine`); what they ask for is run by `cluster_queue` and `cluster_effects`.

How to read it: the life, then the inputs. Questions are answered by `cluster_questions`, orders
taken by `cluster_orders`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.cluster import nodes_file, table
from holdfast.cluster.bus import Bus, BusConnection
from holdfast.cluster.machine import BEAT_MS, Machine
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Link, View
from holdfast.cluster.nodes_file import NodesFileError
from holdfast.cluster.settings import Settings
from holdfast.commands.slot_keys import count_keys_in_slot
from holdfast.node.cluster_effects import Effects
from holdfast.node.cluster_orders import ClusterOrders
from holdfast.node.cluster_queue import EffectQueue
from holdfast.server.cluster_routes import Routes
from holdfast.server.config import Configuration
from holdfast.server.listeners import ANY

if TYPE_CHECKING:
    from holdfast.node.server import ServerNode

BUS_PORT_OFFSET = 10_000
DIRECTIVES = (
    "cluster-node-timeout",
    "cluster-require-full-coverage",
    "cluster-allow-replica-migration",
    "cluster-migration-barrier",
    "cluster-replica-validity-factor",
    "cluster-replica-no-failover",
    "cluster-announce-ip",
    "cluster-announce-port",
    "cluster-announce-bus-port",
    "cluster-announce-hostname",
    "cluster-announce-human-nodename",
    "cluster-ping-interval",
)
LATE_MS = 500
"""A tick that comes so long after the last beat looks at the cluster before it executes anything."""


class ClusterSide(ClusterOrders):
    """The cluster side of one node."""

    def __init__(self, node: ServerNode) -> None:
        self._node = node
        self.settings = Settings()
        luck = node.host.random
        super().__init__(node, View(f"{luck.getrandbits(160):040x}", luck, self.settings, 1))
        self.changed: list[Callable[[int], None]] = []
        self.bus = Bus(self)
        self.machine = Machine(self.view)
        self.effects = Effects(node, self)
        self.queue = EffectQueue(
            *(node, self.view, self.effects.perform, self.effects.tell_changes, self.effects.tell_losses)
        )
        self._beat_timer: asyncio.TimerHandle | None = None
        self._read_settings()
        node.configuration.on_change(DIRECTIVES, self._configured)

    # ---- life ----

    def load(self) -> None:
        """Read nodes.conf, before anything listens. Raises `OSError` or `NodesFileError`."""
        node, now_ms = self._node, self.now_ms()
        text = self.queue.store.open()
        view = self.view
        view.started_ms = view.looked_ms = now_ms
        view.me.created_ms = now_ms
        self._hand_in()
        if text.strip():
            try:
                nodes_file.load(view, text, now_ms)
            except NodesFileError as error:
                node.log.warning(f'Unrecoverable error: corrupted cluster config file "{error}".')
                raise
            node.log.notice(f"Node configuration loaded, I'm {view.me.id}")
        else:
            node.log.notice(f"No cluster configuration found, I'm {view.me.id}")
        for each in view.nodes.values():
            each.created_ms = each.heard_ms = now_ms
        self.machine.follow_settings()
        self.routes = Routes(node, self)
        node.engine.publish_hook = self.publish
        primary = view.me.primary
        if view.me.is_replica and primary is not None and primary.host:
            node.configuration.assign("replicaof", (primary.host, primary.port))

    async def start(self) -> None:
        """Listen, and begin to take part; the files are loaded. `OSError` when the port cannot be had."""
        node = self._node
        self._read_settings()
        self._check_keys()
        addresses = [where for word in node.configuration["bind"] for where in (_bound(word),)]
        await self.bus.open(node.loop, addresses, self.settings.bus_port)
        self.queue.is_open = True
        self.view.save(synced=True)
        node.clients.on_close.append(self._taker.session_ended)
        self._hand_in()
        self.queue.run(at_once=True)
        self._beat()

    def stop(self) -> None:
        """Take part no more."""
        self.queue.close()
        self.effects.close()
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        for claim in list(self.claims):
            claim.cancel()
        for task in self._tasks:
            task.cancel()
        self.bus.close()
        self.queue.store.close()

    def _read_settings(self) -> None:
        configuration, settings = self._node.configuration, self.settings
        settings.node_timeout = configuration["cluster-node-timeout"]
        settings.require_full_coverage = configuration["cluster-require-full-coverage"]
        settings.allow_replica_migration = configuration["cluster-allow-replica-migration"]
        settings.migration_barrier = configuration["cluster-migration-barrier"]
        settings.replica_validity_factor = configuration["cluster-replica-validity-factor"]
        settings.replica_no_failover = configuration["cluster-replica-no-failover"]
        settings.repl_ping_period = configuration["repl-ping-replica-period"] * 1000
        settings.ping_interval = configuration["cluster-ping-interval"]
        ports = self._node.listeners.ports
        settings.port = ports[0][1] if ports else configuration["port"]
        settings.bus_port = configuration["cluster-port"] or settings.port + BUS_PORT_OFFSET
        settings.announce_ip = configuration["cluster-announce-ip"] or ""
        settings.announce_port = configuration["cluster-announce-port"]
        settings.announce_bus_port = configuration["cluster-announce-bus-port"]
        settings.hostname = configuration["cluster-announce-hostname"] or ""
        settings.human_name = configuration["cluster-announce-human-nodename"] or ""

    def _configured(self, _: Configuration) -> None:
        """CONFIG SET: take it at once, not at the next beat."""
        if self.queue.is_open:
            self._read_settings()
            self._hand_in()
            self.machine.beat(self.now_ms())
            self.queue.run()

    def _check_keys(self) -> None:
        """Make the table agree with the keys that were loaded (a primary's)."""
        view, engine = self.view, self._node.engine
        self._taker.clean_up()
        if view.me.is_replica:
            return
        for slot, owner in enumerate(view.owners):
            if owner is view.me or slot in view.importing or not count_keys_in_slot(engine, slot):
                continue
            if owner is None:
                self._node.log.notice(
                    f"I have keys for unassigned slot {slot}. Taking responsibility for it."
                )
                view.give_slot(slot, view.me)
            else:
                self._node.log.notice(
                    f"I have keys for slot {slot}, but the slot is assigned to another node. "
                    "Setting it to importing state."
                )
                view.open_slot(view.importing, slot, owner)

    # ---- inputs ----

    def _beat(self) -> None:
        loop = self._node.loop
        self._beat_timer = loop.call_later(BEAT_MS / 1000, self._beat)
        self._read_settings()
        self._close_full_links()
        self._hand_in()
        self.machine.beat(self.now_ms())
        self.queue.run()
        self.look_at_claims()

    def _close_full_links(self) -> None:
        """Close links on which too much waits (`cluster-link-sendbuf-limit`); they are opened anew."""
        limit_bytes = self._node.configuration["cluster-link-sendbuf-limit"]
        for link in list(self.bus.connections) if limit_bytes else ():
            if self.bus.buffered(link) > limit_bytes:
                self._node.log.warning(f"A cluster link is closed: more than {limit_bytes} bytes wait on it")
                table.close(self.view, link)
                self.view.links_over_limit += 1

    def look(self) -> None:
        """Look again between two beats, as a decision asked for."""
        self._hand_in()
        self.machine.look(self.now_ms())
        self.queue.run()

    def begin_tick(self) -> None:
        """Look first, where this process has slept: others may have gone on without it."""
        if self.queue.is_open and self.now_ms() - self.view.looked_ms > LATE_MS:
            self._hand_in()
            self.machine.beat(self.now_ms())
            self.queue.run()

    def took_over(self, epoch: int, leads: bool) -> None:
        """The shard was fenced and is led by this node, or it is not."""
        if self.queue.is_open:
            self._hand_in()
            self.machine.took_over(epoch, leads, self.now_ms())
            self.queue.run()

    def accepted(self, connection: BusConnection) -> Link:
        """Somebody connected to the bus."""
        return Link(None, False, self.now_ms())

    def connected(self, link: Link) -> None:
        """A connection of ours is there."""
        self._hand_in()
        self.machine.connected(link, self.now_ms())
        self.queue.run()

    def lost(self, link: Link, refused: bool) -> None:
        """A connection ended, or could not be had."""
        if self.queue.is_open:
            self._hand_in()
            self.machine.lost(link, refused, self.now_ms())
            self.queue.run()

    def received(self, link: Link, message: Message) -> None:
        """A message came."""
        if self.queue.is_open:
            self._hand_in()
            self.machine.received(link, message, self.now_ms())
            self.queue.run()
            if self.claims:
                self.look_at_claims()

    def _hand_in(self) -> None:
        """Give the decisions what only the node knows."""
        view, node = self.view, self._node
        replication = node.replication
        view.wall_ahead_ms = (node.host.clock.wall_us() - node.host.clock.boot_us()) // 1000
        if replication.is_started:
            view.my_offset = replication.end_offset
            upstream = replication.upstream
            view.primary_link_up = upstream.is_up
            view.is_fenced = is_fenced = replication.in_cluster.is_fenced
            # A copy that was lost does not know what bound it: others of the shard have to tell.
            needed, state = node.configuration["min-replicas-to-ack"], replication.standing.node.state
            has_lost = bool(needed) and not state.intact
            view.is_bound = is_fenced or has_lost or replication.standing.is_bound
            view.primary_is_empty = bool(upstream.refusal) and not upstream.is_up
            primary = view.me.primary
            follows_it = primary is not None and replication.followed == (primary.host, primary.port)
            if upstream.is_up and follows_it:
                view.has_foreign_copy = False
                view.primary_heard_ms = upstream.applier.heard_at_ms


def _bound(word: str) -> str:
    address = word.removeprefix("-")
    return ANY.get(address, address)
