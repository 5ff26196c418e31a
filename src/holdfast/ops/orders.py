"""What an operator orders of a deployment, ours or any other: another leader, no failover for now.

What it is: the same questions and commands that redis-cli would send, in the right order and
awaited. What it is not: the command line.

How to read it: `switch_over`; `set_automatic_failover`. All raise `OrderFailed` with a sentence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from holdfast.ops.leadership import ClusterNode, asked, cluster_nodes, named_primary
from holdfast.ops.picture import PAUSE_QUORUM
from holdfast.ops.topology import Form, Topology
from holdfast.ops.wire import Address, Refused, WireError, connected, info_fields, pairs

POLL_S = 0.01
IN_PROGRESS_POLL_S = 0.1
PRIORITY_WAIT_S = 15.0
"""A Sentinel asks for INFO every ten seconds; only then it knows a new priority."""
DEFAULT_PRIORITY = "100"
SETTING_LIMIT_S = 5.0
"""A Sentinel writes its file, and syncs it, before it answers."""
PROMPT_PERIOD_MS = 100
"""How often Sentinels ask for INFO while they are to notice a priority."""


class OrderFailed(Exception):
    """It was not done; the text says why."""


@dataclass(frozen=True, slots=True)
class SwitchedOver:
    """Who led, who leads, and how long that took."""

    old: str
    new: str
    took_ms: float


async def switch_over(topology: Topology, to: str = "", limit_s: float = 20.0) -> SwitchedOver:
    """Let a replica lead in the place of a living primary; nothing that was acknowledged is lost."""
    target = topology.address(to) if to else None
    if topology.form is Form.CLUSTER:
        return await _in_cluster(topology, target, limit_s)
    if topology.form is Form.SENTINEL:
        return await _by_sentinel(topology, target, limit_s)
    raise OrderFailed("no Sentinel and no cluster: nobody would tell clients who leads")


# ---- Sentinel ----


async def _by_sentinel(topology: Topology, target: Address | None, limit_s: float) -> SwitchedOver:
    sentinels, password = topology.sentinel_addresses, topology.password
    old = await named_primary(sentinels, topology.group, password)
    if old is None:
        raise OrderFailed("no majority of the Sentinels names a primary")
    if target == old:
        raise OrderFailed(f"{_name(topology, old)} leads already")
    restore = await _prefer(topology, target) if target is not None else None
    is_paused = await _is_paused(topology)
    if is_paused:  # a leader needs the quorum's votes for this, too
        await set_automatic_failover(topology, True)
    began = time.monotonic()
    try:
        deadline = began + limit_s
        await _ask_failover(topology, deadline)
        # Whoever is named may be fenced by a leader that comes after, and yet another be named.
        while (new := await named_primary(sentinels, topology.group, password)) in (None, old) or (
            new is not None and not await _leads(new, password)
        ):
            if time.monotonic() > deadline:
                why = "still leads" if new in (None, old) else f"was replaced, but {new} takes no writes"
                raise OrderFailed(f"{_name(topology, old)} {why} after {limit_s:g} s")
            await asyncio.sleep(POLL_S)
        assert new is not None
        took_ms = (time.monotonic() - began) * 1000
    finally:
        if restore is not None:
            await restore()
        if is_paused:
            await set_automatic_failover(topology, False)
    if target is not None and new != target:
        raise OrderFailed(f"{_name(topology, new)} leads now, and not {_name(topology, target)}")
    return SwitchedOver(_name(topology, old), _name(topology, new), took_ms)


async def _is_paused(topology: Topology) -> bool:
    replies = await asked(
        topology.sentinel_addresses, "SENTINEL", "MASTER", topology.group, password=topology.password
    )
    return any(int(pairs(each).get("quorum", 0)) >= PAUSE_QUORUM for each in replies.values())


async def _ask_failover(topology: Topology, deadline: float) -> None:
    """Have a Sentinel begin; one that still ends the failover before is waited for."""
    problem = "no Sentinel answers"
    for address in topology.sentinel_addresses:
        try:
            async with connected(address, topology.password) as wire:
                while True:
                    try:
                        await wire.ask("SENTINEL", "FAILOVER", topology.group)
                        return
                    except Refused as refusal:
                        if not str(refusal).startswith("INPROG") or time.monotonic() > deadline:
                            raise
                    await asyncio.sleep(IN_PROGRESS_POLL_S)
        except WireError as error:
            problem = str(error)
        except Refused as refusal:
            raise OrderFailed(f"Sentinel {address} refuses: {refusal}") from refusal
    raise OrderFailed(problem)


async def _prefer(topology: Topology, target: Address) -> Callable[[], Awaitable[None]]:
    """Make one replica the one that Sentinels choose; return what undoes it."""
    password = topology.password
    before = await asked([target], "CONFIG", "GET", "replica-priority", password=password)
    told = before.get(target)
    if not isinstance(told, list) or len(told) != 2:
        raise OrderFailed(f"{_name(topology, target)} does not answer")

    async def restore() -> None:
        await asked([target], "CONFIG", "SET", "replica-priority", told[1], password=password)

    lower = "1" if str(told[1]) == DEFAULT_PRIORITY else str(max(1, int(str(told[1])) - 1))
    await asked([target], "CONFIG", "SET", "replica-priority", lower, password=password)
    periods = await _info_periods(topology)

    async def is_known() -> bool:
        replies = await asked(
            topology.sentinel_addresses, "SENTINEL", "REPLICAS", topology.group, password=password
        )
        known = [
            each["slave-priority"]
            for reply in replies.values()
            if isinstance(reply, list)
            for each in map(pairs, reply)
            if (each["ip"], each["port"]) == (target.host, str(target.port))
        ]
        return bool(known) and set(known) == {lower}

    try:
        await _set_info_periods(topology, dict.fromkeys(periods, PROMPT_PERIOD_MS))
        await _until(is_known, PRIORITY_WAIT_S, "the Sentinels have not noticed the preferred replica")
    except OrderFailed:
        await restore()
        raise
    finally:
        await _set_info_periods(topology, periods)
    return restore


async def _info_periods(topology: Topology) -> dict[Address, int]:
    """Return how often each Sentinel asks for INFO, where it tells (SENTINEL DEBUG, Redis 7)."""
    replies = await asked(topology.sentinel_addresses, "SENTINEL", "DEBUG", password=topology.password)
    told = {address: pairs(reply) for address, reply in replies.items()}
    return {address: int(each["INFO-PERIOD"]) for address, each in told.items() if "INFO-PERIOD" in each}


async def _set_info_periods(topology: Topology, periods: Mapping[Address, int]) -> None:
    for address, period_ms in periods.items():
        await asked([address], "SENTINEL", "DEBUG", "INFO-PERIOD", period_ms, password=topology.password)


async def _leads(address: Address, password: str) -> bool:
    replies = await asked([address], "INFO", "replication", password=password)
    fields = info_fields(str(replies.get(address, "")))
    return fields.get("role") == "master" and fields.get("standing", "primary") == "primary"


# ---- a cluster ----


async def _in_cluster(topology: Topology, target: Address | None, limit_s: float) -> SwitchedOver:
    nodes = await cluster_view(topology)
    by_id = {each.id: each for each in nodes}
    if target is None:
        able = [each for each in nodes if each.primary_id and not each.is_failed and each.is_linked]
        if not able:
            raise OrderFailed("there is no replica that could lead")
        target = able[0].address
    chosen = next((each for each in nodes if each.address == target), None)
    if chosen is None or chosen.is_primary:
        raise OrderFailed(f"{_name(topology, target)} leads already, or is no member")
    old = by_id[chosen.primary_id].address
    began = time.monotonic()
    try:
        async with connected(target, topology.password) as wire:
            await wire.ask("CLUSTER", "FAILOVER")
    except (WireError, Refused) as error:
        raise OrderFailed(str(error)) from error
    await _until(
        lambda: _leads(target, topology.password), limit_s, f"{_name(topology, old)} still leads its shard"
    )
    took_ms = (time.monotonic() - began) * 1000
    return SwitchedOver(_name(topology, old), _name(topology, target), took_ms)


async def cluster_view(topology: Topology) -> list[ClusterNode]:
    """Return the members as the first node that answers sees them."""
    for _, address in topology.data:
        replies = await asked([address], "CLUSTER", "NODES", password=topology.password)
        if replies:
            return cluster_nodes(replies[address])
    raise OrderFailed("no node of the cluster answers")


# ---- automatic failover ----


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
        changed.append(_name(topology, address))
    missing = [each for each in topology.sentinel_addresses if _name(topology, each) not in changed]
    if missing:
        raise OrderFailed(f"not told: {', '.join(_name(topology, each) for each in missing)}")
    return changed


def _all_done(topology: Topology, addresses: list[Address], done: Mapping[Address, object]) -> list[str]:
    missing = [_name(topology, each) for each in addresses if each not in done]
    if missing:
        raise OrderFailed(f"not told: {', '.join(missing)}")
    return [_name(topology, each) for each in addresses]


async def _until(question: Callable[[], Awaitable[bool]], limit_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + limit_s
    while not await question():
        if time.monotonic() > deadline:
            raise OrderFailed(f"{otherwise} after {limit_s:g} s")
        await asyncio.sleep(POLL_S)


def _name(topology: Topology, address: Address) -> str:
    return topology.names.get(str(address), str(address))
