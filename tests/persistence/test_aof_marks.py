"""Marks in the append-only file: what they say, whom they mislead, and what redis-server makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.persistence.aof_marks import Marks, Place
from holdfast.persistence.aof_policy import Fsync
from holdfast.persistence.aof_scan import scan
from holdfast.persistence.aof_settings import AofSettings
from holdfast.persistence.aof_walk import Run
from holdfast.persistence.aof_writer import AofWriter
from holdfast.persistence.manifest_store import AofPlace, load_manifest
from tests.persistence.commands import command, read, write
from tests.persistence.disks import LocalDisk, StillClock
from tests.persistence.redis_process import RedisProcess, needs_redis, redis_check_aof

ID = b"a" * 40
SET = command("SET", "key", "value")
BASE = {b"repl-id": ID, b"repl-offset": b"70", b"repl-stream-db": b"0", b"ctime": b"1"}


def run_of(content: bytes) -> Run:
    """Return the run that a walk would yield."""
    found = scan(content)
    assert found.safe == len(content)
    return Run(memoryview(content), 0, found.commands, found.annotations)


def told(*contents: bytes, base: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """Return what the marks of a log say, given as runs."""
    marks = Marks()
    if base is not None:
        marks.take_base(base)
    for content in contents:
        marks.take(run_of(content))
    return marks.fields


def empty_base(path: str, rdb: bool) -> None:
    """Write the base of an empty data set."""
    write(path, b"")


def test_the_last_mark_says_where_the_data_stand() -> None:
    first, second = Place(b"repl-id " + ID, 100, 3), Place(b"repl-id " + ID, 250, 4)
    expected = {b"repl-id": ID, b"repl-offset": b"250", b"repl-stream-db": b"4"}
    assert told(SET + first.whole(), SET + second.line()) == expected
    assert told(SET + first.whole() + SET + second.line()) == expected


def test_a_mark_of_another_history_takes_the_place_of_what_came_before() -> None:
    other = Place(b"repl-id " + b"b" * 40 + b" holdfast-set hf1:2:x:1=y", 7, 0)
    fields = told(SET + Place(b"repl-id " + ID, 100, 0).whole(), SET + other.whole())
    assert fields[b"repl-id"] == b"b" * 40 and fields[b"holdfast-set"] == b"hf1:2:x:1=y"
    assert fields[b"repl-offset"] == b"7"


def test_a_base_says_where_it_was_taken() -> None:
    assert told(base=BASE) == {b"repl-id": ID, b"repl-offset": b"70", b"repl-stream-db": b"0"}
    assert told(SET + Place(b"", 80, 0).line(), base=BASE)[b"repl-offset"] == b"80"
    assert told(base={b"ctime": b"1"}) == {}


@pytest.mark.parametrize("behind", [SET, command("MULTI") + SET + command("EXEC")])
def test_commands_behind_the_last_mark_leave_the_position_unknown(behind: bytes) -> None:
    marked = SET + Place(b"repl-id " + ID, 100, 0).whole()
    assert told(marked + behind) == {}
    assert told(marked, behind) == {}
    assert told(marked, b"#TS:1\r\n" + behind) == {}
    assert told(behind, base=BASE) == {}


def test_a_value_that_looks_like_a_mark_is_a_value() -> None:
    text = (SET + Place(b"repl-id " + ID, 100, 0).whole()).decode()
    assert told(command("SET", "key", f"\r\n{text}")) == {}
    known = told(command("SET", "key", f"\r\n{text}") + Place(b"repl-id " + ID, 5, 0).whole())
    assert known[b"repl-offset"] == b"5"


def test_a_history_too_long_for_a_line_leaves_no_mark() -> None:
    assert Place(b"x" * 2000, 1, 0).whole() == b""


def test_a_log_does_not_claim_the_place_of_the_copy_that_replaces_its_data(tmp_path: Path) -> None:
    """It stays in force until the new base is, which may be never: a full disk, a killed process."""
    disk, place = LocalDisk(), AofPlace(str(tmp_path))
    writer = AofWriter(disk, StillClock(), place, AofSettings(Fsync.ALWAYS), 1, lambda level, text: None)
    writer.place = lambda: Place(b"repl-id " + ID, len(SET), 0)
    writer.open(load_manifest(disk, place)[0], 0, 0, empty_base)
    writer.append(SET, 0, len(SET))
    writer.flush(0)
    writer.place = lambda: Place(b"repl-id " + b"b" * 40, 9000, 0)
    writer.mark_soon()
    writer.stop(0, replaced=True)
    fields = told(read(place.path("appendonly.aof.1.incr.aof")))
    assert (fields[b"repl-id"], fields[b"repl-offset"]) == (ID, b"%d" % len(SET))


@needs_redis
def test_redis_server_passes_over_marks_and_what_it_appends_ends_them(tmp_path: Path) -> None:
    disk, place = LocalDisk(), AofPlace(str(tmp_path))
    settings = AofSettings(Fsync.ALWAYS, aof_use_rdb_preamble=False)
    writer = AofWriter(disk, StillClock(), place, settings, 1, lambda level, text: None)
    stands = Place(b"repl-id " + ID + b" holdfast-set hf1:2:x:1=" + b"y" * 900, 0, 0)
    writer.place = lambda: Place(stands.lineage, writer.tail.offset, 0)
    writer.open(load_manifest(disk, place)[0], 0, 0, empty_base)
    for number in range(1, 4):
        writer.append(SET, 0, number * len(SET))
        writer.flush(0)
    writer.stop(0)
    increment = place.path("appendonly.aof.1.incr.aof")
    assert read(increment).count(b"#HOLDFAST:AT ") == 3 and read(increment).count(b"#HOLDFAST:COPY ") == 1
    assert told(read(increment))[b"repl-offset"] == b"%d" % (3 * len(SET))
    valid, said = redis_check_aof(place.manifest_path)
    assert valid, said
    with RedisProcess(str(tmp_path), "--appendonly", "yes") as redis:
        assert redis.call("GET", "key") == b"value"
        redis.call("SET", "more", "1")
    assert told(read(increment)) == {}
