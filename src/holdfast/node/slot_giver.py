"""Slots given to another node of ours as a whole: a snapshot, what changed since, and the claim.

What it is: the source's side of `CLUSTER GIVE`. What it is not: the target's (`slot_taker`), and
the choice of what moves where (`holdfast.cluster.jobs`).

The order, and why it is this one:

1. the target is told what comes, and notes on disk that it will hold copies that mean nothing;
2. all keys are sent, while the slots are served here as ever;
3. writes to the slots wait. What changed since is sent, and the target stores all of it: its
   reply comes when its gate, its files and its replicas have it;
4. reads wait as well, and the target claims the slots in a new epoch above ours, which stays meanwhile:
   its reply comes when its shard and a majority of the primaries know it (`slot_claim`). From here on
   the outcome is unknown until somebody says it: the target, its heir, or gossip. Nobody is served;
5. the keys are deleted here, the slots are the target's, and those who waited are sent there.

Until 4 nothing has happened, whoever dies: the source owns the slots and has all keys, and copies
are thrown away. If the target did not take them, or nobody can say it since the target died for good,
the source goes on in an epoch above the one that the target may have taken, once a majority knows.

How to read it: `Gift.run`, then its steps in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from holdfast.cluster import orders, table
from holdfast.cluster.model import Node
from holdfast.cluster.slots import members, of_slots
from holdfast.cluster.told import Told
from holdfast.commands.dump import bytes_of, payload_of
from holdfast.commands.parked import answer, waits_for
from holdfast.commands.slot_keys import count_keys_in_slot, keys_in_slot
from holdfast.engine.blocking import park_session, unpark_session
from holdfast.engine.slots import close_slots, hold_slots, release_slots
from holdfast.engine.state import Session
from holdfast.engine.values import CommandError
from holdfast.node.moments import Moments

if TYPE_CHECKING:
    from holdfast.node.cluster_orders import ClusterOrders

KEYS_MOST = 20_000
BYTES_MOST = 4 << 20
"""More is not sent as a whole: the target stores it in one go, and writes wait meanwhile."""
HUGE_BYTES = 32 << 20
"""A key that takes so much is not tried: its payload may be smaller, but making it holds up everybody."""
PIECE_KEYS, PIECE_BYTES = 200, 128 << 10
CONNECT_S, ANSWER_S, STORE_S, CLAIM_S = 2.0, 5.0, 3.0, 1.0
"""Clients wait for the last two; who does not answer to a claim is asked again, or gossip says it."""
REPLICAS_MS = 1000
"""How long the target's replicas are waited for where no promise asks for it."""
ASK_AGAIN_S, LOOK_S = 0.1, 0.01
Copy = tuple[bytes, int]
"""A DUMP payload, and when the key expires (-1: never)."""


class GiftError(Exception):
    """It did not come to pass; the slots are where they were."""


class Peer:
    """A connection to another node: requests in, one-line replies out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, side: ClusterOrders, node: Node) -> Peer:
        """Connect and log in. Raises OSError, TimeoutError, EOFError, GiftError."""
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(node.host, node.port)
        peer = cls(reader, writer)
        user, password = side.credentials()
        if password:
            await peer.ask("AUTH", *([user] if user else []), password)
        return peer

    def send(self, *words: object) -> None:
        """Send a request whose reply is read later."""
        told = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._writer.write(
            b"*%d\r\n" % len(told) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in told)
        )

    async def drain(self) -> None:
        """Wait until what was sent is on its way."""
        await self._writer.drain()

    async def reply(self, within_s: float = ANSWER_S) -> str:
        """Return the next reply. Raises OSError, TimeoutError, EOFError, GiftError (an error reply)."""
        async with asyncio.timeout(within_s):
            line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        text = line[1:].decode("utf-8", "replace").strip()
        if line.startswith(b"-"):
            raise GiftError(text)
        return text

    async def ask(self, *words: object, within_s: float = ANSWER_S) -> str:
        """Send a request and return its reply."""
        self.send(*words)
        await self.drain()
        return await self.reply(within_s)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class Gift:
    """One CLUSTER GIVE."""

    def __init__(self, side: ClusterOrders, session: Session, target: Node, slots: int) -> None:
        self._side, self._session, self._target, self._slots = side, session, target, slots
        self._list = list(members(slots))
        self._own = Session(side.engine)
        self._token = f"{side.view.luck.getrandbits(64):016x}"
        self._sent: dict[bytes, Copy] = {}
        self._is_held = self._is_closed = False
        self._moments = Moments()
        """When writes began to wait, what changed was sent, it was stored, the claim was answered."""

    def begin(self) -> None:
        """Park the client and start. Raises CommandError: it would be too much to send at once."""
        if sum(count_keys_in_slot(self._side.engine, slot) for slot in self._list) > KEYS_MOST:
            raise CommandError("ERR TOOBIG for one piece")
        park_session(self._session, self, 0, None)
        self._side.start_task(self.run())

    @property
    def slots(self) -> int:
        """What is on its way."""
        return self._slots

    @property
    def kept(self) -> int:
        """Slots whose keys are not deleted yet, though gossip says that they were taken."""
        return self._slots if self._is_closed else 0

    async def run(self) -> None:
        """Do it, release the slots, and answer. Where the node stops meanwhile nobody is served any more."""
        try:
            reply: object = await self._give()
        except Exception as error:  # whatever the target's words led to
            reply = CommandError(f"IOERR not given: {str(error) or type(error).__name__}")
        self._side.view.giving &= ~self._slots
        self._side.open_tick()
        if self._is_held:
            release_slots(self._side.engine, self._list, self._is_closed)
        if self._is_held:
            self._tell_waits()
        self._side.gift_ended(self)
        if waits_for(self._session, self):
            answer(self._session, reply)
            unpark_session(self._session)

    def _tell_waits(self) -> None:
        """Write to the log for how long clients waited, and for what."""
        self._moments.note()
        told = self._moments.told("changes", "stored", "claimed", "deleted")
        what = f"{len(self._list)} slots with {len(self._sent)} keys"
        self._side.view.log(f"Clients of {what} waited {self._moments.total_ms:.1f} ms: {told}", "verbose")
        self._side.run_later()

    async def _give(self) -> int:
        side, view = self._side, self._side.view
        peer = await Peer.open(side, self._target)
        try:
            await peer.ask("CLUSTER", "TAKE", "BEGIN", self._token, view.me.id, *self._list)
            await self._send_changes(peer)
            self._check()
            self._is_held = True
            hold_slots(side.engine, self._list)
            self._moments.note()
            await self._send_changes(peer)
            self._moments.note()
            replicas = int(await peer.ask("CLUSTER", "TAKE", "STORE", self._token, within_s=STORE_S))
            if replicas:
                await peer.ask("WAIT", replicas, REPLICAS_MS)
            self._moments.note()
            self._side.open_tick()
            self._check()
            self._check_nothing_went()
            self._is_closed = True
            close_slots(side.engine, self._list)
            view.giving |= self._slots
            orders.sent_back(view, self._slots, self._target)
            epoch = view.me.config_epoch
            try:
                said = await peer.ask("CLUSTER", "TAKE", "CLAIM", self._token, epoch, within_s=CLAIM_S)
                self._note_epoch(said)
                is_taken = True
            except Exception as error:
                peer.close()
                is_taken = await self._find_out(str(error) or type(error).__name__)
        finally:
            peer.close()  # what was not claimed is thrown away there
        self._moments.note()
        if not is_taken:
            await self._go_on()
            raise GiftError("the target did not take the slots")
        side.gave(self._slots, self._target)
        return len(self._sent)

    def _check(self) -> None:
        """Raise GiftError if the slots are not ours to give any more."""
        side, me = self._side, self._side.view.me
        if not me.is_primary or self._slots & ~me.slots or side.is_fenced:
            raise GiftError("this node does not own the slots any more")

    def _check_nothing_went(self) -> None:
        """Raise GiftError if keys went since they were sent, as FLUSHALL and eviction wait for nobody."""
        engine = self._side.engine
        held = sum(count_keys_in_slot(engine, slot) for slot in self._list)
        expired = sum(0 <= at_ms <= engine.now_ms for _, at_ms in self._sent.values())
        if held + expired < len(self._sent):
            raise GiftError("keys went while they were sent")

    # ---- keys ----

    async def _send_changes(self, peer: Peer) -> None:
        """Send what is other than what was sent before; all, for the first time."""
        gone = dict.fromkeys(self._sent)
        asked = 0
        for piece in self._pieces():
            words: list[object] = []
            for name, copy in piece:
                gone.pop(name, None)
                if self._sent.get(name) != copy:
                    self._sent[name] = copy
                    words += [name, copy[1], copy[0]]
            if words:
                peer.send("CLUSTER", "TAKE", "KEYS", self._token, *words)
                asked += 1
            await peer.drain()
            await asyncio.sleep(0)
        if gone:
            for name in gone:
                del self._sent[name]
            peer.send(
                "CLUSTER", "TAKE", "KEYS", self._token, *(word for name in gone for word in (name, -1, b""))
            )
            asked += 1
        await peer.drain()
        for _ in range(asked):
            await peer.reply()

    def _pieces(self) -> Iterator[list[tuple[bytes, Copy]]]:
        """Go through the keys as they are now, a little at a time."""
        engine = self._side.engine
        piece: list[tuple[bytes, Copy]] = []
        piece_bytes = total = 0
        for slot in self._list:
            for name in keys_in_slot(engine, slot, count_keys_in_slot(engine, slot)):
                self._side.open_tick()
                if (bytes_of(self._own, name) or 0) > HUGE_BYTES:
                    raise GiftError("TOOBIG for one piece")
                copy = payload_of(self._own, name)
                if copy is None:
                    continue
                piece.append((name, copy))
                piece_bytes += len(name) + len(copy[0])
                if len(piece) == PIECE_KEYS or piece_bytes >= PIECE_BYTES:
                    yield piece
                    total += piece_bytes
                    piece, piece_bytes = [], 0
                    if total > BYTES_MOST:
                        raise GiftError("TOOBIG for one piece")
        yield piece

    # ---- an outcome that is not known ----

    async def _find_out(self, why: str) -> bool:
        """Return whether the slots were taken: ask until somebody says it."""
        side, view = self._side, self._side.view
        side.warn(f"Whether {self._target.id} took {len(self._list)} slots is not known ({why}): asking")
        dead_since_ms = 0
        while view.me.is_primary:
            for node in self._who_knows():
                with contextlib.suppress(Exception):  # perhaps it knows it the next time, or another does
                    return await self._ask_outcome(node)
            if self._slots & ~view.me.slots and not self._claimed_there():
                return True  # a third shard has them
            is_known = view.node(self._target.id) is self._target and self._target.has_address
            if self._target.is_failed or not is_known:
                dead_since_ms = dead_since_ms or side.now_ms()
                if (
                    not self._target.replicas
                    or side.now_ms() - dead_since_ms > side.settings.node_timeout * 4
                ):
                    return self._decide_alone()
            else:
                dead_since_ms = 0
            await asyncio.sleep(ASK_AGAIN_S)
        return False

    def _claimed_there(self) -> int:
        """Return the slots that the target's shard claims by gossip; a majority may not know it."""
        owners, shard = self._side.view.owners, self._target.shard_id
        return of_slots(s for s in self._list if (each := owners[s]) is not None and each.shard_id == shard)

    def _decide_alone(self) -> bool:
        """Return whether slots were taken by a target that is dead for good."""
        is_taken = bool(self._slots & ~self._side.view.me.slots)
        what = "are its own" if is_taken else "stay here"
        self._side.warn(f"{self._target.id} is dead: its {len(self._list)} slots {what}")
        return is_taken

    def _who_knows(self) -> Sequence[Node]:
        """Return the target (it may be back though it is held for dead), and who else leads its shard."""
        view, target = self._side.view, self._target
        heirs = [
            each
            for each in view.others()
            if each is not target and each.is_primary and each.shard_id == target.shard_id
            and not each.is_failed and (target.is_failed or target.primary is each)
        ]  # fmt: skip
        return [*heirs, target] if target.is_primary else heirs

    async def _ask_outcome(self, node: Node) -> bool:
        peer, my_id = await Peer.open(self._side, node), self._side.view.me.id
        try:  # another may answer at its address by now
            said = await peer.ask("CLUSTER", "TAKEN", self._token, my_id, node.id, *self._list)
        finally:
            peer.close()
        self._note_epoch(said)
        return said.startswith("CLAIMED")

    def _note_epoch(self, said: str) -> None:
        """Note the taker's epoch, before the bus tells it: what we claim of it next is to be above."""
        epoch = said.rpartition(" ")[2]
        if epoch.isdecimal():
            view = self._side.view
            view.epoch = max(view.epoch, int(epoch))

    async def _go_on(self) -> None:
        """Keep the slots, in an epoch above that of a claim that was begun.

        A replica of the target may have heard of the claim and not that it was given up. If it were
        elected it would claim the slots as they were; a majority that knows our epoch does not let it.
        What we heard of the claim from others than the target is void by the target's own word.
        """
        side, view = self._side, self._side.view
        if not view.me.is_primary:
            return
        view.giving &= ~self._slots
        view.give_slots(self._claimed_there(), view.me)
        reserved, epoch, told = 0, view.me.config_epoch, Told()  # the epoch of ours that they are told of
        while view.me.is_primary and not side.is_fenced and not self._slots & ~view.me.slots:
            with contextlib.suppress(CommandError):  # no majority in reach, or another gift is claimed
                if not reserved:
                    reserved, told = orders.reserve_epoch(view, side.now_ms()), Told()
                if epoch != view.me.config_epoch:  # it rose, for us or for another gift
                    epoch, told = view.me.config_epoch, Told()
                if orders.voters_know(view, told, side.now_ms()):
                    if epoch >= reserved:
                        return
                    if orders.use_reserved_epoch(view, reserved, side.now_ms()):
                        table.bump_epoch(view, always=True)
                    else:
                        reserved = 0
            side.settle()
            await asyncio.sleep(LOOK_S)
