"""Clusters in which half of the nodes are redis-server or Valkey: they agree, and fail over both ways."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import redis

from tests.cluster.processes import OURS, PROGRAMS, STOCK, VALKEY, Cluster, ClusterNode, until
from tests.peers import require_peer

EACH_STOCK = pytest.mark.parametrize("stock", [STOCK, VALKEY])
WAYS = pytest.mark.parametrize("ours_lead", [True, False], ids=["ours leads", "stock leads"])


def _mixed(directory: Path, stock: str, ours_lead: bool) -> Cluster:
    """Return three shards; each has a primary of the one kind and a replica of the other."""
    require_peer(PROGRAMS[stock])
    first, second = (OURS, stock) if ours_lead else (stock, OURS)
    cluster = Cluster(directory, [first, second, first], [second, first, second])
    try:
        cluster.join()
    except BaseException:
        cluster.close()
        raise
    return cluster


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


@EACH_STOCK
@WAYS
def test_a_mixed_cluster_fails_over_by_crash_by_hand_and_back(
    stock: str, ours_lead: bool, tmp_path: Path
) -> None:
    cluster = _mixed(tmp_path, stock, ours_lead)
    try:
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
        for each in cluster.nodes:
            assert "Bad data" not in each.log()
            assert "unknown extension" not in each.log()
    finally:
        cluster.close()


@EACH_STOCK
@WAYS
def test_a_stopped_primary_is_replaced_and_follows_when_it_goes_on(
    stock: str, ours_lead: bool, tmp_path: Path
) -> None:
    cluster = _mixed(tmp_path, stock, ours_lead)
    try:
        old, new = cluster.primaries[0], cluster.replicas[0]
        old.signal(signal.SIGSTOP)
        until(lambda: _all_agree(cluster, new, but=old), "all agree on the new primary")
        old.signal(signal.SIGCONT)
        until(lambda: "slave" in old.flags(old.port), "the old one follows")
    finally:
        cluster.close()


def _fail_over(cluster: Cluster, shard: int, manner: str) -> None:
    old, new = cluster.primaries[shard], cluster.replicas[shard]
    until(lambda: new.client.info()["master_link_status"] == "up", "in sync")
    new.cluster("FAILOVER", manner)
    until(lambda: _all_agree(cluster, new), "all agree on the new primary")
    until(lambda: "slave" in old.flags(old.port), "the old one follows")


@EACH_STOCK
@WAYS
def test_failover_by_force_and_takeover(stock: str, ours_lead: bool, tmp_path: Path) -> None:
    cluster = _mixed(tmp_path, stock, ours_lead)
    try:
        _fail_over(cluster, 0, "FORCE")
        _fail_over(cluster, 1, "TAKEOVER")
    finally:
        cluster.close()


def test_among_our_nodes_a_crash_is_made_good_long_before_the_node_timeout_is_over(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, [OURS] * 3, [OURS] * 3, 15_000)
    try:
        cluster.join()
        cluster.primaries[0].kill()
        assert until(cluster.replicas[0].is_primary, "the replica leads") < 10
    finally:
        cluster.close()
