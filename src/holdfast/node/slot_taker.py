"""Slots taken from another node of ours as a whole: held aside, stored, claimed.

What it is: the target's side of `CLUSTER GIVE` (see `slot_giver` for the order): `CLUSTER TAKE` and
`TAKEN`. What it is not: who decides that slots move.

Until the claim what came means nothing: the source owns the slots. It is thrown away when the
source's connection ends, or has been silent for long, when the source says so, and when this node starts
again (nodes.conf says of which slots there may be such copies). From the claim on it is all there is.

How to read it: `take` and `taken` are the commands, then the steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.cluster import orders
from holdfast.cluster.effects import Then
from holdfast.cluster.model import Node
from holdfast.cluster.slots import members, of_slots
from holdfast.commands.dump import store_payload
from holdfast.commands.parked import answer, waits_for
from holdfast.commands.slot_keys import count_keys_in_slot, delete_keys_in_slot
from holdfast.engine.blocking import park_session, unpark_session
from holdfast.engine.slots import slot_of_key
from holdfast.engine.state import Session
from holdfast.engine.values import NO_REPLY, OK, CommandError, Status

if TYPE_CHECKING:
    from holdfast.node.cluster_orders import ClusterOrders
    from holdfast.node.slot_claim import SlotClaim

BYTES_MOST = 64 << 20
"""What may be held aside of one gift: a source that sends more is not one of ours."""
SILENT_MS = 10_000
"""A source waits for no answer as long as this: a connection that carries nothing more may never end here."""


@dataclass(eq=False)
class Parcel:
    """What one source is sending."""

    token: bytes
    session: Session
    source: Node
    slots: int
    keys: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    size_bytes: int = 0
    is_stored: bool = False
    heard_ms: int = 0
    """When the source last said something."""


class SlotTaker:
    """What is being taken, by token."""

    def __init__(self, side: ClusterOrders) -> None:
        self._side = side
        self._parcels: dict[bytes, Parcel] = {}

    def take(self, session: Session, step: str, token: bytes, words: Sequence[bytes]) -> object:
        """CLUSTER TAKE step token ...; raises CommandError."""
        if step == "BEGIN":
            return self._begin(session, token, words[0].decode("latin-1"), [int(word) for word in words[1:]])
        parcel = self._parcels.get(token)
        if parcel is None or parcel.session is not session:
            raise CommandError("ERR No such parcel")
        parcel.heard_ms = self._side.now_ms()
        match step:
            case "KEYS":
                return self._keys(parcel, words)
            case "STORE":
                return self._store(parcel)
            case "CLAIM":
                return self._claim(parcel, int(words[0]) if words else 0)
        raise CommandError("ERR syntax error")

    def taken(self, token: bytes, source_id: str, target_id: str, slots: int) -> Status:
        """Say whether slots were claimed; if not, they will not be any more, and copies are deleted.

        The epoch is at or above the one of a claim that was made, or begun: our replicas may have heard of
        that. Raises CommandError where it is not known, or another node is meant: the source deletes its keys
        at the word that they were claimed, and goes above a claim at the word that they were not.
        """
        view = self._side.view
        source = view.node(source_id)
        if view.me.id != target_id or source is None or not view.me.is_primary:
            raise CommandError("ERR This node is another one, or no primary, or does not know the source")
        if self._side.is_fenced or not view.is_ok:
            raise CommandError("TRYAGAIN This node may have an heir that knows more")
        if not slots & ~source.slots:
            parcel = self._parcels.get(token)
            if parcel is not None:
                self._drop(parcel)
            self._throw_away(slots)
            word = "DROPPED" if parcel is not None else "UNKNOWN"
            return Status(f"{word} {view.me.config_epoch}")
        if any(each.slots & slots for each in self._side.claims):
            raise CommandError("TRYAGAIN They are, but a majority does not know it yet")
        for owner in {view.owners[slot] for slot in members(slots)} - {view.me}:
            if owner is None or owner.config_epoch <= source.config_epoch:
                raise CommandError("TRYAGAIN Some are neither this node's nor went on from here")
        return Status(f"CLAIMED {view.me.config_epoch}")

    def session_ended(self, session: Session) -> None:
        """Throw away what a connection that ended has brought."""
        for parcel in [each for each in self._parcels.values() if each.session is session]:
            self._drop(parcel)

    def clean_up(self) -> None:
        """Throw away what is left of parcels from before this start."""
        view = self._side.view
        if view.receiving:
            self._throw_away(view.receiving & ~view.me.slots)
            view.receiving = 0

    # ---- the steps ----

    def _begin(self, session: Session, token: bytes, source_id: str, chosen: list[int]) -> object:
        view, engine = self._side.view, self._side.engine
        slots = of_slots(chosen)
        source = view.node(source_id)
        if source is None or view.me.is_replica or not slots or slots & ~source.slots:
            raise CommandError("ERR These slots are not the source's, or this node is no primary")
        for each in [each for each in self._parcels.values() if each.slots & slots and each.source is source]:
            self._drop(each)  # it begins anew: what it sent before is over
        if slots & view.receiving or any(slot in view.importing for slot in chosen):
            raise CommandError("ERR Some of these slots are on their way already")
        if any(count_keys_in_slot(engine, slot) for slot in chosen):
            raise CommandError("ERR This node has keys of these slots")
        parcel = self._parcels[token] = Parcel(token, session, source, slots, heard_ms=self._side.now_ms())
        view.receiving |= slots
        view.save(synced=True)
        park_session(session, parcel, 0, None)
        view.do(Then(lambda is_written: self._begun(parcel, is_written)))
        self._side.run_later()
        self._side.start_task(self._watch(parcel))
        return NO_REPLY

    async def _watch(self, parcel: Parcel) -> None:
        """Throw a parcel away whose source has fallen silent, unless it is being claimed."""
        while self._parcels.get(parcel.token) is parcel:
            silent_ms = self._side.now_ms() - parcel.heard_ms
            if silent_ms >= SILENT_MS and self._claim_of(parcel) is None:
                self._side.warn(f"{parcel.source.id}, which was sending slots, has fallen silent")
                self._drop(parcel)
            else:
                await asyncio.sleep(max(SILENT_MS - silent_ms, 1000) / 1000)

    def _begun(self, parcel: Parcel, is_written: bool) -> None:
        """Answer BEGIN, now that a restart would know what the copies are."""
        self._side.open_tick()
        if waits_for(parcel.session, parcel):
            error = CommandError("ERR error saving the cluster node config")
            answer(parcel.session, OK if is_written else error)
            unpark_session(parcel.session)
        if not is_written:
            self._drop(parcel)

    def _keys(self, parcel: Parcel, words: Sequence[bytes]) -> object:
        if len(words) % 3 or parcel.is_stored:
            raise CommandError("ERR syntax error")
        for name, at_ms, payload in zip(words[::3], words[1::3], words[2::3], strict=True):
            if not parcel.slots >> slot_of_key(name) & 1:
                raise CommandError("ERR A key of another slot")
            parcel.size_bytes += len(name) + len(payload)
            if payload:
                parcel.keys[name] = payload, int(at_ms)
            else:
                parcel.keys.pop(name, None)
        if parcel.size_bytes > BYTES_MOST:
            raise CommandError("ERR TOOBIG for one piece")
        return OK

    def _store(self, parcel: Parcel) -> int:
        """Store all; return how many replicas are to have it. The gate, where there is one, holds this."""
        side = self._side
        own = Session(side.engine)
        parcel.is_stored = True
        for name, (payload, at_ms) in parcel.keys.items():
            if not store_payload(own, name, payload, at_ms):
                raise CommandError("ERR DUMP payload version or checksum are wrong")
        parcel.keys.clear()
        return side.replicas_online()

    def _claim(self, parcel: Parcel, source_epoch: int) -> object:
        """Claim, above the source's epoch; the reply comes when the claim is in force, see `slot_claim`."""
        side = self._side
        if not parcel.is_stored or side.is_fenced or self._claim_of(parcel) is not None:
            raise CommandError("ERR Nothing is stored, or this node is fenced")
        side.view.epoch = max(side.view.epoch, source_epoch)
        side.begin_claim(
            parcel.session, parcel.slots, parcel.source, lambda: self._take(parcel), self._taken_reply
        )
        return NO_REPLY

    def _taken_reply(self) -> Status:
        """Tell the giver our epoch: it goes above that, should it claim anything."""
        return Status(f"OK {self._side.view.me.config_epoch}")

    def _take(self, parcel: Parcel) -> None:
        side = self._side
        if side.is_fenced or self._parcels.get(parcel.token) is not parcel:
            raise CommandError("ERR This node is fenced, or it was too late")
        orders.take_slots(side.view, parcel.slots, parcel.source, side.now_ms())
        del self._parcels[parcel.token]
        side.view.log(f"{parcel.slots.bit_count()} slots taken from {parcel.source.id}")
        side.carry_out()

    def _claim_of(self, parcel: Parcel) -> SlotClaim | None:
        return next((each for each in self._side.claims if each.slots == parcel.slots), None)

    def _drop(self, parcel: Parcel) -> None:
        """Forget a parcel, and its claim if it is not made yet."""
        self._parcels.pop(parcel.token, None)
        claim = self._claim_of(parcel)
        if claim is not None:
            claim.cancel()
        self._throw_away(parcel.slots)

    def _throw_away(self, slots: int) -> None:
        """Delete copies of slots that are another's. (A replica has what its primary has.)"""
        view, engine = self._side.view, self._side.engine
        slots &= ~view.me.slots
        self._side.open_tick()
        for slot in members(slots) if view.me.is_primary else ():
            if slot not in view.importing:
                delete_keys_in_slot(engine, slot)
        if view.receiving & slots:
            view.receiving &= ~slots
            view.save()
            self._side.settle()
