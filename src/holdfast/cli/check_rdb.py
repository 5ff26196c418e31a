"""`holdfast check-rdb`: what is wrong with an RDB file, and how many keys are safe.

Only the door: options, progress bar, words, exit codes. What is whole is decided
in `holdfast.persistence.check_rdb`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from dataclasses import asdict

import click

from holdfast.cli.check import DAMAGED, UNREADABLE, WHOLE
from holdfast.persistence.aof_reader import Progress
from holdfast.persistence.check_rdb import RdbReport
from holdfast.server.host import Disk


@click.command("check-rdb")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check_rdb(ctx: click.Context, file: str, as_json: bool) -> None:
    """Check FILE, an RDB: every value is read as a server would read it.

    Takes as much memory as a server with this data.

    Exit codes: 0 whole; 1 damaged; 2 wrong usage, or the file cannot be read.
    """
    from holdfast.persistence.check_rdb import check_rdb as check

    disk: Disk = ctx.obj if ctx.obj is not None else _local_disk()
    try:
        report = _run(check(disk, file), shown=sys.stderr.isatty() and not as_json)
    except OSError as error:
        text = f"{error.filename or file}: {error.strerror or error}"
        click.echo(text.encode("utf-8", "backslashreplace").decode(), err=True)
        ctx.exit(UNREADABLE)
    if as_json:
        click.echo(json.dumps({**asdict(report), "whole": report.whole}, indent=2))
    else:
        click.echo(_words(report).encode("utf-8", "backslashreplace").decode())
    ctx.exit(WHOLE if report.whole else DAMAGED)


def _local_disk() -> Disk:
    from holdfast.server.machine import Machine

    return Machine().disk


def _run(steps: Generator[Progress, None, RdbReport], *, shown: bool) -> RdbReport:
    """Run a check to its end, with a progress bar where somebody looks."""
    if shown:
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("checking", total=None)
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    report: RdbReport = end.value
                    return report
                bar.update(task, completed=step.done_bytes, total=step.total_bytes)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report = end.value
            return report


def _words(report: RdbReport) -> str:
    made_by = report.fields.get("redis-ver")
    version = f"version {report.version}" + (f", written by {made_by}" if made_by else "")
    keys = f"{report.keys:,} keys, {report.expiring:,} of them expire"
    if report.functions:
        keys += f", {report.functions} function libraries"
    if report.whole:
        lines = [f"{report.path}: whole, {report.size:,} bytes, {version}: {keys}"]
        if report.trailing_bytes:
            lines.append(f"note: {report.trailing_bytes:,} bytes follow its end; a server ignores them")
        return "\n".join(lines)
    return "\n".join([
        f"{report.path}: DAMAGED, {report.size:,} bytes, {version}",
        f"  0x{report.wrong_at:x} (offset {report.wrong_at}): {report.reason}",
        f"  safe before it: {keys}",
        "This cannot be mended by cutting a tail: restore the file from a backup.",
    ])  # fmt: skip
