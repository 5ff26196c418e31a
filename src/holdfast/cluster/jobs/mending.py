"""What brings a cluster's slots in order again. Pure: what the nodes say in, remedies out.

Three things go wrong with slots: one is open (a move stopped half-way, a mark was lost or left
behind), one is served by nobody, or keys lie where their slot is not served. Each remedy is the
smallest that ends it; one that could lose data says so, and is done only when somebody said yes.

How to read it: `Case` is one slot; `remedies` decides, by the rules in `_with_owner`,
`_dealt` and `_without_owner`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from holdfast.cluster.jobs.topology import SLOTS, Picture, expand


class Kind(Enum):
    """What a remedy does."""

    TELL = "tell a node whose slot was taken who has it"
    CLEAR = "clear a mark that means nothing"
    FORWARD = "finish a move"
    COVER = "give a slot that nobody serves to a primary"
    GATHER = "move stray keys to the owner of their slot"


ORDER = (Kind.COVER, Kind.TELL, Kind.CLEAR, Kind.FORWARD, Kind.GATHER)


@dataclass(frozen=True)
class Remedy:
    """One thing to do about one slot."""

    kind: Kind
    slot: int
    node: str
    """Who is told, whose mark is cleared, who gets the slot, or who gives keys."""
    target: str = ""
    """Who gets the keys, or has the slot."""
    risk: str = ""
    """What could be lost; empty: nothing."""


@dataclass(frozen=True)
class Case:
    """A slot with which something may be wrong."""

    slot: int
    owner: str
    """Empty: nobody."""
    owner_answers: bool
    migrating: Mapping[str, str]
    """Primary: to whom it gives the slot."""
    importing: Mapping[str, str]
    keys: Mapping[str, int]
    """Primary that answers: its keys in this slot; those without any are left out."""


def cases(picture: Picture, keys: Mapping[str, Mapping[int, int]]) -> list[Case]:
    """Return the slots with which something is wrong. `keys`: node: slot: count, where not 0."""
    alive = {node.id: picture.views[node.id] for node in picture.primaries}
    unserved = picture.owners.without(SLOTS)
    unserved += [(first, last) for first, last, owner in picture.owners.runs if owner not in alive]
    looked_at = set(expand(unserved))
    for view in alive.values():
        looked_at.update(view.migrating, view.importing)
    for name in keys.keys() & alive.keys():
        looked_at.update(slot for slot in keys[name] if picture.owners.get(slot) != name)
    made = []
    for slot in sorted(looked_at):
        owner = picture.owners.get(slot, "")
        migrating = {name: view.migrating[slot] for name, view in alive.items() if slot in view.migrating}
        importing = {name: view.importing[slot] for name, view in alive.items() if slot in view.importing}
        held = {name: counts[slot] for name, counts in keys.items() if counts.get(slot) and name in alive}
        if migrating or importing or owner not in alive or held.keys() - {owner}:
            made.append(Case(slot, owner, owner in alive, migrating, importing, held))
    return made


def remedies(found: list[Case], picture: Picture) -> list[Remedy]:
    """Decide what to do, in the order in which it is to be done."""
    takers = _dealt(found, picture)
    decided: list[Remedy] = []
    for case in found:
        if case.owner and case.owner_answers:
            decided += _with_owner(case, picture)
        elif case.slot in takers:
            decided += _without_owner(case, picture, takers[case.slot])
    return sorted(decided, key=lambda remedy: (ORDER.index(remedy.kind), remedy.slot))


def _dealt(found: list[Case], picture: Picture) -> dict[int, str]:
    """Choose who gets each slot that nobody serves: who has its keys, else so that all have alike many.

    Those go in runs, to nodes in the order of their first slots: ranges stay few, and many join others.
    """
    load = {node.id: picture.slot_count_of(node.id) for node in picture.primaries}
    takers: dict[int, str] = {}
    others: list[int] = []
    for case in found:
        if not load or (case.owner and (case.owner_answers or not picture.is_held_for_dead(case.owner))):
            continue  # where it does not answer us, and the cluster hears it, nothing is wrong with the slot
        if case.keys:
            best = max(load, key=lambda name: (case.keys.get(name, 0), -load[name], name))
            takers[case.slot] = best
            load[best] += 1
        else:
            others.append(case.slot)
    shares = dict.fromkeys(load, 0)
    for _ in others:
        least = min(load, key=lambda name: load[name])
        shares[least] += 1
        load[least] += 1
    dealt = (name for name, share in shares.items() for _ in range(share))
    return takers | dict(zip(others, dealt, strict=True))


def _with_owner(case: Case, picture: Picture) -> list[Remedy]:
    """Open slots and strays of a slot that is served."""
    slot, owner = case.slot, case.owner
    done: list[Remedy] = []
    alive = {node.id for node in picture.primaries}
    goal = case.migrating.get(owner, "")
    takers = [name for name, giver in case.importing.items() if name != owner]
    target = ""
    if goal in alive and goal != owner:
        if goal in takers or goal in case.keys:
            target = goal
        else:
            done.append(Remedy(Kind.CLEAR, slot, owner))  # nothing has travelled yet
    elif goal:
        # Whoever took the slot does not lead any more. His heir has the keys that travelled.
        heirs = [name for name in case.keys if name != owner]
        gone = goal in picture.unreachable
        if len(heirs) == 1:
            target = heirs[0]
        elif gone:
            address = picture.nodes[goal].address if goal in picture.nodes else goal
            risk = f"{address} does not answer, and may hold keys of slot {slot} that nobody else has"
            done.append(Remedy(Kind.CLEAR, slot, owner, risk=risk))
        else:
            done.append(Remedy(Kind.CLEAR, slot, owner))
    else:
        with_keys = [name for name in takers if name in case.keys]
        if len(with_keys) == 1:
            target = with_keys[0]
    if target:
        done.append(Remedy(Kind.FORWARD, slot, owner, target))
    if owner in case.importing:
        done.append(Remedy(Kind.CLEAR, slot, owner))
    done += [_former(case, name, picture) for name in case.migrating if name != owner]
    for name in alive - {owner, target}:
        if name in case.keys:
            done.append(Remedy(Kind.GATHER, slot, name, target or owner))
        elif name in case.importing:
            done.append(Remedy(Kind.CLEAR, slot, name))
    return done


def _former(case: Case, name: str, picture: Picture) -> Remedy:
    """What is done about the mark of a node that gave the slot away.

    Until it has heard of that, the mark alone keeps it from taking writes, which its keys' new owner would
    lack: it is told, and then needs no mark.
    """
    if picture.views[name].owner(case.slot) == name:
        return Remedy(Kind.TELL, case.slot, name, case.owner)
    return Remedy(Kind.CLEAR, case.slot, name)


def _without_owner(case: Case, picture: Picture, best: str) -> list[Remedy]:
    """A slot that nobody serves: it goes to the best of those that answer."""
    slot, risk = case.slot, ""
    if case.owner:
        node = picture.nodes.get(case.owner)
        address = node.address if node else case.owner
        risk = f"{address} owns it and does not answer: what it holds is lost to the cluster"
    elif picture.unreachable:
        risk = "a node does not answer that may hold its keys"
    done = [Remedy(Kind.COVER, slot, best, risk=risk)]
    done += [Remedy(Kind.GATHER, slot, name, best) for name in case.keys if name != best]
    marked = {*case.migrating, *case.importing} - set(case.keys) - {best}
    return done + [Remedy(Kind.CLEAR, slot, name) for name in marked]
