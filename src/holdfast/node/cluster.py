"""A data node as a member of a cluster: the machine wired to bus, disk, replication and engine.

What it is: `ClusterSide`, which runs the effects of `holdfast.cluster.machine` and is the
`holdfast.server.cluster.Cluster` that commands ask. What it is not: decisions.

Effects run in their order: nodes.conf first, then the role, then what changed here, then
what is sent. While the file is on its way to the disk, clients are served, and what later
events ask for waits behind it (`_waiting`); an order waits for nobody: what it writes
includes all that went before. Where the file cannot be written nothing leaves: others will
think this node down, and rightly so.

How to read it: the life, the inputs, `_run`, then the questions and orders of the door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from holdfast.cluster import effects as todo
from holdfast.cluster import failure, messages, nodes_file, orders, promise, table
from holdfast.cluster.bus import Bus, BusConnection
from holdfast.cluster.machine import BEAT_MS, Machine
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Link, Node, View
from holdfast.cluster.nodes_file import NodesFileError, node_line, text_of
from holdfast.cluster.settings import Settings
from holdfast.cluster.slots import members, of_slots
from holdfast.cluster.store import NodesStore
from holdfast.commands.migrate import DENY_BLOCKING
from holdfast.commands.slot_keys import count_keys_in_slot, delete_keys_in_slot
from holdfast.engine.events import publish_message
from holdfast.engine.request import receive
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import NO_REPLY, OK, CommandError, Status
from holdfast.node.shard_takeover import Member, ShardTakeover
from holdfast.node.slot_claim import SlotClaim
from holdfast.node.slot_giver import Gift
from holdfast.node.slot_taker import SlotTaker
from holdfast.replication.attachments import Stage
from holdfast.replication.standing import OrderRefused
from holdfast.server.cluster import ClusterLink, ClusterNode
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
PAUSE = "cluster failover"
SAVE_SOON_S = 0.3
"""How long nodes.conf may lag behind what no promise hangs on."""
LATE_MS = 500
"""A tick that comes so long after the last beat looks at the cluster before it executes anything."""


class ClusterSide:
    """The cluster side of one node."""

    def __init__(self, node: ServerNode) -> None:
        self._node = node
        self.settings = Settings()
        self.changed: list[Callable[[int], None]] = []
        configuration = node.configuration
        path = configuration.path("cluster-config-file")
        self._store = NodesStore(node.host.disk, path, node.host.pid)
        self.bus = Bus(self)
        self._beat_timer: asyncio.TimerHandle | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._save_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        """nodes.conf on its way to the disk."""
        self._waiting: list[list[todo.Effect]] = []
        """What is behind it, an entry an event; empty where nobody waits for the file."""
        self._covered = 0
        """How many of these the text includes that is being written."""
        self.claims: set[SlotClaim] = set()
        """Claims of slots that are not in force yet."""
        self._runs = False
        self._is_open = False
        self._told: tuple[object, ...] = ()
        self._is_stale = True
        """nodes.conf was written since the last telling: an address may be another one."""
        self._read_settings()
        configuration.on_change(DIRECTIVES, self._configured)
        self.view = View(f"{node.host.random.getrandbits(160):040x}", node.host.random, self.settings, 1)
        self.machine = Machine(self.view)
        self.gifts: set[Gift] = set()
        """Slots that are on their way to other nodes as a whole."""
        self._taker = SlotTaker(self)
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- life ----

    def load(self) -> None:
        """Read nodes.conf, before anything listens. Raises `OSError` or `NodesFileError`."""
        node, now_ms = self._node, self.now_ms()
        text = self._store.open()
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
        self._is_open = True
        self.view.save(synced=True)
        node.clients.on_close.append(self._taker.session_ended)
        self._hand_in()
        self._run(at_once=True)
        self._beat()

    def stop(self) -> None:
        """Take part no more."""
        self._is_open = False
        self._save_now()
        for timer in (self._beat_timer, self._look_timer):
            if timer is not None:
                timer.cancel()
        if self._writing is not None:
            self._writing.cancel()
        for claim in list(self.claims):
            claim.cancel()
        for task in (self._task, *self._tasks):
            if task is not None:
                task.cancel()
        self.bus.close()
        self._store.close()

    def now_ms(self) -> int:
        """Return milliseconds of a clock that never goes back."""
        return self._node.host.clock.boot_us() // 1000

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
        if self._is_open:
            self._read_settings()
            self._hand_in()
            self.machine.beat(self.now_ms())
            self._run()

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
        self._run()
        self.look_at_claims()

    def _close_full_links(self) -> None:
        """Close links on which too much waits (`cluster-link-sendbuf-limit`); they are opened anew."""
        limit_bytes = self._node.configuration["cluster-link-sendbuf-limit"]
        for link in list(self.bus.connections) if limit_bytes else ():
            if self.bus.buffered(link) > limit_bytes:
                self._node.log.warning(f"A cluster link is closed: more than {limit_bytes} bytes wait on it")
                table.close(self.view, link)
                self.view.links_over_limit += 1

    def _look(self) -> None:
        self._look_timer = None
        self._hand_in()
        self.machine.look(self.now_ms())
        self._run()

    def begin_tick(self) -> None:
        """Look first, where this process has slept: others may have gone on without it."""
        if self._is_open and self.now_ms() - self.view.looked_ms > LATE_MS:
            self._hand_in()
            self.machine.beat(self.now_ms())
            self._run()

    def accepted(self, connection: BusConnection) -> Link:
        """Somebody connected to the bus."""
        return Link(None, False, self.now_ms())

    def connected(self, link: Link) -> None:
        """A connection of ours is there."""
        self._hand_in()
        self.machine.connected(link, self.now_ms())
        self._run()

    def lost(self, link: Link, refused: bool) -> None:
        """A connection ended, or could not be had."""
        if self._is_open:
            self._hand_in()
            self.machine.lost(link, refused, self.now_ms())
            self._run()

    def received(self, link: Link, message: Message) -> None:
        """A message came."""
        if self._is_open:
            self._hand_in()
            self.machine.received(link, message, self.now_ms())
            self._run()
            if self.claims:
                self.look_at_claims()

    def warn(self, text: str) -> None:
        """Write a warning to the log."""
        self._node.log.warning(text)

    def _hand_in(self) -> None:
        """Give the decisions what only the node knows."""
        view, node = self.view, self._node
        replication = node.replication
        view.wall_ahead_ms = (node.host.clock.wall_us() - node.host.clock.boot_us()) // 1000
        if replication.is_started:
            view.my_offset = replication.end_offset
            upstream = replication.upstream
            view.primary_link_up = upstream.is_up
            view.is_fenced = replication.is_fenced
            # A copy that was lost does not know what bound it: others of the shard have to tell.
            needed, state = node.configuration["min-replicas-to-ack"], replication.standing.node.state
            has_lost = bool(needed) and not state.intact
            view.is_bound = replication.is_bound() or replication.is_fenced or has_lost
            view.primary_is_empty = bool(upstream.refusal) and not upstream.is_up
            primary = view.me.primary
            follows_it = primary is not None and replication.followed == (primary.host, primary.port)
            if upstream.is_up and follows_it:
                view.has_foreign_copy = False
                view.primary_heard_ms = upstream.heard_at_ms

    # ---- effects ----

    def _run(self, *, at_once: bool = False) -> None:
        """Run what waits, in order; `at_once`: when this returns it has been run."""
        if self._runs:
            return
        self._runs = True
        try:
            if at_once and self._waiting:
                self._overtake()
            while batch := self.view.take_effects():
                if self._waiting:
                    self._waiting.append(batch)
                elif not self._begin_batch(batch, at_once):
                    break  # the file is tried again at the next event
            else:
                if not (self._waiting and self.view.is_ok):
                    self._tell_changes()
        finally:
            self._runs = False

    def _begin_batch(self, batch: list[todo.Effect], at_once: bool) -> bool:
        """Run one event's effects, or have them wait for the disk; return whether they could be stood by."""
        may_send = True
        if isinstance(batch[0], todo.Persist):
            self._is_stale = True
            if batch[0].synced and not at_once:
                self._begin_writing([batch])
                return True
            if batch[0].synced:
                may_send = self._persist(True)
            else:
                self._save_soon()
        self._run_batch(batch, may_send)
        return may_send

    def _run_batch(self, batch: list[todo.Effect], may_send: bool) -> None:
        """Run one event's effects; what must be written is written, or it may not be sent."""
        view, node = self.view, self._node
        if may_send:
            self._follow_view()
            self._tell_changes()
        for effect in batch:
            match effect:
                case todo.Send():
                    if may_send:
                        self.bus.send(effect.link, effect.message)
                case todo.Connect():
                    self._connect(effect.link)
                case todo.Disconnect():
                    self.bus.disconnect(effect.link)
                case todo.Deliver():
                    self._open_tick()
                    publish_message(node.engine, effect.channel, effect.text, effect.is_sharded)
                case todo.TakeOver():
                    if may_send:
                        self._take_over(effect.epoch)
                case todo.ForgetKeys():
                    self._forget_keys(effect.slots)
                case todo.Empty():
                    self._open_tick()
                    self._execute([b"FLUSHALL"])
                case todo.PauseWrites():
                    node.replication.is_quiet = True
                    until_ms = node.host.clock.wall_us() // 1000 + effect.until_ms - self.now_ms()
                    node.client_pauses.begin(PAUSE, until_ms, everything=False)
                case todo.ResumeWrites():
                    node.replication.is_quiet = False
                    self._open_tick()
                    node.client_pauses.end(PAUSE)
                case todo.LookAgain():
                    self._look_after(effect.after_ms)
                case todo.Log():
                    node.log.write(effect.level, effect.text)
                case todo.Persist():
                    pass
        if not may_send:
            view.save(synced=True)

    # ---- nodes.conf ----

    def _begin_writing(self, batches: list[list[todo.Effect]]) -> None:
        """Write the view as it is now; these effects wait for it. A write that nobody waits for gives way."""
        self._cancel_saving()
        if self._writing is not None:
            self._writing.cancel()
        self._waiting, self._covered = batches, len(batches)
        self._writing = self._node.loop.create_task(self._write(text_of(self.view)))

    async def _write(self, text: str) -> None:
        is_newest = is_written = True
        try:
            is_newest = await self._store.write_later(text)
        except OSError as error:
            self._warn_unwritten(error)
            is_written = False
        self._writing = None
        if is_newest and self._is_open:
            self._release(is_written)

    def _release(self, may_send: bool) -> None:
        """Run what has waited for the disk, up to what has to wait for it again."""
        batches, self._waiting = self._waiting, []
        if not may_send and not batches:
            self.view.save()
        self._runs = True
        try:
            for number, batch in enumerate(batches):
                if number >= self._covered and may_send and isinstance(batch[0], todo.Persist):
                    if batch[0].synced:
                        self._begin_writing(batches[number:])
                        break
                    self._save_soon()
                self._run_batch(batch, may_send)
        finally:
            self._runs = False
        if may_send:
            self._run()

    def _overtake(self) -> None:
        """Write what is known now: it includes what is on its way."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        may_send = self._persist(True)
        batches, self._waiting = self._waiting, []
        for batch in batches:
            self._run_batch(batch, may_send)

    def _save_soon(self) -> None:
        """Write the file when nobody waits: nothing hangs on it."""
        if self._save_timer is None:
            self._save_timer = self._node.loop.call_later(SAVE_SOON_S, self._save_idly)

    def _save_idly(self) -> None:
        self._save_timer = None
        if self._waiting:
            self._save_soon()
        else:
            self._begin_writing([])

    def _save_now(self) -> None:
        """Write what changed a while ago, if it was not written since."""
        if self._save_timer is not None and not self._persist(False):
            self.view.save()

    def _cancel_saving(self) -> None:
        if self._save_timer is not None:
            self._save_timer.cancel()
            self._save_timer = None

    def _persist(self, synced: bool) -> bool:
        self._cancel_saving()
        try:
            self._store.write(text_of(self.view), synced)
        except OSError as error:
            self._warn_unwritten(error)
            return False
        return True

    def _warn_unwritten(self, error: OSError) -> None:
        self._node.log.warning(f"The cluster configuration file cannot be written: {error}")

    def _take_over(self, epoch: int) -> None:
        """Fence the shard, and lead it."""
        view = self.view
        shard = [each for each in view.others() if each.group is view.me.group and each.host]
        members = [Member(each.id, each.host, each.port) for each in shard]
        attempt = ShardTakeover(self._node, epoch, view.me.id, members)

        async def run() -> None:
            leads = await attempt.run()
            if self._is_open:
                self._hand_in()
                self.machine.took_over(epoch, leads, self.now_ms())
                self._run()

        self._task = self._node.loop.create_task(run())

    def _connect(self, link: Link) -> None:
        peer, node = link.node, self._node
        if peer is None or peer.link is not link:
            return
        source = node.configuration["bind-source-addr"] or ""
        self.bus.connect(node.loop, link, peer.host, peer.bus_port, self.settings.node_timeout, source)

    def _look_after(self, after_ms: int) -> None:
        loop, at = self._node.loop, self._node.loop.time() + max(after_ms, 1) / 1000
        if self._look_timer is not None:
            if self._look_timer.when() <= at:
                return
            self._look_timer.cancel()
        self._look_timer = loop.call_at(at, self._look)

    def _open_tick(self) -> None:
        if not self._node.engine.tick_open:
            self._node.open_tick()

    def _follow_view(self) -> None:
        """Let replication have the role, and the primary, that the view has."""
        replication, me = self._node.replication, self.view.me
        if not replication.is_started:
            return
        if me.is_primary:
            if replication.is_replica:
                self._open_tick()
                self._turn(lambda: replication.lead_in_cluster(me.config_epoch, me.id))
        elif me.primary is not None and me.primary.host:
            target = (me.primary.host, me.primary.port)
            if not replication.is_replica or replication.followed != target:
                self._open_tick()
                leader = me.primary.id
                self._turn(lambda: replication.follow_in_cluster(*target, leader, self.view.has_foreign_copy))

    def _turn(self, turn: Callable[[], None]) -> None:
        try:
            turn()
        except OrderRefused as refusal:
            self._node.log.warning(f"The role cannot be taken: {refusal}")

    def _tell_changes(self) -> None:
        """Tell those who asked that the view has changed."""
        view = self.view
        told = (view.is_ok, view.me.flags, view.me.primary, view.me.id)
        slots, view.changed_slots = view.changed_slots, 0
        if slots or self._is_stale or told != self._told:
            self._told, self._is_stale = told, False
            if self.changed:
                self._open_tick()
            for each in self.changed:
                each(slots)

    def _forget_keys(self, slots: int) -> None:
        engine = self._node.engine
        for gift in self.gifts:
            slots &= ~gift.kept
        self._open_tick()
        for slot in members(slots):
            delete_keys_in_slot(engine, slot)

    def _execute(self, words: list[bytes]) -> None:
        """Execute a command of the node's own."""
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in words)
        receive(Session(self._node.engine), request)

    # ---- the door: questions ----

    @property
    def me(self) -> Node:
        """This node."""
        return self.view.me

    @property
    def is_ok(self) -> bool:
        """Whether the cluster serves."""
        return self.view.is_ok

    @property
    def failed_for_minority(self) -> bool:
        """Whether it does not, for want of a majority."""
        return not self.view.is_ok and self.view.in_minority

    def nodes(self) -> Sequence[Node]:
        """Return all known nodes."""
        return list(self.view.nodes.values())

    def node(self, node_id: str) -> Node | None:
        """Return a node by its id."""
        return self.view.node(node_id)

    def owner(self, slot: int) -> Node | None:
        """Return the owner of a slot."""
        return self.view.owners[slot]

    def migrating_to(self, slot: int) -> Node | None:
        """Return where a slot of ours is being moved."""
        return self.view.migrating.get(slot)

    def importing_from(self, slot: int) -> Node | None:
        """Return where a slot is being moved from, to us."""
        return self.view.importing.get(slot)

    def primary_of(self, node: ClusterNode) -> Node | None:
        """Return whom a replica follows."""
        return cast(Node, node).primary

    def replicas_of(self, node: ClusterNode) -> Sequence[Node]:
        """Return the replicas of a primary."""
        return list(cast(Node, node).replicas)

    def offset_of(self, node: ClusterNode) -> int:
        """Return its replication offset."""
        return self._node.replication.end_offset if node is self.view.me else node.offset

    def nodes_text(self, only: Iterable[ClusterNode] | None = None) -> str:
        """Return CLUSTER NODES, or the lines of some nodes."""
        self._hand_in()
        chosen = self.view.nodes.values() if only is None else (cast(Node, each) for each in only)
        return "".join(node_line(self.view, each) + "\n" for each in chosen)

    def info(self) -> list[tuple[str, object]]:
        """Return the fields of CLUSTER INFO."""
        view = self.view
        assigned = [each for each in view.nodes.values() if each.slots]
        failed = sum(each.slot_count for each in assigned if each.is_failed)
        suspect = sum(each.slot_count for each in assigned if each.is_suspect and not each.is_failed)
        total = sum(each.slot_count for each in assigned)
        fields: list[tuple[str, object]] = [
            ("cluster_state", "ok" if view.is_ok else "fail"),
            ("cluster_slots_assigned", total),
            ("cluster_slots_ok", total - failed - suspect),
            ("cluster_slots_pfail", suspect),
            ("cluster_slots_fail", failed),
            ("cluster_known_nodes", len(view.nodes)),
            ("cluster_size", view.size),
            ("cluster_current_epoch", view.epoch),
            ("cluster_my_epoch", view.me.group.config_epoch),
        ]
        if self._node.configuration["min-replicas-to-ack"]:
            gaps = ",".join(f"{node_id}={why}" for node_id, why in promise.gaps(view).items())
            fields.append(("cluster_shards_without_ack_promise", gaps))
        for word, counts in (("sent", view.sent), ("received", view.received)):
            fields += [
                (f"cluster_stats_messages_{messages.TYPE_NAMES[kind]}_{word}", counts[kind])
                for kind in sorted(counts)
            ]
            fields.append((f"cluster_stats_messages_{word}", sum(counts.values())))
        fields.append(("total_cluster_links_buffer_limit_exceeded", view.links_over_limit))
        return fields

    def links(self) -> Sequence[ClusterLink]:
        """Return the connections of the bus that belong to a known node."""
        rows = []
        for link in self.bus.connections:
            if link.node is None or not link.is_up:
                continue
            used = self.bus.buffered(link)
            rows.append(
                ClusterLink(
                    "to" if link.outbound else "from",
                    link.node.id,
                    self.view.wall_ms(link.created_ms),
                    "rw" if used else "r",
                    used,
                    used,
                )
            )
        return rows

    def failure_reports(self, node_id: str) -> int:
        """Return how many primaries call a node failing."""
        node = self.view.node(node_id)
        return failure.reports(self.view, node, self.now_ms()) if node is not None else 0

    # ---- the door: orders ----

    def _done(self, *, saved: bool = True) -> None:
        """Carry out what an order asked for, before its reply; not `saved`: others know it too."""
        self.machine.settle(self.now_ms())
        self._run(at_once=saved)
        if saved:
            self._save_now()
        if self.view.must_save:
            raise CommandError("ERR error saving the cluster node config")

    def meet(self, host: str, port: int, bus_port: int) -> bool:
        """Begin a handshake; false where the address is none."""
        began = orders.meet(self.view, host, port, bus_port, self.now_ms())
        self._done()
        return began

    def forget(self, node_id: str) -> None:
        """Remove a node, and keep gossip from bringing it back for a minute."""
        orders.forget(self.view, node_id, self.now_ms())
        self._done()

    def replicate(self, node_id: str) -> None:
        """Become a replica of a primary."""
        orders.replicate(self.view, node_id, self._has_keys())
        self._done()

    def add_slots(self, slots: int) -> None:
        """Take unassigned slots."""
        orders.add_slots(self.view, slots)
        self._done()

    def delete_slots(self, slots: int) -> None:
        """Forget who owns slots."""
        orders.delete_slots(self.view, slots)
        self._done()

    def set_migrating(self, slot: int, node_id: str) -> None:
        """SETSLOT MIGRATING."""
        if any(each.slots >> slot & 1 for each in self.gifts):
            raise CommandError("ERR Some of these slots are on their way already")
        orders.set_migrating(self.view, slot, node_id)
        self._done()

    def set_importing(self, slot: int, node_id: str) -> None:
        """SETSLOT IMPORTING."""
        orders.set_importing(self.view, slot, node_id)
        self._done()

    def set_stable(self, slot: int) -> None:
        """SETSLOT STABLE."""
        orders.set_stable(self.view, slot)
        self._done()

    def set_owner(self, slot: int, node_id: str, session: Session) -> object:
        """SETSLOT NODE; the session is parked while others hear of a claim."""
        view, needed = self.view, self._node.configuration["min-replicas-to-ack"]
        if not needed or node_id != view.me.id or slot not in view.importing:
            self._set_owner(slot, node_id)
            return OK
        if session.flags & DENY_BLOCKING:
            raise CommandError("ERR SETSLOT NODE waits for replicas: not inside a transaction or script")
        source = view.importing[slot]
        self.begin_claim(session, 1 << slot, source, lambda: self._set_owner(slot, node_id))
        return NO_REPLY

    def _set_owner(self, slot: int, node_id: str) -> None:
        orders.set_owner(self.view, slot, node_id, self._keys_in, self.now_ms())
        self._done(saved=node_id == self.view.me.id)  # else the new owner claims it, whatever we forget

    def bump_epoch(self) -> tuple[bool, int]:
        """BUMPEPOCH."""
        was_bumped = table.bump_epoch(self.view)
        self._done()
        return was_bumped, self.view.me.config_epoch

    def set_config_epoch(self, epoch: int) -> None:
        """SET-CONFIG-EPOCH."""
        orders.set_config_epoch(self.view, epoch)
        self._done()

    def save(self) -> None:
        """SAVECONFIG."""
        self.view.save(synced=True)
        self._done()

    def reset(self, hard: bool) -> None:
        """RESET."""
        orders.reset(self.view, hard, self._has_keys())
        self._done()

    def failover(self, manner: str) -> None:
        """FAILOVER."""
        self._hand_in()
        orders.failover(self.view, manner, self.now_ms())
        self._done()

    def give(self, session: Session, node_id: str, slots: int) -> None:
        """GIVE: send slots to another node as a whole; the session is parked until it is done."""
        view, target = self.view, self.view.node(node_id)
        if target is None or target is view.me or not target.is_primary or not target.is_ours:
            raise CommandError("ERR The target must be another primary of Holdfast")
        if not slots or not view.me.is_primary or slots & ~view.me.slots:
            raise CommandError("ERR I'm not the owner of these slots")
        if any(slots >> slot & 1 for slot in (*view.migrating, *view.importing)) or any(
            slots & each.slots for each in self.gifts
        ):
            raise CommandError("ERR Some of these slots are on their way already")
        if target.is_failed or not view.is_ok:
            raise CommandError("IOERR not given: the target is held for dead, or the cluster is down")
        gift = Gift(self, session, target, slots)
        gift.begin()
        self.gifts.add(gift)

    def take(self, session: Session, step: str, token: bytes, words: Sequence[bytes]) -> object:
        """TAKE: a step of what another node gives."""
        return self._taker.take(session, step, token, words)

    def taken(self, token: bytes, source_id: str, slots: int) -> Status:
        """TAKEN: whether slots were claimed; if not, they will not be."""
        return self._taker.taken(token, source_id, slots)

    def publish(self, channel: bytes, message: bytes, is_sharded: bool) -> None:
        """Spread a message over the bus."""
        orders.publish(self.view, channel, message, is_sharded)
        self._run()

    # ---- for slots that are claimed, and those that travel as a whole ----

    def begin_claim(
        self, session: Session, slots: int, source: Node | None, claim: Callable[[], None]
    ) -> None:
        """Claim slots step by step (`SlotClaim`); the session is parked. Raises CommandError."""
        configuration = self._node.configuration
        begun = SlotClaim(
            *(self, session, slots, source), needed=configuration["min-replicas-to-ack"], claim=claim
        )
        begun.begin(self._node.loop, configuration["min-replicas-to-ack-timeout"] / 1000)
        self._run()

    def look_at_claims(self) -> None:
        """See how far claims have come."""
        for claim in list(self.claims) if self._is_open else ():
            claim.look()
        self._run()

    def run_later(self) -> None:
        """Have effects run that came about outside of an event."""
        self._node.loop.call_soon(self._run)

    @property
    def engine(self) -> Engine:
        """The node's engine."""
        return self._node.engine

    @property
    def is_fenced(self) -> bool:
        """Whether this node must not claim or serve anything."""
        return self._node.replication.is_fenced

    def open_tick(self) -> None:
        """Begin a tick, if none has begun."""
        self._open_tick()

    def start_task(self, work: Coroutine[object, object, None]) -> None:
        """Do something beside; it ends with the node."""
        task = self._node.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def carry_out(self) -> None:
        """Carry out what was changed in the view. Raises CommandError: the file cannot be written."""
        if self._is_open:
            self._done()

    def settle(self) -> None:
        """Carry out what was changed in the view; if the file cannot be written, it is tried again."""
        if self._is_open:
            self.machine.settle(self.now_ms())
            self._run(at_once=True)
            self._save_now()

    def credentials(self) -> tuple[str, str]:
        """Return user and password for other nodes, as replication has them."""
        configuration = self._node.configuration
        return configuration["masteruser"] or "", configuration["masterauth"] or ""

    def replicas_online(self) -> int:
        """Return how many replicas follow this node's stream."""
        return sum(each.stage is Stage.ONLINE for each in self._node.replication.stream.replicas)

    def gave(self, slots: int, target: Node) -> None:
        """Another node has claimed slots of ours: delete their keys, and send clients there."""
        self.open_tick()
        for slot in members(slots & self.view.me.slots):
            delete_keys_in_slot(self.engine, slot)
        orders.give_slots(self.view, slots, target)
        self.settle()

    def gift_ended(self, gift: Gift) -> None:
        """A gift is over: what another node has by now is deleted here."""
        self.gifts.discard(gift)
        lost = gift.slots & ~self.view.me.slots
        if lost and self.view.me.is_primary:
            self._forget_keys(lost & ~of_slots(self.view.importing))

    def _has_keys(self) -> bool:
        return bool(self._node.engine.key_count(0))

    def _keys_in(self, slot: int) -> int:
        return count_keys_in_slot(self._node.engine, slot)


def _bound(word: str) -> str:
    address = word.removeprefix("-")
    return ANY.get(address, address)
