"""Whom to promote: the choice that a leader makes from what fenced nodes reported.

What this is: one pure function, `choose_promotion`, that Sentinel and Cluster
call each time a report arrives. It answers "promote this node", "let this node
fetch the tail from that one first", or "wait for these".

What this is not: the election of the leader, or the sending of orders. A leader
uses an answer to promote at most once an epoch, and asks a repeat of the same
node only; whatever goes wrong after that needs a higher epoch.

How to read it: the rules, then `choose_promotion` and what it calls.

Rules:
- Only reports fenced in this very epoch by this very leader count.
- Best is the highest position among intact copies; the old primary may be one.
- For every set that binds in the best copy's stream, R - N + 1 intact members
  must have reported: then no N of them can still acknowledge for anyone else, and
  every write that N of them hold is held by one that reported.
- An empty copy that never held a record knows of no set, so it proves nothing: it
  leads only when everybody has answered.
- A node that is to lead holds that best position, or fetches it first. Where no intact node may
  lead (their priority is 0, their disks fail), another fetches it, and is intact when it has it.
- If everybody who could know better has answered and too few are intact, the best
  position leads and the loss is said loudly. If some do not answer: wait for them,
  for the operator, or for `allow-data-loss yes`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from holdfast.replication.fence import FenceReport
from holdfast.replication.set_record import NOWHERE, MemberSet, Position, SetRecord


@dataclass(frozen=True, slots=True)
class Promote:
    """Promote this node; it holds `position`."""

    node_id: str
    position: Position
    may_lose_writes: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FetchFirst:
    """Let `node_id` fetch the tail up to `position` from `source`, then choose again."""

    node_id: str
    source: str
    position: Position
    may_lose_writes: bool = False
    """The source is not intact: its tail makes nobody intact, and what follows is a promotion with loss."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nobody may be promoted yet; `missing` names the nodes whose report could change that."""

    reason: str
    missing: frozenset[str]


Choice = Promote | FetchFirst | Wait


def choose_promotion(
    epoch: int,
    leader: str,
    reports: Iterable[FenceReport],
    known_nodes: Collection[str],
    preference: Sequence[str] = (),
    may_lead: Collection[str] | None = None,
    allow_data_loss: bool = False,
) -> Choice:
    """Choose from the reports of this epoch.

    `known_nodes` are all that the manager ever knew of; they can only make it wait.
    `preference` ranks node ids, most wanted first. `may_lead` leaves out nodes that must
    not lead (priority 0); None: all may.
    """
    mine = [each for each in reports if (each.fence_epoch, each.fence_leader) == (epoch, leader)]
    told = {each.node_id: each for each in mine if each.is_known}
    intact = {node_id: each for node_id, each in told.items() if each.intact}
    best = _best(intact.values(), preference)
    if best is not None and best.position != NOWHERE:
        short = _sets_too_short(best.record, intact)
        if not short:
            choice = _led_by(best, intact, preference, may_lead)
            return _made_whole(best, told, preference, may_lead) if isinstance(choice, Wait) else choice
    missing = _could_know_better(told.values(), known_nodes) - told.keys()
    if not told:
        return Wait("no node has reported", missing)
    if missing and not allow_data_loss:
        return Wait(_why(best, intact), missing)
    wreck = _best(told.values(), preference)
    assert wreck is not None
    choice = _led_by(wreck, told, preference, may_lead)
    if isinstance(choice, Wait):
        return choice
    if isinstance(choice, FetchFirst):
        return replace(choice, may_lose_writes=True)
    reason = "allow-data-loss is set" if missing else "all have answered and too few are intact"
    return Promote(choice.node_id, choice.position, True, f"acknowledged writes may be lost: {reason}")


def _led_by(
    best: FenceReport,
    usable: dict[str, FenceReport],
    preference: Sequence[str],
    may_lead: Collection[str] | None,
) -> Choice:
    able = [each for each in usable.values() if may_lead is None or each.node_id in may_lead]
    if not able:
        return Wait("no node that may lead has reported", frozenset(may_lead or ()) - usable.keys())
    holders = [each for each in able if each.position == best.position]
    wanted = _best(holders or able, preference)
    assert wanted is not None
    if not holders:
        return FetchFirst(wanted.node_id, best.node_id, best.position)
    return Promote(wanted.node_id, wanted.position)


def _made_whole(
    best: FenceReport,
    told: dict[str, FenceReport],
    preference: Sequence[str],
    may_lead: Collection[str] | None,
) -> Choice:
    """Let a copy that is not intact become so. What it may hold beyond the best was never acknowledged."""
    choice = _led_by(best, told, preference, may_lead)
    return FetchFirst(choice.node_id, best.node_id, best.position) if isinstance(choice, Promote) else choice


def _best(reports: Iterable[FenceReport], preference: Sequence[str]) -> FenceReport | None:
    def worth(report: FenceReport) -> tuple[int, int, int, str]:
        epoch, offset = report.position
        return -epoch, -offset, _rank(report.node_id, preference), report.node_id

    return min(reports, key=worth, default=None)


def _rank(node_id: str, preference: Sequence[str]) -> int:
    return preference.index(node_id) if node_id in preference else len(preference)


def _sets_too_short(record: SetRecord | None, intact: Collection[str]) -> list[MemberSet]:
    if record is None:
        return []
    return [each for each in record.sets if len(each.members.intersection(intact)) < each.promotion_quorum]


def _could_know_better(reports: Iterable[FenceReport], known_nodes: Collection[str]) -> frozenset[str]:
    named = [each.record.everyone for each in reports if each.record is not None]
    return frozenset(known_nodes).union(*named)


def _why(best: FenceReport | None, intact: Collection[str]) -> str:
    if best is None or best.position == NOWHERE:
        return "no intact copy has reported that holds anything"
    short = _sets_too_short(best.record, intact)
    counts = ", ".join(
        f"{len(each.members.intersection(intact))} of {each.promotion_quorum} of {len(each.members)} members"
        for each in short
    )
    return f"too few intact members have reported: {counts}"
