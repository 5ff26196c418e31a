"""Reads from replicas: by policy, never what a session has overwritten, never too old.

Real processes: a stock primary with a replica, and one Sentinel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.ports import free_port
from tests.proxy.clusters import cluster, cluster_pool
from tests.proxy.groups import sentinel_pool
from tests.proxy.peers import proxy_process
from tests.sentinel.group import Group, Process, group, until


@contextmanager
def one_replica(**directives: object) -> Iterator[tuple[Group, int]]:
    """Hold a primary, a replica, a Sentinel and a proxy that splits reads; yield the group and the port."""
    port = free_port()
    with group() as made:
        for _ in range(2):
            made.add_node().wait_ready()
        until(lambda: made.link_up(made.nodes[1]), "the replica is in sync")
        sentinel = made.add_sentinel("redis", quorum=1)
        sentinel.wait_ready()
        until(lambda: sentinel.client.sentinel_master("mymaster")["num-slaves"] == 1, "it knows the replica")
        with proxy_process(sentinel_pool(port, [sentinel.port], **directives), port):
            yield made, port


def gets_of(node: Process) -> int:
    """Return how many GETs a server has executed."""
    return int(node.client.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"])


def test_reads_go_to_replicas_and_a_session_reads_what_it_wrote() -> None:
    with one_replica(read__policy="prefer-replica") as (made, port):
        reader, writer = redis.Redis(port=port), redis.Redis(port=port)
        writer.set("x", "0")
        until(lambda: reader.get("x") == b"0" and gets_of(made.nodes[1]) > 10, "the replica answers reads")
        before = gets_of(made.nodes[1])
        for number in range(500):
            writer.set("x", number)
            assert writer.get("x") == b"%d" % number
        until(lambda: writer.get("x") == b"499" and gets_of(made.nodes[1]) > before + 10, "and again later")


def test_a_replica_that_is_not_in_sync_is_not_read_from() -> None:
    with one_replica(read__policy="prefer-replica", read__lag__ms=200) as (made, port):
        reader, writer = redis.Redis(port=port), redis.Redis(port=port)
        until(lambda: reader.get("x") is None and gets_of(made.nodes[1]) > 10, "the replica answers reads")
        made.nodes[1].client.execute_command("REPLICAOF 127.0.0.1 1")
        writer.set("x", "new")
        until(lambda: reader.get("x") == b"new", "the primary answers")
        before = gets_of(made.nodes[1])
        assert all(reader.get("x") == b"new" for _ in range(200))
        assert gets_of(made.nodes[1]) == before


def test_the_policy_replica_never_reads_from_the_primary() -> None:
    with one_replica(read__policy="replica", read__lag__ms=200) as (made, port):
        reader = redis.Redis(port=port)
        until(lambda: reader.get("x") is None and gets_of(made.nodes[1]) > 10, "the replica answers reads")
        assert gets_of(made.nodes[0]) == 0
        made.nodes[1].client.execute_command("REPLICAOF 127.0.0.1 1")
        with pytest.raises(redis.ResponseError, match="no replica"):
            for _ in range(100_000):
                reader.get("x")
        assert gets_of(made.nodes[0]) == 0


def test_reads_of_a_cluster_go_to_its_replicas() -> None:
    port = free_port()
    text = "read__policy"
    with cluster("redis", 3, 1) as made:
        directives = {text: "prefer-replica"}
        with proxy_process(cluster_pool(port, [made.nodes[0].port], **directives), port):
            writer, reader = redis.Redis(port=port), redis.Redis(port=port)
            assert writer.mset({f"k{number}": number for number in range(60)})
            replicas = [each for each in made.nodes if each.client.info("replication")["role"] == "slave"]

            def spread() -> bool:
                assert all(reader.get(f"k{number}") == b"%d" % number for number in range(60))
                return all(gets_of(each) > 10 for each in replicas)

            until(spread, "each replica answers reads")
            for number in range(200):
                writer.set("k1", number)
                assert writer.get("k1") == b"%d" % number
