"""What INFO stats tells of work done: rates from samples of counters, and the counters of the parts.

`sample` is called ten times a second or so, and only notes what the counters are; a rate is the mean
over the latest sixteen samples, as in Redis, reckoned when it is asked for. Not here: what the engine
counts itself (commands, bytes of clients).
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from holdfast.server.counters import Counters

SAMPLES = 16
COMMANDS, INPUT, OUTPUT, REPLICATION_INPUT, REPLICATION_OUTPUT, TICKS = range(1, 7)
"""The places of what is sampled, behind the time."""


class Traffic(Counters):
    """The rates and counts of one node that INFO stats tells."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, ...]] = deque(maxlen=SAMPLES + 1)
        self.replication_input_bytes = self.replication_output_bytes = 0
        self.full_syncs = self.partial_syncs = self.partial_syncs_refused = 0
        """How replicas were served."""
        self.forks = 0
        self.fork_us = 0
        """How long the latest fork stopped the node."""
        self.tick_count = self.tick_us = 0

    def sample(self, now_us: int, commands: int, input_bytes: int, output_bytes: int) -> None:
        """Take the counters as they are; the engine's are handed in."""
        own = self.replication_input_bytes, self.replication_output_bytes, self.tick_count
        self._samples.append((now_us, commands, input_bytes, output_bytes, *own))

    def per_second(self, place: int) -> float:
        """Return how fast a counter grows: the mean over the latest samples."""
        rates = [
            (now[place] - then[place]) * 1e6 / (now[0] - then[0])
            for then, now in pairwise(self._samples)
            if now[0] > then[0]
        ]
        return sum(rates) / SAMPLES

    def forget(self) -> None:
        """Begin anew (CONFIG RESETSTAT)."""
        self.__init__()  # type: ignore[misc]
