"""Votes, the choice of a replica, and a failover from agreement to promotion; no processes."""

from __future__ import annotations

import pytest

from holdfast.sentinel import election, observation, selection
from holdfast.sentinel.effects import Persist, Tell
from holdfast.sentinel.model import Failover, LinkState, Role
from tests.sentinel.scene import ME, Scene, elect, persisted_before


@pytest.mark.parametrize(
    ("votes", "voters", "quorum", "leader"),
    [
        (["a", "a"], 3, 2, "a"),
        (["a", "b"], 3, 2, ""),
        (["a", "a", "b"], 5, 2, ""),
        (["a", "a", "a"], 5, 2, "a"),
        (["a", "a", "a"], 5, 4, ""),
        ([], 1, 1, ""),
        (["a"], 1, 1, "a"),
    ],
)
def test_a_leader_has_the_majority_of_all_known_and_the_quorum(votes, voters, quorum, leader):
    assert election.winner(votes, voters, quorum) == leader


def test_a_vote_is_on_disk_before_it_is_told():
    scene = Scene()
    assert election.vote(scene.sentinel, scene.primary, 7, "b" * 40, scene.now_ms) == ("b" * 40, 7)
    effects = scene.sentinel.take_effects()
    place = [
        index
        for index, each in enumerate(effects)
        if isinstance(each, Tell) and each.event == "+vote-for-leader"
    ]
    assert any(isinstance(each, Persist) for each in effects[: place[0]])


def test_one_vote_an_epoch():
    scene = Scene()
    election.vote(scene.sentinel, scene.primary, 7, "b" * 40, scene.now_ms)
    assert election.vote(scene.sentinel, scene.primary, 7, "c" * 40, scene.now_ms) == ("b" * 40, 7)
    assert election.vote(scene.sentinel, scene.primary, 6, "c" * 40, scene.now_ms) == ("b" * 40, 7)
    assert election.vote(scene.sentinel, scene.primary, 8, "c" * 40, scene.now_ms) == ("c" * 40, 8)


@pytest.mark.parametrize(
    ("spoil", "chosen"),
    [
        ({}, 1),
        ({"priority": 50}, 0),
        ({"offset": 900}, 0),
        ({"priority": 0, "offset": 900}, 1),
    ],
)
def test_the_replica_with_the_lowest_priority_and_highest_offset_is_chosen(spoil, chosen):
    scene = Scene()
    scene.replicas[0].offset, scene.replicas[1].offset = 100, 200
    for name, value in spoil.items():
        setattr(scene.replicas[0], name, value)
    assert selection.best_replica(scene.primary, scene.sentinel.times, scene.now_ms) is scene.replicas[chosen]


def test_equal_replicas_are_chosen_by_run_id():
    scene = Scene()
    assert selection.best_replica(scene.primary, scene.sentinel.times, scene.now_ms) is scene.replicas[0]


def test_a_replica_that_was_cut_off_long_ago_is_not_chosen():
    scene = Scene(replicas=1, down_after_ms=1000)
    scene.replicas[0].link_down_ms = 10_001
    assert selection.best_replica(scene.primary, scene.sentinel.times, scene.now_ms) is None


def test_a_failover_goes_from_agreement_to_promotion_by_events_alone():
    scene = Scene()
    elect(scene)
    effects = scene.look()
    scene.primary.start_after_ms = scene.now_ms
    effects += scene.look(1)
    assert scene.primary.failover is Failover.WAIT_START
    for each in scene.others:
        each.vote, each.vote_epoch = ME, scene.primary.failover_epoch
    for each in scene.replicas:
        scene.answers(each)
    effects = scene.look(1)
    assert scene.told(effects)[:3] == ["+elected-leader", "+failover-state-select-slave", "+selected-slave"]
    words = scene.sent(effects, scene.replicas[0])
    assert [each[:2] for each in words[:2]] == [("MULTI",), ("SLAVEOF", "NO")]
    assert words[-1] == ("INFO",)
    observation.info_came(scene.sentinel, scene.replicas[0], "role:master\r\n", scene.now_ms)
    effects = scene.sentinel.take_effects()
    assert persisted_before(effects, "+promoted-slave")
    assert scene.primary.current_address is scene.replicas[0].address
    effects = scene.look(1)
    assert ("SLAVEOF", "10.0.1.0", "6379") in scene.sent(effects, scene.replicas[1])


def test_a_lost_election_is_tried_again_soon_in_a_higher_epoch():
    scene = Scene()
    elect(scene)
    scene.look()
    scene.now_ms = scene.primary.start_after_ms
    assert "+try-failover" in scene.told(scene.look())
    first = scene.primary.failover_epoch
    for each in scene.others:
        each.vote, each.vote_epoch = each.run_id, first
    for _ in range(100):
        for each in scene.others:
            each.says_down, each.down_reply_ms = True, scene.now_ms
        told = scene.told(scene.look(50))
        if "+try-failover" in told:
            break
    assert scene.primary.failover_epoch > first
    assert scene.now_ms - 1_000_000 < 2000


def test_whoever_voted_waits_while_the_leader_lives_and_goes_on_at_once_when_it_dies():
    scene = Scene()
    elect(scene)
    election.vote(scene.sentinel, scene.primary, 1, scene.others[0].run_id, scene.now_ms)
    scene.look()
    assert "+try-failover" not in scene.told(scene.look(1500))
    scene.machine.lost(scene.others[0].link, False, False, scene.now_ms)
    scene.machine.lost(scene.others[0].link, False, True, scene.now_ms)
    scene.others[1].says_down, scene.others[1].down_reply_ms = True, scene.now_ms
    told = []
    for _ in range(20):
        scene.others[1].down_reply_ms = scene.now_ms
        told += scene.told(scene.look(50))
    assert "+try-failover" in told


def test_dead_sentinels_count_for_the_majority():
    scene = Scene(others=4)
    for each in scene.others[:3]:
        each.link.command, each.sdown_since_ms = LinkState.DOWN, scene.now_ms
    assert scene.primary.voters == 5
    assert election.winner([ME, scene.others[3].run_id], scene.primary.voters, 2) == ""


def test_every_role_has_the_word_of_redis():
    assert [each.value for each in Role] == ["master", "slave", "sentinel"]
