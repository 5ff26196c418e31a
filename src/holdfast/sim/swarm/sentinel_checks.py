"""The judges of Sentinels: one vote an epoch each, one leader an epoch, no two primaries under a lease.

What this is: what is watched where Sentinels lead, beside `checks`. What it is not: faults
(`sentinel_mutations`), or what a node tells of fences and promotions (`observers`).

How to read it: `observe` hears each Sentinel's events as they leave, after the file was written;
`lease_was_broken` judges the clients' history where no acknowledgements stand behind writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from holdfast.node.sentinel import SentinelNode
from holdfast.sentinel.effects import Tell
from holdfast.sim.sentinels import GROUP
from holdfast.sim.swarm.history import Operation


class Elections:
    """Who voted for whom, and who led, over all restarts."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Begin without votes; `say` takes each violation."""
        self._say = say
        self._votes: dict[tuple[str, int], str] = {}
        self._leaders: dict[int, str] = {}

    def observe(self, node: SentinelNode) -> None:
        """Hear of a Sentinel's votes and victories."""
        name, hidden = node.host.name, _open(node)
        tell = hidden._tell

        def told(effect: Tell) -> None:
            if node.is_durable:  # else nothing of it leaves
                self._heard(name, node, effect)
            tell(effect)

        hidden._tell = told

    def _heard(self, name: str, node: SentinelNode, effect: Tell) -> None:
        if effect.event == "+vote-for-leader":
            candidate, _, epoch = effect.text.rpartition(" ")
            first = self._votes.setdefault((name, int(epoch)), candidate)
            if first != candidate:
                self._say(f"{name} votes a second time in epoch {epoch}")
        elif effect.event == "+elected-leader":
            won = node.sentinel.primaries[GROUP].failover_epoch
            first = self._leaders.setdefault(won, name)
            if first != name:
                self._say(f"{name} is elected in epoch {won}, and so was {first}")


def lease_was_broken(writes: Iterable[Operation], since: float) -> str:
    """Return how an older primary acknowledged what was asked after a newer one had, empty if none did.

    `since`: from when on every write hung on a lease.
    """
    leased = sorted((each for each in writes if each.began > since), key=lambda each: each.ended)
    first_ended: dict[int, float] = {}
    for each in leased:
        first_ended.setdefault(each.epoch, each.ended)
    for each in leased:
        for epoch, when in first_ended.items():
            if epoch > each.epoch and each.began > when:
                return (
                    f"{each.node} acknowledged {each.key} in epoch {each.epoch} under a lease, asked at "
                    f"{each.began:.3f}, when epoch {epoch} had acknowledged since {when:.3f}"
                )
    return ""


def _open(node: object) -> Any:
    return node
