"""Group "start": from starting the process to its first PONG, with nothing to load."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Compare, Figure, Goal
from bench.rounds import Bench, Samples
from bench.server import ServerDidNotStart

GROUP = "start"
ROUNDS_LEAST = 7
TO_FIRST_PONG = Goal(Compare.CANDIDATE_AT_MOST, 300, "ms")


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield one figure."""
    what = "start to first PONG"
    if not bench.wants(GROUP, what):
        return
    bench.say(what)
    samples = Samples(bench)
    for program in bench.order(max(bench.rounds, ROUNDS_LEAST)):
        if samples.failed(program):
            continue
        try:
            with program.running() as server:
                samples.add(program, server.pong_after_s * 1e3)
        except (ServerDidNotStart, OSError) as error:
            samples.fail(program, error)
    yield samples.figure(Figure(GROUP, what, "ms", None, None, TO_FIRST_PONG))
