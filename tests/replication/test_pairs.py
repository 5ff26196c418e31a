"""Pairs and chains of processes, ours, redis-server, valkey-server: equal data, whatever happens between."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.replication.processes import PAIRS, Link, Server, await_equal, await_true
from tests.replication.writer import Writer

CHAINS = [
    ("ours", "redis", "ours"),
    ("redis", "ours", "redis"),
    ("ours", "ours", "ours"),
    ("ours", "valkey", "ours"),
    ("valkey", "ours", "valkey"),
]
WAYS = {
    "diskless": ("--repl-diskless-sync", "yes"),
    "disk": ("--repl-diskless-sync", "no"),
}


def offset(server: Server) -> int:
    role: Any = server.client.execute_command("ROLE")
    return int(role[1] if role[0] == b"master" else role[4])


def log_of(server: Server) -> str:
    return server.log_path.read_text()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kinds", PAIRS, ids="→".join)
def test_a_replica_gets_everything_by_a_full_sync_under_writes(
    kinds: tuple[str, str], way: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(Server(kinds[0], tmp_path / "p", *WAYS[way]))
        replica = stack.enter_context(Server(kinds[1], tmp_path / "r"))
        writer = Writer(primary.port, 1)
        await_true(lambda: writer.sent > 500, "writes run")
        replica.client.set("stale", "goes")
        replica.follow(primary.port)
        await_true(replica.is_synced, "first sync")
        seen = writer.sent
        await_true(lambda: writer.sent > seen + 500, "writes after the sync")
        writer.stop()
        await_equal(primary, replica)
        assert replica.client.get("stale") is None


@pytest.mark.parametrize("kinds", PAIRS, ids="→".join)
def test_a_cut_link_is_continued_without_a_full_sync(kinds: tuple[str, str], tmp_path: Path) -> None:
    with ExitStack() as stack:
        size = ("--repl-backlog-size", "64mb")
        primary = stack.enter_context(Server(kinds[0], tmp_path / "p", *size))
        replica = stack.enter_context(Server(kinds[1], tmp_path / "r", *size))
        link = Link(primary.port)
        stack.callback(link.close)
        replica.follow(link.port)
        await_true(replica.is_synced, "first sync")
        writer = Writer(primary.port, 2)
        for cut_after_bytes in (1, 777, 40_000):
            link.cut_after_bytes = cut_after_bytes
            await_true(lambda: link.cut_after_bytes is None, "the link is cut")
            await_true(replica.is_synced, "the link is up again")
        writer.stop()
        await_equal(primary, replica)
        logs = log_of(replica)
        assert logs.count("Full resync from master") == 1
        assert logs.lower().count("successful partial resynchronization") >= 3


@pytest.mark.parametrize("kinds", CHAINS, ids="→".join)
def test_a_chain_of_three_carries_the_same_stream(kinds: tuple[str, str, str], tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, middle, last = (
            stack.enter_context(Server(kind, tmp_path / str(number))) for number, kind in enumerate(kinds)
        )
        writer = Writer(first.port, 3)
        middle.follow(first.port)
        last.follow(middle.port)
        await_true(middle.is_synced, "the middle is in sync")
        await_true(last.is_synced, "the last is in sync")
        seen = writer.sent
        await_true(lambda: writer.sent > seen + 500, "writes run through the chain")
        writer.stop()
        await_equal(first, middle)
        await_equal(first, last)
        assert offset(last) == offset(middle) or offset(last) <= offset(first)


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_a_restarted_replica_continues_from_its_file(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(Server(kind, tmp_path / "p", "--repl-backlog-size", "64mb"))
        options = ("--save", "3600 1", "--replicaof", f"127.0.0.1 {primary.port}")
        replica = stack.enter_context(Server("ours", tmp_path / "r", *options))
        writer = Writer(primary.port, 4)
        await_true(replica.is_synced, "first sync")
        await_true(lambda: writer.sent > 500, "writes run")
        replica.stop()
        replica.start()
        await_true(replica.is_synced, "in sync again")
        writer.stop()
        await_equal(primary, replica)
        assert log_of(replica).count("Full resync from master") == 1


def test_replicas_of_a_promoted_node_continue(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(Server("ours", tmp_path / name)) for name in "abc")
        second.follow(first.port)
        third.follow(first.port)
        await_true(second.is_synced, "sync")
        await_true(third.is_synced, "sync")
        first.client.set("k", 1)
        first.client.execute_command("WAIT", 2, 5000)
        second.client.execute_command("REPLICAOF", "NO", "ONE")
        third.follow(second.port)
        first.follow(second.port)
        second.client.set("k", 2)
        await_equal(second, third)
        await_equal(second, first)
        assert log_of(third).count("Full resync from master") == 1
        assert log_of(first).count("Full resync from master") == 0


def test_failover_hands_over_without_losing_a_write(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(Server("ours", tmp_path / name)) for name in "ab")
        second.follow(first.port)
        await_true(second.is_synced, "sync")
        first.client.set("k", 1)
        assert (
            first.client.execute_command("FAILOVER", "TO", "127.0.0.1", second.port, "TIMEOUT", 5000) == b"OK"
        )
        await_true(first.is_synced, "the former primary follows")
        assert second.client.get("k") == b"1"
        second.client.set("k", 2)
        await_equal(second, first)
        assert log_of(first).count("Full resync from master") == 0


@pytest.mark.parametrize("kinds", PAIRS, ids="→".join)
def test_a_link_cut_within_the_snapshot_begins_again(kinds: tuple[str, str], tmp_path: Path) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(Server(kinds[0], tmp_path / "p"))
        replica = stack.enter_context(Server(kinds[1], tmp_path / "r"))
        link = Link(primary.port)
        stack.callback(link.close)
        writer = Writer(primary.port, 5)
        await_true(lambda: writer.sent > 1000, "writes run")
        for cut_after_bytes in (250, 3000):
            link.cut_after_bytes = cut_after_bytes
            if cut_after_bytes == 250:
                replica.follow(link.port)
            await_true(lambda: link.cut_after_bytes is None, "the link is cut")
        await_true(replica.is_synced, "in sync at last")
        writer.stop()
        await_equal(primary, replica)


def test_a_killed_replica_and_a_killed_primary_come_back(tmp_path: Path) -> None:
    with ExitStack() as stack:
        log = ("--appendonly", "yes", "--appendfsync", "always")
        primary = stack.enter_context(Server("ours", tmp_path / "p", *log))
        options = ("--replicaof", f"127.0.0.1 {primary.port}")
        replica = stack.enter_context(Server("ours", tmp_path / "r", *options))
        await_true(replica.is_synced, "in sync")
        writer = Writer(primary.port, 6)
        await_true(lambda: writer.sent > 300, "writes run")
        replica.kill()
        replica.start()
        await_true(replica.is_synced, "in sync again")
        seen = writer.sent
        await_true(lambda: writer.sent > seen + 300, "writes run")
        primary.kill()
        writer.stop()
        primary.start()
        await_true(replica.is_synced, "in sync with the restarted primary")
        primary.client.set("after", 1)
        await_true(lambda: replica.client.get("after") == b"1", "the stream flows")
        await_equal(primary, replica)
