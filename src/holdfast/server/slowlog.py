"""What was slow: the slow log, and the latency monitor's events.

The engine calls `SlowCommands.note` for a command that took at least the smaller
of the two thresholds; which of the two it passed is decided here. Texts are cut
as Redis cuts them, and what must not be seen (`redaction`) is not kept.

How to read it: `SlowCommands.note`, then `LatencyEvents`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.engine.registry import specification
from holdfast.engine.sessions import last_command
from holdfast.server.redaction import redacted

if TYPE_CHECKING:
    from holdfast.engine.state import Session
    from holdfast.server.node import Node

ARGUMENTS_MAX = 32
TEXT_MAX_BYTES = 128
EVENT_SAMPLES = 160


@dataclass(frozen=True)
class SlowEntry:
    """One slow command."""

    number: int
    at_seconds: int
    took_us: int
    arguments: list[bytes]
    address: str
    client_name: bytes


def shortened(arguments: list[bytes]) -> list[bytes]:
    """Cut a call to what the slow log keeps of it."""
    kept = arguments[:ARGUMENTS_MAX]
    if len(arguments) > ARGUMENTS_MAX:
        more = len(arguments) - ARGUMENTS_MAX + 1
        kept[-1] = b"... (%d more arguments)" % more
    return [
        text
        if len(text) <= TEXT_MAX_BYTES
        else text[:TEXT_MAX_BYTES] + b"... (%d more bytes)" % (len(text) - TEXT_MAX_BYTES)
        for text in kept
    ]


class SlowCommands:
    """The slow log of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._next_number = 0
        self.entries: deque[SlowEntry] = deque()
        """The newest first."""

    def note(self, session: Session, arguments: list[bytes], took_us: int) -> None:
        """Take a command that was slow enough for the log, the monitor or both."""
        configuration = self._node.configuration
        slow_from_us = configuration["slowlog-log-slower-than"]
        if 0 <= slow_from_us <= took_us:
            self.entries.appendleft(
                SlowEntry(
                    self._next_number,
                    self._node.engine.now_ms // 1000,
                    took_us,
                    shortened(redacted(arguments)),
                    session.address or "",
                    session.name or b"",
                )
            )
            self._next_number += 1
            while len(self.entries) > configuration["slowlog-max-len"]:
                self.entries.pop()
        threshold_ms = configuration["latency-monitor-threshold"]
        if threshold_ms and took_us >= threshold_ms * 1000:
            name = last_command(session)
            spec = specification(self._node.engine, name) if name else None
            fast = spec is not None and "fast" in spec.flag_names
            self._node.latency_events.add("fast-command" if fast else "command", took_us // 1000)

    def reset(self) -> None:
        """Forget all entries; numbers go on."""
        self.entries.clear()


@dataclass
class EventHistory:
    """The latest samples of one event: (seconds since 1970, milliseconds), one a second."""

    samples: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=EVENT_SAMPLES))
    worst_ms: int = 0


class LatencyEvents:
    """The latency monitor of one node: what took longer than `latency-monitor-threshold`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.histories: dict[str, EventHistory] = {}

    def add(self, event: str, took_ms: int) -> None:
        """Take one sample."""
        history = self.histories.setdefault(event, EventHistory())
        history.worst_ms = max(history.worst_ms, took_ms)
        now_seconds = self._node.engine.now_ms // 1000
        if history.samples and history.samples[-1][0] == now_seconds:
            history.samples[-1] = (now_seconds, max(history.samples[-1][1], took_ms))
        else:
            history.samples.append((now_seconds, took_ms))

    def add_if_long(self, event: str, took_us: int) -> None:
        """Take a sample if it reaches the threshold."""
        threshold_ms = self._node.configuration["latency-monitor-threshold"]
        if threshold_ms and took_us >= threshold_ms * 1000:
            self.add(event, took_us // 1000)

    def reset(self, events: list[str]) -> int:
        """Forget the given events (none given: all); return how many there were."""
        wanted = {event.lower() for event in events}
        gone = [event for event in self.histories if not wanted or event.lower() in wanted]
        for event in gone:
            del self.histories[event]
        return len(gone)
