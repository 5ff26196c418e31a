"""Redirection in the engine: every verdict, for one key and many, in MULTI, scripts, and for who waits."""

from __future__ import annotations

import binascii

import pytest

from holdfast.commands.pubsub import drop_shard_channel
from holdfast.commands.slot_keys import count_keys_in_slot, delete_keys_in_slot, keys_in_slot
from holdfast.engine import slots
from holdfast.engine.state import Session
from holdfast.server.cluster_routes import declare_key_rules
from holdfast.testing.probes_table import take_replies
from tests.lone_engine import LoneEngine, _Owner

ME, OTHER, THIRD = 1, 2, 3
MOVED = b"-MOVED %d 10.0.0.2:7002\r\n"
CROSSSLOT = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
TRYAGAIN = b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
NIL = b"$-1\r\n"
OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"


def slot(key: str) -> int:
    """The slot by the checksum of the standard library."""
    tag = key[key.index("{") + 1 : key.index("}")] if "{" in key else key
    return binascii.crc_hqx(tag.encode(), 0) % 16384


@pytest.fixture
def node() -> LoneEngine:
    """A node that owns all slots but that of {away}."""
    lone = LoneEngine(1, cluster=True)
    slots.enter_cluster_mode(lone.engine)
    declare_key_rules(lone.engine)
    lone.engine.endpoint_of = lambda node: b"10.0.0.%d:700%d" % (node, node)
    slots.set_nodes(lone.engine, [0, ME, OTHER, THIRD], 0)
    for number in range(16384):
        slots.set_slot(lone.engine, number, ME, 0, False)
    slots.set_slot(lone.engine, slot("away"), OTHER, 0, False)
    slots.set_state(lone.engine, True, False, True)
    return lone


def second_session(node: LoneEngine) -> Session:
    """Another client."""
    return Session(node.engine, _Owner())


def migrating(node: LoneEngine, key: str) -> None:
    """Begin to move the key's slot away."""
    slots.set_slot(node.engine, slot(key), ME, THIRD, False)


def importing(node: LoneEngine, key: str) -> None:
    """Begin to move the key's slot here."""
    slots.set_slot(node.engine, slot(key), OTHER, 0, True)


def test_a_key_elsewhere_is_answered_with_its_owner(node: LoneEngine) -> None:
    assert node.run("GET", "away") == MOVED % slot("away")
    assert node.run("SET", "here", 1) == OK
    assert node.run("GET", "x{away}y") == MOVED % slot("away")
    assert node.run("GET", "{}{away}") == NIL, "an empty tag is no tag"


def test_commands_without_keys_run_anywhere(node: LoneEngine) -> None:
    slots.set_state(node.engine, False, False, True)
    assert node.run("PING") == b"+PONG\r\n"
    assert node.run("DBSIZE") == b":0\r\n"
    assert node.run("EVAL", "return 1", 0) == b":1\r\n"


def test_keys_of_several_slots_are_refused(node: LoneEngine) -> None:
    assert node.run("MSET", "a", 1, "b", 2) == CROSSSLOT
    assert node.run("MSET", "{t}a", 1, "{t}b", 2) == OK
    assert node.run("MGET", "{t}a", "{t}b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
    assert node.run("MGET", "{away}a", "{away}b") == MOVED % slot("away")
    assert node.run("RENAME", "a", "b") == CROSSSLOT


@pytest.mark.parametrize(
    "words",
    [
        ("EVAL", "return 1", 2, "a", "b"),
        ("SINTERCARD", 2, "a", "b"),
        ("ZUNIONSTORE", "a", 2, "a", "b"),
        ("ZUNIONSTORE", "b", 1, "a"),
        ("LMPOP", 2, "a", "b", "LEFT"),
        ("BLPOP", "a", "b", 0),
        ("SORT", "a", "STORE", "b"),
        ("BITOP", "AND", "a", "a", "b"),
        ("OBJECT", "ENCODING", "{away}"),
        ("MIGRATE", "h", 1, "", 0, 1, "KEYS", "a", "b"),
        ("LCS", "a", "b"),
    ],
)
def test_the_keys_of_every_shape_of_command_are_found(node: LoneEngine, words: tuple[str | int, ...]) -> None:
    expected = MOVED % slot("away") if words[0] == "OBJECT" else CROSSSLOT
    assert node.run(*words) == expected


def test_an_unassigned_slot_is_said_to_be_unserved(node: LoneEngine) -> None:
    slots.set_slot(node.engine, slot("a"), 0, 0, False)
    assert node.run("GET", "a") == b"-CLUSTERDOWN Hash slot not served\r\n"
    assert node.run("MGET", "a", "b") == b"-CLUSTERDOWN Hash slot not served\r\n"
    assert node.run("MGET", "b", "a") == CROSSSLOT


def test_a_cluster_that_is_down_serves_reads_only_where_that_is_allowed(node: LoneEngine) -> None:
    slots.set_state(node.engine, False, False, True)
    assert node.run("GET", "a") == b"-CLUSTERDOWN The cluster is down\r\n"
    assert node.run("SSUBSCRIBE", "a").startswith(b"*3\r\n$10\r\nssubscribe")
    slots.set_state(node.engine, False, True, False)
    assert node.run("SUNSUBSCRIBE", "a") == b"-CLUSTERDOWN The cluster is down\r\n"
    node.session = second_session(node)
    assert node.run("GET", "a") == NIL
    assert node.run("SET", "a", 1) == b"-CLUSTERDOWN The cluster is down and only accepts read commands\r\n"
    assert node.run("GET", "away") == MOVED % slot("away")


def test_a_slot_being_moved_away_asks_for_what_is_gone(node: LoneEngine) -> None:
    node.run("SET", "{m}here", 1)
    migrating(node, "m")
    ask = b"-ASK %d 10.0.0.3:7003\r\n" % slot("m")
    assert node.run("GET", "{m}here") == b"$1\r\n1\r\n"
    assert node.run("GET", "{m}gone") == ask
    assert node.run("MGET", "{m}gone", "{m}gone2") == ask
    assert node.run("MGET", "{m}gone", "{m}here") == TRYAGAIN
    assert node.run("PEXPIRE", "{m}here", 10) == b":1\r\n"
    node.pass_ms(11)
    assert node.run("GET", "{m}here") == ask, "an expired key is not there"


def test_a_slot_being_moved_here_serves_who_asks(node: LoneEngine) -> None:
    importing(node, "m")
    moved = MOVED % slot("m")
    assert node.run("SET", "{m}a", 1) == moved
    assert node.run("ASKING") == OK
    assert node.run("SET", "{m}a", 1) == OK
    assert node.run("GET", "{m}a") == moved, "ASKING is for one request"
    node.run("ASKING")
    assert node.run("MGET", "{m}a", "{m}b") == TRYAGAIN
    node.run("ASKING")
    assert node.run("MGET", "{m}a", "{m}a") == b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"
    node.run("ASKING")
    node.run("ASKING")
    assert node.run("GET", "{m}a") == b"$1\r\n1\r\n"
    node.run("ASKING")
    node.run("NOSUCH")
    assert node.run("GET", "{m}a") == moved, "any request uses it up"


def test_asking_lasts_for_a_transaction(node: LoneEngine) -> None:
    importing(node, "m")
    assert node.run("ASKING") == OK
    assert node.run("MULTI") == OK
    assert node.run("SET", "{m}a", 1) == QUEUED
    assert node.run("GET", "{m}a") == QUEUED
    assert node.run("EXEC") == b"*2\r\n+OK\r\n$1\r\n1\r\n"
    assert node.run("GET", "{m}a") == MOVED % slot("m")


def test_restore_asking_needs_no_asking(node: LoneEngine) -> None:
    node.run("SET", "{m}a", 1)
    dumped = node.run("DUMP", "{m}a").split(b"\r\n", 1)[1][:-2]
    importing(node, "m")
    assert node.run("RESTORE", "{m}b", 0, dumped) == MOVED % slot("m")
    assert node.run("RESTORE-ASKING", "{m}b", 0, dumped) == OK


def test_a_transaction_that_was_redirected_is_aborted(node: LoneEngine) -> None:
    assert node.run("MULTI") == OK
    assert node.run("SET", "away", 1) == MOVED % slot("away")
    assert node.run("EXEC") == b"-EXECABORT Transaction discarded because of previous errors.\r\n"


def test_exec_judges_all_that_is_queued(node: LoneEngine) -> None:
    node.run("MULTI")
    assert node.run("SET", "a", 1) == QUEUED
    assert node.run("SET", "b", 1) == QUEUED
    assert node.run("EXEC") == CROSSSLOT
    assert node.run("EXEC") == b"-ERR EXEC without MULTI\r\n"
    node.run("MULTI")
    node.run("SET", "{t}a", 1)
    node.run("GET", "{t}b")
    assert node.run("EXEC") == b"*2\r\n+OK\r\n$-1\r\n"
    node.run("MULTI")
    node.run("SET", "{t}a", 1)
    slots.set_slot(node.engine, slot("t"), OTHER, 0, False)
    assert node.run("EXEC") == MOVED % slot("t")
    assert node.run("DISCARD") == b"-ERR DISCARD without MULTI\r\n"


def test_a_script_reaches_no_key_that_is_elsewhere(node: LoneEngine) -> None:
    assert b"non local key" in node.run("EVAL", "return redis.call('GET', 'away')", 0)
    assert node.run("EVAL", "return redis.call('GET', KEYS[1])", 1, "away") == MOVED % slot("away")
    assert node.run("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "a") == OK


def test_a_script_with_a_shebang_keeps_to_one_slot_unless_it_says_otherwise(node: LoneEngine) -> None:
    two = "redis.call('SET', 'a', 1) return redis.call('SET', 'b', 1)"
    assert node.run("EVAL", two, 0) == OK
    assert b"do not hash to the same slot" in node.run("EVAL", "#!lua\n" + two, 0)
    assert node.run("EVAL", "#!lua flags=allow-cross-slot-keys\n" + two, 0) == OK
    one = "#!lua\nreturn redis.call('SET', 'b', 1)"
    assert b"do not hash to the same slot" in node.run("EVAL", one, 1, "a")


def test_a_replica_serves_reads_to_those_who_said_readonly(node: LoneEngine) -> None:
    slots.set_nodes(node.engine, [0, ME, OTHER, THIRD], OTHER)
    assert node.run("GET", "away") == MOVED % slot("away")
    assert node.run("READONLY") == OK
    assert node.run("GET", "away") == NIL
    assert node.run("SET", "away", 1) == MOVED % slot("away")
    node.run("MULTI")
    assert node.run("GET", "away") == QUEUED
    assert node.run("EXEC") == b"*1\r\n$-1\r\n"
    assert node.run("READWRITE") == OK
    assert node.run("GET", "away") == MOVED % slot("away")
    assert node.run("SSUBSCRIBE", "away").startswith(b"*3\r\n$10\r\nssubscribe")


def test_a_client_that_waits_follows_its_slot(node: LoneEngine) -> None:
    waiting = node.session
    assert node.run("BLPOP", "{m}a", "{m}b", 0) == b""
    slots.redirect_parked(node.engine)
    assert take_replies(waiting) == b""
    slots.set_slot(node.engine, slot("m"), OTHER, 0, False)
    slots.redirect_parked(node.engine)
    assert take_replies(waiting) == MOVED % slot("m")
    assert node.run("BLPOP", "a", 0) == b""
    slots.set_state(node.engine, False, True, True)
    slots.redirect_parked(node.engine)
    assert take_replies(waiting) == b"-CLUSTERDOWN The cluster is down\r\n"


def test_a_client_that_waits_with_asking_is_served(node: LoneEngine) -> None:
    waiting = node.session
    importing(node, "m")
    node.run("ASKING")
    assert node.run("BLPOP", "m", 0) == b""
    slots.redirect_parked(node.engine)
    node.session = second_session(node)
    node.run("ASKING")
    assert node.run("RPUSH", "m", "x") == b":1\r\n"
    assert take_replies(waiting) == b"*2\r\n$1\r\nm\r\n$1\r\nx\r\n"


def test_a_pipeline_finds_each_key_in_its_own_slot(node: LoneEngine) -> None:
    from holdfast.engine import request
    from tests.wire import encode

    keys = [f"key:{number}" for number in range(200)]
    stream = b"".join(encode([b"SET", key.encode(), key.encode()]) + encode([b"PING"]) for key in keys)
    stream += b"".join(encode([b"GET", key.encode()]) for key in keys)
    request.receive(node.session, stream)
    replies = take_replies(node.session)
    assert replies == (OK + b"+PONG\r\n") * 200 + b"".join(
        b"$%d\r\n%b\r\n" % (len(key), key.encode()) for key in keys
    )
    for key in keys:
        assert keys_in_slot(node.engine, slot(key), 1000).count(key.encode()) == 1


def test_deleting_a_slot_takes_its_keys_and_tells_replicas(node: LoneEngine) -> None:
    for number in range(10):
        node.run("SET", f"{{t}}{number}", number)
    node.run("SET", "other", 1)
    node.effects()
    assert delete_keys_in_slot(node.engine, slot("t")) == 10
    assert count_keys_in_slot(node.engine, slot("t")) == 0
    assert node.run("DBSIZE") == b":1\r\n"
    assert sorted(node.effects()) == sorted([b"DEL", b"{t}%d" % number] for number in range(10))


def test_subscribers_of_a_shard_channel_hear_that_it_left(node: LoneEngine) -> None:
    node.run("SSUBSCRIBE", "a", "a{a}")
    drop_shard_channel(node.engine, b"a")
    assert take_replies(node.session) == b"*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:1\r\n"


def test_only_database_zero_may_be_selected(node: LoneEngine) -> None:
    assert node.run("SELECT", 0) == OK
    assert node.run("SELECT", 1) == b"-ERR SELECT is not allowed in cluster mode\r\n"


def test_writes_to_a_slot_wait_while_its_keys_travel(node: LoneEngine) -> None:
    writer = node.session
    node.run("SET", "{m}a", 1)
    slots.begin_transit(node.engine, slot("m"))
    assert node.run("DEL", "{m}a") == b""
    node.session = second_session(node)
    node.engine.sessions = {each.id: each for each in (writer, node.session)}
    assert node.run("GET", "{m}a") == b"$1\r\n1\r\n", "reads go on"
    assert node.run("SET", "other", 1) == OK
    node.run("MULTI")
    assert node.run("SET", "{m}a", 2) == QUEUED
    assert node.run("EXEC") == b""
    assert node.run("PING") == b"", "what follows a request that waits, waits too"
    slots.set_slot(node.engine, slot("m"), OTHER, 0, False)
    slots.end_transit(node.engine, slot("m"))
    assert take_replies(writer) == MOVED % slot("m")
    assert take_replies(node.session) == MOVED % slot("m") + b"+PONG\r\n"
