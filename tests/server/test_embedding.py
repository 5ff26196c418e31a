"""`holdfast.Server` in a thread and in the caller's loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import holdfast
from holdfast.server.config import ConfigFileError
from tests.server.running import serve
from tests.wire import WireClient, encode


def test_several_servers_live_in_one_process_and_know_nothing_of_each_other() -> None:
    with serve() as first, serve() as second:
        assert first.port != second.port
        with WireClient(first.port) as one, WireClient(second.port) as two:
            one.command(b"SET", b"k", b"1")
            assert two.command(b"GET", b"k") == b"$-1\r\n"
            one.command(b"CONFIG", b"SET", b"maxmemory", b"100mb")
            assert two.value(b"CONFIG", b"GET", b"maxmemory").items == (b"maxmemory", b"0")  # type: ignore[union-attr]


async def test_a_server_runs_in_the_callers_own_loop() -> None:
    async with holdfast.Server(databases=3) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(encode([b"SELECT", b"3"]) + encode([b"PING"]))
        assert await reader.readline() == b"-ERR DB index is out of range\r\n"
        assert await reader.readline() == b"+PONG\r\n"
        assert server.url == f"redis://127.0.0.1:{server.port}"
        writer.close()


async def test_stopping_closes_connections_and_frees_the_port() -> None:
    server = holdfast.Server()
    await server.start()
    port = server.port
    reader, writer = await asyncio.open_connection(*server.address)
    await server.stop()
    assert await reader.read() == b""
    writer.close()
    async with holdfast.Server(port=port) as again:
        assert again.port == port


def test_an_option_that_redis_conf_refuses_is_refused() -> None:
    with pytest.raises(ConfigFileError, match="no-such-option"):
        holdfast.Server(no_such_option=1)


def test_shutdown_by_a_client_ends_the_server() -> None:
    with serve() as server, WireClient(server.port) as client:
        client.send(encode([b"SHUTDOWN", b"NOSAVE"]))
        assert client.read_to_end() == b""


def test_a_unix_socket_has_its_permissions_and_goes_with_the_server(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "redis.sock"
    with serve(unixsocket=str(path), unixsocketperm="700") as server, WireClient(server.port) as client:
        assert path.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(path))
            link.sendall(encode([b"CLIENT", b"INFO"]))
            line = link.recv(4096)
            assert f"addr={path}:0".encode() in line
            assert b" flags=U " in line
        assert b"listener1:name=unix" in client.command(b"INFO", b"server")
    assert not path.exists()


def test_port_and_bind_change_while_the_server_runs() -> None:
    with serve() as server, serve() as other, WireClient(server.port) as client:
        taken = str(other.port).encode()
        refusal = client.command(b"CONFIG", b"SET", b"port", taken)
        assert b"Unable to listen on this port" in refusal
        assert client.value(b"CONFIG", b"GET", b"port").items[1] != taken  # type: ignore[union-attr,index]
        with WireClient(server.port) as still:
            assert still.command(b"PING") == b"+PONG\r\n"
