"""A client without a socket: an engine, a session, bytes in and bytes out."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.commands import declare_all
from holdfast.engine import request
from holdfast.engine.state import Engine, Session

CLOSING = (1 << 0) | (1 << 1)


def encode(words: Iterable[bytes]) -> bytes:
    """Return a request as an array of bulk strings."""
    words = list(words)
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class DirectClient:
    """Sends to a session of its own; replies are what the session has to say at the end of the tick."""

    def __init__(self, engine: Engine | None = None, *, now_ms: int = 1_700_000_000_000) -> None:
        if engine is None:
            engine = Engine(seed=7)
            declare_all(engine)
            engine.set_time(now_ms)
        self.engine = engine
        self.session = Session(engine)
        engine.sessions[self.session.id] = self.session

    def another(self) -> DirectClient:
        """Return a second client of the same engine."""
        return DirectClient(self.engine)

    def send(self, message: bytes) -> bytes:
        """Hand bytes in; return the replies that are ready."""
        if not self.is_closing:
            request.receive(self.session, message)
        return self.read()

    def call(self, *words: bytes | str | int) -> bytes:
        """Send one request; return its raw reply."""
        return self.send(encode(w if isinstance(w, bytes) else str(w).encode() for w in words))

    def read(self) -> bytes:
        """Return the replies that wait."""
        return self.session.take_output()

    @property
    def is_closing(self) -> bool:
        """Whether the session is to be closed."""
        return bool(self.session.flags & CLOSING)
