"""What an operator orders of a deployment, ours or any other: no failover for now, and again.

What it is: the same questions and commands that redis-cli would send, in the right order and
awaited. What it is not: the command line, or a change of the leader (`switchover`).

How to read it: `set_automatic_failover`. All raise `OrderFailed` with a sentence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from holdfast.ops.leadership import ClusterNode, asked, cluster_nodes
from holdfast.ops.picture import PAUSE_QUORUM
from holdfast.ops.topology import Form, Topology
from holdfast.ops.wire import Address, pairs

POLL_S = 0.01
SETTING_LIMIT_S = 5.0
"""A Sentinel writes its file, and syncs it, before it answers."""


class OrderFailed(Exception):
    """It was not done; the text says why."""


async def cluster_view(topology: Topology) -> list[ClusterNode]:
    """Return the members as the first node that answers sees them."""
    for _, address in topology.data:
        replies = await asked([address], "CLUSTER", "NODES", password=topology.password)
        if replies:
            return cluster_nodes(replies[address])
    raise OrderFailed("no node of the cluster answers")


async def set_automatic_failover(topology: Topology, is_on: bool) -> list[str]:
    """Switch it; return what was changed. Deliberate switchovers work all the same.

    With Sentinels the quorum is raised beyond any count, which redis-sentinel understands too;
    in a cluster every node is told `cluster-replica-no-failover`.
    """
    if topology.form is Form.ALONE:
        raise OrderFailed("no Sentinel and no cluster: there is no automatic failover")
    if topology.form is Form.CLUSTER:
        addresses = [address for _, address in topology.data]
        word = "no" if is_on else "yes"
        words = ("CONFIG", "SET", "cluster-replica-no-failover", word)
        done = await asked(addresses, *words, password=topology.password, timeout_s=SETTING_LIMIT_S)
        return _all_done(topology, addresses, done)
    replies = await asked(
        topology.sentinel_addresses, "SENTINEL", "MASTER", topology.group, password=topology.password
    )
    changed: list[str] = []
    for address in topology.sentinel_addresses:
        quorum = int(pairs(replies.get(address)).get("quorum", 0))
        if not quorum:
            continue
        wanted = quorum % PAUSE_QUORUM + (0 if is_on else PAUSE_QUORUM)
        if wanted != quorum:
            order = ("SENTINEL", "SET", topology.group, "quorum", wanted)
            done = await asked([address], *order, password=topology.password, timeout_s=SETTING_LIMIT_S)
            if not done:
                continue
        changed.append(name_of(topology, address))
    missing = [each for each in topology.sentinel_addresses if name_of(topology, each) not in changed]
    if missing:
        raise OrderFailed(f"not told: {', '.join(name_of(topology, each) for each in missing)}")
    return changed


def _all_done(topology: Topology, addresses: list[Address], done: Mapping[Address, object]) -> list[str]:
    missing = [name_of(topology, each) for each in addresses if each not in done]
    if missing:
        raise OrderFailed(f"not told: {', '.join(missing)}")
    return [name_of(topology, each) for each in addresses]


async def until(question: Callable[[], Awaitable[bool]], limit_s: float, otherwise: str) -> None:
    """Ask again and again until it is so. Raises `OrderFailed`."""
    deadline = time.monotonic() + limit_s
    while not await question():
        if time.monotonic() > deadline:
            raise OrderFailed(f"{otherwise} after {limit_s:g} s")
        await asyncio.sleep(POLL_S)


def name_of(topology: Topology, address: Address) -> str:
    """Return what a member is called."""
    return topology.names.get(str(address), str(address))
