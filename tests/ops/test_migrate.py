"""A live data set moved between stock servers and ours, in both directions, while clients write to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.ops.deployments import holdfast
from tests.peers import Peer, require_peer, start_holdfast, start_redis_server

Start = Callable[..., Peer]
AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""Else whoever follows for the first time waits five seconds for others that may want the same."""


@contextmanager
def pair(first: Start, second: Start) -> Iterator[tuple[Peer, Peer]]:
    """Hold two lone servers."""
    with first(*AT_ONCE) as source, second(*AT_ONCE) as target:
        yield source, target


class Writer:
    """Changes keys until it is refused: what was answered OK is in `counted`."""

    def __init__(self, port: int) -> None:
        self._client = redis.Redis(port=port, socket_timeout=20)
        self.counted, self.refusal = 0, ""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                self._client.incr("counter")
                self.counted += 1
                self._client.set(f"s{self.counted % 3000}", f"new {self.counted}")
                if self.counted % 5 == 0:
                    self._client.delete(f"h{self.counted % 300}")
                    self._client.zadd("board", {f"m{self.counted % 50}": self.counted})
        except redis.RedisError as error:
            self.refusal = str(error)

    def wait(self) -> None:
        """Wait until it was refused."""
        self._thread.join(30)
        self._client.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [(start_redis_server, start_holdfast), (start_holdfast, start_redis_server)],
    ids=["redis to ours", "ours to redis"],
)
def test_a_live_data_set_moves_and_not_one_counted_write_is_lost(first: Start, second: Start) -> None:
    require_peer("redis-server")
    with pair(first, second) as (source, target):
        with redis.Redis(port=source.port) as client, client.pipeline(transaction=False) as pipe:
            for number in range(3000):
                pipe.set(f"s{number}", number)
            for number in range(300):
                pipe.hset(f"h{number}", mapping={"a": number, "b": "x"})
                pipe.rpush(f"l{number}", 1, 2, number)
                pipe.sadd(f"t{number}", "x", number)
                pipe.set(f"e{number}", "soon gone", ex=1000)
            pipe.set(b"\xff\x00\r\nbytes", b"\x80\x00")
            pipe.select(3)  # type: ignore[attr-defined]
            pipe.set("elsewhere", 1)
            pipe.execute()
        writer = Writer(source.port)
        done = holdfast("migrate", source.address, target.address, "--sample", "0", "--json")
        writer.wait()
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["changed_meanwhile"] > 0
        assert "NOREPLICAS" in writer.refusal
        with redis.Redis(port=target.port) as there, redis.Redis(port=source.port) as here:
            assert int(there.get("counter") or 0) == int(here.get("counter") or 0) >= writer.counted
            assert there.dbsize() == here.dbsize()
            assert there.get(b"\xff\x00\r\nbytes") == b"\x80\x00"
            assert there.expiretime("e7") == here.expiretime("e7") > 0
            boards = [each.zrange("board", 0, -1, withscores=True) for each in (there, here)]
            assert boards[0] == boards[1]
        with redis.Redis(port=target.port, db=3) as there:
            assert there.get("elsewhere") == b"1"


def test_a_target_that_holds_keys_is_left_alone_unless_told_otherwise() -> None:
    with pair(start_holdfast, start_holdfast) as (source, target):
        with redis.Redis(port=source.port) as client:
            client.mset({"a": 1, "b": 2})
        with redis.Redis(port=target.port) as client:
            client.set("mine", 1)
            done = holdfast("migrate", source.address, target.address)
            assert done.returncode == 1 and "not empty" in done.stderr
            assert client.keys() == [b"mine"]
        done = holdfast("migrate", source.address, target.address, "--replace", "--keep-open")
        assert done.returncode == 6, "the target has a key that the source lacks"
        with redis.Redis(port=source.port) as client:
            assert client.set("still", "open")
