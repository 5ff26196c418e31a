"""DEBUG DIGEST: equal to redis-server's for equal data."""

from __future__ import annotations

from tests.peers import running, start_redis_server
from tests.server.running import serve
from tests.wire import Failure, WireClient

COMMANDS: tuple[tuple[bytes, ...], ...] = (
    (b"SET", b"text", b"hello world"),
    (b"SET", b"number", b"12345"),
    (b"SET", b"empty", b""),
    (b"SET", b"long", b"x" * 100_000),
    (b"SET", b"expires", b"v", b"PXAT", b"33177117420000"),
    (b"RPUSH", b"list", b"a", b"b", b"1", b"-7"),
    (b"RPUSH", b"long list", *(b"element %d" % n for n in range(2000))),
    (b"SADD", b"numbers", b"1", b"2", b"300000"),
    (b"SADD", b"words", b"a", b"b", b"c"),
    (b"SADD", b"many", *(b"m%d" % n for n in range(1000))),
    (b"HSET", b"hash", b"f", b"v", b"1", b"2"),
    (b"HSET", b"large hash", *(b"f%d" % n for n in range(1200))),
    (b"ZADD", b"scores", b"1", b"a", b"2.5", b"b", b"-inf", b"c", b"0.1", b"d"),
    (b"ZADD", b"many scores", *(part for n in range(300) for part in (b"%d.5" % n, b"z%d" % n))),
    (b"SELECT", b"2"),
    (b"SET", b"elsewhere", b"v"),
)


def test_the_digest_of_the_same_data_is_redis_servers_own() -> None:
    with running(start_redis_server("--enable-debug-command", "yes")) as (redis,):
        compare_with(redis.port)


def compare_with(redis_port: int) -> None:
    with serve(enable_debug_command="yes") as server, WireClient(server.port) as ours:
        with WireClient(redis_port) as theirs:
            assert ours.command(b"DEBUG", b"DIGEST") == theirs.command(b"DEBUG", b"DIGEST")
            for command in COMMANDS:
                if isinstance(ours.value(*command), Failure):
                    continue
                theirs.command(*command)
                key = command[1]
                asked = (b"DEBUG", b"DIGEST-VALUE", key)
                assert ours.command(*asked) == theirs.command(*asked), command[:2]
            assert ours.command(b"DEBUG", b"DIGEST") == theirs.command(b"DEBUG", b"DIGEST")
