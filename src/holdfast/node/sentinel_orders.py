"""How a Sentinel speaks with nodes of ours: replication's orders, reports and choice.

What it is: `holdfast.sentinel.takeover.Orders` over `holdfast.replication`, so that the two
need not know each other. What it is not: when an order is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from holdfast.replication.fence import FenceOrder, FenceReport, FetchOrder, FollowOrder, PromoteOrder
from holdfast.replication.orders import OrderError, order_words, read_report
from holdfast.replication.promotion import FetchFirst, Promote, choose_promotion
from holdfast.replication.set_record import NOWHERE
from holdfast.sentinel.fetching import Fetch
from holdfast.sentinel.takeover import Lead, Wait

PORT_PLACE = 1


class SentinelOrders:
    """The orders of this version."""

    def fence(self, epoch: int, leader: str) -> tuple[str, ...]:
        """Return the command that fences a node."""
        return order_words(FenceOrder(epoch, leader))

    def follow(self, epoch: int, leader: str, host: str, port: int, node_id: str) -> tuple[str, ...]:
        """Return the command that lets a node follow another."""
        return order_words(FollowOrder(epoch, leader, host, port, node_id))

    def report(self, words: Sequence[str]) -> FenceReport | None:
        """Read a fence report; None: it is broken."""
        try:
            return read_report(words)
        except OrderError:
            return None

    def reporter(self, report: object) -> str:
        """Return the id of the node that reported."""
        assert isinstance(report, FenceReport)
        return report.node_id

    def is_known(self, report: object) -> bool:
        """Return whether the node knows its copy; False: it still loads."""
        assert isinstance(report, FenceReport)
        return report.is_known

    def is_intact(self, report: object) -> bool:
        """Return whether the node has lost nothing that it acknowledged."""
        assert isinstance(report, FenceReport)
        return report.intact and report.is_known

    def without_history(self, report: object) -> FenceReport:
        """Return the report as of a copy that holds nothing."""
        assert isinstance(report, FenceReport)
        return replace(report, position=NOWHERE, record=None, intact=False)

    def granted_ms(self, report: object) -> int:
        """Return how long the lease still lasts that the node itself granted."""
        assert isinstance(report, FenceReport)
        return report.granted_for_ms

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
        """Choose who leads, by replication's rules."""
        told = [each for each in reports if isinstance(each, FenceReport)]
        choice = choose_promotion(epoch, leader, told, known, preference, may_lead, allow_data_loss)
        match choice:
            case Promote():
                order = PromoteOrder(epoch, leader, choice.position, choice.may_lose_writes)
                record = next((each.record for each in told if each.node_id == choice.node_id), None)
                is_proven = (
                    record is not None
                    and all(each.needed for each in record.sets)
                    and not choice.may_lose_writes
                )
                return Lead(choice.node_id, order_words(order), choice.reason, is_proven)
            case FetchFirst():
                fetch = FetchOrder(
                    epoch, leader, "HOST", PORT_PLACE, choice.source, choice.position, choice.may_lose_writes
                )
                words = list(order_words(fetch))
                words[words.index("HOST") + 1] = "PORT"
                return Fetch(choice.node_id, choice.source, tuple(words))
        return Wait(choice.reason)
