"""Fencing and promotion of nodes of ours: what makes that no acknowledged write is lost.

What it is: the leader's side of rules 6 to 9 of the acknowledgement promise. In the epoch
that a majority gave it, the leader fences every node that it reaches, the old primary
too; each answers with its position, its set record and whether its copy is intact; from
these one node is chosen, which is promoted, or fetches a missing tail first. What it is
not: the choice itself and the wire form, which are replication's: `Orders` is the
interface that the node hands in.

A fence is never lifted here: giving up means a higher epoch and the same again.

How to read it: `Orders`, `Takeover`, then `step`, which is called at every look.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.sentinel import asking, down, granting, observation, selection
from holdfast.sentinel.fetching import Fetch, Fetching, begin, goes_on
from holdfast.sentinel.info_reply import parse_info
from holdfast.sentinel.model import Instance, Primary, Sentinel
from holdfast.sentinel.reply_reader import Reply, ReplyError

REPORTS_WAIT_MS = 150
SETTLE_ANSWER_MS = 300
"""For the first answer of a primary that hands over: it lives, but may get no processor for a while."""
SETTLE_WAIT_MS = 200
"""From then on, for the acknowledgements that it waits for."""
PAUSE_MS = 500
FENCE_AGAIN_MS = 500
WANTED_WAIT_MS = 1000


@dataclass(frozen=True, slots=True)
class Lead:
    """Send this order to this node: it leads. `loss` says why acknowledged writes may be lost."""

    node_id: str
    order: tuple[str, ...]
    loss: str = ""
    is_proven: bool = False
    """Acknowledgements prove that nobody else can acknowledge a write: no lease need be waited for."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Too few are reached."""

    reason: str


class Orders(Protocol):
    """How nodes of ours are spoken to, and who may lead."""

    def fence(self, epoch: int, leader: str) -> tuple[str, ...]:
        """Return the command that fences a node."""
        ...

    def follow(self, epoch: int, leader: str, host: str, port: int, node_id: str) -> tuple[str, ...]:
        """Return the command that lets a node follow another."""
        ...

    def report(self, words: Sequence[str]) -> object | None:
        """Read a fence report; None: it is broken."""
        ...

    def reporter(self, report: object) -> str:
        """Return the id of the node that reported."""
        ...

    def is_known(self, report: object) -> bool:
        """Return whether the node knows its copy; False: it still loads, and is to be asked again."""
        ...

    def is_intact(self, report: object) -> bool:
        """Return whether the node has lost nothing that it acknowledged."""
        ...

    def without_history(self, report: object) -> object:
        """Return the report of a node whose copy counts for nothing, and which has answered nevertheless."""
        ...

    def granted_ms(self, report: object) -> int:
        """Return how long the lease still lasts that the node itself granted."""
        ...

    def choose(
        self,
        epoch: int,
        leader: str,
        reports: Sequence[object],
        known: Collection[str],
        preference: Sequence[str],
        may_lead: Collection[str],
        allow_data_loss: bool,
    ) -> Lead | Fetch | Wait:
        """Choose who leads."""
        ...


@dataclass(slots=True)
class Takeover:
    """One leader's attempt in one epoch."""

    epoch: int
    began_ms: int
    """When the replicas were fenced."""
    alone_until_ms: int = 0
    """Until then a primary that hands over is fenced alone."""
    settles_until_ms: int = 0
    """Until then a primary that hands over may wait for acknowledgements; 0: it was not asked."""
    has_paused: bool = False
    """It has answered: new writes wait there."""
    has_settled: bool = False
    reports: dict[str, object] = field(default_factory=dict)
    """By node id, the latest of each."""
    asked_ms: dict[str, int] = field(default_factory=dict)
    """By name of the instance."""
    fetching: Fetching | None = None
    """A fence would end it, so none is sent to that node meanwhile."""
    fetch_sent_ms: int = -(10**9)
    made_whole: str = ""
    """Who is intact since it has fetched."""
    told_wait: str = ""
    refused: str = ""
    wait_until_ms: int = 0
    """When the leases have ended that the reporting nodes granted."""


def applies(sentinel: Sentinel, primary: Primary) -> bool:
    """Tell whether nodes of ours are to be promoted by orders."""
    if sentinel.orders is None or primary.is_planned:
        return False
    return waits_for_leader(primary) or any(each.node_id for each in primary.replicas.values())


def waits_for_leader(primary: Primary) -> bool:
    """Tell whether the primary lives, is of ours, and it or a replica is helped by a leader's order alone."""
    return is_orphan(primary) or is_left_behind(primary)


def is_left_behind(primary: Primary, told_since_ms: int | None = None) -> bool:
    """Tell whether the primary leads on, and a replica is fenced in a higher epoch than its own.

    So it is when a leader came to nothing after its fence had reached some of the nodes only. Nobody lifts
    such a fence, and the replica may follow nobody of a lower epoch: the primary has to be promoted anew, or
    another in its place. `told_since_ms`: only what both have said since counts.
    """
    if not primary.link.is_up or primary.is_sdown or not primary.node_id or primary.is_stranger:
        return False
    left_behind = [each for each in primary.replicas.values() if _is_fenced_above(each, primary)]
    if told_since_ms is None or not left_behind:
        return bool(left_behind)
    return _has_told(primary, told_since_ms) and any(_has_told(each, told_since_ms) for each in left_behind)


def _is_fenced_above(replica: Instance, primary: Primary) -> bool:
    """Tell whether a replica that could take an order is fenced in a higher epoch than its primary's."""
    return (
        replica.standing == "fenced"
        and replica.fence_epoch > primary.fence_epoch
        and replica.link.is_up
        and not replica.is_sdown
        and not replica.is_stranger
        and replica.fails_writes_since_ms is None
    )


def _has_told(node: Instance, since_ms: int) -> bool:
    return node.info_ms is not None and node.info_ms >= node.info_sent_ms > since_ms


def highest_fence(primary: Primary) -> int:
    """Return the highest epoch in which a node is known to be fenced: orders of that one it refuses."""
    nodes = (primary, *primary.replicas.values())
    return max(each.fence_epoch for each in nodes if each is primary or not each.is_stranger)


def is_orphan(primary: Primary) -> bool:
    """Tell whether the primary is alive, of ours, and waits for a leader's order itself.

    So it is after a restart, after a fence whose leader died, and when it is about to shut down.
    """
    if not primary.link.is_up or primary.is_sdown:
        return False
    has_no_lease = primary.lease_lost and primary.lease_epoch < primary.leader_epoch
    return (
        primary.standing in ("candidate", "fenced")
        or has_no_lease
        or (primary.is_leaving or granting.is_unconfirmed(primary))
    )


def is_refused(primary: Primary) -> bool:
    """Tell whether the chosen node has refused to lead."""
    return primary.takeover is not None and bool(primary.takeover.refused)


def step(sentinel: Sentinel, primary: Primary, now_ms: int) -> bool:
    """Fence, collect, choose; True: somebody was told to lead, and is `primary.promoted`."""
    orders = sentinel.orders
    assert orders is not None
    state = primary.takeover
    if state is None or state.epoch != primary.failover_epoch:
        state = primary.takeover = Takeover(primary.failover_epoch, now_ms, now_ms + REPORTS_WAIT_MS)
    if _settles(sentinel, primary, state, now_ms):
        return False
    nodes = [each for each in (*primary.replicas.values(), primary) if each.node_id and not each.is_stranger]
    reachable = [each for each in nodes if each.link.is_up]
    _watch_fetch(sentinel, reachable, state, now_ms)
    for each in [primary] if _goes_first(primary, reachable, state, now_ms) else reachable:
        report = state.reports.get(each.node_id)
        if state.fetching is not None and each.node_id == state.fetching.order.node_id:
            continue
        if (report is None or not orders.is_known(report)) and (
            now_ms - state.asked_ms.get(each.name, -(10**9)) > FENCE_AGAIN_MS
        ):
            state.asked_ms[each.name] = now_ms
            _fence(sentinel, primary, each, state)
    waits = [each for each in reachable if each.node_id not in state.reports and not each.is_sdown]
    has_time = bool(waits) and now_ms - state.began_ms < REPORTS_WAIT_MS
    wanted = _wanted(primary, reachable, state, now_ms)
    if has_time and not (_has_best(primary, state, orders) and wanted <= state.reports.keys()):
        return False
    reports = dict(state.reports)
    candidates = [each for each in nodes if _may_lead(primary, each)]
    if primary.lost_history and len(nodes) > 1 and not _regains_history(primary, candidates, state, orders):
        # Its offsets are those of another history, which only replicas' refusal tells: they compare with
        # nobody's. It follows whoever is chosen among the others, who need not wait for it either.
        nodes = [each for each in nodes if each is not primary]
        candidates = [each for each in candidates if each is not primary]
        if primary.node_id in reports:
            reports[primary.node_id] = orders.without_history(reports[primary.node_id])
    able = {each.node_id for each in (*nodes, primary)}
    told = [report for node_id, report in reports.items() if node_id in able]
    goes_on = [primary.node_id] if waits_for_leader(primary) and not primary.must_change else []
    ranked = goes_on + [each.node_id for each in selection.ranked(primary, sentinel.times, now_ms)]
    choice = orders.choose(
        state.epoch,
        sentinel.my_id,
        told,
        [each.node_id for each in nodes],
        ranked,
        wanted or [each.node_id for each in candidates],
        primary.options.allow_data_loss,
    )
    if has_time and not isinstance(choice, Lead):
        return False  # whoever has not answered yet may have it all
    by_id = {each.node_id: each for each in nodes}
    match choice:
        case Wait():
            if state.told_wait != choice.reason:
                state.told_wait = choice.reason
                sentinel.log(f"Nobody can be promoted for {primary.name} yet: {choice.reason}", "warning")
            return False
        case Fetch():
            if state.fetching is None:
                _fetch(sentinel, choice, by_id, state, now_ms)
            return False
        case Lead():
            wait_until_ms = state.wait_until_ms
            has_stopped = primary.node_id in state.reports or down.is_known_dead(primary)
            if not has_stopped and not choice.is_proven:
                wait_until_ms = max(wait_until_ms, granting.wait_until_ms(primary))
            if now_ms < wait_until_ms:
                sentinel.look_again(wait_until_ms - now_ms)
                return False
            return _lead(sentinel, primary, choice, by_id, state, now_ms)


def _settles(sentinel: Sentinel, primary: Primary, state: Takeover, now_ms: int) -> bool:
    """Tell whether the primary that hands over still waits for acknowledgements of what it has executed.

    If it were fenced meanwhile it would have to answer that the outcome is unknown. New writes wait: they
    go on when it is fenced, to be refused, or when the pause ends by itself.
    """
    if not primary.must_change or not primary.link.is_up or "ack_waiting:" not in primary.info_text:
        return False

    def told(reply: Reply, at_ms: int) -> None:
        if primary.takeover is state and isinstance(reply, str):
            if not state.has_paused:
                state.has_paused, state.settles_until_ms = True, at_ms + SETTLE_WAIT_MS
                sentinel.look_again(SETTLE_WAIT_MS)
            state.has_settled = not parse_info(reply).ack_waiting
            if not state.has_settled and at_ms < state.settles_until_ms:
                sentinel.send(primary, "INFO", "replication", on_reply=told)

    if not state.settles_until_ms:
        state.settles_until_ms = now_ms + SETTLE_ANSWER_MS
        sentinel.send(primary, "CLIENT", "PAUSE", str(PAUSE_MS), "WRITE")
        sentinel.send(primary, "INFO", "replication", on_reply=told)
        sentinel.look_again(SETTLE_ANSWER_MS)
    if state.has_settled or now_ms >= state.settles_until_ms:
        return False
    state.alone_until_ms = now_ms + REPORTS_WAIT_MS
    return True


def _goes_first(primary: Primary, reachable: list[Instance], state: Takeover, now_ms: int) -> bool:
    """Tell whether the primary that hands over is fenced alone for now.

    While it is, its replicas still take what it has sent them: fenced in the same moment they would lack
    that, and whoever is to lead would have to fetch it. Its report shows that it sends no more.
    """
    goes_first = primary.must_change and primary in reachable and primary.node_id not in state.reports
    if goes_first and now_ms < state.alone_until_ms:
        return True
    if state.alone_until_ms:
        state.alone_until_ms, state.began_ms = 0, now_ms
    return False


def _has_best(primary: Primary, state: Takeover, orders: Orders) -> bool:
    """Tell whether the primary that hands over has reported: nobody's copy goes further than its own."""
    report = state.reports.get(primary.node_id)
    return primary.must_change and report is not None and orders.is_intact(report)


def _wanted(primary: Primary, reachable: list[Instance], state: Takeover, now_ms: int) -> set[str]:
    """Return who alone is to lead in the place of a primary that hands over: those that priority prefers.

    Whoever lacks the primary's tail fetches it; only if that takes long any other will do. Empty where
    all have the same priority.
    """
    able = [each for each in reachable if _may_lead(primary, each)]
    if not primary.must_change or not able or now_ms - state.began_ms > WANTED_WAIT_MS:
        return set()
    priorities = {each.priority for each in able}
    return {each.node_id for each in able if len(priorities) > 1 and each.priority == min(priorities)}


def _may_lead(primary: Primary, node: Instance) -> bool:
    if node.fails_writes_since_ms is not None:
        return False
    return not primary.must_change if node is primary else node.priority != 0


def _regains_history(primary: Primary, candidates: list[Instance], state: Takeover, orders: Orders) -> bool:
    """Tell whether a primary that has lost its history is to lead all the same, as nobody else may.

    It has to know itself of the loss: then it fetches all from another before, or has done so.
    """
    report = state.reports.get(primary.node_id)
    if candidates != [primary] or report is None:
        return False
    return not orders.is_intact(report) or state.made_whole == primary.node_id


def _fence(sentinel: Sentinel, primary: Primary, node: Instance, state: Takeover) -> None:
    orders = sentinel.orders
    assert orders is not None

    def answered(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, ReplyError):
            sentinel.log(f"{node.name} refused the fence of epoch {state.epoch}: {reply}", "warning")
        elif isinstance(reply, list) and primary.takeover is state:
            report = orders.report([str(each) for each in reply])
            if report is not None:
                state.reports[orders.reporter(report)] = report
                if granted_ms := orders.granted_ms(report):
                    # One more: its milliseconds do not begin with ours, and it refuses the last one, too.
                    state.wait_until_ms = max(state.wait_until_ms, at_ms + granted_ms + 1)

    sentinel.send(node, *orders.fence(state.epoch, sentinel.my_id), on_reply=answered)
    if node is primary and state.settles_until_ms:
        sentinel.send(node, "CLIENT", "UNPAUSE")


def _watch_fetch(sentinel: Sentinel, reachable: list[Instance], state: Takeover, now_ms: int) -> None:
    """Have whoever has fetched, or comes no further, fenced anew: its report tells what is to be done."""
    fetching = state.fetching
    if fetching is None:
        return
    order = fetching.order
    node = next((each for each in reachable if each.node_id == order.node_id), None)
    if node is not None and goes_on(sentinel, node, fetching, now_ms):
        return
    state.fetching = None
    state.made_whole = order.node_id if fetching.has_ended and fetching.is_intact else ""
    state.reports.pop(order.node_id, None)
    if node is not None:
        state.asked_ms.pop(node.name, None)
    if all(each.node_id != order.source for each in reachable):
        state.reports.pop(order.source, None)  # others may suffice without it


def _fetch(
    sentinel: Sentinel, choice: Fetch, by_id: dict[str, Instance], state: Takeover, now_ms: int
) -> None:
    node, source = by_id.get(choice.node_id), by_id.get(choice.source)
    for each, name in ((node, choice.node_id), (source, choice.source)):
        if each is None or not each.link.is_up:
            state.reports.pop(name, None)  # others may suffice without it
    is_soon = now_ms - state.fetch_sent_ms < FENCE_AGAIN_MS
    if node is None or not node.link.is_up or source is None or not source.link.is_up or is_soon:
        return
    state.fetching, state.fetch_sent_ms = begin(sentinel, choice, node, source, now_ms), now_ms


def _lead(
    sentinel: Sentinel, primary: Primary, choice: Lead, by_id: dict[str, Instance], state: Takeover, now: int
) -> bool:
    node = by_id.get(choice.node_id)
    if node is None or not node.link.is_up:
        return False
    if choice.loss:
        sentinel.tell("+data-loss-possible", primary, choice.loss)

    def answered(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, ReplyError):
            sentinel.log(f"{node.name} refused to lead: {reply}", "warning")
            state.refused = str(reply)
            return
        # What INFO last said of it is older than the order that it has just taken: by this epoch
        # the others follow, and we grant.
        node.fence_epoch = node.lease_epoch = max(node.fence_epoch, state.epoch)
        if node is primary and primary.takeover is state:
            observation.promoted(sentinel, primary, node, at_ms)

    sentinel.tell("+selected-slave", node)
    node.is_promoted = True
    primary.promoted = node
    if granting.lease_ms(primary):
        granting.grant(sentinel, node, now)  # so that it knows of the lease before it leads
    sentinel.send(node, *choice.order, on_reply=answered)
    asking.ask_info(sentinel, node, now)
    return True
