"""The log of one node, in Redis's line format.

`pid:role timestamp level message`, where role is M (primary), S (replica), C (a
child that saves) or X (Sentinel), and level one of . - * # for debug, verbose,
notice and warning. One `Log` a node; the file is opened for each line, so a log
that was moved away is begun anew. A log that cannot be written is no reason to
stop, as in Redis. `beside` takes each message as well: syslog, where that is on.

How to read it: `Log.write` is all there is; the methods below it name the levels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.server.host import Clock, Disk

LEVELS = ("debug", "verbose", "notice", "warning", "nothing")
"""From talkative to silent, as the directive `loglevel` spells them."""
_MARKS = ".-*#"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Log:
    """Where a node says what happens.

    `path` names a file on `disk`; while it is "" lines go to `output`.
    """

    def __init__(
        self,
        clock: Clock,
        disk: Disk,
        pid: int,
        output: Callable[[bytes], object],
        *,
        level: str = "notice",
        path: str = "",
        local_time: Callable[[float], time.struct_time] = time.localtime,
    ) -> None:
        self.clock = clock
        self.disk = disk
        self.pid = pid
        self.output = output
        self.path = path
        self.role = "M"
        """M, S, C or X; whoever changes the role of the node sets it."""
        self.beside: Callable[[str, str], None] | None = None
        """Takes level and message of each line too."""
        self._local_time = local_time
        self._threshold = 0
        self.level = level

    @property
    def level(self) -> str:
        """The lowest level that is written; follows `loglevel`."""
        return LEVELS[self._threshold]

    @level.setter
    def level(self, name: str) -> None:
        self._threshold = LEVELS.index(name)

    def writes(self, level: str) -> bool:
        """Tell whether a message of this level would be written."""
        return LEVELS.index(level) >= self._threshold

    def write(self, level: str, message: str) -> None:
        """Write one line; line breaks inside the message are shown as \\n."""
        rank = LEVELS.index(level)
        if rank < self._threshold or rank >= len(_MARKS):
            return
        shown = message.replace("\r", "\\r").replace("\n", "\\n")
        line = f"{self.pid}:{self.role} {self._timestamp()} {_MARKS[rank]} {shown}\n"
        self._put(line.encode("utf-8", "surrogateescape"))
        if self.beside is not None:
            self.beside(level, shown)

    def debug(self, message: str) -> None:
        """Write at level debug."""
        self.write("debug", message)

    def verbose(self, message: str) -> None:
        """Write at level verbose."""
        self.write("verbose", message)

    def notice(self, message: str) -> None:
        """Write at level notice."""
        self.write("notice", message)

    def warning(self, message: str) -> None:
        """Write at level warning."""
        self.write("warning", message)

    def _timestamp(self) -> str:
        wall_us = self.clock.wall_us()
        now = self._local_time(wall_us // 1_000_000)
        milliseconds = wall_us // 1000 % 1000
        return (
            f"{now.tm_mday:02d} {_MONTHS[now.tm_mon - 1]} {now.tm_year} "
            f"{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d}.{milliseconds:03d}"
        )

    def _put(self, line: bytes) -> None:
        try:
            if not self.path:
                self.output(line)
                return
            file = self.disk.open(self.path, "ab")
            try:
                file.write(line)
            finally:
                file.close()
        except OSError:
            return
