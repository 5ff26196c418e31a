"""Keys that lie at a primary which does not serve their slot, brought to the one that does.

How it comes about: a slot was given away by hand (SETSLOT, ADDSLOTS, TAKEOVER) while somebody held
keys of it, or a replica that had received keys was promoted. Nobody is sent to such a key, so the
owner's copy is the one that clients know, where there is one; a differing stray is a question.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from holdfast.cluster.jobs.contact import Contact
from holdfast.cluster.jobs.keys_at_both import Keep
from holdfast.cluster.jobs.remote import Line, Refusal, Refused, Word
from holdfast.cluster.jobs.window import Undecided

LIST_MOST = 100
TIMEOUT_MS = 5000


async def gather(contact: Contact, slot: int, holder: str, owner: str, keep: Keep) -> int:
    """Move a slot's stray keys to its owner; return how many. Raises Undecided, Refused, NodeLost, BadView.

    Under `keep` the holder is the source and the owner the target. It ends early where the owner is no
    owner any more, or moves the slot on: perhaps to the holder, where a stray is the only copy then.
    """
    here, there = await contact.line(holder), await contact.line(owner)
    view = await contact.view(holder)
    goal = view.nodes[owner]
    # With a mark the holder works on its own keys instead of sending us away.
    await here.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", owner)
    words: list[Word] = ["MIGRATE", goal.host, goal.port, "", 0, TIMEOUT_MS]
    access = contact.access.migrate_words
    moved = 0
    while names := await here.ask("CLUSTER", "GETKEYSINSLOT", slot, LIST_MOST):
        assert isinstance(names, list)
        for name in names:
            assert isinstance(name, bytes)
            (reply,) = await here.ask_all([[*words, *access, "KEYS", name]])
            if isinstance(reply, Refusal) and "BUSYKEY" in reply:
                _, mine = await here.ask_all([["ASKING"], ["DUMP", name]])
                theirs = await there.ask("DUMP", name)
                if mine == theirs or keep is Keep.TARGET:
                    if not await _deleted(here, [name], _keeps(contact, slot, owner, [name])):
                        return moved
                    moved += 1
                    continue  # it is listed again if it was written meanwhile
                elif keep is Keep.SOURCE:
                    (reply,) = await here.ask_all([[*words, "REPLACE", *access, "KEYS", name]])
                else:
                    raise Undecided(slot, [name])
            if isinstance(reply, Refusal):
                raise Refused(here.address, "MIGRATE", reply)
            moved += 1
    await here.ask("CLUSTER", "SETSLOT", slot, "STABLE")
    return moved


async def drop(contact: Contact, slot: int, holder: str, owner: str) -> bool:
    """Delete a slot's keys at a node that does not serve it, and its mark; return whether it was done.

    Not where the owner has a mark, or is it no longer: then clients are sent to another node for keys that
    it lacks, and what they write there is the only copy. Raises Refused, NodeLost, BadView.
    """
    line, owner_has_all = await contact.line(holder), _keeps(contact, slot, owner)
    await line.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", owner)
    while names := await line.ask("CLUSTER", "GETKEYSINSLOT", slot, LIST_MOST):
        assert isinstance(names, list)
        if not await _deleted(line, [name for name in names if isinstance(name, bytes)], owner_has_all):
            return False
    if not await owner_has_all():
        return False
    await line.ask("CLUSTER", "SETSLOT", slot, "STABLE")
    return True


def _keeps(
    contact: Contact, slot: int, owner: str, names: Sequence[bytes] = ()
) -> Callable[[], Awaitable[bool]]:
    """Return the question whether a slot is its owner's, is not moved on, and these keys are there."""

    async def ask() -> bool:
        view = await contact.view(owner)
        if view.owner(slot) != owner or slot in view.migrating:
            return False
        line = await contact.line(owner)
        return not names or await line.ask("EXISTS", *names) == len(names)

    return ask


async def _deleted(line: Line, names: Sequence[bytes], may_go: Callable[[], Awaitable[bool]]) -> bool:
    """Delete keys if they may go, but none if one was written since they were asked about.

    Returns whether they may go: who finds that some are still there tries again.
    """
    watches: list[list[Word]] = []
    deletions: list[list[Word]] = []
    for name in names:
        watches += [["ASKING"], ["WATCH", name]]
        deletions.append(["DEL", name])
    try:
        for reply in await line.ask_all(watches):
            if isinstance(reply, Refusal):
                raise Refused(line.address, "WATCH", reply)
        if not await may_go():
            return False
        *_, done = await line.ask_all([["ASKING"], ["MULTI"], *deletions, ["EXEC"]])
    finally:
        await line.ask("UNWATCH")
    if isinstance(done, Refusal) and done.code != "TRYAGAIN":  # that is one which has expired
        raise Refused(line.address, "DEL", done)
    return True
