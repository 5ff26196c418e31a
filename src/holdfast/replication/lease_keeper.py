"""The lease carried out: writes wait, are refused, or their replies are held.

What this is: the acting half of `lease` and `replica_grants`. Before anything of a tick runs
the clock is looked at; without a lease writes wait for `lease-hold-ms`, then they are refused
(-NOLEASE: certainly not executed). After it ran the clock is looked at again: if the lease
ended meanwhile the replies are held until there is a new one of the same epoch, or the time
is over (-NOACK: the outcome is unknown). What this is not: the decisions.

How to read it: the hot ends are `lease_watch`, one clock each; `look` is the whole state machine;
then the grants.

Where `min-replicas-to-ack` proves each write by itself the lease is not asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from holdfast.engine import effects, held
from holdfast.engine.values import CommandError
from holdfast.replication.attachments import Stage
from holdfast.replication.lease import GrantError, Lease
from holdfast.replication.lease_watch import LeaseWatch
from holdfast.replication.ports import Node, Session
from holdfast.replication.remote_replica import RemoteReplica
from holdfast.replication.replica_grants import Promise, ReplicaGrants
from holdfast.replication.stream import Stream
from holdfast.server.pauses import FOR_EVER_MS, LEASE

NO_LEASE = b"NOLEASE too few Sentinels let this primary take writes; the command was not executed"
LAPSED = b"-NOACK The lease ran out before the reply could leave. The outcome of the request is unknown.\r\n"
GUARD_LOADING, GUARD_REPLICA, GUARD_MISCONF = 1 << 0, 1 << 2, 1 << 3
GUARD_BUSY, GUARD_GATED = 1 << 8, 1 << 11
LEAVING, UNWELL = 2, 4
"""What the node says of itself with its answer to a grant, beside 0 and 1: whether it has its lease."""
PROBE_BELOW = 0.35
"""Replicas are asked when less than this part of a lease is left: Sentinels renew it long before."""


class Side(Protocol):
    """What the keeper asks of replication."""

    @property
    def epoch(self) -> int:
        """The epoch that the node leads or follows in."""
        ...

    @property
    def leads(self) -> bool:
        """Whether it is a primary that may take writes."""
        ...

    @property
    def writes_prove_themselves(self) -> bool:
        """Whether acknowledgements of members stand behind every write."""
        ...

    def lease_changed(self) -> None:
        """`refusal` says something else now."""
        ...

    @property
    def node_id(self) -> str:
        """The node's durable name."""
        ...

    def under_lease(self, is_so: bool) -> None:
        """A lease is in force: from now on a restart must be confirmed by a leader. Or it is no more."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    ticket: int
    epoch: int
    sessions: list[Session]


class LeaseKeeper(LeaseWatch):
    """The lease of one node in motion."""

    def __init__(self, node: Node, stream: Stream, side: Side) -> None:
        self._node, self._stream, self._side = node, stream, side
        self._clock = node.host.clock
        self.lease = Lease(node.run_id)
        self.grants = ReplicaGrants()
        self.promise = Promise(self._clock.boot_us())
        self._nodes_told: dict[str, frozenset[str]] = {}
        self._managers: set[Session] = set()
        self._missing_since_us = 0
        self._is_refusing = False
        self._ticket = 0
        self._held: list[_Held] = []
        self._timer: asyncio.TimerHandle | None = None
        self.is_leaving = False
        """The node is about to shut down: whoever grants is told with the next answer."""
        self.unknown_outcomes = 0
        """Replies that became -NOACK since the start."""

    @property
    def refusal(self) -> bytes | None:
        """Why a write may not run, None if it may (or waits)."""
        return NO_LEASE if self._is_refusing else None

    @property
    def may_write(self) -> bool:
        """Whether a write would run now."""
        if not self.is_watched:
            return True
        return self._clock.boot_us() < self.sure_until_us or self._side.writes_prove_themselves

    @property
    def word(self) -> str:
        """The lease as INFO tells it: off, held or lost."""
        if not self.is_watched:
            return "off"
        return "held" if self.may_write else "lost"

    # ---- having it or not ----

    def refresh(self) -> None:
        """Follow a change of role, of the configuration or of the list."""
        lease, engine = self.lease, self._node.engine
        is_wanted = self._node.configuration["primary-lease-ms"] != 0
        watched = self._side.leads and lease.is_on and is_wanted
        self.sure_until_us = max(lease.ends_us, self.grants.ends_us)
        if watched and not self.is_watched:
            self.is_watched, self.dirty = True, engine.dirty
            self._side.under_lease(True)
        elif not watched and self.is_watched:
            self.is_watched = False
            self._regained()
            if self._side.leads:
                self._side.under_lease(False)
        if self.is_watched:
            self.look()

    def look(self) -> None:
        """Go where the clock says: held, missing (writes wait), refusing."""
        now_us = self._clock.boot_us()
        if now_us < self.sure_until_us or self._side.writes_prove_themselves:
            if self.is_missing:
                self._node.log.notice("The lease is back: writes go on")
                self._regained()
            return
        hold_us = self._node.configuration["lease-hold-ms"] * 1000
        if not self.is_missing:
            self.is_missing, self._missing_since_us = True, now_us
            self.has_lapsed = self._node.engine.dirty != self.dirty  # it was written to in this tick
            self._node.client_pauses.begin(LEASE, FOR_EVER_MS, everything=False)
            self._wake_after(hold_us)
        if not self._is_refusing and now_us - self._missing_since_us >= hold_us:
            self._node.log.warning("No lease: writes are refused until most Sentinels grant one")
            self._is_refusing = True
            self._side.lease_changed()
            self.fail_held()
            self._node.client_pauses.end(LEASE)

    def _regained(self) -> None:
        if not self.is_missing:
            return
        self.is_missing = self._is_refusing = False
        self._cancel()
        self._side.lease_changed()
        kept, self._held = self._held, []
        for each in kept:
            self._let_go(each, each.epoch == self._side.epoch and self._side.leads)
        self._node.client_pauses.end(LEASE)

    def _wake_after(self, hold_us: int) -> None:
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(hold_us / 1e6 + 0.001, self._time_is_over)

    def _time_is_over(self) -> None:
        self._timer = None
        self._in_tick()
        if self.is_missing and not self._is_refusing:
            self.look()
            if self.is_missing and not self._is_refusing:  # the loop's clock ran ahead
                self._wake_after(1000)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """End: nothing is granted or held any more."""
        self._cancel()
        self.fail_held()

    # ---- replies without a lease ----

    def hold_replies(self) -> None:
        """Let the replies of this tick wait for a new lease, or for the end of the time."""
        engine = self._node.engine
        if engine.guard & GUARD_GATED:  # the gate has marks of its own: close rather than mix them
            for session in list(engine.pending):
                if session not in self._managers and hasattr(session.owner, "abort"):
                    session.owner.abort()
            return
        held.hold_unsent(engine, self._managers)
        self._ticket += 1
        sessions = held.settle_held(engine, self._ticket)
        self._held.append(_Held(self._ticket, self._side.epoch, sessions))

    def fail_held(self) -> None:
        """Tell who waits that the outcome is unknown."""
        kept, self._held = self._held, []
        for each in kept:
            self._let_go(each, False)

    def _let_go(self, entry: _Held, is_good: bool) -> None:
        self._in_tick()
        for session in entry.sessions:
            if is_good:
                held.release_held(session, entry.ticket)
            else:
                self.unknown_outcomes += held.fail_held(session, entry.ticket, LAPSED)

    def _in_tick(self) -> None:
        if not self._node.engine.tick_open:
            self._node.open_tick()

    # ---- grants ----

    def grant(self, session: Session, words: list[bytes]) -> object:
        """HOLDFAST LEASE: take a grant; answer with what the next one must carry, and the list."""
        side, lease, now_us = self._side, self.lease, self._clock.boot_us()
        try:
            nodes = lease.hear(words, side.epoch, side.leads, now_us)
        except GrantError as error:
            raise CommandError(str(error)) from None
        self._managers.add(session)
        if nodes is not None:
            self._nodes_told[words[0].decode("latin-1")] = nodes
            self.refresh()
        elif self.is_missing:
            self.refresh()
        else:  # nothing but the end can have changed, and the tick has looked at the clock when it began
            self.sure_until_us = max(lease.ends_us, self.grants.ends_us)
        voters, state = lease.voters, LEAVING if self.is_leaving else int(self.may_write)
        if self._is_unwell:
            state |= UNWELL
        numbers = (side.epoch, state, voters.epoch, voters.step)
        return [now_us, self._node.run_id, *numbers, *sorted(voters.ids)]

    @property
    def _is_unwell(self) -> bool:
        """Whether a PING would be answered with other words than PONG: the Sentinels are to hear them."""
        guard = self._node.engine.guard
        fails_writes = guard & (GUARD_MISCONF | GUARD_REPLICA) == GUARD_MISCONF
        return bool(guard & (GUARD_LOADING | GUARD_BUSY)) or fails_writes

    @property
    def has_managers(self) -> bool:
        """Whether Sentinels of ours watch this node."""
        return bool(self._managers)

    def is_manager(self, session: Session) -> bool:
        """Tell whether a Sentinel that grants is at the other end."""
        return session in self._managers

    def session_closed(self, session: Session) -> None:
        """Forget a connection."""
        self._managers.discard(session)

    def acknowledged(self, replica: RemoteReplica) -> None:
        """Note what a replica has applied: a probe in it is a grant."""
        if self.is_watched and replica.stage is Stage.ONLINE:
            known = replica.attachment
            if self.grants.acknowledged(known.node_id, known.acknowledged_offset):
                self._settle_replicas()

    def every_beat(self) -> None:
        """Ask the replicas when the Sentinels have not renewed the lease for long."""
        if not self.is_watched:
            return
        lease_ms = self.lease.lease_ms
        left_us = self.lease.ends_us - self._clock.boot_us()
        if left_us < lease_ms * 1000 * PROBE_BELOW and self._stream.replicas:
            self._probe(lease_ms)
        self._settle_replicas()

    def _probe(self, lease_ms: int) -> None:
        node, text = self._node, str(lease_ms).encode()
        ends_us = self._clock.boot_us() + lease_ms * 1000
        probe = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$%d\r\n%s\r\n" % (len(text), text)
        node.deliver_effects()
        effects.append_command(node.engine, probe)
        node.deliver_effects()
        self.grants.probed(self._stream.offset, ends_us)

    def _settle_replicas(self) -> None:
        attached = [each.attachment.node_id for each in self._stream.replicas if each.stage is Stage.ONLINE]
        self.grants.settle(self._could_lead() if self.grants.are_there else None, attached)
        self.refresh()

    def _could_lead(self) -> frozenset[str] | None:
        """Return all others whom the voters could promote; None: that is not known."""
        told = [self._nodes_told.get(each, frozenset()) for each in self.lease.voters.ids]
        could_lead = frozenset().union(*told) - {self._side.node_id} if told and all(told) else None
        return None if could_lead is not None and "?" in could_lead else could_lead

    def asked_by_primary(self, words: bytes) -> None:
        """REPLCONF GETACK: with a number the acknowledgement is a grant for so many milliseconds."""
        if words.isdigit() and len(words) < 6:
            self.promise.given(int(words), self._clock.boot_us())

    def promised_ms(self) -> int:
        """Return for how long this node must not lead."""
        return self.promise.left_ms(self.lease.lease_ms, self._clock.boot_us())

    def drop(self) -> None:
        """The node leads no more: forget all grants, answer what is held.

        What waits for a lease runs again with the next `refresh`: not before the node's new
        standing refuses it.
        """
        self.end_tick()  # what this tick wrote without a lease is not acknowledged by the change of roles
        self.lease.drop()
        self.grants.drop()
        self.sure_until_us = 0
        self.fail_held()
