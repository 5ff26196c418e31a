"""What the commands of a Sentinel share: their node, and words turned into values.

What it is: the node as commands see it, and the errors that several of them give.
What it is not: a command.
"""

from __future__ import annotations

from typing import Protocol

from holdfast.engine.state import Session
from holdfast.engine.values import OK, CommandError
from holdfast.sentinel.machine import Machine
from holdfast.sentinel.model import Primary, Sentinel
from holdfast.sentinel.scripts import ScriptQueue

Args = list[bytes]
NOT_INTEGER = "ERR value is not an integer or out of range"
NOT_SAVED = "ERR Failed to save config file. Check server logs."


class SentinelSide(Protocol):
    """What the commands need of their node."""

    sentinel: Sentinel
    machine: Machine
    scripts: ScriptQueue
    is_durable: bool
    """False: the file could not be written, so no vote of ours may be given."""

    def now_ms(self) -> int:
        """Return the time."""
        ...

    def run_effects(self) -> None:
        """Run what waits."""
        ...

    def is_script(self, path: str) -> bool:
        """Tell whether a file may be run."""
        ...

    def set_log_level(self, level: str) -> None:
        """Follow SENTINEL CONFIG SET loglevel."""
        ...

    def log_level(self) -> str:
        """Return the log level."""
        ...


def side_of(session: Session) -> SentinelSide:
    """Return the node of a session, of which a command may change anything."""
    side = heard_by(session)
    side.sentinel.stir()
    return side


def heard_by(session: Session) -> SentinelSide:
    """Return the node of a session for a command that says itself what it changes."""
    side: SentinelSide = session.engine.node
    return side


def text_of(word: bytes) -> str:
    """Return a word as text; bytes that are no UTF-8 survive."""
    return word.decode("utf-8", "surrogateescape")


def integer_of(word: bytes, error: str = NOT_INTEGER) -> int:
    """Return a word as a number. CommandError."""
    text = text_of(word)
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        raise CommandError(error)
    return int(text)


def checked(word: bytes, least: int, refused: CommandError) -> int:
    """Return a word as a number that is at least `least`, else raise `refused`."""
    try:
        value = integer_of(word)
    except CommandError:
        raise refused from None
    if value < least:
        raise refused
    return value


def primary_of(session: Session, word: bytes) -> Primary:
    """Return the primary of that name. CommandError."""
    primary = side_of(session).sentinel.primaries.get(text_of(word))
    if primary is None:
        raise CommandError("ERR No such master with that name")
    return primary


def saved(session: Session) -> object:
    """Write the file, run what waits, and return OK. CommandError."""
    side = side_of(session)
    side.sentinel.persist()
    side.run_effects()
    if not side.is_durable:
        raise CommandError(NOT_SAVED)
    return OK
