"""A redis-server of the machine, for exchanging files: started on a free port, ended by its pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from typing import Self

import pytest

from tests.persistence.commands import command
from tests.ports import free_port

needs_redis = pytest.mark.skipif(
    not (shutil.which("redis-server") and shutil.which("redis-check-aof")),
    reason="redis-server is not installed",
)


class RedisProcess:
    """A running redis-server with its files in `directory`."""

    def __init__(self, directory: str, *settings: str) -> None:
        self.port = free_port()
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""]
        self.log_path = os.path.join(directory, "redis.log")
        self.process = subprocess.Popen(
            ["redis-server", *options, "--logfile", self.log_path, "--enable-debug-command", "yes", *settings]
        )
        self.socket = self._connect()
        self.replies = self.socket.makefile("rb")
        self._await_loaded()

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + 10
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", self.port))
                break
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    with open(self.log_path) as log:
                        raise RuntimeError(f"redis-server did not start: {log.read()}") from None
                time.sleep(0.01)  # a process of the operating system: nothing to await but its port
        connection.settimeout(20)
        return connection

    def _await_loaded(self) -> None:
        while True:
            try:
                self.socket.sendall(command("PING"))
                line = self.replies.readline()
            except ConnectionError:
                line = b""
            if line == b"+PONG\r\n":
                return
            if not line:
                self.process.wait(20)
                with open(self.log_path) as log:
                    raise RuntimeError(f"redis-server did not start: {log.read()}")

    def send(self, raw: bytes, replies: int) -> list[object]:
        """Send encoded commands and return that many replies."""
        self.socket.sendall(raw)
        return [self._reply() for _ in range(replies)]

    def call(self, *words: str | bytes) -> object:
        """Send one command; an error reply is raised."""
        reply = self.send(command(*words), 1)[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _reply(self) -> object:
        line = self.replies.readline()
        assert line.endswith(b"\r\n"), "redis-server closed the connection"
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self.replies.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        return rest

    def digest(self) -> object:
        """Return DEBUG DIGEST."""
        return self.call("DEBUG", "DIGEST")

    def await_rewrite(self) -> None:
        """Return when no rewrite runs; fail if it did not succeed."""
        while True:
            info = self.call("INFO", "persistence")
            assert isinstance(info, bytes)
            if b"aof_rewrite_in_progress:0" in info and b"aof_rewrite_scheduled:0" in info:
                assert b"aof_last_bgrewrite_status:ok" in info
                return

    def stop(self) -> None:
        """End the process as SHUTDOWN does."""
        self.replies.close()
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def redis_check_aof(path: str) -> tuple[bool, str]:
    """Return whether redis-check-aof calls a file valid, and what it printed."""
    done = subprocess.run(
        ["redis-check-aof", path], check=False, capture_output=True, text=True, errors="replace"
    )
    return done.returncode == 0, done.stdout
