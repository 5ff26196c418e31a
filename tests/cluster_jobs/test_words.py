"""What is said to `holdfast cluster`: what cannot be meant is refused in words, before anything is asked."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from holdfast.cli.cluster_words import brief
from holdfast.cli.main import main
from tests.cluster_jobs.stage import TOOL, Stage, environment, holdfast, own_cluster

A, B, C = (f"127.0.0.1:{port}" for port in (1, 2, 3))
"""Nobody listens there."""


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["create", A, B, C, A], f"{A} is given twice"),
        (["create", A, B, C, "--weight", f"{A[:-1]}9=2"], "127.0.0.1:9 is none of the addresses"),
        (["create", A, B, C, "--weight", A], "it is written NODE=WEIGHT"),
        (["create", A, B, C, "--weight", f"{A}=much"], "a weight is a number, 0 or more"),
        (["create", A, B, C, "--weight", f"{A}=nan"], "a weight is a number, 0 or more"),
        (["create", A, B, C, "--weight", f"{A}=1", "--weight", f"{A}=2"], "has a weight already"),
        (["reshard", A, "--move", f"5={B}", "--to", B], "or --move alone"),
        (["reshard", A, "--move", f"5={B}", "--from", B], "or --move alone"),
        (["reshard", A, "--slots", "5"], "give --to and --slots"),
        (["add", A, B, B], f"{B} is given twice"),
        (["add", A, B, "--replica", "--replica-of", C], "not both"),
        (["add", A, B, "--replica", "--rebalance"], "a replica holds no slots"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(words: list[str], reason: str) -> None:
    ran = CliRunner().invoke(main, ["cluster", *words, "--yes"])
    assert ran.exit_code == 2, ran.output
    assert reason in ran.output.replace("\n", " ")


def test_a_plan_of_nodes_that_do_not_answer_is_none() -> None:
    ran = CliRunner().invoke(main, ["cluster", "create", A, B, C, "--dry-run"])
    assert ran.exit_code == 4
    assert ran.output.strip() == f"{A}: Connection refused"


@pytest.mark.parametrize(
    ("slots", "shown"),
    [
        ([], ""),
        ([*range(100), 200], "0-99 200"),
        (range(0, 20, 2), "0 2 4 6 and 6 more"),
    ],
)
def test_many_ranges_are_counted_where_people_read(slots: list[int], shown: str) -> None:
    assert brief(slots) == shown


# ---- said to a cluster ----


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Three primaries with a replica each, and one more node that is in no cluster."""
    with own_cluster(3, 1) as made:
        made.start()
        yield made


def names(stage: Stage) -> dict[str, str]:
    """Return a primary P with its replica R, another primary Q, and the NEW node, by address."""
    nodes = stage.client(0).execute_command("CLUSTER NODES")
    leads = sorted(each for each in nodes if "master" in nodes[each]["flags"])
    first = leads[0]
    behind = next(each for each in nodes if nodes[each]["master_id"] == nodes[first]["node_id"])
    return {"P": first, "R": behind, "Q": leads[1], "NEW": stage.addresses[6]}


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ("reshard P --move x=Q", 2, "'x' is no slot"),
        ("reshard P --move 5-=Q", 2, "'5-' is no slot"),
        ("reshard P --move 5", 2, "it is written SLOTS=NODE"),
        ("reshard P --move 5=R", 2, "is no living primary"),
        ("reshard P --move 5=nobody", 2, "no node of that address"),
        ("reshard P --move 5=P --move 5=Q", 2, "slot 5 is to go to two nodes"),
        ("add P Q --replica", 2, "serves slots of this cluster: it cannot be a replica"),
        ("add P Q --replica-of P", 2, "serves slots of this cluster: it cannot be a replica"),
        ("add P R --rebalance", 2, "is a replica: it holds no slots"),
        ("create P Q NEW --dry-run", 5, "is in a cluster with 4 other nodes"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_before_anything_is_done(
    stage: Stage, words: str, code: int, reason: str
) -> None:
    named = names(stage)
    said = ["=".join(named.get(part, part) for part in word.split("=")) for word in words.split()]
    ran = CliRunner().invoke(main, ["cluster", *said, "--yes"])
    assert ran.exit_code == code, ran.output
    assert reason in ran.output.replace("\n", " ")


def test_a_plan_says_what_becomes_of_slots_and_replicas(stage: Stage) -> None:
    named = names(stage)
    code, report = holdfast("add", named["P"], named["NEW"], "--rebalance", "--dry-run")
    assert code == 0, report
    assert sum(move["slots"] for move in report["plan"]) == 4096
    assert {move["to"] for move in report["plan"]} == {named["NEW"]}
    shown = CliRunner().invoke(main, ["cluster", "remove", named["Q"], named["P"], "--dry-run"])
    assert f"Then {named['R']} follows " in shown.output
    assert f"Then {named['P']} leaves the cluster." in shown.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_question_can_be_cancelled(stage: Stage, number: signal.Signals) -> None:
    named = names(stage)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*TOOL, "remove", named["Q"], named["P"]],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    try:
        assert process.stderr is not None
        asked = ""
        while "[y/N]" not in asked:
            piece = process.stderr.read(1)
            assert piece, asked
            asked += piece
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 3, told
    assert "Cancelled" in told


def test_a_node_that_was_away_when_it_was_taken_out_says_how_it_is_used_again(stage: Stage) -> None:
    named = names(stage)
    away = next(number for number, each in enumerate(stage.addresses) if each == named["R"])
    stage.peers[away].kill()
    code, report = holdfast("remove", named["P"], named["R"], "--yes")
    assert code == 0 and report["remembers"], report
    stage.restart(away)
    back = CliRunner().invoke(main, ["cluster", "add", named["P"], named["R"], "--replica", "--yes"])
    assert back.exit_code == 5 and "taken out while it was away" in back.output, back.output
    stage.client(away).execute_command("CLUSTER RESET HARD")
    code, report = holdfast("add", named["P"], named["R"], "--replica", "--yes")
    assert code == 0, report
