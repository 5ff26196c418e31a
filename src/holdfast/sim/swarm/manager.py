"""A manager: sees to it that one primary leads, by the rules that Sentinel follows.

What this is: a stand-in for Sentinel with the same orders (fence, fetch, promote,
follow) and the same choice (`choose_promotion`). What it is not: an election; epochs
come from `Epochs`, which gives each to one leader only, as a majority of voters would.
Several managers may run, be cut off, be paused, and lead against each other.

How to read it: `main` watches and decides, `_fail_over` is one attempt in one epoch,
`_gather_followers` brings back who has strayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from holdfast.replication.fence import FenceReport
from holdfast.replication.orders import OrderError, read_report
from holdfast.replication.promotion import Choice, FetchFirst, Promote, choose_promotion
from holdfast.server.host import Host
from holdfast.sim.client import Client, ReplyError, connect
from holdfast.sim.nodes import PORT
from holdfast.sim.swarm.history import History, Promotion
from holdfast.sim.world import World

LOOK_SECONDS = 0.5
DOWN_AFTER_SECONDS = 2.0
STRAY_SECONDS = 1.5
ATTEMPT_SECONDS = 6.0
ANSWER_SECONDS = 0.6

Choose = Callable[..., Choice]


@dataclass
class Epochs:
    """Where epochs come from: each is given once. `fences` is the highest that a host has taken."""

    last: int = 0
    fences: dict[str, int] = field(default_factory=dict)

    def next(self) -> int:
        """Return an epoch that nobody has."""
        self.last += 1
        return self.last


@dataclass
class Seen:
    """What a manager last heard of a node."""

    heard_at: float = -1e9
    facts: dict[str, str] = field(default_factory=dict)
    astray_since: float | None = None

    @property
    def epoch(self) -> int:
        """The epoch in which it leads or follows."""
        return int(self.facts.get("term_epoch", "0"))

    @property
    def leads(self) -> bool:
        """Whether it says that it is the primary."""
        return self.facts.get("standing") == "primary"


class Manager:
    """One manager."""

    def __init__(
        self,
        name: str,
        world: World,
        names: list[str],
        history: History,
        epochs: Epochs,
        *,
        behind: dict[str, str] | None = None,
        promoted: Callable[[Promotion], None] = lambda _: None,
        choose: Choose = choose_promotion,
    ) -> None:
        """Watch the nodes on these hosts; `behind` names hosts that are to follow another replica."""
        self.name = name
        self.is_active = True
        self._world = world
        self._names = names
        self._history = history
        self._epochs = epochs
        self._behind = behind or {}
        self._promoted = promoted
        self._choose = choose
        self._clients: dict[tuple[str, str], Client] = {}
        self._seen = {name: Seen() for name in names}
        self._ids: dict[str, str] = {}
        self._epoch = 0
        self._primary = ""
        self._next_attempt = 0.0
        self._watchers: list[asyncio.Task[None]] = []

    async def main(self, host: Host) -> None:
        """Watch and decide, for ever."""
        for name in self._names:
            self._watchers.append(asyncio.create_task(self._watch(name)))
        luck = host.random
        await asyncio.sleep(0.3 + luck.random() * 0.4)
        while True:
            if self.is_active:
                self._notice_others()
                if self._must_fail_over() and self._world.now >= self._next_attempt:
                    await self._fail_over()
                    self._next_attempt = self._world.now + 0.5 + luck.random() * 2
                elif self._primary:
                    await self._gather_followers()
            await asyncio.sleep(0.25)

    # ---- watching ----

    async def _ask(self, lane: str, name: str, *words: object) -> Any:
        client = self._clients.get((lane, name))
        if client is None or client.is_closed:
            client = self._clients[(lane, name)] = await connect(name, PORT, within=ANSWER_SECONDS)
        return await client.ask(*words, within=ANSWER_SECONDS)

    async def _watch(self, name: str) -> None:
        while True:
            try:
                reply = await self._ask("watch", name, "INFO", "replication")
                if isinstance(reply, bytes):
                    lines = reply.decode().split("\r\n")
                    facts = dict(line.split(":", 1) for line in lines if ":" in line)
                    self._seen[name].facts = facts
                    self._seen[name].heard_at = self._world.now
                    if "node_id" in facts:
                        self._ids[facts["node_id"]] = name
            except (OSError, TimeoutError):
                pass
            await asyncio.sleep(LOOK_SECONDS)

    def _notice_others(self) -> None:
        """Another manager may have led meanwhile: its primary is the one of the highest epoch."""
        for name, seen in self._seen.items():
            if seen.leads and seen.epoch > self._epoch:
                self._epoch, self._primary = seen.epoch, name

    def _must_fail_over(self) -> bool:
        if not self._primary:
            return any(seen.heard_at > 0 for seen in self._seen.values())
        seen = self._seen[self._primary]
        if self._world.now - seen.heard_at > DOWN_AFTER_SECONDS:
            return True
        return not (seen.leads and seen.epoch >= self._epoch)

    # ---- leading ----

    async def _fail_over(self) -> None:
        epoch, end = self._epochs.next(), self._world.now + ATTEMPT_SECONDS
        reports: dict[str, FenceReport] = {}
        while self._world.now < end:
            await asyncio.gather(*(self._fence(name, epoch, reports) for name in self._names))
            choice = self._choose(epoch, self.name, reports.values(), set(self._ids))
            match choice:
                case Promote():
                    await self._promote(epoch, choice)
                    return
                case FetchFirst():
                    source = self._ids[choice.source]
                    loss = ("LOSS",) if choice.may_lose_writes else ()
                    words = ("FETCH", epoch, self.name, source, PORT, choice.source, *choice.position, *loss)
                    await self._order(self._ids[choice.node_id], *words)
            await asyncio.sleep(0.3)

    async def _fence(self, name: str, epoch: int, reports: dict[str, FenceReport]) -> None:
        words = await self._order(name, "FENCE", epoch, self.name)
        if not isinstance(words, list):
            return
        try:
            report = read_report([word.decode() for word in words])
        except OrderError:
            return
        self._ids[report.node_id] = name
        self._epochs.fences[name] = max(self._epochs.fences.get(name, 0), report.fence_epoch)
        reports[report.node_id] = report

    async def _promote(self, epoch: int, choice: Promote) -> None:
        name = self._ids[choice.node_id]
        loss = ("LOSS",) if choice.may_lose_writes else ()
        reply = await self._order(name, "PROMOTE", epoch, self.name, *choice.position, *loss)
        if reply not in ("OK", b"OK"):
            return
        self._epoch, self._primary = epoch, name
        self._seen[name].heard_at = self._world.now
        self._seen[name].facts = {"standing": "primary", "term_epoch": str(epoch), "node_id": choice.node_id}
        self._history.primary = name
        promotion = Promotion(self._world.now, name, choice.node_id, epoch, self.name, choice.may_lose_writes)
        self._history.promotions.append(promotion)
        self._world.record(self.name, f"made {name} the primary of epoch {epoch}")
        self._promoted(promotion)
        await self._gather_followers(at_once=True)

    async def _gather_followers(self, at_once: bool = False) -> None:
        """Order those to follow that do not, or not the right one, or not in this epoch."""
        leader_id = self._seen[self._primary].facts.get("node_id", "")
        orders: list[Coroutine[Any, Any, Any]] = []
        for name in self._names if self._epoch else ():
            if name == self._primary:
                continue
            target, target_id = self._upstream_of(name, leader_id)
            seen = self._seen[name]
            follows = (
                seen.facts.get("standing") == "replica"
                and seen.facts.get("master_host") == target
                and (seen.epoch == self._epoch or seen.facts.get("master_link_status") != "up")
                and int(seen.facts.get("fence_epoch", "0")) <= self._epoch
            )
            if follows and not at_once:
                seen.astray_since = None
                continue
            if seen.astray_since is None:
                seen.astray_since = self._world.now
            if at_once or self._world.now - seen.astray_since > STRAY_SECONDS:
                seen.astray_since = self._world.now
                orders.append(self._follow(name, target, target_id))
        if orders:
            await asyncio.gather(*orders)

    async def _follow(self, name: str, target: str, target_id: str) -> None:
        reply = await self._order(name, "FOLLOW", self._epoch, self.name, target, PORT, target_id)
        # Another leader's node, or one fenced higher by an attempt that failed: a new epoch gathers it.
        if isinstance(reply, ReplyError) and self._seen[name].heard_at > 0 and self._is_stuck(name):
            self._world.record(self.name, f"cannot bring {name} back: {reply}")
            self._primary = ""

    def _is_stuck(self, name: str) -> bool:
        facts = self._seen[name].facts
        return int(facts.get("fence_epoch", "0")) > self._epoch and facts.get("standing") == "fenced"

    def _upstream_of(self, name: str, leader_id: str) -> tuple[str, str]:
        target = self._behind.get(name)
        if target is None or target == self._primary:
            return self._primary, leader_id
        seen = self._seen[target]
        fresh = self._world.now - seen.heard_at < DOWN_AFTER_SECONDS
        if fresh and seen.facts.get("standing") == "replica" and seen.epoch == self._epoch:
            return target, seen.facts["node_id"]
        return self._primary, leader_id

    async def _order(self, name: str, *words: object) -> Any:
        try:
            return await self._ask("order", name, "HOLDFAST", *words)
        except (OSError, TimeoutError):
            return None
