"""Shortcuts, each dropping one rule of the promises: the walk must catch every one of them.

What this is: a table from a name that says what is dropped to the `Rules` with one
decision replaced. What this is not: the walk itself (`model_of_promises`).

How to read it: `MUTATIONS` near the end; each function above it is one shortcut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from holdfast.replication import fence, gate, node_state, promotion
from holdfast.replication.set_record import MemberSet, Position, SetRecord, first_record
from tests.replication.model_of_promises import Rules


def trusts_any_restart(state: node_state.NodeState, *rest: object) -> fence.Decision:
    decision = fence.started(replace(state, acknowledges_after_fsync=True), *rest)  # type: ignore[arg-type]
    return fence.Decision(replace(decision.node, state=replace(decision.node.state, intact=True)))


def keeps_the_clean_marker(state: node_state.NodeState, *rest: object) -> fence.Decision:
    decision = fence.started(state, *rest)  # type: ignore[arg-type]
    marked = replace(decision.node.state, stopped_cleanly=state.stopped_cleanly)
    if marked.stopped_cleanly:
        marked = replace(marked, intact=state.intact)
    node = replace(decision.node, state=marked)
    return fence.Decision(node, (fence.Persist(node.state),))


def fences_in_memory_only(node: fence.Node, order: fence.FenceOrder, copy: fence.Copy) -> fence.Decision:
    decision = fence.fenced(node, order, copy)
    kept = tuple(effect for effect in decision.effects if not isinstance(effect, fence.Persist))
    return fence.Decision(decision.node, kept)


def replies_before_it_persists(node: fence.Node, order: fence.FenceOrder, copy: fence.Copy) -> fence.Decision:
    decision = fence.fenced(node, order, copy)
    ranked = sorted(decision.effects, key=lambda effect: not isinstance(effect, fence.Reply))
    return fence.Decision(decision.node, tuple(ranked))


def acknowledges_on_after_a_fence(
    node: fence.Node, order: fence.FenceOrder, copy: fence.Copy
) -> fence.Decision:
    decision = fence.fenced(node, order, copy)
    kept = tuple(effect for effect in decision.effects if not isinstance(effect, fence.Act))
    if node.standing is fence.Standing.REPLICA and any(isinstance(each, fence.Reply) for each in kept):
        return fence.Decision(replace(decision.node, standing=fence.Standing.REPLICA), kept)
    return fence.Decision(
        decision.node, kept if kept and node.standing is fence.Standing.REPLICA else decision.effects
    )


def promotes_without_its_fence(
    node: fence.Node, order: fence.PromoteOrder, copy: fence.Copy
) -> fence.Decision:
    if node.standing is fence.Standing.PRIMARY or order.epoch <= node.state.term_epoch:
        return fence.promoted(node, order, copy)
    state = replace(
        node.state, fence_epoch=max(order.epoch, node.state.fence_epoch), fence_leader=order.leader
    )
    blind = replace(order, epoch=state.fence_epoch)
    return fence.promoted(fence.Node(state, fence.Standing.FENCED), blind, copy)


def follows_any_primary(node: fence.Node, epoch: int, position: Position) -> fence.Decision:
    if epoch >= node.state.fence_epoch or node.standing is fence.Standing.PRIMARY:
        return fence.attached(node, epoch, position)
    return fence.Decision(
        fence.Node(node.state, fence.Standing.REPLICA, None if node.state.intact else position)
    )


def is_intact_once_attached(node: fence.Node, epoch: int, position: Position) -> fence.Decision:
    decision = fence.attached(node, epoch, position)
    if any(isinstance(effect, fence.Refuse) for effect in decision.effects):
        return decision
    state = replace(decision.node.state, intact=True)
    return fence.Decision(fence.Node(state, decision.node.standing), (fence.Persist(state),))


def is_intact_by_any_tail(node: fence.Node, order: fence.FetchOrder) -> fence.Decision:
    return fence.told_to_fetch(node, replace(order, accept_loss=False))


def is_intact_before_it_has_the_tail(node: fence.Node, order: fence.FetchOrder) -> fence.Decision:
    decision = fence.told_to_fetch(node, order)
    if any(isinstance(effect, fence.Refuse) for effect in decision.effects) or order.accept_loss:
        return decision
    state = replace(decision.node.state, intact=True)
    return fence.Decision(replace(decision.node, state=state), (*decision.effects, fence.Persist(state)))


def _choose_from(
    reports: Iterable[fence.FenceReport], epoch: int, leader: str, *rest: object
) -> promotion.Choice:
    return promotion.choose_promotion(epoch, leader, reports, *rest)  # type: ignore[arg-type]


def compares_offsets_only(
    epoch: int, leader: str, reports: Iterable[fence.FenceReport], *rest: object
) -> promotion.Choice:
    flat = [replace(each, position=Position(1, each.position.offset)) for each in reports]
    choice = _choose_from(flat, epoch, leader, *rest)
    true = {each.node_id: each.position for each in reports}
    return replace(choice, position=true[choice.node_id]) if isinstance(choice, promotion.Promote) else choice


def remembers_the_first_set(
    epoch: int, leader: str, reports: Iterable[fence.FenceReport], known: tuple[str, ...], *rest: object
) -> promotion.Choice:
    by_seniority = [
        replace(each, record=replace(each.record, sets=each.record.sets[-1:])) if each.record else each
        for each in reports
    ]
    return _choose_from(by_seniority, epoch, leader, known, *rest)


def minds_the_newest_set_only(
    epoch: int, leader: str, reports: Iterable[fence.FenceReport], *rest: object
) -> promotion.Choice:
    newest = [replace(each, record=each.record.alone()) if each.record else each for each in reports]
    return _choose_from(newest, epoch, leader, *rest)


def counts_copies_that_are_not_intact(
    epoch: int, leader: str, reports: Iterable[fence.FenceReport], *rest: object
) -> promotion.Choice:
    return _choose_from([replace(each, intact=True) for each in reports], epoch, leader, *rest)


def makes_whole_from_whoever_is_intact(
    epoch: int, leader: str, reports: Iterable[fence.FenceReport], *rest: object
) -> promotion.Choice:
    choice = _choose_from(reports, epoch, leader, *rest)
    told = [each for each in reports if (each.fence_epoch, each.fence_leader) == (epoch, leader)]
    intact = [each for each in told if each.intact]
    others = [each for each in told if not each.intact]
    if not isinstance(choice, promotion.Wait) or not intact or not others:
        return choice
    best = max(intact, key=lambda each: each.position)
    return promotion.FetchFirst(others[0].node_id, best.node_id, best.position)


def is_content_with_one_less(
    epoch: int, leader: str, reports: Iterable[fence.FenceReport], *rest: object
) -> promotion.Choice:
    def eased(record: SetRecord) -> SetRecord:
        sets = tuple(MemberSet(each.members, min(each.needed + 1, len(each.members))) for each in record.sets)
        return replace(record, sets=sets)

    return _choose_from(
        [replace(each, record=eased(each.record)) if each.record else each for each in reports],
        epoch,
        leader,
        *rest,
    )


def first_record_alone(*arguments: object) -> SetRecord:
    return first_record(*arguments).alone()  # type: ignore[arg-type]


class CountsTheNewestSetOnly(gate.AcknowledgementGate):
    """Leaves earlier sets out of the count."""

    @property
    def committed_offset(self) -> int:
        held = {name: member.held_offset for name, member in self._members.items()}
        return gate.committed_offset(self.record.alone(), held, self.own_id, self.stream_offset)


class ChangesInOneStep(gate.AcknowledgementGate):
    """Replaces the set without naming the earlier one."""

    def change(self, newest: MemberSet, now_ms: int) -> gate.Verdict:
        verdict = super().change(newest, now_ms)
        return verdict._replace(append=verdict.append.alone()) if verdict.append else verdict


class AsksForOneLess(gate.AcknowledgementGate):
    """Releases a write that N - 1 members hold."""

    @property
    def committed_offset(self) -> int:
        held = {name: member.held_offset for name, member in self._members.items()}
        sets = tuple(MemberSet(each.members, max(0, each.needed - 1)) for each in self.record.sets)
        return gate.committed_offset(replace(self.record, sets=sets), held, self.own_id, self.stream_offset)


MUTATIONS: dict[str, Rules] = {
    "offsets are compared without their epoch": Rules(choose=compares_offsets_only),
    "a restarted copy counts as intact": Rules(started=trusts_any_restart),
    "the marker of a clean shutdown is not cleared": Rules(started=keeps_the_clean_marker),
    "copies that are not intact are counted": Rules(choose=counts_copies_that_are_not_intact),
    "a copy is intact as soon as it is attached": Rules(attached=is_intact_once_attached),
    "the tail of a copy that is not intact makes intact": Rules(told_to_fetch=is_intact_by_any_tail),
    "a copy is whole before it has the tail": Rules(told_to_fetch=is_intact_before_it_has_the_tail),
    "any intact copy makes whole": Rules(choose=makes_whole_from_whoever_is_intact),
    "the leader goes by an outdated set": Rules(choose=remembers_the_first_set),
    "the leader minds the newest set only": Rules(choose=minds_the_newest_set_only),
    "the leader is content with R - N": Rules(choose=is_content_with_one_less),
    "the gate counts the newest set only": Rules(gate=CountsTheNewestSetOnly),
    "the set changes in one step": Rules(gate=ChangesInOneStep),
    "a new primary forgets the sets that bind": Rules(first_record=first_record_alone),
    "the gate asks for N - 1": Rules(gate=AsksForOneLess),
    "the fence is not written": Rules(fenced=fences_in_memory_only),
    "the report leaves before the fence is written": Rules(fenced=replies_before_it_persists),
    "a fenced replica acknowledges on": Rules(fenced=acknowledges_on_after_a_fence),
    "a fence lifts itself": Rules(fence_lifts_itself=True),
    "PROMOTE is taken without its fence": Rules(promoted=promotes_without_its_fence),
    "any primary is followed": Rules(attached=follows_any_primary),
    "a leader promotes twice in its epoch": Rules(leader_promotes_twice=True),
    "a full resync empties first": Rules(resync_empties_first=True),
    "a hand-over fences only the two": Rules(hand_over_without_fencing=True),
}

SEARCH_BEGINS_AT: dict[str, int] = {
    "offsets are compared without their epoch": 8258,
    "a restarted copy counts as intact": 62,
    "the marker of a clean shutdown is not cleared": 2869,
    "copies that are not intact are counted": 235,
    "a copy is intact as soon as it is attached": 1677,
    "the leader goes by an outdated set": 2106,
    "the leader minds the newest set only": 11388,
    "the leader is content with R - N": 65,
    "the gate counts the newest set only": 4,
    "the set changes in one step": 4,
    "a new primary forgets the sets that bind": 5078,
    "the gate asks for N - 1": 4,
    "the fence is not written": 4289,
    "the report leaves before the fence is written": 17399,
    "a fenced replica acknowledges on": 5366,
    "a fence lifts itself": 5291,
    "PROMOTE is taken without its fence": 0,
    "any primary is followed": 288,
    "a leader promotes twice in its epoch": 15,
    "a full resync empties first": 53249,
    "a hand-over fences only the two": 35934,
    "the tail of a copy that is not intact makes intact": 112469,
    "a copy is whole before it has the tail": 58710,
    "any intact copy makes whole": 13330,
}
"""Some seeds before the first that catches a shortcut, so that the common test run stays short.

A change of the walk moves them: run with HOLDFAST_WALKS=120000 to search from the beginning.
"""
