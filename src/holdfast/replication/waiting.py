"""WAIT and WAITAOF: clients that wait for replicas.

What this is: the parked sessions, whom an acknowledgement may free, and the one GETACK a
tick that asks replicas to acknowledge now. What it is not: the gate, which holds
replies of writes by itself.

How to read it: `wait` and `wait_aof` park, `look` frees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.engine import blocking, effects
from holdfast.engine.reply import send_value
from holdfast.engine.values import NO_REPLY, CommandError
from holdfast.replication.attachments import Stage, holders_of
from holdfast.replication.ports import Node, Session
from holdfast.replication.stream import Stream
from holdfast.replication.tick import Waits

S_BLOCKED = 1 << 2
S_DENY_BLOCKING = 1 << 13
GETACK = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"
ON_A_REPLICA = (
    "ERR {} cannot be used with replica instances. Please also note that "
    "{}writes to replicas are just local and are not propagated."
)
NO_AOF = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
LONG_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """A parked session and what it waits for."""

    session: Session
    offset: int
    replicas: int
    local: int | None
    """None: WAIT; else how many local AOFs WAITAOF asks for."""


class Waiting(Waits):
    """The sessions that wait for acknowledgements."""

    def __init__(self, node: Node, stream: Stream) -> None:
        self._node = node
        self._stream = stream
        self.fsynced: Callable[[], int | None] = lambda: None
        """Tells up to where the own AOF is on stable storage; None without AOF."""

    # ---- the commands ----

    def wait(self, session: Session, arguments: list[bytes]) -> object:
        """WAIT numreplicas timeout."""
        if self._stream.is_forwarding:
            more = "if a replica is configured to be writable (which is not the default) "
            raise CommandError(ON_A_REPLICA.format("WAIT", more))
        replicas = _integer(arguments[1])
        until_ms = self._until(arguments[2])
        reached = self._holders(session.last_write_offset)
        if reached >= replicas or session.flags & S_DENY_BLOCKING:
            return reached
        return self._park(Waiter(session, session.last_write_offset, replicas, None), until_ms)

    def wait_aof(self, session: Session, arguments: list[bytes]) -> object:
        """WAITAOF numlocal numreplicas timeout."""
        local = _integer(arguments[1])
        if not 0 <= local <= 1:
            raise CommandError("ERR value is out of range, value must between 0 and 1")
        try:
            replicas = _integer(arguments[2])
        except CommandError:
            replicas = -1
        if replicas < 0:
            raise CommandError("ERR value is out of range, must be positive")
        until_ms = self._until(arguments[3])
        if self._stream.is_forwarding:
            raise CommandError(ON_A_REPLICA.format("WAITAOF", ""))
        if local and self.fsynced_offset is None:
            raise CommandError(NO_AOF)
        waiter = Waiter(session, session.last_write_offset, replicas, local)
        if self._is_served(waiter) or session.flags & S_DENY_BLOCKING:
            return self._answer(waiter)
        return self._park(waiter, until_ms)

    def _until(self, text: bytes) -> int:
        try:
            timeout_ms = int(text) if text.strip() == text and b"_" not in text else None
        except ValueError:
            timeout_ms = None
        if timeout_ms is None or abs(timeout_ms) > LONG_MAX:
            raise CommandError("ERR timeout is not an integer or out of range")
        if timeout_ms < 0:
            raise CommandError("ERR timeout is negative")
        if timeout_ms > LONG_MAX - self._node.engine.now_ms:
            raise CommandError("ERR timeout is out of range")
        return int(self._node.engine.now_ms) + timeout_ms if timeout_ms else 0

    def _park(self, waiter: Waiter, until_ms: int) -> object:
        self.waiters.append(waiter)
        self.wants_acknowledgement = True
        blocking.park_session(waiter.session, "wait", until_ms, self._timed_out)
        return NO_REPLY

    @property
    def fsynced_offset(self) -> int | None:
        """Up to where the own AOF is on stable storage; None without AOF."""
        return self.fsynced()

    # ---- acknowledgements ----

    def ask(self) -> None:
        """Ask all replicas to acknowledge, once a tick."""
        self.wants_acknowledgement = False
        if any(each.stage is Stage.ONLINE for each in self._stream.replicas):
            effects.append_command(self._node.engine, GETACK)

    def look(self) -> None:
        """Free those whose replicas have acknowledged; must run inside a tick."""
        kept = []
        for each in self.waiters:
            if not each.session.flags & S_BLOCKED:
                continue
            if self._is_served(each):
                send_value(each.session, self._answer(each))
                blocking.unpark_session(each.session)
            else:
                kept.append(each)
        self.waiters = kept

    def end_all(self, error: str) -> None:
        """End every wait with an error (this node became a replica)."""
        waiters, self.waiters = self.waiters, []
        for each in waiters:
            if each.session.flags & S_BLOCKED:
                send_value(each.session, CommandError(error))
                blocking.unpark_session(each.session)

    def _timed_out(self, session: Session) -> None:
        for each in self.waiters:
            if each.session is session:
                self.waiters.remove(each)
                send_value(session, self._answer(each))
                return

    def _holders(self, offset: int) -> int:
        return holders_of((each.attachment for each in self._stream.replicas), offset)

    def _fsynced(self, offset: int) -> int:
        return sum(
            1
            for each in self._stream.replicas
            if each.stage is Stage.ONLINE and each.fsynced_offset >= offset
        )

    def _is_local(self, offset: int) -> int:
        fsynced = self.fsynced_offset
        return int(fsynced is not None and fsynced >= offset)

    def _is_served(self, waiter: Waiter) -> bool:
        if waiter.local is None:
            return self._holders(waiter.offset) >= waiter.replicas
        return (
            self._fsynced(waiter.offset) >= waiter.replicas and self._is_local(waiter.offset) >= waiter.local
        )

    def _answer(self, waiter: Waiter) -> object:
        if waiter.local is None:
            return self._holders(waiter.offset)
        return [self._is_local(waiter.offset), self._fsynced(waiter.offset)]


def _integer(text: bytes) -> int:
    try:
        value = int(text)
    except ValueError:
        value = LONG_MAX + 1
    if abs(value) > LONG_MAX or text.strip() != text or b"_" in text:
        raise CommandError("ERR value is not an integer or out of range")
    return value
