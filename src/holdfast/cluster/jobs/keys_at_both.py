"""A key that is at both ends of a move: which copy is right. Pure.

How it comes about: MIGRATE writes the key at the target, then deletes it at the source. A crash or
a time-out between the two leaves it at both. While the source had its mark all the time, it served
every request for a key it held; nobody was sent to the target for it, so the source's copy is
right. If the mark was gone for a while (a replica was promoted), clients may have written the key
anew at the source while the moved one, newer or not, waited at the target: nobody can know.

How to read it: `judge` is the decision.
"""

from __future__ import annotations

from enum import Enum


class Keep(Enum):
    """What an operator may order for keys of which nobody can know."""

    ASK = "ask"
    SOURCE = "source"
    TARGET = "target"


class Verdict(Enum):
    """What happens with a key."""

    MOVE = "move"
    """It is at one end only."""
    REPLACE = "replace"
    """The source's copy is right, or both are equal: move it over the target's."""
    DROP = "drop"
    """The target's copy was chosen: delete the source's."""
    UNDECIDED = "undecided"


def judge(
    source: bytes | None, target: bytes | None, *, mark_was_kept: bool, keep: Keep = Keep.ASK
) -> Verdict:
    """Decide on one key by its DUMP at either end (None: it is not there).

    `mark_was_kept`: the source had its mark since before the key first travelled, and lost no
    write meanwhile (the same process, or one that came back with an append-only file).
    """
    if source is None or target is None:
        return Verdict.MOVE
    if source == target or mark_was_kept:
        return Verdict.REPLACE
    return {Keep.ASK: Verdict.UNDECIDED, Keep.SOURCE: Verdict.REPLACE, Keep.TARGET: Verdict.DROP}[keep]
