"""Which configuration a Sentinel believes, what it orders who differs, and who is who behind an address."""

from __future__ import annotations

from dataclasses import replace

from holdfast.sentinel import granting, observation
from holdfast.sentinel.effects import Send, Tell
from holdfast.sentinel.hello import Hello
from holdfast.sentinel.model import Address, Failover, LinkState, Reconf
from holdfast.sentinel.settings import PrimaryOptions
from tests.sentinel.scene import ME, Scene, elect, persisted_before


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


def test_what_the_old_primary_answers_after_a_switch_is_not_taken_for_the_new_ones():
    scene = Scene()
    told = []
    scene.sentinel.send(scene.primary, "INFO", on_reply=lambda reply, at_ms: told.append(reply))
    sent = next(each for each in scene.sentinel.take_effects() if isinstance(each, Send))
    switch(scene)
    sent.on_reply("run_id:of the old one", scene.now_ms)
    assert told == []


def test_replicaof_goes_under_the_name_that_the_group_gives_it():
    scene = Scene()
    scene.primary.options.renamed_commands = {"SLAVEOF": "hidden", "INFO": "look"}
    old = switch(scene)
    observation.info_came(scene.sentinel, old, "role:master\r\n", scene.now_ms)
    words = scene.sent(scene.sentinel.take_effects(), old)
    assert ("hidden", "10.0.1.1", "6379") in words
    assert ("look",) in words
