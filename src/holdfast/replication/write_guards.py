"""Whether this node may write, as its engine and its lease are told.

What this is: the reasons of standing, lease and gate in one answer (`refusal`), the engine's guard that
follows it, and the node's side of the lease keeper. What this is not: any of the reasons.

How to read it: `refusal`, then who lets it be looked at anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.replication.reply_gate import GUARD_FENCED, READ_PROMISES

if TYPE_CHECKING:
    from holdfast.replication.replicator import Replicator


class WriteGuards:
    """What stands between clients and writes on one node."""

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator

    def refusal(self) -> bytes | None:
        """Return why a write may not run on this node, None if it may."""
        replicator = self._replicator
        # First of all the standing: a restarted primary whose configuration says `replicaof` is a candidate.
        refusal = replicator.standing.write_refusal
        if refusal is not None or replicator.is_replica:
            return refusal
        return replicator.lease.refusal or replicator.gate.refusal

    def refresh(self) -> None:
        """Let the engine refuse what `refusal` says."""
        replicator, engine = self._replicator, self._replicator.node.engine
        if self.refusal() is not None:
            engine.guard |= GUARD_FENCED
        else:
            engine.guard &= ~GUARD_FENCED
        if replicator.standing.write_refusal is not None:
            # What `ack-reads` promises nobody can prove here any more: such reads are refused, too.
            engine.gate_reads = READ_PROMISES[replicator.node.configuration["ack-reads"]]

    def standing_changed(self) -> None:
        """Follow a new standing in what writes are refused for, and in the lease."""
        self.refresh()  # first of all: what the lease's end lets go on must meet the fence
        self._replicator.lease.refresh()

    # ---- Side of the lease ----

    @property
    def epoch(self) -> int:
        """The epoch that this node leads or follows in."""
        return self._replicator.standing.node.state.term_epoch

    @property
    def node_id(self) -> str:
        """The node's durable name."""
        return self._replicator.standing.node_id

    @property
    def leads(self) -> bool:
        """Whether this node is a primary that may take writes."""
        return self._replicator.leads

    @property
    def writes_prove_themselves(self) -> bool:
        """Whether acknowledgements of members stand behind every write."""
        return self._replicator.gate.proves_writes

    def lease_changed(self) -> None:
        """Follow the lease: writes are refused, or go on."""
        self.refresh()

    def under_lease(self, is_so: bool) -> None:
        """Remember that a restart must be confirmed by a leader, or need not be any more."""
        self._replicator.standing.under_lease(is_so)
