"""The server as a process: signals, and how soon it answers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.server.running import ServerProcess
from tests.wire import encode

Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[ServerProcess] = []

    def begin(*options: str) -> ServerProcess:
        started.append(ServerProcess(tmp_path, *options, port=free_port()))
        return started[-1]

    yield begin
    for each in started:
        each.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_gracefully(start: Start, number: signal.Signals) -> None:
    server = start()
    with server.client() as client:
        assert client.command(b"PING") == b"+PONG\r\n"
        server.process.send_signal(number)
        assert client.read_to_end() == b""
    assert server.end() == 0
    assert any(b"User requested shutdown" in line for line in server.lines)


def test_a_second_interrupt_ends_the_server_at_once(start: Start) -> None:
    server = start("--shutdown-timeout", "1000", "--repl-diskless-sync-delay", "0")
    replica = start("--replicaof", f"127.0.0.1 {server.port}", "--dbfilename", "replica.rdb")
    with server.client() as client:
        while b"state=online" not in client.command(b"INFO", b"replication"):
            pass
        replica.process.send_signal(signal.SIGSTOP)  # it lacks what comes now, so the shutdown waits
        try:
            client.command(b"SET", b"k", b"v")
            server.process.send_signal(signal.SIGINT)
            while b"shutdown_in_milliseconds" not in client.command(b"INFO", b"server"):
                pass
            server.process.send_signal(signal.SIGINT)
            assert server.end() == 1
        finally:
            replica.process.send_signal(signal.SIGCONT)
    assert any(b"You insist... exiting now." in line for line in server.lines)


def test_a_hang_up_changes_nothing(start: Start) -> None:
    server = start()
    server.process.send_signal(signal.SIGHUP)
    with server.client() as client:
        assert client.command(b"PING") == b"+PONG\r\n"


def test_shutdown_ends_the_process_with_success(start: Start) -> None:
    server = start()
    with server.client() as client:
        client.send(encode([b"SHUTDOWN"]))
        assert client.read_to_end() == b""
    assert server.end() == 0


def test_a_server_that_listens_nowhere_does_not_start(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, port=0)
    assert server.end() == 1
    assert any(b"not listen anywhere" in line for line in server.lines)
