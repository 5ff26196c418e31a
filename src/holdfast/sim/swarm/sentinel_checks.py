"""The judges of Sentinels: votes, leaders, configurations, and no two primaries under a lease.

What this is: what is watched where Sentinels lead, beside `checks`. What it is not: faults
(`sentinel_mutations`), or what a node tells of fences and promotions (`observers`).

How to read it: `Elections` hears each Sentinel's events as they leave, after the file was written;
`Configurations` looks at whom each names. Two judge the lease where no acknowledgements stand behind
writes: `under_lease` each moment, `lease_was_broken` the clients' history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from holdfast.node.sentinel import SentinelNode
from holdfast.node.server import ServerNode
from holdfast.sentinel.effects import Tell
from holdfast.sim.sentinels import GROUP, Sentinels
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


class Configurations:
    """Whom each Sentinel names to clients, and by which configuration epoch."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Begin with nothing named; `say` takes each violation."""
        self._say = say
        self._named: dict[int, str] = {}
        self._told: dict[str, tuple[SentinelNode, int]] = {}

    def look(self, sentinels: Sentinels) -> None:
        """Look at all that live: one primary an epoch, and no way back but by a restart."""
        for name, address in sentinels.named().items():
            node = sentinels.latest[name]
            if not address:
                self._say(f"{name} has forgotten whom it watches")
                continue
            epoch = node.sentinel.primaries[GROUP].config_epoch
            before, highest = self._told.get(name, (node, 0))
            if before is node and epoch < highest:
                self._say(f"{name} goes back from configuration {highest} to {epoch}")
            self._told[name] = node, epoch
            first = self._named.setdefault(epoch, address)
            if epoch and first != address:
                self._say(f"{name} names {address} in configuration {epoch}, and {first} was named")


def under_lease(serving: Mapping[str, ServerNode]) -> list[str]:
    """Return who takes writes now because a majority grants it."""
    return [
        name
        for name, node in serving.items()
        if node.replication.leads and node.replication.lease.word == "held"
    ]


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
