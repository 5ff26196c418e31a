"""`holdfast sim`: play scenarios, many seeds, or one seed again.

Only the door: options, progress bar, files, exit codes. What is played is decided in
`holdfast.sim`.

How to read it: one function a sub-command. Exit codes: 0 nothing wrong, 1 a promise was
broken or an expectation unmet, 2 wrong usage or a scenario that cannot be read, 3 cancelled before all
was played, with nothing wrong so far.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import click

from holdfast.sim.scenario import Broken, ScenarioError, Unmet, run_text
from holdfast.sim.swarm.kinds import KINDS
from holdfast.sim.swarm.pool import run_many
from holdfast.sim.swarm.run import ALL_MUTATIONS, OF_KIND, Outcome, play
from holdfast.sim.swarm.shrink import shrunk
from holdfast.sim.swarm.story import picture, told

BROKEN, UNREADABLE, CANCELLED = 1, 2, 3


@click.group()
def sim() -> None:
    """Whole deployments in one process, in virtual time.

    Exit codes: 0 nothing is wrong; 1 a promise was broken, or something was not as expected; 2 wrong
    usage; 3 cancelled, and nothing was wrong so far.
    """


@sim.command("run")
@click.argument("scenario", type=click.File())
@click.pass_context
def run(ctx: click.Context, scenario: TextIO) -> None:
    """Play SCENARIO: print each step and how every node then stands."""
    try:
        for line in run_text(scenario.read()):
            click.echo(line)
    except ScenarioError as error:
        click.echo(str(error), err=True)
        ctx.exit(UNREADABLE)
    except (Broken, Unmet) as error:
        click.echo(f"NOT SO: {error}", err=True)
        ctx.exit(BROKEN)


@sim.command("swarm")
@click.option("--seeds", default=200, show_default=True, type=click.IntRange(1), help="How many seeds.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--kind", default="replication", show_default=True, type=click.Choice([*KINDS]))
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option(
    "--mutation", default="", type=click.Choice(["", *ALL_MUTATIONS]), help="Put a deliberate fault in."
)
@click.option(
    "--shrink/--no-shrink", "shrinks", default=True, help="Look for fewer faults that fail as well."
)
@click.option(
    "--scenario", "target", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the first that fails to this file, for `holdfast sim run`.",
)  # fmt: skip
@click.pass_context
def swarm(
    ctx: click.Context, seeds: int, first: int, kind: str, jobs: int, mutation: str, shrinks: bool,
    target: Path | None,
) -> None:  # fmt: skip
    """Play many seeds; the first that fails is printed as a scenario.

    Ctrl-C ends it after the seed that is being played, and says what came of those that were.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    _must_be_of(kind, mutation)
    _must_be_writable(target)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    failed: list[Outcome] = []
    began, played, virtual, acknowledged, promotions = time.monotonic(), 0, 0.0, 0, 0
    cancelled = _on_interrupt()
    with (
        suppress(KeyboardInterrupt),
        Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress,
    ):
        task = progress.add_task("seeds", total=seeds)
        for outcome in run_many(range(first, first + seeds), jobs, mutation, kind):
            played += 1
            progress.advance(task)
            virtual += outcome.virtual_seconds
            acknowledged += outcome.acknowledged
            promotions += outcome.promotions
            if outcome.problem:
                failed.append(outcome)
                progress.update(task, description=f"[red]{len(failed)} failed")
                click.echo(f"seed {outcome.seed}: {outcome.problem.splitlines()[0]}")
            if cancelled.is_set():
                break
    signal.signal(signal.SIGINT, signal.default_int_handler)
    took = time.monotonic() - began
    is_cut = played < seeds
    count = f"Cancelled: {played} of {seeds}" if is_cut else f"{seeds}"
    click.echo(
        f"{count} seeds in {took:.1f} s ({played / took:.2f} a second), {virtual:.0f} virtual seconds, "
        f"{acknowledged} acknowledged writes, {promotions} promotions, {len(failed)} failed"
    )
    if failed:
        worst = min(failed, key=lambda each: each.seed)
        if shrinks and not is_cut:
            with suppress(KeyboardInterrupt):  # then it is printed as it was drawn
                worst = shrunk(
                    worst, mutation=mutation, kind=kind, tell=lambda text: console.print(text, style="dim")
                )
        text = f"# {worst.problem.splitlines()[0]}\n{worst.scenario}"
        click.echo(f"\n{text}")
        if target is not None:
            target.write_text(text)
            click.echo(f"This scenario is in {target}.", err=True)
        ctx.exit(BROKEN)
    if is_cut:
        ctx.exit(CANCELLED)


@sim.command("replay")
@click.argument("seed", type=int)
@click.option(
    "--mutation", default="", type=click.Choice(["", *ALL_MUTATIONS]), help="Put a deliberate fault in."
)
@click.option("--kind", default="replication", show_default=True, type=click.Choice([*KINDS]))
@click.option(
    "--svg", "svg", type=click.Path(dir_okay=False, path_type=Path), help="Write a timeline to this file."
)
@click.pass_context
def replay(ctx: click.Context, seed: int, mutation: str, kind: str, svg: Path | None) -> None:
    """Play SEED again and tell what happened in plain words."""
    _must_be_of(kind, mutation)
    _must_be_writable(svg)
    outcome, stage = play(KINDS[kind](seed), mutation=mutation)
    click.echo(outcome.scenario)
    click.echo(told(stage), nl=False)
    if svg:
        svg.write_text(picture(stage))
        click.echo(f"The timeline is in {svg}.")
    if outcome.problem:
        click.echo(f"NOT SO: {outcome.problem}", err=True)
        ctx.exit(BROKEN)


def _must_be_of(kind: str, mutation: str) -> None:
    """Raise click.UsageError for a fault that the runs of a kind have no place for."""
    if mutation and mutation not in OF_KIND[kind]:
        kinds = " or ".join(each for each, faults in OF_KIND.items() if mutation in faults)
        raise click.UsageError(f"{mutation} cannot be put into runs of the kind {kind}: say --kind {kinds}")


def _must_be_writable(path: Path | None) -> None:
    """Raise click.UsageError where nothing can be written, before much is played."""
    if path is not None and not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise click.UsageError(f"{path} cannot be written")


def _on_interrupt() -> threading.Event:
    """Return what the first Ctrl-C sets; the second raises KeyboardInterrupt."""
    cancelled = threading.Event()

    def hear(number: int, frame: object) -> None:
        cancelled.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, hear)
    return cancelled
