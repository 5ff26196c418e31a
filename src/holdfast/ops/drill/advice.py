"""From what a drill measured to the settings that decided it: sentences with this deployment's figures.

What it is: pure. It speaks of what this drill has shown, and of nothing else: how long a fault was
silent, how often clients pause anyway, how many writes a second are at risk. What it is not: what
each setting costs in general (docs/operations.md).

How to read it: `advice`; then a function for each setting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

SILENCE_SETTINGS = ("down-after-milliseconds", "cluster-node-timeout")
"""Of Sentinels and of clusters; both are `down-after-ms` in holdfast.toml."""
BY_SILENCE = 0.7
"""A fault that took so much of that time to be seen was seen by its silence alone."""
SHORTEST_MS, TIMES_A_PAUSE = 1000, 10


def advice(
    phases: Mapping[str, float],
    settings: Mapping[str, str],
    outage_ms: float,
    calm_gap_ms: float,
    acknowledged_a_second: float,
    lost: int,
) -> list[str]:
    """Return what a failover tells about the settings; nothing if there was none.

    `calm_gap_ms` is the longest pause of a client before the fault.
    """
    if "seen" not in phases:
        return []
    found = [
        _silence(name, phases["seen"], int(settings[name]), outage_ms, calm_gap_ms)
        for name in SILENCE_SETTINGS
        if settings.get(name, "").isdigit()
    ]
    if acknowledged_a_second > 0:
        found.append(_writes_at_risk(settings.get("min-replicas-to-ack"), acknowledged_a_second, lost))
    return found


def _silence(name: str, seen_ms: float, down_after_ms: int, outage_ms: float, calm_gap_ms: float) -> str:
    if seen_ms < down_after_ms * BY_SILENCE:
        return f"{name} {down_after_ms}: played no part, the fault was seen after {seen_ms:,.0f} ms."
    least = max(SHORTEST_MS, math.ceil(calm_gap_ms * TIMES_A_PAUSE / 100) * 100)
    known = (
        f"{name} {down_after_ms}: {seen_ms:,.0f} of the {outage_ms:,.0f} ms went by in silence, which alone "
        f"shows this fault. Before it clients paused for {calm_gap_ms:,.0f} ms at most; ten times that, "
        f"and {SHORTEST_MS}, is the least that does not take a busy machine for a dead one"
    )
    if least >= down_after_ms:
        return f"{known}: {least} here, so it should not be less."
    return f"{known}: {least} here, which would save {down_after_ms - least:,} ms."


def _writes_at_risk(ack: str | None, acknowledged_a_second: float, lost: int) -> str:
    rate = f"{acknowledged_a_second:,.0f} writes a second were acknowledged"
    if ack not in (None, "0"):
        if lost:
            return f"min-replicas-to-ack {ack}: {rate}, and {lost:,} were lost, which must not be: a defect."
        return f"min-replicas-to-ack {ack}: {rate}; so many replicas hold each, and it survives this fault."
    at_risk = f"{acknowledged_a_second / 1000:.1f} writes for each ms that the replicas were behind"
    seen = f"{lost:,} were lost" if lost else "none was lost, which is luck and no promise"
    if ack is None:
        return f"{rate}, and {seen}: at risk are {at_risk}."
    cost = "for the way to a replica and back on every write"
    return f"min-replicas-to-ack 0: {rate}, and {seen}: at risk are {at_risk}. 1 ends that, {cost}."
