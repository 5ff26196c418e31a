"""A proxy as this process: its loop, its log, its signals, until it is drained.

SIGHUP reads the configuration again, SIGTERM drains, a second SIGTERM and SIGINT
end at once.

How to read it: `run`, then `_serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys

from holdfast.node.proxy import ProxyNode
from holdfast.proxy.config import BadFile
from holdfast.proxy.stats import whole_of
from holdfast.server.log import Log
from holdfast.server.machine import Machine
from holdfast.server.process import notify_systemd
from holdfast.server.process_start import new_runner


def run(path: str, *, stats_at: tuple[str, int] | None, log_path: str, level: str, drain_s: float) -> int:
    """Run a proxy as this process until it is shut down; return the exit status."""
    host = Machine()
    log = Log(host.clock, host.disk, host.pid, lambda line: os.write(1, line), level=level, path=log_path)
    _raise_descriptor_limit()
    with new_runner() as runner:
        return runner.run(_serve(path, stats_at, host, log, drain_s))


def _raise_descriptor_limit() -> None:
    """Let the process have as many connections as the system allows it."""
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(path: str, stats_at: tuple[str, int] | None, host: Machine, log: Log, drain_s: float) -> int:
    try:
        node = ProxyNode(path, host, log, stats_at=stats_at, drain_s=drain_s)
        await node.start()
    except (BadFile, OSError) as error:
        log.warning(f"The proxy cannot start: {error}")
        print(f"holdfast proxy: {error}", file=sys.stderr)
        return 1
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()

    ending: list[asyncio.Task[None]] = []

    def end() -> None:
        ending.append(loop.create_task(node.stop()))

    def drain() -> None:
        if node.exchange.draining:
            end()
        node.drain()

    for number, act in (
        (signal.SIGTERM, drain),
        (signal.SIGINT, end),
        (signal.SIGHUP, node.reload),
    ):
        with contextlib.suppress(NotImplementedError, ValueError):
            loop.add_signal_handler(number, act)
    for door in node.doors_by_name.values():
        log.notice(
            f"Pool '{door.name}' listens on {door.facts.listen.text}, {len(whole_of(door))} servers."
        )
    notify_systemd(os.environ, "STATUS=Ready to accept connections\nREADY=1\n")
    assert node.stopped is not None
    await node.stopped.wait()
    return node.exit_status
