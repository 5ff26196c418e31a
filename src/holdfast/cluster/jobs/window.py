"""A few slots of one source and one target, moved together: `slot_move`'s steps, sent to nodes.

What makes it fast: each step is one piece of bytes for all slots of the window (a node saves its
configuration once per piece, not once per slot), and MIGRATEs are packed by time (`pace`). What
makes it safe: it holds no state of its own. It looks at both ends, does the step that comes first,
and before a slot is claimed it looks again. Whatever fails, it is started again and looks.

How to read it: `Window.move` is the loop; the steps follow in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.cluster.jobs.contact import Contact
from holdfast.cluster.jobs.keys_at_both import Keep, Verdict, judge
from holdfast.cluster.jobs.pace import WINDOW_KEYS, Allowance, Key, Pace
from holdfast.cluster.jobs.remote import ANSWER_S, Line, Refusal, Refused, Reply, Word
from holdfast.cluster.jobs.slot_move import CannotMove, End, Step, after, next_step
from holdfast.cluster.jobs.topology import View, parse_view

LIST_MOST = 1000
"""Keys listed at a time, of one slot."""
SIZED_AT_A_TIME = 200
COMPARED_AT_A_TIME = 100
MIGRATE_MS_LEAST = 1000
"""How long a source waits for a silent target. It serves nobody meanwhile, so it is short."""
FRUITLESS_ROUNDS = 100
PASSING = ("IOERR", "LOADING", "CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN", "READONLY", "MASTERDOWN", "BUSY",
           "UNBLOCKED", "NOREPLICAS", "NOACK", "NOLEASE", "FENCED")  # fmt: skip
"""Codes that say "not now": look again after a moment."""
THROUGH_TARGET = "Target instance replied with error: "


class NotNow(Exception):
    """Something that may pass: a node that restarts, loads, or was told otherwise by a failover."""


class Undecided(Exception):
    """Keys are at both ends with different values, and nobody can know which is right."""

    def __init__(self, slot: int, keys: Sequence[bytes]) -> None:
        shown = ", ".join(repr(key)[1:] for key in keys[:3]) + (" …" if len(keys) > 3 else "")
        super().__init__(f"slot {slot}: {len(keys)} keys are at both ends with different values: {shown}")
        self.slot, self.keys = slot, list(keys)


@dataclass
class Tally:
    """What a job has done so far; read while it runs."""

    slots: int = 0
    keys: int = 0
    bytes: int = 0
    open_slots: int = 0
    longest_piece_ms: float = 0.0
    keys_replaced: int = 0
    trouble: str = ""
    """What is being waited for; empty when nothing is."""


@dataclass
class Pair:
    """What windows of one source and one target share."""

    contact: Contact
    source: str
    target: str
    turn: asyncio.Lock
    """One window at a time gives its keys away, so that pieces do not add up and slots are not open long."""
    tally: Tally
    allowance: Allowance
    pace: Pace = field(default_factory=Pace)
    keep: Keep = Keep.ASK
    as_a_whole: bool = True
    whole_failures: int = 0
    """How often slots could not be given as a whole, in a row."""


@dataclass
class Window:
    """Slots on their way."""

    pair: Pair
    slots: Sequence[int]
    marked_in_run: dict[int, str] = field(default_factory=dict)
    """Slot: the source's run id when this job set its mark."""
    _ends: dict[int, tuple[End, End]] = field(default_factory=dict)
    _compared: set[int] = field(default_factory=set)
    _drops: dict[int, list[bytes]] = field(default_factory=dict)
    open_ms: float = 0.0
    """From the first mark at the source to the claim; 0: none was set."""
    _opened_at: float = 0.0
    _run_id: str = ""
    _prepaid: int = 0
    _keeps_log: bool = False

    async def move(self) -> None:
        """Bring every slot to the target. Raises NodeLost, NotNow, CannotMove, Undecided, Refused."""
        pair = self.pair
        self._source = await pair.contact.line(pair.source)
        self._target = await pair.contact.line(pair.target)
        await self._look(self.slots)
        while (step := min(map(self._next, self.slots))) is not Step.DONE:
            slots = [slot for slot in self.slots if self._next(slot) is step]
            match step:
                case Step.COMPARE:
                    for slot in slots:
                        await self._compare(slot)
                    self._compared.update(slots)
                case Step.MARK_SOURCE | Step.MOVE_KEYS:
                    async with pair.turn:
                        await self._open_and_move(step, slots)
                    await self._look(self.slots)
                case _:
                    await self._tell(step, slots)
        await self._tell_others()

    def _next(self, slot: int) -> Step:
        source, target = self._ends[slot]
        pair = self.pair
        return next_step(slot, pair.source, pair.target, source, target, compared=slot in self._compared)

    async def _look(self, slots: Sequence[int]) -> None:
        """Ask both ends what is so."""
        requests: list[list[Word]] = [["CLUSTER", "NODES"], ["INFO", "server"], ["INFO", "persistence"]]
        requests += [["CLUSTER", "COUNTKEYSINSLOT", slot] for slot in slots]
        source, target = await asyncio.gather(self._source.ask_all(requests), self._target.ask_all(requests))
        views = [
            _view(line, replies[0]) for line, replies in ((self._source, source), (self._target, target))
        ]
        told = _fields(self._source, source[1]) | _fields(self._source, source[2])
        self._run_id, self._keeps_log = told.get("run_id", ""), told.get("aof_enabled") == "1"
        if not views[1].me.is_primary:
            raise NotNow(f"{self._target.address} is no primary any more")
        goal = views[0].nodes.get(self.pair.target)
        if goal is None:
            raise NotNow(f"{self._source.address} does not know the target yet")
        self._goal = goal
        for slot, here, there in zip(slots, source[3:], target[3:], strict=True):
            self._ends[slot] = _end(views[0], slot, here), _end(views[1], slot, there)
        self._others = [
            node.id
            for node in views[0].nodes.values()
            if node.is_primary and not node.is_failed and node.id not in (self.pair.source, self.pair.target)
        ]

    async def _tell(self, step: Step, slots: Sequence[int]) -> None:
        """Send one SETSLOT a slot, all in one piece."""
        pair = self.pair
        line, words = {
            Step.CORRECT_TARGET: (self._target, ["NODE", pair.source]),
            Step.MARK_TARGET: (self._target, ["IMPORTING", pair.source]),
            Step.MARK_SOURCE: (self._source, ["MIGRATING", pair.target]),
            Step.CLAIM: (self._target, []),
            Step.TELL_SOURCE: (self._source, ["NODE", pair.target]),
            Step.SETTLE_TARGET: (self._target, ["STABLE"]),
        }[step]
        if step is Step.CLAIM:
            await self._claim(slots)
        requests: list[list[Word]] = []
        for slot in slots if step is not Step.CLAIM else ():
            requests.append(["CLUSTER", "SETSLOT", slot, *words])
            if step is Step.MARK_SOURCE:
                # What the operator gave up goes behind the mark, in one piece with it.
                requests += [["DEL", key] for key in self._drops.pop(slot, [])]
        replies = await line.ask_all(requests)
        for request, reply in zip(requests, replies, strict=True):
            if isinstance(reply, Refusal):
                if step is Step.TELL_SOURCE and "only with masters" in reply:
                    continue  # it gave its last slot away, and follows the target now
                raise _meant(line, f"{' '.join(map(str, request[:4]))}", reply)
        if step is Step.MARK_SOURCE:
            self._opened_at = self._opened_at or asyncio.get_running_loop().time()
            self.marked_in_run |= dict.fromkeys(slots, self._run_id)
            self.pair.tally.open_slots += len(slots)
        if step is Step.CLAIM:
            if self._opened_at:
                self.open_ms = (asyncio.get_running_loop().time() - self._opened_at) * 1000
            self.pair.tally.open_slots = max(0, self.pair.tally.open_slots - len(slots))
            self.pair.tally.slots += len(slots)
        for slot in slots:
            self._ends[slot] = after(step, pair.source, pair.target, *self._ends[slot])

    async def _claim(self, slots: Sequence[int]) -> None:
        """Make the target the owner, in one transaction that is announced once.

        A node that is given a slot which it imports tells everybody at once, and everybody saves its
        configuration to disk; slot by slot, that is what holds up clients. So the marks of all but the
        last are taken away first: the last one announces them all. The epoch is taken before: if another tool
        has taken that last mark away, too, the claims would else be made in the old one, and be undone.

        Our nodes claim none without its mark. They take the epoch before the transaction, as a majority has
        to know of it; and where a claim waits for replicas each one is made alone.
        """
        claims: list[list[Word]] = [["CLUSTER", "SETSLOT", slot, "NODE", self.pair.target] for slot in slots]
        if await self.pair.contact.waits_for_replicas(self.pair.target):
            for reply in await self._target.ask_all(claims):
                if isinstance(reply, Refusal):
                    raise _meant(self._target, "SETSLOT NODE", reply)
            return
        bump: list[Word] = ["CLUSTER", "BUMPEPOCH"]
        requests: list[list[Word]] = [["MULTI"]]
        if await self.pair.contact.gives_whole(self.pair.target):
            (reply,) = await self._target.ask_all([bump])
            if isinstance(reply, Refusal):
                raise _meant(self._target, "BUMPEPOCH", reply)
        else:
            requests.append(bump)
            requests += [["CLUSTER", "SETSLOT", slot, "STABLE"] for slot in slots[:-1]]
        requests += claims
        *_, done = await self._target.ask_all([*requests, ["EXEC"]])
        if isinstance(done, Refusal):
            raise _meant(self._target, "SETSLOT NODE", done)
        assert isinstance(done, list)
        for reply in done:
            if isinstance(reply, Refusal):
                raise _meant(self._target, "SETSLOT NODE", reply)

    async def _tell_others(self) -> None:
        """Let the other primaries know at once what gossip would tell them later; failing is no harm."""
        requests: list[list[Word]] = [
            ["CLUSTER", "SETSLOT", slot, "NODE", self.pair.target] for slot in self.slots
        ]

        async def tell(name: str) -> None:
            await (await self.pair.contact.line(name)).ask_all(requests)

        await asyncio.gather(*map(tell, self._others), return_exceptions=True)

    # ------------------------------------------------------------------ keys

    async def _open_and_move(self, step: Step, slots: Sequence[int]) -> None:
        """Mark slots at the source and move their keys at once.

        The allowance is spent before, not while they are open: a request for two keys of which one is
        away or never was is refused for as long (TRYAGAIN).
        """
        loop, allowance = asyncio.get_running_loop(), self.pair.allowance
        held = sum(self._ends[slot][0].keys for slot in slots)
        self._prepaid = min(held, WINDOW_KEYS)
        await asyncio.sleep(allowance.spend(self._prepaid, loop.time()))
        if step is Step.MARK_SOURCE:
            await self._tell(step, slots)
        await self._move_keys([slot for slot in slots if self._next(slot) is Step.MOVE_KEYS])

    async def _move_keys(self, slots: Sequence[int]) -> None:
        pair, loop, fruitless = self.pair, asyncio.get_running_loop(), 0
        while keys := await self._listed(slots):
            before = pair.tally.keys
            for piece in pair.pace.pieces(keys):
                count = sum(map(len, piece))
                paid = min(count, self._prepaid)
                self._prepaid -= paid
                await asyncio.sleep(pair.allowance.spend(count - paid, loop.time()))
                await self._send(piece)
            fruitless = 0 if pair.tally.keys > before else fruitless + 1
            if fruitless > FRUITLESS_ROUNDS:
                raise CannotMove(f"slot {keys[0].slot}: {len(keys)} keys do not leave the source")

    async def _listed(self, slots: Sequence[int]) -> list[Key]:
        """Return keys that are still at the source, with their sizes."""
        replies = await self._source.ask_all([["CLUSTER", "GETKEYSINSLOT", s, LIST_MOST] for s in slots])
        names = [
            (slot, name)
            for slot, reply in zip(slots, replies, strict=True)
            for name in _names(self._source, reply)
        ]
        sizes: list[Reply] = []
        for start in range(0, len(names), SIZED_AT_A_TIME):
            some = names[start : start + SIZED_AT_A_TIME]
            sizes += await self._source.ask_all([["MEMORY", "USAGE", name] for _, name in some])
        return [
            Key(slot, name, size if isinstance(size, int) else 0)
            for (slot, name), size in zip(names, sizes, strict=True)
        ]

    async def _send(self, piece: Sequence[Sequence[Key]], *, over: bool = False) -> None:
        """Send MIGRATEs in one piece, and see to what did not go."""
        pair, loop = self.pair, asyncio.get_running_loop()
        expected_ms = sum(map(pair.pace.expected_ms, piece))
        timeout_ms = int(max(MIGRATE_MS_LEAST, 20 * expected_ms))
        words: list[Word] = ["MIGRATE", self._goal.host, self._goal.port, "", 0, timeout_ms]
        words += ["REPLACE"] if over else []
        words += pair.contact.access.migrate_words
        requests = [[*words, "KEYS", *(key.name for key in keys)] for keys in piece]
        began = loop.time()
        replies = await self._source.ask_all(requests, ANSWER_S + len(piece) * timeout_ms / 1000)
        spent_ms = (loop.time() - began) * 1000
        pair.pace.took(piece, spent_ms)
        pair.tally.longest_piece_ms = max(pair.tally.longest_piece_ms, spent_ms)
        for keys, reply in zip(piece, replies, strict=True):
            if not isinstance(reply, Refusal):
                pair.tally.keys += len(keys)
                pair.tally.bytes += sum(key.size_bytes for key in keys)
                pair.tally.trouble = ""
        for keys, reply in zip(piece, replies, strict=True):
            if isinstance(reply, Refusal):
                if "BUSYKEY" in reply and not over:
                    await self._send_over(list(keys))
                else:
                    raise _meant(self._source, "MIGRATE", reply)

    async def _send_over(self, keys: list[Key]) -> None:
        """Some of these keys are at the target already: see which copy is right, and go on with it."""
        slot = keys[0].slot
        kept = self._keeps_log or self.marked_in_run.get(slot, "?") == self._run_id
        verdicts = await self._judged([key.name for key in keys], mark_was_kept=kept)
        unknown = [name for name, verdict in verdicts.items() if verdict is Verdict.UNDECIDED]
        if unknown:
            raise Undecided(slot, unknown)
        dropped = [name for name, verdict in verdicts.items() if verdict is Verdict.DROP]
        replies = await self._source.ask_all([["DEL", name] for name in dropped])
        for reply in replies:
            if isinstance(reply, Refusal):
                raise _meant(self._source, "DEL", reply)
        rest = [key for key in keys if verdicts[key.name] is not Verdict.DROP]
        self.pair.tally.keys_replaced += sum(verdicts[key.name] is Verdict.REPLACE for key in rest)
        if rest:
            await self._send([rest], over=True)

    async def _compare(self, slot: int) -> None:
        """The source has no mark, the target has keys: none of them may be at the source too, and differ."""
        names = _names(
            self._target,
            await self._target.ask("CLUSTER", "GETKEYSINSLOT", slot, self._ends[slot][1].keys + LIST_MOST),
        )
        unknown: list[bytes] = []
        for start in range(0, len(names), COMPARED_AT_A_TIME):
            verdicts = await self._judged(names[start : start + COMPARED_AT_A_TIME], mark_was_kept=False)
            unknown += [name for name, verdict in verdicts.items() if verdict is Verdict.UNDECIDED]
            dropped = [name for name, verdict in verdicts.items() if verdict is Verdict.DROP]
            self._drops.setdefault(slot, []).extend(dropped)
        if unknown:
            raise Undecided(slot, unknown)

    async def _judged(self, names: Sequence[bytes], *, mark_was_kept: bool) -> dict[bytes, Verdict]:
        """Compare keys at both ends by their DUMP."""
        here = dict(zip(names, await self._source.ask_all([["DUMP", name] for name in names]), strict=True))
        here = {name: dump for name, dump in here.items() if isinstance(dump, bytes)}
        requests: list[list[Word]] = []
        for name in here:
            requests += [["ASKING"], ["DUMP", name]]
        dumps = dict(zip(here, (await self._target.ask_all(requests))[1::2], strict=True))
        verdicts = {}
        for name in names:
            mine, theirs = here.get(name), dumps.get(name)
            if isinstance(theirs, Refusal):
                raise _meant(self._target, "DUMP", theirs)
            assert not isinstance(mine, Refusal)
            verdicts[name] = judge(
                mine if isinstance(mine, bytes) else None,
                theirs if isinstance(theirs, bytes) else None,
                mark_was_kept=mark_was_kept,
                keep=self.pair.keep,
            )
        return verdicts


def _meant(line: Line, request: str, reply: Refusal) -> Exception:
    """Return what a refusal means: something that passes, or the end of the job."""
    through = reply.partition(THROUGH_TARGET)[2]
    code = Refusal(through).code if through else reply.code
    if (
        code in PASSING
        or "on their way already" in reply
        or "is on its way already" in reply
        or "I'm not the owner" in reply
        or "already the owner" in reply
        or "is not being imported" in reply
    ):
        return NotNow(f"{line.address}: {request}: {reply}")
    if "only with masters" in reply or "not a master" in reply or "still hold keys" in reply:
        return NotNow(f"{line.address}: {request}: {reply}")
    return Refused(line.address, request, reply)


def _view(line: Line, reply: Reply) -> View:
    if isinstance(reply, Refusal):
        raise _meant(line, "CLUSTER NODES", reply)
    assert isinstance(reply, bytes)
    return parse_view(reply.decode("utf-8", "replace"), line.address.rpartition(":")[0])


def _fields(line: Line, reply: Reply) -> dict[str, str]:
    if isinstance(reply, Refusal):
        raise _meant(line, "INFO", reply)
    assert isinstance(reply, bytes)
    return dict(row.split(":", 1) for row in reply.decode("utf-8", "replace").splitlines() if ":" in row)


def _end(view: View, slot: int, keys: Reply) -> End:
    if not isinstance(keys, int):
        raise NotNow(f"COUNTKEYSINSLOT: {keys!r}")
    primary = view.me.is_primary  # the marks of a node that follows another mean nothing
    return End(
        view.owner(slot),
        view.migrating.get(slot, "") if primary else "",
        view.importing.get(slot, "") if primary else "",
        keys if primary else 0,
    )


def _names(line: Line, reply: Reply) -> list[bytes]:
    if isinstance(reply, Refusal):
        raise _meant(line, "CLUSTER GETKEYSINSLOT", reply)
    assert isinstance(reply, list)
    return [name for name in reply if isinstance(name, bytes)]
