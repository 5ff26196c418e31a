"""Very many clients, very large strings: small ones of each always, the full sizes with HOLDFAST_LARGE=1."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import pytest

from tests.peers import start_holdfast
from tests.wire import WireClient, encode

MIB = 1 << 20
PIECE = bytes(range(256)) * (MIB // 256)
large = pytest.mark.skipif(os.environ.get("HOLDFAST_LARGE") != "1", reason="HOLDFAST_LARGE=1")
SIZES = [pytest.param(2, id="2 MB"), pytest.param(512, id="512 MB", marks=[large, pytest.mark.timeout(300)])]
COUNTS = [pytest.param(500), pytest.param(10_000, marks=[large, pytest.mark.timeout(300)])]


def send_large(link: socket.socket, mebibytes: int) -> None:
    """Send SET k with a value of so many mebibytes."""
    link.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (mebibytes * MIB))
    for _ in range(mebibytes):
        link.sendall(PIECE)
    link.sendall(b"\r\n")


def receive(link: socket.socket, wanted: int) -> bytes:
    """Receive exactly so many bytes."""
    room = bytearray(wanted)
    view, got = memoryview(room), 0
    while got < wanted:
        count = link.recv_into(view[got:])
        assert count
        got += count
    return bytes(room)


@pytest.mark.parametrize("mebibytes", SIZES)
def test_a_string_of_the_largest_size_goes_in_and_out_and_a_larger_one_is_refused(mebibytes: int) -> None:
    with start_holdfast("--proto-max-bulk-len", f"{mebibytes}mb", "--save", "") as server:
        with server.connect(timeout_seconds=120) as client, server.connect(timeout_seconds=120) as other:
            send_large(client.socket, mebibytes)
            assert client.read() == b"+OK\r\n"
            assert other.value(b"STRLEN", b"k") == mebibytes * MIB
            client.socket.sendall(encode([b"GET", b"k"]))
            head = b"$%d\r\n" % (mebibytes * MIB)
            assert receive(client.socket, len(head)) == head
            assert all(receive(client.socket, MIB) == PIECE for _ in range(mebibytes))
            assert receive(client.socket, 2) == b"\r\n"
            client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (mebibytes * MIB + 1))
            assert client.read_to_end() == b"-ERR Protocol error: invalid bulk length\r\n"
            error = other.command(b"SETRANGE", b"k", b"%d" % (mebibytes * MIB), b"x")
            assert error == b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"
            assert other.command(b"DEL", b"k") == b":1\r\n"


@pytest.mark.parametrize("count", COUNTS)
def test_idle_clients_cost_little_memory_and_others_are_served(count: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count + 500:
        pytest.skip("the system allows too few open files")
    with start_holdfast("--maxclients", "10100", "--save", "") as server:
        before = resident_bytes(server.process.pid)
        clients = [server.connect() for _ in range(count)]
        try:
            for client in clients:
                client.send(encode([b"PING"]))
            assert all(client.read() == b"+PONG\r\n" for client in clients)
            grown = resident_bytes(server.process.pid) - before
            assert grown / count < 16_384
            last = WireClient(server.port)
            assert b"connected_clients:%d\r\n" % (count + 1) in last.command(b"INFO", b"clients")
            assert last.command(b"SET", b"k", b"v") == b"+OK\r\n"
            last.close()
        finally:
            for client in clients:
                client.close()


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
