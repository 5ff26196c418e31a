"""Replication of one node, wired into one object: `node.replication`.

What this is: the meeting point of the parts: the stream, the replicas served, the primary
followed, the gate, the standing, WAIT and FAILOVER.

What this is not: decisions or bytes; each part has its own. What a part asks of the others goes
through whoever stands between: `roles` for the standing, `oversight` for the upstream,
`replica_events` for the replicas served, `write_guards` for the lease.

How to read it: the parts, the life (`start`, `quiet`), what the node asks, what the clock does. Its
part of each tick is `tick`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from holdfast.engine.events import publish_message
from holdfast.engine.state import Session
from holdfast.replication.attachments import Stage
from holdfast.replication.client_commands import ClientCommands
from holdfast.replication.empty_primary import Cause
from holdfast.replication.fence import Standing
from holdfast.replication.hand_over import HandOver
from holdfast.replication.history import FORMER_FIELD, history_after_start
from holdfast.replication.in_cluster import InCluster
from holdfast.replication.information import info_fields
from holdfast.replication.lease_keeper import LeaseKeeper
from holdfast.replication.left_overs import delete_left_overs
from holdfast.replication.overseer import Target
from holdfast.replication.oversight import Oversight
from holdfast.replication.place_in_stream import PlaceInStream
from holdfast.replication.ports import Node, SnapshotSink, SnapshotSource
from holdfast.replication.replica_events import ReplicaEvents
from holdfast.replication.reply_gate import ReplyGate
from holdfast.replication.roles import Roles
from holdfast.replication.serving import Serving
from holdfast.replication.set_record import RDB_FIELD, SetRecordError, decode_set_record
from holdfast.replication.standing import NodeStanding, OrderRefused
from holdfast.replication.stream import Stream
from holdfast.replication.sync_line import SyncLine
from holdfast.replication.tick import ReplicationTick
from holdfast.replication.upstream import Upstream
from holdfast.replication.waiting import Waiting
from holdfast.replication.write_guards import WriteGuards
from holdfast.server.config.configuration import Refused

HELLO, ASK_ME = b"__sentinel__:hello", b"holdfast: ask me"
SETTINGS = (
    "min-replicas-max-lag",
    "min-replicas-to-ack",
    "min-replicas-to-ack-timeout",
    "min-replicas-to-ack-strict",
    "ack-member-timeout",
    "ack-reads",
    "repl-backlog-size",
    "primary-lease-ms",
    "lease-hold-ms",
)
DURABILITY = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite")


class Replicator:
    """Replication of one node."""

    def __init__(self, node: Node, source: SnapshotSource, sink: SnapshotSink) -> None:
        self.node = node
        self.roles = Roles(self)
        self.guards = WriteGuards(self)
        self.oversight = Oversight(self)
        events = ReplicaEvents(self)
        self.stream = Stream(node, self.new_id)
        self.standing = NodeStanding(node, self.roles)
        self.gate = ReplyGate(node, self.stream, self.oversight.record_seen)
        self.gate.changed = self.guards.refresh
        self.place = PlaceInStream(self)
        self.line = SyncLine(node, self.stream, source, self.place.snapshot_fields, events.went_online)
        self.serving = Serving(node, self.stream, self.line, events)
        self.upstream = Upstream(node, self.stream, sink, self.oversight)
        self.waiting = Waiting(node, self.stream)
        self.lease = LeaseKeeper(node, self.stream, self.guards)
        self.tick = ReplicationTick(node, self.stream, self.gate, self.upstream, self.waiting)
        self.hand_over = HandOver(
            node, self.stream, self.roles.pause_writes, self.roles.follow_target, self.roles.lead_again
        )
        self.commands = ClientCommands(self)
        self.in_cluster = InCluster(self)
        self.is_quiet = False
        """A manual failover of the cluster is under way: nothing is added to the stream by the clock."""
        self._is_started = False
        self.position_is_known = True
        """Whether the files told where in the stream the copy stands."""
        self.record_changed: Callable[[], None] = lambda: None
        """Sees that the log tells of the new set record (set by the node)."""
        self.copy_replaced: Callable[[], None] = lambda: None
        """Sees that the log begins anew with another copy, whose place in the stream is known now."""
        node.configuration.on_change(DURABILITY, lambda _: self._note_durability())
        node.configuration.on_change(SETTINGS, lambda _: self._configure())

    def new_id(self) -> str:
        """Draw a replication id."""
        return f"{self.node.host.random.getrandbits(160):040x}"

    # ---- life ----

    def read_state(self) -> None:
        """Read who this node is and whom it obeyed, before the sockets listen. Raises `StateFileError`."""
        self.standing.read()

    def start(self, loaded_fields: Mapping[bytes, bytes]) -> None:
        """Begin, when the files are loaded and the sockets listen; `loaded_fields` tell where they stand.

        Raises `StateFileError`.
        """
        delete_left_overs(self.node)
        loaded = {name.decode("latin-1"): text.decode("latin-1") for name, text in loaded_fields.items()}
        node, target = self.node, self.node.configuration["replicaof"]
        is_replica = target is not None
        history = history_after_start(loaded, self.new_id(), is_replica)
        if is_replica:
            node.log.role = "S"
            self.stream.begin_forwarding()
        self.stream.adopt(history)
        self.stream.recall(loaded.get(FORMER_FIELD, ""))
        resumes = bool(loaded.get("repl-id"))
        self.position_is_known = resumes or not node.configuration["appendonly"]
        if resumes:
            self.stream.keep_from_here()
        self.upstream.applier.database = history.stream_database
        try:
            self.standing.record = decode_set_record(loaded.get(RDB_FIELD, "").encode())
        except SetRecordError as error:
            node.log.warning(str(error))
        self.standing.start(is_replica, self.syncs_first, self.position_is_known)
        self._is_started = True
        standing = self.standing.node.standing
        if standing is Standing.REPLICA and target is not None:
            self.roles.followed = (target[0], target[1])
            self.upstream.follow(Target(*self.roles.followed), Cause.RECONNECT, resumes)
        elif standing is Standing.REPLICA:
            self.roles.become_forwarding()
        elif standing is not Standing.PRIMARY:
            node.log.warning("This node is fenced, or was a primary under a manager: it waits for a leader")
        self._configure()
        node.cron.every(1, self.every_beat)
        node.cron.every_second(self.every_second)

    def quiet(self) -> None:
        """End all links: from now on the copy stands where it is."""
        self.gate.close()
        self.lease.stop()
        self.upstream.stop()
        self.line.stop()

    def stopped(self) -> None:
        """Note the clean end: the copy is saved, on stable storage."""
        if self._is_started:
            self.standing.stop()

    def _configure(self) -> None:
        if not self._is_started:
            return
        configuration = self.node.configuration
        if self.stream.backlog is not None:
            self.stream.backlog.resize(configuration["repl-backlog-size"])
        self.serving.count_good()
        if self.standing.node.standing is Standing.PRIMARY and not self.is_replica:
            if configuration["min-replicas-to-ack"]:
                self.standing.keep()
            self.gate.configure(self.standing.node_id, self.guards.epoch, self.standing.record)
        self.guards.standing_changed()

    @property
    def syncs_first(self) -> bool:
        """Whether each write is on stable storage before it is acknowledged."""
        setting = self.node.configuration
        is_always = setting["appendonly"] and setting["appendfsync"] == "always"
        return is_always and not setting["no-appendfsync-on-rewrite"]

    def _note_durability(self) -> None:
        if self._is_started and not self.syncs_first:
            try:
                self.standing.acknowledges_sooner()
            except OrderRefused as refusal:
                raise Refused(str(refusal)) from refusal

    # ---- what the node asks ----

    @property
    def is_started(self) -> bool:
        """Whether the files are loaded and the standing is known."""
        return self._is_started

    @property
    def is_replica(self) -> bool:
        """Whether this node is a replica."""
        return self.stream.is_forwarding

    @property
    def end_offset(self) -> int:
        """Where the stream ends, with what this tick has made so far."""
        return self.stream.offset if self.is_replica else int(self.node.engine.stream_end)

    @property
    def leads(self) -> bool:
        """Whether this node is a primary that may take writes."""
        return not self.is_replica and self.standing.node.standing is Standing.PRIMARY

    @property
    def followed(self) -> tuple[str, int]:
        """Address of the primary that this node follows, or followed last."""
        return self.roles.followed

    @property
    def key_count(self) -> int:
        """Keys in all databases."""
        return sum(self.node.engine.key_count(each) for each in range(self.node.engine.database_count))

    def replicas_lag(self) -> bool:
        """Whether an attached replica still lacks something (a shutdown waits for it)."""
        self.node.deliver_effects()
        end = self.stream.offset
        lagging = [
            each
            for each in self.stream.replicas
            if each.reader is not None and each.attachment.acknowledged_offset < end
        ]
        if lagging and not self.is_replica:
            self.waiting.wants_acknowledgement = any(each.unsent_bytes == 0 for each in lagging)
        return bool(lagging)

    def info(self) -> Iterable[tuple[str, object]]:
        """Return the fields of INFO's section "replication"."""
        return info_fields(self).items()

    def connection_closed(self, session: Session) -> None:
        """Forget a connection."""
        self.serving.closed(session)
        self.lease.session_closed(session)

    def change_replication_id(self) -> None:
        """Begin a history that nobody can continue (DEBUG CHANGE-REPL-ID)."""
        self.stream.change_id()

    def output_bytes(self) -> int:
        """Return what waits for replicas: in transports, and of the stream."""
        return sum(each.unsent_bytes for each in self.stream.replicas)

    # ---- before a sync, and by the clock ----

    def feed_before_sync(self) -> None:
        """Let members write and sync while the own log is synced: an OK waits for both disks.

        Only where a restart waits for a leader: after a power loss replicas may be ahead of this node, and
        by themselves they would refuse to follow it (docs/decisions/the-stream-leaves-before-the-sync.md).
        """
        if self.gate.gate is not None and self.stream.has_unsent and self.standing.waits_for_leader:
            self.stream.send()

    def every_beat(self) -> None:
        """Let time pass; a job of the cron."""
        self.gate.tick()
        self.hand_over.look()
        self.serving.every_beat()
        self.line.look()
        self.lease.every_beat()

    def every_second(self) -> None:
        """Let time pass; a job of the cron."""
        self.upstream.every_second()
        may_ping = not self.hand_over.is_under_way and not self.is_quiet
        self.serving.every_second(self.upstream.is_up, may_ping)

    # ---- handing over before the end ----

    def leave(self) -> bool:
        """Ask the Sentinels to let another lead, as this node is to end; False: no need, or nobody there."""
        online = any(each.stage is Stage.ONLINE and each.attachment.node_id for each in self.stream.replicas)
        if not (self.leads and self.lease.has_managers and online):
            return False
        self.lease.is_leaving = True
        publish_message(self.node.engine, HELLO, ASK_ME)
        return True

    def has_left(self) -> bool:
        """Tell whether another leads and this node follows it."""
        return self.standing.node.standing is Standing.REPLICA and self.upstream.is_up

    def stay(self) -> None:
        """Lead on: the node does not end after all."""
        self.lease.is_leaving = False
