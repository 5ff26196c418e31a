"""When a tick waits for more writers before it syncs."""

from __future__ import annotations

from holdfast.persistence.gathering import ROUNDS_LIMIT, Gathering

SYNC_US = 1600


def test_a_tick_waits_until_nobody_comes_any_more() -> None:
    gathering = Gathering()
    assert gathering.waits(0, SYNC_US, 10)
    assert gathering.waits(90, SYNC_US, 30)
    assert gathering.waits(180, SYNC_US, 50)
    assert not gathering.waits(290, SYNC_US, 50)


def test_a_tick_waits_a_quarter_of_a_sync_at_most() -> None:
    gathering = Gathering()
    assert gathering.waits(0, SYNC_US, 10)
    assert not gathering.waits(SYNC_US // 4, SYNC_US, 20)


def test_a_clock_that_stands_still_ends_no_loop() -> None:
    gathering = Gathering()
    rounds = 0
    while gathering.waits(0, SYNC_US, 1):
        rounds += 1
    assert rounds == ROUNDS_LIMIT


def test_as_many_as_last_time_are_enough() -> None:
    gathering = Gathering()
    assert gathering.waits(0, SYNC_US, 10)
    assert not gathering.waits(400, SYNC_US, 50)
    assert not gathering.waits(2000, SYNC_US, 50)


def test_a_lone_writer_hardly_ever_waits() -> None:
    gathering = Gathering()
    waited, now_us = 0, 0
    for _ in range(1000):
        now_us += SYNC_US
        while gathering.waits(now_us, SYNC_US, 1):
            now_us += 10
            waited += 1
    assert waited * 10 < SYNC_US * 1000 // 500


def test_a_quick_disk_is_never_waited_for() -> None:
    assert not Gathering().waits(0, 0, 10)
