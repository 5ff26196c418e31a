"""Memory after many mixed commands: what the data took is given back to the last byte.

One client without a socket sends commands of every family over a few keys, small and
large values, expiry, transactions and scripts; then everything is deleted. The engine's
own count must be where it began, and the process must not have grown from one round to
the next. `HOLDFAST_LEAK_OPERATIONS` sets how many commands are sent (default 200,000).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

from holdfast.engine import expiry, upkeep
from tests.engine.client import DirectClient, encode

OPERATIONS = int(os.environ.get("HOLDFAST_LEAK_OPERATIONS", "200000"))
BATCH = 10_000
DIFFERENT_BATCHES = 10
GROWTH_ALLOWED_BYTES = 4 << 20

COMMANDS = """
SET key value
SET key value PX number
APPEND key value
SETRANGE key number value
GETDEL key
INCR key
MSET key value key value
SETBIT key number 1
BITOP OR key key key
BITFIELD key SET u8 number number
RPUSH key value value value
LPUSH key value value
LPOP key
RPOP key 2
LINSERT key BEFORE member value
LSET key 0 value
LTRIM key 0 number
LREM key 0 value
LMOVE key key LEFT RIGHT
HSET key member value member value
HDEL key member
HINCRBY key member number
HRANDFIELD key -5 WITHVALUES
SADD key member member member
SADD key number number
SREM key member
SPOP key 2
SMOVE key key member
SUNIONSTORE key key key
SDIFFSTORE key key key
ZADD key number member number member
ZINCRBY key number member
ZREM key member
ZPOPMIN key 2
ZRANGESTORE key key 0 10
ZUNIONSTORE key 2 key key
ZREMRANGEBYRANK key 5 number
DEL key
UNLINK key
EXPIRE key number
PERSIST key
RENAME key key
COPY key key REPLACE
SORT key ALPHA STORE key
OBJECT ENCODING key
KEYS *
SCAN 0
HSCAN key 0
ZSCAN key 0
SSCAN key 0
GET key
LRANGE key 0 -1
HGETALL key
SMEMBERS key
ZRANGE key 0 -1 WITHSCORES
MULTI
EXEC
DISCARD
WATCH key
UNWATCH
NOSUCHCOMMAND value
EVAL SCRIPT 2 key key
FLUSHDB ASYNC
""".strip().splitlines()
SCRIPT = (
    b"local whole = redis.call('dump', KEYS[1]) "
    b"if whole then redis.call('restore', KEYS[2], 0, whole, 'replace') end "
    b"return redis.pcall('get', KEYS[2])"
)


def word(name: str, luck: random.Random) -> bytes:
    """Return what a word of a template stands for."""
    if name == "key":
        return b"key:%d" % luck.randrange(40)
    if name == "member":
        return b"member:%d" % luck.randrange(300)
    if name == "number":
        return b"%d" % luck.randrange(1, 2000)
    if name == "value":
        return luck.choice((b"x", b"12", b"y" * 60, b"z" * 200, b"long " * 1000))
    return SCRIPT if name == "SCRIPT" else name.encode()


def batch(luck: random.Random) -> bytes:
    """Return many requests; deleting everything is rare enough for values to grow."""
    weights = [1 if line.startswith("FLUSHDB") else 40 for line in COMMANDS]
    chosen = luck.choices(COMMANDS, weights, k=BATCH)
    return b"".join(encode(word(name, luck) for name in line.split()) for line in chosen)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def empty(client: DirectClient) -> None:
    """Delete everything, and free what is freed lazily."""
    for words in (("DISCARD",), ("FLUSHALL",), ("SCRIPT", "FLUSH")):
        client.call(*words)
    while upkeep.free_some(client.engine, 1 << 20):
        pass


def test_memory_returns_to_its_start_after_many_mixed_commands() -> None:
    luck = random.Random(5)
    client = DirectClient()
    engine = client.engine
    batches = [batch(luck) for _ in range(DIFFERENT_BATCHES)]
    sizes: list[int] = []
    empty(client)
    began = engine.used_bytes
    for number in range(max(OPERATIONS // BATCH, 2 * DIFFERENT_BATCHES)):
        client.send(batches[number % DIFFERENT_BATCHES])
        engine.set_time(engine.now_ms + 100)
        expiry.expire_cycle(engine, 1000)
        if number % DIFFERENT_BATCHES == DIFFERENT_BATCHES - 1:
            empty(client)
            sizes.append(resident_bytes())
            assert engine.used_bytes == began
            assert [engine.key_count(0), engine.volatile_count(0)] == [0, 0]
    assert engine.stat_unexpected_errors == 0
    assert sizes[-1] - sizes[0] < GROWTH_ALLOWED_BYTES, sizes
