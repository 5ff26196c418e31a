"""Serving replicas: REPLCONF, PSYNC and SYNC, signs of life, and who has to go.

What this is: the primary's side of each link (of a chained replica's too). Decisions come
from `history.psync_decision` and `attachments`; snapshots from `SyncLine`.

What this is not: the stream itself, or acknowledgements held for clients.

How to read it: `replconf`, `psync`; then `closed`, `every_beat` and `every_second`.
"""

from __future__ import annotations

from typing import Protocol

from holdfast.engine import effects
from holdfast.engine.values import NO_REPLY, OK, CommandError
from holdfast.replication.attachments import Stage, good_replicas, timed_out
from holdfast.replication.history import Continue, psync_decision
from holdfast.replication.ports import Connection, Node, Session, now_ms
from holdfast.replication.remote_replica import HIGH_MARK_BYTES, RemoteReplica
from holdfast.replication.stream import Stream
from holdfast.replication.sync_line import SyncLine

S_REPLICA = 1 << 7
S_PRIMARY = 1 << 8
PING = b"*1\r\n$4\r\nPING\r\n"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
HOST_MOST_BYTES = 255


class Primary(Protocol):
    """Who knows the node's role (`replicator`)."""

    def acknowledged(self, replica: RemoteReplica) -> None:
        """Note that a replica has acknowledged."""
        ...

    def went_away(self, replica: RemoteReplica) -> None:
        """Note that a replica has gone."""
        ...

    def went_online(self, replica: RemoteReplica) -> None:
        """Note that a replica gets the stream from now on."""
        ...

    def primary_asks(self, words: bytes) -> None:
        """Acknowledge soon: the primary asks (GETACK with these words)."""
        ...

    def sync_refusal(self) -> str | None:
        """Return why nobody may sync with this node now."""
        ...

    def lead_by_failover(self, replication_id: str) -> None:
        """Lead, as the former primary asks by PSYNC ... FAILOVER. Raises `CommandError`."""
        ...


class Serving:
    """The replicas' links."""

    def __init__(self, node: Node, stream: Stream, line: SyncLine, primary: Primary) -> None:
        self._node = node
        self._stream = stream
        self._line = line
        self._primary = primary
        self._seconds = 0

    # ---- what a replica says ----

    def replica_of(self, session: Session) -> RemoteReplica:
        """Return the replica at the other end, known from its first word on."""
        if session.replica is None:
            connection: Connection = session.owner
            session.replica = RemoteReplica(connection, self._node.traffic, now_ms(self._node))
        replica: RemoteReplica = session.replica
        return replica

    def replconf(self, session: Session, arguments: list[bytes]) -> object:
        """REPLCONF option value ..."""
        if len(arguments) % 2 == 0:
            raise CommandError("ERR syntax error")
        if session.flags & S_PRIMARY:
            if len(arguments) > 1 and arguments[1].lower() == b"getack":
                self._primary.primary_asks(arguments[2] if len(arguments) > 2 else b"")
            return NO_REPLY
        for at in range(1, len(arguments), 2):
            option, value = arguments[at].lower(), arguments[at + 1]
            if option == b"ack":
                self._acknowledge(session, arguments[at:])
                return NO_REPLY
            if option == b"getack":
                return NO_REPLY
            self._take_option(session, option, value, arguments[at])
        return OK

    def _take_option(self, session: Session, option: bytes, value: bytes, shown: bytes) -> None:
        if session.owner is None or not hasattr(session.owner, "transport"):
            raise CommandError("ERR REPLCONF needs a connection")
        replica = self.replica_of(session)
        match option:
            case b"listening-port":
                replica.listening_port = _integer(value)
            case b"ip-address":
                if len(value) >= HOST_MOST_BYTES:
                    raise CommandError(
                        "ERR REPLCONF ip-address provided by replica instance is too long: "
                        f"{len(value)} bytes"
                    )
                replica.announced_ip = value.decode("latin-1")
            case b"capa":
                if value.lower() == b"eof":
                    replica.note(knows_eof=True)
                elif value.lower() == b"psync2":
                    replica.note(knows_psync2=True)
            case b"version":
                replica.version = value.decode("latin-1")
            case b"rdb-only":
                replica.wants_snapshot_only = _integer(value) != 0
            case b"rdb-filter-only":
                filters = value.lower().split()
                for each in filters:
                    if each != b"functions":
                        raise CommandError(
                            f"ERR Unsupported rdb-filter-only option: {each.decode('latin-1')}"
                        )
                replica.leaves_data_out = True
            case _:
                raise CommandError(f"ERR Unrecognized REPLCONF option: {shown.decode('latin-1')}")

    def _acknowledge(self, session: Session, words: list[bytes]) -> None:
        if not session.flags & S_REPLICA or session.replica is None:
            return
        replica = self.replica_of(session)
        try:
            offset = int(words[1])
            fsynced = int(words[3]) if len(words) >= 4 and words[2].lower() == b"fack" else 0
        except ValueError:
            return
        replica.has_applied(offset, now_ms(self._node))
        replica.fsynced_offset = max(replica.fsynced_offset, fsynced)
        if replica.awaits_first_word:
            self._line.go_online(replica)
        if replica.stage is Stage.ONLINE:
            self._primary.acknowledged(replica)

    # ---- PSYNC and SYNC ----

    def psync(self, session: Session, arguments: list[bytes]) -> object:
        """PSYNC id byte [FAILOVER], and SYNC."""
        if session.flags & S_REPLICA:
            return NO_REPLY
        is_psync = arguments[0].lower() == b"psync"
        asked_id = arguments[1].decode("latin-1") if is_psync else "?"
        if is_psync and len(arguments) > 3 and arguments[3].lower() == b"failover":
            self._primary.lead_by_failover(asked_id)
        refusal = self._primary.sync_refusal()
        if refusal is not None:
            raise CommandError(refusal)
        if session.output_bytes:
            raise CommandError("ERR SYNC and PSYNC are invalid with pending output")
        replica = self.replica_of(session)
        if replica.leaves_data_out and not replica.attachment.knows_eof:
            raise CommandError("ERR Filtered replica requires EOF capability")
        log = self._node.log
        asked_byte = _integer(arguments[2]) if is_psync else -1
        log.notice(f"Replica {replica.name} asks for synchronization")
        first_byte = self._stream.backlog.first_byte if self._stream.backlog is not None else None
        decision = psync_decision(
            self._stream.history, first_byte, asked_id, asked_byte, replica.attachment.knows_psync2
        )
        self._attach(session, replica)
        replica.is_silent = not is_psync
        if isinstance(decision, Continue):
            self._node.traffic.partial_syncs += 1
            self._continue(replica, decision)
            return NO_REPLY
        if not decision.was_asked_for:
            self._node.traffic.partial_syncs_refused += 1
            log.notice(f"Partial resynchronization not accepted: {decision.reason}")
        self._line.enter(replica)
        return NO_REPLY

    def _attach(self, session: Session, replica: RemoteReplica) -> None:
        session.flags |= S_REPLICA
        replica.connection.keep_more(HIGH_MARK_BYTES)
        replica.send_at_once(not self._node.configuration["repl-disable-tcp-nodelay"])
        self._stream.replicas.append(replica)
        if self._stream.backlog is not None:
            self._stream.backlog.note_replicas(len(self._stream.replicas), now_ms(self._node))

    def _continue(self, replica: RemoteReplica, decision: Continue) -> None:
        backlog = self._stream.open_backlog()
        length = backlog.next_byte - decision.first_byte
        self._node.log.notice(
            f"Partial resynchronization request from {replica.name} accepted. "
            f"Sending {length} bytes of backlog starting from offset {decision.first_byte}."
        )
        replica.write(decision.reply)
        replica.join(backlog, decision.first_byte)
        replica.note(stage=Stage.ONLINE, last_heard_ms=now_ms(self._node))
        replica.pump()
        self._primary.went_online(replica)

    # ---- ends ----

    def closed(self, session: Session) -> None:
        """Forget a connection that may have been a replica's."""
        replica: RemoteReplica | None = session.replica
        if replica is None:
            return
        replica.gone()
        session.replica = None
        if replica in self._stream.replicas:
            self._stream.replicas.remove(replica)
            self._node.log.notice(f"Connection with replica {replica.name} lost.")
            self._primary.went_away(replica)
            if self._stream.backlog is not None:
                self._stream.backlog.note_replicas(len(self._stream.replicas), now_ms(self._node))

    def close_all(self) -> None:
        """End the links of all replicas; they may come back."""
        for each in list(self._stream.replicas):
            each.connection.abort()

    def finish_all(self) -> None:
        """End the links of all replicas; what was sent to them is theirs."""
        for each in list(self._stream.replicas):
            each.finish()

    # ---- time ----

    def every_beat(self) -> None:
        """Send away whoever lags beyond the output limit."""
        stream, configuration = self._stream, self._node.configuration
        now = now_ms(self._node)
        limit = configuration["client-output-buffer-limit"].replica
        for each in list(stream.replicas):
            if each.too_far_behind(limit, configuration["repl-backlog-size"], now):
                self._node.log.warning(f"Replica {each.name} closed for overcoming of output buffer limits.")
                each.connection.abort()

    def every_second(self, is_link_up: bool, may_ping: bool) -> None:
        """Ping, keep waiting links alive, end silent ones, count the good ones."""
        stream, node = self._stream, self._node
        now = now_ms(node)
        period_s = node.configuration["repl-ping-replica-period"]
        if stream.replicas and not stream.is_forwarding and may_ping and self._seconds % period_s == 0:
            effects.append_command(node.engine, PING)
        self._seconds += 1
        for each in stream.replicas:
            # Never to one that is online: there a line end is a byte of the stream, its offset would run
            # ahead.
            if each.stage in (Stage.WAITING, Stage.SNAPSHOTTING):
                each.write(b"\n")
        talking = [each.attachment for each in stream.replicas if not each.is_silent]
        names = timed_out(talking, self._line.settings(), now)
        for each in list(stream.replicas):
            if each.attachment.name in names:
                node.log.warning(f"Disconnecting timedout replica: {each.name}")
                each.connection.abort()
        self.count_good()
        backlog, limit_s = stream.backlog, node.configuration["repl-backlog-ttl"]
        if backlog is not None and not stream.is_forwarding:
            backlog.note_replicas(len(stream.replicas), now)
            if backlog.seconds_left(limit_s, now) == 0:
                stream.close_backlog()
                node.log.notice(
                    f"Replication backlog freed after {limit_s} seconds without connected replicas."
                )

    def count_good(self) -> None:
        """Count the replicas that `min-replicas-to-write` asks for."""
        lag_ms = self._node.configuration["min-replicas-max-lag"] * 1000
        attachments = (each.attachment for each in self._stream.replicas)
        self._node.engine.good_replicas = good_replicas(attachments, lag_ms, now_ms(self._node))


def _integer(text: bytes) -> int:
    try:
        value = int(text)
    except ValueError:
        raise CommandError(NOT_AN_INTEGER) from None
    if text.strip() != text or b"_" in text or abs(value) >= 1 << 63:
        raise CommandError(NOT_AN_INTEGER)
    return value
