"""The acknowledgement gate: which replies a primary may send, and which it must not.

What this is: `min-replicas-to-ack N` on the side of the primary. It knows the
set record that binds, what each member has acknowledged, and which requests
wait; it answers "replies up to offset X may go", "these requests time out" and
"append this record to the stream". One gate serves one primary in one epoch.

What this is not: it holds no reply, reads no clock and writes no stream. With
N = 0 a node has no gate at all (None), so the write path pays nothing. It does
not fence and does not promote: `fence` and `promotion` do.

How to read it: `committed_offset` is the whole rule. `AcknowledgementGate` keeps
the facts that it needs; every method that can change a verdict returns a
`Verdict`, and the caller acts on it in this order: append the record (then tell
`record_appended` where it ended), release, time out.

Rules:
- Only members count: directly attached nodes of ours that are online. What a
  member acknowledged counts until it attaches anew; then it starts from nothing,
  for it may have lost what it held.
- An offset is committed when N of *each* set in the last record hold it. In an
  old set the primary counts itself; it is never in its own newest set.
- A change of the set or of N is one joint record at a time. It is in force when
  N of each set hold it; a record with the newest set alone follows.
- A member that is gone for `member_timeout_ms` is taken out, never below N
  members. Where R = N writes wait for it, unless `strict` is off: then replies go
  without the promise, and `is_promise_suspended` says so for as long as it lasts.
- A request past its deadline ends with -NOACK: its outcome is unknown.
- Closing the gate (fenced, demoted) acknowledges nothing any more, for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from holdfast.replication.set_record import MemberSet, SetRecord

NO_ACKNOWLEDGEMENT = b"-NOACK Not enough replicas acknowledged the write in time. Its outcome is unknown.\r\n"


class ReadPromise(Enum):
    """`ack-reads`: what a read may return."""

    NO = "no"
    COMMITTED = "committed"
    LINEARIZABLE = "linearizable"


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What the configuration says. A timeout of 0 waits for ever."""

    acknowledgement_timeout_ms: int = 1000
    member_timeout_ms: int = 5000
    strict: bool = True


class Verdict(NamedTuple):
    """What is to be done now, in this order."""

    append: SetRecord | None = None
    release_up_to: int = 0
    timed_out: tuple[int, ...] = ()


class SetChangeRefused(Exception):
    """The set or N cannot be changed so, or not now; the text says why."""


def committed_offset(record: SetRecord, held: Mapping[str, int], own_id: str, stream_offset: int) -> int:
    """Return the highest offset that N members of each binding set hold.

    `held` maps node ids to what they acknowledged; the primary holds its whole stream.
    """
    lowest, newest = stream_offset, record.newest
    for each in record.sets:
        needed = each.holders_needed(is_newest=each is newest)
        if needed:
            offsets = [stream_offset if member == own_id else held.get(member, 0) for member in each.members]
            offsets.sort(reverse=True)
            lowest = min(lowest, offsets[needed - 1])
    return lowest


def acknowledgeable_offset(applied_offset: int, open_transaction_offset: int | None) -> int:
    """Return what a replica may acknowledge: what it applied, never from inside a MULTI or a script.

    `open_transaction_offset` is where the stream stood before the MULTI that is being applied.
    """
    return applied_offset if open_transaction_offset is None else min(applied_offset, open_transaction_offset)


def can_be_member(is_ours: bool, is_directly_attached: bool, is_online: bool) -> bool:
    """Tell whether a replica may be taken into the set: stock, chained and loading ones never."""
    return is_ours and is_directly_attached and is_online


@dataclass(slots=True)
class _Member:
    held_offset: int = 0
    gone_since_ms: int | None = None


class _Waiting(NamedTuple):
    ticket: int
    offset: int
    deadline_ms: int | None


class AcknowledgementGate:
    """The gate of one primary in one epoch. Invariant: released <= stream offset; it never goes back."""

    def __init__(
        self, own_id: str, settings: GateSettings, record: SetRecord, record_end: int, now_ms: int
    ) -> None:
        """Open with the record that the primary has just written; it ends at offset `record_end`."""
        self.own_id = own_id
        self.settings = settings
        self.record = record
        self.record_end = record_end
        self.stream_offset = record_end
        self.released_offset = 0
        self.is_closed = False
        self.is_promise_suspended = False
        self._members = {member: _Member(0, now_ms) for member in record.everyone - {own_id}}
        self._waiting: deque[_Waiting] = deque()
        self._awaits_append = False

    @property
    def committed_offset(self) -> int:
        """Return up to where N of each set are known to hold the stream."""
        held = {name: member.held_offset for name, member in self._members.items()}
        return committed_offset(self.record, held, self.own_id, self.stream_offset)

    @property
    def is_needless(self) -> bool:
        """Tell whether the node may drop the gate: N is 0 and no earlier set binds."""
        return not self.record.is_joint and not self.record.newest.needed

    @property
    def waiting_count(self) -> int:
        """Return how many requests wait."""
        return len(self._waiting)

    def hold(self, ticket: int, offset: int, now_ms: int) -> Verdict:
        """Hold a request until `offset` is safe, the stream's end after all its effects or after EXEC.

        Offsets are handed in rising order. A blocked client that a write serves is held by that write.
        """
        timeout_ms = self.settings.acknowledgement_timeout_ms
        self.stream_offset = max(self.stream_offset, offset)
        self._waiting.append(_Waiting(ticket, offset, now_ms + timeout_ms if timeout_ms else None))
        if self._is_unpromised:
            return self._verdict(now_ms)
        return Verdict(None, self.released_offset, self._time_out(now_ms))  # only members commit

    def read_hold_offset(self, promise: ReadPromise, probe_end: int) -> int | None:
        """Return the offset that a read must wait for, None if it need not.

        `committed` waits for all that was executed before the read. `linearizable` waits for
        `probe_end`, the end of a REPLCONF GETACK appended after the read in the same flush: a
        member that acknowledges those bytes was not fenced when the read ran.
        """
        if promise is ReadPromise.NO:
            return None
        return self.stream_offset if promise is ReadPromise.COMMITTED else probe_end

    def acknowledge(self, member: str, offset: int, now_ms: int) -> Verdict:
        """Note that a member has applied the stream up to `offset`. Strangers are ignored."""
        known = self._members.get(member)
        if known is not None and known.gone_since_ms is None and offset > known.held_offset:
            known.held_offset = min(offset, self.stream_offset)
        if offset <= self.released_offset and not (self.record.is_joint or self.is_closed):
            return Verdict(None, self.released_offset)  # it can release nothing: enough others were first
        return self._verdict(now_ms)

    def stream_advanced(self, offset: int) -> None:
        """Note where the stream ends now."""
        self.stream_offset = max(self.stream_offset, offset)

    def attached(self, member: str) -> None:
        """Note that a node has attached anew: what it held before no longer counts."""
        self._members[member] = _Member()

    def detached(self, member: str, now_ms: int) -> None:
        """Note that a node's link is gone."""
        known = self._members.get(member)
        if known is not None and known.gone_since_ms is None:
            known.gone_since_ms = now_ms

    def change(self, newest: MemberSet, now_ms: int) -> Verdict:
        """Start a change of the set or of N. Raises SetChangeRefused."""
        if self.is_closed:
            raise SetChangeRefused("this primary has been fenced")
        if self.record.is_joint or self._awaits_append or self.committed_offset < self.record_end:
            raise SetChangeRefused("a change of the member set is still under way")
        if self.own_id in newest.members:
            raise SetChangeRefused("a primary is not a member of its own set")
        if newest == self.record.newest:
            raise SetChangeRefused("the member set is already so")
        self._awaits_append = True
        verdict = self._verdict(now_ms)
        return Verdict(self.record.changed_to(newest), verdict.release_up_to, verdict.timed_out)

    def record_appended(self, record: SetRecord, end_offset: int, now_ms: int) -> Verdict:
        """Note that a record this gate asked for stands in the stream and ends at `end_offset`."""
        self._awaits_append = False
        self.record, self.record_end = record, end_offset
        self.stream_offset = max(self.stream_offset, end_offset)
        for member in record.everyone - {self.own_id}:
            self._members.setdefault(member, _Member(0, now_ms))
        return self._verdict(now_ms)

    def may_leave(self, member: str) -> bool:
        """Tell whether a node may attach to a sibling or move away: no binding set names it any more."""
        named = any(member in each.members for each in self.record.sets)
        return not named and self.committed_offset >= self.record_end

    def tick(self, now_ms: int) -> Verdict:
        """Let time pass: requests time out, members that are gone are taken out."""
        removal = self._removal(now_ms)
        self.is_promise_suspended = not self.settings.strict and not removal and self._cannot_be_kept(now_ms)
        verdict = self._verdict(now_ms)
        if removal and verdict.append is None:
            self._awaits_append = True
            return Verdict(self.record.changed_to(removal), verdict.release_up_to, verdict.timed_out)
        return verdict

    def close(self) -> tuple[int, ...]:
        """Acknowledge nothing any more; return the requests whose outcome is unknown."""
        self.is_closed = True
        return self.abandon()

    def abandon(self) -> tuple[int, ...]:
        """Wait for nothing that waits now; return these requests: their outcome is unknown."""
        abandoned = tuple(each.ticket for each in self._waiting)
        self._waiting.clear()
        return abandoned

    def _verdict(self, now_ms: int) -> Verdict:
        if self.is_closed:
            return Verdict()
        committed = self.committed_offset
        append = None
        if self.record.is_joint and committed >= self.record_end and not self._awaits_append:
            self._awaits_append = True
            append = self.record.alone()
        safe = self.stream_offset if self._is_unpromised else committed
        self.released_offset = max(self.released_offset, safe)
        while self._waiting and self._waiting[0].offset <= self.released_offset:
            self._waiting.popleft()
        return Verdict(append, self.released_offset, self._time_out(now_ms))

    @property
    def _is_unpromised(self) -> bool:
        return self.is_promise_suspended or not self.record.newest.needed

    def _time_out(self, now_ms: int) -> tuple[int, ...]:
        timed_out: tuple[int, ...] = ()
        while self._waiting and (deadline := self._waiting[0].deadline_ms) is not None and deadline <= now_ms:
            timed_out += (self._waiting.popleft().ticket,)
        return timed_out

    def _removal(self, now_ms: int) -> MemberSet | None:
        if (
            self.is_closed
            or self.record.is_joint
            or self._awaits_append
            or self.committed_offset < self.record_end
        ):
            return None
        newest = self.record.newest
        gone = sorted(member for member in newest.members if self._is_gone(member, now_ms))
        if not gone or not newest.needed or len(newest.members) == newest.needed:
            return None
        spare = len(newest.members) - newest.needed
        return MemberSet(newest.members.difference(gone[:spare]), newest.needed)

    def _is_gone(self, member: str, now_ms: int) -> bool:
        since_ms = self._members[member].gone_since_ms
        return since_ms is not None and now_ms - since_ms >= self.settings.member_timeout_ms

    def _cannot_be_kept(self, now_ms: int) -> bool:
        for index, each in enumerate(self.record.sets):
            there = sum(
                1 for member in each.members if member == self.own_id or not self._is_gone(member, now_ms)
            )
            if there < each.holders_needed(is_newest=index == 0):
                return True
        return False
