"""`holdfast check-aof`: what is wrong with files on disk, and mending them.

Only the door: options, progress bar, words, exit codes. What is whole is decided
in `holdfast.persistence.check_aof`.

How to read it: the command, then `_words` (for people) and `_json` (for programs).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from typing import Any

import click

from holdfast.persistence.aof_reader import Progress
from holdfast.persistence.aof_walk import State
from holdfast.persistence.check_aof import FileReport, Mended, Report, check, mend
from holdfast.persistence.check_rdb import check_preamble
from holdfast.server.host import Disk

WHOLE, DAMAGED, UNREADABLE = 0, 1, 2


@click.command("check-aof")
@click.argument("file")
@click.option("--fix", is_flag=True, help="Cut the last file after its last whole command; keeps a copy.")
@click.option(
    "--truncate-to-timestamp",
    "timestamp",
    type=click.IntRange(min=0),
    metavar="T",
    help="Cut the last file before the first command later than T (seconds since 1970); keeps a copy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check_aof(ctx: click.Context, file: str, fix: bool, timestamp: int | None, as_json: bool) -> None:
    """Check FILE: the manifest of an append-only file, one of its files, or a single-file AOF.

    Tells of each file up to which offset it is whole, how many commands that is,
    and what is wrong behind it.

    Exit codes: 0 whole, or made whole; 1 damaged, and left as it was; 2 wrong
    usage, or the files cannot be read or written.
    """
    if fix and timestamp is not None:
        raise click.UsageError("--fix and --truncate-to-timestamp exclude each other")
    disk: Disk = ctx.obj if ctx.obj is not None else _local_disk()
    try:
        steps = check(disk, file, check_rdb=check_preamble, latest=-1 if timestamp is None else timestamp)
        report = _run(steps, shown=sys.stderr.isatty() and not as_json)
        refusal = _refusal(report)
        later = report.damaged is not None and report.damaged.verdict.state is State.LATER
        mended = mend(disk, report) if (fix or later) and report.mendable and not refusal else None
    except OSError as error:
        text = f"{error.filename or file}: {error.strerror or error}"
        click.echo(text.encode("utf-8", "backslashreplace").decode(), err=True)
        ctx.exit(UNREADABLE)
    if as_json:
        click.echo(json.dumps(_json(report, mended, refusal), indent=2))
    else:
        click.echo(_words(report, mended, refusal))
    ctx.exit(WHOLE if report.whole or mended else DAMAGED)


def _local_disk() -> Disk:
    from holdfast.server.machine import Machine

    return Machine().disk


def _run(steps: Generator[Progress, None, Report], *, shown: bool) -> Report:
    """Run a check to its end, with a progress bar where somebody looks."""
    if not shown:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                report: Report = end.value
                return report
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("checking", total=None)
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                report = end.value
                return report
            bar.update(
                task,
                description=step.file.rsplit("/", 1)[-1],
                completed=step.done_bytes,
                total=step.total_bytes,
            )


def _refusal(report: Report) -> str:
    """Say why a file is not cut to a time (empty: nothing speaks against it)."""
    broken = report.damaged
    if broken is None or broken.verdict.state is not State.LATER:
        return ""
    if not broken.last:
        return (
            f"{broken.path} is not the last file. To go back to that time, take the later files out of the "
            "manifest first"
        )
    if broken.verdict.safe == 0:
        return f"{broken.path} has nothing before that time"
    return ""


def _words(report: Report, mended: Mended | None, refusal: str) -> str:
    lines = [f"{report.path}: {report.manifest_error}"] if report.manifest_error else []
    lines += [f"{'WRONG' if lie.fatal else 'note'}: {lie.name}: {lie.reason}" for lie in report.lies]
    for file in report.files:
        lines += _file_words(file)
    if refusal:
        lines.append(f"Not cut: {refusal}.")
    elif mended:
        lines.append(
            f"Cut {mended.path} to {mended.size} bytes, {mended.dropped_bytes} dropped; "
            f"the original is {mended.copy_path}."
        )
    elif report.whole:
        lines.append("Everything is whole.")
    elif report.mendable:
        lines.append(f"Mend it with: holdfast check-aof --fix {report.path} (keeps a copy)")
    else:
        lines.append("This cannot be mended by cutting a tail: restore the file from a backup.")
    # File names may hold bytes that no terminal shows.
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def _file_words(file: FileReport) -> list[str]:
    verdict = file.verdict
    commands = f"{verdict.commands:,} commands"
    if file.rdb_bytes > 0:
        keys = f", {file.rdb_keys:,} keys" if file.rdb_keys >= 0 else ""
        commands = f"an RDB of {file.rdb_bytes:,} bytes{keys}, then {commands}"
    if file.whole:
        return [f"{file.path} ({file.role}): whole, {verdict.size:,} bytes, {commands}"]
    open_commands = ""
    if verdict.dropped_commands:
        open_commands = (
            f", among them {verdict.dropped_commands:,} commands of a transaction that does not end"
        )
    return [
        f"{file.path} ({file.role}): {verdict.state.value}",
        f"  0x{verdict.at:x} (offset {verdict.at}): {verdict.reason}",
        f"  safe up to offset {verdict.safe} of {verdict.size}: {commands}",
        f"  not safe: {file.excess_bytes:,} bytes{open_commands}",
    ]


def _json(report: Report, mended: Mended | None, refusal: str) -> dict[str, Any]:
    return {
        "file": report.path,
        "whole": report.whole,
        "mendable": report.mendable,
        "manifest_error": report.manifest_error or None,
        "notes": [{"file": lie.name, "fatal": lie.fatal, "reason": lie.reason} for lie in report.lies],
        "files": [
            {
                "file": file.path,
                "role": file.role,
                "state": file.verdict.state.value,
                "size": file.verdict.size,
                "safe_offset": file.verdict.safe,
                "wrong_at": None if file.whole else file.verdict.at,
                "reason": file.verdict.reason or None,
                "commands": file.verdict.commands,
                "rdb_bytes": max(file.rdb_bytes, 0),
                "rdb_keys": file.rdb_keys if file.rdb_keys >= 0 else None,
            }
            for file in report.files
        ],
        "mended": mended
        and {
            "file": mended.path,
            "copy": mended.copy_path,
            "size": mended.size,
            "dropped_bytes": mended.dropped_bytes,
        },
        "refused": refusal or None,
    }
