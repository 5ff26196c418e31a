"""What LATENCY GRAPH draws and LATENCY DOCTOR says. Pure: histories in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.server.slowlog import EventHistory

COLUMNS = 80
ROWS = 4
DISABLED = (
    "Latency monitoring is off on this node, so there is nothing to judge. Turn it on with "
    "'CONFIG SET latency-monitor-threshold <milliseconds>'.\n"
)
CALM = "No latency spike was seen since the node started.\n"

ADVICE = {
    "command": (
        "Slow commands: SLOWLOG GET shows which. Long ranges, KEYS, and deleting large values at "
        "once are the "
        "usual ones; UNLINK frees in the background."
    ),
    "fast-command": (
        "Fast commands were slow: the process did not get its processor. Look at the load of the "
        "machine, noisy "
        "neighbours on a virtual one, and swapping; 'redis-cli --intrinsic-latency 100' measures it."
    ),
    "fork": (
        "Forking takes long: the more memory, the longer; huge pages and some virtual machines make "
        "it worse."
    ),
    "aof-fsync-always": (
        "appendfsync always waits for the disk; with everysec at most a second of writes is at "
        "risk."
    ),
    "aof-write": (
        "Writing the append-only file waits for the disk: use a local, fast one that nobody else "
        "loads."
    ),
    "expire-cycle": "Many keys expire at the same time: spread their times, or raise active-expire-effort.",
    "eviction-cycle": "Eviction takes long: the limit was lowered at once, or large values have to go.",
}


def graph(event: str, history: EventHistory, now_seconds: int) -> str:
    """Draw the samples of an event, the oldest left, with how long ago each was."""
    samples = list(history.samples)[-COLUMNS:]
    values = [took_ms for _, took_ms in samples]
    low, high = min(values), max(values)
    span = max(high - low, 1)
    lines = [
        f"{event} - high {high} ms, low {low} ms (all time high {history.worst_ms} ms)",
        "-" * COLUMNS,
    ]
    heights = [(value - low) * (ROWS - 1) // span for value in values]
    for row in range(ROWS - 1, -1, -1):
        lines.append("".join("#" if height > row else "_" if height == row else " " for height in heights))
    labels = [_ago(now_seconds - at) for at, _ in samples]
    lines.append("")
    for row in range(max(map(len, labels))):
        lines.append("".join(label[row] if row < len(label) else " " for label in labels))
    return "\n".join(lines) + "\n"


def _ago(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def doctor_text(histories: Mapping[str, EventHistory], configuration: Any, now_seconds: int) -> str:
    """Say what was seen and what to do about it."""
    if not histories:
        return CALM if configuration["latency-monitor-threshold"] else DISABLED
    lines = ["Latency spikes were seen:", ""]
    advice = []
    for number, (event, history) in enumerate(histories.items(), 1):
        values = [took_ms for _, took_ms in history.samples]
        mean = sum(values) // len(values)
        deviation = sum(abs(value - mean) for value in values) // len(values)
        period_s = max(now_seconds - history.samples[0][0], 1) / len(values)
        lines.append(
            f"{number}. {event}: {len(values)} latency spikes (average {mean}ms, mean deviation "
            f"{deviation}ms, "
            f"period {period_s:.2f} sec). Worst all time event {history.worst_ms}ms."
        )
        if event in ADVICE:
            advice.append(ADVICE[event])
        if event == "command":
            slow_from_us = configuration["slowlog-log-slower-than"]
            threshold_us = configuration["latency-monitor-threshold"] * 1000
            if slow_from_us < 0 or slow_from_us > threshold_us:
                advice.append(
                    "The slow log does not see all of them: "
                    f"'CONFIG SET slowlog-log-slower-than {threshold_us}'."
                )
    if advice:
        lines += ["", "What may help:", ""]
        lines += [f"- {each}" for each in advice]
    return "\n".join(lines) + "\n"
