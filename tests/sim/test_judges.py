"""What the judges of a run say of faults that no seed brings about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from holdfast.sim import World
from holdfast.sim.nodes import DIRECTORY
from holdfast.sim.scenario.stage import Stage
from holdfast.sim.scenario.vocabulary import do
from holdfast.sim.swarm import files

NODE = f"{'a' * 40} 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-99"
SLOT = f"vars slot:5 {'a' * 40}/-/-"


@pytest.mark.parametrize(
    ("path", "text", "is_wrong"),
    [
        (files.NODES, "", False),
        (files.NODES, f"{NODE}\nvars currentEpoch 1 lastVoteEpoch 0\n", False),
        (files.NODES, f"{NODE}\nvars currentEpoch 1 lastVoteEpoch 0\n{SLOT}\n{SLOT[:20]}", False),
        (files.NODES, f"{NODE}\n{NODE[:60]}\nvars currentEpoch 1 lastVoteEpoch 0\n", True),
        (files.NODES, "vars currentEpoch 1 lastVoteEpoch 0\n", True),
        (files.SENTINEL, "sentinel monitor mymaster 10.0.0.1 6379 2\nsentinel current-epoch 3\n", False),
        (files.SENTINEL, "sentinel monitor mymaster 10.0.0.1 6379 2\nsentinel myid x\n", True),
        (files.SENTINEL, "sentinel current-epoch 3\n", True),
    ],
)
def test_a_file_that_its_node_could_not_read_is_wrong(path: str, text: str, is_wrong: bool) -> None:
    with World(1) as world:
        disk = world.host("a").disk
        disk.makedirs(DIRECTORY)
        file = disk.open(path, "wb")
        file.write(text.encode())
        file.close()
        look = files.wrong_sentinel_file if path == files.SENTINEL else files.wrong_files
        assert bool(look(disk)) is is_wrong


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage(1)
    try:
        for line in ("judge a cluster", "cluster of a, b, c with replicas d, e, f", "write 20 keys at a"):
            do(made, line)
        yield made
    finally:
        made.close()


def test_judges_of_a_cluster_see_a_fence_that_is_forgotten(stage: Stage) -> None:
    stage.checks.watch()
    assert not stage.checks.violations
    do(stage, "ask b: HOLDFAST FENCE 9 leader")
    stage.checks.watch()
    assert not stage.checks.violations, "it stands at what it has reported"
    standing = stage.nodes.latest["b"].replication.standing
    standing.node = replace(standing.node, state=replace(standing.node.state, fence_epoch=8, term_epoch=8))
    stage.checks.watch()
    assert "b has forgotten its fence" in stage.checks.violations[0]
