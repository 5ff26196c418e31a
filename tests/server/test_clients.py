"""Clients seen and steered by each other: pause, kill, monitor, names, the slow log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.running import serve
from tests.wire import Group, WireClient, encode


@pytest.fixture
def port() -> Iterator[int]:
    with serve(enable_debug_command="yes") as server:
        yield server.port


def test_a_pause_of_writes_holds_writes_back_and_lets_reads_through(port: int) -> None:
    with WireClient(port) as client, WireClient(port) as writer:
        client.command(b"CLIENT", b"PAUSE", b"100000", b"WRITE")
        writer.send(encode([b"SET", b"k", b"v"]))
        assert client.command(b"GET", b"k") == b"$-1\r\n"
        assert client.command(b"CLIENT", b"UNPAUSE") == b"+OK\r\n"
        assert writer.read() == b"+OK\r\n"
        assert client.command(b"GET", b"k") == b"$1\r\nv\r\n"


def test_a_pause_ends_by_itself(port: int) -> None:
    with WireClient(port) as client:
        client.command(b"CLIENT", b"PAUSE", b"50")
        assert client.command(b"SET", b"k", b"v") == b"+OK\r\n"


def test_monitor_shows_requests_and_hides_passwords(port: int) -> None:
    with WireClient(port) as watcher, WireClient(port) as client:
        assert watcher.command(b"MONITOR") == b"+OK\r\n"
        client.command(b"SET", b"k", b'a "b"\n')
        client.command(b"AUTH", b"secret")
        client.command(b"HELLO", b"2", b"AUTH", b"default", b"secret")
        client.command(b"CONFIG", b"GET", b"port")
        client.command(b"PING")
        assert watcher.read().endswith(b'] "SET" "k" "a \\"b\\"\\n"\r\n')
        assert watcher.read().endswith(b'] "AUTH" "(redacted)"\r\n')
        assert watcher.read().endswith(b'] "HELLO" "2" "AUTH" "(redacted)" "(redacted)"\r\n')
        assert watcher.read().endswith(b'] "PING"\r\n')
        assert watcher.command(b"RESET") == b"+RESET\r\n"


def test_the_slow_log_keeps_cut_arguments_and_no_secrets(port: int) -> None:
    with WireClient(port) as client:
        client.command(b"CLIENT", b"SETNAME", b"slow")
        client.command(b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0", b"slowlog-max-len", b"3")
        client.command(b"CONFIG", b"SET", b"requirepass", b"secret")
        client.command(b"ECHO", b"x" * 200)
        entries = client.value(b"SLOWLOG", b"GET")
        assert isinstance(entries, Group) and entries.items is not None and len(entries.items) == 3
        echo, secret = entries.items[0], entries.items[1]
        assert isinstance(echo, Group) and echo.items is not None
        assert echo.items[3] == Group("*", (b"ECHO", b"x" * 128 + b"... (72 more bytes)"))
        assert echo.items[5] == b"slow"
        assert isinstance(secret, Group) and secret.items is not None
        assert secret.items[3] == Group("*", (b"CONFIG", b"SET", b"requirepass", b"(redacted)"))


def test_a_slow_command_is_an_event_of_the_latency_monitor(port: int) -> None:
    with WireClient(port) as client:
        client.command(
            b"CONFIG", b"SET", b"latency-monitor-threshold", b"1", b"slowlog-log-slower-than", b"-1"
        )
        client.command(b"DEBUG", b"SLEEP", b"0.005")
        latest = client.value(b"LATENCY", b"LATEST")
        assert isinstance(latest, Group) and latest.items is not None
        event = latest.items[0]
        assert isinstance(event, Group) and event.items is not None
        assert event.items[0] == b"command" and isinstance(event.items[2], int) and event.items[2] >= 5
        assert client.value(b"SLOWLOG", b"LEN") == 0
        drawing = client.value(b"LATENCY", b"GRAPH", b"command")
        assert isinstance(drawing, bytes) and drawing.startswith(b"command - high ")
        assert client.value(b"LATENCY", b"RESET") == 1


def test_histograms_tell_how_long_commands_took(port: int) -> None:
    with WireClient(port) as client:
        for _ in range(100):
            client.command(b"PING")
        shown = client.value(b"LATENCY", b"HISTOGRAM", b"ping")
        assert isinstance(shown, Group) and shown.items is not None
        facts = shown.items[1]
        assert isinstance(facts, Group) and facts.items is not None and facts.items[:2] == (b"calls", 100)
        assert b"latency_percentiles_usec_ping:p50=" in client.command(b"INFO", b"latencystats")
        client.command(b"CONFIG", b"RESETSTAT")
        assert client.value(b"LATENCY", b"HISTOGRAM", b"ping") == Group("*", ())


def test_a_renamed_command_answers_to_its_new_name_only() -> None:
    with serve(rename_command=("CONFIG", "secret-config")) as server, WireClient(server.port) as client:
        assert client.command(b"CONFIG", b"GET", b"port").startswith(b"-ERR unknown command")
        assert client.command(b"SECRET-CONFIG", b"GET", b"hz") == b"*2\r\n$2\r\nhz\r\n$2\r\n10\r\n"


def test_a_command_renamed_to_nothing_is_gone() -> None:
    with serve(rename_command=("MONITOR", "")) as server, WireClient(server.port) as client:
        assert client.command(b"MONITOR").startswith(b"-ERR unknown command")
        assert client.value(b"COMMAND", b"INFO", b"monitor").items[0].mark == "$"  # type: ignore[union-attr,index]


def test_a_malformed_request_ends_its_own_connection_only(port: int) -> None:
    with WireClient(port) as bad, WireClient(port) as good:
        bad.send(b"*1\r\n$abc\r\n")
        assert bad.read_to_end() == b"-ERR Protocol error: invalid bulk length\r\n"
        assert good.command(b"PING") == b"+PONG\r\n"
