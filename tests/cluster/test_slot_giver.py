"""The source of slots that travel as a whole, alone: what it waits for where a gift has failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from holdfast.cluster import table
from holdfast.cluster.model import View
from holdfast.node.cluster_orders import ClusterOrders
from holdfast.node.slot_giver import Gift
from holdfast.sim import World
from tests.cluster.views import NOW, A, B, a_view
from tests.lone_engine import LoneEngine


def _answer(view: View) -> None:
    """Let the other primaries have answered all that they were asked."""
    for name in (A, B):
        link = view.nodes[name].link
        assert link is not None
        link.pongs = link.pings


def test_of_two_gifts_that_fail_at_once_each_waits_until_a_majority_knows_the_epoch_it_goes_on_in() -> None:
    with World(1) as world:
        view, lone = a_view(), LoneEngine(cluster=True)
        side = SimpleNamespace(
            engine=lone.engine, view=view, is_fenced=False, now_ms=lambda: NOW, settle=view.take_effects
        )
        gift = Gift(cast(ClusterOrders, side), lone.session, view.nodes[A], 1 << 3)
        going_on = world.loop.create_task(gift._go_on())
        world.run(0.1)
        _answer(view)  # that an epoch is taken
        table.bump_epoch(view, always=True)  # for the other gift
        world.run(0.1)
        assert not going_on.done(), "nobody has heard of the epoch"
        _answer(view)
        world.run(0.1)
        assert going_on.done()
