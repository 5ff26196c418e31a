"""Replaying append-only files: what is handed to the engine, what is dropped, what is refused."""

from __future__ import annotations

import random
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.persistence.aof_reader import AofRefused, Progress, RdbRefused, Replayed, replay_file
from holdfast.persistence.aof_scan import scan
from holdfast.persistence.check_aof import check_rdb_seal
from holdfast.server.host import DiskFile
from tests.persistence.commands import Recorder, command, read, run, write
from tests.persistence.disks import LocalDisk

SET_A, SET_B, SET_C = (command("SET", name, name * 20) for name in "abc")
MULTI, EXEC = command("MULTI"), command("EXEC")


def seal_only(file: DiskFile) -> Generator[int, None, int]:
    """Pass over an RDB."""
    return (yield from check_rdb_seal(file)).end_offset


def replay(
    path: str, engine: Recorder, *, load_truncated: bool = True, last: bool = True, chunk_bytes: int = 64
) -> Replayed:
    return run(
        replay_file(
            LocalDisk(),
            path,
            engine,
            seal_only,
            load_truncated=load_truncated,
            last=last,
            chunk_bytes=chunk_bytes,
        )
    )


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 100_000])
def test_all_commands_reach_the_engine_whatever_the_size_of_reads(tmp_path: Path, chunk_bytes: int) -> None:
    content = SET_A + MULTI + SET_B + SET_C + EXEC + command("SET", "big", b"\r\n*" * 5000) + SET_A
    path = write(tmp_path / "aof", content)
    engine = Recorder()
    done = replay(path, engine, chunk_bytes=chunk_bytes)
    assert engine.fed == content
    assert (done.commands, done.end_offset, done.dropped_bytes) == (7, len(content), 0)


def test_annotations_do_not_reach_the_engine(tmp_path: Path) -> None:
    content = b"#TS:1\r\n" + SET_A + b"#TS:2\r\n#other\n" + MULTI + b"#TS:3\r\n" + SET_B + EXEC + b"#TS:4\r\n"
    engine = Recorder()
    assert replay(write(tmp_path / "aof", content), engine).commands == 4
    assert engine.fed == SET_A + MULTI + SET_B + EXEC


def test_an_empty_file_loads(tmp_path: Path) -> None:
    assert replay(write(tmp_path / "aof", b""), Recorder()).commands == 0


def test_a_file_cut_at_any_byte_loads_all_whole_commands_and_says_what_it_dropped(tmp_path: Path) -> None:
    content = SET_A + b"#TS:1700000000\r\n" + MULTI + SET_B + EXEC + SET_C
    transaction = len(SET_A) + 16
    ends = [0, len(SET_A), transaction, len(content) - len(SET_C), len(content)]
    for size in range(len(content) + 1):
        path = write(tmp_path / "aof", content[:size])
        engine = Recorder()
        done = replay(path, engine)
        safe = max(end for end in ends if end <= size)
        assert (done.end_offset, done.dropped_bytes) == (safe, size - safe)
        assert engine.fed == content[:safe].replace(b"#TS:1700000000\r\n", b"")
        assert read(path) == content[:safe], (
            "the tail is cut off, so that appending goes on after a whole command"
        )
        assert bool(done.dropped_bytes) == ("DROPPED" in str(done))


def test_a_cut_file_is_refused_when_truncated_files_are_not_to_be_loaded(tmp_path: Path) -> None:
    path = write(tmp_path / "aof", SET_A + SET_B[:-1])
    with pytest.raises(AofRefused, match=r"holdfast check-aof --fix .*aof-load-truncated") as caught:
        replay(path, Recorder(), load_truncated=False)
    assert caught.value.offset == len(SET_A)
    assert path in str(caught.value)
    assert read(path) == SET_A + SET_B[:-1]


def test_a_cut_file_that_is_not_the_last_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "aof", SET_A + SET_B[:-1])
    with pytest.raises(AofRefused, match="not the last file"):
        replay(path, Recorder(), last=False)


def test_an_unfinished_transaction_at_the_end_is_dropped_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "aof", SET_A + MULTI + SET_B + SET_C)
    engine = Recorder()
    done = replay(path, engine)
    assert engine.fed == SET_A
    assert (done.dropped_commands, done.reason) == (3, "Reached EOF before reading EXEC for MULTI")


@pytest.mark.parametrize("kept", [0, 1, 5, 14, len(SET_B)])
def test_zeros_after_power_loss_are_a_tail(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "aof", SET_A + SET_B[:kept] + bytes(5000))
    engine = Recorder()
    done = replay(path, engine)
    safe = len(SET_A + SET_B) if kept == len(SET_B) else len(SET_A)
    assert done.end_offset == safe
    assert engine.fed == read(path) == (SET_A + SET_B)[:safe]


@pytest.mark.parametrize(
    ("content", "offset", "reason"),
    [
        (SET_A + b"x" + SET_B, len(SET_A), "Expected a command"),
        (SET_A + bytes(100) + SET_B, len(SET_A), "Expected a command"),
        (SET_A + SET_B.replace(b"$3", b"$4", 1) + SET_C, len(SET_A) + 13, r"Expected \\r\\n, got: '\\n'"),
        (SET_A + SET_B.replace(b"*3", b"*2", 1) + SET_C, len(SET_A) + 20, "Expected a command"),
        (
            SET_A + SET_B.replace(b"*3", b"*4", 1) + SET_C,
            len(SET_A + SET_B),
            r"Expected prefix '\$', got: '\*'",
        ),
        (SET_A + SET_B.replace(b"*3", b"*0", 1) + SET_C, len(SET_A) + 1, "without arguments"),
        (SET_A + SET_B.replace(b"*3", b"*-", 1) + SET_C, len(SET_A) + 1, "Expected a length"),
        (SET_A + EXEC, len(SET_A), "Unexpected EXEC"),
        (MULTI + SET_A + MULTI + SET_B + EXEC, len(MULTI + SET_A), "Unexpected MULTI"),
        (SET_A + b"#" + b"x" * 2000 + b"\r\n" + SET_B, len(SET_A) + 1024, "longer than 1024"),
    ],
)
def test_garbage_in_the_middle_is_refused_with_its_offset(
    tmp_path: Path, content: bytes, offset: int, reason: str
) -> None:
    path = write(tmp_path / "aof", content)
    with pytest.raises(AofRefused, match=reason) as caught:
        replay(path, Recorder())
    assert abs(caught.value.offset - offset) <= 8 and caught.value.offset >= 0
    assert "holdfast check-aof --fix" in str(caught.value)
    assert read(path) == content


def test_a_length_that_swallows_all_that_follows_is_damage_and_no_tail(tmp_path: Path) -> None:
    content = SET_A + SET_B.replace(b"$20", b"$92", 1) + SET_C * 100
    for damaged in (content, content.replace(b"$92", b"$92000000", 1)):
        path = write(tmp_path / "aof", damaged)
        with pytest.raises(AofRefused):
            replay(path, Recorder())
        assert read(path) == damaged


def test_a_command_that_the_engine_refuses_is_told_with_its_offset(tmp_path: Path) -> None:
    content = b"#TS:1\r\n" + SET_A + b"#TS:2\r\n" + command("NOSUCH") + SET_B
    with pytest.raises(AofRefused, match="unknown command 'NOSUCH'") as caught:
        replay(write(tmp_path / "aof", content), Recorder(b"NOSUCH"), chunk_bytes=4096)
    assert content[caught.value.offset :].startswith((b"#TS:2", b"*1\r\n$6\r\nNOSUCH"))


def test_an_rdb_in_front_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    def broken(file: DiskFile) -> Generator[int, None, int]:
        yield 0
        raise RdbRefused(9, "unknown type 77")

    path = write(tmp_path / "aof", b"REDIS0010" + bytes(50))
    with pytest.raises(AofRefused, match="unknown type 77") as caught:
        run(replay_file(LocalDisk(), path, Recorder(), broken, load_truncated=True))
    assert caught.value.offset == 9


def test_progress_goes_up_to_the_size_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "aof", SET_A * 100)
    steps = replay_file(LocalDisk(), path, Recorder(), seal_only, load_truncated=True, chunk_bytes=500)
    seen: list[Progress] = list(steps)
    assert [step.done_bytes for step in seen] == sorted({step.done_bytes for step in seen})
    assert len(seen) > 5 and seen[-1].done_bytes == seen[-1].total_bytes == len(SET_A) * 100
    assert seen[-1].commands == 100


@given(
    st.lists(
        st.lists(
            st.binary(max_size=30) | st.sampled_from([b"\r\n*1\r\n$4\r\nPING\r\n", b"#TS:1\r\n"]), min_size=1
        ),
        max_size=20,
    ),
    st.integers(1, 200),
)
def test_any_commands_are_handed_over_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, words: list[list[bytes]], chunk_bytes: int
) -> None:
    words = [[b"SET", *others] for others in words]
    path = write(tmp_path_factory.getbasetemp() / "any", b"".join(command(*each) for each in words))
    engine = Recorder()
    assert replay(path, engine, chunk_bytes=chunk_bytes).dropped_bytes == 0
    assert engine.commands == words


def test_500_random_files_are_replayed_or_refused_but_nothing_else(tmp_path: Path) -> None:
    luck = random.Random(3)
    whole = (SET_A + MULTI + SET_B + EXEC + b"#TS:1700000000\r\n" + SET_C) * 4
    for _ in range(500):
        content = bytearray(whole[: luck.randrange(len(whole))] if luck.random() < 0.5 else whole)
        for _ in range(luck.randrange(4)):
            if content:
                content[luck.randrange(len(content))] = luck.randrange(256)
        path = write(tmp_path / "aof", bytes(content))
        engine = Recorder()
        try:
            done = replay(path, engine)
        except AofRefused as error:
            assert 0 <= error.offset <= len(content)
        else:
            assert scan(read(path)).safe == len(read(path)) == done.end_offset
