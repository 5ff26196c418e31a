"""What commands may order of the cluster: `server.cluster.Cluster`, its orders.

What it is: `ClusterOrders`: each order is decided by `holdfast.cluster.orders`, carried out, and then
answered; claims of slots, and slots that travel as a whole, are answered later. What it is not: the
running of effects (`cluster_queue`).

How to read it: the orders, then what `slot_claim`, `slot_giver` and `slot_taker` ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

from holdfast.cluster import orders
from holdfast.cluster.machine import Machine
from holdfast.cluster.model import Node, View
from holdfast.cluster.settings import Settings
from holdfast.cluster.slots import members, of_slots
from holdfast.commands.migrate import DENY_BLOCKING
from holdfast.commands.slot_keys import count_keys_in_slot, delete_keys_in_slot
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import NO_REPLY, OK, CommandError, Status
from holdfast.node.cluster_effects import Effects
from holdfast.node.cluster_questions import ClusterQuestions
from holdfast.node.cluster_queue import EffectQueue
from holdfast.node.slot_claim import SlotClaim
from holdfast.node.slot_giver import Gift
from holdfast.node.slot_taker import SlotTaker
from holdfast.replication.attachments import Stage

if TYPE_CHECKING:
    from holdfast.node.server import ServerNode


class ClusterOrders(ClusterQuestions):
    """The part of a cluster side that takes orders."""

    settings: Settings
    machine: Machine
    queue: EffectQueue
    effects: Effects

    def __init__(self, node: ServerNode, view: View) -> None:
        super().__init__(node, view)
        self.claims: set[SlotClaim] = set()
        """Claims of slots that are not in force yet."""
        self.gifts: set[Gift] = set()
        """Slots that are on their way to other nodes as a whole."""
        self._taker = SlotTaker(self)
        self._tasks: set[asyncio.Task[None]] = set()

    def _done(self, *, saved: bool = True) -> None:
        """Carry out what an order asked for, before its reply; not `saved`: others know it too."""
        self.machine.settle(self.now_ms())
        self.queue.run(at_once=saved)
        if saved:
            self.queue.save_now()
        if self.view.must_save:
            raise CommandError("ERR error saving the cluster node config")

    def _done_with(self, slots: int) -> None:
        """Carry out an order about slots: lines behind the file will do, if nothing is promised on it."""
        self._done(saved=not self.queue.add_lines(slots))

    def meet(self, host: str, port: int, bus_port: int) -> bool:
        """Begin a handshake; false where the address is none."""
        began = orders.meet(self.view, host, port, bus_port, self.now_ms())
        self._done()
        return began

    def forget(self, node_id: str) -> None:
        """Remove a node, and keep gossip from bringing it back for a minute."""
        orders.forget(self.view, node_id, self.now_ms())
        self._done()

    def replicate(self, node_id: str) -> None:
        """Become a replica of a primary."""
        orders.replicate(self.view, node_id, self._has_keys())
        self._done()

    def add_slots(self, slots: int) -> None:
        """Take unassigned slots."""
        orders.add_slots(self.view, slots)
        self._done_with(slots)

    def delete_slots(self, slots: int) -> None:
        """Forget who owns slots."""
        orders.delete_slots(self.view, slots)
        self._done_with(slots)

    def set_migrating(self, slot: int, node_id: str) -> None:
        """SETSLOT MIGRATING."""
        if any(each.slots >> slot & 1 for each in self.gifts):
            raise CommandError("ERR Some of these slots are on their way already")
        orders.set_migrating(self.view, slot, node_id)
        self._done_with(1 << slot)

    def set_importing(self, slot: int, node_id: str) -> None:
        """SETSLOT IMPORTING."""
        orders.set_importing(self.view, slot, node_id)
        self._done_with(1 << slot)

    def set_stable(self, slot: int) -> None:
        """SETSLOT STABLE."""
        orders.set_stable(self.view, slot)
        self._done_with(1 << slot)

    def set_owner(self, slot: int, node_id: str, session: Session) -> object:
        """SETSLOT NODE; the session is parked while others hear of a claim."""
        view, needed = self.view, self._node.configuration["min-replicas-to-ack"]
        source = orders.claimed_from(view, slot, node_id)
        is_taken_over = source is not None and source.is_failed and slot not in view.importing
        if source is None or is_taken_over or not (needed or orders.must_bump(view)):
            self._set_owner(slot, node_id)
            return OK
        if session.flags & DENY_BLOCKING:
            raise CommandError("TRYAGAIN SETSLOT NODE waits for others: not inside a transaction or script")
        self.begin_claim(session, 1 << slot, source, lambda: self._claim(slot))
        return NO_REPLY

    def _claim(self, slot: int) -> None:
        """Own a slot that we import: on stable storage before anybody hears of it."""
        is_all = not self.view.must_sync
        orders.set_owner(self.view, slot, self.view.me.id, self._keys_in, self.now_ms())
        self.view.save_claim(1 << slot, is_all)
        self.carry_out()

    def _set_owner(self, slot: int, node_id: str) -> None:
        orders.set_owner(self.view, slot, node_id, self._keys_in, self.now_ms())
        if node_id == self.view.me.id:
            self._done_with(1 << slot)
        else:
            self._done(saved=False)  # the new owner claims it, whatever we forget

    def bump_epoch(self, session: Session) -> object:
        """BUMPEPOCH; as the first word of a claim the session is parked while a majority hears of it."""
        view = self.view
        was_bumped = False

        def bump() -> None:
            nonlocal was_bumped
            was_bumped = orders.bump_epoch(view, self.now_ms())
            self._done(saved=was_bumped or self.queue.waits_for_disk)

        def reply() -> Status:
            return Status(f"{'BUMPED' if was_bumped else 'STILL'} {view.me.config_epoch}")

        is_claim = view.importing and orders.must_bump(view)
        if is_claim and not session.flags & DENY_BLOCKING:
            self.begin_claim(session, 0, None, bump, reply)
            return NO_REPLY
        bump()
        return reply()

    def set_config_epoch(self, epoch: int) -> None:
        """SET-CONFIG-EPOCH."""
        orders.set_config_epoch(self.view, epoch)
        self._done()

    def save(self) -> None:
        """SAVECONFIG."""
        self.view.save(synced=True)
        self._done()

    def reset(self, hard: bool) -> None:
        """RESET."""
        orders.check_reset(self.view, self._has_keys())
        self.effects.leave()
        orders.reset(self.view, hard)
        self._done()

    def failover(self, manner: str) -> None:
        """FAILOVER."""
        self._hand_in()
        orders.failover(self.view, manner, self.now_ms())
        self._done()

    def give(self, session: Session, node_id: str, slots: int) -> None:
        """GIVE: send slots to another node as a whole; the session is parked until it is done."""
        view, target = self.view, self.view.node(node_id)
        if target is None or target is view.me or not target.is_primary or not target.is_ours:
            raise CommandError("ERR The target must be another primary of Holdfast")
        if not slots or not view.me.is_primary or slots & ~view.me.slots:
            raise CommandError("ERR I'm not the owner of these slots")
        if any(slots >> slot & 1 for slot in (*view.migrating, *view.importing)) or any(
            slots & each.slots for each in self.gifts
        ):
            raise CommandError("ERR Some of these slots are on their way already")
        if target.is_failed or not view.is_ok:
            raise CommandError("IOERR not given: the target is held for dead, or the cluster is down")
        gift = Gift(self, session, target, slots)
        gift.begin()
        self.gifts.add(gift)

    def take(self, session: Session, step: str, token: bytes, words: Sequence[bytes]) -> object:
        """TAKE: a step of what another node gives."""
        return self._taker.take(session, step, token, words)

    def taken(self, token: bytes, source_id: str, target_id: str, slots: int) -> Status:
        """TAKEN: whether slots were claimed; if not, they will not be."""
        return self._taker.taken(token, source_id, target_id, slots)

    def publish(self, channel: bytes, message: bytes, is_sharded: bool) -> None:
        """Spread a message over the bus."""
        orders.publish(self.view, channel, message, is_sharded)
        self.queue.run()

    def warn(self, text: str) -> None:
        """Write a warning to the log."""
        self._node.log.warning(text)

    # ---- for slots that are claimed, and those that travel as a whole ----

    def begin_claim(
        self,
        session: Session,
        slots: int,
        source: Node | None,
        claim: Callable[[], None],
        reply: Callable[[], object] = lambda: OK,
    ) -> None:
        """Claim slots step by step (`SlotClaim`); the session is parked. Raises CommandError."""
        configuration = self._node.configuration
        begun = SlotClaim(
            *(self, session, slots, source),
            needed=configuration["min-replicas-to-ack"] if slots else 0,
            claim=claim,
            reply=reply,
        )
        self.view.is_fenced = self.is_fenced
        begun.begin(self._node.loop, configuration["min-replicas-to-ack-timeout"] / 1000)
        self.queue.run()

    def look_at_claims(self) -> None:
        """See how far claims have come."""
        self.view.is_fenced = self.is_fenced  # perhaps since a moment ago: such a node takes no epoch
        for claim in list(self.claims) if self.queue.is_open else ():
            claim.look()
        self.queue.run()

    def look_later(self) -> None:
        """The same when what is under way is done."""
        self._node.loop.call_soon(self.look_at_claims)

    def run_later(self) -> None:
        """Have effects run that came about outside of an event."""
        self._node.loop.call_soon(self.queue.run)

    @property
    def engine(self) -> Engine:
        """The node's engine."""
        return self._node.engine

    def open_tick(self) -> None:
        """Begin a tick, if none has begun."""
        if not self._node.engine.tick_open:
            self._node.open_tick()

    def start_task(self, work: Coroutine[object, object, None]) -> None:
        """Do something beside; it ends with the node."""
        task = self._node.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def carry_out(self) -> None:
        """Carry out what was changed in the view; nobody hears of it before the file is written."""
        if self.queue.is_open:
            self.machine.settle(self.now_ms())
            self.queue.run()

    def settle(self) -> None:
        """Carry out what was changed in the view; if the file cannot be written, it is tried again."""
        if self.queue.is_open:
            self.machine.settle(self.now_ms())
            self.queue.run(at_once=True)
            self.queue.save_now()

    def credentials(self) -> tuple[str, str]:
        """Return user and password for other nodes, as replication has them."""
        configuration = self._node.configuration
        return configuration["masteruser"] or "", configuration["masterauth"] or ""

    def replicas_online(self) -> int:
        """Return how many replicas follow this node's stream."""
        return sum(each.stage is Stage.ONLINE for each in self._node.replication.stream.replicas)

    def gave(self, slots: int, target: Node) -> None:
        """Another node has claimed slots of ours: delete their keys, and send clients there."""
        self.open_tick()
        for slot in members(slots & self.view.me.slots):
            delete_keys_in_slot(self.engine, slot)
        orders.give_slots(self.view, slots, target)
        self.carry_out()  # the new owner claims them, whatever we forget

    def gift_ended(self, gift: Gift) -> None:
        """A gift is over: what another node has by now is deleted here."""
        self.gifts.discard(gift)
        lost = gift.slots & ~self.view.me.slots
        if lost and self.view.me.is_primary:
            self.effects.forget_keys(lost & ~of_slots(self.view.importing))

    def _has_keys(self) -> bool:
        return bool(self._node.engine.key_count(0))

    def _keys_in(self, slot: int) -> int:
        return count_keys_in_slot(self._node.engine, slot)
