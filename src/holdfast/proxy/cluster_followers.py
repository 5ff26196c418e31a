"""The map of a cluster, kept: nodes are asked, shards follow what they say.

What it is: the wiring of a cluster pool. Some node is asked for the map every second,
all of them every 20 ms while a primary is looked for, every 100 ms while one is silent,
and at each MOVED. A shard is the
same shard when its primary changes to a node that it knew. What it is not: the
judgement of the answers (`cluster_view`), the proof of a primary (`roles`), the way of a
request (`cluster_pool`).

How to read it: `redirected` is what the data path calls, `_heard` what an answer leads to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.proxy import link as links
from holdfast.proxy.cluster_pool import ClusterPool
from holdfast.proxy.cluster_view import Node, Owner, merge, nodes_of
from holdfast.proxy.following_pool import Standing
from holdfast.proxy.replica_samples import Sampler
from holdfast.proxy.reply_words import ReplyError, value_of
from holdfast.proxy.roles import Follower
from holdfast.proxy.sentinel_view import Address
from holdfast.proxy.shapes import Backend, Exchange, Pool, Shard

POLL_S = 1.0
QUICK_S = 0.02
ANSWER_MS = 1000
QUICK_MOST = 8
"""Nodes asked at once in a hurry."""
SILENT_S = 0.1
"""A primary that owes answers and has given none for so long makes the others be asked."""
TRY_AGAIN_S = 0.003
"""While a slot moves, a request over keys of which some have moved waits so long."""
NOWHERE_S = 0.05
"""Between two tries of a request for a slot that nobody owns."""
RETIRE_LOOK_S = 0.05


class ClusterMap(Pool):
    """The nodes that are asked: connections apart from those of clients."""

    def __init__(self, exchange: Exchange, name: str, password: bytes | None) -> None:
        super().__init__(exchange, f"{name}/nodes")
        self.password = password
        self.timeout_ms = ANSWER_MS
        self.known: dict[Address, Backend] = {}
        self.asking: set[Address] = set()
        self.views: dict[Address, list[Node]] = {}
        self.silent: set[Address] = set()
        """Nodes that did not answer when they were asked last."""


class FollowingCluster(ClusterPool):
    """A cluster's shards, as its nodes tell them."""

    def __init__(self, exchange: Exchange, name: str, *, nodes: Sequence[Address], **options: Any) -> None:
        """`nodes` are where to begin; the others are learned."""
        super().__init__(exchange, name, **options)
        self.seeds = list(nodes)
        self.map = ClusterMap(exchange, name, self.password)
        self.followers: dict[Shard, Follower] = {}
        self.wanted: dict[Shard, Address] = {}
        self.members: dict[Shard, set[str]] = {}
        self.samplers: list[Sampler] = []
        self.doubted = self._doubted
        self.redirected = self._redirected
        self.closed = False
        self.anywhere = self.add_shard("any node")
        """Takes what has no owner: any node says what is to be done with it."""
        self.take_slots([self.anywhere] * 16384)
        self._hurried = False
        self._turn = 0
        self._complaint = ""

    def begin(self) -> None:
        """Ask the nodes; hold requests until one has answered."""
        self._poll()
        self.hurry()
        self._look_for_silence({})

    # ---- asking ----

    def _poll(self) -> None:
        if self.closed:
            return
        places = self._places()
        self._turn += 1
        self._ask(places[self._turn % len(places)])
        self.exchange.loop.call_later(POLL_S, self._poll)

    def _places(self) -> list[Address]:
        found = dict.fromkeys(self.seeds)
        for view in self.map.views.values():
            found.update(dict.fromkeys(node.address for node in view if node.usable))
        return list(found)

    def hurry(self) -> None:
        """A primary is looked for: ask many, and go on until all are known."""
        if not self._hurried:
            self._hurried = True
            self._again()

    def _again(self) -> None:
        if self.closed:
            return
        lost = any(shard.primary is None and not self._is_gated(shard) for shard in self.target.whole)
        if not lost:
            self._hurried = False
            return
        self._ask_many()
        self.exchange.loop.call_later(QUICK_S, self._again)

    def _ask_many(self) -> None:
        places = self._places()
        for number in range(min(QUICK_MOST, len(places))):
            self._ask(places[(self._turn + number) % len(places)])
        self._turn += 1

    def _look_for_silence(self, answered: dict[Backend, int]) -> None:
        """A primary that is stopped keeps its connections: ask the others whether it leads still."""
        if self.closed:
            return
        primaries = [each.current for each in self.followers.values() if each.current is not None]
        counts = {each: each.responses for each in primaries if each.busy()}
        if any(answered.get(each) == count for each, count in counts.items()):
            self._ask_many()
        self.exchange.loop.call_later(SILENT_S, self._look_for_silence, counts)

    def _is_gated(self, shard: Shard) -> bool:
        follower = self.followers.get(shard)
        return follower is not None and follower.barred > 0

    def _ask(self, address: Address) -> None:
        if address in self.map.asking or not address[1]:
            return
        if not self.exchange.engine.tick_open:
            self.exchange.open_tick()
        backend = self.map.known.get(address)
        if backend is None:
            backend = self.map.known[address] = Backend(self.map, f"{address[0]}:{address[1]}", *address)
        self.map.asking.add(address)
        links.ask(backend, [b"CLUSTER", b"NODES"], lambda frame: self._heard(address, frame))

    def _heard(self, address: Address, frame: bytes | None) -> None:
        self.map.asking.discard(address)
        if self.closed:
            return
        view = None
        if frame is None:
            self.map.silent.add(address)
        else:
            self.map.silent.discard(address)
            try:
                told = value_of(frame)
                view = nodes_of(told.decode(), address) if isinstance(told, bytes) else None
            except (ReplyError, ValueError) as error:
                self._complain(f"{address[0]}:{address[1]}: {error}")
        if view is None:
            if len(self.map.views) > 1:
                self.map.views.pop(address, None)
            return
        if self.map.views.get(address) == view and self.followers:
            for follower in self.followers.values():
                follower.consider()
            return
        self.map.views[address] = view
        self._follow()

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            self.exchange.node.log.warning(f"pool '{self.name}': {text}")

    # ---- following ----

    def _follow(self) -> None:
        """Make shards and slots what the nodes say."""
        owners, places = merge(self.map.views.values())
        if not owners:
            return
        shards: list[Shard] = []
        for owner in owners:
            shards.append(self._shard_of(owner, shards))
        for shard, owner in zip(shards, owners, strict=True):
            self.members[shard] = {owner.node.id, *(node.id for node in owner.replicas)}
        self.take_slots([shards[place] if place >= 0 else self.anywhere for place in places])
        for shard, owner in zip(shards, owners, strict=True):
            self.wanted[shard] = owner.node.address
            if self.policy:
                self.followers[shard].take_replicas({node.address for node in owner.replicas if node.usable})
            self.followers[shard].consider()
        if self.exchange.hub is not None:
            self.exchange.hub.astray()

    def _shard_of(self, owner: Owner, taken: list[Shard]) -> Shard:
        """Return the shard that a primary leads: the one it led, else the one it was a replica of."""
        free = [shard for shard in self.wanted if shard not in taken]
        for shard in free:
            if self.wanted[shard] == owner.node.address:
                return shard
        for shard in free:
            if owner.node.id in self.members.get(shard, ()):
                return shard
        return self._new_shard(owner.node.address)

    def _new_shard(self, address: Address) -> Shard:
        shard = self.add_shard(f"{address[0]}:{address[1]}")
        self.wanted[shard] = address
        follower = Follower(self, shard, lambda: self.wanted.get(shard), self.hurry)
        follower.on_lead = self._leads
        self.followers[shard] = follower
        if self.policy:
            sampler = Sampler(self, shard)
            self.samplers.append(sampler)
            sampler.step()
        return shard

    def _leads(self, backend: Backend) -> None:
        """A primary is proven: what waited for any node at all may go there."""
        if self.anywhere.primary is None:
            self.anywhere.primary = backend

    def _doubted(self, shard: Shard, backend: Backend) -> None:
        if shard is self.anywhere:
            self.exchange.loop.call_later(NOWHERE_S, self._anywhere_again)
        else:
            self.followers[shard].doubted(backend)

    def _anywhere_again(self) -> None:
        for shard in self.target.whole:
            if shard is not self.anywhere and shard.primary is not None and not self.closed:
                self.anywhere.primary = shard.primary
                return
        if not self.closed:
            self.exchange.loop.call_later(NOWHERE_S, self._anywhere_again)

    def open_replica(self, host: str, port: int) -> Backend:
        """Return a backend whose connections may read."""
        backend = self.open_server(host, port)
        standing: Standing = backend.facts
        standing.opening += ((b"READONLY",),)
        return backend

    # ---- what the data path asks ----

    def _redirected(
        self, shard: Shard | None, source: Backend | None, slot: int, host: str, port: int
    ) -> Shard | None:
        """TRYAGAIN (a shard), ASK (an address) or MOVED (all but the shard): return the shard to go to."""
        if shard is not None:
            self._gate(shard, None)
            return shard
        if source is None:
            return self._at((host, port))
        present = self.target.shards[slot]
        if (host, port) in self.map.silent and present in self.followers:
            # Promoted, but it has not claimed its slots yet: it names the one that is gone.
            if present.primary is not None:
                self._gate(present, None)
            return present
        self._promoted((host, port))
        found = self._at((host, port))
        if self.target.shards[slot] is not found:
            self.give_slot(slot, found)
            self._ask((source.host, source.port))
            self._ask((host, port))
        if found.primary is not None:
            self._gate(found, source)
        return found

    def _promoted(self, address: Address) -> None:
        """MOVED names a server: if it was a replica it leads its shard by now."""
        if address in self.wanted.values():
            return
        names = {node.id for view in self.map.views.values() for node in view if node.address == address}
        for shard, known in self.members.items():
            if names & known:
                self.wanted[shard] = address
                current = shard.primary
                shard.primary = None
                if current is not None:
                    self.followers[shard].doubted(current)
                return

    def _at(self, address: Address) -> Shard:
        for shard, wanted in self.wanted.items():
            if wanted == address:
                return shard
        shard = self._new_shard(address)
        self.followers[shard].consider()
        return shard

    def server_of(self, shard: Shard) -> Backend | None:
        """Return the server that leads a shard, gated or not."""
        follower = self.followers.get(shard)
        return shard.primary or (follower.current if follower is not None else None)

    def _gate(self, shard: Shard, source: Backend | None) -> None:
        """Hold what comes for a shard, until what was sent to another node before is answered; or a while."""
        follower = self.followers.get(shard)
        if follower is None or follower.barred:
            return
        follower.barred += 1
        shard.primary = None
        left = 0

        def passed(frame: bytes | None = None) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                self.exchange.loop.call_soon(self._open, shard)

        if source is None:
            self.exchange.loop.call_later(TRY_AGAIN_S, self._open, shard)
            return
        left = self.behind_what_was_sent(source, passed)
        if not left:
            self.exchange.loop.call_soon(self._open, shard)

    def _open(self, shard: Shard) -> None:
        follower = self.followers[shard]
        follower.barred -= 1
        current = follower.current
        if self.closed or follower.barred:
            return
        if current is not None and (current.host, current.port) == self.wanted.get(shard):
            if not self.exchange.engine.tick_open:
                self.exchange.open_tick()
            shard.primary = current
            self.wake()
        else:
            follower.consider()

    def retire(self) -> None:
        """The pool is not used any more: follow until nothing waits, then close."""
        if any(shard.held_count for shard in self.shards) and self.exchange.node.clients.connections:
            self.exchange.loop.call_later(RETIRE_LOOK_S, self.retire)
            return
        self.closed = True
        for follower in self.followers.values():
            follower.close()
        for sampler in self.samplers:
            sampler.close()
        for backend in self.map.known.values():
            backend.disconnect()
