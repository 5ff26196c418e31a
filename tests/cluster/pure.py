"""Many cluster machines in one virtual time, without sockets: what the decisions do together.

What it is: machines whose effects are run by a small event queue. Messages are encoded and
decoded, arrive in order on each link after some luck, and vanish where the network is cut;
crashed nodes come back with the nodes.conf that was last synced. What it is not: real
nodes (`tests/cluster/test_simulated.py`), or assertions on one decision.

How to read it: `PureCluster.run`, the faults, then `PureNode`. Safety is checked while it
runs: one vote a voter and epoch, one primary a config epoch.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count

from holdfast.cluster import effects as todo
from holdfast.cluster import flags, messages, nodes_file, orders, slots
from holdfast.cluster.codec import Reader, encode
from holdfast.cluster.machine import BEAT_MS, Machine
from holdfast.cluster.model import Link, View
from holdfast.cluster.settings import Settings

STANDING = flags.PRIMARY | flags.REPLICA | flags.PFAIL | flags.FAIL


class PureNode:
    """One node: its machine, its file, its connections."""

    def __init__(self, cluster: PureCluster, number: int) -> None:
        self.cluster, self.number = cluster, number
        self.port = 7000 + number
        self.file = ""
        self.runs = False
        self.is_paused = False
        self.parked: list[Callable[[], None]] = []
        self.life = 0
        self.offset = 0
        self.peers: dict[Link, tuple[PureNode, Link]] = {}
        """Our end of a connection to the node and its end."""
        self.machine: Machine = self.boot()

    def boot(self) -> Machine:
        """Begin a life with what the file holds."""
        cluster = self.cluster
        settings = Settings(node_timeout=cluster.timeout_ms, port=self.port, bus_port=self.port + 10_000)
        settings.announce_ip = "127.0.0.1"
        luck = random.Random(cluster.luck.getrandbits(64))
        view = View(f"{luck.getrandbits(160):040x}", luck, settings, cluster.now_ms)
        view.wall_ahead_ms = 1_700_000_000_000
        if self.file:
            nodes_file.load(view, self.file, cluster.now_ms)
            view.looked_ms = cluster.now_ms
        for each in view.nodes.values():
            each.heard_ms = cluster.now_ms
        self.runs, self.life = True, self.life + 1
        self.machine = Machine(view)
        cluster.later(cluster.luck.randrange(BEAT_MS), self, self._beat)
        return self.machine

    @property
    def view(self) -> View:
        """What it knows."""
        return self.machine.view

    def _beat(self) -> None:
        cluster = self.cluster
        cluster.later(BEAT_MS, self, self._beat)
        self._hand_in()
        self.machine.beat(cluster.now_ms)
        self.do()

    def _hand_in(self) -> None:
        view = self.view
        if view.me.is_primary:
            self.offset += 1
        else:
            above = self.cluster.by_port(view.me.primary.port) if view.me.primary else None
            works = above is not None and above.runs and not above.is_paused
            view.primary_link_up = works and self.cluster.is_open(self, above)
            if view.primary_link_up and above is not None:
                view.has_foreign_copy = False
                self.offset = above.offset
                view.primary_heard_ms = self.cluster.now_ms
        view.my_offset = self.offset

    def order(self, order: Callable[..., object], *arguments: object) -> None:
        """Give an operator's order."""
        order(self.view, *arguments)
        self.machine.settle(self.cluster.now_ms)
        self.do()

    def do(self) -> None:
        """Run the effects."""
        while batch := self.view.take_effects():
            for effect in batch:
                match effect:
                    case todo.Persist():
                        self.persist(effect.synced)
                    case todo.Connect():
                        self._connect(effect.link)
                    case todo.Disconnect():
                        self._hang_up(effect.link)
                    case todo.Send():
                        self._send(effect.link, effect.message)
                    case todo.LookAgain():
                        self.cluster.later(max(effect.after_ms, 1), self, self._look)
        self.cluster.check(self)

    def persist(self, synced: bool) -> None:
        """Write the file."""
        self.file = nodes_file.text_of(self.view)

    def _look(self) -> None:
        self._hand_in()
        self.machine.look(self.cluster.now_ms)
        self.do()

    # ---- connections ----

    def _connect(self, link: Link) -> None:
        assert link.node is not None
        peer = self.cluster.by_port(link.node.bus_port - 10_000)
        self.cluster.later(2, self, lambda: self._connected(link, peer))

    def _connected(self, link: Link, peer: PureNode | None) -> None:
        cluster = self.cluster
        if link.node is None or link.node.link is not link:
            return
        if peer is None or not peer.runs or not cluster.is_open(self, peer):
            is_refused = peer is not None and not peer.runs and cluster.is_open(self, peer)
            self.machine.lost(link, is_refused, cluster.now_ms)
        else:
            far = Link(None, False, cluster.now_ms, is_up=True, peer_ip="127.0.0.1", local_ip="127.0.0.1")
            self.peers[link], peer.peers[far] = (peer, far), (self, link)
            self.machine.connected(link, cluster.now_ms)
        self.do()

    def _hang_up(self, link: Link) -> None:
        peer, far = self.peers.pop(link, (None, None))
        if peer is not None and far is not None:
            peer.peers.pop(far, None)
            if self.cluster.is_open(self, peer):
                self.cluster.later(1, peer, lambda: peer.ended(far))

    def ended(self, link: Link) -> None:
        """The other side has closed a connection, or has died."""
        self.machine.lost(link, False, self.cluster.now_ms)
        self.do()

    def _send(self, link: Link, message: messages.Message) -> None:
        peer, far = self.peers.get(link, (None, None))
        if peer is None or far is None:
            return
        self.cluster.sent(self, peer, message)
        raw = encode(message)
        self.cluster.carry(self, peer, far, lambda: peer.take(far, raw))

    def take(self, link: Link, raw: bytes) -> None:
        """Bytes came."""
        if link not in self.peers:
            return
        for message in Reader().feed(raw):
            self._hand_in()
            self.machine.received(link, message, self.cluster.now_ms)
            self.do()


class PureCluster:
    """All nodes, the time, the network."""

    make = PureNode

    def __init__(self, seed: int, primaries: int = 3, replicas: int = 1, timeout_ms: int = 1000) -> None:
        self.luck = random.Random(seed)
        self.timeout_ms = timeout_ms
        self.now_ms = 10_000
        self._queue: list[tuple[int, int, PureNode, int, Callable[[], None]]] = []
        self._number = count()
        self._arrivals: dict[Link, int] = {}
        self._sides: dict[int, int] = {}
        """Node number to its side of a cut; empty: no cut."""
        self.votes: dict[tuple[str, int], str] = {}
        self.led: dict[int, str] = {}
        """Config epoch to the one primary that ever had slots by it."""
        self.nodes: list[PureNode] = []
        for number in range(primaries * (1 + replicas)):
            self.nodes.append(self.make(self, number))
        self.primaries = primaries

    def by_port(self, port: int) -> PureNode | None:
        """Return the node whose client port this is."""
        return self.nodes[port - 7000] if 0 <= port - 7000 < len(self.nodes) else None

    def form(self) -> None:
        """Give slots, meet, follow; wait until it is one cluster."""
        share = slots.SLOTS // self.primaries + 1
        for number, node in enumerate(self.nodes):
            node.order(orders.set_config_epoch, number + 1)
            if number < self.primaries:
                last = min((number + 1) * share, slots.SLOTS) - 1
                node.order(orders.add_slots, slots.of_range(number * share, last))
        for node in self.nodes[1:]:
            self.nodes[0].order(orders.meet, "127.0.0.1", node.port, node.port + 10_000, self.now_ms)
        assert self.run_until(self.all_met, 20_000)
        for number, node in enumerate(self.nodes[self.primaries :]):
            target = self.nodes[number % self.primaries]
            node.order(orders.replicate, target.view.me.id, False)
        assert self.run_until(self.is_converged, 20_000)

    # ---- time ----

    def later(self, after_ms: int, node: PureNode, what: Callable[[], None]) -> None:
        """Have something happen at a node, if it still lives the same life."""
        at_ms = self.now_ms + after_ms
        heapq.heappush(self._queue, (at_ms, next(self._number), node, node.life, what))

    def run(self, for_ms: int) -> None:
        """Let time pass."""
        end_ms = self.now_ms + for_ms
        while self._queue and self._queue[0][0] <= end_ms:
            at_ms, _, node, life, what = heapq.heappop(self._queue)
            self.now_ms = max(self.now_ms, at_ms)
            if not node.runs or node.life != life:
                continue
            if node.is_paused:
                node.parked.append(what)
            else:
                what()
        self.now_ms = end_ms

    def run_until(self, question: Callable[[], bool], patience_ms: int) -> bool:
        """Let time pass until the answer is true."""
        end_ms = self.now_ms + patience_ms
        while self.now_ms < end_ms:
            if question():
                return True
            self.run(20)
        return question()

    # ---- network and faults ----

    def is_open(self, one: PureNode, other: PureNode) -> bool:
        """Whether packets get from one to the other."""
        return self._sides.get(one.number, 0) == self._sides.get(other.number, 0)

    def carry(self, source: PureNode, target: PureNode, link: Link, what: Callable[[], None]) -> None:
        """Deliver in order on a link, after some luck; or never."""
        if not self.is_open(source, target):
            return
        arrival = max(self._arrivals.get(link, 0), self.now_ms + self.luck.randint(1, 8))
        self._arrivals[link] = arrival
        self.later(arrival - self.now_ms, target, what)

    def cut(self, *sides: list[int]) -> None:
        """Part the nodes; who is not named is on the first side."""
        self._sides = {number: side for side, numbers in enumerate(sides) for number in numbers}

    def heal(self) -> None:
        """Let all packets through, and all processes run."""
        self._sides = {}
        for node in self.nodes:
            if node.is_paused:
                self.resume(node)
            if not node.runs:
                self.restart(node)

    def crash(self, node: PureNode) -> None:
        """End a process; its peers hear of it."""
        if node.runs:
            node.runs, node.is_paused = False, False
            node.parked.clear()
            for peer, far in list(node.peers.values()):
                peer.peers.pop(far, None)
                if self.is_open(node, peer):
                    self.later(1, peer, lambda peer=peer, far=far: peer.ended(far))
            node.peers.clear()

    def restart(self, node: PureNode) -> None:
        """Start it again."""
        if not node.runs:
            node.boot()

    def pause(self, node: PureNode) -> None:
        """Stop a process; nobody hears of it."""
        node.is_paused = node.runs

    def resume(self, node: PureNode) -> None:
        """Let it go on with all that piled up."""
        node.is_paused = False
        parked, node.parked = node.parked, []
        for what in parked:
            if node.runs:
                what()

    # ---- what must hold ----

    def sent(self, source: PureNode, target: PureNode, message: messages.Message) -> None:
        """Check: one vote a voter and epoch."""
        if message.type == messages.AUTH_ACK:
            voter = (source.view.me.id, source.view.voted_epoch)
            candidate = self.votes.setdefault(voter, target.view.me.id)
            assert candidate == target.view.me.id, f"{voter} voted twice"
            assert f"lastVoteEpoch {source.view.voted_epoch}\n" in source.file, "a vote before it was written"

    def check(self, node: PureNode) -> None:
        """Check: one primary a config epoch; the table agrees with itself."""
        me = node.view.me
        if me.is_primary and me.slots:
            assert self.led.setdefault(me.config_epoch, me.id) == me.id, "two primaries of one epoch"

    def is_consistent(self, node: PureNode) -> None:
        """Check that a view is whole."""
        view = node.view
        for each in view.nodes.values():
            assert each.slots == slots.of_slots(
                slot for slot, owner in enumerate(view.owners) if owner is each
            )
            assert bool(each.flags & flags.PRIMARY) != bool(each.flags & flags.REPLICA) or each.in_handshake
            assert all(replica.primary is each for replica in each.replicas)

    def all_met(self) -> bool:
        """Whether everybody knows everybody."""
        return all(
            len(node.view.nodes) == len(self.nodes)
            and not any(each.in_handshake for each in node.view.nodes.values())
            for node in self.nodes
        )

    def is_converged(self) -> bool:
        """Whether all run, all serve, and all have the same picture."""
        pictures = set()
        for node in self.nodes:
            if not node.runs or not node.view.is_ok:
                return False
            rows = sorted(
                (
                    *(each.id, each.flags & STANDING, each.slots),
                    *(each.primary.id if each.primary else "", each.group.config_epoch),
                )
                for each in node.view.nodes.values()
            )
            pictures.add(tuple(rows))
        return len(pictures) == 1
