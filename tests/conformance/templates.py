"""The commands that the random comparison draws from, as templates by family.

A word in capitals is sent as it stands; a word in small letters names a strategy of
`WORDS`, from which a value is drawn. Left out on purpose: commands with random replies
(SPOP, RANDOMKEY), with replies that depend on the moment (TTL), and what 7.0 and 7.2
answer differently (the overlay has those).

Ranges by bytes are drawn from the key SAME only, whose members all have one score: with
different scores Redis leaves open what they find.

How to read it: `WORDS`, then the families; `UNORDERED` are compared as sets.
"""

from __future__ import annotations

from hypothesis import strategies as st

FAR_SECONDS, FAR_MILLISECONDS = b"33177117420", b"33177117420000"

_KEYS = (b"a", b"b", b"c", b"d")
_VALUES = (
    b"",
    b"x",
    b"y",
    b"0",
    b"1",
    b"-7",
    b"12.5",
    b"hello world",
    b"\xff\x00\r\n",  # not zero first: SORT ALPHA leaves open where it stands beside ""
    b"9223372036854775807",
)
_INDEXES = (b"0", b"1", b"-1", b"2", b"-2", b"5", b"-100", b"100")
_SCORES = (b"0", b"1", b"-1", b"2", b"2.5", b"-0.5", b"10", b"inf", b"-inf", b"1000000")

WORDS: dict[str, st.SearchStrategy[bytes]] = {
    "key": st.sampled_from(_KEYS),
    "value": st.sampled_from([*_VALUES, b"v" * 70]),
    "member": st.sampled_from((b"x", b"y", b"z", b"1", b"2", b"300", b"", b"m" * 70)),
    "score": st.sampled_from(_SCORES),
    "index": st.sampled_from(_INDEXES),
    "count": st.sampled_from((b"0", b"1", b"2", b"10", b"-1")),
    "number": st.sampled_from(
        (b"1", b"-1", b"5", b"100", b"-9223372036854775808", b"9223372036854775807", b"x")
    ),
    "fraction": st.sampled_from((b"0.5", b"-1.25", b"3", b"abc")),
    "bit": st.sampled_from((b"0", b"1")),
    "place": st.sampled_from((b"0", b"1", b"7", b"8", b"20", b"100")),
    "side": st.sampled_from((b"LEFT", b"RIGHT")),
    "edge": st.sampled_from((b"-", b"+", b"[x", b"(x", b"[y", b"(z", b"bad")),
    "bound": st.sampled_from((b"-inf", b"+inf", b"0", b"(1", b"2", b"(2.5", b"bad")),
    "when": st.sampled_from((FAR_SECONDS, b"33177117499", b"1")),
    "condition": st.sampled_from((b"NX", b"XX", b"GT", b"LT")),
    "operation": st.sampled_from((b"AND", b"OR", b"XOR")),
    "aggregate": st.sampled_from((b"SUM", b"MIN", b"MAX")),
    "field": st.sampled_from((b"f", b"g", b"h", b"", b"1")),
    "pattern": st.sampled_from((b"*", b"a", b"[ab]", b"?", b"zz")),
}

STRINGS = """
SET key value
GET key
SET key value NX
SET key value XX
SET key value GET
SET key value KEEPTTL
SET key value EXAT when NX
GETSET key value
GETDEL key
GETEX key PERSIST
SETNX key value
MSET key value key value
MSETNX key value key value
MGET key key key
APPEND key value
STRLEN key
INCR key
DECR key
INCRBY key number
DECRBY key number
INCRBYFLOAT key fraction
GETRANGE key index index
SETRANGE key place value
LCS key key LEN
SETBIT key place bit
GETBIT key place
BITCOUNT key index index
BITCOUNT key index index BIT
BITPOS key bit index index
BITOP operation key key key
BITOP NOT key key
BITFIELD key SET u8 place number INCRBY i5 place number
BITFIELD key OVERFLOW SAT INCRBY u4 place number
BITFIELD key OVERFLOW FAIL INCRBY u4 place number GET i16 place
"""

LISTS = """
RPUSH key value
LPUSH key value value
RPUSH key value value value
LRANGE key index index
LPOP key
RPOP key
LPOP key count
RPOP key count
LPUSHX key value
RPUSHX key value
LLEN key
LINDEX key index
LSET key index value
LINSERT key BEFORE value value
LINSERT key AFTER value value
LREM key index value
LTRIM key index index
LPOS key value
LPOS key value RANK index COUNT count
RPOPLPUSH key key
LMOVE key key side side
LMPOP 2 key key side COUNT count
SORT key ALPHA
SORT key DESC
SORT key ALPHA LIMIT index count
SORT key ALPHA STORE key
"""

HASHES = """
HSET key field value
HGET key field
HSET key field value field value
HGETALL key
HSETNX key field value
HMGET key field field
HDEL key field field
HLEN key
HSTRLEN key field
HEXISTS key field
HKEYS key
HVALS key
HINCRBY key field number
HINCRBYFLOAT key field fraction
"""

SETS = """
SADD key member
SADD key member member member
SMEMBERS key
SREM key member member
SCARD key
SISMEMBER key member
SMISMEMBER key member member
SMOVE key key member
SINTER key key
SUNION key key
SDIFF key key
SINTERSTORE key key key
SUNIONSTORE key key key
SDIFFSTORE key key key
SINTERCARD 2 key key LIMIT count
"""

SORTED_SETS = """
ZADD key score member
ZADD key score member score member
ZADD key condition score member
ZADD key condition CH score member
ZADD key condition INCR score member
ZRANGE key index index WITHSCORES
ZRANGE key index index REV
ZRANGE key bound bound BYSCORE LIMIT count count
ZRANGEBYSCORE key bound bound WITHSCORES
ZREVRANGEBYSCORE key bound bound
ZCOUNT key bound bound
ZSCORE key member
ZMSCORE key member member
ZINCRBY key score member
ZREM key member member
ZRANK key member
ZREVRANK key member
ZCARD key
ZPOPMIN key
ZPOPMAX key count
ZMPOP 2 key key MIN COUNT count
ZREMRANGEBYRANK key index index
ZREMRANGEBYSCORE key bound bound
ZRANGESTORE key key index index
ZUNIONSTORE key 2 key key AGGREGATE aggregate
ZINTERSTORE key 2 key key WEIGHTS 2 3
ZDIFFSTORE key 2 key key
ZUNION 2 key key WITHSCORES
ZINTER 2 key key AGGREGATE aggregate WITHSCORES
ZDIFF 2 key key
ZINTERCARD 2 key key
ZADD SAME 0 member
ZADD SAME 0 member 0 member
ZREM SAME member
ZRANGE SAME edge edge BYLEX
ZRANGE SAME edge edge BYLEX REV LIMIT count count
ZRANGEBYLEX SAME edge edge LIMIT count count
ZREVRANGEBYLEX SAME edge edge
ZLEXCOUNT SAME edge edge
ZREMRANGEBYLEX SAME edge edge
"""

KEYS = """
DEL key
EXISTS key key
TYPE key
UNLINK key key
RENAME key key
RENAMENX key key
COPY key key
COPY key key REPLACE
MOVE key 1
TOUCH key key
KEYS pattern
EXPIREAT key when
EXPIREAT key when condition
PEXPIREAT key 33177117420000 condition
EXPIRETIME key
PEXPIRETIME key
PERSIST key
SWAPDB 0 1
SELECT bit
FLUSHDB
OBJECT REFCOUNT zz
DEBUG DIGEST-VALUE key
"""

TRANSACTIONS = """
MULTI
EXEC
DISCARD
WATCH key
UNWATCH
NOSUCHCOMMAND key
GET
"""

UNORDERED = frozenset((b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"KEYS", b"HGETALL", b"HKEYS", b"HVALS"))


def commands_of(templates: str) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Return the strategy that draws one command from a family's templates."""
    return st.one_of([_command(line.split()) for line in templates.strip().splitlines()])


def _command(words: list[str]) -> st.SearchStrategy[tuple[bytes, ...]]:
    return st.tuples(*[WORDS[word] if word in WORDS else st.just(word.encode()) for word in words])
