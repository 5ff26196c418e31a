"""Following a primary: link, sync, stream, acknowledgements, and starting over.

What this is: the acting half of the replica's role. It keeps one link to the primary
that the node follows (`UpstreamLink` under the handshake machine), lets snapshots come
in (`Incoming`), lets the stream be applied (`Applier`), acknowledges, and tries again when
something fails, a little later each time.

What this is not: whom to follow (`replicator`), or whether that is allowed (`standing`).

How to read it: `follow` and `unfollow`; then the handshake's outputs in their order:
attached, PSYNC answered, snapshot, stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from enum import Enum
from typing import Any

from holdfast.engine.request import apply_stream
from holdfast.engine.state import Session
from holdfast.replication.applier import Applier
from holdfast.replication.empty_primary import Cause, PrimaryClaim
from holdfast.replication.handshake import (
    Attached,
    BeginSnapshot,
    BeginStream,
    Handshake,
    Note,
    Output,
    PsyncAnswered,
    Settings,
)
from holdfast.replication.history import FORMER_FIELD, History, PsyncAnswer, PsyncReply
from holdfast.replication.incoming import Incoming, Plan, plan_of
from holdfast.replication.orders import AttachAnswer, OrderError, read_attach_answer
from holdfast.replication.overseer import Overseer, Target
from holdfast.replication.ports import Node, SnapshotSink, now_ms
from holdfast.replication.resync_judge import ResyncJudge
from holdfast.replication.set_record import Position, SetRecordError, decode_set_record
from holdfast.replication.stream import Stream
from holdfast.replication.upstream_link import UpstreamLink, encode

S_PRIMARY = 1 << 8
S_MULTI = 1 << 3
GUARD_LOADING = 1 << 0
GUARD_REPLICA = 1 << 2
GUARD_PRIMARY = 1 << 19
RETRY_FIRST_MS, RETRY_MOST_MS = 100, 1000
PROTOCOL_VERSION = "7.2.0"


class LinkState(Enum):
    """Where the replica stands; the value is ROLE's word."""

    NONE = "none"
    CONNECT = "connect"
    CONNECTING = "connecting"
    HANDSHAKE = "handshake"
    SYNC = "sync"
    CONNECTED = "connected"


class Upstream:
    """This node's link to its primary."""

    def __init__(self, node: Node, stream: Stream, sink: SnapshotSink, overseer: Overseer) -> None:
        self._node = node
        self._stream = stream
        self.sink = sink
        self._overseer = overseer
        self._judge_of_resync = ResyncJudge(node, stream, overseer)
        self.target: Target | None = None
        self.state = LinkState.NONE
        self.cause = Cause.RECONNECT
        self.is_failover = False
        self.refusal = ""
        """Why the last full resync was refused."""
        self.down_since_ms: int | None = None
        self.incoming: Incoming | None = None
        self.applier = Applier(node, stream, self)
        self.lost_reason = ""
        """Why the last link ended, or could not be had; "" while the stream flows."""
        self._link: UpstreamLink | None = None
        self._continues = False
        self._announced: PsyncReply | None = None
        self._answer: AttachAnswer | None = None
        self._sync_number = 0
        self._retry_ms = RETRY_FIRST_MS
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._old_data_are_gone = False

    # ---- whom ----

    def follow(self, target: Target, cause: Cause, can_continue: bool, is_failover: bool = False) -> None:
        """Follow a primary from now on; `can_continue`: its history may be ours."""
        self.unfollow()
        self.target = target
        self.cause = cause
        self.is_failover = is_failover
        self._continues = can_continue
        self._retry_ms = RETRY_FIRST_MS
        self.down_since_ms = now_ms(self._node)
        self.state = LinkState.CONNECT
        if target.until is None:
            self._node.engine.guard |= GUARD_REPLICA
        self._connect_later(0)

    def unfollow(self) -> None:
        """Follow nobody; the copy stays as it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.target = None
        if self._link is not None:
            self._link.close("no primary is followed any more")
        for task in list(self._tasks):
            task.cancel()
        self.state = LinkState.NONE
        self.is_failover = False
        self._node.engine.link_up = False

    @property
    def is_up(self) -> bool:
        """Whether the stream flows."""
        return self.state is LinkState.CONNECTED

    def _connect_later(self, delay_ms: int) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(delay_ms / 1000, self._connect)

    def _connect(self) -> None:
        self._timer = None
        if self.target is not None and self._link is None:
            self._spawn(self._open_link(self.target))

    async def _open_link(self, target: Target) -> None:
        node, configuration = self._node, self._node.configuration
        node.log.notice(f"Connecting to MASTER {target.host}:{target.port}")
        self.state = LinkState.CONNECTING
        history = self._stream.history if self._continues else None
        if history is not None and target.until is not None:
            history = history.under_former_id()
        settings = Settings(
            configuration["replica-announce-port"] or node.port,
            PROTOCOL_VERSION,
            configuration["replica-announce-ip"],
            configuration["masteruser"],
            configuration["masterauth"],
            () if target.until is not None else self._overseer.attach_request().words(),
            history,
            self.is_failover,
        )
        link = self._link = UpstreamLink(self, Handshake(settings), node.poller)
        self.applier.heard(0)
        self._announced = self._answer = None
        source = configuration["bind-source-addr"]
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: link, target.host, target.port, local_addr=(source, 0) if source else None
            )
        except (OSError, UnicodeError) as error:
            link.close(f"Error condition on socket for SYNC: {error}")
            return
        if not link.is_closed:
            node.log.notice("MASTER <-> REPLICA sync started")

    # ---- the link ----

    def heard(self, link: UpstreamLink, count: int) -> None:
        """Note that the primary lives."""
        self.applier.heard(count)
        if self.state is LinkState.CONNECTING:
            self.state = LinkState.HANDSHAKE

    def link_lost(self, link: UpstreamLink, reason: str) -> None:
        """Start over, if this primary is still to be followed."""
        if link is not self._link:
            return
        self._link = None
        was_up = self.is_up
        if self.incoming is not None:
            self._incoming_failed()
        self._end_stream()
        if self.target is None:
            return
        self.lost_reason = reason
        self._node.log.warning(reason)
        if self.is_failover:
            self._overseer.failover_answer(False, reason)
            return
        self.state = LinkState.CONNECT
        if was_up:
            self.down_since_ms = now_ms(self._node)
            self._retry_ms = RETRY_FIRST_MS
            self._node.engine.link_up = False
            self._overseer.upstream_changed(False)
        delay_ms = 0 if was_up else self._retry_ms
        if not was_up:
            self._retry_ms = min(self._retry_ms * 2, RETRY_MOST_MS)
        self._connect_later(delay_ms)

    def output(self, link: UpstreamLink, output: Output) -> None:
        """Act on what the handshake says."""
        match output:
            case Note():
                self._node.log.verbose(output.text)
            case Attached():
                self._attached(link, output.text)
            case PsyncAnswered():
                self._psync_answered(link, output.reply)
            case BeginSnapshot():
                self._begin_snapshot(link, output)
            case BeginStream():
                self._begin_stream(link)

    def _attached(self, link: UpstreamLink, text: str) -> None:
        try:
            self._answer = read_attach_answer(text)
        except OrderError as error:
            link.close(str(error))

    def _psync_answered(self, link: UpstreamLink, reply: PsyncReply) -> None:
        assert self.target is not None
        answer = self._answer
        if self.target.until is None and not self.is_failover:
            epoch = answer.epoch if answer else 0
            there = Position(answer.epoch, answer.offset) if answer else Position(0, 0)
            leads = answer is None or answer.leads  # a stock server does not tell
            refusal = self._overseer.may_attach(epoch, there, leads)
            if refusal is not None:
                link.close(f"This primary may not be followed: {refusal}")
                return
        if self.is_failover:
            self.is_failover = False
            self._overseer.failover_answer(True, "")
        self._announced = reply
        if reply.answer is PsyncAnswer.CONTINUE:
            self._node.log.notice("Successful partial resynchronization with master.")
            self._stream.adopt(self._stream.history.continued_as(reply.replication_id))
            return
        self.state = LinkState.SYNC
        if reply.answer is PsyncAnswer.FULL:
            self._node.log.notice(f"Full resync from master: {reply.replication_id}:{reply.offset}")
        else:
            self._node.log.notice("Master does not support PSYNC or is in error state, SYNC is used")
        if self.target.until is not None and self._needs_no_copy(link, reply, self.target.may_replace):
            return
        self._judge(link, reply)

    def _needs_no_copy(self, link: UpstreamLink, reply: PsyncReply, may_replace: bool) -> bool:
        """Whoever fetches a tail that is not to be had: end the link if this copy goes further, or is not
        to be replaced.
        """
        goes_further = self._stream.shared_with(reply.replication_id or "") >= max(reply.offset, 1)
        if goes_further:
            self._overseer.applied()
        if goes_further or not may_replace:
            why = "this copy goes further" if goes_further else "it is not kept there any more"
            link.close(f"The tail is not fetched: {why}")
            return True
        return False

    # ---- rule: a primary that has lost its history does not wipe this copy ----

    def _judge(self, link: UpstreamLink, reply: PsyncReply) -> None:
        keys = self._judge_of_resync.keys_at_stake(self.cause)
        if not keys:
            return
        if self._answer is not None:
            self._decide(link, reply, keys, Position(self._answer.epoch, self._answer.shared), None)
            return
        link.hold()
        self._spawn(self._ask_then_decide(link, reply, keys))

    async def _ask_then_decide(self, link: UpstreamLink, reply: PsyncReply, keys: int) -> None:
        assert self.target is not None
        try:
            there = await self._judge_of_resync.keys_there(self.target)
        except (OSError, TimeoutError, ValueError) as error:
            link.close(f"The primary does not say how many keys it holds: {error!r}")
            return
        if not link.is_closed:
            self._decide(link, reply, keys, None, there)
            link.go_on()

    def _decide(
        self, link: UpstreamLink, reply: PsyncReply, keys: int, claimed: Position | None, there: int | None
    ) -> None:
        claim = PrimaryClaim(reply.replication_id or "", claimed, there)
        self.refusal = self._judge_of_resync.refusal(self.cause, keys, claim)
        if self.refusal:
            link.close(
                f"Full resync refused, this replica keeps its data: {self.refusal}. "
                "REPLICAOF, or replica-refuse-empty-primary no, lets it follow all the same."
            )

    # ---- a snapshot ----

    def _begin_snapshot(self, link: UpstreamLink, header: BeginSnapshot) -> None:
        node = self._node
        keys = sum(node.engine.key_count(each) for each in range(node.engine.database_count))
        plan = plan_of(node.configuration["repl-diskless-load"], self._overseer.is_bound(), keys)
        self._sync_number += 1
        kind = "streamed with an end mark" if header.size_bytes is None else f"{header.size_bytes} bytes"
        node.log.notice(
            f"MASTER <-> REPLICA sync: receiving {kind} from master to {'disk' if plan.by_file else 'parser'}"
        )
        try:
            self.incoming = Incoming(node, self.sink, header, plan, self._sync_number, self._before_loading)
        except OSError as error:
            link.close(f"The snapshot cannot be taken: {error}")

    def _before_loading(self, plan: Plan) -> None:
        if not plan.keeps_old:
            self._node.log.notice("MASTER <-> REPLICA sync: Flushing old data")
            self._old_data_are_gone = True
            self._overseer.copy_known(False)
            self._node.engine.guard |= GUARD_LOADING
        self._node.log.notice("MASTER <-> REPLICA sync: Loading DB in memory")

    def snapshot_received(self, link: UpstreamLink, chunk: bytes) -> None:
        """Take a piece of the snapshot."""
        incoming = self.incoming
        if incoming is None:
            return
        if not self._node.engine.tick_open:
            self._node.open_tick()
        try:
            rest = incoming.take(chunk)
        except (OSError, ValueError) as error:
            link.close(f"Failed trying to load the MASTER synchronization DB: {error}")
            return
        if incoming.is_complete:
            link.hold()
            link.put_back(rest)
            self._spawn(self._load(link, incoming))

    async def _load(self, link: UpstreamLink, incoming: Incoming) -> None:
        def sign_of_life() -> None:
            now = now_ms(self._node)
            if now - last[0] > 1000:
                last[0] = now
                link.write(b"\n")

        last = [now_ms(self._node)]
        try:
            fields = await incoming.load(sign_of_life)
        except (OSError, ValueError) as error:
            link.close(f"Failed trying to load the MASTER synchronization DB: {error}")
            return
        self.incoming = None
        self._node.engine.guard &= ~GUARD_LOADING
        self._loaded(fields)
        self._node.log.notice("MASTER <-> REPLICA sync: Finished with success")
        link.loaded()
        link.go_on()

    def _loaded(self, fields: Mapping[str, str]) -> None:
        reply = self._announced
        assert reply is not None
        replication_id, offset = reply.replication_id, reply.offset
        if reply.answer is not PsyncAnswer.FULL or replication_id is None:
            replication_id, offset = fields.get("repl-id", ""), int(fields.get("repl-offset", "0"))
            self._stream.adopt(History(self._stream.history.replication_id, max(offset, 0)))
        else:
            self._stream.adopt(self._stream.history.replaced_by(replication_id, offset))
        self._stream.recall(fields.get(FORMER_FIELD, ""))
        self._stream.keep_from_here()
        database = fields.get("repl-stream-db", "0")
        self.applier.database = int(database) if database.isdecimal() else 0
        try:
            record = decode_set_record(fields.get("holdfast-set", "").encode())
        except SetRecordError as error:
            self._node.log.warning(str(error))
            record = None
        self._overseer.record_seen(record)
        self._old_data_are_gone = False
        self._overseer.copy_known(True)
        self._continues = True

    def _incoming_failed(self) -> None:
        incoming, self.incoming = self.incoming, None
        assert incoming is not None
        incoming.abandon()
        self._node.engine.guard &= ~GUARD_LOADING
        if self._old_data_are_gone:
            self._old_data_are_gone = False
            self._overseer.copy_lost()

    # ---- the stream ----

    def _begin_stream(self, link: UpstreamLink) -> None:
        node = self._node
        assert self.target is not None
        session = Session(node.engine, None)
        session.flags |= S_PRIMARY
        session.guard |= GUARD_PRIMARY
        apply_stream(session, encode((b"SELECT", str(self.applier.database).encode())))
        self.applier.begin(session, self._overseer.is_bound())
        link.hand_to(self.applier)
        self._stream.keep_from_here()
        self.state = LinkState.CONNECTED
        self.refusal = self.lost_reason = ""
        self.down_since_ms = None
        self._retry_ms = RETRY_FIRST_MS
        self.cause = Cause.RECONNECT
        node.engine.link_up = True
        self._overseer.upstream_changed(True)
        self.applied()
        self.applier.acknowledges = True
        if not node.engine.tick_open:
            node.open_tick()

    def stream_received(self, link: UpstreamLink, chunk: bytes) -> None:
        """Execute what came of the stream, and forward it."""
        if link is self._link:
            self.applier.receive(chunk)

    def stream_is_broken(self, error: str) -> None:
        """End the link: what comes over it is no stream."""
        if self._link is not None:
            self._link.close(f"The primary's stream is broken: {error}")

    def record_in_stream(self, text: bytes) -> None:
        """Note a set record."""
        try:
            record = decode_set_record(text)
        except SetRecordError as error:
            self._node.log.warning(str(error))
            return
        if record is not None:
            self._overseer.record_seen(record)
            self.applier.is_bound = self._overseer.is_bound()
            self.applier.acknowledges = True

    def applied(self) -> None:
        """Note that the copy reaches further, as long as somebody waits for it to reach a place."""
        self.applier.is_awaited = self._overseer.applied()

    def _end_stream(self) -> None:
        self.applier.end()

    # ---- acknowledgements ----

    def acknowledge_soon(self) -> None:
        """Acknowledge at the end of this tick (REPLCONF GETACK)."""
        self.applier.acknowledges = True

    def acknowledge(self) -> None:
        """Say how far this copy reaches."""
        self.applier.acknowledges = False
        link, target = self._link, self.target
        if link is None or not self.is_up or target is None or target.until is not None:
            return
        if not self._overseer.may_acknowledge():
            return
        fsynced = self._overseer.fsynced_offset()
        reached = self._stream.offset
        if self._overseer.syncs_first and fsynced is not None:
            reached = fsynced
        ack = b"%d" % reached
        if fsynced is None:
            link.write(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%d\r\n%b\r\n" % (len(ack), ack))
        else:
            link.send(b"REPLCONF", b"ACK", ack, b"FACK", b"%d" % fsynced)

    # ---- time ----

    def every_second(self) -> None:
        """Acknowledge, and end a link that has gone silent."""
        heard_at_ms = self.applier.heard_at_ms
        if self._link is None or heard_at_ms is None:
            return
        if now_ms(self._node) - heard_at_ms > self._node.configuration["repl-timeout"] * 1000:
            if self.is_up:
                self._link.close("MASTER timeout: no data nor PING received...")
            elif self.state is LinkState.SYNC:
                if self.incoming is None or not self.incoming.is_complete:
                    self._link.close("Timeout receiving bulk data from MASTER...")
            else:
                self._link.close("Timeout connecting to the MASTER...")
            return
        self.applier.acknowledges = True

    def stop(self) -> None:
        """End everything."""
        self.unfollow()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._node.log.warning(f"Following the primary failed: {error!r}")
            if self._link is not None:
                self._link.close("an internal error")
