"""Writes of many command families, drawn from a seed: what replication must carry.

What this is: a generator of commands over a small keyspace, and a thread that sends them
until it is stopped. Commands that a server does not know, or that meet the wrong type,
are answered with errors, which is as it should be.

How to read it: `FAMILIES` is the list; `Writer` sends.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import redis

Draw = random.Random
Words = list[str | int | float]


def _key(luck: Draw, kind: str) -> str:
    return f"{kind}:{luck.randrange(40)}"


def _member(luck: Draw) -> str:
    return f"m{luck.randrange(60)}" + "x" * luck.choice((0, 0, 3, 80))


def _strings(luck: Draw) -> Words:
    key = _key(luck, "s")
    options: list[Words] = [
        ["SET", key, luck.randrange(10**6)],
        ["SET", key, "v" * luck.randrange(300)],
        ["SET", key, luck.randrange(1000), "PX", luck.randrange(1, 4000)],
        ["SET", key, luck.randrange(1000), "EX", 100],
        ["INCR", _key(luck, "n")],
        ["INCRBY", _key(luck, "n"), luck.randrange(100)],
        ["INCRBYFLOAT", _key(luck, "f"), "0.1"],
        ["APPEND", key, "tail"],
        ["SETRANGE", key, luck.randrange(50), "mid"],
        ["GETDEL", key],
        ["GETEX", key, "PX", luck.randrange(1, 5000)],
        ["SETBIT", _key(luck, "b"), luck.randrange(2000), luck.randrange(2)],
        ["MSET", key, 1, _key(luck, "s"), 2],
    ]
    return luck.choice(options)


def _lists(luck: Draw) -> Words:
    key = _key(luck, "l")
    options: list[Words] = [
        ["RPUSH", key, _member(luck), _member(luck)],
        ["LPUSH", key, _member(luck)],
        ["LPOP", key],
        ["RPOP", key, 2],
        ["LREM", key, 1, _member(luck)],
        ["LTRIM", key, 0, 30],
        ["LSET", key, 0, "set"],
        ["LMOVE", key, _key(luck, "l"), "LEFT", "RIGHT"],
        ["LINSERT", key, "BEFORE", _member(luck), "in"],
        ["BLPOP", key, "0.001"],
    ]
    return luck.choice(options)


def _sets(luck: Draw) -> Words:
    key = _key(luck, "e")
    options: list[Words] = [
        ["SADD", key, _member(luck), luck.randrange(1000)],
        ["SADD", key, luck.randrange(100)],
        ["SREM", key, _member(luck)],
        ["SPOP", key],
        ["SPOP", key, 2],
        ["SMOVE", key, _key(luck, "e"), _member(luck)],
        ["SUNIONSTORE", _key(luck, "e"), key, _key(luck, "e")],
        ["SDIFFSTORE", _key(luck, "e"), key, _key(luck, "e")],
    ]
    return luck.choice(options)


def _hashes(luck: Draw) -> Words:
    key = _key(luck, "h")
    options: list[Words] = [
        ["HSET", key, _member(luck), luck.randrange(1000)],
        ["HSET", key, "a", "1", "b", "2"],
        ["HDEL", key, _member(luck)],
        ["HINCRBY", key, "count", 3],
        ["HINCRBYFLOAT", key, "float", "0.3"],
    ]
    return luck.choice(options)


def _sorted_sets(luck: Draw) -> Words:
    key = _key(luck, "z")
    options: list[Words] = [
        ["ZADD", key, luck.random(), _member(luck)],
        ["ZINCRBY", key, 1.5, _member(luck)],
        ["ZREM", key, _member(luck)],
        ["ZPOPMIN", key],
        ["ZREMRANGEBYRANK", key, 0, 1],
        ["ZUNIONSTORE", _key(luck, "z"), 2, key, _key(luck, "z")],
    ]
    return luck.choice(options)


def _keys(luck: Draw) -> Words:
    key = _key(luck, luck.choice("snleh"))
    options: list[Words] = [
        ["DEL", key],
        ["UNLINK", key],
        ["EXPIRE", key, luck.randrange(1, 50)],
        ["PEXPIRE", key, luck.randrange(1, 3000)],
        ["PERSIST", key],
        ["RENAME", key, key + "r"],
        ["COPY", key, key + "c", "REPLACE"],
    ]
    return luck.choice(options)


def _scripts(luck: Draw) -> Words:
    lucky = "redis.call('sadd', KEYS[1], redis.call('incr', KEYS[2])) return redis.call('spop', KEYS[1])"
    twice = "redis.call('set', KEYS[1], ARGV[1]) redis.call('append', KEYS[1], ARGV[1]) return 1"
    options: list[Words] = [
        ["EVAL", lucky, 2, _key(luck, "e"), _key(luck, "n")],
        ["EVAL", twice, 1, _key(luck, "s"), luck.randrange(1000)],
    ]
    return luck.choice(options)


FAMILIES: tuple[Callable[[Draw], Words], ...] = (
    _strings,
    _lists,
    _sets,
    _hashes,
    _sorted_sets,
    _keys,
    _scripts,
)


def command(luck: Draw) -> Words:
    """Draw one write."""
    return luck.choice(FAMILIES)(luck)


class Writer:
    """Sends writes to a server from a thread of its own, in pipelines, some of them as MULTI."""

    def __init__(self, port: int, seed: int) -> None:
        self._client = redis.Redis(port=port, socket_timeout=20, protocol=2)
        self._luck = random.Random(seed)
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.burst()
            except redis.ConnectionError:
                return

    def burst(self) -> None:
        """Send one pipeline."""
        pipe = self._client.pipeline(transaction=self._luck.random() < 0.2)
        for _ in range(self._luck.randrange(1, 20)):
            pipe.execute_command(*command(self._luck))
            self.sent += 1
        try:
            pipe.execute(raise_on_error=False)
        except redis.ResponseError:
            return

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()
        self._thread.join(30)
        self._client.close()
