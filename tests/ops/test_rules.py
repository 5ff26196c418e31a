"""What starts as what: an emptied primary leads no more, a cold start brings back what was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.ops.deployment_file import read_deployment
from holdfast.ops.forming import pairs_of
from holdfast.ops.model import Deployment
from holdfast.ops.plan import Programs, plan, remembered_primary, sentinel_file
from holdfast.ops.rules import (
    HoldBack,
    Situation,
    StartAsIs,
    StartFollowing,
    next_start,
    pause_before_start_s,
)
from holdfast.ops.wire import Address

LED_AND_DIED = Situation(
    is_managed=True,
    leads=True,
    leader="127.0.0.1:6380",
    others_live=True,
    has_files=True,
    others_have_files=True,
    is_first_start=False,
    waited_s=0.0,
)
PROGRAMS = Programs(("server",), ("sentinel",), ("proxy",))


def test_a_primary_that_died_waits_until_another_leads_and_then_follows_it() -> None:
    assert isinstance(next_start(LED_AND_DIED), HoldBack)
    named = replace(LED_AND_DIED, leads=False, leader="127.0.0.1:6381")
    assert next_start(named) == StartFollowing("127.0.0.1:6381")


def test_it_leads_again_if_nobody_took_over_or_nobody_else_lives() -> None:
    assert next_start(replace(LED_AND_DIED, waited_s=11.0)) == StartAsIs()
    assert next_start(replace(LED_AND_DIED, others_live=False)) == StartAsIs()


def test_an_emptied_primary_never_leads_while_others_have_data_however_long_it_waits() -> None:
    emptied = replace(LED_AND_DIED, has_files=False, waited_s=1e6)
    assert isinstance(next_start(emptied), HoldBack)
    assert isinstance(next_start(replace(emptied, others_live=False)), HoldBack)
    assert isinstance(next_start(replace(emptied, others_have_files=False)), HoldBack)
    assert next_start(replace(emptied, others_live=False, others_have_files=False)) == StartAsIs()


def test_a_node_of_a_cluster_finds_its_primary_by_itself() -> None:
    taken = replace(LED_AND_DIED, is_cluster=True, leads=False, leader="another node of its shard")
    assert next_start(taken) == StartAsIs()
    assert isinstance(next_start(replace(LED_AND_DIED, is_cluster=True)), HoldBack)


def test_the_first_start_and_a_lone_node_wait_for_nobody() -> None:
    assert next_start(replace(LED_AND_DIED, is_first_start=True, has_files=False)) == StartAsIs()
    assert next_start(replace(LED_AND_DIED, is_managed=False)) == StartAsIs()


def test_pauses_between_starts_grow_and_end_at_ten_seconds() -> None:
    pauses = [pause_before_start_s(failures) for failures in range(1, 20)]
    assert pauses == sorted(pauses) and pauses[0] == 0.1 and pauses[-1] == 10.0


def test_a_sentinels_memory_outlives_the_settings_of_its_file() -> None:
    first = plan(Deployment(proxy=False), PROGRAMS, "x")
    wanted = next(each.file_text for each in first if each.name == "sentinel-1")
    assert sentinel_file(wanted, "") == wanted
    lived = wanted.replace("monitor mymaster 127.0.0.1 6380", "monitor mymaster 127.0.0.1 6381").replace(
        "config-epoch mymaster 1", "config-epoch mymaster 7"
    )
    lived += "sentinel known-voters mymaster 2 1 aa bb cc\n"
    later = plan(Deployment(proxy=False, down_after_ms=9000), PROGRAMS, "x")
    changed = next(each.file_text for each in later if each.name == "sentinel-1")
    merged = sentinel_file(changed, lived)
    assert remembered_primary(merged) == (7, Address("127.0.0.1", 6381))
    assert "down-after-milliseconds mymaster 9000" in merged and merged.count("sentinel myid") == 1
    assert "sentinel known-voters mymaster 2 1 aa bb cc" in merged, "voters are never forgotten (rule 17)"


def test_all_sentinels_know_each_other_and_the_replicas_from_the_first_moment() -> None:
    files = {each.name: each.file_text for each in plan(Deployment(proxy=False), PROGRAMS, "x")}
    own_id = next(
        line.split()[2] for line in files["sentinel-2"].splitlines() if line.startswith("sentinel myid")
    )
    assert f"known-sentinel mymaster 127.0.0.1 26380 {own_id}" in files["sentinel-1"]
    assert "known-replica mymaster 127.0.0.1 6382" in files["sentinel-3"]
    assert "replicaof 127.0.0.1 6380" in files["node-3"] and "replicaof" not in files["node-1"]


def shards_by_host(file: str) -> list[list[str]]:
    """Return for each shard of a file's cluster the hosts of its copies."""
    made = read_deployment(file)
    assert made.cluster is not None
    nodes = [each for each in plan(made, PROGRAMS, "x") if each.is_data]
    primaries, replicas = nodes[: made.cluster.shards], nodes[made.cluster.shards :]
    pairs = pairs_of(primaries, replicas)
    assert [each for each, _ in pairs] == replicas
    return [[each.host.name, *(one.host.name for one, its in pairs if its is each)] for each in primaries]


@pytest.mark.parametrize("hosts", [2, 3, 4, 6])
@pytest.mark.parametrize("shape", ["3x1", "4x1", "3x2"])
def test_a_host_that_dies_takes_no_two_copies_of_a_shard_with_it(hosts: int, shape: str) -> None:
    lines = "".join(f'h{number} = "127.0.0.{number}"\n' for number in range(1, hosts + 1))
    placed = shards_by_host(f'cluster = "{shape}"\n[hosts]\n{lines}')
    copies = int(shape[-1]) + 1
    assert [len(set(each)) for each in placed] == [min(copies, hosts)] * int(shape[0])
    assert {len(each) for each in placed} == {copies}
