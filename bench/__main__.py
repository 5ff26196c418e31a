"""`make bench`: Holdfast beside redis-server, in one run.

How it measures. Both servers are started with the same options and pinned to
the same core; redis-benchmark has all other cores. Only one server is loaded
at a time, in turns (A B, B A, …), so what drifts in the machine falls on both
alike. What counts is the ratio of medians in one run; figures of different
runs or machines are not compared.

What it is not: a measurement of how fast a machine is, or of a cluster.

How to read it: options here; what is measured in `bench/groups.py` and
`bench/workloads.py`; one server's measurement in `bench/server.py`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from bench import document, screen
from bench.figures import Figure
from bench.groups import GROUPS, Group
from bench.load import PROGRAM
from bench.machine import facts, share_out_cores, version_of
from bench.rounds import Bench
from bench.server import Program

PAGES = Path(__file__).resolve().parent.parent / "docs" / "performance"
HOW = (
    "One server loaded at a time, in turns, both on the same core, "
    "redis-benchmark on the others. Ratios are candidate / baseline."
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--baseline", default="redis-server", show_default=True, help="Command line of the baseline.")
@click.option("--candidate", default=None, help="Command line of the candidate [this tree's server].")
@click.option("--rounds", default=None, type=click.IntRange(1), help="Measurements a server [5; quick: 2].")
@click.option("--only", multiple=True, help="Only groups or workloads with this in their name; repeatable.")
@click.option("--quick", is_flag=True, help="Short runs, small tables: under two minutes, no pages.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all measurements here.")
@click.option(
    "--pages",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder for Markdown and pictures [docs/performance, for whole groups of a full run].",
)
@click.option("--strict", is_flag=True, help="Exit with 1 if a goal is not reached.")
def main(
    baseline: str,
    candidate: str | None,
    rounds: int | None,
    only: tuple[str, ...],
    quick: bool,
    json_path: Path | None,
    pages: Path | None,
    strict: bool,
) -> None:
    """Compare a server with redis-server, side by side."""
    if not sys.platform.startswith("linux"):
        raise click.ClickException("the benchmark reads /proc and pins processes: it runs on Linux only")
    for needed in (PROGRAM, baseline.split()[0]):
        if shutil.which(needed) is None:
            raise click.ClickException(f"{needed} is not installed (Debian: redis-server, redis-tools)")
    console = Console(stderr=True)
    cores = share_out_cores()
    bench = Bench(
        Program.parse("redis", baseline, cores.server),
        Program.parse("holdfast", candidate, cores.server),
        cores,
        rounds or (2 if quick else 5),
        quick,
        only,
    )
    known = facts(cores)
    for program in bench.programs:
        known[program.name] = version_of(program.command, program.environment)
    known["rounds"] = f"{bench.rounds}{', quick' if quick else ''}"
    for name, text in known.items():
        console.print(f"[dim]{name}: {text}[/]", highlight=False)

    if pages is None and not quick and not only:
        pages = PAGES
    figures: list[Figure] = []
    for group in GROUPS:
        found = run_group(console, bench, group)
        if pages is not None and found:
            write_page(pages, bench, group, known, found)
        figures += found
    if not figures:
        raise click.ClickException(f"nothing is called {', '.join(only)}")
    screen.show_verdict(screen.wide_console(), figures)
    if json_path is not None:
        document.write_json(json_path, known, figures)
    if strict and any(figure.verdict == "NO" for figure in figures):
        raise SystemExit(1)


def run_group(console: Console, bench: Bench, group: Group) -> list[Figure]:
    """Measure one group and show its table."""
    with console.status(group.title) as status:
        watched = replace(bench, say=lambda what: status.update(f"{group.name}: {what}"))
        found = list(group.measure(watched))
    shown = screen.judged(found)
    if shown:
        names = (bench.baseline.name, bench.candidate.name)
        screen.wide_console().print(screen.group_table(group.title, names, shown))
    return found


def write_page(
    folder: Path, bench: Bench, group: Group, known: dict[str, str], found: Sequence[Figure]
) -> None:
    """Write the Markdown page and the picture of one group."""
    from bench import picture  # takes half a second, and a quick run has no use for it

    folder.mkdir(parents=True, exist_ok=True)
    names = (bench.baseline.name, bench.candidate.name)
    image = f"{group.name}.png"
    drawn = picture.draw(folder / image, group.title, names, found)
    page = document.markdown(group.title, image if drawn else "", names, known, found, HOW)
    (folder / f"{group.name}.md").write_text(page)


if __name__ == "__main__":
    main(prog_name="bench")
