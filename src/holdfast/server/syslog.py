"""Lines of the log for the machine's syslog, as `syslog-enabled` asks.

What it is: the way from a level and a message to the datagram that syslog(3) would
send, over the standard library's handler, one a process or embedded node, so that
each keeps its own `syslog-ident` and `syslog-facility`. What it is not: the log
itself (`log`), which goes on beside it. A syslog that is not there is no reason to
stop, as in Redis; it is looked for again at each line.

How to read it: `add_syslog` is what a process calls; the log calls `SystemLog`.
"""

from __future__ import annotations

import logging
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.server.config import Configuration
    from holdfast.server.log import Log

ADDRESS = "/dev/log"


def add_syslog(log: Log, configuration: Configuration, address: str = ADDRESS) -> None:
    """Let each line go to syslog too, if the configuration asks for it."""
    if configuration["syslog-enabled"]:
        ident, facility = configuration["syslog-ident"], configuration["syslog-facility"]
        log.beside = SystemLog(ident, facility, log.pid, address)


class SystemLog(SysLogHandler):
    """Takes the lines of one log."""

    priority_map = {"debug": "debug", "verbose": "info", "notice": "notice", "warning": "warning"}

    def __init__(self, ident: str, facility: str, pid: int, address: str = ADDRESS) -> None:
        """`facility` is user or local0 to local7; `address` is the socket of syslog."""
        super().__init__(address, self.facility_names[facility])
        self.ident = f"{ident}[{pid}]: "

    def __call__(self, level: str, message: str) -> None:
        """Send one line."""
        record = logging.LogRecord("", logging.INFO, "", 0, message, None, None)
        record.levelname = level
        self.emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Let the line go: nobody listens."""
