"""Files, standard input and command lines, side by side with a real redis-server."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.server.config import ConfigFileError
from holdfast.server.config.words import quoted, split_words
from tests.server.conftest import Load, StartRedis
from tests.server.test_config_table import GIVEN, HIDDEN_SINCE_7_2, NEW_IN_7_2, OUR_OWN

NOT_COMPARED = HIDDEN_SINCE_7_2 | NEW_IN_7_2 | OUR_OWN | GIVEN
BAD = "Bad directive or wrong number of arguments"

GOOD_COMMAND_LINES: tuple[tuple[str, ...], ...] = (
    ("--maxmemory", "64mb", "--maxmemory-policy", "ALLKEYS-lru"),
    ("--save", ""),
    ("--save", "60", "1", "300", "10"),
    ("--save", "60 1", "--save", "300 10"),
    ("--save", "--timeout", "7"),
    ("--timeout", "5", "--timeout", "6"),
    ("--client-output-buffer-limit", "normal", "1mb", "0", "0", "--hz", "20"),
    ("--client-output-buffer-limit", "pubsub 1 2 3 slave 4 5 6"),
    ("--timeout 9", "--hz 15"),
    ("--TIMEOUT", "3"),
    ("--masterauth", "with blank", "--masteruser", "--dashes"),
    ("--masteruser", "-", "--hz", "5"),
    ("--slave-priority", "3", "--lua-time-limit", "10"),
    ("--shutdown-on-sigterm", "nosave", "now"),
    ("--notify-keyspace-events", "KEA"),
    ("--list-max-ziplist-entries", "5"),
    ("--include", "more.conf"),
    ("--include", "parts/*.conf"),
    ("--include", "empty/*.conf"),
    ("--loglevel", "verbose", "-"),
    ("main.conf",),
    ("main.conf", "--timeout", "77"),
    ("main.conf", "--timeout", "77", "-"),
    ("--user", "default", "on", "nopass", "~*", "&*", "+@all"),
    ("--latency-tracking-info-percentiles", "50 75", "--oom-score-adj-values", "1", "2", "3"),
    ("--tcp-backlog", "10", "--databases", "4", "--unixsocketperm", "700"),
)
BAD_COMMAND_LINES: tuple[tuple[str, ...], ...] = (
    ("--nosuch", "1"),
    ("--timeout",),
    ("--timeout", "1", "2"),
    ("--timeout", "x"),
    ("--timeout", "--hz", "5"),
    ("--maxmemory", "1tb"),
    ("--appendonly", "maybe"),
    ("--save", "1"),
    ("--databases", "0"),
    ("--bind", *("127.0.0.1",) * 17),
    ("--rename-command", "GET"),
    ("--replicaof", "host"),
    ("--replicaof", "host", "port"),
    ("--cluster-enabled", "yes", "--replicaof", "host", "1"),
    ("--dir", "/nonexistent"),
    ("--appendfilename", "a/b"),
    ("--unixsocketperm", "999"),
    ("--unixsocketperm", "1777"),
    ("--logfile", "/nonexistent/log"),
    ("--include",),
    ("--a.b",),
    ("broken.conf",),
    ("sentinel.conf",),
)


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """Lay out what the command lines name."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "more.conf").write_text("timeout 31\n")
    (tmp_path / "parts/a.conf").write_text("timeout 41\nhz 41\n")
    (tmp_path / "parts/b.conf").write_text("timeout 42\n")
    (tmp_path / "parts/.hidden.conf").write_text("timeout 43\n")
    (tmp_path / "broken.conf").write_text("timeout 1\nhz 'unbalanced\n")
    (tmp_path / "sentinel.conf").write_text("port 1\nsentinel monitor a 127.0.0.1 1 1\n")
    (tmp_path / "main.conf").write_text(
        "# a comment\n\n  timeout 21 \r\n"
        'requirepass "with \\x41 \\"quotes\\""\nmasterauth \'single \\\' quote\'\n'
        "save 900 1\nsave 30 5\nslave-read-only no\nproc-title-template {title}-{port}\nInclude more.conf\n"
    )


@pytest.mark.parametrize("arguments", GOOD_COMMAND_LINES, ids=" ".join)
def test_good_command_lines_mean_what_they_mean_to_the_real_server(
    arguments: tuple[str, ...], start_redis: StartRedis, load_in: Load
) -> None:
    stdin = "timeout 55\nhz 55\n"
    redis, ours = start_redis(*arguments, stdin=stdin), load_in(*arguments, stdin=stdin)
    assert not redis.refused, redis.said
    if ours["requirepass"]:
        redis.ask("AUTH", ours["requirepass"])
    theirs = redis.settings()
    assert {name: value for name, value in ours.matching(["*"]) if name not in NOT_COMPARED} == {
        name: value for name, value in theirs.items() if name not in NOT_COMPARED
    }


@pytest.mark.parametrize("arguments", BAD_COMMAND_LINES, ids=" ".join)
def test_bad_command_lines_are_refused_with_the_real_servers_reason(
    arguments: tuple[str, ...], start_redis: StartRedis, load_in: Load
) -> None:
    redis = start_redis(*arguments)
    assert redis.refused
    with pytest.raises(ConfigFileError) as caught:
        load_in(*arguments)
    assert caught.value.reason.encode() in redis.said
    if caught.value.number:
        assert f">>> '{caught.value.line}'".encode() in redis.said


def test_an_error_names_file_line_and_reason(load_in: Load, tmp_path: Path) -> None:
    (tmp_path / "outer.conf").write_text("hz 5\ninclude inner.conf\n")
    (tmp_path / "inner.conf").write_text("# fine\n\nmaxmemory lots\n")
    with pytest.raises(ConfigFileError) as caught:
        load_in("outer.conf")
    assert str(caught.value).splitlines()[1:] == [
        f"Reading the configuration file {tmp_path}/inner.conf, at line 3",
        ">>> 'maxmemory lots'",
        "argument must be a memory value",
    ]
    with pytest.raises(ConfigFileError, match=r"can't open config file .*No such file or directory"):
        load_in("missing.conf")
    with pytest.raises(ConfigFileError, match="Bad directive") as caught:
        load_in("--nosuch", "1")
    assert "Reading the command line, at line 1" in str(caught.value)


def test_a_file_that_includes_itself_ends_with_an_error(load_in: Load, tmp_path: Path) -> None:
    (tmp_path / "loop.conf").write_text("include loop.conf\n")
    with pytest.raises(ConfigFileError, match="deeper than 16"):
        load_in("loop.conf")


def test_relative_paths_follow_dir(load_in: Load, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/near.conf").write_text("timeout 3\n")
    configuration = load_in("--dir", "./data", "--include", "near.conf", "--pidfile", "x.pid")
    assert configuration.dir == str(tmp_path / "data")
    assert configuration.timeout == 3
    assert configuration.path("pidfile") == str(tmp_path / "data/x.pid")
    assert configuration.path("dbfilename") == str(tmp_path / "data/dump.rdb")
    assert configuration.path("unixsocket") == ""


def test_cluster_mode_has_one_database_and_says_so(load_in: Load) -> None:
    configuration = load_in("--cluster-enabled", "yes")
    assert configuration.databases == 1
    assert "Changing databases number from 16 to 1" in configuration.take_notices()[0].text


def test_lines_that_live_only_in_files_are_kept_for_the_node(load_in: Load) -> None:
    configuration = load_in("--rename-command", "FLUSHALL", "", "--rename-command", "GET", "FETCH")
    renamed = [(one.old_name, one.new_name) for one in configuration.renamed_commands]
    assert renamed == [("FLUSHALL", ""), ("GET", "FETCH")]
    configuration = load_in("--loadmodule", "/x.so", "arg", "--x.y", "5")
    assert "modules are not loaded" in configuration.take_notices()[0].text
    with pytest.raises(ConfigFileError, match="Module Configuration detected without loadmodule"):
        load_in("--x.y", "5")


def test_rights_that_cannot_be_kept_are_refused_not_ignored(load_in: Load) -> None:
    for words in (
        ("--user", "alice", "on", ">p", "~*", "+@all"),
        ("--user", "default", "on", "nopass", "~cached:*", "&*", "+@all"),
        ("--user", "default", "on", ">p", "~*", "&*", "+@all", "-@dangerous"),
        ("--aclfile", "users.acl"),
    ):
        with pytest.raises(ConfigFileError, match="not supported"):
            load_in(*words)
    user = load_in("--user", "default", "on", ">p", "~*", "&*", "+@all", "--requirepass", "q").default_user
    assert user.accepts(b"p") and not user.accepts(b"q")
    assert not load_in("--user", "default", "off").default_user.accepts(b"")


def test_debians_file_is_accepted_in_full(load_in: Load) -> None:
    debian = Path("/etc/redis/redis.conf")
    if not debian.exists():
        pytest.skip("Debian's redis.conf is not installed")
    configuration = load_in(str(debian), "--logfile", "", "--dir", "/")
    assert configuration.bind == ("127.0.0.1", "-::1")
    assert configuration.config_file == str(debian)
    assert [notice for notice in configuration.take_notices() if notice.level == "warning"] == []


def test_words_survive_quoting() -> None:
    for word in ("", "plain", "two words", "q\"u\\o'te", "\n\r\t\a\b\x00\x7f", "ü\udcff", "\\x41"):
        assert split_words(quoted(word)) == [word]
    assert split_words("a'b c'") == ["ab c"]
    assert split_words('"a"b') is None
    assert split_words("'a") is None
    assert split_words('a\\n "\\x4g\\q"') == ["a\\n", "x4gq"]
