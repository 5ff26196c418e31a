"""Which slots go where: reshard, rebalance, drain. Pure.

Every plan moves as few slots as its goal allows: a node gives or takes, never both. Among
slots that would do, those are taken that leave few ranges: clients and nodes carry a list of
ranges, and each more of them makes it longer.

How to read it: `Move` is the unit; `reshard`, `rebalance` and `drain` make plans of it;
`shares` says how many slots each weight is worth; `_pick` which slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.cluster.jobs.topology import SLOTS, compress, written


class NoPlan(ValueError):
    """What was asked for cannot be done; says why."""


@dataclass(frozen=True)
class Move:
    """Slots that go from one primary to another."""

    source: str
    target: str
    slots: tuple[int, ...]

    @property
    def order(self) -> str:
        """Return the move as the option --move takes it: it says what shall be, so it can be said twice."""
        return f"{written(self.slots)}={self.target}"


Holdings = Mapping[str, Sequence[int]]
"""Node id: its slots."""


def reshard(holdings: Holdings, sources: Sequence[str], target: str, count: int) -> list[Move]:
    """Plan `count` slots to the target, from each source in proportion to what it has. Raises NoPlan."""
    givers = {name: len(holdings[name]) for name in sources if name != target and holdings[name]}
    there = sum(givers.values())
    if not 0 < count <= there:
        raise NoPlan(f"{count} slots were asked for, the sources have {there}")
    gives = _apportion(givers, count)
    return _moves(holdings, gives, {target: count})


def rebalance(holdings: Holdings, weights: Mapping[str, float], threshold: float = 0.0) -> list[Move]:
    """Plan so that each node holds its share of all slots; nothing if all are within `threshold` of it.

    A node that `weights` leaves out weighs 1; weight 0 empties a node. `threshold` is a
    fraction of the share (0.02: two in a hundred). Raises NoPlan.
    """
    wanted = shares({name: weights.get(name, 1.0) for name in holdings}, sum(map(len, holdings.values())))
    off = {name: len(slots) - wanted[name] for name, slots in holdings.items()}
    if all(abs(by) <= threshold * wanted[name] for name, by in off.items()):
        return []
    gives = {name: by for name, by in off.items() if by > 0}
    takes = {name: -by for name, by in off.items() if by < 0}
    return _moves(holdings, gives, takes)


def drain(holdings: Holdings, leaving: str, weights: Mapping[str, float] | None = None) -> list[Move]:
    """Plan that one node gives all it has, first to those that have least for their weight. Raises NoPlan."""
    others = {name: (weights or {}).get(name, 1.0) for name in holdings if name != leaving}
    others = {name: weight for name, weight in others.items() if weight > 0}
    if not others:
        raise NoPlan("nobody is there to take the slots")
    count = len(holdings[leaving])
    takes = dict.fromkeys(others, 0)
    for _ in range(count):
        least = min(takes, key=lambda name: ((len(holdings[name]) + takes[name] + 1) / others[name], name))
        takes[least] += 1
    return _moves(holdings, {leaving: count}, takes)


def placed(owners: Mapping[int, str], wishes: Mapping[int, str]) -> list[Move]:
    """Plan that each slot of `wishes` is where it says; those that are there already stay. Raises NoPlan."""
    pairs: dict[tuple[str, str], list[int]] = {}
    for slot, target in sorted(wishes.items()):
        if slot not in owners:
            raise NoPlan(f"slot {slot} is served by nobody: fix the cluster first")
        if owners[slot] != target:
            pairs.setdefault((owners[slot], target), []).append(slot)
    return [Move(source, target, tuple(slots)) for (source, target), slots in pairs.items()]


def shares(weights: Mapping[str, float], total: int = SLOTS) -> dict[str, int]:
    """Divide slots by weight; what rounding leaves goes to the largest remainders. Raises NoPlan."""
    if any(not 0 <= weight < float("inf") for weight in weights.values()):
        raise NoPlan("a weight is 0 or more")
    if not any(weights.values()):
        raise NoPlan("at least one weight must be above 0")
    whole = sum(weights.values())
    exact = {name: total * weight / whole for name, weight in weights.items()}
    share = {name: int(value) for name, value in exact.items()}
    left = sorted(exact, key=lambda name: (share[name] - exact[name], name))
    for name in left[: total - sum(share.values())]:
        share[name] += 1
    return share


def _apportion(givers: Mapping[str, int], count: int) -> dict[str, int]:
    share = shares({name: float(has) for name, has in givers.items()}, count)
    return {name: number for name, number in share.items() if number}


def _moves(holdings: Holdings, gives: Mapping[str, int], takes: Mapping[str, int]) -> list[Move]:
    """Match givers with takers, the largest first, so that there are few pairs."""
    pools = {name: set(holdings[name]) for name in gives}
    left = {name: count for name, count in takes.items() if count}
    moves = []
    for source, count in sorted(gives.items(), key=lambda item: (-item[1], item[0])):
        while count:
            target = max(left, key=lambda name: (left[name], name))
            size = min(count, left[target])
            slots = _pick(pools[source], size, holdings.get(target, ()))
            pools[source] -= set(slots)
            moves.append(Move(source, target, tuple(slots)))
            count -= size
            left[target] -= size
            if not left[target]:
                del left[target]
    return moves


def _pick(pool: set[int], count: int, neighbours: Sequence[int]) -> list[int]:
    """Choose slots: whole ranges that touch the taker's first, then the smallest ranges, cut at one end."""
    beside = {slot + step for slot in neighbours for step in (-1, 1)}
    chosen: list[int] = []
    while len(chosen) < count:
        need = count - len(chosen)
        ranges = compress(pool - set(chosen))

        def rank(ends: tuple[int, int]) -> tuple[bool, bool, int, int]:
            first, last = ends
            size = last - first + 1
            fits = size <= need  # noqa: B023 - used within this turn only
            return (first not in beside and last not in beside, not fits, -size if fits else size, first)

        first, last = min(ranges, key=rank)
        size = min(need, last - first + 1)
        at_end = last in beside and first not in beside
        chosen += range(last - size + 1, last + 1) if at_end else range(first, first + size)
    return sorted(chosen)
