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

from holdfast.engine import expiry, request, upkeep
from tests.engine.client import DirectClient, encode

OPERATIONS = int(os.environ.get("HOLDFAST_LEAK_OPERATIONS", "200000"))
BATCH = 10_000
DIFFERENT_BATCHES = 10
GROWTH_ALLOWED_BYTES = 4 << 20

COMMANDS = """
SET string value
SET string value PX number
APPEND string value
SETRANGE string number value
GETDEL string
INCR string
MSET string value string value
SETBIT string number 1
BITOP OR string string string
BITFIELD string SET u8 number number
RPUSH list value value value
LPUSH list value value
LPOP list
RPOP list 2
LINSERT list BEFORE member value
LSET list 0 value
LTRIM list 0 number
LREM list 0 value
LMOVE list list LEFT RIGHT
HSET hash member value member value
HDEL hash member
HINCRBY hash member number
HRANDFIELD hash -5 WITHVALUES
SADD set member member member
SADD set number number
SREM set member
SPOP set 2
SMOVE set set member
SUNIONSTORE set set set
SDIFFSTORE set set set
ZADD zset number member number member
ZINCRBY zset number member
ZREM zset member
ZPOPMIN zset 2
ZRANGESTORE zset zset 0 10
ZUNIONSTORE zset 2 zset zset
ZREMRANGEBYRANK zset 5 number
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
HSCAN hash 0
ZSCAN zset 0
SSCAN set 0
GET string
LRANGE list 0 -1
HGETALL hash
SMEMBERS set
ZRANGE zset 0 -1 WITHSCORES
MULTI
EXEC
DISCARD
WATCH key
UNWATCH
NOSUCHCOMMAND value
EVAL SCRIPT 2 key key
FLUSHDB ASYNC
""".strip().splitlines()
RARE = {
    "FLUSHDB": 0.002, "DEL": 0.1, "UNLINK": 0.1, "EXPIRE": 0.1, "RENAME": 0.1, "COPY": 0.1, "EVAL": 0.2,
    "SORT": 0.1, "MULTI": 0.2, "EXEC": 0.3,
}  # fmt: skip
TYPES = ("string", "list", "hash", "set", "zset")
SCRIPT = (
    b"local whole = redis.call('dump', KEYS[1]) "
    b"if whole then redis.call('restore', KEYS[2], 0, whole, 'replace') end "
    b"return redis.pcall('get', KEYS[2])"
)


def word(name: str, luck: random.Random) -> bytes:
    """Return what a word of a template stands for."""
    if name == "key":
        name = luck.choice(TYPES)
    if name in TYPES:  # now and then the key of another type
        return b"%b:%d" % (
            (luck.choice(TYPES) if luck.random() < 0.02 else name).encode(),
            luck.randrange(12),
        )
    if name == "member":
        return b"member:%d" % luck.randrange(300)
    if name == "number":
        return b"%d" % luck.randrange(1, 2000)
    if name == "value":
        return luck.choice((b"x", b"12", b"y" * 60, b"z" * 200, b"long " * 1000))
    return SCRIPT if name == "SCRIPT" else name.encode()


def batch(luck: random.Random) -> bytes:
    """Return many requests; what deletes keys, or only queues requests, is rare enough for values to grow."""
    weights = [RARE.get(line.split()[0], 1.0) for line in COMMANDS]
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
        replies = client.send(batches[number % DIFFERENT_BATCHES])
        while replies:  # a session with many replies waiting stops until they are taken
            request.resume(client.session)
            replies = client.read()
        engine.set_time(engine.now_ms + 100)
        expiry.expire_cycle(engine, 1000)
        if number % DIFFERENT_BATCHES == DIFFERENT_BATCHES - 1:
            empty(client)
            sizes.append(resident_bytes())
            assert engine.used_bytes == began
            assert [engine.key_count(0), engine.volatile_count(0)] == [0, 0]
    assert engine.stat_unexpected_errors == 0
    assert engine.stat_commands >= OPERATIONS
    assert sizes[-1] - sizes[0] < GROWTH_ALLOWED_BYTES, sizes
