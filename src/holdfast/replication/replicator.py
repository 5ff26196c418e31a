"""Replication of one node, wired into one object: `node.replication`.

What this is: the meeting point of the parts: the stream, the replicas served, the primary
followed, the gate, the standing, WAIT and FAILOVER. It knows the role and changes it;
everything else it hands on.

What this is not: decisions or bytes; each part has its own.

How to read it: the life (`start`, `stop`), the tick, the roles (`follow_by_hand`,
`lead_by_hand`, orders), then what the parts ask of each other.

In a tick: `before_effects` may add to the stream, then the effects are handed out, then
`after_effects` settles what is held and acknowledges; replies leave last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from holdfast.engine import blocking, effects
from holdfast.engine.state import Session
from holdfast.engine.values import OK, CommandError, Status
from holdfast.replication import fence
from holdfast.replication.empty_primary import Cause
from holdfast.replication.fence import Standing
from holdfast.replication.hand_over import HandOver
from holdfast.replication.history import history_after_start
from holdfast.replication.information import info_fields, role
from holdfast.replication.lease import GrantError, Lease, parse_grant
from holdfast.replication.orders import AttachAnswer, AttachRequest, OrderError, parse_order, report_fields
from holdfast.replication.ports import Node, SnapshotSink, SnapshotSource, now_ms
from holdfast.replication.remote_replica import RemoteReplica
from holdfast.replication.reply_gate import GUARD_FENCED, READ_PROMISES, ReplyGate
from holdfast.replication.serving import Serving
from holdfast.replication.set_record import RDB_FIELD, Position, SetRecord, SetRecordError, decode_set_record
from holdfast.replication.standing import NodeStanding, OrderRefused
from holdfast.replication.stream import Stream
from holdfast.replication.sync_line import SyncLine
from holdfast.replication.upstream import GUARD_REPLICA, Target, Upstream
from holdfast.replication.waiting import Waiting
from holdfast.server.pauses import FAILOVER, FOR_EVER_MS

ROLE_CHANGED = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
NO_LEASE = b"NOLEASE too few Sentinels let this primary take writes; the command was not executed"
SETTINGS = (
    "min-replicas-max-lag",
    "min-replicas-to-ack",
    "min-replicas-to-ack-timeout",
    "min-replicas-to-ack-strict",
    "ack-member-timeout",
    "ack-reads",
    "repl-backlog-size",
)


class Replicator:
    """Replication of one node."""

    def __init__(self, node: Node, source: SnapshotSource, sink: SnapshotSink) -> None:
        self.node = node
        self.stream = Stream(node, self._new_id)
        self.standing = NodeStanding(node, self)
        self.gate = ReplyGate(node, self.stream, self.record_seen)
        self.gate.changed = self._refresh_guards
        self.line = SyncLine(node, self.stream, source, self.snapshot_fields, self.went_online)
        self.serving = Serving(node, self.stream, self.line, self)
        self.upstream = Upstream(node, self.stream, sink, self)
        self.waiting = Waiting(node, self.stream)
        self.lease = Lease(node.run_id)
        self._had_lease = True
        self.hand_over = HandOver(
            node, self.stream, self._pause_writes, self._follow_target, self._lead_again
        )
        self.followed: tuple[str, int] = ("", 0)
        self.is_quiet = False
        """A manual failover of the cluster is under way: nothing is added to the stream by the clock."""
        self._is_started = False
        self._fsynced_stream_offset = 0
        self._came_from_log = False
        node.configuration.on_change(SETTINGS, lambda _: self._configure())

    def _new_id(self) -> str:
        return f"{self.node.host.random.getrandbits(160):040x}"

    # ---- life ----

    def start(self, loaded_fields: Mapping[bytes, bytes]) -> None:
        """Begin, when the files are loaded and the sockets listen; `loaded_fields`: of the RDB.

        Raises `StateFileError`.
        """
        self._came_from_log = bool(self.node.configuration["appendonly"])
        if self._came_from_log:
            # The append-only file goes further than the fields of its base, by an unknown number of bytes.
            loaded_fields = {}
        loaded = {name.decode("latin-1"): text.decode("latin-1") for name, text in loaded_fields.items()}
        node, target = self.node, self.node.configuration["replicaof"]
        is_replica = target is not None
        history = history_after_start(loaded, self._new_id(), is_replica)
        if is_replica:
            node.log.role = "S"
            self.stream.begin_forwarding()
        self.stream.adopt(history)
        resumes = bool(loaded.get("repl-id"))
        if resumes:
            self.stream.keep_from_here()
        self.upstream.database = history.stream_database
        try:
            self.standing.record = decode_set_record(loaded.get(RDB_FIELD, "").encode())
        except SetRecordError as error:
            node.log.warning(str(error))
        # Not even with appendfsync always is a restarted copy intact: its log does not tell its position.
        self.standing.start(is_replica, acknowledges_after_fsync=False)
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

    def stop(self) -> None:
        """End cleanly; the copy has been saved."""
        self.gate.close()
        self.upstream.stop()
        self.line.stop()
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
        self._refresh_guards()

    @property
    def _epoch(self) -> int:
        return self.standing.node.state.term_epoch

    def _refresh_guards(self) -> None:
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
        return self._lease_refusal() or self.gate.refusal

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

    def snapshot_fields(self) -> Mapping[str, str]:
        """Return the auxiliary fields of a snapshot taken at this instant; cuts the stream here."""
        self.node.deliver_effects()
        fields = {"repl-stream-db": "0"}
        if self.is_replica:
            fields = self.stream.history.to_rdb_fields() | {"repl-stream-db": str(self.upstream.database)}
        elif self.stream.backlog is not None:
            effects.forget_database(self.node.engine)
            fields = self.stream.history.to_rdb_fields() | fields
        if self.standing.record is not None:
            fields[RDB_FIELD] = self.standing.record.encode().decode()
        return fields

    def aux_fields(self) -> list[tuple[bytes, bytes]]:
        """Return the same as bytes, for the keeper of files."""
        return [(name.encode(), text.encode()) for name, text in self.snapshot_fields().items()]

    def info(self) -> Iterable[tuple[str, object]]:
        """Return the fields of INFO's section "replication"."""
        return info_fields(self).items()

    def connection_closed(self, session: Session) -> None:
        """Forget a connection."""
        self.serving.closed(session)

    def change_replication_id(self) -> None:
        """Begin a history that nobody can continue (DEBUG CHANGE-REPL-ID)."""
        self.stream.change_id()

    def output_bytes(self) -> int:
        """Return what waits for replicas: in transports, and of the stream."""
        return sum(each.unsent_bytes for each in self.stream.replicas)

    # ---- the tick ----

    def before_effects(self) -> None:
        """Add to the stream what asks for acknowledgements."""
        if not self.stream.is_forwarding:
            self.waiting.before_effects()
            self.gate.before_effects()

    def after_effects(self) -> None:
        """Settle what is held, and acknowledge."""
        self.gate.end_of_tick()
        self.upstream.end_of_tick()
        if not self.waiting.is_idle:
            self.waiting.look()

    def every_beat(self) -> None:
        """Let time pass; a job of the cron."""
        self.gate.tick()
        self.hand_over.look()
        self.serving.every_beat()
        self.line.look()

    def every_second(self) -> None:
        """Let time pass; a job of the cron."""
        self.upstream.every_second()
        may_ping = not self.hand_over.is_under_way and not self.is_quiet
        self.serving.every_second(self.upstream.is_up, may_ping)

    # ---- commands ----

    def replicaof(self, session: Session, arguments: list[bytes]) -> object:
        """REPLICAOF host port | NO ONE."""
        if self.node.configuration["cluster-enabled"]:
            raise CommandError("ERR REPLICAOF not allowed in cluster mode.")
        if self.hand_over.is_under_way:
            raise CommandError("ERR REPLICAOF not allowed while failing over.")
        host, port = arguments[1].decode("latin-1"), arguments[2].decode("latin-1")
        if (host.lower(), port.lower()) == ("no", "one"):
            if self.is_replica:
                self._by_hand(True)
                self.lead_by_hand()
                self.node.log.notice("MASTER MODE enabled (user request)")
            return OK
        if session.flags & (1 << 7):
            raise CommandError("ERR Command is not valid when client is a replica.")
        if not port.isdecimal() or len(port) > 5 or int(port) > 65535:
            raise CommandError("ERR Invalid master port")
        if self.is_replica and self.followed == (host, int(port)):
            return Status("OK Already connected to specified master")
        self._by_hand(False)
        self.follow_by_hand(host, int(port))
        self.node.log.notice(f"REPLICAOF {host}:{port} enabled (user request)")
        return OK

    def _by_hand(self, is_primary: bool) -> None:
        try:
            self.standing.by_hand(is_primary)
        except OrderRefused as refusal:
            raise CommandError(str(refusal)) from None

    def role(self) -> list[object]:
        """ROLE."""
        return role(self)

    def failover(self, arguments: list[bytes]) -> object:
        """FAILOVER ..."""
        if self.node.configuration["cluster-enabled"]:
            raise CommandError(
                "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead."
            )
        if self.standing.is_managed:
            raise CommandError("FENCED FAILOVER of a managed node goes through its manager")
        return self.hand_over.command([each.decode("latin-1") for each in arguments[1:]])

    def order(self, session: Session, arguments: list[bytes]) -> object:
        """HOLDFAST FENCE | PROMOTE | FOLLOW | FETCH | ATTACH."""
        if arguments[1].upper() == b"LEASE":
            return self._grant([each.decode("latin-1") for each in arguments[2:]])
        try:
            order = parse_order([each.decode("latin-1") for each in arguments[1:]])
            match order:
                case fence.FenceOrder():
                    report = self.standing.fence(order)
                    self._refresh_guards()
                    return report_fields(report)
                case fence.PromoteOrder():
                    self.standing.promote(order)
                case fence.FollowOrder():
                    self.standing.follow(order)
                case fence.FetchOrder():
                    self.standing.fetch(order)
                case AttachRequest():
                    return self._attach(session, order)
        except (OrderError, OrderRefused) as refusal:
            self._follow_again()
            raise CommandError(str(refusal)) from None
        self._refresh_guards()
        return OK

    def _grant(self, words: list[str]) -> object:
        """HOLDFAST LEASE: take a grant; answer with what the next one must carry."""
        now_us = self.node.host.clock.boot_us()
        try:
            self.lease.take(parse_grant(words), self._epoch, now_us)
        except GrantError as error:
            raise CommandError(str(error)) from None
        self._refresh_guards()
        return [now_us, self.node.run_id, self._epoch]

    @property
    def lease_word(self) -> str:
        """The lease as INFO tells it: off, held or lost."""
        if self.is_replica or not self.lease.is_on:
            return "off"
        return "held" if self.lease.holds(self.node.host.clock.boot_us()) else "lost"

    def begin_tick(self) -> None:
        """Look at the lease before anything of this tick runs."""
        if self.lease.is_on or not self._had_lease:
            self._refresh_guards()

    def lost_lease_in_tick(self) -> bool:
        """Tell whether the lease ran out while this tick ran: what it wrote must not be acknowledged."""
        if self.is_replica or not self._had_lease or not self.lease.is_on:
            return False
        return not self.lease.holds(self.node.host.clock.boot_us())

    def _lease_refusal(self) -> bytes | None:
        self._had_lease = self.lease.holds(self.node.host.clock.boot_us())
        return None if self._had_lease else NO_LEASE

    def _follow_again(self) -> None:
        """Go on as a replica where an order failed half-way, as the state file could not be written."""
        is_idle = self.upstream.target is None and bool(self.followed[0])
        if is_idle and self.standing.node.standing is Standing.REPLICA:
            self.upstream.follow(Target(*self.followed), Cause.RECONNECT, True)
        self._refresh_guards()

    def _attach(self, session: Session, request: AttachRequest) -> Status:
        state = self.standing.node.state
        if not self.standing.node.may_acknowledge:
            raise OrderRefused(f"FENCED ATTACH refused: fenced at epoch {state.fence_epoch}")
        self.serving.replica_of(session).note(node_id=request.node_id)
        offset = self.stream.offset
        if self._came_from_log and self.node.engine.key_count(0):
            # What the log held is here, though not where it stands in the stream: no history was lost.
            offset = max(offset, request.position.offset)
        return Status(AttachAnswer(state.node_id, state.term_epoch, offset).line())

    # ---- roles ----

    def follow_by_hand(self, host: str, port: int) -> None:
        """Become a replica of this primary; its history may be another one."""
        self.followed = (host, port)
        self.node.configuration.assign("replicaof", (host, port))
        self.upstream.unfollow()
        self.standing.is_known = False
        self._become_forwarding()
        self.serving.close_all()
        self.upstream.follow(Target(host, port), Cause.ORDERED_BY_HAND, True)

    # ---- in a cluster ----

    def follow_in_cluster(self, host: str, port: int, leader: str, is_foreign: bool) -> None:
        """Become a replica of this primary, or follow it to another address, as the cluster has it.

        `is_foreign`: what this node holds is of another shard, and counts for nothing in this one.

        A node that was ever fenced follows by order: only a primary of its epoch, or a later one,
        will do. Raises `OrderRefused`.
        """
        state = self.standing.node.state
        if is_foreign:
            self.standing.record = None
        if not self.standing.is_managed and not self.is_bound():
            self.standing.by_hand(False)
            self.follow_by_hand(host, port)
            return
        epoch, named = state.fence_epoch, state.fence_leader or leader
        if self.standing.node.standing is Standing.PRIMARY and epoch <= state.term_epoch:
            epoch, named = state.term_epoch + 1, leader
        self.standing.follow(fence.FollowOrder(max(epoch, 1), named, host, port, leader))
        if is_foreign:
            self.standing.is_known = False
        self._refresh_guards()

    def lead_in_cluster(self, epoch: int, leader: str) -> None:
        """Become a primary without the shard's consent: by the votes alone, or by an operator's word.

        With `min-replicas-to-ack` this is outside of the promises. Raises `OrderRefused`.
        """
        if not self.standing.is_managed and not self.is_bound():
            self.standing.by_hand(True)
            self.lead_by_hand()
            return
        self.fence_in_cluster(fence.FenceOrder(epoch, leader))
        self.promote_in_cluster(fence.PromoteOrder(epoch, leader, self.standing.position, accept_loss=True))

    def fence_in_cluster(self, order: fence.FenceOrder) -> fence.FenceReport:
        """Take a fence from ourselves. Raises `OrderRefused`."""
        try:
            return self.standing.fence(order)
        finally:
            self._refresh_guards()

    def fetch_in_cluster(self, order: fence.FetchOrder) -> None:
        """Fetch the tail of a better copy. Raises `OrderRefused`."""
        self.standing.fetch(order)

    def promote_in_cluster(self, order: fence.PromoteOrder) -> None:
        """Lead. Raises `OrderRefused`."""
        try:
            self.standing.promote(order)
        finally:
            self._refresh_guards()

    @property
    def is_fenced(self) -> bool:
        """Whether this node waits for a leader's order, or its primary does."""
        primary_waits = "FENCED ATTACH refused" in self.upstream.lost_reason
        return primary_waits or self.standing.node.standing in (Standing.FENCED, Standing.CANDIDATE)

    def lead_by_hand(self) -> None:
        """Become a primary, as an operator asks: outside of the promises."""
        self._lead(self._epoch)

    def _lead(self, epoch: int) -> None:
        self.node.configuration.assign("replicaof", None)
        self.upstream.unfollow()
        self.node.engine.guard &= ~GUARD_REPLICA
        self.node.log.role = "M"
        self.standing.is_known = True
        self.stream.begin_making()
        self.serving.close_all()
        record = self.standing.record
        if self.gate.wanted:
            self.standing.keep()
        self.gate.close()
        self.gate.open(self.standing.node_id, epoch, record, takes_over=True)
        self._refresh_guards()

    def _become_forwarding(self) -> None:
        self.gate.close()
        self.node.log.role = "S"
        self.node.engine.guard |= GUARD_REPLICA
        self.node.engine.link_up = False
        self.stream.begin_forwarding()
        self.stream.keep_from_here()
        self.waiting.end_all(ROLE_CHANGED)
        blocking.refuse_parked(self.node.engine)
        self._refresh_guards()

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

    # ---- Hands of the standing ----

    def stop_acknowledging(self) -> None:
        """Close the gate; send no acknowledgement any more."""
        self.node.deliver_effects()
        self.gate.close()

    def stop_writes(self) -> None:
        """Refuse writes from now on."""
        self._refresh_guards()

    def drop_upstream(self) -> None:
        """End the link to the primary."""
        self.upstream.unfollow()

    def close_replica_links(self) -> None:
        """End the links of all attached replicas."""
        self.serving.close_all()

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
        heard = self.upstream.heard_at_ms
        return None if heard is None else now_ms(self.node) - heard

    # ---- Overseer of the upstream ----

    def attach_request(self) -> AttachRequest:
        """Say who this node is."""
        state = self.standing.node.state
        return AttachRequest(state.node_id, state.fence_epoch, self.standing.position)

    def may_attach(self, epoch: int, position: Position) -> str | None:
        """Return why this primary may not be followed, None if it may."""
        try:
            self.standing.attached(epoch, position)
        except OrderRefused as refusal:
            return str(refusal)
        return None

    def own_position(self) -> Position:
        """Return the position of the present copy."""
        return self.standing.position

    def is_bound(self) -> bool:
        """Tell whether a member set that needs acknowledgements binds this copy."""
        record = self.standing.record
        return record is not None and any(each.needed for each in record.sets)

    def may_acknowledge(self) -> bool:
        """Tell whether acknowledgements may leave."""
        return self.standing.node.may_acknowledge

    def record_seen(self, record: SetRecord | None) -> None:
        """Note the newest set record of the copy."""
        self.standing.record = record
        if record is not None and any(each.needed for each in record.sets):
            self.standing.keep()

    def copy_known(self, is_known: bool) -> None:
        """Note whether the copy is whole."""
        self.standing.is_known = is_known

    def applied(self) -> None:
        """Note that the copy reaches further."""
        self.standing.applied()
        target = self.upstream.target
        if target is not None and target.until is not None and self.standing.position >= target.until:
            self.upstream.unfollow()

    def fsynced_offset(self) -> int | None:
        """Return up to where the own AOF is on stable storage, None without AOF."""
        fsynced = self.waiting.fsynced_offset
        if fsynced is None:
            return None
        if fsynced >= self.node.engine.stream_offset:  # counts own effects, not the primary's bytes
            self._fsynced_stream_offset = self.stream.offset
        return self._fsynced_stream_offset

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

    def primary_asks(self) -> None:
        """Acknowledge soon: the primary asks."""
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
        self._by_hand(True)
        self.lead_by_hand()
