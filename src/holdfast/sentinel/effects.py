"""What a decision asks for, in the order in which it must happen.

The contract: run them in order. `Persist` is on stable storage before anything
behind it happens; if it fails, nothing behind it does, so no vote is given and no
order sent that a restart would not remember. Replies to clients come last: the
command that caused effects answers when they have run.

How to read it: one class an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from holdfast.sentinel.model import Link
    from holdfast.sentinel.reply_reader import Reply

OnReply = Callable[["Reply", int], None]
"""Takes the reply and the time in milliseconds."""


@dataclass(frozen=True, slots=True)
class Persist:
    """Write the configuration file and fsync it."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the command connection of a link, or its pub/sub connection."""

    link: Link
    pubsub: bool


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close one connection of a link; its replies are not waited for."""

    link: Link
    pubsub: bool


class Send(NamedTuple):
    """Send a command; `on_reply` None: the reply does not matter."""

    link: Link
    words: tuple[str, ...]
    on_reply: OnReply | None = None
    pubsub: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """Publish an event and log it. `level` is a loglevel; `script` is run with event and text."""

    level: str
    event: str
    text: str
    script: str = ""


@dataclass(frozen=True, slots=True)
class LogOnly:
    """Write a line to the log."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class RunScript:
    """Queue a script with its arguments."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Crash:
    """End the process as if it had crashed (SENTINEL SIMULATE-FAILURE)."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Come back after so many milliseconds, before the next beat."""

    after_ms: int


Effect = Persist | Connect | Disconnect | Send | Tell | LogOnly | RunScript | Crash | LookAgain
