"""The order of measurements, and what they share: `Bench`.

Rounds are interleaved A B, B A, A B …: what drifts in the machine (heat,
neighbours) falls on both servers alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.figures import Figure, Sample
from bench.machine import Cores
from bench.server import Program

MeasureOnce = Callable[[Program], float]


@dataclass
class Bench:
    """One run of the benchmark: two programs and how thoroughly they are compared."""

    baseline: Program
    candidate: Program
    cores: Cores
    rounds: int
    quick: bool
    only: tuple[str, ...] = ()
    say: Callable[[str], None] = field(default=lambda text: None)
    """Tells the user what is being measured."""

    @property
    def programs(self) -> tuple[Program, Program]:
        """Return baseline and candidate."""
        return self.baseline, self.candidate

    def wants(self, group: str, what: str) -> bool:
        """Tell whether --only asks for this; it names a group or a part of what is measured."""
        words = f"{group} {what}".lower()
        return not self.only or any(word.lower() in words for word in self.only)

    def order(self, rounds: int | None = None) -> Iterator[Program]:
        """Yield the programs in the order of measurement, each `rounds` times."""
        for number in range(rounds or self.rounds):
            yield from self.programs if number % 2 == 0 else reversed(self.programs)


class Samples:
    """Measurements of one thing as they come in, and the first failure of each program."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.values: dict[str, list[float]] = {program.name: [] for program in bench.programs}
        self.failures: dict[str, str] = {}

    def add(self, program: Program, value: float) -> None:
        """Keep one measurement."""
        self.values[program.name].append(value)

    def fail(self, program: Program, error: Exception) -> None:
        """Keep the reason why there is no measurement."""
        self.failures.setdefault(program.name, f"{program.name}: {error}")

    def failed(self, program: Program) -> bool:
        """Tell whether to leave a program out from now on."""
        return program.name in self.failures

    def sample(self, program: Program) -> Sample | None:
        """Return what was measured; None where anything failed."""
        values = self.values[program.name]
        return Sample(tuple(values)) if values and not self.failed(program) else None

    def figure(self, template: Figure) -> Figure:
        """Return a figure with the samples filled in, and failures as its note."""
        note = "; ".join(self.failures.values()) or template.note
        baseline, candidate = self.sample(self.bench.baseline), self.sample(self.bench.candidate)
        return Figure(
            template.group, template.what, template.unit, baseline, candidate, template.goal, note
        )
