"""The judges of a run: each promise, checked by its rule.

What this is: what is watched all along (`watch`, called a few times a virtual second, and
`promoted`, at each promotion), after each crash (`crashed`), and at the end (`converged`,
`judge`). What it is not: a source of faults.

How to read it: `Promise` says what the settings of this run promise at all; every
violation is one sentence in `violations`, and the first ends the run.

Numbers in brackets are the rules in docs/acknowledgement.md's terms: an acknowledged
write survives, no node acknowledges what a later primary lacks, one primary an epoch,
a fence is never forgotten, a primary without history wipes nobody.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.engine.digest import digest_of_all, digest_of_value
from holdfast.node.server import ServerNode
from holdfast.persistence.loader import LoadFailed
from holdfast.replication.fence import Standing
from holdfast.replication.node_state import StateFileError
from holdfast.replication.remote_replica import HIGH_MARK_BYTES
from holdfast.sim.nodes import Nodes
from holdfast.sim.sentinels import Sentinels
from holdfast.sim.swarm import files
from holdfast.sim.swarm.history import History, Operation, Outcome, Promotion
from holdfast.sim.swarm.linearizability import first_violation
from holdfast.sim.swarm.manager import Epochs
from holdfast.sim.swarm.sentinel_checks import Configurations, lease_was_broken, under_lease

NO_SUCH_KEY = "0" * 40
MEMORY_LIMIT_BYTES = 64 << 20
STREAM_SLACK_BYTES = 4 << 20
WAITING_LIMIT = 10_000
DIGEST_SECONDS = 0.5
FAULT_WORDS = ("A fault in", "internal error", "Following the primary failed", "stream is broken")
KNOWN_ERRORS = ("NOACK", "CLIENT", "ConnectionResetError", "TimeoutError")


@dataclass(frozen=True, slots=True)
class Promise:
    """What must hold in this run."""

    keeps_acknowledged: bool = False
    """min-replicas-to-ack >= 1 under a manager: an OK survives every failover."""
    keeps_synced: bool = False
    """appendfsync always and no manager: an OK survives every crash of the primary."""
    is_linearizable: bool = False
    needed: int = 0
    """N: an acknowledged write has N + 1 holders."""
    may_refuse: bool = False
    """Without a manager, replicas that keep their data from a primary without history stay apart."""


class Checks:
    """The judges of one run."""

    def __init__(self, nodes: Nodes, history: History, epochs: Epochs, promise: Promise) -> None:
        """Begin without evidence."""
        self.nodes = nodes
        self.history = history
        self.epochs = epochs
        self.promise = promise
        self.violations: list[str] = []
        self.sentinels: Sentinels | None = None
        self._configurations = Configurations(self.object)
        self._without_memory: set[str] = set()
        self.losses_allowed = 0
        """Promotions that lost history openly: all that was acknowledged had lost its memory."""
        self._lost_at = 0.0
        """When history was last lost openly: what was asked before that may be missing."""
        self._lossy_epochs: set[int] = set()
        self._primaries: dict[int, str] = {}
        self._warnings_read = 0
        self._errors_read = 0
        self._operations_read = 0
        self._digests: dict[str, tuple[float, int, str]] = {}
        self._leased_since: float | None = None
        """Since when every write hangs on a lease: the first primary was under one before any other led."""

    # ---- all along ----

    def watch(self) -> None:
        """Look at every node, its warnings and what clients were told since the last time."""
        serving = self.nodes.all_serving()
        for name, node in serving.items():
            self._look_at(name, node)
        if self.sentinels is not None:
            self._configurations.look(self.sentinels)
            leading = under_lease(serving) if self._is_under_lease else []
            if len(leading) > 1:
                self.object(f"{' and '.join(leading)} take writes under a lease at the same time")
        self._read_warnings()
        self._read_operations()

    def _look_at(self, name: str, node: ServerNode) -> None:
        replication = node.replication
        state = replication.standing.node.state
        if state.intact and replication.upstream.is_up:
            self._without_memory.discard(name)
        if replication.standing.node.standing is Standing.PRIMARY and state.term_epoch:
            first = self._primaries.setdefault(state.term_epoch, state.node_id)
            if first != state.node_id:
                self.object(f"two primaries in epoch {state.term_epoch}: {name} is the second")
        if self._leased_since is None and not self.history.promotions and replication.lease.word == "held":
            self._leased_since = self.nodes.world.now
        self._look_at_fence(name, node)
        self._look_at_bounds(name, node)

    def _look_at_fence(self, name: str, node: ServerNode) -> None:
        fence, reported = node.replication.standing.node.state.fence_epoch, self.epochs.fences.get(name, 0)
        if fence < reported:
            self.object(f"{name} has forgotten its fence: it stands at {fence}, and reported {reported}")

    def _look_at_bounds(self, name: str, node: ServerNode) -> None:
        """Stream, requests that wait, and memory are bounded."""
        backlog, gate = node.replication.stream.backlog, node.replication.gate.gate
        if backlog is not None:
            limit = node.configuration["repl-backlog-size"] + STREAM_SLACK_BYTES + HIGH_MARK_BYTES
            if backlog.kept_bytes > limit:
                self.object(f"{name} keeps {backlog.kept_bytes} bytes of stream, more than {limit}")
        if gate is not None and gate.waiting_count > WAITING_LIMIT:
            self.object(f"{gate.waiting_count} requests wait at {name}")
        if node.engine.used_bytes > MEMORY_LIMIT_BYTES:
            self.object(f"{name} uses {node.engine.used_bytes} bytes")

    def _read_warnings(self) -> None:
        warnings = self.nodes.warnings
        for _, name, text in warnings[self._warnings_read :]:
            self._read_warning(name, text)
        self._warnings_read = len(warnings)
        if self.sentinels is not None:
            told, self.sentinels.warnings[:] = list(self.sentinels.warnings), ()
            for _, name, text in told:
                self._read_warning(name, text)
        errors = self.nodes.world.errors
        for who, message, error in errors[self._errors_read :]:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                continue  # a process that cannot write what it must remember does not start
            if type(error) is OSError and "cannot be written" in str(error):
                continue  # a Sentinel likewise
            if isinstance(error, StateFileError) and "cannot be written" in str(error):
                continue
            if isinstance(error, LoadFailed) and "No space left" in str(error):
                continue
            self.object(f"{who}: {message}: {error!r}")
        self._errors_read = len(errors)

    def _read_warning(self, name: str, text: str) -> None:
        if any(word in text for word in FAULT_WORDS):
            self.object(f"{name} logs: {text[:1500]}")

    def _read_operations(self) -> None:
        """An older primary acknowledges nothing that was asked after a newer one has acknowledged."""
        operations = self.history.operations
        for each in operations[self._operations_read :]:
            is_known = each.error.startswith((*KNOWN_ERRORS, "WRONGTYPE"))
            if each.error and each.outcome is Outcome.UNKNOWN and not is_known:
                self.object(f"{each.client} was told by {each.node}: {each.error}")
        self._operations_read = len(operations)

    @property
    def _is_under_lease(self) -> bool:
        """Whether the lease alone keeps primaries apart, and has begun."""
        return self.sentinels is not None and not self.promise.needed and self._leased_since is not None

    # ---- moments ----

    def promoted(self, promotion: Promotion) -> None:
        """A manager has made a primary: it must hold all that was ever acknowledged."""
        if promotion.may_lose_writes:
            self.lost_openly(promotion.epoch)
            return
        if self.promise.keeps_acknowledged:
            self.judge_loss(
                promotion.node, self.history.operations, f"when it was promoted in epoch {promotion.epoch}"
            )

    def lost_openly(self, epoch: int) -> None:
        """A node leads in an epoch by an order that says aloud that acknowledged writes may be lost."""
        self._lost_at = self.nodes.world.now
        if epoch not in self._lossy_epochs and self.history.acknowledged("write", "pair", "set", "incr"):
            self._lossy_epochs.add(epoch)
            self.losses_allowed += 1

    def crashed(self, name: str) -> None:
        """A process or its machine has gone: its files must be valid."""
        self._without_memory.add(name)
        is_first = not self.history.promotions  # later ones wait for a leader, who says what may be lost
        if self.sentinels and is_first and len(self._without_memory) > self.promise.needed:
            self.losses_allowed += 1
            self._lost_at = self.nodes.world.now
        lost_power = self.nodes.world.hosts[name].interface.down
        may_tear = lost_power and self.nodes.settings[name].get("appendfsync") != "always"
        for wrong in files.wrong_files(self.nodes.world.hosts[name].disk, may_tear=may_tear):
            self.object(f"after a crash of {name}: {wrong}")

    def sentinel_crashed(self, name: str) -> None:
        """A Sentinel or its machine has gone: its file must be valid."""
        for wrong in files.wrong_sentinel_file(self.nodes.world.hosts[name].disk):
            self.object(f"after a crash of {name}: {wrong}")

    def was_wiped(self, name: str, keys: int, reason: str) -> None:
        """A replica has let a primary without history wipe its data."""
        self.object(f"{name} had {keys} keys and was wiped by {reason}")

    def synced_in_full(self, name: str, reason: str) -> None:
        """A replica was sent a whole copy though the stream would have done."""
        self.object(f"{name} sent a whole copy where the stream would have done: {reason}")

    # ---- the end ----

    def difference(self) -> str:
        """Return why the nodes have not converged, empty when they have."""
        serving = self.nodes.all_serving()
        away = [name for name in self.nodes.settings if name not in serving]
        if away:
            return f"{', '.join(away)} not serving"
        primaries = [name for name, node in serving.items() if not node.replication.is_replica]
        if len(primaries) != 1:
            return f"{len(primaries)} primaries: {', '.join(primaries)}"
        primary = serving[primaries[0]].replication
        if primary.standing.node.standing is not Standing.PRIMARY:
            return f"{primaries[0]} is {primary.standing.node.standing.value}"
        if primary.guards.refusal() is not None:
            return f"{primaries[0]} refuses writes: {(primary.guards.refusal() or b'').decode()}"
        strays = [
            f"{each} names {where}"
            for each, address in (self.sentinels.named() if self.sentinels else {}).items()
            if (where := self.nodes.name_of(address)) != primaries[0]
        ]
        if strays:
            return f"{primaries[0]} leads, and {', '.join(strays)}"
        digest = self._digest(primaries[0], serving[primaries[0]])
        apart = self._apart(serving)
        for name, node in serving.items():
            if node.replication is primary or name in apart:
                continue
            if not node.replication.upstream.is_up:
                refusal = node.replication.upstream.refusal
                return f"{name} has no link{': ' + refusal if refusal else ''}"
            if node.replication.stream.offset != primary.end_offset:
                return (
                    f"{name} is at {node.replication.stream.offset}, {primaries[0]} at {primary.end_offset}"
                )
            if node.replication.standing.record != primary.standing.record:
                return f"{name} and {primaries[0]} hold different set records"
            if self._digest(name, node) != digest:
                return f"{name} and {primaries[0]} are in step and hold different data"
        return ""

    def _digest(self, name: str, node: ServerNode) -> str:
        """Return the digest of a node's data, taken anew when its stream has moved, or a little later."""
        now, offset = self.nodes.world.now, node.replication.end_offset
        when, where, digest = self._digests.get(name, (-1.0, -1, ""))
        if where != offset or now - when >= DIGEST_SECONDS:
            digest = digest_of_all(node.engine)
            self._digests[name] = (now, offset, digest)
        return digest

    def _apart(self, serving: dict[str, ServerNode]) -> set[str]:
        """Return who may stay without the primary: who refuses it, and who follows one of these."""
        apart: set[str] = set()
        if self.promise.may_refuse:
            apart = {name for name, node in serving.items() if node.replication.upstream.refusal}
            named = self.nodes.name_of
            apart |= {name for name, node in serving.items() if named(node.replication.followed[0]) in apart}
        return apart

    def judge(self, is_converged: bool) -> None:
        """Judge the whole history."""
        serving = self.nodes.all_serving()
        primaries = [name for name, node in serving.items() if not node.replication.is_replica]
        keeps = self.promise.keeps_acknowledged or self.promise.keeps_synced
        if is_converged and primaries and keeps:
            self.judge_loss(primaries[0], self.history.operations, "at the end")
        for name, node in serving.items():
            self._judge_pairs(name, node)
        self._judge_epochs()
        self._judge_reads()
        if self.promise.is_linearizable and not self.losses_allowed:
            key = first_violation(self.history.operations)
            if key is not None:
                self.object(f"the history of {key} is not linearizable")

    def judge_loss(self, name: str, operations: Iterable[Operation], when: str) -> None:
        """Every acknowledged write must be there, but for those asked before history was lost openly."""
        engine = self.nodes.latest[name].engine
        for each in operations:
            is_promised = each.outcome is Outcome.OK and each.began > self._lost_at
            if not is_promised or each.kind not in ("write", "pair"):
                continue
            key = each.key if each.kind == "write" else f"x:{each.key}"
            if digest_of_value(engine, 0, key.encode()) == NO_SUCH_KEY:
                self.object(
                    f"{name} lacks {key} {when}, which {each.node} acknowledged "
                    f"at {each.ended:.3f} in epoch {each.epoch}"
                )
                return

    def _judge_pairs(self, name: str, node: ServerNode) -> None:
        for each in self.history.operations:
            if each.kind == "pair" and each.outcome is not Outcome.REFUSED:
                there = [
                    digest_of_value(node.engine, 0, f"{half}:{each.key}".encode()) != NO_SUCH_KEY
                    for half in "xy"
                ]
                if there[0] != there[1]:
                    self.object(f"{name} holds half of the transaction {each.key}")
                    return

    def _judge_epochs(self) -> None:
        """No write asked after a newer primary has acknowledged is acknowledged by an older one."""
        if not self.promise.keeps_acknowledged:
            if self._is_under_lease:
                assert self._leased_since is not None
                writes = self.history.acknowledged("write", "pair", "set", "incr")
                if broken := lease_was_broken(writes, self._leased_since):
                    self.object(broken)
            return
        writes = [each for each in self.history.acknowledged("write", "pair", "set", "incr") if each.epoch]
        earliest: dict[int, float] = {}
        for each in writes:
            earliest[each.epoch] = min(each.ended, earliest.get(each.epoch, each.ended))
        for each in writes:
            for epoch, when in earliest.items():
                if epoch > each.epoch and each.began > when:
                    self.object(
                        f"{each.node} acknowledged {each.key} in epoch {each.epoch}, "
                        f"asked at {each.began:.3f}, when epoch {epoch} had acknowledged since {when:.3f}"
                    )
                    return

    def _judge_reads(self) -> None:
        """A read returns something that was written to that register before it ended."""
        written = {
            (each.key, each.value): each.began
            for each in self.history.operations
            if each.kind == "set" and each.outcome is not Outcome.REFUSED
        }
        for each in self.history.acknowledged("get", "replica get"):
            if each.value is not None and written.get((each.key, each.value), each.ended + 1) > each.ended:
                self.object(f"{each.node} returned {each.value} for {each.key}, which nobody had written")
                return

    def object(self, violation: str) -> None:
        """Note what must not be; the first violation ends the run."""
        if violation not in self.violations:
            self.violations.append(violation)
            self.nodes.world.record("checks", violation.split("\n", 1)[0])
