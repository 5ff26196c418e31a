"""What keeps a server's memory and its other clients safe from one client."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

import holdfast
from tests.server.running import serve
from tests.wire import Closed, Failure, WireClient, encode

MIB = 1 << 20


def read_until_closed(client: WireClient) -> bytes:
    return client.read_to_end()


def test_one_client_too_many_is_told_so() -> None:
    with serve(maxclients=2) as server:
        with WireClient(server.port) as first, WireClient(server.port) as second:
            assert first.command(b"PING") == second.command(b"PING") == b"+PONG\r\n"
            with WireClient(server.port) as third:
                assert read_until_closed(third) == b"-ERR max number of clients reached\r\n"
            assert b"rejected_connections:1\r\n" in first.command(b"INFO", b"stats")


def test_a_subscriber_that_never_reads_is_closed_at_its_limit() -> None:
    with serve(client_output_buffer_limit="pubsub 1mb 0 0") as server:
        node = server.node
        assert node is not None
        with WireClient(server.port) as reader, WireClient(server.port) as sender:
            if isinstance(reader.value(b"SUBSCRIBE", b"news"), Failure):
                pytest.skip("there is no SUBSCRIBE yet")
            reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            message = b"x" * 65536
            for _ in range(400):
                if sender.value(b"PUBLISH", b"news", message) == 0:
                    break
            else:
                pytest.fail("the subscriber was never closed")
            assert b"connected_clients:1\r\n" in sender.command(b"INFO", b"clients")


def test_a_monitor_that_never_reads_is_closed_though_normal_clients_have_no_limit() -> None:
    with serve(proto_max_bulk_len="64mb") as server:
        with WireClient(server.port) as watcher, WireClient(server.port) as sender:
            assert watcher.command(b"MONITOR") == b"+OK\r\n"
            word = b"x" * (4 * MIB)
            for _ in range(40):
                sender.command(b"ECHO", word)
                if b"connected_clients:1\r\n" in sender.command(b"INFO", b"clients"):
                    return
            pytest.fail("the MONITOR was never closed")


def test_a_client_that_sends_and_never_reads_holds_a_bounded_part_of_its_replies() -> None:
    with serve() as server:
        node = server.node
        assert node is not None
        with WireClient(server.port) as deaf, WireClient(server.port) as other:
            deaf.command(b"SET", b"k", b"v" * 100_000)
            deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                while True:
                    deaf.send(encode([b"GET", b"k"]) * 1000)
            assert other.command(b"PING") == b"+PONG\r\n"
            sizes = [each.session.buffer_bytes for each in node.clients.connections.values()]
            assert max(sizes) < 8 * MIB


def test_a_request_above_the_query_buffer_limit_ends_the_connection() -> None:
    with serve(client_query_buffer_limit="1mb") as server:
        with WireClient(server.port) as client, WireClient(server.port) as other:
            with pytest.raises((ConnectionError, Closed)):
                client.send(b"*2\r\n$4\r\nECHO\r\n$20000000\r\n" + b"x" * (8 * MIB))
                client.send(b"x" * (8 * MIB))
                client.read()
            assert other.command(b"PING") == b"+PONG\r\n"


def test_an_endless_line_ends_the_connection() -> None:
    with serve() as server:
        with WireClient(server.port) as client, WireClient(server.port) as other:
            client.send(b"x" * 70_000)
            assert read_until_closed(client) == b"-ERR Protocol error: too big inline request\r\n"
            assert other.command(b"PING") == b"+PONG\r\n"


async def test_the_largest_clients_are_evicted_above_maxmemory_clients() -> None:
    async with holdfast.Server(maxmemory_clients="1mb", hz=100) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        spared_reader, spared_writer = await asyncio.open_connection(*server.address)
        spared_writer.write(encode([b"CLIENT", b"NO-EVICT", b"ON"]))
        assert await spared_reader.readline() == b"+OK\r\n"
        for each in (writer, spared_writer):
            each.write(b"*2\r\n$4\r\nECHO\r\n$4000000\r\n" + b"x" * 3_000_000)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        spared_writer.write(b"x" * 1_000_000 + b"\r\n")
        assert await spared_reader.readline() == b"$4000000\r\n"
        assert server.node is not None
        assert server.node.clients.evicted == 1
        writer.close()
        spared_writer.close()


async def test_an_idle_client_is_closed_after_the_timeout() -> None:
    async with holdfast.Server(timeout=1, hz=100) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(encode([b"PING"]))
        assert await reader.readline() == b"+PONG\r\n"
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_strangers_are_refused_in_protected_mode_with_no_password() -> None:
    async with holdfast.Server() as server:
        node = server.node
        assert node is not None
        assert node.clients._refusal("192.0.2.7").startswith(b"-DENIED Redis is running in protected mode")
        assert node.clients._refusal("127.0.0.1") == node.clients._refusal("::1") == b""
        node.configuration.set_all(["requirepass", "secret"])
        assert node.clients._refusal("192.0.2.7") == b""


def test_many_idle_connections_cost_little_and_others_are_served() -> None:
    with serve() as server:
        clients = [WireClient(server.port) for _ in range(300)]
        try:
            assert all(client.command(b"PING") == b"+PONG\r\n" for client in clients)
            assert b"connected_clients:300\r\n" in clients[-1].command(b"INFO", b"clients")
            shown = clients[0].value(b"CLIENT", b"LIST")
            assert isinstance(shown, bytes)
            assert all(int(line.split(b"tot-mem=")[1].split()[0]) < 8192 for line in shown.splitlines())
        finally:
            for client in clients:
                client.close()
