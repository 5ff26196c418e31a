"""FAILOVER: a hand-over that the primary itself carries out, as a state machine.

What this is: the arguments (TO host port, FORCE, TIMEOUT ms, ABORT), what is refused in
which words, and the machine: wait until a replica holds everything while writes are
paused, then hand over.

What this is not: a proof of safety. On a managed node the leader gives an epoch
first, and the hand-over ends with this node stopped and fenced; the leader then
fences the members and promotes the target by the common rule (`promotion`). Two
nodes that agree alone on a hand-over could be outrun by another leader's fence.
FORCE is outside the promise.

How to read it: `parse_failover`, `Phase`, then `FailoverMachine`, one method an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

SYNTAX = "ERR syntax error"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
TIMEOUT_NOT_POSITIVE = "ERR FAILOVER timeout must be greater than 0"
NONE_IN_PROGRESS = "ERR No failover in progress."
IN_PROGRESS = "ERR FAILOVER already in progress."
IS_REPLICA = "ERR FAILOVER is not valid when server is a replica."
NO_REPLICAS = "ERR FAILOVER requires connected replicas."
FORCE_NEEDS_BOTH = "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
NOT_A_REPLICA = "ERR FAILOVER target HOST and PORT is not a replica."
NOT_ONLINE = "ERR FAILOVER target replica is not online."

_LONG_MAX = (1 << 63) - 1


class FailoverRefused(Exception):
    """The error text to send, without the minus sign."""


@dataclass(frozen=True, slots=True)
class FailoverRequest:
    """The command's arguments. `timeout_ms` 0: wait for ever."""

    host: str = ""
    port: int = 0
    timeout_ms: int = 0
    force: bool = False
    abort: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A replica as FAILOVER sees it."""

    host: str
    port: int
    acknowledged_offset: int
    is_online: bool


class Phase(Enum):
    """Where a hand-over stands; the value is INFO's `master_failover_state`."""

    NONE = "no-failover"
    WAITING_FOR_SYNC = "waiting-for-sync"
    IN_PROGRESS = "failover-in-progress"


class Act(Enum):
    """What to do, in order."""

    PAUSE_WRITES = "pause writes"
    RESUME_WRITES = "resume writes"
    BECOME_REPLICA_OF_TARGET = "become replica of target, PSYNC with FAILOVER"
    BECOME_PRIMARY_AGAIN = "become primary again"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Acts in order, and a line for the log."""

    acts: tuple[Act, ...] = ()
    log: str = ""


def parse_failover(arguments: Sequence[str]) -> FailoverRequest:
    """Read the words after FAILOVER. Raises FailoverRefused."""
    if len(arguments) == 1 and arguments[0].lower() == "abort":
        return FailoverRequest(abort=True)
    host, port, timeout_ms, force = "", 0, 0, False
    rest = list(arguments)
    while rest:
        word = rest.pop(0).lower()
        if word == "timeout" and rest and not timeout_ms:
            timeout_ms = _integer(rest.pop(0))
            if timeout_ms <= 0:
                raise FailoverRefused(TIMEOUT_NOT_POSITIVE)
        elif word == "to" and len(rest) >= 2 and not host:
            host, port = rest.pop(0), _integer(rest.pop(0))
        elif word == "force" and not force:
            force = True
        else:
            raise FailoverRefused(SYNTAX)
    return FailoverRequest(host, port, timeout_ms, force)


class FailoverMachine:
    """The hand-over of one node. Invariant: writes are paused in every phase but NONE."""

    def __init__(self) -> None:
        self.phase = Phase.NONE
        self.target: tuple[str, int] | None = None
        self._force = False
        self._deadline_ms: int | None = None

    def begin(
        self, request: FailoverRequest, is_replica: bool, replicas: Sequence[Target], now_ms: int
    ) -> Outcome:
        """Start a hand-over, or abort one. Raises FailoverRefused with the error to send."""
        if request.abort:
            if self.phase is Phase.NONE:
                raise FailoverRefused(NONE_IN_PROGRESS)
            return self.abort("Failover manually aborted")
        if self.phase is not Phase.NONE:
            raise FailoverRefused(IN_PROGRESS)
        if is_replica:
            raise FailoverRefused(IS_REPLICA)
        if not replicas:
            raise FailoverRefused(NO_REPLICAS)
        if request.force and not (request.timeout_ms and request.host):
            raise FailoverRefused(FORCE_NEEDS_BOTH)
        if request.host:
            named = _find(replicas, (request.host, request.port))
            if named is None:
                raise FailoverRefused(NOT_A_REPLICA)
            if not named.is_online:
                raise FailoverRefused(NOT_ONLINE)
            self.target = (request.host, request.port)
        self.phase = Phase.WAITING_FOR_SYNC
        self._force = request.force
        self._deadline_ms = now_ms + request.timeout_ms if request.timeout_ms else None
        return Outcome((Act.PAUSE_WRITES,), f"FAILOVER requested to {self._name()}.")

    def check(self, replicas: Sequence[Target], stream_offset: int, now_ms: int) -> Outcome:
        """Look again, after an acknowledgement or as time passes."""
        if self.phase is not Phase.WAITING_FOR_SYNC:
            return Outcome()
        if self._deadline_ms is not None and now_ms >= self._deadline_ms:
            if not self._force:
                return self.abort("Replica never caught up before timeout")
            return self._hand_over(f"FAILOVER to {self._name()} time out exceeded, failing over.")
        wanted = (
            replicas
            if self.target is None
            else [each for each in replicas if (each.host, each.port) == self.target]
        )
        for each in wanted:
            if each.is_online and each.acknowledged_offset == stream_offset:
                self.target = (each.host, each.port)
                return self._hand_over(f"Failover target {self._name()} is synced, failing over.")
        return Outcome()

    def target_accepted(self) -> Outcome:
        """Note that the target answered the PSYNC with FAILOVER: it leads now."""
        if self.phase is not Phase.IN_PROGRESS:
            return Outcome()
        self._clear()
        return Outcome((Act.RESUME_WRITES,), "Failover done, this node is a replica now")

    def target_refused(self, reason: str = "Failover target rejected psync request") -> Outcome:
        """Note that the target cannot be reached or answered with an error."""
        return self.abort(reason) if self.phase is Phase.IN_PROGRESS else Outcome()

    def abort(self, reason: str) -> Outcome:
        """Give up: lead on as before."""
        was, name = self.phase, self._name()
        if was is Phase.NONE:
            return Outcome()
        self._clear()
        again = (Act.BECOME_PRIMARY_AGAIN,) if was is Phase.IN_PROGRESS else ()
        return Outcome((*again, Act.RESUME_WRITES), f"FAILOVER to {name} aborted: {reason}")

    def _hand_over(self, log: str) -> Outcome:
        self.phase = Phase.IN_PROGRESS
        return Outcome((Act.BECOME_REPLICA_OF_TARGET,), log)

    def _clear(self) -> None:
        self.phase, self.target, self._force, self._deadline_ms = Phase.NONE, None, False, None

    def _name(self) -> str:
        return "any replica" if self.target is None else f"{self.target[0]}:{self.target[1]}"


def _find(replicas: Sequence[Target], address: tuple[str, int]) -> Target | None:
    return next((each for each in replicas if (each.host, each.port) == address), None)


def _integer(text: str) -> int:
    digits = text[1:] if text.startswith("-") else text
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 19 or abs(int(text)) > _LONG_MAX:
        raise FailoverRefused(NOT_AN_INTEGER)
    return int(text)
