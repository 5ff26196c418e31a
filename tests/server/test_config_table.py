"""The table of directives against the CONFIG GET * of a real redis-server."""

from __future__ import annotations

from holdfast.server.config.table import BY_NAME, DIRECTIVES, acknowledgement
from tests.server.conftest import Load, StartRedis

# Redis 7.0 shows it; Redis 7.2 hides it from patterns, and so do we.
HIDDEN_SINCE_7_2 = {"aof-disable-auto-gc"}
# Redis 7.2 has them, 7.0 has not.
NEW_IN_7_2 = {
    "cluster-announce-human-nodename",
    "locale-collate",
    "set-max-listpack-entries",
    "set-max-listpack-value",
}
OUR_OWN = {directive.name for directive in acknowledgement.DIRECTIVES}
# The real server was started with these.
GIVEN = {"port", "unixsocket"}


def test_every_directive_of_the_real_server_is_known_with_the_same_default(
    start_redis: StartRedis, load_in: Load
) -> None:
    real = start_redis().settings()
    ours = dict(load_in().matching(["*"]))
    assert real.keys() - ours.keys() == HIDDEN_SINCE_7_2
    assert ours.keys() - real.keys() == NEW_IN_7_2 | OUR_OWN
    different = {
        name: (real[name], ours[name]) for name in real.keys() & ours.keys() if real[name] != ours[name]
    }
    assert different.keys() == GIVEN


def test_hidden_directives_answer_to_their_full_name_only(load_in: Load) -> None:
    configuration = load_in()
    assert configuration.matching(["aof-disable-auto-gc"]) == [("aof-disable-auto-gc", "no")]
    assert configuration.matching(["aof-disable-auto-g?"]) == []


def test_patterns_and_names_find_what_the_real_server_finds(start_redis: StartRedis, load_in: Load) -> None:
    redis, configuration = start_redis(), load_in()
    for patterns in (
        ["maxmemory*"],
        ["*-max-[lz]*-value"],
        ["SLAVE-*", "replica-*"],
        ["Port", "PORT", "po?t"],
        ["nosuch", "nosuch*"],
        ["slaveof", "replicaof"],
        ["[^a-u]*"],
        ["ti\\meout*"],
        ["*"],
    ):
        reply = redis.ask("CONFIG", "GET", *patterns)
        assert isinstance(reply, list)
        theirs = {bytes(name).decode() for name in reply[0::2]}  # type: ignore[arg-type]
        ours = {name for name, _ in configuration.matching(patterns)}
        explained = HIDDEN_SINCE_7_2 | NEW_IN_7_2 | OUR_OWN
        assert ours - explained == theirs - explained, patterns


def test_every_default_reads_back_as_itself() -> None:
    for directive in DIRECTIVES:
        if directive.name in ("dir", "replicaof"):
            continue
        shown = directive.kind.show(directive.default)
        words = shown.split(" ") if directive.kind.several_words and shown else [shown]
        assert directive.kind.read(words, directive.default) == directive.default, directive.name


def test_what_is_only_accepted_says_what_it_means_in_one_sentence() -> None:
    for directive in DIRECTIVES:
        assert not directive.accepted.endswith("."), directive.name
        assert directive.works or len(directive.accepted) > 10, directive.name


def test_old_names_are_the_same_directive() -> None:
    assert BY_NAME["slave-read-only"] is BY_NAME["replica-read-only"]
    assert BY_NAME["lua-time-limit"] is BY_NAME["busy-reply-threshold"]
