"""A deployment that is not ours, by address: stock Sentinels around stock servers, ordered and drilled."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.ops.deployments import holdfast, until
from tests.peers import require_peer
from tests.sentinel.group import Group, group


@pytest.fixture(scope="module")
def theirs() -> Iterator[Group]:
    """Three of redis-server and three of redis-sentinel; each test leaves them healthy."""
    require_peer("redis-server")
    require_peer("redis-sentinel")
    with group(down_after_ms=3000) as made:
        for _ in range(3):
            made.add_node("redis").wait_ready()
        for each in made.nodes[1:]:  # Sentinels ask for replicas at once, and then after ten seconds
            until(lambda each=each: made.link_up(each), "a replica is in sync")
        for _ in range(3):
            made.add_sentinel("redis")
        made.settle()
        yield made


def place(theirs: Group) -> str:
    return f"127.0.0.1:{theirs.sentinels[1].port}"


def test_one_switchover_right_after_another_is_waited_for(theirs: Group) -> None:
    leaders = []
    for _ in range(2):
        done = holdfast("switchover", place(theirs), "--json")
        assert done.returncode == 0, done.stderr
        leaders.append(json.loads(done.stdout))
    assert leaders[0]["new"] == leaders[1]["old"] != leaders[1]["new"]


def test_a_switchover_under_load_loses_no_acknowledged_write(theirs: Group) -> None:
    # Left to themselves stock Sentinels lose all that the old primary takes for ten seconds.
    done = holdfast("drill", "switchover", place(theirs), "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["lost"] == 0 < report["acknowledged"]
    assert list(report["phases"])[-3:] == ["leader", "promoted", "first write"]
    voted = {each["text"] for each in report["happenings"] if " votes " in f" {each['text']}"}
    assert any(each.startswith("votes for sentinel 127.0.0.1:") for each in voted), voted


def test_what_may_lose_data_needs_a_word_more(theirs: Group) -> None:
    for fault in ("kill", "kill-sentinel"):
        refused = holdfast("drill", fault, place(theirs))
        assert refused.returncode == 5 and "--yes-really" in refused.stderr
    done = holdfast("drill", "restart-empty", place(theirs), "--yes-really")
    assert done.returncode == 1 and "only the supervisor" in done.stderr


def test_automatic_failover_is_off_and_on_again(theirs: Group) -> None:
    for order, is_on in (("pause", False), ("resume", True)):
        assert holdfast(order, place(theirs)).returncode == 0
        told = json.loads(holdfast("status", place(theirs), "--json").stdout)
        assert told["automatic_failover"] is is_on and len(told["members"]) == 6


def test_a_primary_is_killed_if_it_is_said(theirs: Group) -> None:
    done = holdfast("drill", "kill", place(theirs), "--yes-really", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == (6 if report["lost"] else 0), done.stderr
    assert list(report["phases"]) == ["seen", "agreed", "leader", "promoted", "first write"]
    assert report["outage_ms"] > report["phases"]["seen"] > 2000, "only silence tells, after down-after"
