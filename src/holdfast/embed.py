"""A server inside somebody's program: `holdfast.Server`.

    with holdfast.Server(port=0) as server:            # in a thread of its own
        redis.Redis(port=server.port).set("a", 1)

    async with holdfast.Server(port=0) as server:      # in the caller's loop
        ...

Several may run in one process; each has all its state in its node. Options are
those of redis.conf with underscores (`maxmemory="100mb"`), `port=0` (the default)
takes one that is free. Unless `save` or `appendonly` ask for files, none are
written. Not here: signals, pid files, the title of the process.

How to read it: `start` and `stop` are the life in a loop, `_Thread` the loop of a
server that is used synchronously.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from holdfast.node.server import ServerNode
from holdfast.server.config import load
from holdfast.server.log import Log
from holdfast.server.machine import Machine, MachineDisk


class Server:
    """One server; a context manager, synchronous or asynchronous, that can be entered once."""

    def __init__(
        self,
        *,
        port: int = 0,
        directory: str | None = None,
        log: Callable[[bytes], object] | None = None,
        **options: object,
    ) -> None:
        """Configure a server that listens on 127.0.0.1 unless `bind` says otherwise.

        `directory` is where relative paths start from (the process's own by default);
        `log` takes lines of the log. Raises `holdfast.server.config.ConfigFileError`
        for an option that redis.conf would refuse.
        """
        self._directory = os.path.abspath(directory or os.getcwd())
        self._log = log if log is not None else _say_nothing
        settings: dict[str, object] = {"port": port, "bind": "127.0.0.1", "save": "", **options}
        words: list[str] = []
        for name, value in settings.items():
            words += [f"--{name.replace('_', '-')}", *_words(value)]
        self.configuration = load(words, MachineDisk(self._directory), self._directory)
        self.node: ServerNode | None = None
        """The node while it runs; for the curious."""
        self._thread: _Thread | None = None

    @property
    def port(self) -> int:
        """The TCP port that the server listens on."""
        return self._running.port

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first listening socket."""
        return self._running.listeners.ports[0]

    @property
    def url(self) -> str:
        """What client libraries call the address."""
        host, port = self.address
        return f"redis://{host}:{port}"

    @property
    def _running(self) -> ServerNode:
        if self.node is None:
            raise RuntimeError("the server does not run")
        return self.node

    # ---- in the caller's loop ----

    async def start(self) -> None:
        """Start to serve in the running loop; `OSError` when the address cannot be had."""
        if self.node is not None:
            raise RuntimeError("the server runs already")
        host = Machine(self._directory)
        output = self._log
        level = self.configuration["loglevel"]
        path = self.configuration.path("logfile")
        log = Log(host.clock, host.disk, host.pid, output, level=level, path=path)
        if self.configuration["syslog-enabled"]:
            from holdfast.server.syslog import add_syslog

            add_syslog(log, self.configuration)
        node = ServerNode(self.configuration, host, log, any_port=True)
        await node.start()
        self.node = node

    async def stop(self) -> None:
        """Close all connections and listen no more; what is not asked to be saved is gone."""
        if self.node is not None:
            await self.node.stop()
            self.node = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # ---- in a thread ----

    def __enter__(self) -> Self:
        self._thread = _Thread()
        try:
            self._thread.call(self.start())
        except BaseException:
            self._thread.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        try:
            self._thread.call(self.stop())
        finally:
            self._thread.end()
            self._thread = None


class _Thread:
    """A thread that runs an event loop of its own."""

    def __init__(self) -> None:
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="holdfast", daemon=True)
        self._thread.start()
        self._loop = ready.result()

    def _run(self, ready: Future[asyncio.AbstractEventLoop]) -> None:
        try:
            import uvloop

            loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        except ImportError:
            loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        ready.set_result(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def call(self, coroutine: Any) -> None:
        """Run a coroutine in the loop and wait for it."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def end(self) -> None:
        """End the loop and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def _words(value: object) -> list[str]:
    """Return an option's value as words of a configuration line."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return [str(value)]


def _say_nothing(line: bytes) -> None:
    """Take a line of the log and forget it."""
