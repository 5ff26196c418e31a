"""What happens in a cluster, read off two looks at one node's map: in words, as Sentinels would tell it.

What it is: pure. Nodes of a cluster announce nothing to clients, but their map says whom they
miss, whom a majority calls failed, and who owns which slots. What it is not: the looking (`watch`).

How to read it: `changes` compares two maps of the same node; its events are
`+pfail`, `+fail`, `-fail`, `+leads` and `+follows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.ops.happenings import Names
from holdfast.ops.leadership import ClusterNode


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `about` is the address of whom it happened to; of a new leader, whom it replaces."""

    event: str
    about: str
    text: str


def changes(before: Sequence[ClusterNode], after: Sequence[ClusterNode], names: Names) -> list[Change]:
    """Return what is new, in the order in which it must have happened."""
    earlier = {each.id: each for each in before}
    by_id = {each.id: each for each in after}
    known = [(earlier[each.id], each) for each in after if each.id in earlier]
    found = [change for old, new in known if (change := _health(old, new, _name(new, names)))]
    for old, new in known:
        loser = owner_of(before, new.first_slot) if new.slots and not old.slots else None
        if loser is not None and not (loser.id in by_id and by_id[loser.id].slots):
            text = f"{_name(new, names)} leads now, in the place of {_name(loser, names)}"
            found.append(Change("+leads", str(loser.address), text))
    for old, new in known:
        if old.is_primary and not new.is_primary and new.primary_id in by_id:
            text = f"{_name(new, names)} is a replica of {_name(by_id[new.primary_id], names)} now"
            found.append(Change("+follows", str(new.address), text))
    return found


def _health(old: ClusterNode, new: ClusterNode, name: str) -> Change | None:
    about = str(new.address)
    if new.is_failed and not old.is_failed:
        return Change("+fail", about, f"{name} is down, a majority agrees")
    if new.is_missed and not old.is_missed:
        return Change("+pfail", about, f"{name} does not answer")
    if old.is_missed and not new.is_missed:
        return Change("-fail", about, f"{name} answers again")
    return None


def owner_of(nodes: Sequence[ClusterNode], slot: int) -> ClusterNode | None:
    """Return who owns a slot."""
    return next((each for each in nodes if each.owns(slot)), None)


def _name(node: ClusterNode, names: Names) -> str:
    return names.get(str(node.address), str(node.address))
