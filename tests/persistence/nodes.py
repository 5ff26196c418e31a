"""Nodes for tests of persistence: in this process on the real machine, or as a process that can be killed."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from holdfast.node.server import ServerNode
from holdfast.server.config import load
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.server.machine import Machine
from tests.persistence.commands import command
from tests.ports import free_port


class Failure(Exception):
    """An error reply."""


class Client:
    """A plain client over streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, host: str, port: int) -> Client:
        return cls(*await asyncio.open_connection(host, port))

    async def call(self, *words: str | bytes) -> object:
        """Send a command; raise its error."""
        self.writer.write(command(*words))
        return await self.reply()

    async def reply(self) -> object:
        line = await self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Failure(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return (await self.reader.readexactly(int(rest) + 2))[:-2] if int(rest) >= 0 else None
        if kind == b"*":
            return [await self.reply() for _ in range(int(rest))]
        return rest

    def close(self) -> None:
        self.writer.close()


def build(host: Host, directory: str, lines: list[str], *options: str) -> ServerNode:
    """Make a node that writes its log into `lines`."""
    words = ["--port", "0", "--bind", "127.0.0.1", "--dir", directory, "--save", "", *options]
    configuration = load(words, host.disk, directory)
    log = Log(host.clock, host.disk, host.pid, lambda line: lines.append(line.decode()))
    return ServerNode(configuration, host, log, any_port=True)


@asynccontextmanager
async def running(
    directory: Path, *options: str, host: Host | None = None, log: list[str] | None = None
) -> AsyncIterator[tuple[ServerNode, Client]]:
    """Run a node and a client of it."""
    node = build(host or Machine(), str(directory), [] if log is None else log, *options)
    await node.start()
    client = await Client.connect("127.0.0.1", node.port)
    try:
        yield node, client
    finally:
        client.close()
        await node.stop()


async def until(condition: object) -> None:
    """Let the loop run until something is so; the test's own time limit ends a vain wait."""
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0)


class ServerProcess:
    """A server as a process of its own, with its files in `directory`."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self.log_path = directory / "server.log"
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.server", *words, "--logfile", str(self.log_path), *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def connect(self) -> socket.socket:
        """Return a connection to the loaded server."""
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", self.port))
                connection.settimeout(20)
                connection.sendall(command("PING"))
                if connection.recv(100) == b"+PONG\r\n":
                    return connection
                connection.close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"it did not start: {self.log_path.read_text()}") from None
                time.sleep(0.005)  # a process of the operating system: nothing to await but its port

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
