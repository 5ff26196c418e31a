"""The replica's handshake: from a connection to a stream, as a state machine.

What this is: the order of PING, AUTH, REPLCONF, the attachment of our own nodes and
PSYNC; which replies are errors and which are passed over. Replies go in,
commands come out. One machine serves one connection.

What this is not: sockets, time-outs (the plumbing closes the link after
`repl-timeout`), or the loading of the snapshot.

How to read it: `State`, then `_TRANSITIONS`, which is the whole machine; the handlers
below say what a reply means in their state. The payload header is `read_payload_header`.

A primary that does not know a REPLCONF option answers an error that is passed over,
as is the error of a stock primary to HOLDFAST ATTACH. -FENCED is not: its sender is
one of ours and tells that this node must not follow it. A primary that cannot save
answers -MISCONF to PING, and serves its replicas nevertheless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from holdfast.replication.history import History, PsyncAnswer, PsyncReply, psync_request, read_psync_reply


class State(Enum):
    """Where a link stands."""

    CONNECTING = "connecting"
    PING = "ping"
    AUTH = "auth"
    LISTENING_PORT = "listening-port"
    IP_ADDRESS = "ip-address"
    CAPABILITIES = "capabilities"
    VERSION = "version"
    ATTACH = "attach"
    PSYNC = "psync"
    SYNC_HEADER = "snapshot header"
    SNAPSHOT = "snapshot"
    STREAMING = "streaming"
    FAILED = "failed"


class Event(Enum):
    """What can happen to a link."""

    CONNECTED = "connected"
    LINE = "line"
    SNAPSHOT_LOADED = "snapshot loaded"
    CLOSED = "closed"


class IllegalEvent(RuntimeError):
    """The event does not belong to the state: a fault of the caller, not of the peer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the replica says of itself."""

    listening_port: int
    version: str
    announce_ip: str = ""
    user: str = ""
    password: str = ""
    attach: tuple[bytes, ...] = ()
    """The HOLDFAST ATTACH command; empty: do not ask whether the primary is one of ours."""
    history: History | None = None
    """What to continue; None asks for a full resync."""
    is_failover: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send this command."""

    words: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    """The primary is one of ours and answered ATTACH with this text."""

    text: str


@dataclass(frozen=True, slots=True)
class BeginSnapshot:
    """The payload follows: a number of bytes, or all up to an end mark."""

    size_bytes: int | None
    end_mark: bytes


@dataclass(frozen=True, slots=True)
class PsyncAnswered:
    """The primary's answer to PSYNC: take over or go on with the history it names."""

    reply: PsyncReply


@dataclass(frozen=True, slots=True)
class BeginStream:
    """From here on the connection carries the stream."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Close the link and try again later; the text goes to the log."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log that changes nothing."""

    text: str


Output = Send | Attached | PsyncAnswered | BeginSnapshot | BeginStream | Failed | Note

END_MARK_LENGTH = 40


def read_payload_header(line: str) -> BeginSnapshot | None:
    """Read "$<size>" or "$EOF:<mark>", the line before a snapshot; None if it is neither."""
    if line.startswith("$EOF:"):
        mark = line[5:]
        return BeginSnapshot(None, mark.encode("latin-1")) if len(mark) == END_MARK_LENGTH else None
    size = line[1:]
    return BeginSnapshot(int(size), b"") if line[:1] == "$" and size.isdecimal() and len(size) < 20 else None


class Handshake:
    """One link's machine. `state` tells where it stands; `handle` takes every event."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = State.CONNECTING
        self._steps = self._commands()

    def handle(self, event: Event, line: str = "") -> tuple[Output, ...]:
        """Take an event (LINE: the reply without line end), return what to do. Raises IllegalEvent."""
        handler = _TRANSITIONS.get((self.state, event))
        if handler is None:
            raise IllegalEvent(f"{event.value} while {self.state.value}")
        return handler(self, line)

    def _commands(self) -> list[tuple[State, tuple[bytes, ...]]]:
        given = self.settings
        user = (given.user.encode(),) if given.user else ()
        steps: list[tuple[State, tuple[bytes, ...]]] = [(State.PING, (b"PING",))]
        if given.password:
            steps.append((State.AUTH, (b"AUTH", *user, given.password.encode())))
        port = str(given.listening_port).encode()
        steps.append((State.LISTENING_PORT, (b"REPLCONF", b"listening-port", port)))
        if given.announce_ip:
            steps.append((State.IP_ADDRESS, (b"REPLCONF", b"ip-address", given.announce_ip.encode())))
        steps.append((State.CAPABILITIES, (b"REPLCONF", b"capa", b"eof", b"capa", b"psync2")))
        steps.append((State.VERSION, (b"REPLCONF", b"version", given.version.encode())))
        if given.attach:
            steps.append((State.ATTACH, given.attach))
        steps.append((State.PSYNC, psync_request(given.history, given.is_failover)))
        return steps

    def _next(self) -> tuple[Output, ...]:
        self.state, words = self._steps.pop(0)
        return (Send(words),)

    def _fail(self, text: str) -> tuple[Output, ...]:
        self.state = State.FAILED
        return (Failed(text),)

    def _connected(self, line: str) -> tuple[Output, ...]:
        return self._next()

    def _ping_answered(self, line: str) -> tuple[Output, ...]:
        passed_over = ("+", "-NOAUTH", "-NOPERM", "-ERR operation not permitted", "-MISCONF")
        return (
            self._next()
            if line.startswith(passed_over)
            else self._fail(f"Error reply to PING: {line[:200]!r}")
        )

    def _auth_answered(self, line: str) -> tuple[Output, ...]:
        return self._fail(f"Unable to AUTH to the primary: {line[:200]}") if line[:1] != "+" else self._next()

    def _option_answered(self, line: str) -> tuple[Output, ...]:
        if line.startswith("-"):
            return (
                Note(f"the primary does not take REPLCONF {self.state.value}: {line[:200]}"),
                *self._next(),
            )
        return (
            self._next()
            if line.startswith("+")
            else self._fail(f"Unexpected reply to REPLCONF: {line[:200]!r}")
        )

    def _attach_answered(self, line: str) -> tuple[Output, ...]:
        if line.startswith("-FENCED"):
            return self._fail(f"The primary may not be followed: {line[:200]}")
        if line.startswith("+"):
            return (Attached(line[1:]), *self._next())
        return (Note("the primary is a stock one"), *self._next())

    def _psync_answered(self, line: str) -> tuple[Output, ...]:
        if not line:  # the primary sends empty lines while it prepares, to keep the link alive
            return ()
        reply = read_psync_reply(line)
        if reply.answer is PsyncAnswer.CONTINUE:
            self.state = State.STREAMING
            return (PsyncAnswered(reply), BeginStream())
        if reply.answer is PsyncAnswer.FULL:
            self.state = State.SYNC_HEADER
            return (PsyncAnswered(reply),)
        if reply.answer is PsyncAnswer.NOT_SUPPORTED and not self.settings.is_failover:
            self.state = State.SYNC_HEADER
            return (PsyncAnswered(reply), Send((b"SYNC",)))
        return self._fail(f"The primary cannot serve PSYNC now: {line[:200]}")

    def _header_read(self, line: str) -> tuple[Output, ...]:
        if not line:
            return ()
        header = read_payload_header(line)
        if header is None:
            return self._fail(f"Bad protocol from the primary, no snapshot header: {line[:200]!r}")
        self.state = State.SNAPSHOT
        return (header,)

    def _loaded(self, line: str) -> tuple[Output, ...]:
        self.state = State.STREAMING
        return (BeginStream(),)

    def _closed(self, line: str) -> tuple[Output, ...]:
        return self._fail(f"Connection with the primary lost while {self.state.value}")


_Handler = Callable[[Handshake, str], tuple[Output, ...]]

_TRANSITIONS: dict[tuple[State, Event], _Handler] = {
    (State.CONNECTING, Event.CONNECTED): Handshake._connected,
    (State.PING, Event.LINE): Handshake._ping_answered,
    (State.AUTH, Event.LINE): Handshake._auth_answered,
    (State.LISTENING_PORT, Event.LINE): Handshake._option_answered,
    (State.IP_ADDRESS, Event.LINE): Handshake._option_answered,
    (State.CAPABILITIES, Event.LINE): Handshake._option_answered,
    (State.VERSION, Event.LINE): Handshake._option_answered,
    (State.ATTACH, Event.LINE): Handshake._attach_answered,
    (State.PSYNC, Event.LINE): Handshake._psync_answered,
    (State.SYNC_HEADER, Event.LINE): Handshake._header_read,
    (State.SNAPSHOT, Event.SNAPSHOT_LOADED): Handshake._loaded,
    **{(state, Event.CLOSED): Handshake._closed for state in State if state is not State.FAILED},
}
