"""What the process of any kind of node begins with: its log and its event loop.

What it is not: what comes before a node is imported (`process`).
"""

from __future__ import annotations

import asyncio
import os

from holdfast.server.config import Configuration
from holdfast.server.log import Log
from holdfast.server.machine import Machine


def open_log(configuration: Configuration, host: Machine, *, role: str = "M") -> Log:
    """Return the log that the settings ask for; what reading these had to tell is in it already.

    `role` is the letter that lines begin with until a node says another.
    """
    log = Log(
        host.clock,
        host.disk,
        host.pid,
        lambda line: os.write(1, line),
        level=configuration["loglevel"],
        path=configuration.path("logfile"),
    )
    log.role = role
    if configuration["syslog-enabled"]:
        from holdfast.server.syslog import add_syslog  # a tenth of the time to start, and few want it

        add_syslog(log, configuration)
    for notice in configuration.take_notices():
        log.write(notice.level, notice.text)
    return log


def new_runner() -> asyncio.Runner:
    """Return what runs a node's coroutine: on uvloop where that is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
