"""What the server's parts may ask of the cluster that their node is in.

An interface only, as `node` is for the node: the cluster itself is a layer above.
`node.doors.cluster` is a `Cluster`, or None where `cluster-enabled` is no.

Reading costs nothing and never blocks. What changes something has been persisted, fsynced
where something is promised on it, and sent, when the call returns. A refusal is a
`CommandError` whose text is the reply.

How to read it: `ClusterNode` is what is known of one node, `ClusterLink` of a connection,
then `Cluster`, first the questions, then the orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.engine.state import Session
from holdfast.engine.values import Status


class ClusterNode(Protocol):
    """A row of the node table, to read. The same object for as long as the node is known."""

    id: str
    host: str
    """Its address; "" where unknown (for myself: use the address the client came to)."""
    port: int
    tls_port: int
    bus_port: int
    hostname: str
    human_name: str
    shard_id: str
    config_epoch: int
    slots: int
    """A bit a slot; `holdfast.cluster.slots.ranges` goes through its runs."""
    offset: int
    """Replication offset, as it last said (`Cluster.offset_of` for the present one)."""

    @property
    def is_primary(self) -> bool:
        """Whether it is a primary."""

    @property
    def is_replica(self) -> bool:
        """Whether it is a replica."""

    @property
    def is_myself(self) -> bool:
        """Whether it is this node."""

    @property
    def in_handshake(self) -> bool:
        """Whether it has yet to say who it is."""

    @property
    def has_address(self) -> bool:
        """Whether it is known where it is."""

    @property
    def is_suspect(self) -> bool:
        """Whether this node thinks it down (PFAIL)."""

    @property
    def is_failed(self) -> bool:
        """Whether a majority thinks it down (FAIL)."""

    @property
    def slot_count(self) -> int:
        """How many slots it has."""


@dataclass(frozen=True, slots=True)
class ClusterLink:
    """A connection of the bus, as CLUSTER LINKS shows it."""

    direction: str
    """"to" or "from"."""
    node_id: str
    create_time_ms: int
    """Wall clock."""
    events: str
    """"r" or "rw"."""
    send_buffer_allocated: int
    send_buffer_used: int


class Cluster(Protocol):
    """The cluster as this node sees it."""

    changed: list[Callable[[int], None]]
    """Called inside a tick after the view has changed, with the slots (a bit a slot) whose owner or
    migrating/importing state did; 0 when something else did: is_ok, a role, an address."""

    # ---- questions ----

    @property
    def me(self) -> ClusterNode:
        """This node."""

    @property
    def is_ok(self) -> bool:
        """Whether the cluster serves: coverage as configured, and a majority in reach."""

    @property
    def is_fenced(self) -> bool:
        """Whether this node waits for a leader: what it holds may not be all that its shard holds."""

    def nodes(self) -> Sequence[ClusterNode]:
        """Return all known nodes, those in handshake too."""

    def node(self, node_id: str) -> ClusterNode | None:
        """Return a node by its id."""

    def owner(self, slot: int) -> ClusterNode | None:
        """Return the owner of a slot."""

    def owners_among(self, slots: int) -> Iterable[tuple[int, int, ClusterNode | None]]:
        """Go through runs of these slots (a bit a slot): first, last, owner."""

    def open_slots(self) -> Iterable[int]:
        """Return the slots that are being moved from us or to us."""

    def migrating_to(self, slot: int) -> ClusterNode | None:
        """Return where a slot of ours is being moved."""

    def importing_from(self, slot: int) -> ClusterNode | None:
        """Return where a slot is being moved from, to us."""

    def primary_of(self, node: ClusterNode) -> ClusterNode | None:
        """Return whom a replica follows, None where unknown or for a primary."""

    def replicas_of(self, node: ClusterNode) -> Sequence[ClusterNode]:
        """Return the replicas of a primary."""

    def offset_of(self, node: ClusterNode) -> int:
        """Return its replication offset: the present one for this node, else as it last said."""

    def nodes_text(self, only: Iterable[ClusterNode] | None = None) -> str:
        """Return CLUSTER NODES (None) or the lines of some nodes, each ending in a line feed."""

    def info(self) -> list[tuple[str, object]]:
        """Return the fields of CLUSTER INFO."""

    def links(self) -> Sequence[ClusterLink]:
        """Return the connections of the bus."""

    def failure_reports(self, node_id: str) -> int:
        """Return how many primaries call a node failing."""

    # ---- orders ----

    def meet(self, host: str, port: int, bus_port: int) -> bool:
        """Begin a handshake; false where the address is none."""

    def forget(self, node_id: str) -> None:
        """Remove a node, and keep gossip from bringing it back for a minute."""

    def replicate(self, node_id: str) -> None:
        """Become a replica of a primary."""

    def add_slots(self, slots: int) -> None:
        """Take unassigned slots (a bit a slot)."""

    def delete_slots(self, slots: int) -> None:
        """Forget who owns slots (a bit a slot)."""

    def set_migrating(self, slot: int, node_id: str) -> None:
        """SETSLOT MIGRATING."""

    def set_importing(self, slot: int, node_id: str) -> None:
        """SETSLOT IMPORTING."""

    def set_stable(self, slot: int) -> None:
        """SETSLOT STABLE."""

    def set_owner(self, slot: int, node_id: str, session: Session) -> object:
        """SETSLOT NODE; return the reply, NO_REPLY where the session is parked until our replicas know."""

    def bump_epoch(self, session: Session) -> object:
        """BUMPEPOCH; return the reply, NO_REPLY where the session is parked until a majority knows."""

    def set_config_epoch(self, epoch: int) -> None:
        """SET-CONFIG-EPOCH."""

    def save(self) -> None:
        """SAVECONFIG."""

    def reset(self, hard: bool) -> None:
        """RESET."""

    def failover(self, manner: str) -> None:
        """FAILOVER; `manner` is "", "FORCE" or "TAKEOVER"."""

    def give(self, session: Session, node_id: str, slots: int) -> None:
        """GIVE: send slots (a bit a slot) to another node as a whole; parks the session."""

    def take(self, session: Session, step: str, token: bytes, words: Sequence[bytes]) -> object:
        """TAKE: a step of what another node gives."""

    def taken(self, token: bytes, source_id: str, target_id: str, slots: int) -> Status:
        """TAKEN: whether this node, by its id, has claimed slots; if not, it will not."""

    def publish(self, channel: bytes, message: bytes, is_sharded: bool) -> None:
        """Spread a message: to all nodes, or (sharded) to those of this shard."""
