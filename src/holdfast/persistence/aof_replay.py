"""The loader's side of an engine: replays commands of a file as a client would send them.

What it is: the `Engine` of `aof_reader`, around a session whose replies go
nowhere. A command that fails for its data (wrong type) fails as it did when it
was written; one that no server of ours knows stops the load.
"""

from __future__ import annotations

from holdfast.engine.registry import specification
from holdfast.engine.request import execute_stream
from holdfast.engine.state import Engine, Session
from holdfast.persistence.engine_side import make_loader


class Replay:
    """Executes runs of whole commands."""

    def __init__(self, engine: Engine) -> None:
        self.refusal = ""
        self.session = Session(engine, None)
        make_loader(self.session)

    def feed(self, buffer: memoryview) -> int:
        """Execute; return the bytes executed, and see `refusal` when these are not all."""
        done = execute_stream(self.session, buffer)
        if not self.session.output_bytes and done == len(buffer):
            return done
        return self._find_refused(bytes(buffer))

    def _find_refused(self, buffer: bytes) -> int:
        """Return where the first command stands that cannot be executed."""
        at = 0
        while at < len(buffer):
            words, after = _command(buffer, at)
            spec = _find(self.session.engine, words)
            if spec is None:
                self.refusal = f"unknown command '{words[0].decode(errors='replace')}'"
                return at
            if (spec > 0 and len(words) != spec) or len(words) < -spec:
                self.refusal = f"wrong number of arguments for '{words[0].decode(errors='replace')}'"
                return at
            at = after
        self.refusal = "it was refused"
        return 0


def _find(engine: Engine, words: list[bytes]) -> int | None:
    """Return the arity of a command, or None."""
    try:
        name = words[0].decode("ascii").lower()
        below = f"{name}|{words[1].decode('ascii').lower()}" if len(words) > 1 else ""
    except UnicodeDecodeError:
        return None
    spec = (below and specification(engine, below)) or specification(engine, name)
    return None if spec is None else int(spec.arity)


def _command(buffer: bytes, at: int) -> tuple[list[bytes], int]:
    """Cut one command, which is known to be whole."""
    line_end = buffer.index(b"\r\n", at)
    count, at, words = int(buffer[at + 1 : line_end]), line_end + 2, []
    for _ in range(count):
        line_end = buffer.index(b"\r\n", at)
        size = int(buffer[at + 1 : line_end])
        words.append(buffer[line_end + 2 : line_end + 2 + size])
        at = line_end + 4 + size
    return words, at
