"""redis-cli --cluster on a cluster of ours and stock nodes: every one of its orders.

One cluster of three primaries and three replicas serves the whole file; each test leaves it
with all slots covered and no slot open.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from tests.cluster.processes import OURS, STOCK, ClusterNode, until
from tests.peers import require_peer, start_holdfast, start_redis_server

KEYS = 600
TIMEOUT_MS = 4000


def cli(*words: object, check: bool = True) -> str:
    """Run redis-cli --cluster; return what it printed, without colours."""
    done = subprocess.run(
        ["redis-cli", "--cluster", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        input="yes\n" * 9,
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert not check or done.returncode == 0, text
    return text


class Cluster:
    """Six nodes that redis-cli has joined; some keys in it."""

    def __init__(self, directory: Path) -> None:
        kinds = (OURS, STOCK, OURS, STOCK, OURS, OURS)
        self.directory = directory
        self.nodes = [ClusterNode(kind, directory, TIMEOUT_MS) for kind in kinds]
        for each in self.nodes:
            until(each.client.ping, f"{each.kind} answers")

    @property
    def first(self) -> str:
        """The address that redis-cli is told."""
        return f"127.0.0.1:{self.nodes[0].port}"

    def client(self) -> RedisCluster:
        """A client of the whole cluster."""
        return RedisCluster(host="127.0.0.1", port=self.nodes[0].port, decode_responses=True)

    def of(self, kind: str) -> ClusterNode:
        """The first primary of this kind."""
        return next(each for each in self.nodes if each.kind == kind and each.is_primary())

    def agree(self) -> bool:
        """Whether redis-cli finds nothing wrong."""
        text = cli("check", self.first, check=False)
        return (
            "All nodes agree" in text
            and "All 16384 slots covered" in text
            and "open" not in text.replace("Check for open slots", "")
        )

    def has_all_keys(self) -> bool:
        """Whether every key is there, once."""
        with self.client() as client:
            found = [client.get(f"key:{number}") for number in range(KEYS)]
            return found == [str(number) for number in range(KEYS)] and self.count() == KEYS

    def count(self) -> int:
        """How many keys the primaries hold together."""
        return sum(each.client.dbsize() for each in self.nodes if each.is_primary())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Six nodes, created by redis-cli."""
    require_peer("redis-server")
    require_peer("redis-cli")
    made = Cluster(tmp_path_factory.mktemp("redis-cli"))
    try:
        addresses = [f"127.0.0.1:{each.port}" for each in made.nodes]
        cli("create", *addresses, "--cluster-replicas", 1, "--cluster-yes")
        until(made.agree, "the new cluster is whole")
        until(lambda: all(each.state() == "ok" for each in made.nodes), "all nodes serve")
        with made.client() as client:
            for number in range(KEYS):
                client.set(f"key:{number}", number)
        yield made
    finally:
        for each in made.nodes:
            each.kill()


@pytest.fixture(autouse=True)
def _whole(cluster: Cluster) -> Iterator[None]:
    yield
    until(cluster.agree, "the cluster is whole again")
    assert cluster.has_all_keys()


def test_create_gives_each_primary_a_replica(cluster: Cluster) -> None:
    roles = [each.is_primary() for each in cluster.nodes]
    assert sorted(roles) == [False] * 3 + [True] * 3


def test_info_counts_keys_slots_and_replicas(cluster: Cluster) -> None:
    text = cli("info", cluster.first)
    assert f"{KEYS} keys in 3 masters" in text
    assert text.count("1 slaves") == 3


def test_call_reaches_every_node(cluster: Cluster) -> None:
    assert cli("call", cluster.first, "ECHO", "hello").count("hello") == 6 + 1
    assert cli("call", cluster.first, "PING", "--cluster-only-masters").count("PONG") == 3


@pytest.mark.parametrize(("source", "target"), [(OURS, STOCK), (STOCK, OURS)])
def test_reshard_under_load_loses_and_doubles_nothing(cluster: Cluster, source: str, target: str) -> None:
    away, here = cluster.of(source), cluster.of(target)
    before = cluster.count()
    stop = threading.Event()
    errors: list[Exception] = []

    def work() -> None:
        """Read, write, count, and delete: what was deleted must not come back with its slot."""
        with cluster.client() as client:
            turn = 0
            while not stop.is_set():
                turn += 1
                number = turn % KEYS
                try:
                    assert client.get(f"key:{number}") == str(number)
                    client.set(f"key:{number}", number)
                    assert client.incr(f"short:{number}") == 1
                    assert client.incr(f"short:{number}") == 2
                    assert client.delete(f"short:{number}") == 1
                except Exception as error:
                    errors.append(error)
                    return

    worker = threading.Thread(target=work)
    worker.start()
    try:
        cli(
            "reshard", cluster.first, "--cluster-from", away.id, "--cluster-to", here.id,
            "--cluster-slots", 150, "--cluster-yes", "--cluster-pipeline", 20,
        )  # fmt: skip
    finally:
        stop.set()
        worker.join()
    assert errors == []
    until(lambda: cluster.count() == before, "no key lost or doubled")


def test_reshard_between_our_own_nodes(cluster: Cluster) -> None:
    ours = [each for each in cluster.nodes if each.kind == OURS and each.is_primary()]
    cli(
        "reshard", cluster.first, "--cluster-from", ours[0].id, "--cluster-to", ours[1].id,
        "--cluster-slots", 100, "--cluster-yes",
    )  # fmt: skip


def test_rebalance_makes_shares_equal(cluster: Cluster) -> None:
    cli("rebalance", cluster.first, "--cluster-threshold", 1)
    until(
        lambda: (
            sorted(int(count) for count in re.findall(r"(\d+) slots \|", cli("info", cluster.first)))[0]
            > 5300
        ),
        "equal shares",
    )


def test_fix_closes_open_slots_and_moves_their_keys(cluster: Cluster) -> None:
    away, here = cluster.of(OURS), cluster.of(STOCK)
    key = away.client.randomkey()
    slot = away.cluster("KEYSLOT", key)
    here.cluster("SETSLOT", slot, "IMPORTING", away.id)
    away.cluster("SETSLOT", slot, "MIGRATING", here.id)
    assert "open" in cli("check", cluster.first, check=False).replace("Check for open slots", "")
    cli("fix", cluster.first, "--cluster-yes")


def test_fix_covers_slots_that_nobody_has(cluster: Cluster) -> None:
    ours = cluster.of(OURS)
    empty = next(
        slot for slot in range(16384) if _owns(ours, slot) and ours.cluster("COUNTKEYSINSLOT", slot) == "0"
    )
    for each in cluster.nodes:
        if each.is_primary():
            each.cluster("DELSLOTS", empty)
    cli("fix", cluster.first, "--cluster-yes")


def test_add_node_and_del_node(cluster: Cluster) -> None:
    added = ClusterNode(OURS, cluster.directory, TIMEOUT_MS)
    follower = ClusterNode(STOCK, cluster.directory, TIMEOUT_MS)
    try:
        for each in (added, follower):
            until(each.client.ping, "the new node answers")
        cli("add-node", f"127.0.0.1:{added.port}", cluster.first)
        until(lambda: added.state() == "ok", "the new node serves")
        until(cluster.agree, "all know the new node")
        cli(
            "add-node", f"127.0.0.1:{follower.port}", cluster.first,
            "--cluster-slave", "--cluster-master-id", added.id,
        )  # fmt: skip
        until(lambda: follower.client.info()["master_link_status"] == "up", "the replica is in sync")
        until(cluster.agree, "all know the replica")
        cli(
            "reshard", cluster.first, "--cluster-from", cluster.of(STOCK).id, "--cluster-to", added.id,
            "--cluster-slots", 20, "--cluster-yes",
        )  # fmt: skip
        until(cluster.agree, "the slots have moved")
        added.client.config_set(
            "cluster-allow-replica-migration", "no"
        )  # else the last slot makes it a replica
        cli("rebalance", cluster.first, "--cluster-weight", f"{added.id}=0")
        until(cluster.agree, "the slots have moved back")
        for each in (follower, added):
            cli("del-node", cluster.first, each.id)
        until(lambda: all(len(each.table()) == 6 for each in cluster.nodes), "both are forgotten")
    finally:
        added.kill()
        follower.kill()


def test_import_takes_the_keys_of_a_lone_server(cluster: Cluster) -> None:
    for start in (start_holdfast, start_redis_server):
        with start() as lone, redis.Redis(port=lone.port) as client:
            client.mset({f"imported:{number}": number for number in range(50)})
            cli(
                "import", cluster.first, "--cluster-from", lone.address, "--cluster-copy", "--cluster-replace"
            )
    with cluster.client() as client:
        assert [client.get(f"imported:{number}") for number in range(50)] == [str(n) for n in range(50)]
        for number in range(50):
            client.delete(f"imported:{number}")


def test_backup_saves_every_shard(cluster: Cluster, tmp_path: Path) -> None:
    cli("backup", cluster.first, tmp_path)
    saved = list(tmp_path.glob("*.rdb"))
    assert len(saved) == 3
    assert all(path.read_bytes().startswith(b"REDIS") for path in saved)
    assert (tmp_path / "nodes.json").exists()


def _owns(node: ClusterNode, slot: int) -> bool:
    for word in node.table()[node.port][8:]:
        first, _, last = word.partition("-")
        if first.isdigit() and int(first) <= slot <= int(last or first):
            return True
    return False
