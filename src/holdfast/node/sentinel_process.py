"""A Sentinel as this process: its loop, its log, its signals, its scripts, until it ends.

How to read it: `run`, then `_serve`; `ScriptProcesses` runs scripts as processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

from holdfast.node.sentinel import SentinelNode
from holdfast.sentinel.config_file import BadLine, Line
from holdfast.server.config import Configuration
from holdfast.server.log import Log
from holdfast.server.machine import Machine
from holdfast.server.process import notify_systemd
from holdfast.server.process_start import new_runner, open_log


class ScriptProcesses:
    """Runs scripts as processes (`holdfast.sentinel.scripts.Runner`)."""

    def may_run(self, path: str) -> bool:
        """Tell whether a file may be run."""
        return os.access(path, os.X_OK)

    def start(self, words: tuple[str, ...], ended: Callable[[int, int], None]) -> int:
        """Start a script; `ended(exit code, signal)` is called at its end. Raises OSError."""
        pid = os.posix_spawn(words[0], words, os.environ)
        loop = asyncio.get_running_loop()
        waiting = loop.run_in_executor(None, os.waitpid, pid, 0)
        waiting.add_done_callback(lambda done: _tell_end(done, ended))
        return pid

    def kill(self, pid: int) -> None:
        """End a script that hangs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _tell_end(done: asyncio.Future[tuple[int, int]], ended: Callable[[int, int], None]) -> None:
    if done.cancelled() or done.exception() is not None:
        ended(2, 0)
        return
    status = done.result()[1]
    if os.WIFSIGNALED(status):
        ended(0, os.WTERMSIG(status))
    else:
        ended(os.WEXITSTATUS(status), 0)


def run(configuration: Configuration, lines: Sequence[Line]) -> int:
    """Run a Sentinel as this process until it is shut down; return the exit status."""
    host = Machine()
    log = open_log(configuration, host, role="X")
    with new_runner() as runner:
        return runner.run(_serve(configuration, lines, host, log))


async def _serve(configuration: Configuration, lines: Sequence[Line], host: Machine, log: Log) -> int:
    try:
        node = SentinelNode(configuration, lines, host, log, ScriptProcesses())
    except BadLine as error:
        line = error.args[1]
        sys.stderr.write(
            "\n*** FATAL CONFIG FILE ERROR (Holdfast) ***\n"
            f"Reading the configuration file, at line {line.number}\n>>> '{line.text}'\n{error.args[0]}\n"
        )
        return 1
    try:
        await node.start()
    except OSError as error:
        log.warning(f"Sentinel cannot start: {error}")
        print(f"holdfast-sentinel: {error}", file=sys.stderr)
        await node.stop()
        return 1
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, ValueError):
            loop.add_signal_handler(name, node.shut_down, 0)
    log.notice(f"Running mode=sentinel, port={node.port}.")
    if configuration["supervised"] == "systemd":
        notify_systemd(os.environ, "STATUS=Ready to accept connections\nREADY=1\n")
    assert node.stopped is not None
    await node.stopped.wait()
    return node.exit_status
