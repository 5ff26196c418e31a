"""`holdfast sim`: play scenarios, many seeds, or one seed again.

Only the door: options, progress bar, files, exit codes. What is played is decided in
`holdfast.sim`.

How to read it: one function a sub-command. Exit codes: 0 nothing wrong, 1 a promise was
broken or an expectation unmet, 2 wrong usage or a scenario that cannot be read.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TextIO

import click

from holdfast.sim.scenario import ScenarioError, run_text
from holdfast.sim.swarm.kinds import KINDS
from holdfast.sim.swarm.pool import run_many
from holdfast.sim.swarm.run import ALL_MUTATIONS, Outcome, play
from holdfast.sim.swarm.shrink import shrunk
from holdfast.sim.swarm.story import picture, told

BROKEN, UNREADABLE = 1, 2


@click.group()
def sim() -> None:
    """Whole deployments in one process, in virtual time."""


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
    except AssertionError as error:
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
@click.pass_context
def swarm(
    ctx: click.Context, seeds: int, first: int, kind: str, jobs: int, mutation: str, shrinks: bool
) -> None:
    """Play many seeds; the first that fails is printed as a scenario."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    failed: list[Outcome] = []
    began, virtual, acknowledged, promotions = time.monotonic(), 0.0, 0, 0
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("seeds", total=seeds)
        for outcome in run_many(range(first, first + seeds), jobs, mutation, kind):
            progress.advance(task)
            virtual += outcome.virtual_seconds
            acknowledged += outcome.acknowledged
            promotions += outcome.promotions
            if outcome.problem:
                failed.append(outcome)
                progress.update(task, description=f"[red]{len(failed)} failed")
                click.echo(f"seed {outcome.seed}: {outcome.problem.splitlines()[0]}")
    took = time.monotonic() - began
    click.echo(
        f"{seeds} seeds in {took:.1f} s ({seeds / took:.2f} a second), {virtual:.0f} virtual seconds, "
        f"{acknowledged} acknowledged writes, {promotions} promotions, {len(failed)} failed"
    )
    if failed:
        worst = min(failed, key=lambda each: each.seed)
        if shrinks:
            worst = shrunk(
                worst, mutation=mutation, kind=kind, tell=lambda text: console.print(text, style="dim")
            )
        click.echo(f"\n# {worst.problem.splitlines()[0]}\n{worst.scenario}")
        ctx.exit(BROKEN)


@sim.command("replay")
@click.argument("seed", type=int)
@click.option(
    "--mutation", default="", type=click.Choice(["", *ALL_MUTATIONS]), help="Put a deliberate fault in."
)
@click.option("--kind", default="replication", show_default=True, type=click.Choice([*KINDS]))
@click.option("--svg", "svg", type=click.Path(dir_okay=False), help="Write a timeline to this file.")
@click.pass_context
def replay(ctx: click.Context, seed: int, mutation: str, kind: str, svg: str | None) -> None:
    """Play SEED again and tell what happened in plain words."""
    outcome, stage = play(KINDS[kind](seed), mutation=mutation)
    click.echo(outcome.scenario)
    click.echo(told(stage), nl=False)
    if svg:
        Path(svg).write_text(picture(stage))
        click.echo(f"The timeline is in {svg}.")
    if outcome.problem:
        click.echo(f"NOT SO: {outcome.problem}", err=True)
        ctx.exit(BROKEN)
