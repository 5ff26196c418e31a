"""How long the steps of one piece of work took, for the log."""

from __future__ import annotations

import asyncio
from itertools import pairwise


class Moments:
    """Moments on the loop's clock, in their order."""

    def __init__(self) -> None:
        self._at_s: list[float] = []

    def note(self) -> None:
        """It is now that a step ends, or that the first begins."""
        self._at_s.append(asyncio.get_running_loop().time())

    @property
    def total_ms(self) -> float:
        """From the first to the last moment."""
        return (self._at_s[-1] - self._at_s[0]) * 1000

    def told(self, *steps: str) -> str:
        """Return the steps with their milliseconds, as far as it came."""
        spans = [(later - earlier) * 1000 for earlier, later in pairwise(self._at_s)]
        return ", ".join(f"{step} {ms:.1f}" for step, ms in zip(steps, spans, strict=False))
