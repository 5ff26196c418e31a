"""CONFIG SET and GET side by side with a real redis-server."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.server.config import ConfigSetError, Configuration, Refused
from holdfast.server.config.directive import Directive
from holdfast.server.config.kinds import BadValue
from holdfast.server.config.table import BY_NAME, DIRECTIVES
from holdfast.server.machine import MachineDisk
from tests.server.conftest import Load, StartRedis

NUMBERS: tuple[str, ...] = ("0", "1", "-1", "-0", "+1", "01", " 1", "1 ", "", "x", "1x", "1.5", "99999999999")
NUMBERS += ("1_0", "\uff11", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808")
NUMBERS += ("18446744073709551616",)
SIZES = (
    *NUMBERS,
    *["1k", "1KB", "2mB", "3g", "1gb", "1b", "kb", "1tb", "100%", "101%", "0%", "-5%", "%"],
    "5 mb",
)
SIZES += ("18446744073709551615", "18446744073709551615kb", "99999999999999999999999999", "17179869184gb")
WORDS = (
    *["yes", "YES", "no", "No", "1", "on", "debug", "allkeys-lru", "local", "RELATIVE"],
    "",
    "yes ",
    "x y",
)

LISTS: dict[str, tuple[str, ...]] = {
    "save": (
        "",
        "1 2",
        "1  2",
        "1",
        "0 1",
        "1 0",
        "1 ",
        " 1",
        "a 1",
        "1 -1",
        "+5 007",
        "1 4294967297",
        "60 1 300 10",
    ),
    "client-output-buffer-limit": (
        "",
        "normal 1 2 3",
        "NORMAL 1mb 2k 03",
        "slave 1 2 3 replica 4 5 6",
        "master 1 2 3",
        "pubsub 1 2 -1",
        "pubsub 1 2",
        "pubsub a 2 3",
        "pubsub 1 2 4294967297",
        "normal 1  3",
    ),
    "oom-score-adj-values": ("0 1 2", "1 2", "", "0 0 2001", "-2000 0 2000", "0 x 1", "0  1", "800 200 0"),
    "notify-keyspace-events": ("", "KEA", "AKEn", "Kn", "q", "g$lshzxetdmKE", "KE A", "gg", "AAm", "Em"),
    "latency-tracking-info-percentiles": (
        *("", "50", "50.0 99.999", "101", "-1", "x", "nan", "inf", "1e1", "99.99999999"),
        *("5  6", "+5", "0x10", "1_0", "infinity", "5.", ".5", "1e-400", "33.3333333"),
    ),
    "shutdown-on-sigterm": (
        "default",
        "save",
        "save now",
        "save nosave",
        "FORCE now",
        "x",
        "",
        "default save",
        "now  x",
    ),
    "proc-title-template": ("{title}", "{foo}", "", "a{", "a{{", "{title", "  ", "{port} {{x}", "}", "{}"),
    "cluster-announce-hostname": ("a.b-c", "a_b", "", "x" * 255, "x" * 256, "é"),
    "requirepass": ("", "p w", "ä"),
    "replica-announce-ip": ("", "10.0.0.1", "anything goes"),
    "bind-source-addr": ("10.0.0.1", ""),
    "hz": ("0", "1", "500", "501", "100000"),
    "repl-backlog-size": ("1", "16383", "16385", "0", "1mb"),
    "dbfilename": ("a/b", "a\\b", "", "x.rdb", ".."),
    "maxmemory-policy": ("allkeys-lfu", "ALLKEYS-LRU", "lru", "noeviction volatile-lru", ""),
    "appendfsync": ("always", "No", "maybe"),
    "oom-score-adj": ("no", "NO", "maybe"),
    "acl-pubsub-default": ("allchannels", "resetchannels", "x"),
    "sanitize-dump-payload": ("clients", "x"),
    "repl-diskless-load": ("on-empty-db", "swapdb", "x"),
    "cluster-preferred-endpoint-type": ("hostname", "unknown-endpoint", "x"),
}
# Setting these makes the real server listen, fork or ask the kernel for more than a test may have.
NOT_ASKED = {"port", "bind", "tls-port", "maxclients", "appendonly", "watchdog-period", "dir"}
# Stated differences: 7.2 knows "nothing", 7.0 does not; Debian's build refuses to defragment; TLS is
# configured there at once; ACL entries are not shown here.
DIFFERENT = {"loglevel", "activedefrag", "tls-cluster", "tls-replication"}


def _attempts(directive: Directive) -> tuple[str, ...]:
    if directive.name in LISTS:
        return LISTS[directive.name]
    kind = type(directive.kind).__name__
    return {"Integer": NUMBERS, "Octal": NUMBERS, "Memory": SIZES}.get(kind, WORDS)


def _ours(configuration: Configuration, *arguments: str) -> bytes:
    try:
        configuration.set_all(arguments)
    except ConfigSetError as error:
        return b"-" + str(error).encode("utf-8", "surrogateescape")
    return b"+OK"


def _shown(configuration: Configuration, name: str) -> bytes:
    return configuration.show(name).encode("utf-8", "surrogateescape")


def test_every_value_is_taken_refused_and_shown_as_the_real_server_does(
    start_redis: StartRedis, load_in: Load
) -> None:
    common = ("--enable-protected-configs", "yes", "--maxmemory-policy", "noeviction")
    redis = start_redis(*common)
    configuration = load_in(*common, "--port", "0", "--unixsocket", redis.socket_path)
    known = redis.settings()
    asked = 0
    different = []
    for name, directive in BY_NAME.items():
        if name not in known or directive.name in NOT_ASKED | DIFFERENT:
            continue
        for value in _attempts(directive):
            said = redis.ask("CONFIG", "SET", name, value), redis.ask("CONFIG", "GET", name)
            ours = _ours(configuration, name, value), [name.encode(), _shown(configuration, name)]
            if ours != said:
                different.append((name, value, ours, said))
            asked += 1
        redis.ask("CONFIG", "SET", "maxmemory", "0")
        configuration.set_all(["maxmemory", "0"])
    assert different == []
    assert asked > 1500


def test_several_values_are_set_together_or_not_at_all(start_redis: StartRedis, load_in: Load) -> None:
    redis, configuration = start_redis(), load_in()
    for arguments in (
        ("timeout", "5", "hz", "20"),
        ("timeout", "6", "hz", "x"),
        ("timeout", "7", "TIMEOUT", "8"),
        ("timeout", "7", "nosuch", "8", "hz", "x"),
        ("databases", "3", "nosuch", "1"),
        ("nosuch", "1", "databases", "3"),
        ("Databases", "3"),
        ("dir", "/"),
        ("DbFilename", "x"),
        ("timeout", "7", "hz"),
        ("slave-priority", "1", "replica-priority", "2"),
        ("Slave-Priority", "x"),
        ("replicaof", "a 1"),
        ("save", "1 1", "save", "2 2"),
    ):
        assert _ours(configuration, *arguments) == redis.ask("CONFIG", "SET", *arguments), arguments
        for name in ("timeout", "hz", "replica-priority", "save"):
            reply = redis.ask("CONFIG", "GET", name)
            assert isinstance(reply, list) and _shown(configuration, name) == reply[1], arguments


def test_directory_is_checked_and_kept_absolute(start_redis: StartRedis, load_in: Load) -> None:
    common = ("--enable-protected-configs", "yes")
    redis, configuration = start_redis(*common), load_in(*common)
    for value in ("/nonexistent", "/etc/passwd", "", "/etc/..", "usr", "..", "."):
        assert _ours(configuration, "dir", value) == redis.ask("CONFIG", "SET", "dir", value), value
        reply = redis.ask("CONFIG", "GET", "dir")
        assert isinstance(reply, list)
        assert _shown(configuration, "dir").rstrip(b"/") == bytes(reply[1]).rstrip(b"/")  # type: ignore[arg-type]


def test_protected_directives_open_to_loopback_only_where_asked(load_in: Load) -> None:
    configuration = load_in("--enable-protected-configs", "local")
    with pytest.raises(ConfigSetError, match="can't set protected config"):
        configuration.set_all(["dbfilename", "x"])
    configuration.set_all(["dbfilename", "x"], from_loopback=True)
    assert configuration.dbfilename == "x"


def test_while_loading_some_directives_wait(load_in: Load) -> None:
    configuration = load_in()
    with pytest.raises(ConfigSetError, match=r"^LOADING Redis is loading the dataset in memory$"):
        configuration.set_all(["timeout", "1", "appendonly", "yes"], loading=True)
    assert configuration.timeout == 0


def test_an_applier_that_refuses_undoes_everything_and_the_others_follow_back(load_in: Load) -> None:
    configuration = load_in()
    seen: list[tuple[int, int]] = []
    configuration.on_change(["timeout", "hz"], lambda now: seen.append((now["timeout"], now["hz"])))

    def refuse_low_ports(now: Configuration) -> None:
        if now["port"] < 1024:
            raise Refused("Unable to listen on this port. Check server logs.")

    configuration.on_change(["port"], refuse_low_ports)
    assert _ours(configuration, "timeout", "5", "hz", "20", "port", "80") == (
        b"-ERR CONFIG SET failed (possibly related to argument 'port') - "
        b"Unable to listen on this port. Check server logs."
    )
    assert (configuration.timeout, configuration.hz, configuration.port) == (0, 10, 6379)
    assert seen == [(5, 20), (0, 10)]
    configuration.set_all(["timeout", "0", "hz", "10"])
    assert len(seen) == 2, "nothing changed, so nobody is called"


def test_password_is_followed_by_the_default_user(load_in: Load) -> None:
    configuration = load_in()
    assert configuration.default_user.accepts(b"anything")
    configuration.set_all(["requirepass", "s\udcffcret"])
    assert configuration.default_user.accepts(b"s\xffcret")
    assert not configuration.default_user.accepts(b"secret")
    configuration.set_all(["requirepass", ""])
    assert configuration.default_user.nopass


def test_what_is_only_accepted_is_told_once(load_in: Load) -> None:
    configuration = load_in("--io-threads", "4", "--io-threads", "5", "--activedefrag", "no")
    told = [(notice.level, notice.text.split(" is ")[0]) for notice in configuration.take_notices()]
    assert told == [("warning", "io-threads 4"), ("verbose", "activedefrag no")]
    configuration.set_all(["activedefrag", "yes"])
    configuration.set_all(["activedefrag", "no"])
    configuration.set_all(["activedefrag", "yes"])
    assert [notice.level for notice in configuration.take_notices()] == ["warning"]


def test_values_whose_silence_would_be_unsafe_are_refused(load_in: Load) -> None:
    configuration = load_in()
    for name in ("tls-replication", "tls-cluster"):
        with pytest.raises(ConfigSetError, match="TLS is not supported yet"):
            configuration.set_all([name, "yes"])


ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ANY_VALUE = st.one_of(ANY_TEXT, st.sampled_from(SIZES + WORDS + sum(LISTS.values(), ())))


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.sampled_from([directive for directive in DIRECTIVES if not directive.immutable]), ANY_VALUE)
def test_what_was_set_reads_back_and_sets_the_same_again(directive: Directive, value: str) -> None:
    configuration = Configuration(MachineDisk(), "/")
    configuration.assign("enable-protected-configs", "yes")
    before = dict(configuration.matching(["*"]))
    try:
        configuration.set_all([directive.name, value])
    except ConfigSetError:
        assert dict(configuration.matching(["*"])) == before
        return
    shown = configuration.show(directive.name)
    typed = configuration[directive.name]
    if directive.name == "notify-keyspace-events" and "n" in typed:
        return  # Redis does not show the n beside A, and neither do we.
    configuration.set_all([directive.name, shown])
    assert configuration.show(directive.name) == shown
    if directive.name != "latency-tracking-info-percentiles":  # shown with six digits only
        assert configuration[directive.name] == typed


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(DIRECTIVES), st.lists(ANY_VALUE, max_size=6))
def test_no_words_of_a_file_crash_a_kind(directive: Directive, words: list[str]) -> None:
    if not directive.kind.several_words:
        words = (words or ["x"])[:1]
    try:
        directive.kind.read_in_file(words, directive.default, True)
    except BadValue as refusal:
        assert str(refusal)
