"""A random walk over simulated nodes that decide with the real gate, fence and promotion code.

What this is: an executable model of the promises. Only what the plumbing would do
is simulated here: logs instead of streams, links with acknowledgements in flight,
disks that keep the state file, crashes between any two effects, partitions,
pauses, several leaders at work at once. Every decision is made by
`holdfast.replication`, handed in as `Rules`, so a test can replace one of them by
a shortcut and see whether the walk finds out.

What this is not: a simulation of bytes, of the lease, or of N = 0.

How to read it: `Rules`, `World` (one walk: `run` picks actions, `check_*` are the
promises), then `walk`. By hand: `python -m tests.replication.model_of_promises 200000`.
"""

from __future__ import annotations

import random
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from holdfast.replication import fence, gate, promotion, set_record
from holdfast.replication.node_state import NodeState
from holdfast.replication.set_record import MemberSet, Position, SetRecord


class Violation(Exception):
    """A promise was broken; the text says which."""


@dataclass(frozen=True)
class Rules:
    """The decisions under test. A mutation replaces one."""

    started: Callable[..., fence.Decision] = fence.started
    fenced: Callable[..., fence.Decision] = fence.fenced
    promoted: Callable[..., fence.Decision] = fence.promoted
    attached: Callable[..., fence.Decision] = fence.attached
    told_to_fetch: Callable[..., fence.Decision] = fence.told_to_fetch
    choose: Callable[..., promotion.Choice] = promotion.choose_promotion
    first_record: Callable[..., SetRecord] = set_record.first_record
    gate: type[gate.AcknowledgementGate] = gate.AcknowledgementGate
    resync_empties_first: bool = False
    fence_lifts_itself: bool = False
    leader_promotes_twice: bool = False
    hand_over_without_fencing: bool = False


@dataclass(eq=False)
class Entry:
    """One step of a stream: a set record or a client's write."""

    epoch: int
    record: SetRecord | None = None


@dataclass(eq=False)
class Link:
    """A replica's connection; either side may notice its end later than the other."""

    primary: Member
    primary_epoch: int
    member: Member
    acknowledgements: deque[int] = field(default_factory=deque)
    open_at_primary: bool = True
    snapshot: list[Entry] | None = None


@dataclass(eq=False)
class Member:
    """One simulated node: real decisions in `node` and `gate`, everything else is simulation."""

    name: str
    node: fence.Node
    log: list[Entry]
    disk: NodeState
    upstream: Link | None = None
    fetch: tuple[Member, int] | None = None
    links: dict[str, Link] = field(default_factory=dict)
    gate: gate.AcknowledgementGate | None = None
    waiting: deque[tuple[int, Entry]] = field(default_factory=deque)
    group: int = 0
    paused_until: int = 0
    syncs_always: bool = False

    def record(self) -> SetRecord | None:
        for entry in reversed(self.log):
            if entry.record is not None:
                return entry.record
        return None

    def position(self) -> Position:
        return Position(self.log[-1].epoch if self.log else 0, len(self.log))

    def copy(self) -> fence.Copy:
        return fence.Copy(self.position(), self.record())

    def leads(self) -> bool:
        return self.gate is not None


@dataclass(eq=False)
class Leader:
    """A manager that won an epoch and may be slow, cut off, or already outrun."""

    epoch: int
    group: int
    told: dict[str, fence.FenceReport] = field(default_factory=dict)
    mailbox: list[fence.FenceReport] = field(default_factory=list)
    order: fence.PromoteOrder | None = None
    chosen: str = ""

    @property
    def name(self) -> str:
        return f"L{self.epoch}"


class World:
    """One walk. `counts` tells what happened in it."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.luck = luck = random.Random(seed)
        self.rules = rules
        self.now = 0
        self.counts: Counter[str] = Counter()
        self.acknowledged: list[tuple[int, int, Entry]] = []
        self.leaders: list[Leader] = []
        self.led: dict[int, str] = {}
        self.epoch = 1
        size = luck.choice((3, 4, 5))
        needed = luck.randint(1, min(3, size - 1))
        names = [f"n{index}" for index in range(size)]
        members = frozenset(names[1 : 1 + luck.randint(needed, size - 1)])
        first = SetRecord(1, names[0], (MemberSet(members, needed),))
        self.first = first
        self.crash_rate = luck.choice((0.0, 0.002, 0.01))
        self.effect_crash_rate = luck.choice((0.0, 0.03))
        self.settings = gate.GateSettings(luck.choice((0, 150)), luck.choice((10, 60)), True)
        self.members: list[Member] = []
        for name in names:
            state = NodeState(name, 1, "L1", 1, is_primary=name == names[0])
            standing = fence.Standing.PRIMARY if name == names[0] else fence.Standing.REPLICA
            member = Member(name, fence.Node(state, standing), [Entry(1, first)], state)
            member.syncs_always = luck.random() < 0.1
            self.members.append(member)
        self.by_name = {member.name: member for member in self.members}
        lead = self.members[0]
        lead.gate = rules.gate(lead.name, self.settings, first, 1, 0)
        self.led[1] = lead.name
        for member in self.members[1:]:
            self.link(member, lead)

    def run(self) -> Counter[str]:
        actions: list[tuple[float, Callable[[Member], None]]] = [
            (0.14, self.write), (0.24, self.replicate), (0.18, self.acknowledge), (0.10, self.attach),
            (0.02, self.cut), (0.04, self.change_set), (0.012, self.elect), (0.06, self.fence_some),
            (0.06, self.read_report),
            (0.03, self.choose), (0.07, self.promote), (0.04, self.tell_to_follow), (0.015, self.split),
            (0.005, self.pause), (self.crash_rate, self.crash), (self.crash_rate / 2, self.stop_cleanly),
            (0.01 if self.rules.fence_lifts_itself else 0.0, self.lift_fence),
            (0.02 if self.rules.hand_over_without_fencing else 0.0, self.hand_over),
        ]  # fmt: skip
        steps = self.luck.choice((150, 300, 600))
        weights = [weight for weight, _ in actions]
        for _, action in self.luck.choices(actions, weights, k=steps):
            self.now += 1
            member = self.luck.choice(self.members)
            if member.paused_until <= self.now:
                action(member)
            if self.now % 8 == 0:
                self.tick()
        return self.counts

    def write(self, member: Member) -> None:
        leading = [each for each in self.members if each.leads() and each.paused_until <= self.now]
        if leading:
            member = self.luck.choice(leading)
            assert member.gate is not None
            entry = Entry(member.node.state.term_epoch)
            member.log.append(entry)
            member.waiting.append((len(member.log), entry))
            self.obey(member, member.gate.hold(len(member.log), len(member.log), self.now))

    def replicate(self, member: Member) -> None:
        for each in self.luck.sample(self.members, 2):
            if each.paused_until <= self.now:
                self.pull(each)

    def pull(self, member: Member) -> None:
        if member.fetch is not None:
            self.fetch_tail(member)
        link = member.upstream
        if link is None or link.primary.group != member.group:
            return
        primary = link.primary
        if (
            not link.open_at_primary
            or not primary.leads()
            or primary.node.state.term_epoch != link.primary_epoch
        ):
            member.upstream = None
            member.node = fence.upstream_lost(member.node)
            return
        if link.snapshot is not None:
            if self.luck.random() < 0.5:
                member.log, link.snapshot = link.snapshot, None
            else:
                return
        start = len(member.log)
        member.log += primary.log[start : start + self.luck.randint(1, 4)]
        self.do(member, fence.applied(member.node, member.position()))
        if member.upstream is link and member.node.may_acknowledge:
            link.acknowledgements.append(gate.acknowledgeable_offset(len(member.log), None))

    def fetch_tail(self, member: Member) -> None:
        assert member.fetch is not None
        source, epoch = member.fetch
        if source.group == member.group and source.node.state.fence_epoch == epoch and not source.leads():
            if self.common_prefix(member.log, source.log) == len(member.log):
                start = len(member.log)
                member.log += source.log[start : start + self.luck.randint(1, 6)]
            elif source.position() > member.position():
                member.log = list(source.log)
            self.do(member, fence.applied(member.node, member.position()))

    def acknowledge(self, member: Member) -> None:
        leading = [
            each for each in self.members if each.leads() and each.links and each.paused_until <= self.now
        ]
        if not leading:
            return
        member = self.luck.choice(leading)
        name = self.luck.choice(sorted(member.links))
        link = member.links[name]
        arrived = self.luck.randint(1, 3) if self.by_name[name].group == member.group else 0
        while arrived and link.acknowledgements and member.gate is not None and link.open_at_primary:
            arrived -= 1
            self.obey(member, member.gate.acknowledge(name, link.acknowledgements.popleft(), self.now))

    def attach(self, member: Member) -> None:
        leading = [
            each
            for each in self.members
            if each.leads() and each is not member and each.group == member.group
        ]
        settled = member.upstream is not None and member.upstream.open_at_primary and self.luck.random() < 0.9
        if not leading or member.leads() or settled:
            return
        primary = self.luck.choice(leading)
        decision = self.rules.attached(member.node, primary.node.state.term_epoch, primary.position())
        if not any(isinstance(effect, fence.Refuse) for effect in decision.effects):
            member.upstream = None
            if self.do(member, decision):
                self.link(member, primary)

    def link(self, member: Member, primary: Member) -> None:
        link = Link(primary, primary.node.state.term_epoch, member)
        if self.common_prefix(member.log, primary.log) < len(member.log) or self.luck.random() < 0.1:
            link.snapshot = list(primary.log)
            if self.rules.resync_empties_first:
                member.log = []
        member.upstream, member.fetch = link, None
        primary.links[member.name] = link
        assert primary.gate is not None
        primary.gate.attached(member.name)

    def cut(self, member: Member) -> None:
        link = member.upstream
        if link is not None:
            if self.luck.random() < 0.7:
                member.upstream = None
                member.node = fence.upstream_lost(member.node)
            if self.luck.random() < 0.7:
                self.primary_notices_end(link)

    def primary_notices_end(self, link: Link) -> None:
        link.open_at_primary = False
        primary = link.primary
        if primary.links.get(link.member.name) is link and primary.gate is not None:
            primary.gate.detached(link.member.name, self.now)

    def change_set(self, member: Member) -> None:
        leading = [each for each in self.members if each.leads()]
        if not leading:
            return
        member = self.luck.choice(leading)
        assert member.gate is not None
        newest, kind = member.gate.record.newest, self.luck.random()
        other = self.luck.choice([each.name for each in self.members if each is not member])
        chosen, needed = newest.members, newest.needed
        if kind < 0.4:
            chosen = chosen | {other}
        elif kind < 0.75:
            chosen = chosen - {other}
        else:
            needed = self.luck.randint(1, 3)
        if len(chosen) >= needed:
            try:
                self.obey(member, member.gate.change(MemberSet(chosen, needed), self.now))
            except gate.SetChangeRefused:
                self.counts["change refused"] += 1

    def tick(self) -> None:
        for member in self.members:
            if member.gate is not None and member.paused_until <= self.now:
                self.obey(member, member.gate.tick(self.now))

    def elect(self, member: Member) -> None:
        self.epoch += 1
        self.leaders = [*self.leaders[-2:], Leader(self.epoch, self.luck.choice((0, 0, 0, 1)))]
        if self.luck.random() < 0.5:
            self.fence_some(member)

    def leader(self) -> Leader | None:
        return self.luck.choice(self.leaders) if self.leaders else None

    def fence_some(self, member: Member) -> None:
        leader = self.leader()
        if leader is None or leader.chosen:
            return
        for each in self.luck.sample(self.members, self.luck.randint(1, len(self.members))):
            if each.group == leader.group and each.paused_until <= self.now:
                order = fence.FenceOrder(leader.epoch, leader.name)
                self.do(each, self.rules.fenced(each.node, order, each.copy()), leader)

    def read_report(self, member: Member) -> None:
        leader = self.leader()
        arrived = self.luck.randint(1, 4)
        while leader is not None and leader.mailbox and arrived:
            arrived -= 1
            report = leader.mailbox.pop(self.luck.randrange(len(leader.mailbox)))
            known = leader.told.get(report.node_id)
            if known is None or report.position >= known.position:
                leader.told[report.node_id] = report
        if self.luck.random() < 0.4:
            self.choose(member)

    def choose(self, member: Member) -> None:
        leader = self.leader()
        if leader is None or (leader.chosen and not self.rules.leader_promotes_twice):
            return
        ranking = self.luck.sample(sorted(self.by_name), len(self.by_name))
        may_lead = None if self.luck.random() < 0.6 else ranking[: self.luck.randint(1, len(ranking))]
        choice = self.rules.choose(
            leader.epoch, leader.name, tuple(leader.told.values()), tuple(self.by_name), ranking, may_lead
        )
        if isinstance(choice, promotion.Promote):
            leader.chosen = choice.node_id
            loss = choice.may_lose_writes
            leader.order = fence.PromoteOrder(leader.epoch, leader.name, choice.position, loss)
            self.counts["rule 9"] += loss
            if loss and len(leader.told) < len(self.members):
                raise Violation("a loss was accepted while nodes were still to be heard")
        elif isinstance(choice, promotion.FetchFirst):
            self.counts["tail fetched"] += 1
            target, source = self.by_name[choice.node_id], self.by_name[choice.source]
            order = fence.FetchOrder(leader.epoch, leader.name, "", 0, source.name, choice.position)
            order = replace(order, accept_loss=choice.may_lose_writes)
            decision = self.rules.told_to_fetch(target.node, order)
            if self.do(target, decision) and isinstance(decision.effects[0], fence.FetchTail):
                target.fetch = (source, leader.epoch)
                leader.told.pop(target.name)

    def promote(self, member: Member) -> None:
        leader = self.leader()
        if leader is not None and leader.order is not None:
            target = self.by_name[leader.chosen]
            if target.group == leader.group and target.paused_until <= self.now:
                self.do(target, self.rules.promoted(target.node, leader.order, target.copy()))

    def tell_to_follow(self, member: Member) -> None:
        leader = self.leader()
        if leader is None or self.led.get(leader.epoch) != leader.chosen:
            return
        for each in self.luck.sample(self.members, self.luck.randint(1, len(self.members))):
            if each.name != leader.chosen and each.group == leader.group and each.upstream is None:
                order = fence.FollowOrder(leader.epoch, leader.name, "", 0, leader.chosen)
                self.do(each, fence.told_to_follow(each.node, order))

    def split(self, member: Member) -> None:
        together = self.luck.random() < 0.7
        for each in self.members:
            each.group = 0 if together else self.luck.choice((0, 0, 1))

    def pause(self, member: Member) -> None:
        member.paused_until = self.now + self.luck.choice((10, 40, 100))

    def crash(self, member: Member) -> None:
        keep = len(member.log) if member.syncs_always else self.luck.randint(0, len(member.log))
        self.restart(member, keep)

    def stop_cleanly(self, member: Member) -> None:
        if self.do(member, fence.stopped(member.node, member.position())):
            self.restart(member, len(member.log))

    def restart(self, member: Member, keep: int) -> None:
        for link in member.links.values():
            link.open_at_primary = False
        member.log, member.upstream, member.fetch = member.log[:keep], None, None
        member.gate, member.links = None, {}
        member.waiting.clear()
        self.counts["restarts"] += 1
        decision = self.rules.started(member.disk, member.name, member.position(), True, member.syncs_always)
        member.node = decision.node
        for effect in decision.effects:
            if isinstance(effect, fence.Persist):
                member.disk = effect.state

    def lift_fence(self, member: Member) -> None:
        if member.node.standing is fence.Standing.FENCED:
            state = replace(member.node.state, fence_epoch=member.node.state.term_epoch, fence_leader="")
            member.node = fence.Node(state, fence.Standing.REPLICA)

    def hand_over(self, member: Member) -> None:
        link = member.upstream
        if (
            link is None
            or not link.primary.leads()
            or len(link.primary.log) != len(member.log)
            or link.snapshot
        ):
            return
        self.epoch += 1
        old, name = link.primary, f"L{self.epoch}"
        self.do(old, self.rules.fenced(old.node, fence.FenceOrder(self.epoch, name), old.copy()))
        self.do(member, self.rules.fenced(member.node, fence.FenceOrder(self.epoch, name), member.copy()))
        order = fence.PromoteOrder(self.epoch, name, member.position())
        self.do(member, self.rules.promoted(member.node, order, member.copy()))

    def do(self, member: Member, decision: fence.Decision, leader: Leader | None = None) -> bool:
        """Run effects in order; a crash may come before any of them. Returns whether the node lived."""
        member.node = decision.node
        for effect in decision.effects:
            if self.effect_crash_rate and self.luck.random() < self.effect_crash_rate:
                self.crash(member)
                return False
            if isinstance(effect, fence.Persist):
                member.disk = effect.state
            elif isinstance(effect, fence.BecomePrimary):
                self.become_primary(member, effect.epoch)
            elif isinstance(effect, fence.Reply) and effect.report is not None and leader is not None:
                self.counts["fences"] += 1
                leader.mailbox.append(effect.report)
            elif effect is fence.Act.DROP_UPSTREAM:
                member.upstream = member.fetch = None
            elif effect is fence.Act.CLOSE_REPLICA_LINKS:
                for link in member.links.values():
                    link.open_at_primary = False
            elif effect is fence.Act.STOP_WRITES and member.gate is not None:
                member.gate.close()
                member.gate = None
                member.waiting.clear()
        return True

    def become_primary(self, member: Member, epoch: int) -> None:
        inherited = member.record()
        needed = inherited.newest.needed if inherited else 1
        others = [each.name for each in self.members if each is not member]
        members: list[str] = []
        if inherited is None or self.luck.random() < 0.7:
            members = self.luck.sample(others, self.luck.randint(min(needed, len(others)), len(others)))
        record = self.rules.first_record(member.name, epoch, inherited, needed, members)
        member.log.append(Entry(epoch, record))
        member.links = {}
        member.gate = self.rules.gate(member.name, self.settings, record, len(member.log), self.now)
        self.counts["promotions"] += 1
        self.check_promotion(member, epoch)

    def obey(self, member: Member, verdict: gate.Verdict) -> None:
        """Do what the gate says, in its order."""
        assert member.gate is not None
        if verdict.append is not None:
            member.log.append(Entry(verdict.append.epoch, verdict.append))
            self.counts["set records"] += 1
            self.obey(member, member.gate.record_appended(verdict.append, len(member.log), self.now))
        while member.waiting and member.waiting[0][0] <= verdict.release_up_to:
            offset, entry = member.waiting.popleft()
            self.check_acknowledgement(member, offset, entry)
        timed_out = set(verdict.timed_out)
        if timed_out:
            self.counts["timed out"] += len(timed_out)
            member.waiting = deque(each for each in member.waiting if each[0] not in timed_out)

    def check_acknowledgement(self, member: Member, offset: int, entry: Entry) -> None:
        self.counts["acknowledged"] += 1
        self.acknowledged.append((entry.epoch, offset, entry))
        for other in self.members:
            if (
                other.leads()
                and other.node.state.term_epoch > entry.epoch
                and not holds(other, offset, entry)
            ):
                raise Violation("two primaries acknowledge")

    def check_promotion(self, member: Member, epoch: int) -> None:
        if self.led.setdefault(epoch, member.name) != member.name:
            raise Violation("two primaries of one epoch")
        lost = [each for each in self.acknowledged if each[0] < epoch and not holds(member, each[1], each[2])]
        if not lost:
            return
        leader = next((each for each in self.leaders if each.epoch == epoch), None)
        if leader is None or leader.order is None or not leader.order.accept_loss:
            raise Violation("an acknowledged write is lost")
        self.counts["lost by rule 9"] += len(lost)
        self.acknowledged = [each for each in self.acknowledged if each not in lost]

    @staticmethod
    def common_prefix(one: list[Entry], other: list[Entry]) -> int:
        """Return how many entries two logs share: equal entries at one place mean equal logs up to there."""
        length = min(len(one), len(other))
        if length and one[length - 1] is other[length - 1]:
            return length
        return next((index for index in range(length) if one[index] is not other[index]), length)


def holds(member: Member, offset: int, entry: Entry) -> bool:
    """Tell whether a node's log holds an entry."""
    return len(member.log) >= offset and member.log[offset - 1] is entry


def walk(seed: int, rules: Rules | None = None) -> Counter[str] | str:
    """Run one walk; return its counts, or the promise that it broke."""
    try:
        return World(seed, rules or Rules()).run()
    except Violation as violation:
        return str(violation)


if __name__ == "__main__":
    total: Counter[str] = Counter()
    runs, first_seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for seed in range(first_seed, first_seed + runs):
        outcome = walk(seed)
        if isinstance(outcome, str):
            print(f"seed {seed}: {outcome}", flush=True)
            total["violations"] += 1
        else:
            total += outcome
    print(f"{runs} walks from seed {first_seed}: {dict(total)}")
