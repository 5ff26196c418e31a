"""Holding replies until members have acknowledged: the gate in the data path.

What this is: the acting half of `gate`. The engine marks the replies that must wait
(`engine.held`); at the end of a tick they all get one ticket and one offset; verdicts
of the gate let them go or put -NOACK in their place. It also keeps the member set:
replicas of ours that come online are taken in, records are written into the stream.

What this is not: the counting (`gate`), the fence (`standing`).

How to read it: `settle` and `acknowledged` are the hot ends, `_obey` acts on a verdict, `refusal` says
why a write may not even run.

With `min-replicas-to-ack` 0 and no set that binds there is no gate, no guard bit, and no
cost. While N is asked for and no set of N members stands yet, writes are refused before
they run (with `strict`), so that no OK is given that nothing stands behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from holdfast.engine import effects, held
from holdfast.replication.attachments import Stage
from holdfast.replication.gate import (
    NO_ACKNOWLEDGEMENT,
    AcknowledgementGate,
    GateSettings,
    SetChangeRefused,
    Verdict,
)
from holdfast.replication.ports import Node, Session, now_ms
from holdfast.replication.remote_replica import RemoteReplica
from holdfast.replication.set_record import MemberSet, SetRecord, first_record
from holdfast.replication.stream import Stream

GUARD_FENCED = 1 << 9
GUARD_GATED = 1 << 11
READ_PROMISES = {"no": 0, "committed": 1, "linearizable": 2}
TOO_FEW = b"NOREPLICAS Not enough good replicas to write."
PROBE = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"


class _Held(NamedTuple):
    ticket: int
    offset: int
    sessions: list[Session]


class ReplyGate:
    """The gate of one node. `gate` is None where nothing is held."""

    def __init__(self, node: Node, stream: Stream, new_record: Callable[[SetRecord], None]) -> None:
        self._node = node
        self._stream = stream
        self._new_record = new_record
        self.gate: AcknowledgementGate | None = None
        self._held: deque[_Held] = deque()
        self._ticket = 0
        self.changed: Callable[[], None] = lambda: None
        """Called when `refusal` may say something else."""
        self._told_suspended = False
        self.unknown_outcomes = 0
        """Requests answered -NOACK since the start."""

    # ---- opening and closing ----

    @property
    def wanted(self) -> int:
        """What `min-replicas-to-ack` says."""
        return int(self._node.configuration["min-replicas-to-ack"])

    def _settings(self) -> GateSettings:
        configuration = self._node.configuration
        return GateSettings(
            configuration["min-replicas-to-ack-timeout"],
            configuration["ack-member-timeout"],
            configuration["min-replicas-to-ack-strict"],
        )

    def open(self, own_id: str, epoch: int, inherited: SetRecord | None, takes_over: bool) -> None:
        """Begin to lead in `epoch`: write the first record, and hold replies where it asks for it.

        `takes_over`: by promotion, so the former primary may become a member; a node that goes on
        as a primary starts with those members that are attached.
        """
        if not self.wanted and inherited is None and not epoch:
            return
        members = () if takes_over or inherited is None else tuple(inherited.newest.members)
        heirs = len((inherited.newest.members | {inherited.primary}) - {own_id}) if inherited else 0
        needed = min(self.wanted, heirs)
        record = first_record(own_id, epoch, inherited, needed, members)
        self._stream.open_backlog()
        end = self._append(record)
        now = now_ms(self._node)
        self.gate = AcknowledgementGate(own_id, self._settings(), record, end, now)
        self._set_guards()
        for each in self._stream.replicas:
            if each.attachment.node_id and each.stage is Stage.ONLINE:
                self.gate.attached(each.attachment.node_id)
        self.look_at_members()

    def configure(self, own_id: str, epoch: int, record: SetRecord | None) -> None:
        """Follow a change of the configuration on a primary."""
        if self.gate is None:
            self.open(own_id, epoch, record, takes_over=False)
            return
        self.gate.settings = self._settings()
        self._set_guards()
        self.look_at_members()

    def close(self) -> None:
        """Acknowledge nothing any more: what waits ends with an unknown outcome."""
        if self.gate is None:
            return
        self.settle()
        if self.gate is None:  # the acknowledgement that made it needless had come: nothing is held any more
            return
        self.gate.close()
        self._fail_all()
        self.gate = None
        self._set_guards()

    def doubt(self) -> None:
        """End all that waits with an unknown outcome, and go on: what some of it wrote is taken away."""
        self.settle()
        if self.gate is not None:
            self.gate.abandon()
            self._fail_all()

    def _set_guards(self) -> None:
        engine, gate = self._node.engine, self.gate
        if gate is not None and (self.wanted or not gate.is_needless):
            engine.guard |= GUARD_GATED
            engine.gate_reads = READ_PROMISES[self._node.configuration["ack-reads"]]
            engine.gate_released = gate.released_offset
        else:
            engine.guard &= ~GUARD_GATED
            engine.gate_reads = 0
            if gate is not None:
                self.gate = None
        self.changed()

    @property
    def refusal(self) -> bytes | None:
        """Why a write may not run: N members are asked for and there is no such set yet."""
        gate = self.gate
        if gate is None or not self.wanted or not self._node.configuration["min-replicas-to-ack-strict"]:
            return None
        return TOO_FEW if gate.record.newest.needed < self.wanted else None

    @property
    def is_suspended(self) -> bool:
        """Tell whether OKs are given without the promise (`min-replicas-to-ack-strict no`)."""
        gate = self.gate
        is_short = gate is not None and gate.record.newest.needed < self.wanted and self.refusal is None
        return gate is not None and (gate.is_promise_suspended or is_short)

    @property
    def proves_writes(self) -> bool:
        """Tell whether members acknowledge every write, in the one set that binds and is known to bind."""
        gate = self.gate
        return (
            gate is not None
            and gate.record.newest.needed > 0
            and not gate.record.is_joint
            and not gate.is_promise_suspended
            and gate.committed_offset >= gate.record_end
        )

    @property
    def holds_back(self) -> bool:
        """Tell whether writes must ask `refusal`."""
        return self.refusal is not None

    # ---- the tick ----

    def probe(self) -> None:
        """Append the probe that a linearizable read of this tick waits for, if there is one."""
        if self._node.engine.gated and self.gate is not None:
            effects.append_command(self._node.engine, PROBE)

    def settle(self) -> None:
        """Give this tick's held replies their ticket."""
        offset = self._stream.offset
        sessions = held.settle_held(self._node.engine, offset)
        if not sessions:
            return
        if self.gate is None:
            held.release_all(sessions, offset)
            return
        self._ticket += 1
        self._held.append(_Held(self._ticket, offset, sessions))
        self._obey(self.gate.hold(self._ticket, offset, now_ms(self._node)))

    def tick(self) -> None:
        """Let time pass; must run inside a tick of the node."""
        if self.gate is not None:
            self.gate.stream_advanced(self._stream.offset)
            self._obey(self.gate.tick(now_ms(self._node)))
            self.look_at_members()
            self._tell_of_promise()

    def _tell_of_promise(self) -> None:
        if self.is_suspended == self._told_suspended:
            return
        self._told_suspended = self.is_suspended
        if self._told_suspended:
            self._node.log.warning(
                "Too few members: writes are answered without the promise of min-replicas-to-ack, "
                "and a failover may lose them (min-replicas-to-ack-strict no)"
            )
        else:
            self._node.log.notice("The promise of min-replicas-to-ack is kept again")

    # ---- members ----

    def acknowledged(self, replica: RemoteReplica) -> None:
        """Note what a replica has applied; must run inside a tick of the node."""
        gate, attachment = self.gate, replica.attachment
        if gate is not None and attachment.node_id and attachment.stage is Stage.ONLINE:
            gate.stream_advanced(self._stream.offset)
            self._obey(
                gate.acknowledge(attachment.node_id, attachment.acknowledged_offset, now_ms(self._node))
            )

    def went_online(self, replica: RemoteReplica) -> None:
        """Count a replica from now on."""
        if self.gate is not None and replica.attachment.node_id:
            self.gate.attached(replica.attachment.node_id)
            self.look_at_members()

    def went_away(self, replica: RemoteReplica) -> None:
        """Note that a replica's link has ended; an older one than it has now says nothing of it."""
        node_id = replica.attachment.node_id
        has_another = any(
            each is not replica and each.attachment.node_id == node_id and each.stage is Stage.ONLINE
            for each in self._stream.replicas
        )
        if self.gate is not None and node_id and not has_another:
            self.gate.detached(node_id, now_ms(self._node))

    def look_at_members(self) -> None:
        """Take in replicas of ours that are online, and follow a change of N, if no change is under way."""
        gate = self.gate
        if gate is None:
            return
        newest = gate.record.newest
        online = {
            each.attachment.node_id
            for each in self._stream.replicas
            if each.attachment.node_id and each.stage is Stage.ONLINE
        }
        members = newest.members | online if self.wanted else newest.members
        needed = self.wanted if len(members) >= self.wanted else newest.needed
        wanted = MemberSet(frozenset(members), needed)
        if wanted == newest or (not needed and not newest.needed):
            return
        try:
            self._obey(gate.change(wanted, now_ms(self._node)))
        except SetChangeRefused:
            return

    # ---- verdicts ----

    def _obey(self, verdict: Verdict) -> None:
        while verdict.append is not None:
            assert self.gate is not None
            self._release(verdict)
            end = self._append(verdict.append)
            verdict = self.gate.record_appended(verdict.append, end, now_ms(self._node))
            self._set_guards()
            if self.gate is None:
                self._release_all()
                return
        self._release(verdict)

    def _release(self, verdict: Verdict) -> None:
        waiting = self._held
        for ticket in verdict.timed_out:
            while waiting and waiting[0].ticket <= ticket:
                entry = waiting.popleft()
                if entry.ticket == ticket:
                    self._fail(entry)
                else:
                    self._let_go(entry)
        while waiting and waiting[0].offset <= verdict.release_up_to:
            self._let_go(waiting.popleft())
        self._node.engine.gate_released = verdict.release_up_to

    def _release_all(self) -> None:
        while self._held:
            self._let_go(self._held.popleft())

    def _let_go(self, entry: _Held) -> None:
        self._in_tick()
        held.release_all(entry.sessions, entry.offset)

    def _fail_all(self) -> None:
        for each in self._held:
            self._fail(each)
        self._held.clear()

    def _fail(self, entry: _Held) -> None:
        self._in_tick()
        for session in entry.sessions:
            self.unknown_outcomes += held.fail_held(session, entry.offset, NO_ACKNOWLEDGEMENT)

    def _in_tick(self) -> None:
        if not self._node.engine.tick_open:
            self._node.open_tick()

    def _append(self, record: SetRecord) -> int:
        """Write a record into the stream now; return where it ends."""
        node = self._node
        node.deliver_effects()
        effects.append_command(node.engine, record.as_command())
        node.deliver_effects()
        self._new_record(record)
        return self._stream.offset
