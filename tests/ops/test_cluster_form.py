"""`holdfast up --cluster 3x1`: formed, asked and ordered by any node, killed, emptied, stopped and back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.ops.deployments import Running, deployment, holdfast, up


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One cluster for the tests of this file; each leaves it healthy."""
    with deployment("--cluster", "3x1") as made:
        client = made.client()
        for number in range(300):
            client.set(f"k{number}", number)
        yield made


def test_a_cluster_is_formed_and_each_primary_has_a_replica(running: Running) -> None:
    told = json.loads(running.ask("status", "--json").stdout)
    assert told["health"] == "ok" and told["form"] == "cluster" and len(told["leaders"]) == 3
    followed = {each["follows"] for each in told["members"] if each["role"] == "replica"}
    assert followed == set(told["leaders"])


def test_any_node_answers_for_the_whole_and_takes_orders(running: Running) -> None:
    running.until_well()
    node = f"127.0.0.1:{running.port + 2}"
    told = json.loads(holdfast("status", node, "--json").stdout)
    assert len(told["members"]) == 6 and told["health"] == "ok"
    replica = next(each["address"] for each in told["members"] if each["role"] == "replica")
    done = holdfast("switchover", node, "--to", replica, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["new"] == replica
    assert holdfast("pause", node).returncode == 0
    assert running.status()["automatic_failover"] is False
    assert holdfast("resume", node).returncode == 0
    assert running.status()["automatic_failover"] is True


@pytest.mark.parametrize("fault", ["kill", "restart-empty", "switchover"])
def test_a_drill_on_a_cluster_loses_nothing(running: Running, fault: str) -> None:
    running.until_well()
    done = running.ask("drill", fault, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["lost"] == report["stale_reads"] == report["refused"] == 0
    assert report["acknowledged"] > 500
    open_at_most = 0 if fault == "switchover" else int(report["settings"]["writers"])
    assert report["unknown"] <= open_at_most, report["errors"]
    told = ["leader", "promoted", "first write"]
    assert list(report["phases"]) == (told if fault == "switchover" else ["seen", "agreed", *told])
    moments = list(report["phases"].values())
    assert moments == sorted(moments) and moments[-1] <= report["ended_ms"]
    assert any(" leads now, in the place of node-" in each["text"] for each in report["happenings"])
    assert running.client().get("k299") == "299"


def test_a_cluster_that_was_stopped_comes_back_with_every_key(running: Running) -> None:
    running.until_well()
    assert running.ask("down").returncode == 0
    up(running.home, running.port, *running.words)
    client = running.client()
    values = [client.get(f"k{number}") for number in range(300)]
    assert values == [str(number) for number in range(300)]
    assert running.status()["health"] == "ok"
