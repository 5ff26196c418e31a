"""From what was said and seen to the phases of a failover, in milliseconds after the fault. Pure.

What it is: which event of a Sentinel, or change in a cluster node's map, ends which phase; the
longest pause between acknowledgements. What it is not: the collecting (`holdfast.ops.watch`).

How to read it: `PHASES` names them in order; `from_events` for Sentinels, `from_looks` for
clusters, `longest_gap` for what clients saw.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.ops.happenings import Happening

PHASES = ("seen", "agreed", "leader", "promoted", "first write")
WORDS = {
    "seen": "somebody sees it",
    "agreed": "a quorum agrees",
    "leader": "a leader is elected",
    "promoted": "another node leads",
    "first write": "a client's write is acknowledged again",
}
_ENDED_BY = {
    "+sdown": "seen",
    "+odown": "agreed",
    "+elected-leader": "leader",
    "+promoted-slave": "promoted",
    "+switch-master": "promoted",
}
@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without an acknowledgement; times in seconds since 1970."""

    began: float
    ended: float
    is_over: bool = True
    """False: nothing was acknowledged any more."""

    @property
    def ms(self) -> float:
        """How long it was."""
        return (self.ended - self.began) * 1000


def longest_gap(times: Sequence[float], fault: float, end: float) -> Gap:
    """Return the longest pause between acknowledgements that ends after the fault.

    `times` rise; `end` is when the clients stopped.
    """
    gaps = [Gap(before, after) for before, after in itertools.pairwise(times) if after > fault]
    last = times[-1] if times else fault
    longest = max(gaps, key=lambda each: each.ms, default=Gap(last, last))
    silence = Gap(last, end, is_over=False)
    return silence if silence.ms > max(longest.ms, 1000.0) else longest


def from_events(happenings: Iterable[Happening], fault: float) -> dict[str, float]:
    """Return when each phase ended, by the first Sentinel that said so."""
    found: dict[str, float] = {}
    for each in happenings:
        phase = _ENDED_BY.get(each.event)
        about_primary = each.event in ("+switch-master", "+promoted-slave") or each.payload.startswith(
            "master "
        )
        if phase is not None and each.at >= fault and about_primary:
            found.setdefault(phase, (each.at - fault) * 1000)
    return found


def from_looks(
    happenings: Iterable[Happening], fault: float, victim: str, members: int
) -> dict[str, float]:
    """Return when each phase ended, by the maps of so many cluster nodes; `victim` led before.

    The election's winner is the first who knows that it leads: there is a leader. When most nodes
    know it, it is promoted.
    """
    found: dict[str, float] = {}
    knowing: set[str] = set()
    for each in happenings:
        if each.at < fault or each.payload != victim:
            continue
        after_ms = (each.at - fault) * 1000
        if each.event in ("+pfail", "+fail") and "leader" not in found:
            found.setdefault("seen", after_ms)
        if each.event == "+fail" and "leader" not in found:
            found.setdefault("agreed", after_ms)
        if each.event == "+leads":
            found.setdefault("leader", after_ms)
            knowing.add(each.source)
            if len(knowing) > members // 2:
                found.setdefault("promoted", after_ms)
    return found
