"""`holdfast migrate FROM TO`: move a live data set between deployments, in either direction.

What it is: options, a progress bar, the result in words or JSON. What it is not: the moving
(`holdfast.ops.migration`).
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import click

from holdfast.cli import exits
from holdfast.cli.exits import AS_JSON, deployment_at, fail
from holdfast.ops.migration.run import Differs, MigrationFailed, Moved
from holdfast.ops.migration.run import migrate as run_migration
from holdfast.ops.topology import Topology

STEPS = {"copy": "copying", "follow": "following", "verify": "comparing"}


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--from-password", default="", envvar="HOLDFAST_FROM_PASSWORD", metavar="TEXT")
@click.option("--to-password", default="", envvar="HOLDFAST_TO_PASSWORD", metavar="TEXT")
@click.option("--from-name", default="", metavar="NAME", help="The primary's name in FROM's Sentinels.")
@click.option("--to-name", default="", metavar="NAME", help="The primary's name in TO's Sentinels.")
@click.option("--replace", is_flag=True, help="TO may hold keys; those of the same name are overwritten.")
@click.option("--sample", default=1000, show_default=True, metavar="N", help="Compare N keys; 0: all.")
@click.option("--keep-open", is_flag=True, help="Let FROM take writes afterwards.")
@AS_JSON
def migrate(
    source: str,
    target: str,
    from_password: str,
    to_password: str,
    from_name: str,
    to_name: str,
    replace: bool,
    sample: int,
    keep_open: bool,
    as_json: bool,
) -> None:
    """Move a live data set from one deployment to another.

    FROM and TO are HOST:PORT of any node or Sentinel, ours or not, or the directory of a
    deployment of ours. Clients may write to FROM all the while; at the end their writes wait for
    some milliseconds, what is left is carried over and compared, and from then on FROM refuses
    writes (-NOREPLICAS), so that nobody goes on writing to the old place by mistake.

    Exit status: 0 moved; 1 not moved, FROM goes on as before; 4 nothing answers; 6 the copy
    differs, FROM goes on as before.
    """
    there = _deployment(source, from_password, from_name)
    here = _deployment(target, to_password, to_name)
    try:
        moved = asyncio.run(_run(there, here, replace, sample, keep_open, as_json))
    except Differs as error:
        fail(f"the copy differs, and was not handed over: {error}", exits.LOST)
    except MigrationFailed as error:
        fail(str(error))
    if as_json:
        fields = {"keys": moved.keys, "changed_meanwhile": moved.changed_meanwhile}
        fields |= {"held_ms": round(moved.held_ms), "closed": moved.is_closed}
        click.echo(json.dumps(fields | {"seconds": round(moved.seconds, 1)}))
        return
    click.echo(
        f"{moved.keys:,} keys moved in {moved.seconds:.1f} s; writes waited for {moved.held_ms:.0f} ms."
    )
    if moved.is_closed:
        click.echo("The source refuses writes now; CONFIG SET min-replicas-to-write 0 on its nodes opens it.")


def _deployment(place: str, password: str, group: str) -> Topology:
    if os.path.isdir(place):
        return deployment_at("", place, password, group)
    return deployment_at(place, "", password, group)


async def _run(
    there: Topology, here: Topology, replace: bool, sample: int, keep_open: bool, quiet: bool
) -> Moved:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet)
    columns: list[Any] = [TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        tasks: dict[str, Any] = {}
        most = [0]

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(STEPS[step], total=total)
            if step == "follow":  # what is left shrinks, and grows again
                most[0] = max(most[0], total)
                done, total = most[0] - total, most[0]
            bar.update(tasks[step], completed=done if total else 1, total=max(total, 1))

        return await run_migration(
            there, here, progress, replace=replace, sample=sample, hand_over=not keep_open
        )
