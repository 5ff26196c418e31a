"""Clients and tools that people use work on Holdfast without knowing the difference.

redis-py (sync and asyncio, with and without hiredis, RESP2 and RESP3), redis-cli in its
modes, every default test of redis-benchmark, and ioredis. Replies byte for byte are not
checked here: that is test_conformance.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import redis
import redis.asyncio
from redis._parsers import (
    _AsyncHiredisParser,
    _AsyncRESP2Parser,
    _AsyncRESP3Parser,
    _HiredisParser,
    _RESP2Parser,
    _RESP3Parser,
)

from tests.peers import IOREDIS, Peer, require_ioredis, require_peer, start_holdfast, start_redis_server

TARGET = os.environ.get("CONFORMANCE_TARGET", "holdfast")
RUN_LIMIT_SECONDS = 60
PARSERS = [(2, _RESP2Parser), (2, _HiredisParser), (3, _RESP3Parser), (3, _HiredisParser)]
ASYNC_PARSERS = [
    (2, _AsyncRESP2Parser),
    (2, _AsyncHiredisParser),
    (3, _AsyncRESP3Parser),
    (3, _AsyncHiredisParser),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Peer]:
    start = start_holdfast if TARGET == "holdfast" else partial(start_redis_server, binary=TARGET)
    with start() as peer:
        yield peer


@pytest.fixture(autouse=True)
def empty(server: Peer) -> None:
    with server.connect() as client:
        client.command(b"FLUSHALL")


def cli(server: Peer, *arguments: str, typed: bytes = b"") -> str:
    """Run redis-cli on the server; return what it printed."""
    done = subprocess.run(
        [require_peer("redis-cli"), "-p", str(server.port), *arguments],
        input=typed,
        capture_output=True,
        timeout=RUN_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize(("protocol", "parser"), PARSERS)
def test_redis_py_works(server: Peer, protocol: int, parser: type[Any]) -> None:
    pool = redis.ConnectionPool(host="127.0.0.1", port=server.port, protocol=protocol, parser_class=parser)
    client: Any = redis.Redis(connection_pool=pool)
    assert client.ping()
    assert client.set("k", b"\x00\xff", ex=100)
    assert client.get("k") == b"\x00\xff"
    assert 90 < client.ttl("k") <= 100
    assert client.hset("h", mapping={"a": 1, "b": 2}) == 2
    assert client.hgetall("h") == {b"a": b"1", b"b": b"2"}
    assert client.zadd("z", {"x": 1, "y": 2.5}) == 2
    scores = client.zrange("z", 0, -1, withscores=True)
    assert [(name, float(score)) for name, score in scores] == [(b"x", 1.0), (b"y", 2.5)]
    assert set(client.smembers("s")) == set()
    client.sadd("s", "a", "b")
    assert set(client.smembers("s")) == {b"a", b"b"}
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.incr("h")
    with client.pipeline(transaction=True) as pipeline:
        assert pipeline.incr("n").incr("n").get("n").execute() == [1, 2, b"2"]
    add = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    assert add(keys=["sum"], args=[5]) == 5
    with client.lock("lock", timeout=10):
        assert client.exists("lock")
    client.mset({f"scan:{number}": number for number in range(500)})
    assert len(set(client.scan_iter(match="scan:*", count=50))) == 500
    assert client.info("server")["redis_mode"] == "standalone"
    assert client.config_get("maxmemory") == {"maxmemory": "0"}
    assert client.client_list()
    assert client.command_count() > 100
    pubsub = client.pubsub(ignore_subscribe_messages=False)
    pubsub.subscribe("channel")
    assert (pubsub.get_message(timeout=5) or {})["type"] == "subscribe"
    client.publish("channel", "hello")
    assert (pubsub.get_message(timeout=5) or {})["data"] == b"hello"
    pubsub.close()
    client.close()


@pytest.mark.parametrize(("protocol", "parser"), ASYNC_PARSERS)
def test_redis_py_asyncio_works(server: Peer, protocol: int, parser: type[Any]) -> None:
    async def talk() -> None:
        pool = redis.asyncio.ConnectionPool(
            host="127.0.0.1", port=server.port, protocol=protocol, parser_class=parser
        )
        client: Any = redis.asyncio.Redis(connection_pool=pool)
        assert await client.set("k", "v")
        assert await asyncio.gather(*[client.incr("n") for _ in range(100)])
        assert await client.get("n") == b"100"
        async with client.pipeline(transaction=True) as pipeline:
            assert await pipeline.set("a", 1).incr("a").execute() == [True, 2]
        waiting = asyncio.create_task(client.blpop(["queue"], timeout=10))
        await client.rpush("queue", "job")
        assert list(await waiting) == [b"queue", b"job"]
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("channel")
            await pubsub.get_message(timeout=5)
            await client.publish("channel", "hello")
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
            assert message is not None and message["data"] == b"hello"
        await client.aclose()
        await pool.aclose()

    asyncio.run(talk())


def test_redis_cli_runs_commands_from_its_input(server: Peer) -> None:
    typed = (
        b'SET k "va lue"\nGET k\nRPUSH l a b\nLRANGE l 0 -1\nMULTI\nINCR n\nEXEC\nSELECT 1\nDBSIZE\nNOSUCH\n'
    )
    shown = cli(server, "--no-raw", typed=typed).splitlines()
    assert shown[:5] == ["OK", '"va lue"', "(integer) 2", '1) "a"', '2) "b"']
    assert shown[5:10] == ["OK", "QUEUED", "1) (integer) 1", "OK", "(integer) 0"]
    assert shown[10].startswith("(error) ERR unknown command 'NOSUCH'")


def test_redis_cli_speaks_resp3(server: Peer) -> None:
    cli(server, "HSET", "h", "a", "1")
    assert '1# "a" => "1"' in cli(server, "-3", "--no-raw", "HGETALL", "h")


def test_redis_cli_inserts_in_mass(server: Peer) -> None:
    commands = b"".join(
        b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$1\r\nv\r\n" % (len(key), key)
        for key in (b"key:%d" % number for number in range(20_000))
    )
    assert "errors: 0, replies: 20000" in cli(server, "--pipe", typed=commands)
    assert cli(server, "DBSIZE").strip() == "20000"


def test_redis_cli_scans_and_finds_big_keys(server: Peer) -> None:
    cli(server, "MSET", *[word for number in range(300) for word in (f"k{number}", "v")])
    cli(server, "RPUSH", "list", *map(str, range(50)))
    found = cli(server, "--scan", "--pattern", "k*").split()
    assert sorted(found) == sorted(f"k{number}" for number in range(300))
    report = cli(server, "--bigkeys")
    assert re.search(r"Biggest\s+list found .*list.* has 50 items", report), report
    assert "Sampled 301 keys" in report
    assert "Sampled 301 keys" in cli(server, "--memkeys")


def test_redis_cli_measures_latency(server: Peer) -> None:
    low, high, mean, samples = map(float, cli(server, "--raw", "--latency", "-i", "0.2").split()[:4])
    assert low <= mean <= high and samples > 0


def test_redis_cli_shows_statistics(server: Peer) -> None:
    command = [require_peer("redis-cli"), "-p", str(server.port), "--stat", "-i", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(3)]
        running.terminate()
    assert lines[1].split()[:2] == ["keys", "mem"]
    assert lines[2].split()[0] == "0"


@pytest.mark.parametrize("pipeline", ["1", "16"])
def test_redis_benchmark_runs_all_its_tests(server: Peer, pipeline: str) -> None:
    command = [
        require_peer("redis-benchmark"),
        "-p",
        str(server.port),
        "-n",
        "2000",
        "-c",
        "20",
        "-P",
        pipeline,
    ]
    done = subprocess.run(
        [*command, "--csv"], capture_output=True, text=True, timeout=RUN_LIMIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rror" not in done.stdout + done.stderr
    names = [line.split(",")[0].strip('"').split(" ")[0] for line in done.stdout.splitlines()[1:]]
    wanted = "PING_INLINE PING_MBULK SET GET INCR LPUSH RPUSH LPOP RPOP SADD HSET SPOP ZADD ZPOPMIN MSET"
    for name in [*wanted.split(), "LRANGE_100", "LRANGE_300", "LRANGE_500", "LRANGE_600"]:
        assert name in names


def test_ioredis_works(server: Peer) -> None:
    node = require_ioredis()
    done = subprocess.run(
        [node, "check.js", str(server.port)],
        cwd=IOREDIS,
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_SECONDS,
        check=False,
    )
    assert done.stdout.strip() == "ok", done.stdout + done.stderr
