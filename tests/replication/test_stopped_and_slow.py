"""Processes that stand still and links that crawl, between ours, redis-server and valkey-server."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.persistence.nodes import Client, running
from tests.replication.processes import PAIRS, Link, Server, await_equal, await_true, pair
from tests.replication.writer import Writer

STANDING = ("--repl-timeout", "2", "--repl-backlog-size", "64mb")
"""Who stands still is given up soon, and may go on from where it stood."""


def full_syncs(replica: Server) -> int:
    """Return how many whole copies a replica has taken."""
    return replica.log_path.read_text().count("Full resync from master")


@pytest.mark.parametrize("kinds", PAIRS, ids="→".join)
def test_a_replica_that_stands_still_is_dropped_and_goes_on_from_where_it_stood(
    kinds: tuple[str, str], tmp_path: Path
) -> None:
    with pair(kinds, tmp_path, *STANDING) as (primary, replica):
        writer = Writer(primary.port, 11)
        replica.pause()
        seen = writer.sent
        await_true(lambda: primary.info("connected_slaves") == 0, "the primary gives it up")
        assert writer.sent > seen
        replica.resume()
        await_true(lambda: primary.info("connected_slaves") == 1, "it is back")
        writer.stop()
        await_equal(primary, replica)
        assert full_syncs(replica) == 1


@pytest.mark.parametrize("kinds", PAIRS, ids="→".join)
def test_a_primary_that_stands_still_is_noticed_and_followed_again(
    kinds: tuple[str, str], tmp_path: Path
) -> None:
    with pair(kinds, tmp_path, *STANDING) as (primary, replica):
        writer = Writer(primary.port, 12)
        await_true(lambda: writer.sent > 200, "writes run")
        primary.pause()
        await_true(lambda: replica.info("master_link_status") == "down", "the replica notices")
        primary.resume()
        await_true(replica.is_synced, "in sync again")
        writer.stop()
        await_equal(primary, replica)
        assert full_syncs(replica) == 1


@pytest.mark.parametrize("kinds", PAIRS, ids="→".join)
def test_a_slow_link_holds_up_neither_the_primary_nor_the_sync(
    kinds: tuple[str, str], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        options = ("--repl-backlog-size", "1mb", "--repl-diskless-sync", "yes")
        primary = stack.enter_context(Server(kinds[0], tmp_path / "p", *options))
        replica = stack.enter_context(Server(kinds[1], tmp_path / "r"))
        link = Link(primary.port)
        link.bytes_per_second = 300_000
        stack.callback(link.close)
        pipe = primary.client.pipeline(transaction=False)
        for number in range(4_000):
            pipe.set(f"k:{number}", f"{number:064}"[::-1])
        pipe.execute()
        replica.follow(link.port)
        await_true(lambda: primary.client.execute_command("INFO", "replication")["connected_slaves"], "begun")
        writer = Writer(primary.port, 13)
        slowest_s = 0.0
        while not replica.is_synced():
            began = time.monotonic()
            primary.client.ping()
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert writer.sent > 100
        assert slowest_s < 0.5
        writer.stop()
        await_equal(primary, replica)


@pytest.mark.parametrize(("setting", "at_once"), [("no", True), ("yes", False)])
async def test_small_pieces_are_joined_on_demand(setting: str, at_once: bool, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "r").mkdir()
    options = ("--repl-disable-tcp-nodelay", setting, "--repl-diskless-sync-delay", "0")
    async with running(tmp_path / "p", *options) as (primary, _), running(tmp_path / "r") as (_, client):
        await client.call("REPLICAOF", "127.0.0.1", str(primary.port))
        while not primary.replication.stream.replicas:
            await asyncio.sleep(0)
        (replica,) = primary.replication.stream.replicas
        link = replica.connection.transport.get_extra_info("socket")
        assert bool(link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is at_once
        other = await Client.connect("127.0.0.1", primary.port)
        assert await other.call("PING") == b"PONG"
        other.close()
