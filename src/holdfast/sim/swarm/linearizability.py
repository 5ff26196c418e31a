"""Whether what clients saw of one register could have happened one after another.

What this is: the search of Wing and Gong ("Testing and verifying concurrent objects",
1993) with the memory of Lowe (2017): a state that was met with the same operations
done is not entered again. What it is not: for objects other than a register.

How to read it: `Access` is an operation as the search sees it; `first_violation`
prepares the histories of all keys, `is_linearizable` searches one.

An operation with unknown outcome may happen at any time from its begin on, or never:
its end is never. An unknown read says nothing and is left out, and so is an unknown
write whose value nobody read: leaving it out is always allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.sim.swarm.history import Operation, Outcome


@dataclass(frozen=True, slots=True)
class Access:
    """A read or a write of the register. Invariant: began <= ended."""

    is_write: bool
    value: str | None
    began: float
    ended: float


def first_violation(operations: Iterable[Operation]) -> str | None:
    """Return the key whose history is not linearizable, None if all are."""
    by_key: dict[str, list[Operation]] = {}
    for each in operations:
        if each.kind in ("set", "get"):
            by_key.setdefault(each.key, []).append(each)
    for key, mine in sorted(by_key.items()):
        if not is_linearizable(accesses(mine)):
            return key
    return None


def accesses(operations: list[Operation]) -> list[Access]:
    """Return what matters of the operations on one register."""
    read = {each.value for each in operations if each.kind == "get" and each.outcome is Outcome.OK}
    kept = []
    for each in operations:
        if each.outcome is Outcome.REFUSED:
            continue
        if each.outcome is Outcome.OK:
            kept.append(Access(each.kind == "set", each.value, each.began, each.ended))
        elif each.kind == "set" and each.value in read:
            kept.append(Access(True, each.value, each.began, math.inf))
    return kept


def is_linearizable(history: list[Access], initial: str | None = None) -> bool:
    """Search an order that respects time and explains every read."""
    history = sorted(history, key=lambda each: (each.began, each.ended))
    count = len(history)
    must = sum(1 << index for index, each in enumerate(history) if each.ended < math.inf)
    seen: set[tuple[int, str | None]] = set()
    stack = [(0, initial)]
    while stack:
        done, value = stack.pop()
        if done & must == must:
            return True
        if (done, value) in seen:
            continue
        seen.add((done, value))
        first = (~done & (done + 1)).bit_length() - 1
        deadline = math.inf
        candidates = []
        for index in range(first, count):
            each = history[index]
            if each.began > deadline:
                break  # something undone has ended before this began
            if done >> index & 1:
                continue
            candidates.append(index)
            deadline = min(deadline, each.ended)
        for index in reversed(candidates):
            each = history[index]
            if each.is_write:
                stack.append((done | 1 << index, each.value))
            elif each.value == value:
                stack.append((done | 1 << index, value))
    return False
