"""The judges of a cluster: one vote, one leader an epoch, nothing acknowledged lost, all agree at last.

What this is: `ClusterChecks`, in the place of the judges of a single group (`checks`). What it is
not: clients (`cluster_workload`).

How to read it: single steps are judged by `cluster_rules`; `_look_at` looks at every node a few times
a virtual second, and at a new leader for every write of its slots that was ever acknowledged;
`difference` says why the nodes do not agree yet; `judge` looks for every write at the end. A shard is
the names of its first primary and of those that began behind it. Where slots move (`slot_mover`) every
write must be with the owner of its slot when all slots are in order, and nowhere else.
"""

from __future__ import annotations

from itertools import combinations

from holdfast.cluster import slots
from holdfast.cluster.model import View
from holdfast.commands.slot_keys import count_keys_in_slot
from holdfast.engine.digest import digest_of_all, digest_of_value
from holdfast.engine.slots import slot_of_key
from holdfast.node.cluster import ClusterSide
from holdfast.node.server import ServerNode
from holdfast.replication.fence import Standing
from holdfast.sim.cluster_agreement import difference_of
from holdfast.sim.nodes import Nodes
from holdfast.sim.swarm.checks import NO_SUCH_KEY, Checks, Promise
from holdfast.sim.swarm.cluster_rules import Rules
from holdfast.sim.swarm.history import History, Operation, Outcome, Promotion
from holdfast.sim.swarm.manager import Epochs
from holdfast.sim.swarm.observers import observe_fences
from holdfast.sim.swarm.slot_mover import TAGGED

AT_THE_END = "at the end"
EQUAL_SECONDS = 5.0
"""For how long two primaries may have one epoch: each ping between them may tell them apart."""


def _hears(view: View, other: View) -> bool:
    """Whether one node has a connection to another, and thinks that it works."""
    node = view.node(other.me.id)
    works = node is not None and not node.is_suspect and not node.is_failed
    return node is not None and works and node.link is not None and node.link.is_up


class ClusterChecks(Checks):
    """The judges of one run of a cluster."""

    def __init__(self, nodes: Nodes, history: History, epochs: Epochs, promise: Promise) -> None:
        """Begin without evidence."""
        super().__init__(nodes, history, epochs, promise)
        self._rules = Rules(self.object, nodes)
        self._unanswered: list[Operation] = []
        self._leaders: dict[int, dict[str, int]] = {}
        """Config epoch to who had which slots by it: a bit a slot, by id."""
        self._equal: dict[tuple[str, str], float] = {}
        """Primaries with one epoch that hear each other, and since when."""
        self._judged: set[tuple[str, int]] = set()
        """Leaders that were judged, and in which epoch."""
        self._shards: dict[str, int] = {}
        self.slots_move = False
        self._lossy = 0
        """Slots that a shard held which lost its memory so (where slots move: there a shard is no slots)."""
        self._may_lose: set[int] = set()
        """Shards in which more nodes lost their memory at once than the promise bears."""

    def share(self, shards: list[list[str]]) -> None:
        """Say who belongs together: the names of each shard."""
        self._shards = {name: number for number, names in enumerate(shards) for name in names}

    # ---- all along ----

    def observe(self, name: str, node: ServerNode) -> None:
        """Look on from the start of a node."""
        self._rules.watch(name, node)
        observe_fences(self, name, node)

    def watch(self) -> None:
        """Look at every node, and for primaries that keep an epoch together."""
        self._rules.promises = self.promise.keeps_acknowledged
        self._unanswered += self.history.operations[self._operations_read :]
        super().watch()
        for each in self._unanswered:
            if each.outcome is Outcome.OK:
                self._rules.acknowledged(each)
        self._unanswered = [each for each in self._unanswered if not each.ended]
        self._look_for_equal_epochs()

    def _look_for_equal_epochs(self) -> None:
        """Two primaries that hear each other do not have one epoch for long."""
        leading = {
            name: side.view
            for name, node in self.nodes.all_serving().items()
            if (side := node.cluster) is not None and side.view.me.is_primary and side.view.me.slots
        }
        now = self.nodes.world.now
        equal = [
            (first, second)
            for (first, mine), (second, theirs) in combinations(leading.items(), 2)
            if mine.me.config_epoch == theirs.me.config_epoch
            and _hears(mine, theirs) and _hears(theirs, mine)
        ]  # fmt: skip
        self._equal = {pair: self._equal.get(pair, now) for pair in equal}
        for (first, second), since in self._equal.items():
            if now - since > EQUAL_SECONDS:
                self.object(f"{first} and {second} have had the same epoch for {now - since:.1f} s")

    def _look_at(self, name: str, node: ServerNode) -> None:
        side, replication = node.cluster, node.replication
        if side is None:
            return
        is_led = replication.upstream.is_up or replication.standing.node.standing is Standing.PRIMARY
        if replication.standing.node.state.intact and is_led:
            self._without_memory.discard(name)
        self._look_at_fence(name, node)
        self._look_at_bounds(name, node)
        me = side.view.me
        if not me.is_primary or not me.slots or replication.is_replica:
            return
        self._look_at_slots(name, side)
        is_waiting = side.is_fenced  # it serves nobody; perhaps it led between two looks, and has restarted
        if not is_waiting and (me.id, me.config_epoch) not in self._judged:
            self._judged.add((me.id, me.config_epoch))
            now = self.nodes.world.now
            self.history.promotions.append(Promotion(now, name, me.id, me.config_epoch, "", False))
            self._judge_leader(name, node, f"as it leads in epoch {me.config_epoch}")

    def _look_at_slots(self, name: str, side: ClusterSide) -> None:
        """Two do not have slots by one epoch; a claim that waits for something gives none yet."""
        me = side.view.me
        if side.queue.waits_for_disk:
            return
        has = me.slots
        for claim in side.claims:
            has &= ~claim.slots
        held = self._leaders.setdefault(me.config_epoch, {})
        held[me.id] = held.get(me.id, 0) | has
        for other, theirs in held.items():
            if other != me.id and (theirs & has or not self.slots_move):
                self.object(f"{name} has slots by epoch {me.config_epoch}, and so has another")

    def _judge_leader(self, name: str, node: ServerNode, when: str) -> None:
        """Every acknowledged write of its slots must be there."""
        assert node.cluster is not None
        if not self.promise.keeps_acknowledged or self._shards[name] in self._may_lose:
            return
        if self.slots_move and when != AT_THE_END:
            return  # what has travelled may be elsewhere, until all is in order
        own = node.cluster.view.me.slots & ~self._lossy
        for each in self.history.operations:
            key = each.key.encode()
            if each.outcome is not Outcome.OK or not own >> slot_of_key(key) & 1:
                continue
            if digest_of_value(node.engine, 0, key) == NO_SUCH_KEY:
                self.object(
                    f"{name} lacks {each.key} {when}, which {each.node} acknowledged at {each.ended:.3f}"
                )
                return

    # ---- moments ----

    def crashed(self, name: str) -> None:
        """A process or its machine has gone, and its memory with it."""
        super().crashed(name)
        shard = self._shards[name]
        gone = [each for each in self._without_memory if self._shards[each] == shard]
        if len(gone) > self.promise.needed and self.slots_move:
            for each in gone:
                self._lossy |= self._held_by(each)
            self.losses_allowed += 1
        elif len(gone) > self.promise.needed and shard not in self._may_lose:
            self._may_lose.add(shard)
            self.losses_allowed += 1

    def _held_by(self, name: str) -> int:
        """Return the slots of which a node, running or not, may have had keys."""
        side = self.nodes.latest[name].cluster if name in self.nodes.latest else None
        if side is None:
            return slots.ALL
        view = side.view
        came = slots.of_slots(
            slot
            for each in self.nodes.latest.values()
            if each.cluster is not None
            for slot, target in each.cluster.view.migrating.items()
            if target.shard_id == view.me.shard_id  # an heir of the target has keys, and no mark
        )
        return view.me.group.slots | view.receiving | view.claiming | slots.of_slots(view.importing) | came

    # ---- the end ----

    def difference(self) -> str:
        """Return why the nodes have not converged, empty when they have."""
        return difference_of(self.nodes)

    def judge(self, is_converged: bool) -> None:
        """Look for every acknowledged write where its slot is, and at the copies of each shard."""
        if is_converged:
            self._judge_epochs()
            self._judge_copies()
            for name, node in self.nodes.all_serving().items():
                if node.cluster is not None and node.cluster.view.me.is_primary:
                    self._judge_leader(name, node, AT_THE_END)
                    self._judge_strays(name, node)

    def _judge_epochs(self) -> None:
        """No two primaries with slots have the same epoch, when all has been quiet for a while."""
        seen: dict[int, str] = {}
        for name, node in self.nodes.all_serving().items():
            me = node.cluster.view.me if node.cluster is not None else None
            if me is not None and me.is_primary and me.slots:
                first = seen.setdefault(me.config_epoch, name)
                if first != name:
                    self.object(f"{first} and {name} both have slots by epoch {me.config_epoch} at the end")

    def _judge_copies(self) -> None:
        """A replica that has the whole stream of its primary holds the same data."""
        serving = self.nodes.all_serving()
        by_id = {node.cluster.me.id: name for name, node in serving.items() if node.cluster is not None}
        for name, node in serving.items():
            above = node.cluster.me.primary if node.cluster is not None else None
            if above is None or above.id not in by_id:
                continue
            primary = serving[by_id[above.id]]
            is_in_step = node.replication.stream.offset == primary.replication.end_offset
            if is_in_step and digest_of_all(node.engine) != digest_of_all(primary.engine):
                self.object(f"{name} and {by_id[above.id]} are in step and hold different data")

    def _judge_strays(self, name: str, node: ServerNode) -> None:
        """A primary has no key of a slot that is another's."""
        assert node.cluster is not None
        own = node.cluster.view.me.slots
        for slot in TAGGED if self.slots_move else ():
            count = count_keys_in_slot(node.engine, slot)
            if count and not own >> slot & 1:
                self.object(f"{name} has {count} keys of slot {slot}, which is another's")
