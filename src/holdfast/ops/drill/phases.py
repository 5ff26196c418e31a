"""From what was said and seen to the phases of a failover, in milliseconds after the fault. Pure.

What it is: which event of a Sentinel, or line of a node's log, ends which phase; the longest
pause between acknowledgements. What it is not: the collecting.

How to read it: `PHASES` names them in order; `from_events` for Sentinels, `from_log` for
clusters, `longest_gap_ms` for what clients saw.
"""

from __future__ import annotations

import itertools
import re
import time
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
_LOG_STAMP = re.compile(r"(\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d)\.(\d{3}) [*#.-] (.*)")
_LOG_WORDS = (
    ("Marking node", "agreed"),
    ("FAIL message received", "agreed"),
    ("Failover election won", "leader"),
    ("configEpoch set to", "promoted"),
    ("MASTER MODE enabled", "promoted"),
)


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


def from_log(texts: Iterable[str], fault: float) -> dict[str, float]:
    """Return when each phase ended, by the logs of cluster nodes."""
    found: dict[str, float] = {}
    for text in texts:
        for line in text.splitlines():
            stamp = _LOG_STAMP.search(line)
            if stamp is None:
                continue
            at = time.mktime(time.strptime(stamp[1], "%d %b %Y %H:%M:%S")) + int(stamp[2]) / 1000
            phase = next((phase for words, phase in _LOG_WORDS if words in stamp[3]), None)
            if phase is not None and at >= fault - 0.001:
                after_ms = max(0.0, (at - fault) * 1000)
                found[phase] = min(found.get(phase, after_ms), after_ms)
    if "leader" in found:
        found.setdefault("promoted", found["leader"])
    return found
