"""RDB files exchanged with redis-server, both ways, by DEBUG DIGEST."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.persistence.commands import command
from tests.persistence.rdb_files import engine, load, save
from tests.persistence.redis_process import RedisProcess, needs_redis

pytestmark = needs_redis

LISTS = [
    ["RPUSH", "list:small", "a", "1", "-70000", "x" * 100],
    ["RPUSH", "list:long", *(f"element {number}" * 3 for number in range(2000))],
    ["RPUSH", "list:plain", "y" * 100_000, "z"],
]
SETS = [
    ["SADD", "set:ints", "1", "-5", "70000", "5000000000"],
    ["SADD", "set:many-ints", *(str(number) for number in range(700))],
    ["SADD", "set:words", "a", "b", "3"],
    ["SADD", "set:table", *(f"member {number}" for number in range(300))],
    ["SADD", "set:long-member", "m" * 100],
]
SORTED_SETS = [
    ["ZADD", "zset:small", "1", "a", "2.5", "b", "-inf", "c", "inf", "d", "1e300", "e"],
    ["ZADD", "zset:tree", *(word for number in range(400) for word in (str(number / 7), f"m{number}"))],
    ["ZADD", "zset:equal", *(word for number in range(200) for word in ("1", f"m{number}"))],
]
HASHES = [
    ["HSET", "hash:small", "f", "v", "1", "2"],
    ["HSET", "hash:table", *(word for number in range(300) for word in (f"f{number}", "v" * number))],
    ["HSET", "hash:long", "f", "v" * 100],
]
STRINGS = [
    ["SET", "empty", ""],
    ["SET", "int8", "-7"],
    ["SET", "int16", "-30000"],
    ["SET", "int32", "2000000000"],
    ["SET", "int64", "-5000000000"],
    ["SET", "almost", "007"],
    ["SET", "lzf", "abc" * 5000],
    ["SET", "huge", "h" * 3_000_000],
    ["SET", b"\x00binary\xff", b"\r\n\x00\xff"],
    ["SET", "expires", "x", "PXAT", "9999999999999"],
    ["SELECT", "7"],
    ["SET", "elsewhere", "1"],
    ["SELECT", "0"],
]


@pytest.mark.parametrize("compression", ["yes", "no"])
@pytest.mark.parametrize("step", [1 << 30, 997])
def test_everything_comes_back_to_redis_as_it_left(tmp_path: Path, compression: str, step: int) -> None:
    with RedisProcess(str(tmp_path), "--rdbcompression", compression) as redis:
        requests = [*LISTS, *SETS, *SORTED_SETS, *HASHES, *STRINGS]
        for reply in redis.send(b"".join(command(*words) for words in requests), len(requests)):
            assert not isinstance(reply, Exception), reply
        redis.call("SAVE")
        digest = redis.digest()
    ours = engine()
    reader = load(ours, (tmp_path / "dump.rdb").read_bytes(), step=step)
    assert reader.ended and reader.fields[b"redis-bits"] == b"64"
    assert ours.volatile_count(0) == 1 and ours.key_count(7) == 1
    save(ours, tmp_path / "ours.rdb", compress=compression == "yes")
    with RedisProcess(str(tmp_path), "--dbfilename", "ours.rdb") as redis:
        assert redis.digest() == digest
        assert redis.call("PEXPIRETIME", "expires") == 9999999999999


def test_a_snapshot_as_commands_makes_the_same_data_in_redis(tmp_path: Path) -> None:
    with RedisProcess(str(tmp_path)) as redis:
        requests = [*LISTS, *SETS, *SORTED_SETS, *HASHES, *STRINGS]
        redis.send(b"".join(command(*words) for words in requests), len(requests))
        redis.call("SAVE")
        digest = redis.digest()
    ours = engine()
    load(ours, (tmp_path / "dump.rdb").read_bytes())
    commands = save(ours, tmp_path / "ours.aof", commands=True)
    with RedisProcess(str(tmp_path), "--dbfilename", "none.rdb") as redis:
        redis.socket.sendall(commands)
        redis.send(command("ECHO", "end"), 0)
        while redis._reply() != b"end":
            pass
        assert redis.digest() == digest


def test_functions_and_foreign_fields_are_kept(tmp_path: Path) -> None:
    with RedisProcess(str(tmp_path)) as redis:
        code = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
        redis.call("FUNCTION", "LOAD", code)
        redis.call("SAVE")
    reader = load(engine(), (tmp_path / "dump.rdb").read_bytes())
    assert reader.functions == [code.encode()]


def test_a_stream_is_refused_with_its_key_and_offset(tmp_path: Path) -> None:
    from holdfast.persistence.aof_reader import RdbRefused

    with RedisProcess(str(tmp_path)) as redis:
        redis.call("XADD", "the stream", "*", "a", "b")
        redis.call("SAVE")
    with pytest.raises(RdbRefused, match=r"key 'the stream' in database 0 is a stream") as refusal:
        load(engine(), (tmp_path / "dump.rdb").read_bytes())
    content = (tmp_path / "dump.rdb").read_bytes()
    assert content[refusal.value.offset :].startswith((b"\x13\x0athe stream", b"\x0athe stream"))
