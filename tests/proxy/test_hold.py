"""Requests that wait for a backend: what is sent again, what never, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.node.proxy import ProxyNode
from holdfast.proxy.link import ask
from holdfast.proxy.shapes import Backend, Pool, Shard
from tests.ports import free_port
from tests.proxy.inside import Caller, Played, proxy_inside
from tests.proxy.peers import pool_text


class Scene:
    """A proxy whose one shard may lose its primary, and two servers that may be it."""

    def __init__(self, node: ProxyNode, port: int, first: Played, second: Played) -> None:
        self.node, self.port, self.first, self.second = node, port, first, second
        self.shard: Shard = node.doors_by_name["p"].target.shards[0]
        self.pool: Pool = self.shard.pool
        self.pool.hold_ms = 5000

    def lose(self) -> None:
        """Nobody knows the primary."""
        self.shard.primary = None

    def promote(self, played: Played) -> None:
        """The primary is known."""
        self.shard.primary = Backend(self.pool, "new", "127.0.0.1", played.port)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    first, second, port = await Played().start(), await Played().start(), free_port()
    async with proxy_inside(pool_text("p", port, [f"127.0.0.1:{first.port}:1"]), tmp_path) as node:
        yield Scene(node, port, first, second)
    first.stop()
    second.stop()


async def test_requests_wait_for_the_primary_and_keep_their_order(scene: Scene) -> None:
    one, other = await Caller.to(scene.port), await Caller.to(scene.port)
    scene.lose()
    one.send([b"SET", b"a", b"1"], [b"SET", b"a", b"2"])
    await until(lambda: scene.shard.held_count == 2)
    other.send([b"GET", b"a"])
    await until(lambda: scene.shard.held_count == 3)
    scene.promote(scene.second)
    one.send([b"SET", b"a", b"3"])
    await scene.second.expect([b"SET", b"a", b"1"], [b"SET", b"a", b"2"], [b"GET", b"a"])
    await scene.second.expect([b"SET", b"a", b"3"])
    scene.second.say(b"+OK\r\n+OK\r\n$1\r\n2\r\n+OK\r\n")
    await one.hear(b"+OK\r\n+OK\r\n+OK\r\n")
    await other.hear(b"$1\r\n2\r\n")


async def test_a_held_request_dies_with_its_client(scene: Scene) -> None:
    one, other = await Caller.to(scene.port), await Caller.to(scene.port)
    scene.lose()
    one.send([b"SET", b"a", b"1"], [b"MGET", b"a", b"b"])
    await until(lambda: scene.shard.held_count == 2)
    one.writer.transport.abort()
    await until(lambda: len(scene.node.all_clients()) == 1)
    other.send([b"SET", b"a", b"2"])
    await until(lambda: scene.shard.held_count == 3)
    scene.promote(scene.second)
    await scene.second.expect([b"SET", b"a", b"2"])


async def test_what_was_written_is_never_sent_again(scene: Scene) -> None:
    client = await Caller.to(scene.port)
    client.send([b"INCR", b"a"])
    await scene.first.expect([b"INCR", b"a"])
    scene.lose()
    client.send([b"INCR", b"b"])
    await until(lambda: scene.shard.held_count == 1)
    scene.first.drop()
    await client.hear(b"-ERR ")
    scene.promote(scene.second)
    await scene.second.expect([b"INCR", b"b"])


async def test_what_was_not_written_goes_to_the_next_primary_first(scene: Scene) -> None:
    """The connection cannot be made: nothing on it was ever written."""
    client = await Caller.to(scene.port)
    scene.first.stop()
    client.send([b"SET", b"a", b"1"], [b"SET", b"a", b"2"])
    await until(lambda: backend_of(scene).in_queue == 2)
    scene.lose()
    client.send([b"SET", b"a", b"3"])
    await until(lambda: scene.shard.held_count == 3)
    scene.promote(scene.second)
    await scene.second.expect([b"SET", b"a", b"1"], [b"SET", b"a", b"2"], [b"SET", b"a", b"3"])


def backend_of(scene: Scene) -> Backend:
    primary = scene.shard.primary
    assert primary is not None
    return primary


async def test_a_transaction_is_held_whole(scene: Scene) -> None:
    client = await Caller.to(scene.port)
    scene.lose()
    client.send([b"MULTI"], [b"SET", b"a", b"1"], [b"EXEC"])
    await until(lambda: scene.shard.held_count == 1)
    scene.promote(scene.second)
    await scene.second.expect([b"MULTI"], [b"SET", b"a", b"1"], [b"EXEC"])
    scene.second.say(b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
    await client.hear(b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")


async def test_requests_wait_no_longer_than_they_may(scene: Scene) -> None:
    client = await Caller.to(scene.port)
    scene.pool.hold_ms = 60
    scene.lose()
    assert await client.ask(b"SET", b"a", b"1") == b"-ERR Connection timed out\r\n"
    assert scene.shard.held_count == 0


async def test_no_more_may_wait_than_the_pool_lets(scene: Scene) -> None:
    client = await Caller.to(scene.port)
    scene.pool.hold_bytes = 100
    scene.lose()
    assert await client.ask(b"SET", b"a", b"x" * 200) == b"-ERR too many requests wait for a server\r\n"


async def test_a_server_that_moves_is_followed(scene: Scene) -> None:
    client = await Caller.to(scene.port)
    client.send([b"GET", b"a"])
    await scene.first.expect([b"GET", b"a"])
    scene.first.say(b"$1\r\n1\r\n")
    await client.hear(b"$1\r\n1\r\n")
    backend_of(scene).move("127.0.0.1", scene.second.port)
    client.send([b"GET", b"a"])
    await scene.second.expect([b"GET", b"a"])


async def test_a_pool_may_ask_its_servers(scene: Scene) -> None:
    heard: list[bytes | None] = []
    ask(backend_of(scene), [b"ROLE"], heard.append)
    await scene.first.expect([b"ROLE"])
    scene.first.say(b"*1\r\n$6\r\nmas")
    scene.first.say(b"ter\r\n")
    await until(lambda: bool(heard))
    ask(backend_of(scene), [b"ROLE"], heard.append)
    await scene.first.expect([b"ROLE"])
    scene.first.drop()
    await until(lambda: len(heard) == 2)
    assert heard == [b"*1\r\n$6\r\nmaster\r\n", None]


async def test_replies_that_come_in_pieces_stay_whole_and_in_order(scene: Scene) -> None:
    one, other = await Caller.to(scene.port), await Caller.to(scene.port)
    one.send([b"GET", b"a"], [b"LRANGE", b"l", b"0", b"-1"])
    await scene.first.expect([b"GET", b"a"], [b"LRANGE", b"l", b"0", b"-1"])
    other.send([b"GET", b"b"])
    await scene.first.expect([b"GET", b"b"])
    stream = b"$3\r\n1\r\n\r\n*3\r\n$1\r\nx\r\n*1\r\n:5\r\n$-1\r\n-ERR odd\r\n"
    for place in range(len(stream)):
        scene.first.say(stream[place : place + 1])
        await asyncio.sleep(0)
    await one.hear(stream[: -len(b"-ERR odd\r\n")])
    await other.hear(b"-ERR odd\r\n")


async def test_an_answer_to_nothing_ends_the_connection(scene: Scene) -> None:
    client = await Caller.to(scene.port)
    client.send([b"GET", b"a"])
    await scene.first.expect([b"GET", b"a"])
    scene.first.say(b"$1\r\n1\r\n+extra\r\n")
    await client.hear(b"$1\r\n1\r\n")
    client.send([b"GET", b"b"])
    await scene.first.expect([b"GET", b"b"])
    scene.first.say(b"$1\r\n2\r\n")
    await client.hear(b"$1\r\n2\r\n")


async def until(happened: object) -> None:
    """Let the loop turn until something is so."""
    assert callable(happened)
    async with asyncio.timeout(10):
        while not happened():
            await asyncio.sleep(0)


async def test_hello_waits_for_what_is_open_so_that_a_client_s_requests_stay_in_order(scene: Scene) -> None:
    one = await Caller.to(scene.port)
    one.send([b"SET", b"a", b"1"], [b"HELLO", b"3"], [b"GET", b"a"])
    await scene.first.expect([b"SET", b"a", b"1"])
    assert await Caller.to(scene.port)  # the loop has turned
    assert len(scene.first.writers) == 1
    scene.first.say(b"+OK\r\n")
    await one.hear(b"+OK\r\n%")
    await scene.first.expect([b"HELLO", b"3"], [b"GET", b"a"])


async def test_a_transaction_comes_back_only_by_an_execabort(scene: Scene) -> None:
    one = await Caller.to(scene.port)
    one.send([b"MULTI"], [b"INCR", b"a"], [b"EXEC"])
    await scene.first.expect([b"MULTI"], [b"INCR", b"a"], [b"EXEC"])
    scene.first.say(b"+OK\r\n-READONLY not here\r\n-NOACK in time\r\n")
    await one.hear(b"+OK\r\n+QUEUED\r\n-NOACK in time\r\n")
