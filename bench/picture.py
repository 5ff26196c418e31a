"""The result as a picture: one bar a figure, as ratio to the baseline, with the goal marked.

Figures whose goal is absolute are drawn as ratio too; their mark is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from bench.figures import Compare, Figure

REACHED, MISSED, PLAIN = "#2a7f62", "#c0392b", "#7f8c8d"


def draw(path: Path, title: str, names: tuple[str, str], figures: Sequence[Figure]) -> bool:
    """Write a PNG; return False where no figure has both sides."""
    bars = [figure for figure in figures if figure.goal and figure.ratio is not None]
    if not bars:
        return False
    plot, axes = pyplot.subplots(figsize=(9, 1.4 + 0.24 * len(bars)), layout="constrained")
    places = range(len(bars))
    ratios = [figure.ratio or 0.0 for figure in bars]
    colours = [{"yes": REACHED, "NO": MISSED}.get(figure.verdict, PLAIN) for figure in bars]
    axes.barh(places, ratios, color=colours, height=0.7)
    for place, figure in zip(places, bars, strict=True):
        if figure.goal and figure.goal.compare is not Compare.CANDIDATE_AT_MOST:
            axes.plot([figure.goal.bound] * 2, [place - 0.45, place + 0.45], color="black", linewidth=1.6)
        axes.text(ratios[place], place, f" {ratios[place]:.2f}", va="center", fontsize=7)
    axes.axvline(1.0, color="grey", linewidth=0.8, linestyle=":")
    axes.set_yticks(places, [figure.what for figure in bars], fontsize=7)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlim(0, max(1.1, *ratios) * 1.08)
    axes.set_xlabel(f"{names[1]} / {names[0]}; black mark: the goal; green: reached", fontsize=8)
    axes.set_title(title, fontsize=10)
    plot.savefig(path, dpi=110)
    pyplot.close(plot)
    return True
