"""A data set of a million keys of all types, synced under writes: equal DEBUG DIGEST at the end.

It takes half a minute a pair, so it runs where HOLDFAST_LARGE is 1; HOLDFAST_KEYS says how many keys.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import redis

from tests.replication.processes import PAIRS, Server, await_true, contents
from tests.replication.writer import Writer

KEYS = int(os.environ.get("HOLDFAST_KEYS", "1000000"))
SYNC_LIMIT_S = 600.0
DEBUGS = ("--enable-debug-command", "local")
WAYS = {"diskless": ("--repl-diskless-sync", "yes"), "disk": ("--repl-diskless-sync", "no")}
large = pytest.mark.skipif(os.environ.get("HOLDFAST_LARGE") != "1", reason="HOLDFAST_LARGE=1")


def fill(client: redis.Redis, keys: int) -> None:
    """Store so many keys: strings, and each tenth of another type; some of them expire one day."""
    for start in range(0, keys, 10_000):
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(start + 10_000, keys)):
            name = f"key:{number}"
            match number % 50:
                case 0:
                    pipe.rpush(name, *range(number % 7 + 1))
                case 10:
                    pipe.sadd(name, *range(number % 9 + 1))
                case 20:
                    pipe.hset(name, mapping={"a": number, "b": "x" * (number % 90)})
                case 30:
                    pipe.zadd(name, {f"m{each}": each / 4 for each in range(number % 5 + 1)})
                case 40:
                    pipe.set(name, number, ex=1_000_000)
                case _:
                    pipe.set(name, f"{number:032}")
        pipe.execute()


def digest(server: Server) -> object:
    """Return DEBUG DIGEST."""
    return server.client.execute_command("DEBUG", "DIGEST")


@large
@pytest.mark.timeout(1800)  # a machine may be busy
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kinds", PAIRS, ids="→".join)
def test_a_million_keys_arrive_while_they_are_written_to(
    kinds: tuple[str, str], way: str, tmp_path: Path
) -> None:
    options = (*DEBUGS, "--repl-backlog-size", "256mb", *WAYS[way])
    with (
        Server(kinds[0], tmp_path / "p", *options) as primary,
        Server(kinds[1], tmp_path / "r", *options) as replica,
    ):
        fill(primary.client, KEYS)
        writer = Writer(primary.port, 21)
        await_true(lambda: writer.sent > 500, "writes run")
        seen = writer.sent
        replica.follow(primary.port)
        await_true(replica.is_synced, "the sync", SYNC_LIMIT_S)
        assert writer.sent > seen, "the primary went on during the sync"
        seen = writer.sent
        await_true(lambda: writer.sent > seen + 500, "writes after the sync")
        writer.stop()
        assert primary.client.wait(1, 60_000) == 1
        # Valkey 7.2 writes scores like 0.1 shorter into a digest than Redis 7.0: these are compared by value.
        scored = contents(primary.client, "z:*")
        assert scored == contents(replica.client, "z:*")
        primary.client.delete(*scored)
        await_true(lambda: digest(primary) == digest(replica), "equal digests", 60)  # the short-lived go
        assert replica.client.dbsize() > KEYS
        assert replica.log_path.read_text().count("Full resync from master") == 1
