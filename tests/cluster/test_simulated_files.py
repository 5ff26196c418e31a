"""nodes.conf of unchanged nodes in virtual time: disks that are full, and many small changes."""

from __future__ import annotations

from contextlib import closing

from holdfast.cluster.slots import members
from holdfast.sim.scenario.cluster import form_cluster
from holdfast.sim.scenario.stage import Stage
from tests.cluster.simulated import (
    OK,
    SHARD_SETTINGS,
    side_of,
)


def test_a_disk_that_was_full_for_a_moment_leaves_a_file_that_can_be_read() -> None:
    with closing(Stage(17)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f", SHARD_SETTINGS)
        stage.world.run(3.0)
        other = side_of(stage, "b").me.id
        stage.world.fill_disk("a", free_bytes=20)
        assert "error saving" in str(stage.ask("a", "CLUSTER", "SETSLOT", 0, "MIGRATING", other))
        stage.world.fill_disk("a", free_bytes=None)
        assert stage.ask("a", "CLUSTER", "SETSLOT", 1, "MIGRATING", other) in OK
        stage.kill("a")
        stage.start_again("a")
        stage.world.run(0.1)
        assert sorted(side_of(stage, "a").view.migrating) == [0, 1]


def test_slots_that_are_added_one_by_one_make_no_new_file_each_and_are_remembered() -> None:
    with closing(Stage(18)) as stage:
        form_cluster(stage, "a, b, c", "d, e, f", SHARD_SETTINGS)
        stage.world.run(3.0)
        disk = stage.world.hosts["a"].disk
        path = side_of(stage, "a").queue.store.path
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
        assert list(members(side_of(stage, "a").me.slots))[:11] == [*range(10), 20]
