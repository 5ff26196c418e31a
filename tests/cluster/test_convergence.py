"""Faults drawn by luck, then healing: the machines agree again, and never broke a rule meanwhile."""

from __future__ import annotations

import os

import pytest

from tests.cluster.pure import PureCluster, PureNode

SEEDS = range(int(os.environ.get("CLUSTER_SEEDS", "8")))
"""More of them by hand: CLUSTER_SEEDS=2000."""


def _disturb(cluster: PureCluster) -> None:
    luck = cluster.luck
    node = cluster.nodes[luck.randrange(len(cluster.nodes))]
    match luck.randrange(6):
        case 0:
            cluster.crash(node)
        case 1:
            cluster.restart(node)
        case 2:
            cluster.pause(node)
        case 3:
            cluster.resume(node)
        case 4:
            numbers = list(range(len(cluster.nodes)))
            luck.shuffle(numbers)
            at = luck.randrange(1, len(numbers))
            cluster.cut(numbers[:at], numbers[at:])
        case 5:
            cluster.cut()


@pytest.mark.parametrize("seed", SEEDS)
def test_after_any_faults_all_nodes_agree_on_one_owner_a_slot(seed: int) -> None:
    cluster = PureCluster(seed, replicas=1 + seed % 2)
    cluster.form()
    for _ in range(cluster.luck.randrange(4, 14)):
        _disturb(cluster)
        cluster.run(cluster.luck.choice((30, 200, 900, 1500, 4000)))
    cluster.heal()
    assert cluster.run_until(cluster.is_converged, 40_000)
    for node in cluster.nodes:
        cluster.is_consistent(node)


def _leader_of(cluster: PureCluster, slot: int, among: list[PureNode]) -> PureNode | None:
    for node in among:
        owner = node.view.owners[slot]
        if node.runs and owner is node.view.me and node.view.is_ok:
            return node
    return None


def _outage_ms(cluster: PureCluster) -> int:
    """Return how long slot 0 has no serving owner from here on."""
    others = cluster.nodes[1:]
    start = cluster.now_ms
    assert cluster.run_until(lambda: _leader_of(cluster, 0, others) is not None, 20_000)
    return cluster.now_ms - start


@pytest.mark.parametrize("timeout_ms", [1000, 5000])
def test_a_crash_is_seen_and_made_good_at_once(timeout_ms: int) -> None:
    cluster = PureCluster(1, timeout_ms=timeout_ms)
    cluster.form()
    cluster.run(3000)
    cluster.crash(cluster.nodes[0])
    assert _outage_ms(cluster) <= 100


@pytest.mark.parametrize(("timeout_ms", "limit_ms"), [(1000, 1500), (5000, 5600)])
def test_a_stopped_primary_is_replaced_soon_after_the_node_timeout(timeout_ms: int, limit_ms: int) -> None:
    cluster = PureCluster(2, timeout_ms=timeout_ms)
    cluster.form()
    cluster.run(3000)
    cluster.pause(cluster.nodes[0])
    assert timeout_ms <= _outage_ms(cluster) <= limit_ms


def test_the_other_shards_are_served_all_the_while() -> None:
    cluster = PureCluster(3, replicas=2)
    cluster.form()
    cluster.run(3000)
    cluster.crash(cluster.nodes[0])
    for _ in range(100):
        cluster.run(20)
        assert cluster.nodes[1].view.is_ok
        assert cluster.nodes[2].view.is_ok


def test_a_minority_stops_serving_and_the_majority_fails_over() -> None:
    cluster = PureCluster(4)
    cluster.form()
    cluster.cut([1, 2, 3, 4, 5], [0])
    assert _outage_ms(cluster) <= 1600
    assert not cluster.nodes[0].view.is_ok
    cluster.heal()
    assert cluster.run_until(cluster.is_converged, 10_000)
    assert cluster.nodes[0].view.me.is_replica


def test_a_primary_that_was_stopped_serves_nothing_before_it_has_reached_a_majority() -> None:
    cluster = PureCluster(5)
    cluster.form()
    cluster.pause(cluster.nodes[0])
    cluster.run(4000)
    old = cluster.nodes[0]
    old.is_paused = False
    old.machine.beat(cluster.now_ms)
    assert not old.view.is_ok


def test_the_replica_with_the_most_data_wins() -> None:
    cluster = PureCluster(6, replicas=2)
    cluster.form()
    cluster.run(2000)
    behind, ahead = cluster.nodes[3], cluster.nodes[6]
    cluster.crash(cluster.nodes[0])
    behind.offset, ahead.offset = 100, 200
    assert cluster.run_until(lambda: ahead.view.me.is_primary, 5000)
    assert cluster.run_until(
        lambda: behind.view.me.primary is not None and behind.view.me.primary.port == ahead.port, 5000
    )


def test_a_spare_replica_moves_to_a_primary_that_lost_its_own() -> None:
    cluster = PureCluster(7, replicas=2)
    cluster.form()
    orphan = cluster.nodes[0]
    for node in (cluster.nodes[3], cluster.nodes[6]):
        cluster.crash(node)
    assert cluster.run_until(
        lambda: any(
            each.runs and each.view.me.primary is not None and each.view.me.primary.port == orphan.port
            for each in cluster.nodes
        ),
        30_000,
    )
