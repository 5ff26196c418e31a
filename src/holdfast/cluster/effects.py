"""What a decision asks for, in the order in which it must happen.

The contract: run them in order. `Persist` is on stable storage before anything behind it
happens; if it fails, nothing behind it does: no vote leaves and no slot is claimed that a
restart would not remember. Replies to clients come last: the command that caused effects
answers when they have run. The role is no effect: right behind `Persist` whoever runs them
makes replication follow whom `View.me` follows, so that a step that failed is made up for.

How to read it: one class an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from holdfast.cluster.messages import Message
    from holdfast.cluster.model import Link


@dataclass(frozen=True, slots=True)
class Persist:
    """Write nodes.conf. `synced`: and fsync it, as something is promised on it.

    `claimed`: that is our epoch and that these slots are ours (a bit a slot), and nothing else.
    """

    synced: bool = True
    claimed: int = 0


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the connection of an outbound link."""

    link: Link


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close a connection, in either direction; nothing more is heard of it."""

    link: Link


class Send(NamedTuple):
    """Send a message over a link."""

    link: Link
    message: Message


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Fence the shard in this epoch, fetch what is missing, and lead; then say so (`Machine.took_over`)."""

    epoch: int


@dataclass(frozen=True, slots=True)
class PauseWrites:
    """Hold the writes of all clients until then (ms)."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class ResumeWrites:
    """Hold them no longer."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """A published message came over the bus."""

    channel: bytes
    text: bytes
    is_sharded: bool


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Come back after so many milliseconds, before the next beat."""

    after_ms: int


@dataclass(frozen=True, slots=True)
class Then:
    """Call when all before it has been run; with False where what had to be written could not be."""

    what: Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Log:
    """Write to the log."""

    level: str
    text: str


Effect = (
    Persist
    | Connect
    | Disconnect
    | Send
    | TakeOver
    | PauseWrites
    | ResumeWrites
    | Deliver
    | LookAgain
    | Then
    | Log
)
