"""Replication of one node, wired into one object: `node.replication`.

What this is: the meeting point of the parts: the stream, the replicas served, the primary
followed, the gate, the standing, WAIT and FAILOVER. It knows the role and changes it;
everything else it hands on.

What this is not: decisions or bytes; each part has its own.

How to read it: the life (`start`, `stop`), the tick, the roles (`follow_by_hand`,
`lead_by_hand`, orders), then what the parts ask of each other.

Its part of each tick is `tick`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from holdfast.engine import blocking
from holdfast.engine.events import publish_message
from holdfast.engine.state import Session
from holdfast.engine.values import CommandError
from holdfast.replication import fence
from holdfast.replication.attachments import Stage
from holdfast.replication.client_commands import ClientCommands
from holdfast.replication.empty_primary import Cause
from holdfast.replication.fence import Standing
from holdfast.replication.hand_over import HandOver
from holdfast.replication.history import History, history_after_start
from holdfast.replication.in_cluster import InCluster
from holdfast.replication.information import info_fields
from holdfast.replication.lease_keeper import LeaseKeeper
from holdfast.replication.left_overs import delete_left_overs
from holdfast.replication.orders import AttachRequest
from holdfast.replication.overseer import Target
from holdfast.replication.place_in_stream import PlaceInStream
from holdfast.replication.ports import Node, SnapshotSink, SnapshotSource, now_ms
from holdfast.replication.remote_replica import RemoteReplica
from holdfast.replication.reply_gate import GUARD_FENCED, READ_PROMISES, ReplyGate
from holdfast.replication.serving import Serving
from holdfast.replication.set_record import RDB_FIELD, Position, SetRecord, SetRecordError, decode_set_record
from holdfast.replication.standing import NodeStanding, OrderRefused
from holdfast.replication.stream import Stream
from holdfast.replication.sync_line import SyncLine
from holdfast.replication.tick import ReplicationTick
from holdfast.replication.upstream import GUARD_REPLICA, Upstream
from holdfast.replication.waiting import Waiting
from holdfast.server.config.configuration import Refused
from holdfast.server.pauses import FAILOVER, FOR_EVER_MS

ROLE_CHANGED = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
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
        self.stream = Stream(node, self._new_id)
        self.standing = NodeStanding(node, self)
        self.gate = ReplyGate(node, self.stream, self.record_seen)
        self.gate.changed = self.refresh_guards
        self.place = PlaceInStream(self)
        self.line = SyncLine(node, self.stream, source, self.place.snapshot_fields, self.went_online)
        self.serving = Serving(node, self.stream, self.line, self)
        self.upstream = Upstream(node, self.stream, sink, self)
        self.waiting = Waiting(node, self.stream)
        self.lease = LeaseKeeper(node, self.stream, self)
        self.tick = ReplicationTick(node, self.stream, self.gate, self.upstream, self.waiting)
        self.hand_over = HandOver(
            node, self.stream, self._pause_writes, self._follow_target, self._lead_again
        )
        self.commands = ClientCommands(self)
        self.in_cluster = InCluster(self)
        self.followed: tuple[str, int] = ("", 0)
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

    def _new_id(self) -> str:
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
        history = history_after_start(loaded, self._new_id(), is_replica)
        if is_replica:
            node.log.role = "S"
            self.stream.begin_forwarding()
        self.stream.adopt(history)
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
            self.followed = (target[0], target[1])
            self.upstream.follow(Target(*self.followed), Cause.RECONNECT, resumes)
        elif standing is Standing.REPLICA:
            self._become_forwarding()
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
            self.gate.configure(self.standing.node_id, self._epoch, self.standing.record)
        self.standing_changed()

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

    @property
    def _epoch(self) -> int:
        return self.standing.node.state.term_epoch

    def refresh_guards(self) -> None:
        """Let the engine refuse what `fence_refusal` says."""
        engine = self.node.engine
        if self.fence_refusal() is not None:
            engine.guard |= GUARD_FENCED
        else:
            engine.guard &= ~GUARD_FENCED
        if self.standing.write_refusal is not None:
            # What `ack-reads` promises nobody can prove here any more: such reads are refused, too.
            engine.gate_reads = READ_PROMISES[self.node.configuration["ack-reads"]]

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

    def fence_refusal(self) -> bytes | None:
        """Why a write may not run on this node, None if it may."""
        # First of all the standing: a restarted primary whose configuration says `replicaof` is a candidate.
        refusal = self.standing.write_refusal
        if refusal is not None or self.is_replica:
            return refusal
        return self.lease.refusal or self.gate.refusal

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

    # ---- the tick ----

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

    # ---- roles ----

    def by_hand(self, is_primary: bool) -> None:
        """Note that an operator changes the role. Raises `CommandError` where the standing forbids it."""
        try:
            self.standing.by_hand(is_primary)
        except OrderRefused as refusal:
            raise CommandError(str(refusal)) from None

    def standing_changed(self) -> None:
        """Follow a new standing in what writes are refused for, and in the lease."""
        self.refresh_guards()  # first of all: what the lease's end lets go on must meet the fence
        self.lease.refresh()

    def follow_again(self) -> None:
        """Go on as a replica where an order failed half-way, as the state file could not be written."""
        is_idle = self.upstream.target is None and bool(self.followed[0])
        if is_idle and self.standing.node.standing is Standing.REPLICA:
            self.upstream.follow(Target(*self.followed), Cause.RECONNECT, True)
        self.refresh_guards()

    @property
    def key_count(self) -> int:
        """Keys in all databases."""
        return sum(self.node.engine.key_count(each) for each in range(self.node.engine.database_count))

    def follow_by_hand(self, host: str, port: int) -> None:
        """Become a replica of this primary; its history may be another one."""
        self.followed = (host, port)
        self.node.configuration.assign("replicaof", (host, port))
        self.upstream.unfollow()
        self.standing.is_known = False
        self._become_forwarding()
        self.serving.close_all()
        self.upstream.follow(Target(host, port), Cause.ORDERED_BY_HAND, True)

    def lead_by_hand(self) -> None:
        """Become a primary, as an operator asks: outside of the promises."""
        self._lead(self._epoch)

    def _lead(self, epoch: int) -> None:
        self.node.configuration.assign("replicaof", None)
        self.upstream.unfollow()
        self.node.engine.guard &= ~GUARD_REPLICA
        self.node.clients.keep()
        self.node.log.role = "M"
        self.standing.is_known = True
        self.stream.begin_making()
        self.serving.close_all()
        record = self.standing.record
        if self.gate.wanted:
            self.standing.keep()
        self.gate.close()
        self.gate.open(self.standing.node_id, epoch, record, takes_over=True)
        self.lease.refresh()
        self.refresh_guards()

    def _become_forwarding(self) -> None:
        self._end_promises()
        self.node.log.role = "S"
        self.node.engine.guard |= GUARD_REPLICA
        self.node.engine.link_up = False
        self.stream.begin_forwarding()
        self.stream.keep_from_here()
        self.waiting.end_all(ROLE_CHANGED)
        blocking.refuse_parked(self.node.engine)
        self.standing_changed()

    def _follow_target(self, host: str, port: int) -> None:
        self.followed = (host, port)
        self.node.configuration.assign("replicaof", (host, port))
        self.standing.by_hand(False)
        self._become_forwarding()
        self.upstream.follow(Target(host, port), Cause.ORDERED_BY_HAND, True, is_failover=True)

    def _pause_writes(self, paused: bool) -> None:
        if paused:
            self.node.client_pauses.begin(FAILOVER, FOR_EVER_MS, everything=False)
        else:
            self.node.client_pauses.end(FAILOVER)

    def _lead_again(self) -> None:
        self.standing.by_hand(True)
        self.lead_by_hand()

    # ---- Side of the lease ----

    @property
    def epoch(self) -> int:
        """The epoch that this node leads or follows in."""
        return self._epoch

    @property
    def node_id(self) -> str:
        """The node's durable name."""
        return self.standing.node_id

    @property
    def leads(self) -> bool:
        """Whether this node is a primary that may take writes."""
        return not self.is_replica and self.standing.node.standing is Standing.PRIMARY

    @property
    def writes_prove_themselves(self) -> bool:
        """Whether acknowledgements of members stand behind every write."""
        return self.gate.proves_writes

    def lease_changed(self) -> None:
        """Follow the lease: writes are refused, or go on."""
        self.refresh_guards()

    def under_lease(self, is_so: bool) -> None:
        """Remember that a restart must be confirmed by a leader, or need not be any more."""
        self.standing.under_lease(is_so)

    # ---- Hands of the standing ----

    def stop_acknowledging(self) -> None:
        """Close the gate; send no acknowledgement any more."""
        self.node.deliver_effects()
        self._end_promises()

    def _end_promises(self) -> None:
        """Acknowledge nothing any more, neither by members nor by the lease.

        What members have proved in this tick is not asked for a lease, so the gate goes last; where they
        prove nothing it goes first, for what is without a lease waits under marks that would be the gate's.
        """
        if self.gate.proves_writes:
            self.lease.drop()
            self.gate.close()
        else:
            self.gate.close()
            self.lease.drop()

    def stop_writes(self) -> None:
        """Refuse writes from now on."""
        self.refresh_guards()

    def drop_upstream(self) -> None:
        """End the link to the primary."""
        self.upstream.unfollow()

    def close_replica_links(self) -> None:
        """End the links of all attached replicas, when they have been sent all that there is.

        One of them is to lead, and would have to fetch what it lacks. The own log gets it with the end of
        the tick: whoever is fenced leads no more before a leader has asked anew where it stands.
        """
        if self.stream.has_unsent:
            self.stream.send()
        self.serving.finish_all()

    def become_primary(self, epoch: int) -> None:
        """Lead in this epoch."""
        if not self.is_replica:  # an old primary that leads again: its history goes on under a new id
            self.stream.begin_forwarding()
        self._lead(epoch)
        self.node.log.notice(f"MASTER MODE enabled by order, epoch {epoch}")

    def follow_order(self, order: fence.Follow) -> None:
        """Attach to a node as its replica."""
        self.followed = (order.host, order.port)
        self.node.configuration.assign("replicaof", (order.host, order.port))
        if not self.is_replica:
            self.node.clients.send_away()
        self._become_forwarding()
        self.upstream.follow(Target(order.host, order.port), Cause.ORDERED_WITH_EPOCH, True)

    def fetch_tail(self, order: fence.FetchTail) -> None:
        """Copy the tail of a fenced node."""
        self.followed = (order.host, order.port)
        self._become_forwarding()
        self.upstream.follow(Target(order.host, order.port, order.position), Cause.ORDERED_WITH_EPOCH, True)

    def stream_offset(self) -> int:
        """Return where the copy's stream ends."""
        return self.stream.offset

    def heard_primary_ms_ago(self) -> int | None:
        """Return when the primary was last heard."""
        heard = self.upstream.applier.heard_at_ms
        return None if heard is None else now_ms(self.node) - heard

    # ---- Overseer of the upstream ----

    def attach_request(self) -> AttachRequest:
        """Say who this node is."""
        state = self.standing.node.state
        return AttachRequest(
            state.node_id, state.fence_epoch, self.standing.position, self.stream.replication_id
        )

    def may_attach(self, epoch: int, position: Position, leads: bool) -> str | None:
        """Return why this primary may not be followed, None if it may."""
        own = self.standing.position
        if self.standing.is_managed and self.standing.is_known and self.is_bound() and position < own:
            # A sibling that lags: what this member has acknowledged must not be taken from it.
            return (
                f"it stands at epoch {position.epoch}, offset {position.offset}, "
                f"this member of a set at epoch {own.epoch}, offset {own.offset}"
            )
        try:
            self.standing.attached(epoch, position if leads else None)
        except OrderRefused as refusal:
            return str(refusal)
        return None

    def own_position(self) -> Position:
        """Return the position of the present copy."""
        return self.standing.position

    def is_bound(self) -> bool:
        """Tell whether a member set that needs acknowledgements binds this copy."""
        record = self.standing.record
        return record is not None and record.is_binding

    def may_acknowledge(self) -> bool:
        """Tell whether acknowledgements may leave."""
        return self.standing.node.may_acknowledge

    def record_seen(self, record: SetRecord | None) -> None:
        """Note the newest set record of the copy."""
        self.standing.record = record
        self.record_changed()
        if record is not None and record.is_binding:
            self.standing.keep()

    def copy_known(self, is_known: bool) -> None:
        """Note whether the copy is whole."""
        self.standing.is_known = is_known
        self.place.is_void = not is_known
        if is_known:
            self.copy_replaced()

    def copy_lost(self) -> None:
        """Note that the old copy is gone and the new one did not come: this node holds nothing.

        That is known, so nobody waits for what it might hold; and no stream goes on from there. The
        files have the old copy still, and are left alone.
        """
        self.standing.record = None
        self.standing.holds_nothing()
        self.stream.adopt(History(self._new_id()))

    def applied(self) -> bool:
        """Note that the copy reaches further; tell whether it is awaited still somewhere."""
        self.standing.applied()
        target = self.upstream.target
        until = target.until if target is not None else None
        if until is not None and self.standing.position >= until:
            self.upstream.unfollow()
            return False
        return until is not None or self.standing.node.catching_up_to is not None

    def fsynced_offset(self) -> int | None:
        """Return up to where the own AOF is on stable storage, None without AOF."""
        return self.place.fsynced_offset()

    def upstream_changed(self, is_up: bool) -> None:
        """Note that the link went up or down."""
        if is_up:
            self.standing.is_known = True
        else:
            self.standing.upstream_lost()

    def failover_answer(self, accepted: bool, reason: str) -> None:
        """Note what the target of a hand-over says."""
        self.hand_over.answer(accepted, reason)

    # ---- Primary of the replicas served ----

    def acknowledged(self, replica: RemoteReplica) -> None:
        """Note that a replica has acknowledged."""
        self.gate.acknowledged(replica)
        self.lease.acknowledged(replica)
        if self.waiting.waiters:
            self.waiting.look()
        if self.hand_over.is_under_way:
            self.hand_over.look()

    def went_away(self, replica: RemoteReplica) -> None:
        """Note that a replica has gone."""
        self.gate.went_away(replica)
        self.serving.count_good()

    def went_online(self, replica: RemoteReplica) -> None:
        """Note that a replica gets the stream from now on."""
        self.gate.went_online(replica)
        self.serving.count_good()

    def primary_asks(self, words: bytes) -> None:
        """Acknowledge soon: the primary asks, perhaps for a grant."""
        self.lease.asked_by_primary(words)
        self.upstream.acknowledge_soon()

    def sync_refusal(self) -> str | None:
        """Return why nobody may sync with this node now."""
        if self.hand_over.is_under_way:
            return "NOMASTERLINK Can't SYNC while failing over"
        if self.is_replica and not self.upstream.is_up and self.standing.node.standing is Standing.REPLICA:
            return "NOMASTERLINK Can't SYNC while not connected with my master"
        return None

    def lead_by_failover(self, replication_id: str) -> None:
        """Lead, as the former primary asks by PSYNC ... FAILOVER."""
        self.node.log.notice(f"Failover request received for replid {replication_id}.")
        if not self.is_replica:
            raise CommandError("ERR PSYNC FAILOVER can't be sent to a master.")
        if self.standing.is_managed:
            raise CommandError("FENCED PSYNC FAILOVER refused: this node has a manager")
        if replication_id.lower() != self.stream.history.replication_id.lower():
            raise CommandError("ERR PSYNC FAILOVER replid must match my replid.")
        self.by_hand(True)
        self.lead_by_hand()
