"""Deliberate faults of Sentinels: each must be seen by the judges of a run with Sentinels.

What this is: the entries of `SENTINEL_MUTATIONS`, mistakes put into each Sentinel of a run
before it starts. What it is not: faults of nodes (`mutations`), or of the lease, which
`tests/sentinel/lease_swarm.py` judges by the moment.

How to read it: one function a mistake, its summary in the decorator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.node.sentinel import SentinelNode
from holdfast.node.sentinel_orders import SentinelOrders
from holdfast.replication.fence import FenceReport, PromoteOrder
from holdfast.replication.orders import order_words
from holdfast.sentinel.model import Instance, Primary
from holdfast.sentinel.takeover import Fetch, Lead, Wait
from holdfast.sim.sentinels import GROUP
from holdfast.sim.swarm.mutations import Mutation

SENTINEL_MUTATIONS: dict[str, Mutation] = {}


def of_sentinels(name: str, summary: str) -> Callable[[Callable[[SentinelNode], None]], None]:
    """Declare a fault that the decorated function puts into a Sentinel."""

    def declare(change: Callable[[SentinelNode], None]) -> None:
        SENTINEL_MUTATIONS[name] = Mutation(summary, adapt_sentinels=(change,))

    return declare


class Stalest(SentinelOrders):
    """Orders by which the copy leads that has least."""

    def choose(self, epoch: int, leader: str, reports: Any, *more: Any) -> Lead | Fetch | Wait:
        """Wait as long as one must, then choose wrongly."""
        choice = super().choose(epoch, leader, reports, *more)
        told = [each for each in reports if isinstance(each, FenceReport) and each.is_known]
        if isinstance(choice, Wait) or not told:
            return choice
        worst = min(told, key=lambda each: each.position)
        order = PromoteOrder(epoch, leader, worst.position, True)
        return Lead(worst.node_id, order_words(order), "", True)


@of_sentinels("sentinel-promotes-stalest", "the leader promotes the copy that has least")
def promotes_stalest(node: SentinelNode) -> None:
    node.sentinel.orders = Stalest()


@of_sentinels("sentinel-forgets", "nothing that a Sentinel learns is written to its file")
def forgets(node: SentinelNode) -> None:
    sentinel: Any = node.sentinel
    sentinel.persist = lambda: None


@of_sentinels("sentinel-leaves-strays", "who leads or waits where it should follow is left alone")
def leaves_strays(node: SentinelNode) -> None:
    sentinel: Any = node.sentinel
    take = sentinel.on_info

    def wrong(instance: Instance, text: str, now_ms: int) -> None:
        primary = sentinel.primaries[GROUP]
        is_stray = "role:master" in text or "standing:fenced" in text
        if is_stray and not isinstance(instance, Primary) and not primary.in_failover:
            return
        take(instance, text, now_ms)

    sentinel.on_info = wrong
