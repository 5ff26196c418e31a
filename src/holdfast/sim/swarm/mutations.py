"""Deliberate faults of the product: each must be seen by the judges.

What this is: a table of mistakes that somebody could make, each put into nodes of a run at
their construction, or into the managers' choice. What it is not: part of the product;
nothing is patched but the one node in hand. Those of Sentinels are in `sentinel_mutations`, those of
cluster nodes in `cluster_mutations`.

How to read it: `MUTATIONS` is the table. A survivor is a hole in the judges.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.engine import held
from holdfast.engine.request import apply_stream
from holdfast.node.server import ServerNode
from holdfast.persistence.aof_policy import Fsync
from holdfast.replication.fence import FenceReport, Standing
from holdfast.replication.gate import AcknowledgementGate
from holdfast.replication.history import NO_ID, Continue
from holdfast.replication.promotion import Choice, Promote, choose_promotion
from holdfast.replication.upstream import S_MULTI
from holdfast.sim.nodes import Adapt
from holdfast.sim.sentinels import AdaptSentinel
from holdfast.sim.swarm.manager import Choose

FIRST_TRANSACTION_HALF = b"*3\r\n$3\r\nSET\r\n$"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One deliberate fault: of nodes, of the managers' choice, or of Sentinels (kind sentinel alone)."""

    summary: str
    adapt: tuple[Adapt, ...] = ()
    choose: Choose = choose_promotion
    adapt_sentinels: tuple[AdaptSentinel, ...] = ()


MUTATIONS: dict[str, Mutation] = {}


def of_nodes(
    name: str, summary: str
) -> Callable[[Callable[[ServerNode], None]], Callable[[ServerNode], None]]:
    """Declare a fault that the decorated function puts into a node."""

    def declare(change: Callable[[ServerNode], None]) -> Callable[[ServerNode], None]:
        MUTATIONS[name] = Mutation(summary, (lambda _, node: change(node),))
        return change

    return declare


# ---- acknowledgements ----


@of_nodes("release-early", "the primary releases replies before any member has acknowledged")
def release_early(node: ServerNode) -> None:
    gate: Any = node.replication.gate

    def settle() -> None:
        offset = node.replication.stream.offset
        for session in held.settle_held(node.engine, offset):
            held.release_held(session, offset)

    gate.settle = settle


class OneFewer(AcknowledgementGate):
    """A gate that counts one acknowledgement too many."""

    @property
    def committed_offset(self) -> int:
        """Return what the best of all members holds."""
        best = max((member.held_offset for member in self._members.values()), default=0)
        return max(best, super().committed_offset)


@of_nodes("release-at-one", "the gate is content with the first member, whatever N says")
def release_at_one(node: ServerNode) -> None:
    gate: Any = node.replication.gate
    acknowledged = gate.acknowledged

    def wrong(replica: Any) -> None:
        if gate.gate is not None:
            gate.gate.__class__ = OneFewer
        acknowledged(replica)

    gate.acknowledged = wrong


@of_nodes("count-strangers", "an acknowledgement of any replica counts as one of every member")
def count_strangers(node: ServerNode) -> None:
    gate: Any = node.replication.gate
    acknowledged = gate.acknowledged

    def wrong(replica: Any) -> None:
        acknowledged(replica)
        if gate.gate is not None:
            for member in list(gate.gate._members.values()):
                member.held_offset = max(member.held_offset, replica.attachment.acknowledged_offset)
            gate.tick()

    gate.acknowledged = wrong


@of_nodes(
    "acknowledge-unapplied", "a replica acknowledges what it has been sent and applies it a little later"
)
def acknowledge_unapplied(node: ServerNode) -> None:
    upstream: Any = node.replication.upstream
    receive = upstream.stream_received

    def wrong(link: Any, chunk: bytes) -> None:
        offset = node.replication.stream.offset + upstream.applier.rest_bytes + len(chunk)
        if upstream._overseer.may_acknowledge():
            link.send(b"REPLCONF", b"ACK", str(offset).encode())
        node.loop.call_later(0.3, receive, link, chunk)

    upstream.stream_received = wrong


@of_nodes("keep-old-acknowledgements", "what a member acknowledged counts on when it attaches anew")
def keep_old_acknowledgements(node: ServerNode) -> None:
    gate: Any = node.replication.gate
    went_online = gate.went_online

    def wrong(replica: Any) -> None:
        old = dict(gate.gate._members) if gate.gate is not None else {}
        went_online(replica)
        known = old.get(replica.attachment.node_id)
        if known is not None and gate.gate is not None:
            gate.gate._members[replica.attachment.node_id].held_offset = 1 << 60

    gate.went_online = wrong


@of_nodes("answer-reads-at-once", "`ack-reads` is ignored: a read is answered though nobody confirmed it")
def answer_reads_at_once(node: ServerNode) -> None:
    gate: Any = node.replication.gate
    set_guards = gate._set_guards

    def wrong() -> None:
        set_guards()
        node.engine.gate_reads = 0

    gate._set_guards = wrong


# ---- fences and promotion ----


@of_nodes("forget-fence", "the fence is answered before it is on stable storage")
def forget_fence(node: ServerNode) -> None:
    standing: Any = node.replication.standing
    write = standing._write

    def wrong(state: Any) -> None:
        node.loop.call_later(1.5, write, state)

    standing._write = wrong


@of_nodes("lift-fence", "a fence lifts itself after two seconds")
def lift_fence(node: ServerNode) -> None:
    replication: Any = node.replication
    fence = replication.standing.fence

    def wrong(order: Any) -> Any:
        before, followed = replication.standing.node, replication.followed
        report = fence(order)

        def lift() -> None:
            now = replication.standing.node
            if now.standing is Standing.FENCED and before.standing in (Standing.PRIMARY, Standing.REPLICA):
                replication.standing.node = before
                if before.standing is Standing.PRIMARY:
                    state = replication.standing.node.state
                    replication.gate.open(state.node_id, state.term_epoch, replication.standing.record, False)
                elif followed[0]:
                    replication.roles.follow_by_hand(*followed)
                replication.guards.refresh()

        node.loop.call_later(2.0, lift)
        return report

    replication.standing.fence = wrong


@of_nodes("always-intact", "a restarted node believes its copy to be whole")
def always_intact(node: ServerNode) -> None:
    standing: Any = node.replication.standing
    start = standing.start

    def wrong(*arguments: Any) -> None:
        start(*arguments)
        standing.node = replace(standing.node, state=replace(standing.node.state, intact=True))

    standing.start = wrong


@of_nodes("follow-anybody", "a fenced replica follows a primary of a lower epoch")
def follow_anybody(node: ServerNode) -> None:
    replication: Any = node.replication
    replication.oversight.may_attach = lambda epoch, position, leads: None
    fence = replication.standing.fence

    def wrong(order: Any) -> Any:
        target, standing = replication.upstream.target, replication.standing.node.standing
        report = fence(order)
        if target is not None and standing is Standing.REPLICA:
            replication.standing.node = replace(replication.standing.node, standing=Standing.REPLICA)
            replication.roles.follow_by_hand(target.host, target.port)
        return report

    replication.standing.fence = wrong


def stalest(
    epoch: int,
    leader: str,
    reports: Iterable[FenceReport],
    known_nodes: Collection[str],
    *more: Sequence[str],
) -> Choice:
    """Choose the node that has least, as soon as any may be chosen."""
    told = list(reports)
    choice = choose_promotion(epoch, leader, told, known_nodes)
    if not isinstance(choice, Promote):
        return choice
    able = [each for each in told if each.intact and each.is_known] or told
    worst = min(able, key=lambda each: each.position)
    return replace(choice, node_id=worst.node_id, position=worst.position)


def hasty(
    epoch: int,
    leader: str,
    reports: Iterable[FenceReport],
    known_nodes: Collection[str],
    *more: Sequence[str],
) -> Choice:
    """Choose among those who have answered and wait for nobody."""
    told = [replace(each, record=None) for each in reports if each.is_known]
    return choose_promotion(epoch, leader, told, {each.node_id for each in told})


MUTATIONS["promote-stalest"] = Mutation("the leader promotes the copy that has least", choose=stalest)
MUTATIONS["promote-hastily"] = Mutation(
    "the leader counts no members: who has answered will do", choose=hasty
)


# ---- the stream ----


@of_nodes("forget-second-id", "a promoted node forgets the history that it continues")
def forget_second_id(node: ServerNode) -> None:
    stream: Any = node.replication.stream
    begin = stream.begin_making

    def wrong() -> None:
        begin()
        stream._history = replace(stream._history, second_id=NO_ID, second_valid_up_to=-1)

    stream.begin_making = wrong


@of_nodes("continue-elsewhere", "a partial resync begins one command too late")
def continue_elsewhere(node: ServerNode) -> None:
    serving: Any = node.replication.serving
    go_on = serving._continue

    def wrong(replica: Any, decision: Continue) -> None:
        backlog = node.replication.stream.backlog
        if backlog is not None:
            waiting = b"".join(bytes(piece) for piece in backlog.read_all(decision.first_byte))
            skipped = waiting.find(b"\r\n*", 1) + 2
            if skipped > 2:
                decision = replace(decision, first_byte=decision.first_byte + skipped)
        go_on(replica, decision)

    serving._continue = wrong


@of_nodes("follow-empty", "a replica lets a primary without history wipe its data")
def follow_empty(node: ServerNode) -> None:
    upstream: Any = node.replication.upstream
    upstream._judge = lambda link, reply: None


@of_nodes("halve-transactions", "a replica applies the first half of a MULTI and drops the rest")
def halve_transactions(node: ServerNode) -> None:
    upstream: Any = node.replication.upstream
    receive = upstream.stream_received

    def wrong(link: Any, chunk: bytes) -> None:
        at = chunk.find(b"\r\ny:")
        begin = chunk.rfind(b"\r\nSET\r\n", 0, at) if at > 0 else -1
        if begin > 0:
            chunk = chunk[:begin] + b"\r\nDEL\r\n" + chunk[begin + 7 :]
        receive(link, chunk)

    upstream.stream_received = wrong


@of_nodes("acknowledge-inside-multi", "a replica that loses its link inside a MULTI goes on behind it")
def acknowledge_inside_multi(node: ServerNode) -> None:
    upstream: Any = node.replication.upstream
    stream, end = node.replication.stream, upstream._end_stream

    def wrong() -> None:
        if (unit := upstream.applier.unit) and stream.backlog is not None:
            stream.forwarded += len(unit)
            stream.backlog.append(unit)
        end()

    upstream._end_stream = wrong


@of_nodes("drop-set-record", "a replica passes over the set records in the stream")
def drop_set_record(node: ServerNode) -> None:
    upstream: Any = node.replication.upstream
    upstream.record_in_stream = lambda text: None


@of_nodes("expire-on-replica", "a replica deletes what its own clock says has expired")
def expire_on_replica(node: ServerNode) -> None:
    replication: Any = node.replication
    expiring: dict[bytes, int] = {}
    upstream: Any = replication.upstream
    receive = upstream.stream_received

    def noted(link: Any, chunk: bytes) -> None:
        words = chunk.split(b"\r\n")
        for place, word in enumerate(words):
            if word == b"PXAT" and place >= 4 and place + 2 < len(words) and words[place + 2].isdigit():
                expiring[words[place - 4]] = int(words[place + 2])
        receive(link, chunk)

    def look() -> None:
        now_ms = node.host.clock.wall_us() // 1000
        session = upstream.applier.session
        if session is None or session.flags & S_MULTI:
            return
        for key, when_ms in list(expiring.items()):
            if when_ms < now_ms:
                del expiring[key]
                apply_stream(session, b"*2\r\n$3\r\nDEL\r\n$%d\r\n%b\r\n" % (len(key), key))

    upstream.stream_received = noted
    node.cron.every(1, look)


# ---- files ----


@of_nodes("reply-before-fsync", "appendfsync always answers before the disk has the write")
def reply_before_fsync(node: ServerNode) -> None:
    writer: Any = node.keeper.aof.writer
    flush = writer.flush

    def wrong(now_ms: int, *, forced: bool = False) -> None:
        writer.settings = replace(writer.settings, appendfsync=Fsync.NO)
        flush(now_ms, forced=forced)

    writer.flush = wrong


class CarelessDisk:
    """A host's disk on which the syncs of some files do nothing."""

    def __init__(self, disk: Any, forgets: Callable[[str, str], bool]) -> None:
        """`forgets(path, mode)`: whether this file's syncs are left out."""
        self._disk, self._forgets = disk, forgets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def open(self, path: str, mode: str) -> Any:
        """Open a file, with its syncs or without them."""
        file = self._disk.open(path, mode)
        if self._forgets(path, mode):
            file.sync = lambda: None
            file.sync_later = nothing
        return file


async def nothing() -> None:
    """Sync nothing."""


@of_nodes("rename-unsynced", "a snapshot takes the old one's place before it is on stable storage")
def rename_unsynced(node: ServerNode) -> None:
    node.host.disk = CarelessDisk(node.host.disk, lambda path, mode: mode == "wb" and "rdb" in path)
