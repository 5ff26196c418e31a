"""The tail of the append-only file: effects that came and are not written yet.

What it is: a buffer, and the lines that stand between effects: SELECT where a file
begins, time stamps (`aof-timestamp-enabled`), marks (`aof_marks`). What it is not: when
it is written (`aof_policy`), or the file (`aof_increment`).

How to read it: `append`, which each tick calls, then `mark`.
"""

from __future__ import annotations

from holdfast.persistence.aof_marks import Place
from holdfast.server.host import Clock

SELECT = b"*2\r\n$6\r\nSELECT\r\n"


class Tail:
    """What waits to be written to one AOF."""

    def __init__(self, clock: Clock) -> None:
        """Nothing waits, and nothing is taken."""
        self.buffer = bytearray()
        self.offset = 0
        """Effects up to here have come."""
        self.moved = False
        """Something was appended since the last mark."""
        self.is_marked = False
        """A mark waits in the buffer."""
        self._takes = self._stamps = False
        self._plain = False
        """Whether a chunk goes into the buffer as it is: nothing to stamp, nothing to select."""
        self._needs_select = True
        self._lineage = b""
        """The history that the marks of the present file name."""
        self._stamped_seconds = 0
        self._clock = clock

    def append(self, chunk: bytes | bytearray | memoryview, database: int, offset: int) -> None:
        """Take the effects of a tick: whole commands and transactions that end at `offset`.

        `database` is the one in force where the chunk begins. Empty chunks only move the offset.
        """
        self.offset = offset
        if self._plain:
            self.moved = True
            self.buffer += chunk
            return
        if not self._takes or not len(chunk):
            return
        self.moved = True
        self._plain = not self._stamps
        if self._stamps:
            seconds = self._clock.wall_us() // 1_000_000
            if seconds > self._stamped_seconds:
                self._stamped_seconds = seconds
                self.buffer += b"#TS:%d\r\n" % seconds
        if self._needs_select:
            self._needs_select = False
            if bytes(chunk[: len(SELECT)]).upper() != SELECT:
                number = b"%d" % database
                self.buffer += b"%b$%d\r\n%b\r\n" % (SELECT, len(number), number)
        self.buffer += chunk

    def mark(self, place: Place | None) -> None:
        """Say where in a replication stream the data stand, if they stand in one."""
        self.moved = False
        if place is None:
            return
        line = place.line() if place.lineage == self._lineage else place.whole()
        if line:
            self._lineage = place.lineage
            self.is_marked = True
            self.buffer += line

    def take(self, *, takes: bool) -> None:
        """Take effects from now on, or only note their offset."""
        self._takes = takes
        self._plain = False

    def stamp(self, *, stamps: bool) -> None:
        """Write the time each second, or not."""
        self._stamps = stamps
        self._plain = False

    def begin_file(self) -> None:
        """What comes next goes into another file: it names its database and its history anew."""
        self._needs_select = True
        self._plain = False
        self._lineage = b""

    def clear(self) -> None:
        """Forget what waits: it is written, or worth nothing."""
        self.buffer.clear()
        self.is_marked = False
