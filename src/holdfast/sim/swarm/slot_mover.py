"""Slots that move about while everything fails: the product's own tool, on a host of the simulator.

What this is: the program of such a host. It moves a few slots from one primary to another, as a whole
or key by key, is killed in the middle now and then, and finishes what it finds half done. When it is
told to stop it mends, also what a late election brings, until nothing is left to mend. What it is
not: a judge (`cluster_checks`).

How to read it: `main`, then `_move_some` and `_mend`.
"""

from __future__ import annotations

import asyncio
import random

from holdfast.cluster.jobs.balance import Move
from holdfast.cluster.jobs.contact import Contact, NotACluster
from holdfast.cluster.jobs.keys_at_both import Keep
from holdfast.cluster.jobs.mending import Kind, remedies
from holdfast.cluster.jobs.mover import Mover, Settings
from holdfast.cluster.jobs.remote import Access, NodeLost, Refused
from holdfast.cluster.jobs.slot_move import CannotMove
from holdfast.cluster.jobs.surgeon import Surgeon, cases_of
from holdfast.cluster.jobs.topology import BadView
from holdfast.cluster.jobs.window import NotNow, Undecided
from holdfast.engine.slots import slot_of_key
from holdfast.server.host import Host
from holdfast.sim.nodes import PORT, Nodes

TAGS = tuple(f"t{number}" for number in range(40))
"""Where slots move, keys stand in the slots of these tags, so that those that move hold some."""


def slots_of_tags(count: int) -> tuple[int, ...]:
    """Return the slots of the first tags, in order."""
    return tuple(sorted({slot_of_key(tag.encode()) for tag in TAGS[:count]}))


TAGGED = slots_of_tags(len(TAGS))
PATIENCE_S = 3.0
PASSING = (NodeLost, Refused, NotNow, CannotMove, Undecided, BadView, NotACluster, OSError, TimeoutError)
"""What may befall a tool while nodes fail."""


class SlotMover:
    """One such host."""

    def __init__(self, name: str, nodes: Nodes, among: int = len(TAGS)) -> None:
        """Make one that is not at work yet; it moves the slots of so many tags."""
        self.name = name
        self.stopping = False
        self.is_last_look = False
        """Elections are over: what is found in order from now on stays so."""
        self.is_done = False
        """All slots are in order, and nobody moves any more."""
        self.moved = 0
        self.trouble = ""
        """Why it is not done yet."""
        self._nodes = nodes
        self._slots = slots_of_tags(among)

    async def main(self, host: Host) -> None:
        """Move until told to stop, then mend."""
        luck = host.random
        while not self.stopping:
            await asyncio.sleep(luck.uniform(0.1, 1.5))
            await self._tried(self._move_some(luck), luck, luck.choice((0.02, 0.1, 0.5, 6.0, 6.0, 6.0)))
        while not self.is_done:
            await self._tried(self._mend(luck), luck, 60.0)
            await asyncio.sleep(0.5)

    async def _tried(self, work: object, luck: random.Random, for_s: float) -> None:
        """Work for so long, then be killed; what happens to nodes is no fault of the tool's."""
        assert asyncio.iscoroutine(work)
        try:
            async with asyncio.timeout(for_s):
                await work
        except PASSING as error:
            self.trouble = f"{type(error).__name__}: {error}"

    async def _open(self, luck: random.Random) -> Contact:
        seeds = [(name, PORT) for name in self._nodes.settings]
        luck.shuffle(seeds)
        return await Contact.open(seeds, Access())

    async def _move_some(self, luck: random.Random) -> None:
        contact = await self._open(luck)
        try:
            if luck.random() < 0.6:
                await self._finish(contact, Settings(PATIENCE_S), strays=False)
            picture = await contact.survey()
            first = luck.randrange(len(self._slots))
            wanted = self._slots[first : first + luck.choice((1, 1, 3, 8))]
            source = picture.owners.get(wanted[0], "")
            targets = [node.id for node in picture.primaries if node.id != source and node.ranges]
            if not source or not targets:
                return
            slots = tuple(slot for slot in wanted if picture.owners.get(slot) == source)
            settings = Settings(PATIENCE_S, as_a_whole=luck.random() < 0.6)
            outcome = await Mover(contact, settings).run([Move(source, luck.choice(targets), slots)])
            self.moved += outcome.tally.slots
        finally:
            await contact.close()

    async def _mend(self, luck: random.Random) -> None:
        contact, is_last = await self._open(luck), self.is_last_look
        try:
            found = await self._finish(contact, Settings(PATIENCE_S, keep=Keep.SOURCE), strays=True)
            self.is_done = is_last and not found
        finally:
            await contact.close()

    async def _finish(self, contact: Contact, settings: Settings, *, strays: bool) -> int:
        """Finish what is half done, as `holdfast cluster fix` does; return how much there was.

        No other slots have keys than those of the tags: to count those of all takes a third of a run.
        """
        picture = await contact.survey()
        found = remedies(await cases_of(contact, picture, strays=strays, among=TAGGED), picture)
        chosen = [each for each in found if strays or not (each.risk or each.kind is Kind.COVER)]
        if chosen:
            await Surgeon(contact, Mover(contact, settings), lambda _: None).run(chosen)
        return len(found)
