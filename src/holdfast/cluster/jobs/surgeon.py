"""The remedies of `mending`, done; and the facts that `health` and `mending` decide on, asked for.

How to read it: `facts_of` and `keys_of` ask; `Surgeon.run` does remedies kind by kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from holdfast.cluster.jobs.balance import Move
from holdfast.cluster.jobs.contact import Contact
from holdfast.cluster.jobs.health import Facts, facts_from
from holdfast.cluster.jobs.mending import Case, Kind, Remedy, cases
from holdfast.cluster.jobs.mover import Mover, Outcome
from holdfast.cluster.jobs.remote import NodeLost, Refusal, Refused, Word
from holdfast.cluster.jobs.strays import gather
from holdfast.cluster.jobs.topology import SLOTS, Picture

COUNTED_AT_A_TIME = 1024


async def facts_of(contact: Contact, picture: Picture) -> dict[str, Facts]:
    """Ask every node that answers how it stands."""

    async def ask(name: str) -> Facts | None:
        try:
            line = await contact.line(name)
            told, cluster, setting = await line.ask_all(
                [["INFO"], ["CLUSTER", "INFO"], ["CONFIG", "GET", "cluster-replica-no-failover"]]
            )
        except (NodeLost, Refused):
            return None
        if not isinstance(told, bytes) or not isinstance(cluster, bytes):
            return None
        value = setting[1] if isinstance(setting, list) and len(setting) == 2 else b""
        word = value.decode() if isinstance(value, bytes) else ""
        return facts_from(_fields(told), _fields(cluster), word)

    names = list(picture.views)
    asked = await asyncio.gather(*map(ask, names))
    return {name: facts for name, facts in zip(names, asked, strict=True) if facts is not None}


async def keys_of(
    contact: Contact, picture: Picture, *, strays: bool, among: Iterable[int] = range(SLOTS)
) -> dict[str, dict[int, int]]:
    """Count the keys of each primary in open slots, and (`strays`) in those `among` all that are not its own.

    Returns node: slot: count, without zeros. Raises NodeLost, and Refused where a node cannot say it.
    """
    open_slots = {slot for view in picture.views.values() for slot in (*view.migrating, *view.importing)}

    async def count(name: str) -> dict[int, int]:
        line = await contact.line(name)
        others = set(among).difference(picture.slots_of(name)) if strays else set()
        slots = sorted(open_slots | others)
        counts: dict[int, int] = {}
        for start in range(0, len(slots), COUNTED_AT_A_TIME):
            some = slots[start : start + COUNTED_AT_A_TIME]
            replies = await line.ask_all([["CLUSTER", "COUNTKEYSINSLOT", slot] for slot in some])
            for slot, reply in zip(some, replies, strict=True):
                if isinstance(reply, Refusal):
                    raise Refused(line.address, "CLUSTER COUNTKEYSINSLOT", reply)
                if isinstance(reply, int) and reply:
                    counts[slot] = reply
        return counts

    names = [node.id for node in picture.primaries]
    return dict(zip(names, await asyncio.gather(*map(count, names)), strict=True))


async def cases_of(
    contact: Contact, picture: Picture, *, strays: bool, among: Iterable[int] = range(SLOTS)
) -> list[Case]:
    """Return slots with which something is wrong; stray keys, if asked for, are looked for `among` these.

    Raises NodeLost, Refused.
    """
    return cases(picture, await keys_of(contact, picture, strays=strays, among=among))


class Surgeon:
    """Does remedies."""

    def __init__(self, contact: Contact, mover: Mover, tell: Callable[[str], None]) -> None:
        self.contact, self.mover, self.tell = contact, mover, tell

    async def run(self, remedies: Sequence[Remedy]) -> Outcome | None:
        """Do remedies in their order; return how the moves among them ended. Raises NodeLost, Refused."""
        by_kind = {kind: [each for each in remedies if each.kind is kind] for kind in Kind}
        await self._cover(by_kind[Kind.COVER])
        for remedy in by_kind[Kind.TELL]:
            line = await self.contact.line(remedy.node)
            await line.ask("CLUSTER", "SETSLOT", remedy.slot, "NODE", remedy.target)
        for remedy in by_kind[Kind.CLEAR]:
            await (await self.contact.line(remedy.node)).ask("CLUSTER", "SETSLOT", remedy.slot, "STABLE")
        outcome = None
        if by_kind[Kind.FORWARD]:
            outcome = await self.mover.run(forward_moves(by_kind[Kind.FORWARD]))
            if not outcome.is_complete:
                return outcome
        for remedy in by_kind[Kind.GATHER]:
            count = await gather(
                self.contact, remedy.slot, remedy.node, remedy.target, self.mover.settings.keep
            )
            self.tell(f"slot {remedy.slot}: {count} stray keys are with its owner now")
        return outcome

    async def _cover(self, remedies: Sequence[Remedy]) -> None:
        """Give slots to primaries: they take a new epoch, so that their claim is the one that holds.

        All slots of a node are in one command: a node may have to answer for a whole share of the cluster.
        """
        by_node: dict[str, list[int]] = {}
        for remedy in remedies:
            by_node.setdefault(remedy.node, []).append(remedy.slot)
        for name, slots in by_node.items():
            line = await self.contact.line(name)
            view = await self.contact.view(name)
            requests: list[list[Word]] = [["MULTI"]]
            if owned := [slot for slot in slots if slot in view.owners]:
                requests.append(["CLUSTER", "DELSLOTS", *owned])
            requests.append(["CLUSTER", "ADDSLOTS", *slots])
            marked = set(slots) & (view.migrating.keys() | view.importing.keys())
            requests += [["CLUSTER", "SETSLOT", slot, "STABLE"] for slot in sorted(marked)]
            requests += [["CLUSTER", "BUMPEPOCH"], ["EXEC"]]
            *_, done = await line.ask_all(requests)
            failed = (
                [each for each in done if isinstance(each, Refusal)] if isinstance(done, list) else [done]
            )
            if failed:
                raise Refused(line.address, "ADDSLOTS", str(failed[0]))


def forward_moves(remedies: Sequence[Remedy]) -> list[Move]:
    """Return the moves that finish what is half done."""
    pairs: dict[tuple[str, str], list[int]] = {}
    for remedy in remedies:
        pairs.setdefault((remedy.node, remedy.target), []).append(remedy.slot)
    return [Move(source, target, tuple(slots)) for (source, target), slots in pairs.items()]


def _fields(told: bytes) -> Mapping[str, str]:
    return dict(row.split(":", 1) for row in told.decode("utf-8", "replace").splitlines() if ":" in row)
