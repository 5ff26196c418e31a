"""The result on the screen: one table a group, goals and whether they are reached.

Figures without a goal that only explain others (time in user mode, bare
throughput) are left to the Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.figures import Figure, Sample, readable


def wide_console() -> Console:
    """Return the console of results; where they go to a file or a pipe, lines are not folded."""
    console = Console()
    return console if console.is_terminal else Console(width=140)


def group_table(title: str, names: tuple[str, str], figures: Iterable[Figure]) -> Table:
    """Return the table of one group."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("what", overflow="fold")
    for name in (*names, "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    table.add_column("reached")
    table.add_column("note", overflow="fold")
    for figure in figures:
        ratio = "–" if figure.ratio is None else f"{figure.ratio:.2f}"
        colour = {"yes": "green", "NO": "red"}.get(figure.verdict, "")
        verdict = f"[{colour}]{figure.verdict}[/]" if colour else ""
        goal = str(figure.goal or "")
        table.add_row(
            f"{figure.what}, {figure.unit}",
            measured(figure.baseline),
            measured(figure.candidate),
            ratio,
            goal,
            verdict,
            escape(figure.note),
        )
    return table


def measured(sample: Sample | None) -> str:
    """Return median and spread."""
    return "–" if sample is None else f"{readable(sample.median)} ± {readable(sample.spread)}"


def judged(figures: Sequence[Figure]) -> list[Figure]:
    """Return the figures that the screen shows: those with a goal, and those that failed."""
    return [figure for figure in figures if figure.goal]


def show_verdict(console: Console, figures: Sequence[Figure]) -> None:
    """Print how many goals are reached."""
    with_goal = judged(figures)
    reached = sum(figure.verdict == "yes" for figure in with_goal)
    colour = "green" if reached == len(with_goal) else "yellow"
    console.print(f"[{colour}]{reached} of {len(with_goal)} goals reached[/]")
