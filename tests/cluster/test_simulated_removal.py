"""Nodes that are removed from a cluster as tools do it, in virtual time: FORGET everywhere, then RESET."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.sim.nodes import PORT
from holdfast.sim.scenario.cluster import form_cluster
from holdfast.sim.scenario.stage import Stage
from tests.cluster.simulated import OK, SHARD_SETTINGS, side_of

SETTINGS = {
    **SHARD_SETTINGS, "cluster-node-timeout": "1000", "cluster-require-full-coverage": "no",
    "appendonly": "yes", "appendfsync": "always",
}  # fmt: skip


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Return three shards; that of a has two replicas, d and g. One has to acknowledge a write."""
    stage = Stage(31)
    try:
        form_cluster(stage, "a, b, c", "d, e, f, g", SETTINGS)
        stage.world.run(3.0)
        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        yield stage
    finally:
        stage.close()


def _join_again(stage: Stage, name: str) -> None:
    """Start a removed node anew, and let it meet the others when they listen to it again."""
    stage.kill(name)
    stage.start_again(name)
    stage.world.run(62.0)
    assert stage.ask(name, "CLUSTER", "MEET", stage.world.hosts["b"].address, PORT) in OK
    stage.world.run(5.0)


def _remove(stage: Stage, name: str, how: str) -> None:
    """Remove a node as `holdfast cluster remove` and `redis-cli --cluster del-node` do."""
    node_id = side_of(stage, name).me.id
    for other in stage.nodes.settings:
        if other != name:
            assert stage.ask(other, "CLUSTER", "FORGET", node_id) in OK
    assert stage.ask(name, "CLUSTER", "RESET", how) in OK


@pytest.mark.parametrize("how", ["SOFT", "HARD"])
def test_a_replica_that_is_reset_has_left_its_shard(stage: Stage, how: str) -> None:
    """It called itself a primary and followed on, and its acknowledgements went on to count."""
    _remove(stage, "d", how)
    removed = stage.nodes.latest["d"]
    assert (removed.replication.is_replica, removed.engine.key_count(0)) == (False, 0)
    assert stage.ask("a", "SET", "{06S}", "kept on") in OK, "the other replica has it"
    stage.world.pause("g")
    assert str(stage.ask("a", "SET", "{06S}", "lost?")).startswith("NO"), "nobody else has it"
    stage.world.resume("g")
    stage.world.run(12.0)  # the member that went is taken out
    stage.kill("a")
    assert stage.await_true(lambda: not stage.nodes.latest["g"].replication.is_replica, 10)
    stage.start_again("a")
    stage.world.run(10.0)
    assert stage.ask("g", "SET", "{06S}", "kept still") in OK


def test_a_replica_that_was_reset_joins_again_where_it_is_told_to(stage: Stage) -> None:
    _remove(stage, "d", "SOFT")
    _join_again(stage, "d")
    assert stage.ask("d", "CLUSTER", "REPLICATE", side_of(stage, "a").me.id) in OK
    assert stage.await_true(lambda: stage.nodes.latest["d"].engine.key_count(0) == 1, 20)
    stage.kill("g")
    stage.world.run(12.0)  # it is taken out, too
    assert stage.ask("a", "SET", "{06S}", "more") in OK, "who is back acknowledges"
    stage.kill("a")
    assert stage.await_true(lambda: not stage.nodes.latest["d"].replication.is_replica, 30)


def test_a_former_replica_that_has_slots_is_no_heir_of_its_former_primary(stage: Stage) -> None:
    """It kept its shard's id: a fenced primary gave up all its slots, and followed it."""
    _remove(stage, "d", "SOFT")
    _join_again(stage, "d")
    assert stage.ask("d", "CONFIG", "SET", "min-replicas-to-ack", "0") in OK
    order = ("CLUSTER", "GIVE", side_of(stage, "d").me.id)
    assert stage.ask("b", *order, *range(6000, 6010)) == 0
    for leader in "ga":  # from now on a primary of this shard that starts waits for a leader
        assert stage.ask(leader, "CLUSTER", "FAILOVER") in OK
        stage.world.run(4.0)
    stage.kill("g")
    stage.kill("a")
    stage.world.run(3.0)
    stage.start_again("a")
    for first in range(6010, 6050, 10):
        stage.world.run(0.5)
        assert stage.ask("b", *order, *range(first, first + 10)) == 0
    side = stage.nodes.latest["a"].cluster
    assert side is not None
    assert (side.me.is_primary, side.me.slot_count) == (True, 5462)
    stage.start_again("g")
    stage.world.run(20.0)
    owner = side.owner(0)
    assert owner is not None
    name = next(each for each in "ag" if side_of(stage, each).me.id == owner.id)
    assert stage.ask(name, "GET", "{06S}") in ("kept", b"kept")
