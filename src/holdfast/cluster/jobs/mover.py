"""A list of moves, done: windows in lanes, patience with nodes that fail, a cancel that leaves no mess.

Each source has two lanes, so that one window's keys travel while the other's marks are set; sources
work at the same time. When a node is lost the lane waits for it, or for whoever was promoted in its
stead, and looks at the slots again; nothing is remembered from before.

How to read it: `Mover.run`, then `_lane`, then `_through` (one window until it is done).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.cluster.jobs.balance import Move
from holdfast.cluster.jobs.contact import Contact
from holdfast.cluster.jobs.keys_at_both import Keep
from holdfast.cluster.jobs.pace import BUDGET_MS, Allowance, Pace, Windows
from holdfast.cluster.jobs.remote import NodeLost, Refused
from holdfast.cluster.jobs.slot_move import CannotMove
from holdfast.cluster.jobs.strays import drop, gather
from holdfast.cluster.jobs.topology import BadView, Picture
from holdfast.cluster.jobs.whole import given
from holdfast.cluster.jobs.window import NotNow, Pair, Tally, Undecided, Window

LANES = 2
COUNTED_AT_A_TIME = 512
PAUSE_S = (0.05, 1.0)
"""Between tries: the first, and the longest."""
SETTLE_S = 10.0


@dataclass(frozen=True)
class Settings:
    """How moves are done."""

    patience_s: float = 60.0
    """How long a node may be away before the job gives up."""
    keys_per_s: float = 0.0
    budget_ms: float = BUDGET_MS
    keep: Keep = Keep.ASK
    as_a_whole: bool = True
    """Between nodes of ours slots travel as a whole; if not, key by key as everywhere."""


@dataclass
class Outcome:
    """How a job ended."""

    tally: Tally
    seconds: float = 0.0
    left: list[Move] = field(default_factory=list)
    """What was not moved."""
    open_slots: int | None = 0
    """Slots that have a mark somewhere; None: nobody could be asked."""
    cancelled: bool = False
    fault: Exception | None = None
    """Why it stopped, if it was not cancelled and is not through."""

    @property
    def is_complete(self) -> bool:
        """Return whether all was moved."""
        return not self.left and self.fault is None


class GaveUp(Exception):
    """A node stayed away for longer than patience lasts."""


class Mover:
    """Does moves."""

    def __init__(self, contact: Contact, settings: Settings) -> None:
        self.contact, self.settings = contact, settings
        self.tally = Tally()
        self._cancelled = False
        self._stopping = False
        self._lanes: list[asyncio.Task[None]] = []
        self._turns: dict[str, asyncio.Lock] = {}
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._left: dict[int, tuple[str, str]] = {}
        self._gave: dict[int, set[str]] = {}
        """Who gave a slot in this job: it has handed over all keys, whatever it finds again."""
        self._run_ids: dict[str, str] = {}
        """Targets as they were when the job began: one that has another now may have lost something."""

    def cancel(self) -> None:
        """Begin no window more; called again: leave even those that are open."""
        if self._cancelled:
            for lane in self._lanes:
                lane.cancel()
        self._cancelled = True

    async def run(self, moves: Sequence[Move]) -> Outcome:
        """Do moves; never raises for what happens to nodes: the outcome says it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = Outcome(self.tally)
        self._left = {slot: (move.source, move.target) for move in moves for slot in move.slots}
        self._allowance = Allowance(self.settings.keys_per_s)
        self._pairs.clear()
        self._gave.clear()
        try:
            self._known = await self.contact.survey()
            self._run_ids = {name: await self._run_id(name) for name in {move.target for move in moves}}
            queues = await self._queues(moves)
            self._lanes = [loop.create_task(self._lane(queue)) for queue in queues for _ in range(LANES)]
            await self._gathered(outcome)
        except (NodeLost, Refused, NotNow, BadView) as error:
            outcome.fault = error
        outcome.cancelled = self._cancelled and bool(self._left)
        outcome.left = self._moves_left()
        if outcome.left:
            outcome.open_slots = await self._open_slots()
        else:
            try:
                await self._settled({slot for move in moves for slot in move.slots})
            except (Refused, Undecided) as error:
                outcome.fault = error
        outcome.seconds = loop.time() - began
        return outcome

    async def _gathered(self, outcome: Outcome) -> None:
        """Wait for the lanes. If one fails, the others finish their windows and stop.

        Who is cancelled here takes the lanes with him.
        """
        waiting = set(self._lanes)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for lane in done:
                    if not lane.cancelled() and (error := lane.exception()) is not None:
                        if not isinstance(error, Exception):
                            raise error
                        outcome.fault = outcome.fault or error
                        self._stopping = True
        finally:
            for lane in waiting:
                lane.cancel()
            if waiting:
                await asyncio.gather(*waiting, return_exceptions=True)

    async def _queues(self, moves: Sequence[Move]) -> list[deque[tuple[Move, Windows]]]:
        """Count the keys of each slot; one queue a source."""
        queues: dict[str, deque[tuple[Move, Windows]]] = {}
        for move in moves:
            line = await self.contact.line(move.source)
            counts: list[int] = []
            for start in range(0, len(move.slots), COUNTED_AT_A_TIME):
                some = move.slots[start : start + COUNTED_AT_A_TIME]
                replies = await line.ask_all([["CLUSTER", "COUNTKEYSINSLOT", slot] for slot in some])
                counts += [reply if isinstance(reply, int) else 0 for reply in replies]
            queue = queues.setdefault(move.source, deque())
            queue.append((move, Windows.of(move.slots, counts)))
        return list(queues.values())

    async def _lane(self, queue: deque[tuple[Move, Windows]]) -> None:
        while queue and not self._cancelled and not self._stopping:
            move, windows = queue[0]
            slots = windows.take()
            if not slots:
                queue.popleft()
                continue
            await self._through(move.source, move.target, slots, windows)
            for slot in slots:
                self._left.pop(slot, None)

    async def _through(self, source: str, target: str, slots: tuple[int, ...], windows: Windows) -> None:
        """Move one window, however often it takes. Raises GaveUp, Undecided, CannotMove, Refused."""
        loop = asyncio.get_running_loop()
        marked: dict[int, str] = {}
        groups = {source: slots}
        lost_at, pause = None, PAUSE_S[0]
        while True:
            try:
                for owner, some in groups.items():
                    for slot in some:
                        self._gave.setdefault(slot, set()).add(owner)
                    took_ms = await given(self._pair(owner, target), some)
                    if not took_ms:
                        window = Window(self._pair(owner, target), some, marked)
                        await window.move()
                        took_ms = window.open_ms
                    if took_ms and lost_at is None:
                        windows.were_open(len(some), took_ms)
                return
            except (NodeLost, NotNow, CannotMove, BadView) as error:
                now = loop.time()
                lost_at = now if lost_at is None else lost_at
                self.tally.trouble = str(error)
                if await self._are_there(target, slots, given_up=tuple(groups)):
                    return
                if now - lost_at > self.settings.patience_s or (self._cancelled and now - lost_at > 2):
                    if await self._are_there(target, slots):
                        return  # only their old owner was not told: it is gone, and hears it when it returns
                    if isinstance(error, CannotMove):
                        raise
                    raise GaveUp(str(error)) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_S[1])
            target, groups = await self._found_again(target, slots, groups)

    async def _found_again(
        self, target: str, slots: tuple[int, ...], before: dict[str, tuple[int, ...]]
    ) -> tuple[str, dict[str, tuple[int, ...]]]:
        """See who owns the slots now, and who stands where the target stood."""
        try:
            picture = await self.contact.survey()
        except NodeLost:
            return target, before
        target = successor(self._known, picture, target)
        asked = {slot: name for name, some in before.items() for slot in some}
        groups: dict[str, list[int]] = {}
        for slot in slots:
            owner = picture.owners.get(slot, asked[slot])
            # Already the target's: its old owner may still have to be told.
            groups.setdefault(asked[slot] if owner == target else owner, []).append(slot)
        return target, {name: tuple(some) for name, some in groups.items()}

    async def _are_there(self, target: str, slots: Sequence[int], given_up: Sequence[str] = ()) -> bool:
        """Return whether the target owns the slots (and the cluster holds all of `given_up` for dead)."""
        try:
            picture = await self.contact.survey()
        except NodeLost:
            return False
        if any(not picture.is_held_for_dead(name) for name in given_up):
            return False
        return target in picture.views and all(picture.owners.get(slot) == target for slot in slots)

    def _pair(self, source: str, target: str) -> Pair:
        if (source, target) not in self._pairs:
            turn = self._turns.setdefault(source, asyncio.Lock())
            pace = Pace(self.settings.budget_ms)
            self._pairs[source, target] = Pair(
                *(self.contact, source, target, turn, self.tally, self._allowance, pace, self.settings.keep),
                as_a_whole=self.settings.as_a_whole,
            )
        return self._pairs[source, target]

    async def _settled(self, moved: set[int]) -> None:
        """Look at all nodes until they agree and none has a mark of a moved slot; later is no harm.

        Two things leave marks behind: gossip, where a node hears of a claim before it is told, and a
        node that died and comes back from files that lag (an AOF with `everysec` may lack its last
        two seconds). It then finds keys again that were moved and deleted, and a stock node marks
        their slots IMPORTING.

        A mark of the owner is another one: somebody moves the slot on already, and its keys with it.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLE_S
        while loop.time() < until:
            try:
                picture = await self.contact.survey()
                away = [name for name in picture.unreachable if not picture.is_held_for_dead(name)]
                if not away and all(view.owners == picture.owners for view in picture.views.values()):
                    if not await self._cleared(picture, moved):
                        return
                    continue  # and look again
            except (NodeLost, BadView) as error:
                self.tally.trouble = str(error)
            await asyncio.sleep(PAUSE_S[0])

    async def _cleared(self, picture: Picture, moved: set[int]) -> int:
        """Clear what marks of moved slots there are; return how many."""
        count = 0
        for name, view in picture.views.items():
            marks = {slot for slot in (*view.migrating, *view.importing) if slot in moved}
            left = [slot for slot in sorted(marks) if not picture.is_on_its_way(slot)]
            if not left or not view.me.is_primary:
                continue
            line = await self.contact.line(name)
            for slot in left:
                owner = picture.owners.get(slot, name)
                if owner == name:
                    await line.ask("CLUSTER", "SETSLOT", slot, "STABLE")
                    count += 1
                else:
                    count += await self._without_remains(slot, name, owner)
        return count

    async def _without_remains(self, slot: int, holder: str, owner: str) -> bool:
        """Delete copies of keys that a node found again, and its mark; return whether it was done.

        Nobody is sent to them. A key that its owner does not have was deleted there, unless the owner came
        back as well, or the node never gave the slot: it may have got keys by a move whose source was failed
        over, and its mark lost. Then they go to the owner.
        """
        run_id = await self._run_id(owner)
        gave = holder in self._gave.get(slot, ())
        if not gave or not run_id or self._run_ids.get(owner) != run_id:
            if slot in (await self.contact.view(owner)).migrating:
                return False
            await gather(self.contact, slot, holder, owner, Keep.TARGET)
            return True
        return await drop(self.contact, slot, holder, owner)

    async def _run_id(self, name: str) -> str:
        """Return which process a node is; empty: it does not say."""
        try:
            told = await (await self.contact.line(name)).ask("INFO", "server")
        except (NodeLost, Refused):
            return ""
        assert isinstance(told, bytes)
        return next((row[7:] for row in told.decode().splitlines() if row.startswith("run_id:")), "")

    async def _open_slots(self) -> int | None:
        try:
            picture = await self.contact.survey()
        except NodeLost:
            return None
        return len({slot for view in picture.views.values() for slot in (*view.migrating, *view.importing)})

    def _moves_left(self) -> list[Move]:
        pairs: dict[tuple[str, str], list[int]] = {}
        for slot, pair in sorted(self._left.items()):
            pairs.setdefault(pair, []).append(slot)
        return [Move(source, target, tuple(slots)) for (source, target), slots in pairs.items()]


def successor(before: Picture, now: Picture, name: str) -> str:
    """Return who leads the shard that a primary led: itself, whom it follows, or its replica of then."""
    view = now.views.get(name)
    if view is not None:
        return name if view.me.is_primary or view.me.primary_id not in now.views else view.me.primary_id
    heirs = [
        node.id
        for node in before.replicas_of(name)
        if node.id in now.views and now.views[node.id].me.is_primary
    ]
    return heirs[0] if len(heirs) == 1 else name


__all__ = ["GaveUp", "Mover", "Outcome", "Settings", "Undecided", "successor"]
