"""The result as files: Markdown a group, and everything as JSON.

The pictures that the Markdown shows are made by `bench/picture.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.figures import Figure
from bench.screen import measured


def markdown(
    title: str,
    picture: str,
    names: tuple[str, str],
    facts: Mapping[str, str],
    figures: Sequence[Figure],
    how: str,
) -> str:
    """Return the page of one group."""
    with_goal = [figure for figure in figures if figure.goal]
    reached = sum(figure.verdict == "yes" for figure in with_goal)
    lines = [f"# {title}", "", "Written by `make bench`; do not edit.", ""]
    if picture:
        lines += [f"![{title}]({picture})", ""]
    lines += [f"{reached} of {len(with_goal)} goals reached. Medians ± interquartile range. {how}", ""]
    lines += ["| fact | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in facts.items()), ""]
    lines += [f"| what | unit | {names[0]} | {names[1]} | ratio | goal | reached | note |"]
    lines += ["| --- | --- | ---: | ---: | ---: | --- | --- | --- |", *map(row, figures), ""]
    return "\n".join(lines)


def row(figure: Figure) -> str:
    """Return one line of the table."""
    ratio = "–" if figure.ratio is None else f"{figure.ratio:.2f}"
    cells = [figure.what, figure.unit, measured(figure.baseline), measured(figure.candidate), ratio]
    cells += [str(figure.goal or ""), figure.verdict, figure.note.replace("|", "\\|")]
    return f"| {' | '.join(cells)} |"


def write_json(path: Path, facts: Mapping[str, str], figures: Sequence[Figure]) -> None:
    """Write every measurement of every round."""
    result = {
        "facts": dict(facts),
        "figures": [
            {**asdict(figure), "ratio": figure.ratio, "reached": figure.verdict} for figure in figures
        ],
    }
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
