"""Real processes: SIGTERM to a primary, scripts, host names."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
import redis

from tests.peers import require_peer
from tests.sentinel.group import Group, group, until
from tests.sentinel.test_processes import build

RECORDER = """#!{python}
import json, os, sys
with open({book!r}, "a") as book:
    book.write(json.dumps(sys.argv[1:]) + "\\n")
{then}
"""


def script(path: Path, book: Path, then: str = "") -> str:
    """Write a script that notes its arguments in `book`, then does more."""
    path.write_text(RECORDER.format(python=sys.executable, book=str(book), then=then))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def noted(book: Path) -> list[list[str]]:
    """Return what scripts have noted."""
    return [json.loads(line) for line in book.read_text().splitlines()] if book.exists() else []


def test_a_primary_that_gets_sigterm_hands_over_and_an_ongoing_writer_loses_nothing() -> None:
    with group(down_after_ms=5000) as made:
        build(made, ["holdfast"] * 3, ["holdfast"] * 3)
        old = made.nodes[0]
        sentinel = made.sentinels[0]
        acknowledged = 0
        client = redis.Redis(port=old.port)
        for _ in range(500):
            client.set(f"k{acknowledged}", 1)
            acknowledged += 1
        old.signal(signal.SIGTERM)
        try:
            while True:
                client.set(f"k{acknowledged}", 1)
                acknowledged += 1
        except redis.RedisError:
            pass
        old.process.wait(10)
        assert "Handing over to a replica before shutting down." in old.log()
        until(lambda: made.primary_of(sentinel) != old.port, "another leads", 2)
        port = made.primary_of(sentinel)
        until(lambda: made.agreed(port), "all agree")
        new = redis.Redis(port=port)
        assert new.exists(*(f"k{number}" for number in range(acknowledged))) == acknowledged


@pytest.fixture
def stock() -> None:
    require_peer("redis-server")


@pytest.mark.usefixtures("stock")
def test_scripts_get_redis_s_arguments_at_a_failover() -> None:
    with group(down_after_ms=30_000) as made:
        directory = made.directory
        events, clients = directory / "events", directory / "clients"
        notify = script(directory / "notify", events)
        reconfigure = script(directory / "reconfigure", clients)
        for _ in range(2):
            made.add_node("redis").wait_ready()
        made.add_sentinel(
            "holdfast",
            1,
            f"sentinel notification-script mymaster {notify}\n"
            f"sentinel client-reconfig-script mymaster {reconfigure}\n",
        )
        made.settle()
        old, new = (str(each.port) for each in made.nodes)
        made.sentinels[0].client.sentinel_failover("mymaster")
        until(lambda: len(noted(clients)) == 1, "the clients' script has run")
        home = "127.0.0.1"
        assert noted(clients) == [["mymaster", "leader", "start", home, old, home, new]]
        until(lambda: any(each[0] == "+switch-master" for each in noted(events)), "the event came")
        switched = next(each for each in noted(events) if each[0] == "+switch-master")
        assert switched == ["+switch-master", f"mymaster {home} {old} {home} {new}"]
        assert all(len(each) == 2 for each in noted(events))


@pytest.mark.usefixtures("stock")
def test_the_script_of_the_clients_is_told_who_leads_and_who_observes_as_by_redis_sentinel() -> None:
    require_peer("redis-sentinel")
    with group(down_after_ms=30_000) as made:
        for _ in range(2):
            made.add_node("redis").wait_ready()
        books = []
        for kind in ("redis", "holdfast"):
            books.append(made.directory / f"told-{kind}")
            path = script(made.directory / f"reconfigure-{kind}", books[-1])
            made.add_sentinel(kind, 1, f"sentinel client-reconfig-script mymaster {path}\n")
        made.settle()
        first, second = (str(each.port) for each in made.nodes)
        home = "127.0.0.1"
        away, back = [home, first, home, second], [home, second, home, first]
        stock, ours = made.sentinels
        until(lambda: stock.client.sentinel_failover("mymaster"), "redis-sentinel leads")
        until(lambda: made.agreed(int(second)), "all follow")
        until(lambda: all(map(noted, books)), "the scripts have run, for they may overtake one another")
        until(lambda: ours.client.sentinel_failover("mymaster"), "ours leads back")
        until(lambda: made.agreed(int(first)), "all follow")
        expected = [["leader", *away], ["observer", *back]], [["observer", *away], ["leader", *back]]
        for book, lines in zip(books, expected, strict=True):
            until(lambda book=book: len(noted(book)) >= 2, "both have run twice")
            assert noted(book) == [["mymaster", role, "start", *moved] for role, *moved in lines]


def with_script(made: Group, then: str) -> Path:
    """Start one Sentinel whose notification-script does this; return its book."""
    book = made.directory / "book"
    path = script(made.directory / "notify", book, then)
    made.add_node("holdfast").wait_ready()
    sentinel = made.add_sentinel("holdfast", 1, f"sentinel notification-script mymaster {path}\n")
    sentinel.wait_ready()
    return book


def pending(made: Group) -> list[dict[str, str]]:
    """Return SENTINEL PENDING-SCRIPTS as dictionaries."""
    told: list[dict[str, str]] = made.sentinels[0].client.execute_command("SENTINEL PENDING-SCRIPTS")
    return told


def test_a_script_that_asks_for_it_is_tried_again_and_others_are_not() -> None:
    with group() as made:
        book = with_script(made, "sys.exit(1 if 'quorum 2' in sys.argv[2] else 3)")
        sentinel = made.sentinels[0].client
        until(lambda: noted(book) and not pending(made), "status 3 is not tried again")
        sentinel.execute_command("SENTINEL DEBUG script-retry-delay 100")
        first = len(noted(book))
        sentinel.execute_command("SENTINEL SET mymaster quorum 2")
        until(lambda: any(each.get("retry-num") == "1" for each in pending(made)), "it waits for its retry")
        until(lambda: len([each for each in noted(book)[first:] if each[0] == "+set"]) >= 3, "tried again")


def test_a_script_that_hangs_is_killed_after_its_time_and_tried_again() -> None:
    with group() as made:
        book = with_script(made, "import time\ntime.sleep(3600)")
        sentinel = made.sentinels[0]
        told = made.events(sentinel)
        until(lambda: noted(book), "it runs")
        running = next(each for each in pending(made) if each["flags"] == "running")
        sentinel.client.execute_command("SENTINEL DEBUG script-max-runtime 200 script-retry-delay 60000")
        assert told.await_event("-script-timeout").endswith(running["pid"])
        until(lambda: pending(made)[0]["flags"] == "scheduled", "it is to be tried again")
        with pytest.raises(ProcessLookupError):
            os.kill(int(running["pid"]), 0)


def test_names_of_hosts_are_resolved_and_told_if_asked() -> None:
    with group() as made:
        for _ in range(2):
            made.add_node("holdfast").wait_ready()
        made.nodes[1].client.config_set("replica-announce-ip", "localhost")
        made.nodes[1].client.slaveof("NO", "ONE")
        made.nodes[1].client.slaveof("127.0.0.1", made.nodes[0].port)
        port = made.nodes[0].port
        sentinel = made.add_sentinel("holdfast", 1)
        sentinel.kill()
        path = sentinel.directory / "sentinel.conf"
        path.write_text(
            path.read_text().replace(f"mymaster 127.0.0.1 {port}", f"mymaster localhost {port}")
            if "mymaster 127.0.0.1" in path.read_text()
            else path.read_text()
        )
        names = "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n"
        path.write_text(names + path.read_text())
        sentinel.start()
        sentinel.wait_ready()
        asked = sentinel.client
        assert asked.sentinel_get_master_addr_by_name("mymaster") == ("localhost", port)
        until(lambda: len(asked.sentinel_slaves("mymaster")) == 1, "the replica is known")
        until(lambda: not asked.sentinel_slaves("mymaster")[0]["is_disconnected"], "it is reached by name")
        assert asked.sentinel_slaves("mymaster")[0]["ip"] == "localhost"
        asked.execute_command("SENTINEL CONFIG SET announce-hostnames no")
        assert asked.sentinel_get_master_addr_by_name("mymaster") == ("127.0.0.1", port)


def test_a_name_is_refused_where_names_are_not_resolved() -> None:
    with group() as made:
        made.add_node("holdfast").wait_ready()
        sentinel = made.add_sentinel("holdfast", 1)
        sentinel.wait_ready()
        with pytest.raises(redis.ResponseError, match="Invalid IP address or hostname"):
            sentinel.client.execute_command("SENTINEL MONITOR other localhost 1 1")


def test_passwords_and_renamed_commands_are_used_where_they_are_set() -> None:
    with group(down_after_ms=5000) as made:
        secret = ("--requirepass", "nodes", "--masterauth", "nodes")
        renamed = ("--rename-command", "CONFIG", "adjust")
        for _ in range(2):
            made.add_node("redis", *secret, *renamed).password = "nodes"
        extra = (
            "requirepass sentinels\nsentinel sentinel-pass sentinels\n"
            "sentinel auth-pass mymaster nodes\nsentinel rename-command mymaster CONFIG adjust\n"
        )
        for _ in range(3):
            made.add_sentinel("holdfast", 2, extra).password = "sentinels"
        made.settle()
        made.nodes[0].kill()
        until(lambda: made.primary_of(made.sentinels[0]) == made.nodes[1].port, "another leads")
        until(lambda: made.nodes[1].client.info("replication")["role"] == "master", "it does")
        assert (made.nodes[1].directory / "redis.conf").read_text().count("replicaof") == 0


@pytest.mark.usefixtures("stock")
def test_users_are_named_to_nodes_and_to_other_sentinels_where_they_are_set() -> None:
    require_peer("redis-sentinel")
    with group(down_after_ms=5000) as made:
        nobody = ("--requirepass", "for-people", "--masterauth", "for-people")
        user = ("--user", "watcher", "on", ">nodes", "~*", "&*", "+@all")
        for _ in range(2):
            made.add_node("redis", *nobody, *user).password = "for-people"
        named = "sentinel auth-user mymaster watcher\nsentinel auth-pass mymaster nodes\n"
        theirs = "requirepass people\nuser peer on >peers ~* &* +@all\nsentinel sentinel-pass ours\n"
        made.add_sentinel("redis", 2, theirs + named).password = "people"
        ours = "requirepass ours\nsentinel sentinel-user peer\nsentinel sentinel-pass peers\n"
        made.add_sentinel("holdfast", 2, ours + named).password = "ours"
        made.settle()
        assert made.sentinels[1].client.execute_command("SENTINEL CKQUORUM mymaster").startswith("OK 2")
        told = made.sentinels[0].client.execute_command("CLIENT LIST")
        assert "peer" in [each["user"] for each in told]
