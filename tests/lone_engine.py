"""An engine with its commands and one session: no server, no clock but the one that the test sets.

What it is: for tests of what happens beside commands (expiry, eviction,
propagation). What it is not: a client of a running server (`tests.peers`).
"""

from __future__ import annotations

from holdfast.commands import declare_all
from holdfast.engine import effects, request
from holdfast.engine.state import Engine, Session
from holdfast.testing.probes_table import take_replies
from tests.wire import encode

START_MS = 1_700_000_000_000


class _Owner:
    def flush(self) -> None:
        """Replies stay in the session until the test takes them."""


class LoneEngine:
    """Runs commands and shows replies and effects."""

    def __init__(self, databases: int = 16, seed: int = 1, cluster: bool = False) -> None:
        self.engine = Engine(databases, seed, cluster)
        declare_all(self.engine)
        self.engine.stream_on = True
        self.engine.set_time(START_MS)
        self.session = Session(self.engine, _Owner())

    def run(self, *words: str | bytes | int) -> bytes:
        """Run one command; return its reply as it would be sent."""
        texts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request.receive(self.session, encode(texts))
        return take_replies(self.session)

    def set_number(self, key: str, value: int = 1) -> None:
        """SET a key."""
        assert self.run("SET", key, value) == b"+OK\r\n"

    def pass_ms(self, milliseconds: int) -> None:
        """Let time pass."""
        self.engine.set_time(self.engine.now_ms + milliseconds)

    def effects(self) -> list[list[bytes]]:
        """What replicas and the append-only file got since the last call, SELECT left out."""
        lines = (effects.take_stream(self.engine) or b"").split(b"\r\n")[:-1]
        commands: list[list[bytes]] = []
        at = 0
        while at < len(lines):
            count = int(lines[at][1:])
            commands.append(lines[at + 2 : at + 2 + 2 * count : 2])
            at += 1 + 2 * count
        return [command for command in commands if command[0] != b"SELECT"]
