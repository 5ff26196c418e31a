"""Rewrites of the AOF while a server runs: put in force, crashed, failed, asked for; and what they heal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.persistence.aof_settings import AofError, State
from tests.persistence.aof_bench import SELECT_0, SET_A, SET_B, SET_C, Bench
from tests.persistence.commands import write


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_rewrite_replaces_base_and_increments_and_removes_the_old_files(bench: Bench) -> None:
    writer = bench.open()
    bench.tick(SET_A)
    ticket = writer.rewriter.begin(1000)
    assert writer.fields(3000)["aof_current_rewrite_time_sec"] == 2
    bench.tick(SET_B)
    write(ticket.path, SELECT_0 + SET_A)
    writer.rewriter.finish(ticket, 6000, cow_bytes=99)
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
        ticket = writer.rewriter.begin(0)
        bench.tick(SET_B)
        if step != "begun":
            write(ticket.path, SELECT_0 + SET_A)
        if step == "renamed":
            bench.disk.rename(ticket.path, bench.place.path("appendonly.aof.2.base.aof"))
        if step == "finished":
            writer.rewriter.finish(ticket, 0)
        assert {bench.loaded()[0]} == expected, step
        bench.writer = bench.fresh()
        bench.open()
        assert not [n for n in bench.disk.listdir(bench.place.directory) if n.startswith("temp-")]


@pytest.mark.parametrize("failing", ["base", "manifest"])
def test_a_rewrite_that_cannot_be_put_in_force_leaves_the_old_files(bench: Bench, failing: str) -> None:
    writer = bench.open()
    bench.tick(SET_A)
    ticket = writer.rewriter.begin(0)
    write(ticket.path, SELECT_0 + SET_A)
    bench.disk.rename_fails = lambda path: failing in path
    with pytest.raises(AofError):
        writer.rewriter.finish(ticket, 0)
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
        writer.rewriter.begin(1000)
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
        assert "growth" in str(writer.rewriter.wanted(now_ms))
        writer.rewriter.fail(writer.rewriter.begin(now_ms), now_ms, "killed by signal 9")
    assert writer.rewriter.wanted(1000) is None
    assert writer.rewriter.wanted(60_999) is None
    assert writer.rewriter.wanted(61_000)
    assert any("will retry in 1 minutes" in line for line in bench.log)
    writer.rewrites.schedule()
    assert writer.rewriter.wanted(61_000) == "scheduled"


def test_switching_on_while_running_records_from_the_snapshot_on(bench: Bench) -> None:
    writer = bench.writer
    bench.tick(SET_A)
    ticket = writer.start(0, len(SET_A))
    assert writer.state is State.WAITING and writer.synced_offset == -1
    bench.tick(SET_B)
    write(ticket.path, SELECT_0 + SET_A)
    writer.rewriter.finish(ticket, 0)
    bench.tick(SET_C)
    assert writer.state is State.ON and writer.synced_offset == len(SET_A + SET_B + SET_C)
    assert bench.loaded()[0] == SELECT_0 + SET_A + SELECT_0 + SET_B + SET_C


def test_switching_on_tries_again_when_the_first_rewrite_fails(bench: Bench) -> None:
    writer = bench.writer
    writer.rewriter.fail(writer.start(0, 0), 0, "killed")
    bench.tick(SET_A)
    assert writer.rewriter.wanted(0) == "scheduled"
    ticket = writer.rewriter.begin(0)
    bench.tick(SET_B)
    write(ticket.path, SELECT_0 + SET_A)
    writer.rewriter.finish(ticket, 0)
    assert bench.loaded()[0] == SELECT_0 + SET_A + SELECT_0 + SET_B


def test_a_rewrite_heals_when_it_holds_what_could_not_be_written(bench: Bench) -> None:
    writer = bench.writer
    ticket = writer.start(0, 0)
    bench.disk.space_left = 0
    bench.tick(SET_A)
    writer.rewriter.fail(ticket, 0, "No space left on device")
    bench.disk.space_left = None
    writer.flush(1000)
    assert writer.misconf, "what was appended is in no file"
    ticket = writer.rewriter.begin(1000)
    write(ticket.path, SELECT_0 + SET_A)
    writer.rewriter.finish(ticket, 1000)
    assert writer.misconf is None, "though nobody writes"
    assert bench.loaded()[0] == SELECT_0 + SET_A


def test_a_rewrite_does_not_heal_what_waits_to_be_written(bench: Bench) -> None:
    writer = bench.writer
    ticket = writer.start(0, 0)
    bench.disk.space_left = 0
    bench.tick(SET_A)
    bench.disk.space_left = None
    write(ticket.path, b"")
    writer.rewriter.finish(ticket, 50)
    assert writer.misconf
    writer.flush(1000)
    assert writer.misconf is None
    assert bench.loaded()[0] == SELECT_0 + SET_A


def test_a_log_that_must_begin_anew_and_cannot_is_begun_as_soon_as_it_can(bench: Bench) -> None:
    writer, way = bench.writer, Path(bench.place.directory)
    write(way, b"a file in the way")
    with pytest.raises(AofError):
        writer.start(0, 0, insists=True)
    bench.tick(SET_A)
    assert writer.synced_offset == -1, "nothing is on disk, and nothing is said to be"
    way.unlink()
    assert writer.rewriter.wanted(0) == "scheduled"
    ticket = writer.rewriter.begin(0)
    bench.tick(SET_B)
    write(ticket.path, SELECT_0 + SET_A)
    writer.rewriter.finish(ticket, 0)
    assert bench.loaded()[0] == SELECT_0 + SET_A + SELECT_0 + SET_B
