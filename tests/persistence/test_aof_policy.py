"""Decisions of the AOF, as tables."""

from __future__ import annotations

import pytest

from holdfast.persistence.aof_policy import (
    HEALTH,
    Event,
    FlushPlan,
    FlushView,
    Fsync,
    Health,
    RewriteLimiter,
    Sync,
    plan_flush,
    rewrite_due,
)

ALWAYS, EVERYSEC, NO = Fsync.ALWAYS, Fsync.EVERYSEC, Fsync.NO
NONE, NOW, LATER = Sync.NONE, Sync.NOW, Sync.LATER


@pytest.mark.parametrize(
    ("fsync", "view", "plan"),
    [
        # what: now in ms, buffered, unsynced, sync running, sync due
        (ALWAYS, FlushView(5000, 0, 0), FlushPlan()),
        (ALWAYS, FlushView(5000, 9, 0), FlushPlan(True, NOW)),
        (ALWAYS, FlushView(5000, 0, 9), FlushPlan(False, NOW)),
        (ALWAYS, FlushView(5000, 9, 0, sync_suspended=True), FlushPlan(True, NONE)),
        (NO, FlushView(5000, 9, 99), FlushPlan(True, NONE)),
        (NO, FlushView(5000, 9, 99, sync_running=True), FlushPlan(True, NONE)),
        (EVERYSEC, FlushView(5000, 9, 0), FlushPlan(True, NONE)),
        (EVERYSEC, FlushView(5000, 9, 0, sync_due=True), FlushPlan(True, LATER)),
        (EVERYSEC, FlushView(5000, 0, 9, sync_due=True), FlushPlan(False, LATER)),
        (EVERYSEC, FlushView(5000, 0, 9), FlushPlan()),
        (EVERYSEC, FlushView(5000, 0, 0, sync_due=True), FlushPlan()),
        (EVERYSEC, FlushView(5000, 9, 0, sync_due=True, sync_suspended=True), FlushPlan(True, NONE)),
        # a write waits for a sync that runs, for two seconds
        (EVERYSEC, FlushView(5000, 9, 9, True, True), FlushPlan(postponed_since_ms=5000)),
        (EVERYSEC, FlushView(6999, 9, 9, True, True, 5000), FlushPlan(postponed_since_ms=5000)),
        (EVERYSEC, FlushView(7000, 9, 9, True, True, 5000), FlushPlan(True, NONE, delayed=True)),
        (EVERYSEC, FlushView(5000, 9, 9, True, True, forced=True), FlushPlan(True, NONE)),
        (EVERYSEC, FlushView(5500, 9, 9, False, True, 5000), FlushPlan(True, LATER)),
        # after a failure the next attempt waits a little, unless it is forced
        (ALWAYS, FlushView(5050, 9, 0, failed_at_ms=5000), FlushPlan()),
        (ALWAYS, FlushView(5100, 9, 0, failed_at_ms=5000), FlushPlan(True, NOW)),
        (ALWAYS, FlushView(5050, 9, 0, failed_at_ms=5000, forced=True), FlushPlan(True, NOW)),
    ],
)
def test_a_flush_does_what_the_table_says(fsync: Fsync, view: FlushView, plan: FlushPlan) -> None:
    assert plan_flush(fsync, view) == plan


def test_every_state_of_health_knows_every_event() -> None:
    assert set(HEALTH) == {(health, event) for health in Health for event in Event}


@pytest.mark.parametrize("health", Health)
def test_a_write_and_a_sync_that_succeed_heal_every_state(health: Health) -> None:
    assert HEALTH[HEALTH[health, Event.WRITTEN], Event.SYNCED] is Health.OK
    assert HEALTH[HEALTH[health, Event.SYNCED], Event.WRITTEN] is Health.OK
    assert HEALTH[health, Event.REOPENED] is Health.OK


@pytest.mark.parametrize("health", Health)
def test_no_failure_leaves_health_ok(health: Health) -> None:
    assert HEALTH[health, Event.WRITE_FAILED] is not Health.OK
    assert HEALTH[health, Event.SYNC_FAILED] is not Health.OK


@pytest.mark.parametrize(
    ("current", "base", "percentage", "minimum", "due"),
    [
        (200, 100, 100, 0, True),
        (199, 100, 100, 0, False),
        (200, 100, 0, 0, False),
        (200, 100, 100, 200, False),
        (201, 100, 100, 200, True),
        (50, 0, 100, 10, True),
        (150, 100, 50, 0, True),
    ],
)
def test_a_rewrite_is_due_by_growth(
    current: int, base: int, percentage: int, minimum: int, due: bool
) -> None:
    got = rewrite_due(current_bytes=current, base_bytes=base, percentage=percentage, min_bytes=minimum)
    assert got is due


def test_failed_rewrites_are_held_back_longer_and_longer_up_to_an_hour() -> None:
    limiter, now, waits = RewriteLimiter(), 1_000, []
    for _ in range(9):
        limiter, held_back = limiter.ask(3, now)
        assert held_back
        assert limiter.ask(3, limiter.until_ms - 1)[1]
        waits.append((limiter.until_ms - now) // 60_000)
        now = limiter.until_ms
        limiter, held_back = limiter.ask(3, now)
        assert not held_back
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert limiter.ask(0, now) == (RewriteLimiter(), False)


def test_two_failures_hold_nothing_back() -> None:
    assert RewriteLimiter().ask(2, 1_000) == (RewriteLimiter(), False)
