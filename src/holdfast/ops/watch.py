"""Learns what happens in a deployment, as it happens: Sentinels say it, a cluster's nodes are looked at.

What it is: a subscription to each Sentinel, or a look at each cluster node's map again and again,
both of which come back by themselves. What it is not: the words (`happenings`,
`shard_changes`), or polling how the members are (`picture`).

How to read it: `listen` runs until cancelled; then a function for each kind of deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from holdfast.ops.happenings import Happening, in_words
from holdfast.ops.leadership import ClusterNode, cluster_nodes
from holdfast.ops.shard_changes import changes
from holdfast.ops.topology import Form, Topology
from holdfast.ops.wire import Address, Refused, Wire, WireError

COME_BACK_S = 0.1
LOOK_S = 0.25
"""How often a cluster node is looked at where nobody measures."""


async def listen(
    topology: Topology,
    tell: Callable[[Happening], None],
    ready: asyncio.Event | None = None,
    look_s: float = LOOK_S,
) -> None:
    """Tell every event, those without a sentence too; `ready`: all Sentinels, or nodes, are heard."""
    is_cluster = topology.form is Form.CLUSTER
    members = topology.data if is_cluster else topology.sentinels
    names = dict(topology.names)
    deaf = {name for name, _ in members}

    def heard(name: str) -> None:
        deaf.discard(name)
        if ready is not None and not deaf:
            ready.set()

    async def one(name: str, address: Address) -> None:
        while True:
            with contextlib.suppress(WireError, Refused):
                wire = await Wire.open(address, topology.password, timeout_s=1.0)
                said = _seen_by(wire, names, look_s) if is_cluster else _said_by(wire, name, names)
                try:
                    async for event, payload, text in said:
                        heard(name)
                        if event:
                            tell(Happening(time.time(), name, text, event, payload))
                finally:
                    wire.close()
            await asyncio.sleep(COME_BACK_S)

    if not deaf:
        heard("")
    async with asyncio.TaskGroup() as group:
        for name, address in members:
            group.create_task(one(name, address))


async def _said_by(wire: Wire, name: str, names: dict[str, str]) -> AsyncIterator[tuple[str, str, str]]:
    """Yield what a Sentinel says, first nothing; others learn who is meant by its id."""
    with contextlib.suppress(Refused):  # before Redis 6.2 it does not tell
        names[str(await wire.ask("SENTINEL", "MYID"))] = name
    yield "", "", ""
    async for event, payload in wire.messages("*"):
        yield event, payload, in_words(event, payload, names)


async def _seen_by(wire: Wire, names: dict[str, str], look_s: float) -> AsyncIterator[tuple[str, str, str]]:
    """Yield what changes in a cluster node's map, and nothing at its first look."""
    before: list[ClusterNode] | None = None
    while True:
        after = cluster_nodes(await wire.ask("CLUSTER", "NODES"))
        if before is None:
            yield "", "", ""
        else:
            for each in changes(before, after, names):
                yield each.event, each.about, each.text
        before = after
        await asyncio.sleep(look_s)
