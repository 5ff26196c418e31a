"""A claim of slots whose keys are here: first our shard knows, then a majority, then they are served.

What it is: rule 23 of the acknowledgement promise, for SETSLOT NODE of an imported slot and for slots
that came as a whole; and, without slots, BUMPEPOCH as the first word of such a claim. The keys are on the
replicas already, acknowledged as they came. What it is not: the claim itself (`cluster.orders`).

0. A majority of the primaries is told that the next epoch is taken, and answers. From then on nobody
   is elected in it or a smaller one, not even if nobody heard what follows. Who cannot reach a majority
   takes no epoch: it may have an heir already, and would go above it.
1. Where `min-replicas-to-ack` is set, so many replicas are told over the bus, fsync it and answer: if
   this node died right behind its claim, its heir would have to know that the slots are theirs, or
   nobody would claim them where their keys are. Where too few answer in time nothing has changed.
2. The claim is on disk, and everybody is told.
3. Requests for these slots wait until a majority of the primaries has answered. From then on no
   replica of their former owner can be elected that does not know of the claim: the vote is refused
   to it. Before, one could be, in a partition that has this node and the giver on its smaller side,
   and what was acknowledged here would be lost. While the former owner is held for dead, one of its
   replicas is perhaps being elected, by votes from before the claim was read: its outcome is waited for,
   until those votes are over. Then we take one more epoch, above theirs, and a majority hears of it: who
   won them, and was stopped or cut off before anybody heard of it, comes back with a smaller one.
4. Where the keys came one by one the former owner knows nothing of the claim, and may take a new epoch
   at any moment, above this one. So they wait as well until it is heard without the slot. If it claims
   it by a higher epoch we go above that (`claims`), and everybody is told once more. One that is
   silent is not waited for: what it says later meets the majority.

How to read it: `SlotClaim.look` is called whenever something was heard.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.cluster import election, orders
from holdfast.cluster.effects import Then
from holdfast.cluster.model import Node
from holdfast.cluster.slots import members
from holdfast.cluster.told import Told
from holdfast.commands.parked import answer, waits_for
from holdfast.engine.blocking import park_session, unpark_session
from holdfast.engine.slots import close_slots, hold_slots, release_slots
from holdfast.engine.state import Session
from holdfast.engine.values import OK, CommandError
from holdfast.node.moments import Moments

if TYPE_CHECKING:
    from holdfast.node.cluster_orders import ClusterOrders

TOO_FEW = "NOREPLICAS Not enough replicas know that this node takes the slot."
NO_MAJORITY = "NOREPLICAS A majority of the primaries does not answer."
LOST = "ERR Another node has taken the slots meanwhile"
ASK_AGAIN_MS = 5
"""At least between two pings to a former owner that claims the slots still: it may answer before it has
read what the ping says, or wait to take a higher epoch itself."""


class SlotClaim:
    """One claim; the session that asked for it is parked until it is in force."""

    def __init__(
        self,
        side: ClusterOrders,
        session: Session,
        slots: int,
        source: Node | None,
        *,
        needed: int,
        claim: Callable[[], None],
        reply: Callable[[], object] = lambda: OK,
    ) -> None:
        """Prepare; `needed` replicas must know before `claim` claims; `reply` says it to who asked for it."""
        self._side, self._session, self._source = side, session, source
        self.slots = slots
        self._needed = needed
        self._claim, self._reply = claim, reply
        self._reserved: tuple[int, Told] | None = None
        """An epoch, and who has heard that it is taken."""
        self._shard: Told | None = None
        self._voters: Told | None = None
        """Set from the claim on."""
        self._readers: Told | None = None
        """Where the former owner is held for dead: who has read of the claim, whatever they say of it."""
        self._read_ms: int | None = None
        """When a majority had."""
        self._is_above = False
        """An epoch was taken after that, above all in which somebody may have been elected."""
        self._asked: Told | None = None
        """The former owner, whether it claims the slots still."""
        self._asked_ms = 0
        self._epoch = 0
        """The epoch of ours that they are told of."""
        self._is_written = False
        self._timer: asyncio.TimerHandle | None = None
        self._moments = Moments()
        """When it began, had an epoch, the slots were taken, it was on disk."""

    def begin(self, loop: asyncio.AbstractEventLoop, patience_s: float) -> None:
        """Reserve an epoch; park the session. Raises CommandError: it may not claim."""
        side = self._side
        self._moments.note()
        self._reserved = orders.reserve_epoch(side.view, side.now_ms()), Told()
        self._timer = loop.call_later(patience_s, self._give_up)
        side.claims.add(self)
        park_session(self._session, self, 0, self._called_off)
        loop.call_soon(side.look_at_claims)

    @property
    def is_made(self) -> bool:
        """Whether the slots are ours, though perhaps not everybody knows it."""
        return self._voters is not None

    def look(self) -> None:
        """Go on as far as it goes."""
        view = self._side.view
        if not self.is_made:
            try:
                self._go_on_to_take()
            except CommandError as error:
                self._withdraw()
                self._end(error)
                return
        if self._voters is None:
            return
        if self.slots & ~view.me.slots:
            self._end(CommandError(LOST))
            return
        if not self._is_written:
            return
        if self._epoch != view.me.config_epoch:  # it had to rise: what they were told before is not enough
            self._voters, self._epoch = Told(), view.me.config_epoch
        if self._is_known(self._voters) and not self._waits_for_source():
            self._end(self._reply())

    def cancel(self) -> None:
        """Claim no longer, unless it is done: the giver has thought better of it, or the node ends."""
        if not self.is_made:
            self._withdraw()
            self._end(CommandError(NO_MAJORITY if self._reserved is not None else TOO_FEW))

    # ---- steps ----

    def _go_on_to_take(self) -> None:
        """Reserve, tell the replicas, claim, as far as it goes. Raises CommandError: it may not."""
        view, now_ms = self._side.view, self._side.now_ms()
        if self._reserved is not None:
            if not self._may_use_epoch(*self._reserved):
                return
            self._moments.note()
            if self._needed:
                self._shard = orders.begin_claim(view, self.slots, now_ms)
        if self._shard is None or orders.claim_known(view, self._shard) >= self._needed:
            self._take()

    def _may_use_epoch(self, epoch: int, told: Told) -> bool:
        """Whether a majority knows that the reserved epoch is taken, and it is the next one that we take."""
        view, now_ms = self._side.view, self._side.now_ms()
        if not orders.voters_know(view, told, now_ms):
            return False
        if orders.use_reserved_epoch(view, epoch, now_ms):
            self._reserved = None
            return True
        self._reserved = orders.reserve_epoch(view, now_ms), Told()
        self._side.look_later()
        return False

    def _take(self) -> None:
        """Claim; serve nobody yet. Raises CommandError: nothing has changed."""
        engine, chosen = self._side.engine, list(members(self.slots))
        hold_slots(engine, chosen)
        close_slots(engine, chosen)
        try:
            self._claim()
        except CommandError:
            if self.slots & ~self._side.view.me.slots:
                release_slots(engine, chosen, True)
                raise
            # Only the file cannot be written yet: until it is, nobody hears of the claim.
        self._voters = Told()
        self._moments.note()
        self._side.view.do(Then(self._note_written))

    def _note_written(self, is_written: bool) -> None:
        self._is_written = is_written
        if is_written:
            self._moments.note()
            self._side.look_later()
        else:
            self._side.view.do(Then(self._note_written))  # the file is tried again

    def _is_known(self, told: Told) -> bool:
        """Whether a majority knows, and no replica of the former owner is elected that does not."""
        source, view, now_ms = self._source, self._side.view, self._side.now_ms()
        if source is None or not source.is_primary or not source.replicas:
            return orders.voters_know(view, told, now_ms)
        if not source.is_failed and orders.voters_know(view, told, now_ms, source):
            return True
        if not source.is_failed and not source.failure_reports:
            return False
        if not self._is_above:
            self._outlast_election()
            return False
        return orders.voters_know(view, told, now_ms)

    def _outlast_election(self) -> None:
        """Wait until votes from before the claim was read are over; then go above whoever won by them."""
        view, now_ms = self._side.view, self._side.now_ms()
        self._readers = self._readers or Told()
        if self._read_ms is None and orders.voters_know(view, self._readers, now_ms):
            self._read_ms = now_ms
        if self._read_ms is None or now_ms - self._read_ms < election.outcome_ms(view) or view.is_fenced:
            return
        with contextlib.suppress(CommandError):  # no majority in reach, or slots of ours are being claimed
            if self._reserved is None:
                self._reserved = orders.reserve_epoch(view, now_ms), Told()
            if self._may_use_epoch(*self._reserved):
                self._is_above = orders.go_above(view, now_ms)

    def _waits_for_source(self) -> bool:
        """Whether the former owner is in reach and was not heard without these slots yet; ask it again."""
        source, view, now_ms = self._source, self._side.view, self._side.now_ms()
        if source is None or not any(view.imported.get(slot) is source for slot in members(self.slots)):
            return False
        if source.is_suspect or source.is_failed:
            return False
        asked = self._asked
        if asked is None or (asked.has_answered(source) and now_ms - self._asked_ms >= ASK_AGAIN_MS):
            asked, self._asked_ms = Told(), now_ms
        asked.tell(view, [source], now_ms)
        self._asked = asked
        return True

    def _withdraw(self) -> None:
        orders.withdraw_claim(self._side.view, self.slots, self._side.now_ms())
        self._side.run_later()

    def _end(self, reply: object) -> None:
        side = self._side
        side.open_tick()
        self._over()
        if self.is_made:
            release_slots(side.engine, list(members(self.slots)), True)
            self._tell_waits()
        if waits_for(self._session, self):
            answer(self._session, reply)
            unpark_session(self._session)

    def _tell_waits(self) -> None:
        """Write to the log how long the steps of the claim took."""
        self._moments.note()
        told = self._moments.told("epoch", "shard", "disk", "majority")
        self._side.view.log(f"Claim of {self.slots.bit_count()} slots, ms: {told}", "verbose")
        self._side.run_later()

    def _over(self) -> None:
        self._side.claims.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _give_up(self) -> None:
        if not self.is_made:
            self.cancel()

    def _called_off(self, session: Session) -> None:
        """Answer a client that was told to wait no longer; what is claimed is claimed."""
        answer(session, CommandError(f"{TOO_FEW} The wait for them was ended."))
        if not self.is_made:
            self._withdraw()
            self._over()
