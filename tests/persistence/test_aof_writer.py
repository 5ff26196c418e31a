"""The AOF while a server runs: what reaches the file, what a fault does, switched off and on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast.persistence.aof_policy import Fsync, Health
from holdfast.persistence.aof_settings import AofError
from tests.persistence.aof_bench import SELECT_0, SELECT_7, SET_A, SET_B, SET_C, Bench
from tests.persistence.commands import write


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_tick_is_one_write_and_one_sync_and_begins_with_the_database(bench: Bench) -> None:
    writer = bench.open()
    before = bench.disk.syncs
    writer.append(SET_A, 7, 10)
    writer.append(SET_B, 7, 20)
    assert writer.gate_offset == 0
    writer.flush(0)
    assert writer.gate_offset == writer.synced_offset == 20
    assert bench.disk.syncs == before + 1
    assert bench.increment(1) == SELECT_7 + SET_A + SET_B


def test_a_chunk_that_begins_with_select_gets_no_second_one(bench: Bench) -> None:
    bench.open()
    bench.tick(SELECT_7 + SET_A)
    assert bench.increment(1) == SELECT_7 + SET_A


def test_a_restart_goes_on_in_the_same_increment(bench: Bench) -> None:
    bench.open().stop(0)
    bench.writer = bench.fresh()
    bench.open()
    bench.tick(SET_A)
    bench.writer.stop(0)
    bench.writer = bench.fresh()
    bench.open()
    bench.tick(SET_B)
    assert bench.loaded()[0] == SELECT_0 + SET_A + SELECT_0 + SET_B


def test_timestamps_are_written_once_a_second(tmp_path: Path) -> None:
    bench = Bench(tmp_path, aof_timestamp_enabled=True)
    bench.open()
    bench.tick(SET_A)
    bench.tick(SET_B)
    bench.clock.wall += 1_000_000
    bench.tick(SET_C)
    assert bench.increment(1) == (
        b"#TS:1700000000\r\n" + SELECT_0 + SET_A + SET_B + b"#TS:1700000001\r\n" + SET_C
    )


@pytest.mark.parametrize("fsync", Fsync)
def test_a_full_disk_refuses_writes_and_heals_when_space_returns(tmp_path: Path, fsync: Fsync) -> None:
    bench = Bench(tmp_path, appendfsync=fsync)
    writer = bench.open()
    bench.tick(SET_A)
    whole = bench.increment(1)
    bench.disk.space_left = 10
    bench.tick(SET_B, now_ms=100)
    assert bench.increment(1) == whole, "half a command was cut off again"
    assert writer.misconf == "MISCONF Errors writing to the AOF file: No space left on device"
    assert writer.fields(0)["aof_last_write_status"] == "err"
    if fsync is Fsync.ALWAYS:
        assert writer.gate_offset < writer.tail.offset, "the reply does not leave"
    bench.disk.space_left = None
    writer.flush(150)
    assert writer.misconf, "it does not try at every tick"
    writer.flush(200)
    assert writer.misconf is None
    assert bench.increment(1) == whole + SET_B
    assert writer.gate_offset == writer.tail.offset
    assert [line for line in bench.log if "Error writing" in line or "solved" in line] == [
        "Error writing to the AOF file: No space left on device",
        "AOF write error looks solved. The server can write again.",
    ]


def test_half_a_command_that_cannot_be_cut_off_is_cut_before_the_next_write(bench: Bench) -> None:
    writer = bench.open()
    bench.tick(SET_A)
    bench.disk.space_left, bench.disk.cut_fails = 10, True
    bench.tick(SET_B, now_ms=100)
    assert bench.increment(1) == SELECT_0 + SET_A + SET_B[:10]
    bench.disk.space_left, bench.disk.cut_fails = None, False
    writer.flush(1000)
    assert bench.increment(1) == SELECT_0 + SET_A + SET_B
    assert writer.health.state is Health.OK


def test_with_always_a_failed_sync_takes_the_bytes_back_and_writes_them_again(bench: Bench) -> None:
    writer = bench.open()
    bench.tick(SET_A)
    gate = writer.gate_offset
    bench.disk.sync_fails = True
    bench.tick(SET_B, now_ms=100)
    assert bench.increment(1) == SELECT_0 + SET_A
    assert writer.misconf and writer.gate_offset == gate
    bench.disk.sync_fails = False
    writer.flush(1000)
    assert bench.increment(1) == SELECT_0 + SET_A + SET_B
    assert writer.misconf is None and writer.gate_offset == writer.tail.offset
    assert writer.rewriter.wanted(1000) is None


def test_errors_are_logged_once_in_thirty_seconds(bench: Bench) -> None:
    writer = bench.open()
    bench.disk.space_left = 0
    bench.tick(SET_A)
    for now_ms in range(0, 31_000, 500):
        writer.flush(now_ms)
    assert len([line for line in bench.log if "Error writing" in line]) == 2


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_everysec_syncs_beside_the_loop_and_moves_the_synced_offset(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path, appendfsync=Fsync.EVERYSEC)
        writer = bench.open()
        bench.tick(SET_A, now_ms=500)
        assert writer.synced_offset == 0 and writer.gate_offset == len(SET_A)
        bench.tick(SET_B, now_ms=1000)
        assert writer.fields(0)["aof_pending_bio_fsync"] == 1
        await settle()
        assert writer.synced_offset == len(SET_A + SET_B)
        assert writer.fields(0)["aof_pending_bio_fsync"] == 0

    asyncio.run(story())


def test_everysec_postpones_writes_while_a_sync_runs_for_two_seconds_at_most(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path, appendfsync=Fsync.EVERYSEC)
        writer = bench.open()
        gate = asyncio.Event()
        bench.disk.sync_gate = gate
        bench.tick(SET_A, now_ms=500)
        writer.flush(1000)
        await settle()
        bench.tick(SET_B, now_ms=1100)
        writer.flush(3099)
        assert bench.increment(1) == SELECT_0 + SET_A
        writer.flush(3100)
        assert bench.increment(1) == SELECT_0 + SET_A + SET_B
        assert writer.fields(0)["aof_delayed_fsync"] == 1
        gate.set()
        await settle()
        assert writer.synced_offset == len(SET_A), "the sync began before the second write"

    asyncio.run(story())


def test_everysec_acknowledges_no_more_than_a_second_of_writes_while_a_sync_hangs(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path, appendfsync=Fsync.EVERYSEC)
        writer = bench.open()
        woken: list[int] = []
        writer.syncs.wake = woken.append
        gate = asyncio.Event()
        bench.disk.sync_gate = gate
        bench.tick(SET_A, now_ms=500)
        writer.flush(1000)
        await settle()
        bench.tick(SET_B, now_ms=1499)
        acknowledged = writer.tail.offset
        assert writer.gate_offset == acknowledged
        bench.tick(SET_A, now_ms=1500)
        assert writer.gate_offset == acknowledged < writer.tail.offset, "the oldest write is a second old"
        assert any("Writes wait" in line for line in bench.log)
        gate.set()
        await settle()
        assert 0 in woken, "what waited is written at once"
        writer.flush(1600)
        assert writer.gate_offset == writer.tail.offset
        await settle()
        writer.flush(2000)
        await settle()
        assert writer.synced_offset == writer.tail.offset

    asyncio.run(story())


def test_after_a_failed_sync_beside_the_loop_nothing_counts_as_synced_until_a_rewrite(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path, appendfsync=Fsync.EVERYSEC)
        writer = bench.open()
        bench.disk.sync_fails = True
        bench.tick(SET_A, now_ms=500)
        writer.flush(1000)
        await settle()
        assert writer.misconf == "MISCONF Errors writing to the AOF file: Input/output error"
        bench.disk.sync_fails = False
        writer.flush(3000)
        await settle()
        assert writer.misconf is None and writer.synced_offset == 0
        assert writer.rewriter.wanted(3000)
        ticket = writer.rewriter.begin(3000)
        write(ticket.path, SELECT_0 + SET_A)
        writer.rewriter.finish(ticket, 4000)
        assert writer.synced_offset == len(SET_A)
        assert writer.rewriter.wanted(5000) is None

    asyncio.run(story())


def test_switching_off_and_on_starts_a_new_file(bench: Bench) -> None:
    writer = bench.open()
    bench.tick(SET_A)
    writer.stop(0)
    assert writer.fields(0)["aof_enabled"] == 0
    bench.tick(SET_B)
    ticket = writer.start(0, writer.tail.offset)
    write(ticket.path, SELECT_0 + SET_A + SET_B)
    writer.rewriter.finish(ticket, 0)
    assert bench.loaded()[0] == SELECT_0 + SET_A + SET_B


def test_stopping_tells_whether_everything_reached_the_disk(tmp_path: Path) -> None:
    bench = Bench(tmp_path, appendfsync=Fsync.NO)
    bench.open()
    bench.tick(SET_A)
    assert bench.writer.stop(0) is True
    bench.writer = bench.fresh()
    bench.open()
    bench.disk.space_left = 5
    bench.tick(SET_B)
    assert bench.writer.stop(0) is False
    assert bench.loaded()[0] == SELECT_0 + SET_A


def test_no_appendfsync_on_rewrite_lets_replies_go_while_a_child_writes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, no_appendfsync_on_rewrite=True)
    writer = bench.open()
    writer.child_running = True
    bench.tick(SET_A)
    assert writer.gate_offset == len(SET_A) and writer.synced_offset == 0
    writer.child_running = False
    writer.flush(0)
    assert writer.synced_offset == len(SET_A)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    write(tmp_path / "appendonlydir", b"a file in the way")
    bench = Bench(tmp_path)
    with pytest.raises(AofError, match="appendonlydir"):
        bench.writer.open(bench.writer.directory.manifest, 0, 0, lambda path, rdb: None)
