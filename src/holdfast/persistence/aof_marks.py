"""Marks in the append-only file: where in a replication stream the data stand.

What it is: two annotation lines, which Redis 7 passes over as it does with `#TS:`, and
what a loader makes of them. `COPY` names the history (pairs of names and words, as the
auxiliary fields of an RDB); `AT` says where in it the data stand once everything before
the line is executed. Each flush of a node with a stream ends with an `AT`.

What it is not: the meaning of the names; replication gives and takes them.

How to read it: `Place` and its lines for the writer; `Marks` for the loader. A position is
known only if no command follows the last mark: behind it something stands that another
server wrote, or the end of a write that was torn.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.persistence.aof_scan import last_marks
from holdfast.persistence.aof_walk import Run

COPY, AT = b"#HOLDFAST:COPY ", b"#HOLDFAST:AT "
LINE_MOST_BYTES = 1000
"""Redis 7 reads annotations of up to 1024 bytes."""
PLACE_FIELDS = frozenset((
    b"repl-id", b"repl-offset", b"repl-stream-db", b"holdfast-former", b"holdfast-set",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data stand: in the history that `lineage` names, behind byte `offset`, with `database`."""

    lineage: bytes
    offset: int
    database: int

    def line(self) -> bytes:
        """Return the line that says where in the history."""
        return b"%b%d %d\r\n" % (AT, self.offset, self.database)

    def whole(self) -> bytes:
        """Return the lines that say all; empty if they would be too long."""
        if len(self.lineage) > LINE_MOST_BYTES:
            return b""
        return b"%b%b\r\n%b" % (COPY, self.lineage, self.line())


class Marks:
    """What the marks of a log say, gathered while it is loaded."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lineage: dict[bytes, bytes] = {}
        self._place: tuple[bytes, bytes] | None = None
        self._commands_behind = 0

    def take_base(self, fields: dict[bytes, bytes]) -> None:
        """Take the auxiliary fields of a base: it says where it was taken."""
        self._lineage = {name: text for name, text in fields.items() if name in PLACE_FIELDS}
        offset = self._lineage.pop(b"repl-offset", None)
        database = self._lineage.pop(b"repl-stream-db", b"0")
        self._place = (offset, database) if offset is not None else None
        self._commands_behind = 0

    def take(self, run: Run) -> None:
        """Take a run of whole commands and annotations."""
        if not run.annotations:
            self._commands_behind += run.commands
            return
        copy, at, behind = last_marks(run.content, len(run.content))
        if copy is not None:
            words = copy[len(COPY) :].split()
            self._lineage, self._place = dict(zip(words[::2], words[1::2], strict=False)), None
        if at is not None:
            offset, _, database = at[len(AT) :].strip().partition(b" ")
            self._place = (offset, database)
        self._commands_behind = behind if copy or at else self._commands_behind + run.commands

    @property
    def fields(self) -> dict[bytes, bytes]:
        """Where the data stand, as an RDB's auxiliary fields would say it; empty: it is not known."""
        if self._place is None or self._commands_behind or b"repl-id" not in self._lineage:
            return {}
        offset, database = self._place
        return {**self._lineage, b"repl-offset": offset, b"repl-stream-db": database}
