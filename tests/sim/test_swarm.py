"""The swarm: seeds keep every promise, equal seeds are equal runs, mistakes are seen.

A run of the suite plays 200 seeds: 150 of the kind replication, 25 with Sentinels, 25 clusters.
Options by environment: HOLDFAST_SWARM_SEEDS (150), HOLDFAST_SENTINEL_SEEDS (23, and two that once failed),
HOLDFAST_CLUSTER_SEEDS (23, and two), HOLDFAST_DETERMINISM_SEEDS (3), HOLDFAST_SENTINEL_MUTATIONS (unset: all
that are seen soon).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from holdfast.cli.main import main
from holdfast.sim.swarm.cluster_mutations import CLUSTER_MUTATIONS
from holdfast.sim.swarm.draw import draw
from holdfast.sim.swarm.history import Operation, Outcome
from holdfast.sim.swarm.linearizability import Access, accesses, is_linearizable
from holdfast.sim.swarm.mutations import MUTATIONS
from holdfast.sim.swarm.run import play, run_seed
from holdfast.sim.swarm.sentinel_mutations import SENTINEL_MUTATIONS
from holdfast.sim.swarm.shrink import shrunk
from holdfast.sim.swarm.story import picture, told

ROOT = Path(__file__).parents[2]
SEEDS = int(os.environ.get("HOLDFAST_SWARM_SEEDS", "150"))
SENTINEL_SEEDS = int(os.environ.get("HOLDFAST_SENTINEL_SEEDS", "23"))
CLUSTER_SEEDS = int(os.environ.get("HOLDFAST_CLUSTER_SEEDS", "23"))
CHUNK = 10
DETERMINISM_SEEDS = int(os.environ.get("HOLDFAST_DETERMINISM_SEEDS", "3"))
CATCHES = {
    "release-early": 36,
    "release-at-one": 41,
    "count-strangers": 41,
    "acknowledge-unapplied": 14,
    "keep-old-acknowledgements": 36,
    "forget-fence": 2,
    "always-intact": 22,
    "follow-anybody": 0,
    "promote-stalest": 47,
    "forget-second-id": 0,
    "continue-elsewhere": 3,
    "follow-empty": 15,
    "halve-transactions": 0,
    "drop-set-record": 0,
    "rename-unsynced": 1,
    "lift-fence": 175,
    "reply-before-fsync": 73,
    "promote-hastily": 216,
    "expire-on-replica": 18,
    "acknowledge-inside-multi": 3,
    "answer-reads-at-once": 165,
}
"""Mutation to a seed that sees it. All of them are here."""
SENTINEL_CATCHES = {
    "sentinel-forgets": 20,
    "sentinel-leaves-strays": 2,
    "sentinel-skips-fsync": 287,
    "sentinel-votes-twice": 287,
    "sentinel-counts-silence": 287,
    "sentinel-promotes-hastily": 489,
    "sentinel-trusts-the-lost": 314,
    "sentinel-drops-the-dead": 123,
    "restarted-primary-leads-on": 85,
    "sentinel-promotes-stalest": 283,
    "sentinel-believes-anybody": 3,
    "sentinel-waits-for-no-lease": 43,
}
"""The same of the kind sentinel. All of them are here."""
CLUSTER_CATCHES = {
    "ignore-collisions": 0,
    "serve-after-losing": 0,
    "send-no-changes": 12,
    "accept-older-epoch": 2,
    "majority-of-one": 2,
    "forget-nodes-file": 2,
    "lead-unfenced": 3,
    "vote-twice": 6,
}
"""The same of the kind cluster. All of them are here."""
SEEN_LATE = ("sentinel-trusts-the-lost",)
"""Seen only when nobody has led for two minutes; HOLDFAST_SENTINEL_MUTATIONS=1: tried as well."""
EVERY_MUTATION = os.environ.get("HOLDFAST_SENTINEL_MUTATIONS") == "1"


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        outcome = run_seed(seed)
        assert not outcome.problem, f"seed {seed}: {outcome.problem}\n{outcome.scenario}"


@pytest.mark.parametrize("seed", [*range(SENTINEL_SEEDS), 1002, 1051])
def test_no_seed_with_sentinels_breaks_a_promise(seed: int) -> None:
    """What the last two once saw.

    1002: writes that had waited for the lease were answered without acknowledgements. 1051: a Sentinel that
    did not know of a fence lifted it with REPLICAOF.
    """
    outcome = run_seed(seed, kind="sentinel")
    assert not outcome.problem, f"seed {seed}: {outcome.problem}\n{outcome.scenario}"


def test_every_deliberate_fault_has_a_seed_that_sees_it() -> None:
    assert CATCHES.keys() == MUTATIONS.keys()
    assert SENTINEL_CATCHES.keys() == SENTINEL_MUTATIONS.keys()
    assert CLUSTER_CATCHES.keys() == CLUSTER_MUTATIONS.keys()


@pytest.mark.parametrize(
    "name", [name for name in SENTINEL_CATCHES if EVERY_MUTATION or name not in SEEN_LATE]
)
def test_a_deliberate_fault_of_sentinels_is_seen(name: str) -> None:
    seeds = (SENTINEL_CATCHES[name], *(SENTINEL_CATCHES[name] + more for more in (1, 2)))
    seen = any(run_seed(seed, mutation=name, kind="sentinel").problem for seed in seeds)
    assert seen, SENTINEL_MUTATIONS[name].summary


@pytest.mark.parametrize("name", CLUSTER_CATCHES)
def test_a_deliberate_fault_of_cluster_nodes_is_seen(name: str) -> None:
    seeds = range(CLUSTER_CATCHES[name], CLUSTER_CATCHES[name] + 3)
    seen = any(run_seed(seed, mutation=name, kind="cluster").problem for seed in seeds)
    assert seen, CLUSTER_MUTATIONS[name].summary


@pytest.mark.parametrize("name", CATCHES)
def test_a_deliberate_fault_is_seen(name: str) -> None:
    seeds = (CATCHES[name], *(CATCHES[name] + more for more in (1, 2, 3)))
    assert any(run_seed(seed, mutation=name).problem for seed in seeds), MUTATIONS[name].summary


def test_the_same_seed_is_the_same_run_under_other_hash_seeds() -> None:
    program = (
        "import sys, zlib\nfrom holdfast.sim.swarm.run import run_seed\n"
        "for seed in range(int(sys.argv[1])): print(run_seed(seed))"
    )
    logs = [
        subprocess.run(
            [sys.executable, "-c", program, str(DETERMINISM_SEEDS)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for hash_seed in ("1", "777")
    ]
    assert logs[0] == logs[1]
    assert logs[0].count(b"log_crc=") == DETERMINISM_SEEDS


def test_a_failing_seed_is_shrunk_to_a_scenario_that_fails_too() -> None:
    failing = run_seed(15, mutation="follow-empty")
    assert failing.problem
    smaller = shrunk(failing, mutation="follow-empty", tries=12)
    assert smaller.problem
    assert len(smaller.scenario.splitlines()) <= len(failing.scenario.splitlines())


def test_a_replay_is_told_in_words_and_drawn() -> None:
    _, stage = play(draw(1))
    assert "acknowledged writes" in told(stage)
    assert picture(stage).count("<circle") > 3


def test_no_label_of_the_picture_lies_over_another() -> None:
    _, stage = play(draw(1))
    drawn = picture(stage)
    labels = re.findall(r'<text x="([\d.]+)" y="(\d+)" fill="#\w+" font-size="9">([^<]*)<', drawn)
    assert len(labels) > 3
    ends: dict[str, float] = {}
    for x, y, text in sorted(labels, key=lambda label: float(label[0])):
        assert float(x) >= ends.get(y, 0.0), text
        ends[y] = float(x) + 4.5 * len(text)


def test_the_command_plays_seeds_and_prints_the_scenario_of_one_that_fails() -> None:
    runner = CliRunner()
    good = runner.invoke(main, ["sim", "swarm", "--seeds", "1"])
    assert good.exit_code == 0, good.output
    assert "0 failed" in good.output
    bad = runner.invoke(
        main, ["sim", "swarm", "--seeds", "1", "--mutation", "halve-transactions", "--no-shrink"]
    )
    assert bad.exit_code == 1
    assert "wait until convergence" in bad.output


@pytest.mark.parametrize(
    ("kind", "mutation"),
    [("replication", "sentinel-votes-twice"), ("replication", "vote-twice"), ("sentinel", "promote-stalest")],
)
def test_a_fault_that_a_kind_has_no_place_for_is_refused(kind: str, mutation: str) -> None:
    for words in (["swarm", "--seeds", "1"], ["replay", "0"]):
        ran = CliRunner().invoke(main, ["sim", *words, "--kind", kind, "--mutation", mutation])
        assert ran.exit_code == 2
        assert f"{mutation} cannot be put into runs of the kind {kind}" in " ".join(ran.output.split())


@pytest.mark.parametrize("words", [["replay", "0", "--svg"], ["swarm", "--seeds", "1", "--scenario"]])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_played(words: list[str]) -> None:
    ran = CliRunner().invoke(main, ["sim", *words, "/nonexistent/x"])
    assert ran.exit_code == 2
    assert "/nonexistent/x cannot be written" in ran.output


def test_a_failing_seed_is_written_to_a_file_that_can_be_run(tmp_path: Path) -> None:
    path = tmp_path / "failed.txt"
    words = ["--seeds", "1", "--mutation", "halve-transactions", "--no-shrink", "--scenario", str(path)]
    assert CliRunner().invoke(main, ["sim", "swarm", *words]).exit_code == 1
    ran = CliRunner().invoke(main, ["sim", "run", str(path)])
    assert ran.exit_code == 0, "without the fault nothing is wrong"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_swarm_that_is_cancelled_tells_what_was_played(jobs: str) -> None:
    words = ["sim", "swarm", "--seeds", "5000", "--jobs", jobs, "--mutation", "halve-transactions"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from holdfast.cli.main import main; main()", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("seed "), process.communicate()
        process.send_signal(signal.SIGINT)
        told, warned = process.communicate(timeout=50)
    finally:
        process.kill()
    assert process.returncode == 1, "a seed has failed"
    assert re.search(r"Cancelled: \d+ of 5000 seeds .* [1-9]\d* failed", told), told + warned
    assert "wait until convergence" in told
    assert "Traceback" not in warned


def test_the_command_says_where_a_scenario_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text("start a\nflip a\n")
    shown = CliRunner().invoke(main, ["sim", "run", str(path)])
    assert shown.exit_code == 2
    assert "line 2" in shown.output


def register(
    kind: str, value: str | None, began: float, ended: float, outcome: Outcome = Outcome.OK
) -> Operation:
    return Operation("c", kind, "r", value, began, ended, outcome)


def test_a_read_of_an_old_value_after_a_newer_one_is_not_linearizable() -> None:
    history = [Access(True, "1", 0, 1), Access(True, "2", 2, 3), Access(False, "1", 4, 5)]
    assert not is_linearizable(history)
    assert is_linearizable([*history[:2], Access(False, "1", 2.5, 5)])


def test_an_unknown_write_may_happen_late_or_never() -> None:
    unknown = register("set", "2", 2, 3, Outcome.UNKNOWN)
    first = register("set", "1", 0, 1)
    late = [first, unknown, register("get", "1", 4, 5), register("get", "2", 6, 7)]
    assert is_linearizable(accesses(late))
    back = [*late, register("get", "1", 8, 9)]
    assert not is_linearizable(accesses(back))


@pytest.mark.parametrize("seed", [*range(CLUSTER_SEEDS), 158, 243])
def test_no_seed_of_a_cluster_breaks_a_promise(seed: int) -> None:
    """What some of these seeds once saw.

    0: a log was closed before the sync that it had been promised began. 9: two winners of one epoch. 12: a
    node led without its memory, and asked nobody what it lacked. 20: a member's old link, found dead after
    it had attached anew, took it out of the count. 158: all came back from files, the best copy had no tail
    to give, and nobody ever led. 243: the same where only the old primary was intact.
    """
    outcome = run_seed(seed, kind="cluster")
    assert not outcome.problem, f"seed {seed}: {outcome.problem}\n{outcome.scenario}"
