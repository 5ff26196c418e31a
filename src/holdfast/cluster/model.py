"""What one node knows of its cluster: the node table, the slots, the epochs, what is under way.

What it is: plain values that the decisions read and change, and the few ways to change
them that keep them whole (`View.give_slot` and its like). What it is not: decisions
(`machine` and what it calls), bytes (`codec`, `nodes_file`), sockets.

How to read it: `Node` is a row of the table, `View` is the table with all that hangs on
it. Times are milliseconds of a clock that never goes back, handed in from outside; only
the bus and nodes.conf speak of the wall clock (`View.wall_ahead_ms`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.cluster import flags
from holdfast.cluster.effects import Effect, Log, Persist
from holdfast.cluster.settings import Settings
from holdfast.cluster.slots import SLOTS, ranges

NEVER_MS = -(1 << 40)
"""Long ago: an event that has not happened."""


@dataclass(slots=True, eq=False)
class Link:
    """One TCP connection of the bus. `outbound`: we opened it, to speak with `node`."""

    node: Node | None
    outbound: bool
    created_ms: int
    is_up: bool = False
    """Connected, so that messages may be sent."""
    pings: int = 0
    """Sent over it."""
    pongs: int = 0
    """Outbound: come over it. As many as `pings`: the peer has taken in all that we told it."""
    owed_pongs: int = 0
    """Inbound: answers that were left out, as nodes.conf could not be written; the next beat tries."""
    pings_before_claim: int = 0
    """Outbound: sent over it before we last took a slot of the peer's shard."""
    has_answered: bool = False
    """Outbound: a pong has come over it, so its loss says something."""
    peer_ip: str = ""
    local_ip: str = ""


@dataclass(slots=True, eq=False)
class Node:
    """A row of the node table. Invariant: a replica's `primary` lists it in `replicas`."""

    id: str
    """40 hexadecimal digits; random while in handshake."""
    flags: int
    created_ms: int
    host: str = ""
    """The address last heard of; "" is unknown."""
    port: int = 0
    tls_port: int = 0
    bus_port: int = 0
    hostname: str = ""
    human_name: str = ""
    shard_id: str = ""
    config_epoch: int = 0
    slots: int = 0
    """A bit a slot (`slots`). Invariant: `View.owners` says the same."""
    primary: Node | None = None
    replicas: list[Node] = field(default_factory=list)
    ping_sent_ms: int = 0
    """When the ping was sent that waits for its pong; 0: none waits."""
    pong_received_ms: int = 0
    heard_ms: int = 0
    """When anything came from it."""
    fail_ms: int = 0
    """When it was flagged FAIL."""
    voted_ms: int = NEVER_MS
    """When a replica of this primary last got our vote."""
    orphaned_ms: int = 0
    """Since when it has slots and had replicas, and no replica works; 0: it is not so."""
    offset: int = 0
    """Replication offset, as it last said."""
    offset_ms: int = NEVER_MS
    failure_reports: dict[Node, int] = field(default_factory=dict)
    """Primary that calls this node failing, and when it last did."""
    link: Link | None = None
    inbound: Link | None = None
    in_gossip: int = 0
    """The number of the last ping that told of it."""
    answered_ms: int = NEVER_MS
    """When the latest ping of ours was sent that it answered: it was alive after that."""
    lost_ms: int = 0
    """When an established link went, with no pong since; 0: it is not so."""
    refused_ms: int = 0
    """When, after that, a fresh connect was refused: nobody listens there; 0: it is not so."""
    is_ours: bool = False
    """A Holdfast node, by its own word."""
    has_shard_id: bool = False
    """It has sent its shard id, so it reads the extensions of 7.2."""

    @property
    def is_primary(self) -> bool:
        """Whether it is a primary."""
        return bool(self.flags & flags.PRIMARY)

    @property
    def is_replica(self) -> bool:
        """Whether it is a replica."""
        return bool(self.flags & flags.REPLICA)

    @property
    def is_myself(self) -> bool:
        """Whether it is this node."""
        return bool(self.flags & flags.MYSELF)

    @property
    def in_handshake(self) -> bool:
        """Whether it has yet to say who it is."""
        return bool(self.flags & flags.HANDSHAKE)

    @property
    def has_address(self) -> bool:
        """Whether it is known where it is."""
        return not self.flags & flags.NO_ADDRESS

    @property
    def is_suspect(self) -> bool:
        """Whether it is PFAIL."""
        return bool(self.flags & flags.PFAIL)

    @property
    def is_failed(self) -> bool:
        """Whether it is FAIL."""
        return bool(self.flags & flags.FAIL)

    @property
    def slot_count(self) -> int:
        """How many slots it has."""
        return self.slots.bit_count()

    @property
    def group(self) -> Node:
        """The primary of its shard, as far as known: itself or whom it follows."""
        return self.primary or self

    def working_replicas(self) -> int:
        """Return how many replicas are not FAIL."""
        return sum(not each.is_failed for each in self.replicas)


@dataclass(slots=True)
class Election:
    """This node's own candidacy."""

    since_ms: int = NEVER_MS
    """When this attempt began."""
    at_ms: int = NEVER_MS
    """When it asks, or asked, for votes."""
    is_sent: bool = False
    jitter_ms: int = 0
    """A bit of luck, where others of the shard draw theirs."""
    epoch: int = 0
    voters: set[str] = field(default_factory=set)
    """Ids of primaries that voted for us in `epoch`."""
    asked_ms: int = 0
    """When the votes that are missing were last asked for."""
    asked_times: int = 0
    is_won: bool = False
    """The votes are there, and the shard is being fenced."""
    told: str = ""
    """Why we could not start, as last written to the log."""
    told_ms: int = NEVER_MS


@dataclass(slots=True)
class ManualFailover:
    """CLUSTER FAILOVER under way; `end_ms` 0: none is."""

    end_ms: int = 0
    replica: Node | None = None
    """On the primary: who takes over."""
    is_paused: bool = False
    """On the primary: writers are held back by now."""
    primary_offset: int = -1
    """On the replica: where the paused primary stands; -1: not yet known."""
    asked_ms: int = NEVER_MS
    """On the replica: when the primary was last asked to pause."""
    can_start: bool = False
    is_forced: bool = False
    """FORCE: an operator takes what is lost upon himself."""


class View:
    """Everything that one node knows, and the effects that wait to be run."""

    def __init__(self, my_id: str, luck: random.Random, settings: Settings, now_ms: int) -> None:
        self.luck = luck
        self.settings = settings
        self.me = Node(my_id, flags.MYSELF | flags.PRIMARY, now_ms, shard_id=f"{luck.getrandbits(160):040x}")
        self.nodes: dict[str, Node] = {my_id: self.me}
        """All, in handshake too, by id."""
        self.epoch = 0
        """The highest epoch seen anywhere."""
        self.reserved_epoch = 0
        """An epoch that a majority knows of as taken, for what claims slots next (`orders.reserve_epoch`)."""
        self.voted_epoch = 0
        """The last epoch that a vote was given in. It is on disk before the vote leaves."""
        self.owners: list[Node | None] = [None] * SLOTS
        self.unowned = SLOTS
        """How many slots nobody owns."""
        self.migrating: dict[int, Node] = {}
        self.importing: dict[int, Node] = {}
        self.claiming = 0
        """Slots that we are about to claim: so far we tell only our replicas (`claims.begin`)."""
        self.receiving = 0
        """Slots of which we hold copies that nobody is sent to: their owner is sending them as a whole."""
        self.giving = 0
        """Slots of ours that another node was told to claim as a whole: until we know whether it did, our
        epoch stays, so that its claim beats ours wherever the two meet."""
        self.imported: dict[int, Node] = {}
        """Slots that we claimed when their keys had come one by one, and from whom: until that node is heard
        without the claim, what it says of them is from before."""
        self.not_claiming = 0
        """Slots whose owner in our table no longer claims them; nobody else has yet."""
        self.is_ok = False
        self.size = 0
        """Primaries with slots: a majority of them decides."""
        self.forgotten: dict[str, int] = {}
        """Ids that gossip may not bring back, and until when (ms)."""
        self.election = Election()
        self.manual = ManualFailover()
        self.wall_ahead_ms = 0
        """Wall clock minus the clock of decisions."""
        self.my_offset = 0
        """This node's place in the replication stream, handed in."""
        self.primary_heard_ms: int | None = None
        """When the stream of our primary last carried something; None: never. Handed in."""
        self.has_foreign_copy = False
        """What we hold is of another shard: we follow this one, and have not yet its data."""
        self.primary_link_up = False
        self.is_bound = False
        """Others count on our acknowledgements: the shard is fenced before we lead. Handed in."""
        self.is_fenced = False
        """We wait for a leader, and nobody but one can help. Handed in."""
        self.fenced_since_ms: int | None = None
        self.primary_is_empty = False
        """Our primary came back without its history, and we do not follow it. Handed in."""
        self.sent: dict[int, int] = {}
        """Messages by type."""
        self.received: dict[int, int] = {}
        self.suspects = 0
        """Nodes in PFAIL: all pings tell of them."""
        self.failed = 0
        """Primaries in FAIL: our pings to our own kind tell of them, too (`orders.voters_know`)."""
        self.links_over_limit = 0
        """Links that were closed as too much waited on them."""
        self.gossip_round = 0
        self.started_ms = now_ms
        self.looked_ms = now_ms
        """When the last beat was."""
        self.minority_ms = NEVER_MS
        """When we last were among a minority."""
        self.in_minority = False
        """No majority of the primaries was in reach at the last judgement."""
        self.first_look_ms: int | None = None
        """When the state was first judged: a primary that starts takes no writes for a while."""
        self.must_judge = False
        """Something changed that the state of the cluster hangs on."""
        self.must_elect = False
        """Something changed that an election hangs on."""
        self.must_save = False
        """nodes.conf is to be written, before anything that is sent."""
        self.must_sync = False
        """And fsynced."""
        self.claimed = 0
        """Slots claimed in this event, if that is all that is to be fsynced."""
        self.lost = 0
        """Slots that were ours until now: they are served no more and their keys are deleted, at once. (If it
        waited for the disk, keys that come to such a slot next would be deleted.)"""
        self.changed_slots = 0
        """Slots whose owner or state changed since the last look at it."""
        self.effects: list[Effect] = []

    # ---- the table ----

    def others(self) -> Iterator[Node]:
        """Go through the other nodes, those in handshake too."""
        return (each for each in list(self.nodes.values()) if each is not self.me)

    def node(self, node_id: str) -> Node | None:
        """Return a node by its id."""
        return self.nodes.get(node_id)

    def add(self, node: Node) -> None:
        """Add a row."""
        self.nodes[node.id] = node

    def rename(self, node: Node, node_id: str) -> None:
        """Give a node the id that it told."""
        del self.nodes[node.id]
        node.id = node_id
        self.nodes[node_id] = node

    # ---- slots ----

    def give_slot(self, slot: int, owner: Node | None) -> None:
        """Make `owner` the owner of a slot, whoever had it."""
        before = self.owners[slot]
        if before is owner:
            return
        bit = 1 << slot
        if before is not None:
            before.slots &= ~bit
            self.unowned += 1
        if owner is not None:
            owner.slots |= bit
            self.unowned -= 1
        self.owners[slot] = owner
        self.not_claiming &= ~bit
        self.changed_slots |= bit

    def give_slots(self, slots: int, owner: Node | None) -> None:
        """Make `owner` the owner of a set of slots, whoever had them."""
        changed = slots & ~owner.slots if owner is not None else slots
        owners, moved = self.owners, 0
        whose = {each for first, last in ranges(changed) for each in set(owners[first : last + 1])}
        for before in whose - {None, owner}:
            assert before is not None
            moved |= before.slots & changed
            before.slots &= ~changed
        if owner is None:
            changed = moved
            self.unowned += moved.bit_count()
        else:
            owner.slots |= changed
            self.unowned -= (changed & ~moved).bit_count()
        for first, last in ranges(changed):
            owners[first : last + 1] = [owner] * (last + 1 - first)
        self.not_claiming &= ~changed
        self.changed_slots |= changed

    def open_slot(self, table: dict[int, Node], slot: int, peer: Node | None) -> None:
        """Set or clear (None) an entry of `migrating` or `importing`."""
        if table.get(slot) is not peer:
            self.changed_slots |= 1 << slot
        if peer is None:
            table.pop(slot, None)
        else:
            table[slot] = peer

    # ---- roles ----

    def attach(self, replica: Node, primary: Node | None) -> None:
        """Note whom a replica follows; None: unknown."""
        if replica.primary is primary:
            return
        self.detach(replica)
        replica.primary = primary
        if primary is not None:
            primary.replicas.append(replica)
            primary.flags |= flags.MIGRATE_TO

    def detach(self, replica: Node) -> None:
        """Forget whom a node follows."""
        primary, replica.primary = replica.primary, None
        if primary is not None and replica in primary.replicas:
            primary.replicas.remove(replica)
            if not primary.replicas:
                primary.flags &= ~flags.MIGRATE_TO

    # ---- questions ----

    @property
    def majority(self) -> int:
        """How many primaries with slots are a majority."""
        return self.size // 2 + 1

    def highest_epoch(self) -> int:
        """Return the highest epoch that any node shows."""
        return max(self.epoch, self.highest_config_epoch())

    def highest_config_epoch(self) -> int:
        """Return the highest epoch in which a node claims slots, as far as is known."""
        return max(each.config_epoch for each in self.nodes.values())

    def wall_ms(self, at_ms: int) -> int:
        """Return a time of ours as the wall clock tells it; 0 stays 0."""
        return max(at_ms + self.wall_ahead_ms, 0) if at_ms else 0

    # ---- effects ----

    def do(self, effect: Effect) -> None:
        """Add an effect."""
        self.effects.append(effect)

    def save(self, synced: bool = False) -> None:
        """Have nodes.conf written before anything of this event is sent."""
        self.claimed = 0 if synced else self.claimed
        self.must_save = True
        self.must_sync = self.must_sync or synced

    def save_claim(self, slots: int, is_all: bool) -> None:
        """Have a claim written and fsynced; `is_all`: nothing else of this event has to be."""
        self.save(synced=True)
        self.claimed = slots if is_all else 0

    def take_effects(self) -> list[Effect]:
        """Return what waits to be run, and forget it; `Persist` stands first."""
        effects, self.effects = self.effects, []
        if self.must_save:
            effects.insert(0, Persist(self.must_sync, self.claimed))
            self.must_save = self.must_sync = False
            self.claimed = 0
        return effects

    def log(self, text: str, level: str = "notice") -> None:
        """Write to the log."""
        self.do(Log(level, text))
