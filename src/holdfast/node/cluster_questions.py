"""What commands may ask of the cluster: `server.cluster.Cluster`, its questions.

What it is: `ClusterQuestions`, answers out of the view. What it is not: orders (`cluster_orders`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from holdfast.cluster import failure, messages, promise
from holdfast.cluster.bus import Bus
from holdfast.cluster.model import Node, View
from holdfast.cluster.nodes_file import node_line
from holdfast.cluster.slots import ranges
from holdfast.server.cluster import ClusterLink, ClusterNode

if TYPE_CHECKING:
    from holdfast.node.server import ServerNode


class ClusterQuestions:
    """The part of a cluster side that changes nothing."""

    bus: Bus

    def __init__(self, node: ServerNode, view: View) -> None:
        self._node, self.view = node, view

    def now_ms(self) -> int:
        """Return milliseconds of a clock that never goes back."""
        return self._node.host.clock.boot_us() // 1000

    def _hand_in(self) -> None:
        """Give the decisions what only the node knows."""
        raise NotImplementedError

    @property
    def me(self) -> Node:
        """This node."""
        return self.view.me

    @property
    def is_ok(self) -> bool:
        """Whether the cluster serves."""
        return self.view.is_ok

    @property
    def is_fenced(self) -> bool:
        """Whether this node waits for a leader: it claims nothing, and may lack what its shard holds."""
        return self._node.replication.in_cluster.is_fenced

    def nodes(self) -> Sequence[Node]:
        """Return all known nodes."""
        return list(self.view.nodes.values())

    def node(self, node_id: str) -> Node | None:
        """Return a node by its id."""
        return self.view.node(node_id)

    def owner(self, slot: int) -> Node | None:
        """Return the owner of a slot."""
        return self.view.owners[slot]

    def owners_among(self, slots: int) -> Iterator[tuple[int, int, Node | None]]:
        """Go through runs of these slots: first, last, owner."""
        for node in self.view.nodes.values():
            if theirs := node.slots & slots:
                slots &= ~theirs
                yield from ((first, last, node) for first, last in ranges(theirs))
        yield from ((first, last, None) for first, last in ranges(slots))

    def open_slots(self) -> set[int]:
        """Return the slots that are being moved from us or to us."""
        return {*self.view.migrating, *self.view.importing}

    def migrating_to(self, slot: int) -> Node | None:
        """Return where a slot of ours is being moved."""
        return self.view.migrating.get(slot)

    def importing_from(self, slot: int) -> Node | None:
        """Return where a slot is being moved from, to us."""
        return self.view.importing.get(slot)

    def primary_of(self, node: ClusterNode) -> Node | None:
        """Return whom a replica follows."""
        return cast(Node, node).primary

    def replicas_of(self, node: ClusterNode) -> Sequence[Node]:
        """Return the replicas of a primary."""
        return list(cast(Node, node).replicas)

    def offset_of(self, node: ClusterNode) -> int:
        """Return its replication offset."""
        return self._node.replication.end_offset if node is self.view.me else node.offset

    def nodes_text(self, only: Iterable[ClusterNode] | None = None) -> str:
        """Return CLUSTER NODES, or the lines of some nodes."""
        self._hand_in()
        chosen = self.view.nodes.values() if only is None else (cast(Node, each) for each in only)
        return "".join(node_line(self.view, each) + "\n" for each in chosen)

    def info(self) -> list[tuple[str, object]]:
        """Return the fields of CLUSTER INFO."""
        view = self.view
        assigned = [each for each in view.nodes.values() if each.slots]
        failed = sum(each.slot_count for each in assigned if each.is_failed)
        suspect = sum(each.slot_count for each in assigned if each.is_suspect and not each.is_failed)
        total = sum(each.slot_count for each in assigned)
        fields: list[tuple[str, object]] = [
            ("cluster_state", "ok" if view.is_ok else "fail"),
            ("cluster_slots_assigned", total),
            ("cluster_slots_ok", total - failed - suspect),
            ("cluster_slots_pfail", suspect),
            ("cluster_slots_fail", failed),
            ("cluster_known_nodes", len(view.nodes)),
            ("cluster_size", view.size),
            ("cluster_current_epoch", view.epoch),
            ("cluster_my_epoch", view.me.group.config_epoch),
        ]
        if self._node.configuration["min-replicas-to-ack"]:
            gaps = ",".join(f"{node_id}={why}" for node_id, why in promise.gaps(view).items())
            fields.append(("cluster_shards_without_ack_promise", gaps))
        for word, counts in (("sent", view.sent), ("received", view.received)):
            fields += [
                (f"cluster_stats_messages_{messages.TYPE_NAMES[kind]}_{word}", counts[kind])
                for kind in sorted(counts)
            ]
            fields.append((f"cluster_stats_messages_{word}", sum(counts.values())))
        fields.append(("total_cluster_links_buffer_limit_exceeded", view.links_over_limit))
        return fields

    def links(self) -> Sequence[ClusterLink]:
        """Return the connections of the bus that belong to a known node."""
        rows = []
        for link in self.bus.connections:
            if link.node is None or not link.is_up:
                continue
            used = self.bus.buffered(link)
            rows.append(
                ClusterLink(
                    "to" if link.outbound else "from",
                    link.node.id,
                    self.view.wall_ms(link.created_ms),
                    "rw" if used else "r",
                    used,
                    used,
                )
            )
        return rows

    def failure_reports(self, node_id: str) -> int:
        """Return how many primaries call a node failing."""
        node = self.view.node(node_id)
        return failure.reports(self.view, node, self.now_ms()) if node is not None else 0
