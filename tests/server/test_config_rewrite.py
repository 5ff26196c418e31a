"""CONFIG REWRITE: round trips, and side by side with a real redis-server."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.server.config import ConfigRewriteError, rewrite_file
from holdfast.server.config.rewrite import SIGNATURE
from tests.server.conftest import Load, StartRedis
from tests.server.test_config_table import NEW_IN_7_2, OUR_OWN

MAIN = """\
# Kept: the first comment
port 0
unixsocket {socket}


# Kept: two empty lines above become one
timeout 5
slave-priority 7
save 900 1
save 300 10
save 60 5
client-output-buffer-limit pubsub 1mb 2mb 3
include more.conf
rename-command FLUSHALL ""
TIMEOUT 6
list-max-ziplist-entries 12
"""
CHANGES = (
    ("timeout", "9", "maxmemory", "1073741824", "save", "100 1"),
    ("masterauth", 'pa"ss \x01', "notify-keyspace-events", "KEA", "maxmemory-clients", "5%"),
    ("client-output-buffer-limit", "normal 1048576 0 0", "shutdown-on-sigint", "now nosave"),
    ("repl-backlog-size", "1500000", "replica-announce-ip", "1.2.3.4", "hz", "1000"),
)
# Said by us only: our own directives; said by Redis 7.0 otherwise: the user's rules, the obsolete line.
SPOKEN_DIFFERENTLY = ("user default", "list-max-ziplist-entries", "# ??? list-max-ziplist-entries", "dir ")


def _same_kind(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if not line.startswith(SPOKEN_DIFFERENTLY))


def test_the_file_becomes_what_the_real_server_makes_of_it(
    start_redis: StartRedis, load_in: Load, tmp_path: Path
) -> None:
    (tmp_path / "more.conf").write_text("loglevel notice\n")
    content = MAIN.format(socket=tmp_path / "redis.sock")
    theirs, ours = tmp_path / "theirs.conf", tmp_path / "ours.conf"
    theirs.write_text(content)
    ours.write_text(content)
    redis, configuration = start_redis("theirs.conf"), load_in("ours.conf")
    for change in CHANGES:
        assert redis.ask("CONFIG", "SET", *change) == b"+OK"
        configuration.set_all(change)
    assert redis.ask("CONFIG", "REWRITE") == b"+OK"
    rewrite_file(configuration)
    assert _same_kind(ours.read_text()) == _same_kind(theirs.read_text())
    kept = theirs.read_text().partition(SIGNATURE)[0].splitlines()
    assert ours.read_text().splitlines()[: len(kept) - 1] == [
        line.removeprefix("# ??? ") for line in kept[:-1]
    ]


def test_a_rewritten_file_reads_back_the_same_in_both_servers(
    start_redis: StartRedis, load_in: Load, tmp_path: Path
) -> None:
    (tmp_path / "more.conf").write_text("")
    file = tmp_path / "file.conf"
    file.write_text(MAIN.format(socket=tmp_path / "redis.sock"))
    configuration = load_in("file.conf")
    for change in CHANGES:
        configuration.set_all(change)
    configuration.set_all(["requirepass", "pass"])
    rewrite_file(configuration)
    rewrite_file(configuration)  # a class of buffer limits may move into a line that became free
    first = file.read_text()
    again = load_in("file.conf")
    assert again.matching(["*"]) == configuration.matching(["*"])
    assert again.default_user.accepts(b"pass") and not again.default_user.accepts(b"other")
    rewrite_file(again)
    assert file.read_text() == first
    assert first.count(SIGNATURE) == 1
    redis = start_redis("file.conf")
    assert not redis.refused, redis.said
    assert redis.ask("AUTH", "pass") == b"+OK"
    theirs = redis.settings()
    for name, value in configuration.matching(["*"]):
        assert name in NEW_IN_7_2 | OUR_OWN or theirs[name] == value, name


def test_debians_file_keeps_every_comment_and_every_value(load_in: Load, tmp_path: Path) -> None:
    debian = Path("/etc/redis/redis.conf")
    if not debian.exists():
        pytest.skip("Debian's redis.conf is not installed")
    old = debian.read_text().replace("/var/log/redis/redis-server.log", '""').replace("/var/lib/redis", "/")
    file = tmp_path / "redis.conf"
    file.write_text(old)
    configuration = load_in("redis.conf")
    configuration.set_all(["maxmemory", "100mb", "appendfsync", "always"])
    rewrite_file(configuration)
    new = file.read_text()
    comments = [line.rstrip() for line in old.splitlines() if line.startswith("#")]
    assert [line for line in new.splitlines() if line.startswith("#")] == [*comments, SIGNATURE]
    assert "\nappendfsync always\n" in new and "\nmaxmemory 100mb\n" in new
    assert load_in("redis.conf").matching(["*"]) == configuration.matching(["*"])


def test_lines_that_nobody_understands_become_comments(load_in: Load, tmp_path: Path) -> None:
    file = tmp_path / "file.conf"
    file.write_text("timeout 1\n")
    configuration = load_in("file.conf")
    file.write_text("nosuch 1\ntimeout 'x\nloadmodule /x.so\nx.y 5\n")
    rewrite_file(configuration)
    assert file.read_text().splitlines()[:4] == [
        "# ??? nosuch 1",
        "# ??? timeout 'x",
        "loadmodule /x.so",
        "x.y 5",
    ]
    assert "timeout 1" in file.read_text().splitlines()[4:]


def test_a_replica_is_written_down_and_a_primary_is_not(load_in: Load, tmp_path: Path) -> None:
    file = tmp_path / "file.conf"
    file.write_text("slaveof 10.0.0.1 6379\n")
    configuration = load_in("file.conf")
    configuration.assign("replicaof", ("10.0.0.2", 6380))
    rewrite_file(configuration)
    assert file.read_text().startswith("replicaof 10.0.0.2 6380\n")
    configuration.assign("replicaof", None)
    rewrite_file(configuration)
    assert "replicaof" not in file.read_text() and "slaveof" not in file.read_text()


def test_without_a_file_there_is_nothing_to_rewrite(start_redis: StartRedis, load_in: Load) -> None:
    with pytest.raises(ConfigRewriteError) as caught:
        rewrite_file(load_in())
    assert start_redis().ask("CONFIG", "REWRITE") == b"-" + str(caught.value).encode()


def test_a_disk_that_fails_leaves_the_old_file(load_in: Load, tmp_path: Path) -> None:
    file = tmp_path / "file.conf"
    file.write_text("timeout 1\n")
    configuration = load_in("file.conf")
    (tmp_path / "file.conf.rewriting").mkdir()
    with pytest.raises(ConfigRewriteError, match=r"^ERR Rewriting config file: Is a directory$"):
        rewrite_file(configuration)
    assert file.read_text() == "timeout 1\n"
