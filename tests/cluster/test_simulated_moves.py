"""Slots that move key by key between unchanged nodes in virtual time: marks, claims, epochs."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from holdfast.sim.client import connect
from holdfast.sim.nodes import PORT
from holdfast.sim.scenario.cluster import agrees, form_cluster
from holdfast.sim.scenario.stage import Stage
from tests.cluster.simulated import (
    OK,
    SHARD_SETTINGS,
    owner_of_slot_0,
    side_of,
)


def _begin_move_of_slot_0(stage: Stage) -> tuple[str, str]:
    """Let a move slot 0, with a key, to b; return their ids."""
    form_cluster(stage, "a, b, c", "d, e, f", SHARD_SETTINGS)
    stage.world.run(3.0)
    ids = {name: side_of(stage, name).me.id for name in "ab"}
    assert stage.ask("a", "SET", "{06S}", "kept") in OK
    assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", ids["a"]) in OK
    assert stage.ask("a", "CLUSTER", "SETSLOT", 0, "MIGRATING", ids["b"]) in OK
    return ids["a"], ids["b"]


def test_a_moved_key_stays_at_its_source_until_the_replicas_of_the_target_hold_it() -> None:
    with closing(Stage(12)) as stage:
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


def test_a_replica_whose_disk_was_full_counts_again_among_those_who_know_of_a_claim() -> None:
    """It had left out answers: as many as the pings of that connection never came (swarm seeds 239, 526)."""
    with closing(Stage(17)) as stage:
        _, target = _begin_move_of_slot_0(stage)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        stage.world.fill_disk("e")
        order = ("CLUSTER", "SETSLOT", 0, "NODE", target)
        claim = stage.world.loop.create_task(stage._ask("tool", "b", order, PORT))
        stage.world.run(0.2)
        stage.world.fill_disk("e", free_bytes=None)
        assert stage.await_true(claim.done, 2)
        assert claim.result() in OK


def test_a_slot_is_claimed_when_replicas_know_and_the_next_leader_has_it_though_no_majority_heard() -> None:
    with closing(Stage(13)) as stage:
        _, target = _begin_move_of_slot_0(stage)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        stage.world.pause("e")
        assert str(stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target)).startswith("NOREPLICAS")
        assert owner_of_slot_0(stage, "c") != target, "no announcement"
        stage.world.resume("e")
        stage.world.run(1.0)
        order = ("CLUSTER", "SETSLOT", 0, "NODE", target)
        claim = stage.world.loop.create_task(stage._ask("tool", "b", order, PORT))
        while not side_of(stage, "b").view.claiming:  # a majority knows the number of its epoch
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


def test_a_slot_is_its_takers_though_the_power_fails_everywhere_right_behind_the_reply() -> None:
    """The claim was a line that nobody had fsynced: it was nobody's then (swarm seed 4246)."""
    with closing(Stage(18)) as stage:
        source, target = _begin_move_of_slot_0(stage)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target) in OK
        for name in stage.nodes.settings:
            stage.power_loss(name)
        for name in stage.nodes.settings:
            stage.world.power_on(name)
        assert stage.await_true(lambda: agrees(stage), 60)
        owner = side_of(stage, "a").owner(0)
        assert owner is not None
        assert owner.shard_id == side_of(stage, "b").me.shard_id
        assert source not in [each.id for each in side_of(stage, "b").view.importing.values()]


def test_a_node_that_is_cut_off_takes_no_epoch_for_a_claim() -> None:
    """Its heir was elected in the same one meanwhile (swarm seed 2991)."""
    with closing(Stage(19)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f", {"cluster-node-timeout": "5000"})
        source, target = side_of(stage, "a").me.id, side_of(stage, "b").me.id
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source) in OK
        before = side_of(stage, "b").me.config_epoch
        stage.world.partition(["b"], list("acdef"))
        assert str(stage.ask("b", "CLUSTER", "BUMPEPOCH")).startswith("NOREPLICAS")
        assert str(stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target)).startswith("NOREPLICAS")
        assert side_of(stage, "b").me.config_epoch == before
        stage.mend()
        assert "BUMPED" in str(stage.ask("b", "CLUSTER", "BUMPEPOCH"))


def test_a_slot_that_came_key_by_key_is_served_when_its_former_owner_has_let_it_go() -> None:
    with closing(Stage(15)) as stage:
        _, target = _begin_move_of_slot_0(stage)
        assert stage.ask("a", "MIGRATE", stage.world.hosts["b"].address, PORT, "{06S}", 0, 2000) in OK
        assert "BUMPED" in str(stage.ask("a", "CLUSTER", "BUMPEPOCH"))
        highest = side_of(stage, "a").me.config_epoch
        stage.world.cut("a", "b")
        for _ in range(3):  # the epoch rises above what b claims, who does not hear of it
            side_of(stage, "a").view.epoch += 1
            assert "BUMPED" in str(stage.ask("a", "CLUSTER", "BUMPEPOCH"))
        view = side_of(stage, "b").view
        order = ("CLUSTER", "SETSLOT", 0, "NODE", target)
        claim = stage.world.loop.create_task(stage._ask("tool", "b", order, PORT))
        stage.world.run(0.3)
        assert view.owners[0] is view.me
        assert not claim.done(), "a, which works, does not know"
        stage.world.heal("a", "b")
        stage.world.run(2.0)
        assert claim.result() in OK
        assert owner_of_slot_0(stage, "a") == target
        assert side_of(stage, "b").me.config_epoch > highest + 2
        assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")


def test_a_slot_that_is_seen_to_go_takes_no_new_key_though_the_disk_is_full() -> None:
    """A tool saw the mark and moved all keys, and a key came that nobody moved (swarm seed 14923)."""
    with closing(Stage(23)) as stage:
        form_cluster(stage, "a, b, c", None, {})
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "here") in OK
        side, target = side_of(stage, "a"), side_of(stage, "b").me.id
        stage.world.fill_disk("a")
        assert "error saving" in str(stage.ask("a", "CLUSTER", "SETSLOT", 0, "MIGRATING", target))
        assert side.view.migrating
        assert str(stage.ask("a", "SET", "{06S}2", "new")).startswith("ASK 0 ")
        assert stage.ask("a", "GET", "{06S}") in ("here", b"here")


def test_a_write_to_a_slot_that_goes_before_replicas_have_it_is_not_acknowledged() -> None:
    with closing(Stage(22)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f", SHARD_SETTINGS | {"min-replicas-to-ack-timeout": "20000"})
        stage.world.run(3.0)
        stage.world.pause("d")
        replies: list[object] = []

        async def write(host: Any) -> None:
            client = await connect("a", PORT, within=2.0)
            replies.append(await client.ask("SET", "{06S}", "lost", within=30.0))

        stage.world.start("client", write)
        stage.world.run(0.5)
        source, target = side_of(stage, "a").me.id, side_of(stage, "b").me.id
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", source) in OK
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "NODE", target) in OK  # by hand: the key stays behind
        stage.world.resume("d")
        stage.world.run(1.0)
        assert stage.ask("b", "EXISTS", "{06S}") == 0
        assert [str(each)[:5] for each in replies] == ["NOACK"]
        assert stage.ask("a", "SET", "{3}", "goes on") in OK


def test_no_slot_is_claimed_of_which_another_tool_took_the_mark_away() -> None:
    with closing(Stage(17)) as stage:
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
        assert owner_of_slot_0(stage, "a") == target
        assert stage.ask("b", "GET", "{06S}") in ("kept", b"kept")
