"""Clusters in which half of the nodes are redis-server: they agree, and fail over both ways."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import redis

from tests.cluster.processes import OURS, STOCK, Cluster, ClusterNode, until
from tests.peers import require_peer

HALF = ([OURS, STOCK, OURS], [STOCK, OURS, STOCK])
OTHER_HALF = ([STOCK, OURS, STOCK], [OURS, STOCK, OURS])


def _keys(cluster: Cluster, count: int) -> None:
    client = redis.RedisCluster("127.0.0.1", cluster.nodes[0].port)
    for number in range(count):
        assert client.set(f"key:{number}", number)
    client.close()


def _all_agree(cluster: Cluster, leader: ClusterNode, but: ClusterNode | None = None) -> bool:
    seen = [each for each in cluster.nodes if each is not but]
    return all(
        "master" in each.flags(leader.port) and len(each.table()[leader.port]) > 8 for each in seen
    ) and all(each.state() == "ok" for each in seen)


@pytest.mark.parametrize("half", [HALF, OTHER_HALF], ids=["ours leads", "stock leads"])
def test_a_mixed_cluster_fails_over_by_crash_by_hand_and_back(
    half: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    require_peer("redis-server")
    cluster = Cluster(tmp_path, *half)
    try:
        cluster.join()
        _keys(cluster, 300)
        old, new = cluster.primaries[0], cluster.replicas[0]
        keys = old.client.dbsize()
        until(lambda: new.client.dbsize() == keys, "the replica holds the keys")
        old.kill()
        until(lambda: _all_agree(cluster, new, but=old), "all agree on the new primary")
        old.start()
        until(lambda: "slave" in old.flags(old.port) and old.client.dbsize() == keys, "the old one follows")
        until(lambda: old.client.info()["master_link_status"] == "up", "in sync")
        old.cluster("FAILOVER")
        until(lambda: old.is_primary() and _all_agree(cluster, old), "it leads again, by hand")
        assert old.client.dbsize() == keys
        until(lambda: "slave" in new.flags(new.port), "the other follows")
        for kind in (OURS, STOCK):
            for each in (node for node in cluster.nodes if node.kind == kind):
                assert "Bad data" not in each.log()
                assert "unknown extension" not in each.log()
    finally:
        cluster.close()


def test_a_stopped_stock_primary_is_replaced_by_ours_and_follows_when_it_goes_on(tmp_path: Path) -> None:
    require_peer("redis-server")
    cluster = Cluster(tmp_path, *OTHER_HALF)
    try:
        cluster.join()
        old, new = cluster.primaries[0], cluster.replicas[0]
        old.signal(signal.SIGSTOP)
        until(lambda: _all_agree(cluster, new, but=old), "all agree on the new primary")
        old.signal(signal.SIGCONT)
        until(lambda: "slave" in old.flags(old.port), "the old one follows")
    finally:
        cluster.close()


@pytest.mark.parametrize(
    ("replica", "manner"), [(OURS, "FORCE"), (OURS, "TAKEOVER"), (STOCK, "FORCE"), (STOCK, "TAKEOVER")]
)
def test_failover_by_force_and_takeover(replica: str, manner: str, tmp_path: Path) -> None:
    require_peer("redis-server")
    cluster = Cluster(tmp_path, [OURS, STOCK, OURS], [replica])
    try:
        cluster.join()
        new = cluster.replicas[0]
        new.cluster("FAILOVER", manner)
        until(lambda: _all_agree(cluster, new), "all agree on the new primary")
        assert cluster.primaries[0].id in [each.id for each in cluster.nodes]
        until(lambda: "slave" in cluster.primaries[0].flags(cluster.primaries[0].port), "the old one follows")
    finally:
        cluster.close()


@pytest.mark.parametrize("timeout_ms", [1000, 5000])
def test_among_our_nodes_a_crash_is_made_good_within_the_bar(timeout_ms: int, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, [OURS] * 3, [OURS] * 3, timeout_ms)
    try:
        cluster.join()
        cluster.primaries[0].kill()
        outage_s = until(cluster.replicas[0].is_primary, "the replica leads")
        assert outage_s < 0.8
    finally:
        cluster.close()
