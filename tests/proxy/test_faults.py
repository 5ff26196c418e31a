"""A proxy whose servers fail, whose clients are slow, and whose configuration changes."""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers import Peer, require_peer, running, start_redis_server
from tests.ports import free_port
from tests.proxy.conftest import Front
from tests.proxy.peers import nutcracker, pool_text, proxy_process
from tests.wire import Closed, Failure, Group, Simple, WireClient, encode


class Dumb:
    """A server that does with each connection what it is told to, in a thread."""

    def __init__(self, behave: Callable[[socket.socket], None], port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._behave = behave
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        try:
            self._behave(link)
        except OSError:
            return

    def close(self) -> None:
        """Listen no more, and drop the connections."""
        self._listener.close()
        for each in self.connections:
            each.close()


def swallow(link: socket.socket) -> None:
    """Take everything, say nothing."""
    while link.recv(1 << 16):
        pass


def hang_up(link: socket.socket) -> None:
    """Close at the first request."""
    link.recv(1 << 16)
    link.close()


@pytest.mark.parametrize(
    ("behave", "timeout", "words"),
    [
        (swallow, 80, b"-ERR Connection timed out\r\n"),
        (hang_up, 2000, None),
        (None, 2000, b"-ERR Connection refused\r\n"),
    ],
)
def test_a_failing_server_is_told_in_nutcrackers_words(
    behave: Callable[[socket.socket], None] | None, timeout: int, words: bytes | None
) -> None:
    dumb = Dumb(behave) if behave else None
    server = f"127.0.0.1:{dumb.port if dumb else free_port()}:1"
    replies = []
    for run in (nutcracker, proxy_process):
        port = free_port()
        with run(pool_text("p", port, [server], timeout=timeout), port):
            client = WireClient(port)
            replies.append(client.pipeline([[b"GET", b"a"], [b"GET", b"b"]]))
            client.close()
    if dumb:
        dumb.close()
    if words is not None:
        assert replies[0] == [words] * 2
    assert replies[1] == replies[0]


def test_one_failing_server_leaves_the_others_whole(servers: tuple[Peer, ...]) -> None:
    port = free_port()
    lines = [f"127.0.0.1:{servers[0].port}:1", f"127.0.0.1:{free_port()}:1"]
    with proxy_process(pool_text("p", port, lines, distribution="modula", hash="crc16"), port):
        client = WireClient(port)
        replies = client.pipeline([[b"SET", b"k%d" % number, b"1"] for number in range(100)])
        assert 20 < replies.count(b"+OK\r\n") < 80
        assert set(replies) == {b"+OK\r\n", b"-ERR Connection refused\r\n"}
        reply = client.value(b"MGET", *(b"k%d" % number for number in range(10)))
        assert reply == Failure(b"ERR Connection refused")


def test_a_server_that_fails_often_is_left_out_for_a_while(servers: tuple[Peer, ...]) -> None:
    port, stats_port, dead = free_port(), free_port(), free_port()
    lines = [f"127.0.0.1:{servers[0].port}:1", f"127.0.0.1:{dead}:1"]
    text = pool_text(
        "p",
        port,
        lines,
        hash="md5",
        auto_eject_hosts="true",
        server_failure_limit=2,
        server_retry_timeout=600,
    )
    with proxy_process(text, port, stats_port=stats_port):
        client = WireClient(port)
        failures = 0
        for number in range(100):
            failures += client.command(b"SET", b"k%d" % number, b"1") != b"+OK\r\n"
        assert failures == 2
        with running(start_redis_server(port=dead)):
            deadline = time.monotonic() + 10
            direct = WireClient(dead)
            while direct.value(b"DBSIZE") == 0 and time.monotonic() < deadline:
                client.pipeline([[b"SET", b"k%d" % number, b"1"] for number in range(100)])
            assert direct.value(b"DBSIZE")


def test_a_restarted_server_is_found_again() -> None:
    require_peer("redis-server")
    port, backend = free_port(), free_port()
    with proxy_process(pool_text("p", port, [f"127.0.0.1:{backend}:1"]), port):
        client = WireClient(port)
        for _ in range(2):
            with running(start_redis_server(port=backend)):
                assert client.command(b"SET", b"a", b"1") == b"+OK\r\n"
            assert client.command(b"GET", b"a").startswith(b"-ERR ")


def test_a_huge_value_goes_through_in_pieces(front: Front) -> None:
    client = front.client("lone", timeout_seconds=60)
    value = os.urandom(1 << 20) * 64
    before = resident(front.process.process.pid)
    client.send(encode([b"SET", b"small", b"1"]))
    client.send(encode([b"SET", b"huge", value]) + encode([b"GET", b"small"]))
    assert [client.read() for _ in range(3)] == [b"+OK\r\n", b"+OK\r\n", b"$1\r\n1\r\n"]
    assert peak(front.process.process.pid) - before < 32 << 20
    client.send(encode([b"STRLEN", b"huge"]) + encode([b"GET", b"huge"]) + encode([b"GET", b"small"]))
    assert client.read() == b":%d\r\n" % len(value)
    assert client.read() == b"$%d\r\n%s\r\n" % (len(value), value)
    assert client.read() == b"$1\r\n1\r\n"


def test_a_client_that_does_not_read_does_not_stop_the_others(front: Front) -> None:
    lazy, client = front.client(), front.client()
    client.command(b"SET", b"page", b"x" * 40_000)
    lazy.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            lazy.send(encode([b"GET", b"page"]) * 100)
    for _ in range(20):
        assert client.value(b"GET", b"page") == b"x" * 40_000
    assert resident(front.process.process.pid) < 400 << 20
    lazy.socket.settimeout(20)
    assert all(lazy.read() == b"$40000\r\n" + b"x" * 40_000 + b"\r\n" for _ in range(500))


def test_a_client_that_leaves_leaves_nothing_behind(front: Front) -> None:
    for _ in range(30):
        client = front.client()
        client.send(encode([b"GET", b"a"]) * 500 + encode([b"MGET", b"a", b"b", b"c"]) * 100)
        client.close()
    client = front.client()
    assert client.pipeline([[b"SET", b"n%d" % n, b"%d" % n] for n in range(100)]) == [b"+OK\r\n"] * 100
    assert client.pipeline([[b"GET", b"n%d" % n] for n in range(100)])[42] == b"$2\r\n42\r\n"


def test_ten_thousand_clients_share_a_few_connections(front: Front) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 10_000 if hard == resource.RLIM_INFINITY else min(10_000, hard - 1000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients: list[socket.socket] = []
    try:
        for _ in range(count):
            clients.append(socket.create_connection(("127.0.0.1", front.ports["plain"]), 30))
        for number, each in enumerate(clients):
            key = b"c%05d" % number
            each.sendall(encode([b"SET", key, key]) + encode([b"GET", key]))
        for number, each in enumerate(clients):
            expected = b"+OK\r\n$6\r\nc%05d\r\n" % number
            assert each.recv(len(expected), socket.MSG_WAITALL) == expected
        told = front.client().value(b"INFO", b"proxy")
    finally:
        for each in clients:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(told, bytes)
    plain = told.split(b"name=plain")[1].split(b"\r\npool1,")[0]
    assert int(plain.split(b"clients=")[1].split(b",")[0]) >= count
    connected = front.backends[0].connect().value(b"INFO", b"clients")
    assert isinstance(connected, bytes)
    assert int(connected.split(b"connected_clients:")[1].split(b"\r")[0]) < 30


def test_what_is_no_request_ends_the_connection_with_a_word(front: Front) -> None:
    client = front.client()
    client.send(encode([b"GET", b"none"]) + b"*1\r\n!bad\r\n")
    assert client.read() == b"$-1\r\n"
    assert client.read().startswith(b"-ERR Protocol error: expected '$'")
    assert client.read_to_end() == b""


def test_a_client_that_shuts_its_end_gets_its_answers(front: Front) -> None:
    client = front.client()
    client.send(encode([b"SET", b"a", b"1"]) + encode([b"MGET", b"a", b"b"]))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.read_to_end() == b"+OK\r\n*2\r\n$1\r\n1\r\n$-1\r\n"


def test_the_watched_connection_lost_is_told_at_exec() -> None:
    require_peer("redis-server")
    port, backend = free_port(), free_port()
    with proxy_process(pool_text("p", port, [f"127.0.0.1:{backend}:1"]), port):
        client = WireClient(port)
        with running(start_redis_server(port=backend)):
            assert client.command(b"WATCH", b"a") == b"+OK\r\n"
        assert client.command(b"BLPOP", b"a", b"0").startswith(b"-ERR ")
        replies = client.pipeline([[b"MULTI"], [b"SET", b"a", b"1"], [b"EXEC"]])
        assert replies[2].startswith(b"-EXECABORT")
        with running(start_redis_server(port=backend)):
            assert client.pipeline([[b"MULTI"], [b"SET", b"a", b"1"], [b"EXEC"]])[2] == b"*1\r\n+OK\r\n"


def test_a_reload_changes_servers_and_keeps_clients(servers: tuple[Peer, ...]) -> None:
    port, second = free_port(), free_port()
    lines = [f"127.0.0.1:{each.port}:1" for each in servers]
    for each in servers:
        each.connect().command(b"FLUSHALL")
    with proxy_process(pool_text("p", port, lines[:1], hash="md5"), port) as process:
        client, listener = WireClient(port), WireClient(port)
        client.pipeline([[b"SET", b"k%d" % n, b"1"] for n in range(60)])
        listener.command(b"SUBSCRIBE", b"ch")
        assert servers[0].connect().value(b"DBSIZE") == 60
        path = process.directory / "proxy.yml"
        path.write_text(pool_text("p", port, lines, hash="md5") + pool_text("q", second, lines[:1]))
        process.process.send_signal(signal.SIGHUP)
        process.wait_for(second)
        client.pipeline([[b"SET", b"k%d" % n, b"1"] for n in range(60)])
        assert all(each.connect().value(b"DBSIZE") for each in servers)
        client.command(b"PUBLISH", b"ch", b"x")
        assert listener.read_value() == Group("*", (b"message", b"ch", b"x"))
        path.write_text("p: [")
        refused = client.value(b"PROXY", b"RELOAD")
        assert isinstance(refused, Failure) and b"flow sequence" in refused.text
        path.write_text(pool_text("p", port, lines[1:], hash="md5"))
        assert client.value(b"PROXY", b"RELOAD") == Simple("+", b"OK")
        with pytest.raises(OSError):
            for _ in range(200):
                WireClient(second).close()
        assert client.command(b"SET", b"a", b"1") == b"+OK\r\n"


def test_sigterm_lets_requests_end(tmp_path: Path) -> None:
    gate = threading.Event()

    def answer_late(link: socket.socket) -> None:
        link.recv(1 << 16)
        gate.wait(10)
        link.sendall(b"$4\r\nlate\r\n")
        swallow(link)

    dumb = Dumb(answer_late)
    port = free_port()
    with proxy_process(pool_text("p", port, [f"127.0.0.1:{dumb.port}:1"]), port) as process:
        idle, client = WireClient(port), WireClient(port)
        client.send(encode([b"GET", b"a"]))
        assert idle.command(b"PING") == b"+PONG\r\n"
        process.process.send_signal(signal.SIGTERM)
        with pytest.raises((Closed, ConnectionError)):
            idle.read()
        with pytest.raises(OSError):
            WireClient(port)
        gate.set()
        assert client.read() == b"$4\r\nlate\r\n"
        assert process.process.wait(10) == 0
    dumb.close()


def test_a_unix_socket_serves_and_is_served(tmp_path: Path) -> None:
    require_peer("redis-server")
    inner, outer, port = tmp_path / "in.sock", tmp_path / "out.sock", free_port()
    with running(start_redis_server("--unixsocket", str(inner))):
        text = pool_text("a", f"{outer} 0660", [f"{inner}:1 server1"]) + pool_text("b", port, [f"{inner}:1"])
        with proxy_process(text, port):
            link = socket.socket(socket.AF_UNIX)
            link.connect(str(outer))
            link.sendall(encode([b"SET", b"a", b"1"]) + encode([b"GET", b"a"]))
            received = b""
            while received.count(b"\n") < 3:
                received += link.recv(100)
            assert received == b"+OK\r\n$1\r\n1\r\n"
            assert outer.stat().st_mode & 0o777 == 0o660
            link.close()


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError
