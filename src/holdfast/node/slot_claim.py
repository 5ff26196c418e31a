"""A slot that was imported is claimed when as many replicas know of it as a write needs.

What it is: rule 23 of the acknowledgement promise for SETSLOT NODE. The keys of the slot are on
the replicas already, acknowledged as they came; if this node died right behind its claim, its
replica would have to know that the slot is theirs, or nobody would claim it where its keys are.
So the replicas are told first, over the bus; the session that asked waits; then everybody is told.
What it is not: the claim (`cluster.orders`).

It applies where `min-replicas-to-ack` is set. Where too few replicas answer within
`min-replicas-to-ack-timeout` the order is refused, and nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.cluster import orders
from holdfast.cluster.model import View
from holdfast.commands.parked import answer, waits_for
from holdfast.engine.blocking import park_session, unpark_session
from holdfast.engine.state import Session
from holdfast.engine.values import OK, CommandError

if TYPE_CHECKING:
    from holdfast.node.server import ServerNode

TOO_FEW = "NOREPLICAS Not enough replicas know that this node takes the slot."


class SlotClaim:
    """One SETSLOT NODE that waits for replicas."""

    def __init__(
        self,
        node: ServerNode,
        view: View,
        session: Session,
        slot: int,
        claim: Callable[[], None],
        over: Callable[[SlotClaim], None],
    ) -> None:
        """Tell the replicas; `claim` claims, `over` hears of the end in any case. Raises `CommandError`."""
        self._node, self._view, self._session, self._slot = node, view, session, slot
        self._claim, self._over = claim, over
        self._needed: int = node.configuration["min-replicas-to-ack"]
        self._asked = orders.begin_claim(view, slot, node.host.clock.boot_us() // 1000)
        wait_s = node.configuration["min-replicas-to-ack-timeout"] / 1000
        self._timer = node.loop.call_later(wait_s, self._give_up)
        park_session(session, self, 0, self._called_off)

    def look(self) -> None:
        """Claim, if enough replicas know."""
        if orders.claim_known(self._view, self._asked) < self._needed:
            return
        self.cancel()
        try:
            self._claim()
        except CommandError as error:
            self._answer(error)
        else:
            self._answer(OK)

    def cancel(self) -> None:
        """Claim it no longer."""
        self._timer.cancel()
        orders.withdraw_claim(self._view, self._slot)
        self._over(self)

    def _give_up(self) -> None:
        self.cancel()
        self._answer(CommandError(TOO_FEW))

    def _answer(self, reply: object) -> None:
        if not self._node.engine.tick_open:
            self._node.open_tick()
        if waits_for(self._session, self):
            answer(self._session, reply)
            unpark_session(self._session)

    def _called_off(self, session: Session) -> None:
        """Answer a client that was told to wait no longer."""
        answer(session, CommandError(f"{TOO_FEW} The wait for them was ended."))
        self.cancel()
