"""Append-only files exchanged with redis-server, both ways."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from holdfast.persistence.aof_policy import Fsync
from holdfast.persistence.aof_reader import AofRefused, replay_manifest
from holdfast.persistence.aof_scan import scan
from holdfast.persistence.aof_settings import AofSettings
from holdfast.persistence.aof_writer import AofWriter
from holdfast.persistence.check_aof import check, check_rdb_seal
from holdfast.persistence.manifest_store import AofPlace, load_manifest
from holdfast.server.host import DiskFile
from tests.persistence.commands import Recorder, command, read, run, write
from tests.persistence.disks import LocalDisk, StillClock
from tests.persistence.redis_process import RedisProcess, needs_redis, redis_check_aof

pytestmark = needs_redis

WRITES = [
    command("SET", "text", "value", "EX", "100000"),
    command("SET", "binary", bytes(range(256)) + b"\r\n*3\r\n$3\r\nSET\r\n"),
    command("SELECT", "3"),
    command("HSET", "hash", "field", "1", "other", "2"),
    command("RPUSH", "list", *[str(n) for n in range(300)]),
    command("SADD", "set", "1", "2", "3"),
    command("SELECT", "0"),
    command("ZADD", "sorted", "1.5", "one", "2", "two"),
    command("XADD", "stream", "1-1", "field", "value"),
    command("MULTI"),
    command("INCR", "count"),
    command("SPOP", "nothing"),
    command("LPUSH", "list", "a"),
    command("EXEC"),
    command("EVAL", "redis.call('SET', 'by-script', 1) redis.call('INCR', 'count') return 1", "0"),
    command("EXPIRE", "sorted", "200000"),
    command("SET", "empty", ""),
]


def seal_only(file: DiskFile) -> Generator[int, None, int]:
    """Pass over an RDB."""
    return (yield from check_rdb_seal(file)).end_offset


def empty_base(path: str, rdb: bool) -> None:
    """Write the base of an empty data set."""
    write(path, b"")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    directory = tmp_path / "redis"
    directory.mkdir()
    settings = ("--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--aof-timestamp-enabled", "yes")
    with RedisProcess(str(directory), *settings) as process:
        yield process


def replay(place: AofPlace) -> Recorder:
    engine = Recorder()
    disk = LocalDisk()
    manifest, lies = load_manifest(disk, place)
    assert lies == ()
    run(replay_manifest(disk, place, manifest, engine, seal_only, load_truncated=True))
    return engine


def digest_of(raw: bytes, directory: Path) -> object:
    """What a fresh redis-server makes of a stream of commands."""
    directory.mkdir()
    count = scan(raw).commands
    with RedisProcess(str(directory)) as process:
        errors = [reply for reply in process.send(raw, count) if isinstance(reply, Exception)]
        assert not errors
        return process.digest()


def test_what_redis_server_wrote_is_read_whole(tmp_path: Path, redis: RedisProcess) -> None:
    place = AofPlace(str(tmp_path / "redis"))
    redis.send(b"".join(WRITES), len(WRITES))
    redis.call("BGREWRITEAOF")
    redis.await_rewrite()
    redis.send(b"".join(WRITES[9:15]), 6)
    expected = redis.digest()
    redis.stop()
    engine = replay(place)
    assert [b"MULTI"] in engine.commands and b"#TS" not in engine.fed
    assert digest_of(engine.fed, tmp_path / "again") == expected
    report = run(check(LocalDisk(), place.manifest_path))
    assert report.whole and [file.role for file in report.files] == ["base", "increment"]
    assert redis_check_aof(place.manifest_path)[0]
    assert b"#TS:" in read(place.path("appendonly.aof.2.base.aof"))


def test_an_rdb_that_redis_server_wrote_in_front_is_found_and_its_damage_too(tmp_path: Path) -> None:
    place = AofPlace(str(tmp_path))
    with RedisProcess(str(tmp_path), "--appendonly", "yes") as redis:
        redis.send(b"".join(WRITES), len(WRITES))
        redis.call("BGREWRITEAOF")
        redis.await_rewrite()
        redis.call("SET", "later", "1")
    base = place.path("appendonly.aof.2.base.rdb")
    report = run(check(LocalDisk(), place.manifest_path))
    assert report.whole and report.files[0].rdb_bytes == len(read(base))
    # The same as one file, as servers before 7.0 wrote it.
    single = write(tmp_path / "single.aof", read(base) + read(place.path("appendonly.aof.2.incr.aof")))
    found = run(check(LocalDisk(), single)).files[0]
    assert found.whole and found.rdb_bytes == len(read(base)) and found.verdict.commands == 2
    assert redis_check_aof(single)[0]
    luck = random.Random(5)
    for _ in range(100):
        content = bytearray(read(base))
        content[luck.randrange(len(content))] ^= 1 << luck.randrange(8)
        damaged = run(check(LocalDisk(), write(tmp_path / "damaged.aof", bytes(content))))
        assert not damaged.whole and not damaged.mendable


@pytest.mark.parametrize("timestamps", [False, True])
def test_what_our_writer_wrote_is_loaded_by_redis_server(tmp_path: Path, timestamps: bool) -> None:
    disk, clock, place = LocalDisk(), StillClock(), AofPlace(str(tmp_path))
    settings = AofSettings(Fsync.ALWAYS, aof_use_rdb_preamble=False, aof_timestamp_enabled=timestamps)
    writer = AofWriter(disk, clock, place, settings, 1, lambda level, text: None)
    manifest, _ = load_manifest(disk, place)
    writer.open(manifest, 0, 0, empty_base)
    stream = b"".join(WRITES).replace(command("SPOP", "nothing"), b"")
    offset = 0
    for round_number in range(3):
        clock.wall += 1_000_000
        offset += len(stream)
        writer.append(stream, 0, offset)
        writer.flush(0)
        if round_number == 0:
            whole = read(place.path("appendonly.aof.1.incr.aof"))
            ticket = writer.rewriter.begin(0)
            write(ticket.path, whole)
            writer.rewriter.finish(ticket, 0)
        elif round_number == 1:
            writer.rewriter.fail(writer.rewriter.begin(0), 0, "killed")
    writer.stop(0)
    assert [e.name for e in load_manifest(disk, place)[0].files] == [
        "appendonly.aof.2.base.aof",
        "appendonly.aof.2.incr.aof",
        "appendonly.aof.3.incr.aof",
    ]
    valid, said = redis_check_aof(place.manifest_path)
    assert valid, said
    with RedisProcess(str(tmp_path), "--appendonly", "yes") as redis:
        assert redis.call("GET", "count") == b"6"
        assert redis.call("LLEN", "list") == 3
        redis.call("SELECT", "3")
        assert redis.call("LLEN", "list") == 900
        # Redis goes on in our files, and we go on in those of Redis.
        redis.call("SET", "by-redis", "1")
    assert [b"SET", b"by-redis", b"1"] in replay(place).commands


def test_a_single_file_of_older_servers_is_taken_over_as_redis_takes_it_over(tmp_path: Path) -> None:
    write(tmp_path / "appendonly.aof", WRITES[1] + WRITES[0])
    place = AofPlace(str(tmp_path))
    assert replay(place).commands[1][:2] == [b"SET", b"text"]
    assert redis_check_aof(place.manifest_path)[0]
    with RedisProcess(str(tmp_path), "--appendonly", "yes") as redis:
        assert redis.call("DBSIZE") == 2
    assert replay(place).fed.startswith(WRITES[1])


def test_files_cut_anywhere_load_in_redis_server_and_here_to_the_same_end(tmp_path: Path) -> None:
    # Not inside a command of a transaction: there redis-server keeps the MULTI, and what it appends
    # after it is lost at the next start.
    transaction = b"".join(WRITES[9:13])
    stream = command("SELECT", "0") + transaction + command("EXEC") + WRITES[0] + WRITES[16]
    start = stream.index(WRITES[0])
    luck = random.Random(6)
    cuts = [*(luck.randrange(start, len(stream)) for _ in range(5)), stream.index(command("EXEC"))]
    for number, cut in enumerate(cuts):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "appendonlydir").mkdir()
        content = stream[:cut]
        place = AofPlace(str(directory))
        write(place.manifest_path, b"file appendonly.aof.1.incr.aof seq 1 type i\n")
        increment = place.path("appendonly.aof.1.incr.aof")
        write(increment, content)
        with RedisProcess(str(directory), "--appendonly", "yes"):
            theirs = read(increment)
        write(increment, content)
        assert replay(place).fed == read(increment) == theirs


def test_a_middle_file_cut_short_is_refused_as_redis_server_refuses_it(tmp_path: Path) -> None:
    place = AofPlace(str(tmp_path))
    LocalDisk().makedirs(place.directory)
    write(
        place.manifest_path,
        b"file appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.2.incr.aof seq 2 type i\n",
    )
    write(place.path("appendonly.aof.1.incr.aof"), WRITES[16] + WRITES[0][:-1])
    write(place.path("appendonly.aof.2.incr.aof"), WRITES[16])
    with pytest.raises(AofRefused, match="not the last file") as caught:
        replay(place)
    assert caught.value.offset == len(WRITES[16])
    with pytest.raises(RuntimeError, match="truncated file is not the last file"):
        RedisProcess(str(tmp_path), "--appendonly", "yes")
