"""How a data node of this host starts: as itself, as a replica, or not yet.

What it is: what is known is gathered here, `rules` decides, and what a start still needs
behind it (an order to follow, a way back into a cluster) is done here. What it is not: the
process itself (`supervisor`).

How to read it: `Slot` is a process and what became of it; `Starter.how_to_start`, then
`_situation`.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from holdfast.ops import forming, rules
from holdfast.ops.child import Child
from holdfast.ops.files_on_disk import Directory
from holdfast.ops.leadership import asked, cluster_nodes, named_primary, still_leads
from holdfast.ops.model import Deployment, Engine
from holdfast.ops.plan import Kind, Planned
from holdfast.ops.wire import Address, Refused, WireError

HELD_BACK_POLL_S = 0.05


class State(Enum):
    """What a process does now."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "stopped by a signal"
    ENDED = "ended"


@dataclass(slots=True)
class Slot:
    """A process and what became of it."""

    planned: Planned
    child: Child | None = None
    state: State = State.WAITING
    failures: int = 0
    restarts: int = 0
    note: str = ""
    ending: str = ""
    """How it ended last, in words; empty: it never did."""
    since: float = 0.0
    """When it was started, by the loop's clock."""
    was_found: bool = False
    """It ran already when we began."""
    was_started: bool = False
    """It has run since we began."""
    keeper: asyncio.Task[None] | None = None
    follower: asyncio.Task[None] | None = None
    is_emptied_next: bool = field(default=False)
    """Its files are to be removed before it starts again (a drill)."""


class Starter:
    """Decides how the data nodes of one host start."""

    def __init__(
        self,
        deployment: Deployment,
        everything: Sequence[Planned],
        slots: Mapping[str, Slot],
        directory: Directory,
        tell: Callable[[str, str], None],
    ) -> None:
        self.deployment, self.everything = deployment, tuple(everything)
        self.slots, self.directory, self.tell = slots, directory, tell
        self.names = {str(each.address): each.name for each in everything}
        self.is_first = not directory.read("deployment.json").get("formed", False)
        """No process of this deployment has ever run."""
        self.is_stopping = False

    async def how_to_start(self, slot: Slot) -> tuple[tuple[str, ...], Address | None]:
        """Wait until it may start; return its command line and whom it is to follow, if that is known."""
        planned = slot.planned
        if not planned.is_data:
            return planned.words, None
        loop = asyncio.get_running_loop()
        began, told = loop.time(), ""
        while not self.is_stopping:
            start = rules.next_start(await self._situation(slot, loop.time() - began))
            match start:
                case rules.StartAsIs():
                    return planned.words, None
                case rules.StartFollowing(leader):
                    address = Address.parse(leader)
                    self.tell(planned.name, f"starts as a replica of {self.names.get(leader, leader)}")
                    words = (*planned.words, "--replicaof", address.host, str(address.port))
                    return words, address
                case rules.HoldBack(reason):
                    slot.state, slot.note = State.WAITING, reason
                    if reason != told:
                        told = reason
                        self.tell(planned.name, reason)
                    await asyncio.sleep(HELD_BACK_POLL_S)
        return planned.words, None

    async def _follow(self, address: Address, leader: Address) -> None:
        """Tell a node of ours to follow: one that led before is a candidate, and waits for an order."""
        password = self.deployment.password
        while not await asked([address], "REPLICAOF", leader.host, leader.port, password=password):
            await asyncio.sleep(HELD_BACK_POLL_S)

    async def _rejoin(self, planned: Planned) -> None:
        """Bring a node of a cluster back that has lost all it knew."""
        others = [each.address for each in self.everything if each.is_data and each.name != planned.name]
        try:
            primary = await forming.rejoin(planned.address, others, self.deployment.password)
        except (WireError, Refused) as error:
            self.tell(planned.name, f"cannot be brought back into the cluster: {error}")
            return
        if primary:
            name = self.names.get(primary, primary)
            self.tell(planned.name, f"had forgotten the cluster: it is a new replica of {name}")

    async def _situation(self, slot: Slot, waited_s: float) -> rules.Situation:
        deployment, name = self.deployment, slot.planned.name
        is_cluster = deployment.cluster is not None
        others = [each for each in self.everything if each.is_data and each.name != name]
        # What starts together with it is no reason to wait: only who lived through its end can lead.
        survivors = [
            each
            for each in self.slots.values()
            if each.planned in others and each.child is not None and (slot.was_started or each.was_found)
        ]
        leader = "" if self.is_first else await self._leader_over(slot.planned, others)
        others_live = bool(survivors)
        if not self.is_first and len(self.slots) < len(self.everything):
            elsewhere = [each.address for each in others if each.name not in self.slots]
            others_live = others_live or bool(await asked(elsewhere, "PING", password=deployment.password))
        return rules.Situation(
            is_managed=is_cluster or deployment.sentinels > 0,
            leads=leader in ("", str(slot.planned.address)),
            leader=leader,
            others_live=others_live,
            has_files=self.directory.has_data(name),
            others_have_files=any(self.directory.has_data(each.name) for each in others),
            is_first_start=self.is_first,
            waited_s=waited_s,
            is_cluster=is_cluster,
        )

    async def _leader_over(self, planned: Planned, others: Sequence[Planned]) -> str:
        """Return the address of who leads the data set of a node; empty: nobody says."""
        deployment = self.deployment
        if deployment.cluster is None:
            sentinels = [each.address for each in self.everything if each.kind is Kind.SENTINEL]
            named = await named_primary(sentinels, deployment.name, deployment.password)
            return str(named or self.remembered_leader() or "")
        views = await asked(
            [each.address for each in others], "CLUSTER", "NODES", password=deployment.password
        )
        opinions = {still_leads(cluster_nodes(reply), planned.address) for reply in views.values()}
        if False in opinions:
            return "another node of its shard"
        return str(planned.address) if True in opinions else ""

    def remembered_leader(self) -> Address | None:
        texts = [
            self.directory.read_text(each.planned.file_path)
            for each in self.slots.values()
            if each.planned.kind is Kind.SENTINEL
        ]
        return forming.remembered_leader(texts)

    async def after_start(self, slot: Slot, leader: Address | None) -> None:
        """Do what a data node still needs once it runs."""
        if leader is not None and self.deployment.engine is Engine.HOLDFAST:
            await self._follow(slot.planned.address, leader)
        elif self.deployment.cluster is not None and not self.is_first and slot.planned.is_data:
            await self._rejoin(slot.planned)


def is_taken(planned: Planned) -> bool:
    """Tell whether another process listens where this one is to."""
    if planned.host.namespace:
        return False
    family = socket.AF_INET6 if ":" in planned.address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((planned.address.host, planned.address.port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
