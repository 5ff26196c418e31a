"""Slots that move between unchanged nodes in virtual time: whose they are, and where their keys are."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from holdfast.cluster.slots import members
from holdfast.commands.slot_keys import keys_in_slot
from holdfast.engine.state import Session
from holdfast.node.cluster import ClusterSide
from holdfast.sim.client import connect
from holdfast.sim.nodes import PORT
from holdfast.sim.scenario.cluster import agrees, form_cluster
from holdfast.sim.scenario.stage import Stage
from tests.cluster.test_simulated import OK, PRIMARIES, SEEDS, SHARD_SETTINGS, Writer


def _side(stage: Stage, name: str) -> ClusterSide:
    """Return a node's part in the cluster."""
    side = stage.nodes.latest[name].cluster
    assert side is not None
    return side


def _owner_of_slot_0(stage: Stage, name: str) -> str:
    """Return the id of whom a node takes for the owner."""
    owner = _side(stage, name).owner(0)
    assert owner is not None
    return owner.id


def _begin_move_of_slot_0(stage: Stage) -> tuple[str, str]:
    """Let a move slot 0, with a key, to b; return their ids."""
    form_cluster(stage, "a, b, c", "d, e, f", SHARD_SETTINGS)
    stage.world.run(3.0)
    ids = {name: _side(stage, name).me.id for name in "ab"}
    assert stage.ask("a", "SET", "{06S}", "kept") in OK
    assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", ids["a"]) in OK
    assert stage.ask("a", "CLUSTER", "SETSLOT", 0, "MIGRATING", ids["b"]) in OK
    return ids["a"], ids["b"]


def test_a_moved_key_stays_at_its_source_until_the_replicas_of_the_target_hold_it() -> None:
    stage = Stage(12)
    try:
        _begin_move_of_slot_0(stage)
        stage.world.pause("e")
        move = ("MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000)
        assert "NOACK" in str(stage.ask("a", *move))
        assert stage.ask("a", "GET", "{06S}") in ("kept", b"kept")
        stage.world.resume("e")
        stage.world.run(1.0)
        assert stage.ask("a", *move, "REPLACE") in OK
        assert str(stage.ask("a", "GET", "{06S}")).startswith("ASK 0")
        assert stage.nodes.latest["e"].engine.key_count(0) == 1
    finally:
        stage.close()


def test_a_replica_whose_disk_was_full_counts_again_among_those_who_know_of_a_claim() -> None:
    """It had left out answers: as many as the pings of that connection never came (swarm seeds 239, 526)."""
    stage = Stage(17)
    try:
        _, target = _begin_move_of_slot_0(stage)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        stage.world.fill_disk("e")
        order = ("CLUSTER", "SETSLOT", 0, "NODE", target)
        claim = stage.world.loop.create_task(stage._ask("tool", "b", order, PORT))
        stage.world.run(0.2)
        stage.world.fill_disk("e", free_bytes=None)
        assert stage.await_true(claim.done, 2)
        assert claim.result() in OK
    finally:
        stage.close()


def test_a_disk_that_was_full_for_a_moment_leaves_a_file_that_can_be_read() -> None:
    stage = Stage(17)
    try:
        form_cluster(stage, "a, b, c", "d, e, f", SHARD_SETTINGS)
        stage.world.run(3.0)
        other = _side(stage, "b").me.id
        stage.world.fill_disk("a", free_bytes=20)
        assert "error saving" in str(stage.ask("a", "CLUSTER", "SETSLOT", 0, "MIGRATING", other))
        stage.world.fill_disk("a", free_bytes=None)
        assert stage.ask("a", "CLUSTER", "SETSLOT", 1, "MIGRATING", other) in OK
        stage.kill("a")
        stage.start_again("a")
        stage.world.run(0.1)
        assert sorted(_side(stage, "a").view.migrating) == [0, 1]
    finally:
        stage.close()


def test_slots_that_are_added_one_by_one_make_no_new_file_each_and_are_remembered() -> None:
    stage = Stage(18)
    try:
        form_cluster(stage, "a, b, c", "d, e, f", SHARD_SETTINGS)
        stage.world.run(3.0)
        disk = stage.world.hosts["a"].disk
        path = _side(stage, "a").queue.store.path
        before = disk.open(path, "rb").read()
        for slot in range(20):
            assert stage.ask("a", "CLUSTER", "DELSLOTS", slot) in OK
        for slot in range(10):
            assert stage.ask("a", "CLUSTER", "ADDSLOTS", slot) in OK
        added = disk.open(path, "rb").read().removeprefix(before)
        assert added.count(b"vars slot:") == added.count(b"\n") == 30
        stage.kill("a")
        stage.start_again("a")
        stage.world.run(0.1)
        assert list(members(_side(stage, "a").me.slots))[:11] == [*range(10), 20]
    finally:
        stage.close()


def test_a_slot_is_claimed_when_replicas_know_and_the_next_leader_has_it_though_no_majority_heard() -> None:
    stage = Stage(13)
    try:
        _, target = _begin_move_of_slot_0(stage)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        stage.world.pause("e")
        assert str(stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target)).startswith("NOREPLICAS")
        assert _owner_of_slot_0(stage, "c") != target, "no announcement"
        stage.world.resume("e")
        stage.world.run(1.0)
        order = ("CLUSTER", "SETSLOT", 0, "NODE", target)
        claim = stage.world.loop.create_task(stage._ask("tool", "b", order, PORT))
        while not _side(stage, "b").view.claiming:  # a majority knows the number of its epoch
            stage.world.run(0.0001)
        stage.world.partition(["b"], list("acdf"))  # what is announced reaches only the replica
        while not claim.done():
            stage.world.run(0.1)
        assert "Another node has taken" in str(claim.result()), "no majority knew, so it was not in force"
        stage.kill("b")
        stage.world.heal_all()
        assert stage.await_true(lambda: not stage.nodes.latest["e"].replication.is_replica, 30)
        stage.start_again("b")
        assert stage.await_true(lambda: agrees(stage), 60)
        assert stage.ask("e", "GET", "{06S}") in ("kept", b"kept")
        assert stage.ask("e", "SET", "{06S}", "more") in OK
    finally:
        stage.close()


def test_a_slot_is_its_takers_though_the_power_fails_everywhere_right_behind_the_reply() -> None:
    """The claim was a line that nobody had fsynced: it was nobody's then (swarm seed 4246)."""
    stage = Stage(18)
    try:
        source, target = _begin_move_of_slot_0(stage)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target) in OK
        for name in stage.nodes.settings:
            stage.power_loss(name)
        for name in stage.nodes.settings:
            stage.world.power_on(name)
        assert stage.await_true(lambda: agrees(stage), 60)
        owner = _side(stage, "a").owner(0)
        assert owner is not None
        assert owner.shard_id == _side(stage, "b").me.shard_id
        assert source not in [each.id for each in _side(stage, "b").view.importing.values()]
    finally:
        stage.close()


def test_a_node_that_is_cut_off_takes_no_epoch_for_a_claim() -> None:
    """Its heir was elected in the same one meanwhile (swarm seed 2991)."""
    stage = Stage(19)
    try:
        form_cluster(stage, "a, b, c", "d, e, f", {"cluster-node-timeout": "5000"})
        source, target = _side(stage, "a").me.id, _side(stage, "b").me.id
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source) in OK
        before = _side(stage, "b").me.config_epoch
        stage.world.partition(["b"], list("acdef"))
        assert str(stage.ask("b", "CLUSTER", "BUMPEPOCH")).startswith("NOREPLICAS")
        assert str(stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target)).startswith("NOREPLICAS")
        assert _side(stage, "b").me.config_epoch == before
        stage.mend()
        assert "BUMPED" in str(stage.ask("b", "CLUSTER", "BUMPEPOCH"))
    finally:
        stage.close()


def test_a_slot_that_came_key_by_key_is_served_when_its_former_owner_has_let_it_go() -> None:
    stage = Stage(15)
    try:
        _, target = _begin_move_of_slot_0(stage)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        assert "BUMPED" in str(stage.ask("a", "CLUSTER", "BUMPEPOCH"))
        highest = _side(stage, "a").me.config_epoch
        stage.world.cut("a", "b")
        for _ in range(3):  # the epoch rises above what b claims, who does not hear of it
            _side(stage, "a").view.epoch += 1
            assert "BUMPED" in str(stage.ask("a", "CLUSTER", "BUMPEPOCH"))
        view = _side(stage, "b").view
        order = ("CLUSTER", "SETSLOT", 0, "NODE", target)
        claim = stage.world.loop.create_task(stage._ask("tool", "b", order, PORT))
        stage.world.run(0.3)
        assert view.owners[0] is view.me
        assert not claim.done(), "a, which works, does not know"
        stage.world.heal("a", "b")
        stage.world.run(2.0)
        assert claim.result() in OK
        assert _owner_of_slot_0(stage, "a") == target
        assert _side(stage, "b").me.config_epoch > highest + 2
        assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")
    finally:
        stage.close()


def test_a_slot_that_went_is_served_no_more_though_the_disk_is_slow() -> None:
    stage = Stage(16)
    try:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        side = _side(stage, "a")
        stage.world.slow_disk("a", 2.0)
        side.view.save(synced=True)
        side.queue.run()
        assert stage.ask("a", "CLUSTER", "GIVE", _side(stage, "b").me.id, 0) == 1
        assert str(stage.ask("a", "SET", "{06S}2", "more")).startswith("MOVED 0 ")
        assert stage.ask("b", "SET", "{06S}2", "more") in OK
        assert stage.ask("b", "DBSIZE") == 2
    finally:
        stage.close()


def test_a_slot_that_is_seen_to_go_takes_no_new_key_though_the_disk_is_full() -> None:
    """A tool saw the mark and moved all keys, and a key came that nobody moved (swarm seed 14923)."""
    stage = Stage(23)
    try:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "here") in OK
        side, target = _side(stage, "a"), _side(stage, "b").me.id
        stage.world.fill_disk("a")
        assert "error saving" in str(stage.ask("a", "CLUSTER", "SETSLOT", 0, "MIGRATING", target))
        assert side.view.migrating
        assert str(stage.ask("a", "SET", "{06S}2", "new")).startswith("ASK 0 ")
        assert stage.ask("a", "GET", "{06S}") in ("here", b"here")
    finally:
        stage.close()


def test_a_write_to_a_slot_that_goes_before_replicas_have_it_is_not_acknowledged() -> None:
    stage = Stage(22)
    try:
        form_cluster(stage, "a, b, c", "d, e, f", SHARD_SETTINGS | {"min-replicas-to-ack-timeout": "20000"})
        stage.world.run(3.0)
        stage.world.pause("d")
        replies: list[object] = []

        async def write(host: Any) -> None:
            client = await connect("a", PORT, within=2.0)
            replies.append(await client.ask("SET", "{06S}", "lost", within=30.0))

        stage.world.start("client", write)
        stage.world.run(0.5)
        source, target = _side(stage, "a").me.id, _side(stage, "b").me.id
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source) in OK
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target) in OK  # by hand: the key stays behind
        stage.world.resume("d")
        stage.world.run(1.0)
        assert stage.ask("b", "EXISTS", "{06S}") == 0
        assert [str(each)[:5] for each in replies] == ["NOACK"]
        assert stage.ask("a", "SET", "{3}", "goes on") in OK
    finally:
        stage.close()


def test_who_gave_a_slot_knows_the_epoch_of_its_claim_before_the_bus_tells_it() -> None:
    stage = Stage(18)
    try:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        stage.world.set_link("a", "b", latency=0.9)
        stage.world.run(2.0)
        stage.world.set_link("a", "b", latency=0.001)  # what is under way arrives first
        assert _give_slot_0(stage) == 0
        giver, taker = _side(stage, "a").view, _side(stage, "b").view
        assert giver.nodes[taker.me.id].config_epoch < taker.me.config_epoch, "the bus lags"
        assert giver.epoch >= taker.me.config_epoch
    finally:
        stage.close()


def test_what_a_source_began_to_give_is_thrown_away_when_it_has_fallen_silent() -> None:
    stage = Stage(20)
    try:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        source, side = _side(stage, "a").me.id, _side(stage, "b")
        session = Session(stage.nodes.latest["b"].engine)
        side.take(session, "BEGIN", b"token", [source.encode(), b"0"])
        stage.world.run(9.0)
        assert "on their way" in str(stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source))
        stage.world.run(2.0)
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source) in OK
        stage.ask("b", "CLUSTER", "SETSLOT", 0, "STABLE")
        assert agrees(stage)
    finally:
        stage.close()


def test_no_slot_is_claimed_of_which_another_tool_took_the_mark_away() -> None:
    stage = Stage(17)
    try:
        source, target = _begin_move_of_slot_0(stage)
        assert "BUMPED" in str(stage.ask("a", "CLUSTER", "BUMPEPOCH"))
        stage.world.run(1.0)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "STABLE") in OK
        assert "not being imported" in str(stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target))
        stage.world.run(2.0)
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source) in OK
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target) in OK
        stage.world.run(2.0)
        assert agrees(stage)
        assert _owner_of_slot_0(stage, "a") == target
        assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")
    finally:
        stage.close()


FIVE = "a, b, c, d, e", "f, g, h, i, j"
"""Primaries and their replicas, in this order."""


def _give_slot_0(stage: Stage) -> Any:
    side = stage.nodes.latest["b"].cluster
    assert side is not None
    return stage.ask("a", "CLUSTER", "GIVE", side.me.id, 0)


def test_a_slot_given_in_a_minority_is_served_by_nobody_there_and_what_was_acknowledged_stays() -> None:
    stage = Stage(21)
    try:
        settings = {"cluster-node-timeout": "2000", "cluster-require-full-coverage": "no"}
        form_cluster(stage, *FIVE, SHARD_SETTINGS | settings)
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        stage.world.partition(["a", "b", "g"], list("cdefhij"))
        given = _give_slot_0(stage)  # to b and its replica, both cut off from the majority
        assert not isinstance(given, int), given
        assert stage.ask("b", "SET", "{06S}2", "more") not in OK
        assert stage.await_true(lambda: not stage.nodes.latest["f"].replication.is_replica, 30)
        stage.world.run(6.0)
        assert stage.ask("f", "GET", "{06S}") in ("kept", b"kept")
        stage.mend()
        assert stage.await_true(lambda: agrees(stage), 60)
        holders = [
            name
            for name, node in stage.nodes.all_serving().items()
            if not node.replication.is_replica and keys_in_slot(node.engine, 0, 10)
        ]
        assert len(holders) == 1
        assert stage.ask(holders[0], "GET", "{06S}") in ("kept", b"kept")
        assert stage.ask(holders[0], "SET", "{06S}", "more") in OK
    finally:
        stage.close()


def test_a_slot_that_came_as_a_whole_is_the_heirs_though_its_taker_dies_right_behind_its_claim() -> None:
    stage = Stage(22)
    try:
        form_cluster(stage, *FIVE, {**SHARD_SETTINGS, "cluster-node-timeout": "2000"})
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        view: Any = _side(stage, "b").view
        log = view.log

        def die(text: str, level: str = "notice") -> None:
            log(text, level)
            if "slots taken from" in text:  # claimed, and not yet announced to anybody
                stage.world.loop.call_soon(stage.kill, "b")

        view.log = die
        given = _give_slot_0(stage)
        assert not stage.nodes.runs("b")
        assert stage.await_true(lambda: not stage.nodes.latest["g"].replication.is_replica, 30)
        leader = "g" if isinstance(given, int) else "a"
        stage.world.run(6.0)
        assert stage.ask(leader, "GET", "{06S}") in ("kept", b"kept"), given
        stage.start_again("b")
        assert stage.await_true(lambda: agrees(stage), 60)
        assert _owner_of_slot_0(stage, "c") == _side(stage, leader).me.id
    finally:
        stage.close()


def test_keys_stay_at_their_source_where_the_target_came_back_without_its_disk() -> None:
    """The node at its address knew nobody, and said that the slots were claimed."""
    stage = Stage(23)
    try:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        order = ("CLUSTER", "GIVE", _side(stage, "b").me.id, 0)
        gift = stage.world.loop.create_task(stage._ask("tool", "a", order, PORT))
        while not _side(stage, "a").view.giving:
            stage.world.run(0.0001)
        stage.kill("b")
        disk = stage.world.hosts["b"].disk
        for name in disk.listdir("."):
            disk.remove(name)
        stage.start_again("b")
        assert stage.await_true(gift.done, 20)
        assert "not given" in str(gift.result())
        assert keys_in_slot(stage.nodes.latest["a"].engine, 0, 10) == [b"{06S}"]
        assert _side(stage, "a").owner(0) is _side(stage, "a").me
    finally:
        stage.close()


def test_whether_slots_were_taken_says_only_who_is_asked_and_certain() -> None:
    stage = Stage(24)
    try:
        form_cluster(stage, "a, b, c", None, {"cluster-require-full-coverage": "no"})
        stage.world.run(3.0)
        ids = {name: _side(stage, name).me.id for name in "abc"}

        def answer(source: str, target: str, *slots: int) -> str:
            return str(stage.ask("b", "CLUSTER", "TAKEN", "0" * 16, source, target, *slots))

        assert answer(ids["a"], ids["b"], 0).startswith("UNKNOWN")
        assert answer(ids["a"], ids["c"], 0).startswith("ERR")
        assert answer("f" * 40, ids["b"], 0).startswith("ERR")
        assert stage.ask("a", "CLUSTER", "GIVE", ids["b"], 0, 1) == 0
        assert answer(ids["a"], ids["b"], 0, 1).startswith("CLAIMED")
        assert answer(ids["a"], ids["b"], 0, 2).startswith("TRYAGAIN"), "one is the source's still"
        assert stage.ask("b", "CLUSTER", "GIVE", ids["c"], 1) == 0
        assert answer(ids["a"], ids["b"], 0, 1).startswith("CLAIMED"), "one has gone on"
        assert stage.ask("b", "CLUSTER", "DELSLOTS", 1) in OK
        assert answer(ids["a"], ids["b"], 0, 1).startswith("TRYAGAIN"), "nobody has one of them"
    finally:
        stage.close()


@pytest.mark.parametrize("replicas", [None, "d, e, f"])
def test_a_slot_is_served_though_its_source_dies_for_good_behind_the_claim(replicas: str | None) -> None:
    """Who called the source down did not count among those who know, for ever."""
    stage = Stage(22)
    try:
        settings = {"cluster-node-timeout": "1000", "cluster-require-full-coverage": "no"}
        form_cluster(stage, "a, b, c", replicas, settings)
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        if replicas:
            stage.kill("d")
            stage.world.run(8.0)
        stage.world.slow_disk("b", 0.1)
        order = ("CLUSTER", "GIVE", _side(stage, "b").me.id, 0)
        stage.world.loop.create_task(stage._ask("tool", "a", order, PORT))
        while _side(stage, "b").owner(0) is not _side(stage, "b").me:
            stage.world.run(0.0001)
        stage.kill("a")
        before = _side(stage, "b").me.config_epoch
        stage.world.run(3.0)
        assert bool(_side(stage, "b").claims) is bool(replicas), "d may have votes, were it not dead"
        assert stage.await_true(lambda: not _side(stage, "b").claims, 10)
        assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")
        assert (_side(stage, "b").me.config_epoch > before) is bool(replicas), "above whom they elected"
        if replicas:
            stage.start_again("d")
            stage.world.run(10.0)
            assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")
    finally:
        stage.close()


def test_a_node_that_is_killed_right_behind_the_reply_remembers_which_slots_it_gives() -> None:
    stage = Stage(14)
    try:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        target = _side(stage, "b").me.id
        for slot in range(20):
            assert stage.ask("a", "CLUSTER", "SETSLOT", slot, "MIGRATING", target) in OK
        assert stage.ask("a", "CLUSTER", "SETSLOT", 7, "STABLE") in OK
        stage.kill("a")
        stage.start_again("a")
        assert stage.await_true(lambda: agrees(stage), 20)
        view = _side(stage, "a").view
        assert set(view.migrating) == set(range(20)) - {7}
        assert all(each.id == target for each in view.migrating.values())
    finally:
        stage.close()


async def _gives(stage: Stage, pairs: list[tuple[str, str]], given: list[int]) -> None:
    """Have slot 0 given to and fro, whoever has it, until the world ends."""
    luck = random.Random(stage.world.luck("gives").getrandbits(64))
    while True:
        await asyncio.sleep(luck.uniform(0.01, 0.3))  # virtual
        source, target = luck.choice(pairs)
        node = stage.nodes.serving(target)
        if node is None or node.cluster is None:
            continue
        try:
            client = await connect(source, PORT, within=0.3)
        except (OSError, TimeoutError):
            continue
        try:
            reply = await client.ask("CLUSTER", "GIVE", node.cluster.me.id, 0, within=8.0)
            given.append(reply) if isinstance(reply, int) else None
        except (OSError, TimeoutError):
            pass
        client.close()


@pytest.mark.parametrize("replicas", [0, 1])
@pytest.mark.parametrize("seed", SEEDS[: max(1, len(SEEDS) // 2)])
def test_a_slot_that_travels_as_a_whole_through_faults_loses_nothing(seed: int, replicas: int) -> None:
    stage = Stage(f"cluster/give/{seed}/{replicas}")
    try:
        following = [f"{name}0" for name in PRIMARIES] if replicas else []
        form_cluster(stage, ", ".join(PRIMARIES), ", ".join(following), SHARD_SETTINGS if replicas else {})
        both = ["a", "b", *(["a0", "b0"] if replicas else [])]
        writer, given = Writer(stage, both), list[int]()
        stage.world.start("writer", writer.main)
        pairs = [(one, other) for one in both for other in both if one[0] != other[0]]
        stage.world.start("giver", lambda host: _gives(stage, pairs, given))
        luck, world = random.Random(seed), stage.world
        for _ in range(8):
            world.run(luck.choice((0.1, 0.6, 1.3, 2.5)))
            match luck.randrange(4):
                case 0:
                    world.cut(*luck.choice(pairs), one_way=luck.random() < 0.5)
                case 1:
                    world.break_after(*luck.choice(pairs), luck.randrange(20_000))
                case 2:
                    world.pause(luck.choice(both))
                case 3:
                    world.heal_all()
                    for name in both:
                        world.resume(name)
        stage.mend()
        healed = len(writer.acknowledged)
        assert stage.await_true(lambda: len(writer.acknowledged) > healed, 60), "writes go on after healing"
        travelled = len(given)
        assert stage.await_true(lambda: len(given) > travelled, 60), "it travels after healing"
        world.kill("giver")
        writer.is_ending = True
        assert stage.await_true(lambda: agrees(stage), 60), "they agree after healing"
        world.run(1.0)
        holders = {}
        for name in stage.nodes.settings:
            node = stage.nodes.serving(name)
            if node is not None and node.cluster is not None and node.cluster.view.me.is_primary:
                holders[name] = set(keys_in_slot(node.engine, 0, 1 << 20))
        held = [names for names in holders.values() if names]
        wanted = {f"{{06S}}{number}".encode() for number in writer.acknowledged}
        assert len(held) == 1, {name: len(names) for name, names in holders.items()}
        assert wanted <= held[0], len(wanted - held[0])
    finally:
        stage.close()
