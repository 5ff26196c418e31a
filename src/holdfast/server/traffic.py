"""What INFO stats tells of work done: rates from samples of counters, and the counters of the parts.

`Rate.sample` is called ten times a second or so; a rate is the mean of the
latest sixteen samples, as in Redis. Not here: what the engine counts itself
(commands, bytes of clients).
"""

from __future__ import annotations

from collections import deque

from holdfast.server.counters import Counters

SAMPLES = 16


class Rate:
    """How fast one counter grows."""

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=SAMPLES)
        self._last = 0
        self._last_us = 0

    def sample(self, count: int, now_us: int) -> None:
        """Take the counter as it is."""
        if self._last_us and now_us > self._last_us:
            self._rates.append((count - self._last) * 1e6 / (now_us - self._last_us))
        self._last, self._last_us = count, now_us

    @property
    def per_second(self) -> float:
        """The mean of the latest samples."""
        return sum(self._rates) / SAMPLES if self._rates else 0.0


class Traffic(Counters):
    """The rates and counts of one node that INFO stats tells."""

    def __init__(self) -> None:
        self.commands = Rate()
        self.input = Rate()
        self.output = Rate()
        self.replication_input = Rate()
        self.replication_output = Rate()
        self.ticks = Rate()
        self.replication_input_bytes = self.replication_output_bytes = 0
        self.full_syncs = self.partial_syncs = self.partial_syncs_refused = 0
        """How replicas were served."""
        self.forks = 0
        self.fork_us = 0
        """How long the latest fork stopped the node."""
        self.tick_count = self.tick_us = 0

    def forget(self) -> None:
        """Begin anew (CONFIG RESETSTAT)."""
        self.__init__()  # type: ignore[misc]
