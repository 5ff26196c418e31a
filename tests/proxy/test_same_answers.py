"""The commands that nutcracker serves get the same answers through both proxies."""

from __future__ import annotations

from tests.peers import Peer
from tests.ports import free_port
from tests.proxy.peers import nutcracker, pool_text, proxy_process
from tests.wire import WireClient

COMMANDS = """
PING
SET a 1
GET a
APPEND a 23
STRLEN a
INCR n
INCRBY n 41
DECR n
DECRBY n 2
INCRBYFLOAT f 1.5
GETSET a x
SETNX a y
SETEX s 100 v
PSETEX p 100000 v
TTL s
PERSIST s
SETRANGE a 3 abc
GETRANGE a 0 4
SETBIT b 7 1
GETBIT b 7
BITCOUNT b
BITPOS b 1
GETDEL s
GETEX p
MSET k1 v1 k2 v2 k3 v3 k4 v4
MGET k1 k2 k3 k4 none k1
TOUCH k1 k2 k3 none
DEL k1 k2 none
UNLINK k3 k4
MGET k1
DEL k1
EXISTS a
EXPIRE a 100
EXPIREAT a 33177117420
PEXPIRE a 100000
TYPE a
HSET h f 1 g 2
HGET h f
HMGET h f g none
HGETALL h
HDEL h f
HLEN h
HEXISTS h g
HINCRBY h g 5
HINCRBYFLOAT h g 0.5
HKEYS h
HVALS h
HSTRLEN h g
HMSET h x 1 y 2
HSETNX h x 3
HSCAN h 0
LPUSH l 1 2 3
RPUSH l 4 5
LRANGE l 0 -1
LLEN l
LINDEX l 0
LINSERT l BEFORE 1 0
LSET l 0 9
LREM l 1 9
LTRIM l 0 2
LPOP l
RPOP l
LPUSHX none 1
LPOS l 1
SORT l
RPOPLPUSH {l} {l}
SADD s1 a b c
SCARD s1
SISMEMBER s1 a
SMISMEMBER s1 a z
SREM s1 a
SINTER {x}1 {x}1
SUNIONSTORE {x}2 {x}1 {x}1
SSCAN s1 0
ZADD z 1 a 2 b 3 c
ZCARD z
ZSCORE z b
ZRANK z c
ZREVRANK z c
ZRANGE z 0 -1 WITHSCORES
ZREVRANGE z 0 -1
ZRANGEBYSCORE z 1 2
ZCOUNT z 1 2
ZINCRBY z 5 a
ZREM z a
ZLEXCOUNT z - +
ZREMRANGEBYRANK z 0 0
ZREMRANGEBYSCORE z 3 3
ZSCAN z 0
ZUNIONSTORE {x}z 1 {x}1
PFADD hll a b c
PFCOUNT hll
GEOADD geo 13.3 38.1 P 15.0 37.5 C
GEODIST geo P C
GEOPOS geo P
GEOSEARCH geo FROMLONLAT 15 37 BYRADIUS 200 km ASC
DUMP none
EVAL return{KEYS[1],ARGV[1]} 1 a z
HGET a f
INCR a
LPUSH h x
"""


def test_answers_are_those_of_nutcracker(servers: tuple[Peer, ...]) -> None:
    lines = [f"127.0.0.1:{each.port}:1" for each in servers]
    calls = [[word.encode() for word in line.split()] for line in COMMANDS.strip().splitlines()]
    heard = []
    for run in (nutcracker, proxy_process):
        for each in servers:
            each.connect().command(b"FLUSHALL")
        port = free_port()
        with run(pool_text("p", port, lines, hash="murmur", hash_tag='"{}"'), port):
            one_by_one = WireClient(port)
            heard.append([one_by_one.command(*words) for words in calls])
            one_by_one.close()
    different = {b" ".join(words): pair for words, *pair in zip(calls, *heard) if pair[0] != pair[1]}
    assert not different
