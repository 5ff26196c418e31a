"""The AOF while a server runs: what reaches the file, what a fault does, and rewrites."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.persistence.aof_policy import Fsync, Health
from holdfast.persistence.aof_reader import Replayed, replay_manifest
from holdfast.persistence.aof_writer import AofError, AofSettings, AofWriter, State
from holdfast.persistence.manifest_store import AofPlace, load_manifest
from tests.persistence.commands import Recorder, command, read, run, write
from tests.persistence.disks import LocalDisk, StillClock

SET_A, SET_B, SET_C = (command("SET", name, name * 20) for name in "abc")
SELECT_0, SELECT_7 = command("SELECT", "0"), command("SELECT", "7")


class Bench:
    """A writer on a directory, with its log."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.disk, self.clock, self.place = LocalDisk(), StillClock(), AofPlace(str(path))
        self.log: list[str] = []
        chosen = AofSettings(appendfsync=Fsync.ALWAYS, aof_use_rdb_preamble=False)
        self.settings = replace(chosen, **settings)  # type: ignore[arg-type]
        self.writer = self.fresh()

    def fresh(self) -> AofWriter:
        return AofWriter(
            self.disk, self.clock, self.place, self.settings, 7, lambda level, text: self.log.append(text)
        )

    def open(self, base: bytes = b"") -> AofWriter:
        manifest, _ = load_manifest(self.disk, self.place)
        self.writer.open(manifest, 0, 0, lambda path, rdb: void(write(path, base)))
        return self.writer

    def tick(self, chunk: bytes, database: int = 0, now_ms: int = 0) -> None:
        offset = self.writer._offset + len(chunk)
        self.writer.append(chunk, database, offset)
        self.writer.flush(now_ms)

    def increment(self, number: int) -> bytes:
        return read(self.place.path(f"appendonly.aof.{number}.incr.aof"))

    def loaded(self) -> tuple[bytes, tuple[Replayed, ...]]:
        """What a restart would replay."""
        engine = Recorder()
        manifest, _ = load_manifest(self.disk, self.place)
        done = run(replay_manifest(self.disk, self.place, manifest, engine, no_rdb, load_truncated=True))
        return engine.fed, done


def void(_: object) -> None:
    return None


def no_rdb(file: object) -> object:  # type: ignore[misc]
    raise AssertionError("there is no RDB here")


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
        assert writer.gate_offset < writer._offset, "the reply does not leave"
    bench.disk.space_left = None
    writer.flush(150)
    assert writer.misconf, "it does not try at every tick"
    writer.flush(200)
    assert writer.misconf is None
    assert bench.increment(1) == whole + SET_B
    assert writer.gate_offset == writer._offset
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
    assert writer.health is Health.OK


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
    assert writer.misconf is None and writer.gate_offset == writer._offset
    assert writer.rewrite_wanted(1000) is None


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
        writer.wake = woken.append
        gate = asyncio.Event()
        bench.disk.sync_gate = gate
        bench.tick(SET_A, now_ms=500)
        writer.flush(1000)
        await settle()
        bench.tick(SET_B, now_ms=1499)
        acknowledged = writer._offset
        assert writer.gate_offset == acknowledged
        bench.tick(SET_A, now_ms=1500)
        assert writer.gate_offset == acknowledged < writer._offset, "the oldest write is a second old"
        assert any("Writes wait" in line for line in bench.log)
        gate.set()
        await settle()
        assert 0 in woken, "what waited is written at once"
        writer.flush(1600)
        assert writer.gate_offset == writer._offset
        await settle()
        writer.flush(2000)
        await settle()
        assert writer.synced_offset == writer._offset

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
        assert writer.rewrite_wanted(3000)
        ticket = writer.begin_rewrite(3000)
        write(ticket.path, SELECT_0 + SET_A)
        writer.finish_rewrite(ticket, 4000)
        assert writer.synced_offset == len(SET_A)
        assert writer.rewrite_wanted(5000) is None

    asyncio.run(story())


def test_a_rewrite_replaces_base_and_increments_and_removes_the_old_files(bench: Bench) -> None:
    writer = bench.open()
    bench.tick(SET_A)
    ticket = writer.begin_rewrite(1000)
    assert writer.fields(3000)["aof_current_rewrite_time_sec"] == 2
    bench.tick(SET_B)
    write(ticket.path, SELECT_0 + SET_A)
    writer.finish_rewrite(ticket, 6000, cow_bytes=99)
    assert bench.disk.listdir(bench.place.directory) == [
        "appendonly.aof.2.base.aof",
        "appendonly.aof.2.incr.aof",
        "appendonly.aof.manifest",
    ]
    assert bench.loaded()[0] == SELECT_0 + SET_A + SELECT_0 + SET_B
    shown = writer.fields(6000)
    assert (shown["aof_rewrites"], shown["aof_last_rewrite_time_sec"], shown["aof_last_cow_size"]) == (
        1,
        5,
        99,
    )
    assert shown["aof_current_size"] == shown["aof_base_size"] == len(SELECT_0 + SET_A + SELECT_0 + SET_B)


def test_a_crash_at_any_step_of_a_rewrite_loses_nothing(tmp_path: Path) -> None:
    expected = {SELECT_0 + SET_A + SELECT_0 + SET_B}
    for step in ("begun", "written", "renamed", "finished"):
        bench = Bench(tmp_path / step)
        writer = bench.open()
        bench.tick(SET_A)
        ticket = writer.begin_rewrite(0)
        bench.tick(SET_B)
        if step != "begun":
            write(ticket.path, SELECT_0 + SET_A)
        if step == "renamed":
            bench.disk.rename(ticket.path, bench.place.path("appendonly.aof.2.base.aof"))
        if step == "finished":
            writer.finish_rewrite(ticket, 0)
        assert {bench.loaded()[0]} == expected, step
        bench.writer = bench.fresh()
        bench.open()
        assert not [n for n in bench.disk.listdir(bench.place.directory) if n.startswith("temp-")]


@pytest.mark.parametrize("failing", ["base", "manifest"])
def test_a_rewrite_that_cannot_be_put_in_force_leaves_the_old_files(bench: Bench, failing: str) -> None:
    writer = bench.open()
    bench.tick(SET_A)
    ticket = writer.begin_rewrite(0)
    write(ticket.path, SELECT_0 + SET_A)
    bench.disk.rename_fails = lambda path: failing in path
    with pytest.raises(AofError):
        writer.finish_rewrite(ticket, 0)
    bench.disk.rename_fails = lambda path: False
    bench.tick(SET_B)
    assert bench.loaded()[0] == SELECT_0 + SET_A + SELECT_0 + SET_B
    assert writer.fields(0)["aof_last_bgrewrite_status"] == "err"
    assert writer.rewrites.consecutive_failures == 1


def test_a_rewrite_does_not_begin_while_effects_wait_for_the_disk(bench: Bench) -> None:
    writer = bench.open()
    bench.disk.space_left = 0
    bench.tick(SET_A)
    with pytest.raises(AofError, match="No space left on device"):
        writer.begin_rewrite(1000)
    bench.disk.space_left = None
    writer.flush(2000)
    assert bench.loaded()[0] == SELECT_0 + SET_A


def test_rewrites_are_asked_for_by_growth_and_held_back_after_failures(bench: Bench) -> None:
    bench.settings = replace(bench.settings, auto_aof_rewrite_min_size=0)
    bench.writer = bench.fresh()
    writer = bench.open()
    writer.base_bytes = len(SELECT_0 + SET_A) // 2
    bench.tick(SET_A)
    now_ms = 0
    for _ in range(3):
        assert "growth" in str(writer.rewrite_wanted(now_ms))
        writer.fail_rewrite(writer.begin_rewrite(now_ms), now_ms, "killed by signal 9")
    assert writer.rewrite_wanted(1000) is None
    assert writer.rewrite_wanted(60_999) is None
    assert writer.rewrite_wanted(61_000)
    assert any("will retry in 1 minutes" in line for line in bench.log)
    writer.rewrites.schedule()
    assert writer.rewrite_wanted(61_000) == "scheduled"


def test_switching_on_while_running_records_from_the_snapshot_on(bench: Bench) -> None:
    writer = bench.writer
    bench.tick(SET_A)
    ticket = writer.start(0, len(SET_A))
    assert writer.state is State.WAITING and writer.synced_offset == -1
    bench.tick(SET_B)
    write(ticket.path, SELECT_0 + SET_A)
    writer.finish_rewrite(ticket, 0)
    bench.tick(SET_C)
    assert writer.state is State.ON and writer.synced_offset == len(SET_A + SET_B + SET_C)
    assert bench.loaded()[0] == SELECT_0 + SET_A + SELECT_0 + SET_B + SET_C


def test_switching_on_tries_again_when_the_first_rewrite_fails(bench: Bench) -> None:
    writer = bench.writer
    writer.fail_rewrite(writer.start(0, 0), 0, "killed")
    bench.tick(SET_A)
    assert writer.rewrite_wanted(0) == "scheduled"
    ticket = writer.begin_rewrite(0)
    bench.tick(SET_B)
    write(ticket.path, SELECT_0 + SET_A)
    writer.finish_rewrite(ticket, 0)
    assert bench.loaded()[0] == SELECT_0 + SET_A + SELECT_0 + SET_B


def test_a_rewrite_heals_when_it_holds_what_could_not_be_written(bench: Bench) -> None:
    writer = bench.writer
    ticket = writer.start(0, 0)
    bench.disk.space_left = 0
    bench.tick(SET_A)
    writer.fail_rewrite(ticket, 0, "No space left on device")
    bench.disk.space_left = None
    writer.flush(1000)
    assert writer.misconf, "what was appended is in no file"
    ticket = writer.begin_rewrite(1000)
    write(ticket.path, SELECT_0 + SET_A)
    writer.finish_rewrite(ticket, 1000)
    assert writer.misconf is None, "though nobody writes"
    assert bench.loaded()[0] == SELECT_0 + SET_A


def test_a_rewrite_does_not_heal_what_waits_to_be_written(bench: Bench) -> None:
    writer = bench.writer
    ticket = writer.start(0, 0)
    bench.disk.space_left = 0
    bench.tick(SET_A)
    bench.disk.space_left = None
    write(ticket.path, b"")
    writer.finish_rewrite(ticket, 50)
    assert writer.misconf
    writer.flush(1000)
    assert writer.misconf is None
    assert bench.loaded()[0] == SELECT_0 + SET_A


def test_switching_off_and_on_starts_a_new_file(bench: Bench) -> None:
    writer = bench.open()
    bench.tick(SET_A)
    writer.stop(0)
    assert writer.fields(0)["aof_enabled"] == 0
    bench.tick(SET_B)
    ticket = writer.start(0, writer._offset)
    write(ticket.path, SELECT_0 + SET_A + SET_B)
    writer.finish_rewrite(ticket, 0)
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
