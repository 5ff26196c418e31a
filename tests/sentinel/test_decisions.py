"""The decisions of a Sentinel, without processes: death, votes, choice, order of effects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.sentinel import asking, down, election, failover, granting, observation, selection
from holdfast.sentinel.effects import Persist, Send, Tell
from holdfast.sentinel.hello import Hello
from holdfast.sentinel.model import Address, Failover, LinkState, Reconf, Role
from holdfast.sentinel.reply_reader import ReplyStatus
from holdfast.sentinel.settings import PrimaryOptions
from tests.sentinel.scene import ME, Scene, persisted_before


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


def test_a_silent_primary_is_down_after_the_set_time_and_not_before():
    scene = Scene(down_after_ms=1000)
    scene.primary.link.ping_pending_since_ms = scene.now_ms
    for each in (*scene.replicas, *scene.others):
        each.link.ping_pending_since_ms = None
    assert "+sdown" not in scene.told(scene.look(1000))
    assert "+sdown" in scene.told(scene.look(1))


def test_one_opinion_is_not_the_quorum():
    scene = Scene()
    scene.primary.link.ping_pending_since_ms = scene.now_ms
    assert "+odown" not in scene.told(scene.look(1001))
    scene.others[0].says_down = True
    scene.others[0].down_reply_ms = scene.now_ms
    assert "+odown" in scene.told(scene.look(1))


def refuse(scene: Scene) -> None:
    """The primary's connection ends, and a fresh one is refused."""
    scene.machine.lost(scene.primary.link, False, False, scene.now_ms)
    scene.machine.lost(scene.primary.link, False, True, scene.now_ms)


def test_refused_is_down_at_once_when_the_replicas_hear_the_primary_no_more():
    scene = Scene(down_after_ms=30_000)
    refuse(scene)
    scene.now_ms += 5
    for each in scene.replicas:
        scene.answers(each)
        each.is_link_ok = False
    assert "+sdown" in scene.told(scene.look())


def test_refused_is_not_down_while_a_replica_still_hears_the_primary():
    scene = Scene(down_after_ms=30_000)
    refuse(scene)
    scene.now_ms += 5
    for each in scene.replicas:
        scene.answers(each)
    scene.replicas[0].is_link_ok = False
    assert "+sdown" not in scene.told(scene.look())


def test_refused_alone_proves_nothing_without_a_replica_to_ask():
    scene = Scene(replicas=0, down_after_ms=30_000)
    refuse(scene)
    assert "+sdown" not in scene.told(scene.look(500))


def test_old_news_of_a_replica_does_not_confirm_a_suspicion():
    scene = Scene(down_after_ms=30_000)
    for each in scene.replicas:
        each.is_link_ok = False
    scene.now_ms += 5
    refuse(scene)
    assert down.suspicion(scene.primary) is down.Suspicion.UNSURE


@pytest.mark.parametrize(
    ("run_id", "answers_after_ms", "is_down"), [("1", 0, True), ("2", 0, False), ("1", 10, False)]
)
def test_whom_its_parent_reports_dead_is_down_at_once(run_id, answers_after_ms, is_down):
    scene = Scene(down_after_ms=30_000)
    scene.primary.run_id = "1" * 40
    scene.primary.exited_run_id, scene.primary.exited_ms = run_id * 40, scene.now_ms
    scene.now_ms += answers_after_ms
    scene.primary.link.proved_ms = scene.now_ms
    assert ("+sdown" in scene.told(scene.look())) is is_down


def test_fast_down_can_be_turned_off():
    scene = Scene(down_after_ms=30_000)
    scene.primary.options.fast_down = False
    refuse(scene)
    for each in scene.replicas:
        each.is_link_ok = False
    assert "+sdown" not in scene.told(scene.look(10))


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


def elect(scene: Scene) -> None:
    """Let the primary die, and the others agree and vote for us."""
    refuse(scene)
    scene.now_ms += 5
    for each in scene.replicas:
        scene.answers(each)
        each.is_link_ok = False
    for each in scene.others:
        each.says_down, each.down_reply_ms = True, scene.now_ms


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


def hello(scene: Scene, config_epoch: int, host: str) -> Hello:
    other = scene.others[0]
    return Hello(other.address.host, 26379, other.run_id, 5, "mymaster", host, 6379, config_epoch)


def test_a_newer_configuration_is_followed_and_an_older_one_is_not():
    scene = Scene()
    scene.primary.config_epoch = 4
    observation.hello_came(scene.sentinel, hello(scene, 4, "10.0.1.1"), scene.now_ms)
    assert scene.primary.address.host == "10.0.0.1"
    scene.sentinel.take_effects()
    observation.hello_came(scene.sentinel, hello(scene, 5, "10.0.1.1"), scene.now_ms)
    effects = scene.sentinel.take_effects()
    assert scene.primary.address.host == "10.0.1.1"
    texts = [each.text for each in effects if isinstance(each, Tell) and each.event == "+switch-master"]
    assert texts == ["mymaster 10.0.0.1 6379 10.0.1.1 6379"]
    assert sorted(scene.primary.replicas) == ["10.0.0.1:6379", "10.0.1.0:6379"]


def test_a_sentinel_that_has_moved_is_the_same_in_all_groups_and_its_vote_still_says_how_long_to_wait():
    scene = Scene()
    sentinel, moved = scene.sentinel, scene.others[0]
    address = Address("10.0.3.1", 6379, "10.0.3.1")
    another = sentinel.add_primary("another", address, PrimaryOptions(2), scene.now_ms)
    sentinel.add_sentinel(another, moved.address, moved.run_id, scene.now_ms)
    scene.primary.failover_epoch = moved.vote_epoch = 7
    moved.is_ours, moved.vote, moved.vote_wait_until_ms = True, ME, scene.now_ms + 300
    told = replace(hello(scene, 0, "10.0.0.1"), host="10.0.9.9")
    sentinel.take_effects()
    observation.hello_came(sentinel, told, scene.now_ms)
    events = [each for each in sentinel.take_effects() if isinstance(each, Tell)]
    subject = f"sentinel {moved.run_id} 10.0.9.9 26379 @ mymaster 10.0.0.1 6379"
    assert [(each.event, each.text) for each in events] == [
        (
            "+sentinel-address-switch",
            f"master mymaster 10.0.0.1 6379 ip 10.0.9.9 port 26379 for {moved.run_id}",
        ),
        ("+sentinel-address-update", f"{subject} 1 additional matching instances"),
        ("+new-epoch", "5"),
    ]
    assert another.sentinels[moved.run_id].address.host == "10.0.9.9"
    assert granting.wait_until_ms(scene.primary) == scene.now_ms + 300
    assert scene.primary.sentinels[moved.run_id].is_ours


def test_a_newer_configuration_that_names_whom_we_replace_ends_our_failover():
    scene = Scene()
    elect(scene)
    scene.look()
    scene.primary.start_after_ms = scene.now_ms
    scene.look(1)
    for each in scene.others:
        each.vote, each.vote_epoch = ME, scene.primary.failover_epoch
    for each in scene.replicas:
        scene.answers(each)
    scene.look(1)
    observation.info_came(scene.sentinel, scene.replicas[0], "role:master\r\n", scene.now_ms)
    assert scene.primary.failover is Failover.RECONF_REPLICAS
    scene.sentinel.take_effects()
    epoch = scene.primary.config_epoch
    observation.hello_came(scene.sentinel, hello(scene, epoch + 1, "10.0.0.1"), scene.now_ms)
    effects = scene.sentinel.take_effects()
    texts = [each.text for each in effects if isinstance(each, Tell) and each.event == "+switch-master"]
    assert texts == ["mymaster 10.0.1.0 6379 10.0.0.1 6379"]
    assert not scene.primary.in_failover and scene.primary.current_address.host == "10.0.0.1"
    assert "+switch-master" not in scene.told(scene.look(7000)), "nor later"
    assert scene.primary.address.host == "10.0.0.1" and scene.primary.config_epoch == epoch + 1


def test_a_newer_configuration_that_names_the_same_primary_ends_an_attempt_to_replace_it():
    scene = Scene()
    elect(scene)
    scene.look()
    scene.primary.start_after_ms = scene.now_ms
    scene.look(1)
    assert scene.primary.failover is Failover.WAIT_START
    newer = scene.primary.failover_epoch + 1
    observation.hello_came(scene.sentinel, hello(scene, newer, "10.0.0.1"), scene.now_ms)
    assert not scene.primary.in_failover and scene.primary.config_epoch == newer
    assert "+switch-master" not in scene.told(scene.sentinel.take_effects())


def switch(scene: Scene):
    """Another node leads now; return the old primary as a replica."""
    observation.hello_came(scene.sentinel, hello(scene, 5, "10.0.1.1"), scene.now_ms)
    scene.sentinel.take_effects()
    scene.primary.info_ms = scene.now_ms
    scene.primary.history = "9" * 40
    old = scene.primary.replicas["10.0.0.1:6379"]
    old.link.command = LinkState.UP
    return old


def test_an_old_primary_is_demoted_the_moment_it_is_seen():
    scene = Scene()
    old = switch(scene)
    observation.info_came(scene.sentinel, old, "role:master\r\n", scene.now_ms)
    effects = scene.sentinel.take_effects()
    assert ("SLAVEOF", "10.0.1.1", "6379") in scene.sent(effects, old)
    assert "+convert-to-slave" in scene.told(effects)


def test_an_old_primary_that_has_followed_the_new_one_was_promoted_since_and_is_left_alone():
    scene = Scene()
    old = switch(scene)
    told = f"role:master\r\nmaster_replid:{'8' * 40}\r\nmaster_replid2:{scene.primary.history}\r\n"
    observation.info_came(scene.sentinel, old, told, scene.now_ms)
    assert not scene.sent(scene.sentinel.take_effects(), old)


def test_an_old_primary_is_left_alone_until_the_new_one_has_told_its_history():
    scene = Scene()
    old = switch(scene)
    scene.primary.history = ""
    observation.info_came(scene.sentinel, old, "role:master\r\n", scene.now_ms)
    assert not scene.sent(scene.sentinel.take_effects(), old)
    observation.info_came(
        scene.sentinel, scene.primary, f"role:master\r\nmaster_replid:{'9' * 40}\r\n", scene.now_ms
    )
    observation.info_came(scene.sentinel, old, "role:master\r\n", scene.now_ms)
    assert ("SLAVEOF", "10.0.1.1", "6379") in scene.sent(scene.sentinel.take_effects(), old)


def test_an_old_primary_of_ours_is_left_alone_until_the_epoch_of_the_new_one_is_known():
    scene = Scene()
    old = switch(scene)
    scene.primary.history = ""
    told = f"role:master\r\nnode_id:{'7' * 40}\r\nfence_epoch:2\r\n"
    observation.info_came(scene.sentinel, old, told, scene.now_ms)
    assert not scene.sent(scene.sentinel.take_effects(), old), "its clients would be cut off"


def test_an_old_primary_is_left_alone_while_nobody_tells_us_news():
    scene = Scene()
    old = switch(scene)
    for each in scene.others:
        each.hello_ms = scene.now_ms - 60_000
    observation.info_came(scene.sentinel, old, "role:master\r\n", scene.now_ms)
    assert not scene.sent(scene.sentinel.take_effects(), old)


def test_a_replica_that_another_sentinel_promotes_is_not_turned_back_at_once():
    scene = Scene()
    observation.info_came(scene.sentinel, scene.replicas[0], "role:master\r\n", scene.now_ms)
    assert not scene.sent(scene.sentinel.take_effects(), scene.replicas[0])


def test_a_primary_that_came_back_empty_is_down():
    scene = Scene()
    full = f"run_id:{'1' * 40}\r\nrole:master\r\n# Keyspace\r\ndb0:keys=3,expires=0\r\n"
    observation.info_came(scene.sentinel, scene.primary, full, scene.now_ms)
    empty = f"run_id:{'2' * 40}\r\nrole:master\r\n# Keyspace\r\n"
    observation.info_came(scene.sentinel, scene.primary, empty, scene.now_ms)
    assert "+sdown" in scene.told(scene.look())


def test_a_primary_that_loads_longer_than_a_failover_takes_is_down():
    scene = Scene(down_after_ms=30_000)
    scene.primary.link.loading_since_ms = scene.now_ms
    assert "+sdown" not in scene.told(scene.look(2000))
    assert "+sdown" in scene.told(scene.look(1))


def test_a_primary_that_came_back_is_down_when_it_loads_longer_than_the_set_time_after_its_restart():
    scene = Scene(down_after_ms=30_000)
    scene.primary.options.reboot_down_after_ms = 500
    for number in "12":
        text = f"run_id:{number * 40}\r\nrole:master\r\n"
        observation.info_came(scene.sentinel, scene.primary, text, scene.now_ms)
    assert "+sdown" not in scene.told(scene.look(500))
    assert "+sdown" in scene.told(scene.look(1))
    asking.ping_answered(scene.sentinel, scene.primary, scene.primary.link, ReplyStatus("PONG"), scene.now_ms)
    assert "-sdown" in scene.told(scene.look(1)), "it serves again"


def test_replicas_are_turned_to_the_new_primary_as_many_at_a_time_as_parallel_syncs_says():
    scene = Scene(replicas=4)
    scene.primary.options.parallel_syncs = 2
    scene.primary.failover, scene.primary.failover_changed_ms = Failover.RECONF_REPLICAS, scene.now_ms
    scene.primary.promoted = scene.replicas[0]
    scene.replicas[0].is_promoted = True
    assert scene.told(scene.look()).count("+slave-reconf-sent") == 2
    assert scene.told(scene.look(10)).count("+slave-reconf-sent") == 0
    done = next(each for each in scene.replicas if each.reconf is Reconf.SENT)
    text = "role:slave\r\nmaster_host:10.0.1.0\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"
    observation.info_came(scene.sentinel, done, text, scene.now_ms)
    assert scene.told(scene.look(10)).count("+slave-reconf-sent") == 1


def test_a_replica_that_has_not_said_what_it_is_gets_no_order_until_it_has() -> None:
    scene = Scene()
    scene.primary.failover, scene.primary.failover_changed_ms = Failover.RECONF_REPLICAS, scene.now_ms
    scene.primary.promoted = promoted = scene.replicas[0]
    promoted.is_promoted, promoted.fence_epoch = True, 4
    scene.replicas[1].info_ms = None
    effects = scene.look()
    assert scene.told(effects).count("+slave-reconf-sent") == 0
    assert not any(words[0] in ("SLAVEOF", "HOLDFAST") for words in scene.sent(effects, scene.replicas[1]))
    observation.info_came(scene.sentinel, scene.replicas[1], "role:slave\r\n", scene.now_ms)
    assert scene.told(scene.look(10)).count("+slave-reconf-sent") == 1


def test_a_primary_whose_disk_refuses_writes_is_down_while_a_replica_could_take_them():
    scene = Scene(down_after_ms=30_000)
    text = f"run_id:{'9' * 40}\r\nrole:master\r\naof_last_write_status:err\r\n"
    observation.info_came(scene.sentinel, scene.primary, text, scene.now_ms)
    for each in scene.replicas:
        each.fails_writes_since_ms = scene.now_ms
    assert "+sdown" not in scene.told(scene.look(2001))
    scene.replicas[0].fails_writes_since_ms = None
    assert "+sdown" in scene.told(scene.look(1))
    healthy = text.replace(":err", ":ok")
    observation.info_came(scene.sentinel, scene.primary, healthy, scene.now_ms)
    assert "-sdown" in scene.told(scene.look(1))


def test_a_primary_that_was_flushed_is_not_down():
    scene = Scene()
    for keyspace in ("db0:keys=3,expires=0\r\n", ""):
        text = f"run_id:{'1' * 40}\r\nrole:master\r\n# Keyspace\r\n{keyspace}"
        observation.info_came(scene.sentinel, scene.primary, text, scene.now_ms)
    assert "+sdown" not in scene.told(scene.look())


def of_ours(node_id: str, role: str = "master", more: str = "") -> str:
    """Return what INFO tells of a node of ours that has its id on disk."""
    return (
        f"run_id:{node_id[0] * 40}\r\nrole:{role}\r\nnode_id:{node_id}\r\nfence_epoch:3\r\n{more}"
        "# Keyspace\r\ndb0:keys=3,expires=0\r\n"
    )


def test_another_node_at_the_address_of_the_primary_is_not_the_primary():
    scene = Scene()
    observation.info_came(scene.sentinel, scene.primary, of_ours("ours"), scene.now_ms)
    theirs = of_ours("theirs", more="slave0:ip=10.9.9.9,port=6379,state=online\r\n")
    observation.info_came(scene.sentinel, scene.primary, theirs, scene.now_ms)
    assert len(scene.primary.replicas) == 2, "its replicas are not ours"
    assert "+sdown" in scene.told(scene.look())


def test_a_node_of_ours_that_has_moved_is_not_two_nodes():
    scene = Scene()
    moved = scene.replicas[0]
    follows = "master_host:10.0.0.1\r\nmaster_port:6379\r\n"
    observation.info_came(scene.sentinel, moved, of_ours("ours", "slave", follows), scene.now_ms)
    told = of_ours("leader", more="slave0:ip=10.0.7.7,port=6379,state=online\r\n")
    observation.info_came(scene.sentinel, scene.primary, told, scene.now_ms)
    now = scene.primary.replicas["10.0.7.7:6379"]
    scene.sentinel.take_effects()
    observation.info_came(scene.sentinel, now, of_ours("ours", "slave", follows), scene.now_ms)
    assert moved.name in scene.primary.replicas, "it can still be reached where it was: two with one id"
    moved.link.command = LinkState.DOWN
    observation.info_came(scene.sentinel, now, of_ours("ours", "slave", follows), scene.now_ms)
    effects = scene.sentinel.take_effects()
    assert scene.told(effects) == ["-slave"] and persisted_before(effects, "the end")
    assert moved.name not in scene.primary.replicas and now.name in scene.primary.replicas


def test_another_node_at_the_address_of_a_replica_gets_no_orders_unless_it_joins_or_is_empty():
    scene = Scene()
    old = switch(scene)
    observation.info_came(scene.sentinel, old, of_ours("ours", "slave"), scene.now_ms)
    scene.sentinel.take_effects()
    scene.now_ms += 5000
    observation.info_came(scene.sentinel, old, of_ours("theirs"), scene.now_ms)
    scene.answers(scene.primary)
    scene.now_ms += 20_000
    scene.answers(scene.primary)
    observation.info_came(scene.sentinel, old, of_ours("theirs"), scene.now_ms)
    assert not scene.sent(scene.sentinel.take_effects(), old)
    follows = "master_host:10.0.1.1\r\nmaster_port:6379\r\n"
    observation.info_came(scene.sentinel, old, of_ours("theirs", "slave", follows), scene.now_ms)
    assert not old.is_stranger and old.node_id == "theirs"
    empty = of_ours("third").replace("db0:keys=3,expires=0\r\n", "")
    observation.info_came(scene.sentinel, old, empty, scene.now_ms)
    assert not old.is_stranger


def test_after_a_pause_of_the_process_nothing_is_decided():
    scene = Scene()
    scene.primary.link.ping_pending_since_ms = scene.now_ms
    scene.now_ms += 5000
    scene.machine.look(scene.now_ms)
    told = scene.told(scene.sentinel.take_effects())
    assert told == ["+tilt"]
    assert failover.start_if_needed(scene.sentinel, scene.primary, scene.now_ms) is False


def test_a_pause_is_over_when_all_have_answered_since():
    scene = Scene()
    everyone = (scene.primary, *scene.replicas, *scene.others)
    assert "+tilt" in paused(scene)
    scene.now_ms += 50
    for each in everyone[:-1]:
        scene.answers(each)
    assert "-tilt" not in scene.told(scene.look())
    scene.answers(everyone[-1])
    assert "-tilt" in scene.told(scene.look())


def test_after_a_pause_who_is_silent_has_a_whole_down_after_to_answer():
    scene = Scene(down_after_ms=3000)
    scene.primary.link.ping_pending_since_ms = scene.now_ms
    assert "+tilt" in paused(scene)
    assert "+sdown" not in scene.told(scene.look(2900))
    assert scene.told(scene.look(200))[:2] == ["-tilt", "+sdown"]


def test_after_a_pause_a_replica_that_was_dead_before_is_not_waited_for():
    scene = Scene()
    dead = scene.replicas[0]
    dead.sdown_since_ms = dead.link.ping_pending_since_ms = scene.now_ms
    paused(scene)
    scene.now_ms += 50
    for each in (scene.primary, scene.replicas[1], *scene.others):
        scene.answers(each)
    assert "-tilt" in scene.told(scene.look())


def paused(scene: Scene) -> list[str]:
    """Let the process stand still for five seconds; return what it tells when it goes on."""
    scene.now_ms += 5000
    scene.machine.look(scene.now_ms)
    return scene.told(scene.sentinel.take_effects())


def test_what_the_old_primary_answers_after_a_switch_is_not_taken_for_the_new_ones():
    scene = Scene()
    told = []
    scene.sentinel.send(scene.primary, "INFO", on_reply=lambda reply, at_ms: told.append(reply))
    sent = next(each for each in scene.sentinel.take_effects() if isinstance(each, Send))
    switch(scene)
    sent.on_reply("run_id:of the old one", scene.now_ms)
    assert told == []


def test_dead_sentinels_count_for_the_majority():
    scene = Scene(others=4)
    for each in scene.others[:3]:
        each.link.command, each.sdown_since_ms = LinkState.DOWN, scene.now_ms
    assert scene.primary.voters == 5
    assert election.winner([ME, scene.others[3].run_id], scene.primary.voters, 2) == ""


def test_replicaof_goes_under_the_name_that_the_group_gives_it():
    scene = Scene()
    scene.primary.options.renamed_commands = {"SLAVEOF": "hidden", "INFO": "look"}
    old = switch(scene)
    observation.info_came(scene.sentinel, old, "role:master\r\n", scene.now_ms)
    words = scene.sent(scene.sentinel.take_effects(), old)
    assert ("hidden", "10.0.1.1", "6379") in words
    assert ("look",) in words


def test_every_role_has_the_word_of_redis():
    assert [each.value for each in Role] == ["master", "slave", "sentinel"]
