"""A node as this process: its loop, its log, its signals, until it is shut down.

`run` is what the command line calls. SIGTERM and SIGINT shut down in the manner
that `shutdown-on-sigterm` and `shutdown-on-sigint` say; a second SIGINT ends at
once, as in Redis. SIGHUP does nothing: the log is opened anew for every line.

How to read it: `run`, `_serve`, `_follow_signals`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys

from holdfast.node.server import ServerNode
from holdfast.persistence.loader import LoadFailed
from holdfast.server.config import Configuration
from holdfast.server.log import Log
from holdfast.server.machine import Machine
from holdfast.server.process import notify_systemd, process_title, use_huge_pages
from holdfast.server.process_start import new_runner, open_log
from holdfast.server.shutdown import Manner


def run(configuration: Configuration) -> int:
    """Run a node as this process until it is shut down; return the exit status."""
    host = Machine()
    use_huge_pages(configuration)
    log = open_log(configuration, host)
    with new_runner() as runner:
        return runner.run(_serve(configuration, host, log))


async def _serve(configuration: Configuration, host: Machine, log: Log) -> int:
    try:
        node = ServerNode(configuration, host, log)
        await node.start()
    except (OSError, ValueError) as error:
        log.warning(f"Failed listening on port {configuration['port']}, aborting: {error}")
        print(f"holdfast-server: {error}", file=sys.stderr)
        return 1
    except LoadFailed as error:
        log.warning(f"{error}. Exiting.")
        print(f"holdfast-server: {error}", file=sys.stderr)
        return 1
    # What is there now stays: the collector need not look at it again, which would stall clients.
    gc.collect()
    gc.freeze()
    _follow_signals(node)
    _set_title(configuration)
    if node.listeners.ports:
        log.notice("Ready to accept connections tcp")
    if configuration["unixsocket"]:
        log.notice("Ready to accept connections unix")
    if configuration["supervised"] == "systemd":
        notify_systemd(os.environ, "STATUS=Ready to accept connections\nREADY=1\n")
    assert node.stopped is not None
    await node.stopped.wait()
    if configuration["supervised"] == "systemd":
        notify_systemd(os.environ, "STOPPING=1\n")
    return node.exit_status


def _follow_signals(node: ServerNode) -> None:
    def ended(number: signal.Signals, directive: str) -> None:
        if number == signal.SIGINT and node.shutdown.under_way:
            node.log.warning("You insist... exiting now.")
            os._exit(1)
        node.log.warning(f"Received {number.name} scheduling shutdown...")
        node.shutdown.begin(Manner.of_words(node.configuration[directive]))

    for number, directive in (
        (signal.SIGTERM, "shutdown-on-sigterm"),
        (signal.SIGINT, "shutdown-on-sigint"),
    ):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            node.loop.add_signal_handler(number, ended, number, directive)
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _set_title(configuration: Configuration) -> None:
    """Give the process its title, where the package setproctitle is there."""
    if not configuration["set-proc-title"]:
        return
    try:
        from setproctitle import setproctitle
    except ImportError:
        return
    setproctitle(process_title(configuration, "holdfast-server"))
