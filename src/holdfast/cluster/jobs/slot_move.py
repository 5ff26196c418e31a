"""One slot's move, as a state machine over what its two ends say. Pure.

There is no "where were we" but the cluster's own words: each time the ends are asked, and
`next_step` says what is missing. So a job that starts, one that goes on after a crash (of the
tool, of a node), and one that somebody else began are the same code.

The order, and why it is this one:

1. the target is told that it imports, *before* the source redirects anybody to it (a target
   that is not importing would send the client back);
2. the source is told that it migrates: from here on a key that is not there is asked for at the
   target, so no key can come into being at the source, and each key is at one end;
3. the keys travel;
4. the target is told that the slot is its own. It takes a new epoch, so its claim beats the
   source's wherever the two meet, and it says so to all. The source still redirects by ASK;
5. the source is told, then everybody else. (Source first would leave a moment in which nobody
   serves the slot; and a crash then would leave it so.)

Before step 4 the source must have been *seen* to hold the mark and no key: a source whose mark is
gone (its replica was promoted, and replicas do not know marks) may have taken new keys.

How to read it: `End` is what one end says, `next_step` the decision, `after` what a step that
succeeded has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum


class Step(IntEnum):
    """What is to be done next, in the order of a move."""

    CORRECT_TARGET = 0
    """SETSLOT NODE source at a target that has somebody else for the owner. Stock nodes believe no gossip
    on a slot that they import: if the source's replica is promoted, the target holds on to the dead
    source, and since its slot is then nobody's, answers CLUSTERDOWN to everybody."""
    MARK_TARGET = 1
    """SETSLOT IMPORTING at the target."""
    COMPARE = 2
    """The target holds keys that no mark explains: see which are at both ends."""
    MARK_SOURCE = 3
    """SETSLOT MIGRATING at the source."""
    MOVE_KEYS = 4
    CLAIM = 5
    """SETSLOT NODE at the target."""
    TELL_SOURCE = 6
    """SETSLOT NODE at the source."""
    SETTLE_TARGET = 7
    """SETSLOT STABLE at a target that owns the slot and still has a mark."""
    DONE = 8


class CannotMove(Exception):
    """The ends say what no step mends; the reason names the slot."""


@dataclass(frozen=True)
class End:
    """What one end says of a slot."""

    owner: str
    """Who owns it, in this node's view; empty: nobody."""
    migrating_to: str = ""
    importing_from: str = ""
    keys: int = 0


def next_step(
    slot: int, source_id: str, target_id: str, source: End, target: End, *, compared: bool = False
) -> Step:
    """Say what brings the slot nearer to the target. Raises CannotMove.

    `compared`: keys at both ends were looked for since the marks were last seen incomplete.
    """
    if target.owner == target_id:
        if source.owner == source_id and source.keys:
            raise CannotMove(f"slot {slot}: both ends claim it, and the source still has {source.keys} keys")
        if source.owner != target_id or source.migrating_to:
            return Step.TELL_SOURCE
        return Step.SETTLE_TARGET if target.importing_from else Step.DONE
    if source.owner != source_id:
        raise CannotMove(f"slot {slot}: it is served by {source.owner or 'nobody'}, not by the source")
    if target.owner != source_id:
        return Step.CORRECT_TARGET
    if target.importing_from != source_id:
        return Step.MARK_TARGET
    if source.migrating_to != target_id:
        return Step.COMPARE if target.keys and not compared else Step.MARK_SOURCE
    return Step.MOVE_KEYS if source.keys else Step.CLAIM


def after(step: Step, source_id: str, target_id: str, source: End, target: End) -> tuple[End, End]:
    """Return what both ends say once a step was done (MOVE_KEYS and COMPARE are looked at, not assumed)."""
    match step:
        case Step.CORRECT_TARGET:
            return source, replace(target, owner=source_id)
        case Step.MARK_TARGET:
            return source, replace(target, importing_from=source_id)
        case Step.MARK_SOURCE:
            return replace(source, migrating_to=target_id), target
        case Step.CLAIM:
            return source, replace(target, owner=target_id, importing_from="", migrating_to="")
        case Step.TELL_SOURCE:
            return replace(source, owner=target_id, migrating_to=""), target
        case Step.SETTLE_TARGET:
            return source, replace(target, importing_from="", migrating_to="")
        case _:
            raise AssertionError(f"{step.name} is looked at, not assumed")
