"""What each slot has, kept as runs of neighbours that have the same. Pure.

A cluster's slots are few runs, whatever there is to say of them: who owns them, who claims them. So
two views are compared, and one is built out of the other, in steps of runs and not of 16,384 slots.

How to read it: `Runs` is a mapping from slot to value; `overlay` cuts where anything begins or ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TypeVar, overload

T = TypeVar("T")
D = TypeVar("D")


class Runs(Mapping[int, T]):
    """A value a slot; slots without one are not in it."""

    def __init__(self, runs: Iterable[tuple[int, int, T]]) -> None:
        """Take runs (first slot, last slot, value): ascending, apart from each other."""
        whole: list[tuple[int, int, T]] = []
        for first, last, value in runs:
            if whole and whole[-1][1] == first - 1 and whole[-1][2] == value:
                whole[-1] = (whole[-1][0], last, value)
            else:
                whole.append((first, last, value))
        self.runs = tuple(whole)
        """Neighbours that touch have different values: equal mappings have equal runs."""
        self._firsts = [run[0] for run in whole]

    @overload
    def get(self, slot: int, /) -> T | None: ...
    @overload
    def get(self, slot: int, /, default: T | D) -> T | D: ...
    def get(self, slot: int, /, default: object = None) -> object:
        """Return a slot's value; `Mapping`'s own way, by an exception, costs more."""
        place = bisect_right(self._firsts, slot) - 1
        if place < 0 or self.runs[place][1] < slot:
            return default
        return self.runs[place][2]

    def __getitem__(self, slot: int) -> T:
        place = bisect_right(self._firsts, slot) - 1
        if place < 0 or self.runs[place][1] < slot:
            raise KeyError(slot)
        return self.runs[place][2]

    def __iter__(self) -> Iterator[int]:
        return (slot for first, last, _ in self.runs for slot in range(first, last + 1))

    def __len__(self) -> int:
        return sum(last + 1 - first for first, last, _ in self.runs)

    def __eq__(self, other: object) -> bool:
        return self.runs == other.runs if isinstance(other, Runs) else super().__eq__(other)

    def ranges_of(self, value: T) -> list[tuple[int, int]]:
        """Return the runs, first slot and last, that have a value."""
        return [(first, last) for first, last, each in self.runs if each == value]

    def without(self, slots: int) -> list[tuple[int, int]]:
        """Return the runs of slots 0 to `slots` - 1 that have no value."""
        bounds = [(-1, -1), *((first, last) for first, last, _ in self.runs), (slots, slots)]
        gaps = [(left[1] + 1, right[0] - 1) for left, right in pairwise(bounds)]
        return [(first, last) for first, last in gaps if first <= last]


def overlay(layers: Iterable[tuple[T, Iterable[tuple[int, int]]]]) -> Iterator[tuple[int, int, list[T]]]:
    """Lay ranges over each other: yield runs (first, last, whose ranges they are in), ascending.

    Whose they are is in the order of the layers; runs that are in no range are left out.
    """
    values: list[T] = []
    edges: dict[int, list[tuple[bool, int]]] = {}
    for number, (value, ranges) in enumerate(layers):
        values.append(value)
        for first, last in ranges:
            edges.setdefault(first, []).append((True, number))
            edges.setdefault(last + 1, []).append((False, number))
    open_now: set[int] = set()
    began = 0
    for edge in sorted(edges):
        if open_now:
            yield began, edge - 1, [values[number] for number in sorted(open_now)]
        began = edge
        for begins, number in sorted(edges[edge]):  # what ends here, first
            (open_now.add if begins else open_now.discard)(number)
