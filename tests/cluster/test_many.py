"""A cluster of many whole nodes in virtual time; `tests.reliability.cluster_whole` plays three hundred."""

from __future__ import annotations

from holdfast.sim import World
from tests.reliability.cluster_whole import WholeCluster


def test_thirty_nodes_replace_a_primary_that_crashes_and_agree() -> None:
    with World(1) as world:
        cluster = WholeCluster(world, primaries=10, replicas=2, timeout_ms=5000)
        cluster.run_until(cluster.replicas_follow)
        began = world.now
        cluster.crash(1)
        assert not cluster.owners_agree()
        cluster.run_until(cluster.owners_agree)
        assert world.now - began < 5
        assert not world.errors
