"""What a benchmark yields: figures of two servers, and whether a goal is reached.

This is plain values and arithmetic: nothing here measures or prints.

How to read it: `Sample` is one server's measurements of one thing, `Goal` what
is asked of it, `Figure` both servers side by side.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Sample:
    """Measurements of one thing on one server, one a round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the middle measurement."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Return the interquartile range (0 with fewer than two measurements)."""
        if len(self.values) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return high - low


class Compare(StrEnum):
    """What a goal looks at."""

    RATIO_AT_MOST = "ratio ≤"
    RATIO_AT_LEAST = "ratio ≥"
    CANDIDATE_AT_MOST = "≤"
    CANDIDATE_AT_LEAST = "≥"


@dataclass(frozen=True)
class Goal:
    """A bound on the ratio candidate / baseline, or on the candidate alone."""

    compare: Compare
    bound: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.compare} {self.bound:g} {self.unit}".rstrip()

    def reached(self, figure: Figure) -> bool:
        """Tell whether a complete figure keeps the bound; ratios are judged as shown, with two digits."""
        if figure.candidate is None:
            return False
        if self.compare is Compare.CANDIDATE_AT_MOST:
            return figure.candidate.median <= self.bound
        if self.compare is Compare.CANDIDATE_AT_LEAST:
            return figure.candidate.median >= self.bound
        ratio = figure.ratio
        if ratio is None:
            return False
        shown = round(ratio, 2)
        return shown <= self.bound if self.compare is Compare.RATIO_AT_MOST else shown >= self.bound


@dataclass(frozen=True)
class Figure:
    """One line of the result: the same thing measured on both servers."""

    group: str
    what: str
    unit: str
    baseline: Sample | None
    candidate: Sample | None
    goal: Goal | None = None
    note: str = ""
    """For the reader: the reason where a sample is missing, or what stands beside it."""

    @property
    def ratio(self) -> float | None:
        """Return candidate / baseline of the medians; None where one is missing or zero."""
        if self.baseline is None or self.candidate is None or self.baseline.median == 0:
            return None
        return self.candidate.median / self.baseline.median

    @property
    def verdict(self) -> str:
        """Return "yes" or "NO" for a goal, nothing without one."""
        if self.goal is None:
            return ""
        return "yes" if self.goal.reached(self) else "NO"


def readable(value: float) -> str:
    """Return a number with the digits that mean something: 1,234,567 · 123 · 12.3 · 1.23 · 0.123."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
