"""What an effect of a cluster's decisions does: to the bus, to replication, to keys and clients.

What it is: `Effects`, which performs batches in their order, and lets replication and the engine follow
the view. What it is not: when a batch may run (`cluster_queue`), or why it was asked for.

How to read it: `perform`, then the steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.cluster import effects as todo
from holdfast.cluster import outgoing
from holdfast.cluster.model import Link
from holdfast.cluster.slots import members, of_slots
from holdfast.commands.slot_keys import count_keys_in_slot, delete_keys_in_slot
from holdfast.engine.events import publish_message
from holdfast.engine.request import receive
from holdfast.engine.sessions import PRIMARY
from holdfast.engine.state import Session
from holdfast.engine.values import CommandError
from holdfast.node.cluster_queue import Batch
from holdfast.node.shard_takeover import Member, ShardTakeover
from holdfast.replication.standing import OrderRefused

if TYPE_CHECKING:
    from holdfast.node.cluster import ClusterSide
    from holdfast.node.server import ServerNode

PAUSE = "cluster failover"


class Effects:
    """Performs what decisions ask for, at one node."""

    def __init__(self, node: ServerNode, side: ClusterSide) -> None:
        self._node, self._side, self._view = node, side, side.view
        self._look_timer: asyncio.TimerHandle | None = None
        self._takeover: asyncio.Task[None] | None = None
        self._told: tuple[object, ...] = ()

    def close(self) -> None:
        """Do nothing more."""
        for each in (self._look_timer, self._takeover):
            if each is not None:
                each.cancel()

    def perform(self, batch: Batch, may_send: bool) -> None:
        """Run one event's effects; what must be written is written, or it may not be sent."""
        view, node = self._view, self._node
        if may_send:
            self._follow_view()
            self.tell_changes()
        for effect in batch:
            match effect:
                case todo.Send():
                    self._send(effect, may_send)
                case todo.Connect():
                    self._connect(effect.link)
                case todo.Disconnect():
                    self._side.bus.disconnect(effect.link)
                case todo.Deliver():
                    self._side.open_tick()
                    publish_message(node.engine, effect.channel, effect.text, effect.is_sharded)
                case todo.TakeOver():
                    if may_send:
                        self._take_over(effect.epoch)
                case todo.PauseWrites():
                    node.replication.is_quiet = True
                    until_ms = node.host.clock.wall_us() // 1000 + effect.until_ms - self._side.now_ms()
                    node.client_pauses.begin(PAUSE, until_ms, everything=False)
                    view.my_offset = node.replication.end_offset  # as is told next
                case todo.ResumeWrites():
                    node.replication.is_quiet = False
                    self._side.open_tick()
                    node.client_pauses.end(PAUSE)
                case todo.LookAgain():
                    self._look_after(effect.after_ms)
                case todo.Then():
                    effect.what(may_send)
                case todo.Log():
                    node.log.write(effect.level, effect.text)
                case todo.Persist():
                    pass
        if not may_send:
            view.save(synced=True)

    def _send(self, effect: todo.Send, may_send: bool) -> None:
        if may_send:
            self._side.bus.send(effect.link, effect.message)
        else:
            outgoing.left_out(effect.link, effect.message)

    def _take_over(self, epoch: int) -> None:
        """Fence the shard, and lead it."""
        view = self._view
        shard = [each for each in view.others() if each.group is view.me.group and each.host]
        members = [Member(each.id, each.host, each.port) for each in shard]
        primary_id = view.me.primary.id if view.me.primary is not None else ""
        attempt = ShardTakeover(self._node, epoch, view.me.id, members, primary_id)

        async def run() -> None:
            self._side.took_over(epoch, await attempt.run())

        self._takeover = self._node.loop.create_task(run())

    def _connect(self, link: Link) -> None:
        peer, node = link.node, self._node
        if peer is None or peer.link is not link:
            return
        source, timeout_ms = node.configuration["bind-source-addr"] or "", self._side.settings.node_timeout
        self._side.bus.connect(node.loop, link, peer.host, peer.bus_port, timeout_ms, source)

    def _look_after(self, after_ms: int) -> None:
        loop, at = self._node.loop, self._node.loop.time() + max(after_ms, 1) / 1000
        if self._look_timer is not None:
            if self._look_timer.when() <= at:
                return
            self._look_timer.cancel()
        self._look_timer = loop.call_at(at, self._look)

    def _look(self) -> None:
        self._look_timer = None
        self._side.look()

    def _follow_view(self) -> None:
        """Let replication have the role, and the primary, that the view has."""
        replication, view, me = self._node.replication, self._view, self._view.me
        if not replication.is_started:
            return
        if me.is_primary:
            if replication.is_replica:
                self._side.open_tick()
                self._turn(lambda: replication.in_cluster.lead(me.config_epoch, me.id))
        elif me.primary is not None and me.primary.host:
            target = (me.primary.host, me.primary.port)
            if not replication.is_replica or replication.followed != target:
                self._side.open_tick()
                leader = me.primary.id
                self._turn(lambda: replication.in_cluster.follow(*target, leader, view.has_foreign_copy))

    def _turn(self, turn: Callable[[], None]) -> None:
        try:
            turn()
        except OrderRefused as refusal:
            self._node.log.warning(f"The role cannot be taken: {refusal}")

    def leave(self) -> None:
        """Leave the shard, without a key: to replication this is a new node. Raises CommandError.

        That is on disk before nodes.conf forgets the shard. Who dies in between comes back as a replica that
        no member set names.
        """
        if self._takeover is not None:
            self._takeover.cancel()
        self._side.open_tick()
        try:
            self._node.replication.in_cluster.leave()
        except OrderRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        self._execute([b"FLUSHALL"])

    def tell_changes(self) -> None:
        """Tell those who asked that the view has changed."""
        view = self._view
        told = (view.is_ok, view.me.flags, view.me.primary, view.me.id)
        slots, view.changed_slots = view.changed_slots, 0
        if slots or self._side.queue.is_stale or told != self._told:
            self._told, self._side.queue.is_stale = told, False
            if self._side.changed:
                self._side.open_tick()
            for each in self._side.changed:
                each(slots)
        self._forget_lost()

    def tell_losses(self) -> None:
        """Serve no slot that went, nor new keys of one that goes: it does not wait for our disk, as gains do.

        Whoever moves a slot sees the mark at once, and takes it that no key comes to it any more.
        """
        view = self._view
        lost = view.changed_slots & ~(view.me.slots & ~of_slots(view.migrating))
        if lost:
            self._side.open_tick()
            self._side.routes.let_go(lost)
        self._forget_lost()

    def _forget_lost(self) -> None:
        view = self._view
        lost, view.lost = view.lost & ~view.me.slots, 0
        if lost:
            self.forget_keys(lost, others_lack_them=True)

    def forget_keys(self, slots: int, *, others_lack_them: bool = False) -> None:
        """Delete the keys of slots, but of those that are on their way.

        `others_lack_them`: nobody was given these keys. Writes to them that were made before this node heard
        of the claim are lost, so none that replicas have not acknowledged yet is acknowledged any more.
        """
        engine = self._node.engine
        for gift in self._side.gifts:
            slots &= ~gift.kept
        self._side.open_tick()
        if others_lack_them and any(count_keys_in_slot(engine, slot) for slot in members(slots)):
            self._node.replication.gate.doubt()
        for slot in members(slots):
            delete_keys_in_slot(engine, slot)

    def _execute(self, words: list[bytes]) -> None:
        """Execute a command of the node's own: no guard against clients holds it back."""
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in words)
        session = Session(self._node.engine)
        session.flags |= PRIMARY
        receive(session, request)
