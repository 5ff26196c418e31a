"""Histograms of how long commands took: reading them."""

from collections.abc import Iterable

from holdfast.engine.state import Engine

def percentiles_us(engine: Engine, name: str, wanted: Iterable[float]) -> list[float] | None:
    """Return the duration in microseconds at each wanted percentile; None before the first call."""

def distribution(engine: Engine, name: str) -> tuple[int, list[tuple[int, int]]] | None:
    """Return (calls, [(microseconds, calls so far), ...]) by powers of two, or None."""

def forget(engine: Engine) -> None:
    """Begin all histograms anew (CONFIG RESETSTAT, latency-tracking no)."""
