"""Pauses: times in which clients, or only their writes, have to wait.

CLIENT PAUSE is one purpose; a failover, a shutdown and a lost lease have theirs. The engine's
guard is up while any pause is in force, so that nobody else pays for the
question. What waits runs again when the last pause ends.

How to read it: `Pauses.begin` and `end`; `holds` is what the engine asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.engine import blocking, sessions

if TYPE_CHECKING:
    import asyncio

    from holdfast.server.node import Node

CLIENT_COMMAND = "client"
FAILOVER = "failover"
SHUTDOWN = "shutdown"
LEASE = "lease"
FOR_EVER_MS = 1 << 62


@dataclass(frozen=True)
class Pause:
    """One pause: until when (milliseconds since 1970), and whether reads wait too."""

    until_ms: int
    everything: bool


class Pauses:
    """The pauses of one node, one a purpose."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._in_force: dict[str, Pause] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, purpose: str, until_ms: int, everything: bool) -> None:
        """Pause; a client's pause of everything is not weakened by a later one for writes."""
        before = self._in_force.get(purpose)
        if before is not None and before.everything and purpose == CLIENT_COMMAND:
            everything = everything or before.until_ms > self._node.engine.now_ms
        self._in_force[purpose] = Pause(until_ms, everything)
        self._node.engine.guard |= sessions.ENGINE_PAUSED
        self._watch()

    def end(self, purpose: str) -> None:
        """End the pause of a purpose; what waited runs when no other holds it."""
        self._in_force.pop(purpose, None)
        self._settle()

    def holds(self, writes: bool, passed_over: str = "") -> bool:
        """Whether a request has to wait now; the pause of the purpose `passed_over` does not count."""
        now_ms = self._node.engine.now_ms
        return any(
            pause.until_ms > now_ms and (pause.everything or writes) and purpose != passed_over
            for purpose, pause in self._in_force.items()
        )

    def __bool__(self) -> bool:
        """Whether any pause is in force: nothing expires or is evicted meanwhile."""
        return self.holds(True)

    def cancel(self) -> None:
        """Forget the timer (the node stops)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        self.cancel()
        ends = [pause.until_ms for pause in self._in_force.values() if pause.until_ms < FOR_EVER_MS]
        if ends:
            wait_ms = min(ends) - self._node.engine.now_ms
            self._timer = self._node.loop.call_later(max(wait_ms, 0) / 1000, self._time_is_over)

    def _time_is_over(self) -> None:
        self._timer = None
        node = self._node
        if not node.engine.tick_open:
            node.open_tick()
        self._settle()

    def _settle(self) -> None:
        now_ms = self._node.engine.now_ms
        self._in_force = {
            purpose: pause for purpose, pause in self._in_force.items() if pause.until_ms > now_ms
        }
        if not self._in_force:
            self._node.engine.guard &= ~sessions.ENGINE_PAUSED
        self._watch()
        blocking.resume_paused(self._node.engine)
