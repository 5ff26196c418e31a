"""An engine with one client and nobody else: replies and effects of each command, at a time the test sets.

What it is: the data path without sockets or a loop. What it is not: a server;
`tests.peers` starts those.
"""

from __future__ import annotations

from holdfast.commands import declare_all
from holdfast.engine import effects, request
from holdfast.engine.state import Engine, Session

START_MS = 1_700_000_000_000


def encode(words: tuple[str | bytes | int, ...]) -> bytes:
    """A command as a client sends it."""
    texts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)


def take_effects(engine: Engine) -> list[list[str]]:
    """Return what replicas would hear since the last time, SELECT left out."""
    lines = (effects.take_stream(engine) or b"").decode("latin-1").split("\r\n")
    commands = []
    at = 0
    while at < len(lines) - 1:
        count = int(lines[at][1:])
        commands.append(lines[at + 2 : at + 2 + 2 * count : 2])
        at += 1 + 2 * count
    return [command for command in commands if command[0] != "SELECT"]


class _Inbox:
    """Takes what the session would send."""

    def flush(self) -> None:
        """Replies stay in the session."""


class NodeOfOne:
    """Runs commands; `tell` gives their effects as lists of words, SELECT left out."""

    def __init__(self) -> None:
        self.engine = Engine()
        declare_all(self.engine)
        self.engine.stream_on = True
        self.engine.set_time(START_MS)
        self.session = Session(self.engine, _Inbox())

    def tell(self, *words: str | bytes | int) -> list[list[str]]:
        """Run one command and return what replicas hear of it."""
        request.receive(self.session, encode(words))
        return self.take()

    def take(self) -> list[list[str]]:
        """The effects since the last time."""
        return take_effects(self.engine)

    def changes(self, *words: str | bytes | int) -> int:
        """Run one command and return how many changes it counted."""
        before = self.engine.dirty
        self.tell(*words)
        return self.engine.dirty - before
