"""Another leader, because an operator wants one: asked of Sentinels, or of a cluster's replica.

What it is: the questions and commands that redis-cli would send, in the right order and awaited.
What it is not: the command line, or an automatic failover.

Our Sentinels, and clusters, see to it that a planned change loses nothing. Stock Sentinels do not:
they promote a replica while the old primary goes on taking writes, for some ten seconds, and all
of those are lost. So around theirs the writes wait here: the old primary is told CLIENT PAUSE
WRITE, its replicas get the rest, another is promoted, the old one follows it, and only then may
what waited go on, to be answered -READONLY.

How to read it: `switch_over`, which raises `OrderFailed` with a sentence; then a function for
each kind of deployment, `_without_loss` among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from holdfast.ops.leadership import asked, named_primary
from holdfast.ops.orders import POLL_S, OrderFailed, cluster_view, name_of, set_automatic_failover, until
from holdfast.ops.picture import PAUSE_QUORUM
from holdfast.ops.topology import Form, Topology
from holdfast.ops.wire import Address, Refused, WireError, connected, info_fields, pairs

IN_PROGRESS_POLL_S = 0.1
PRIORITY_WAIT_S = 15.0
"""A Sentinel asks for INFO every ten seconds; only then it knows a new priority."""
DEFAULT_PRIORITY = "100"
PROMPT_PERIOD_MS = 100
"""How often Sentinels ask for INFO while they are to notice a priority."""
CATCH_UP_LIMIT_S = 3.0
"""So long writes wait at most until the replicas have everything."""


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
        raise OrderFailed(f"{name_of(topology, old)} leads already")
    chief, is_ours = await _chief(topology)
    restore = await _prefer(topology, target) if target is not None else None
    is_paused = await _is_paused(topology)
    if is_paused:  # a leader needs the quorum's votes for this, too
        await set_automatic_failover(topology, True)
    began = time.monotonic()
    try:
        change = _replaced if is_ours else _without_loss
        new = await change(topology, chief, old, began + limit_s)
        took_ms = (time.monotonic() - began) * 1000
    finally:
        if restore is not None:
            await restore()
        if is_paused:
            await set_automatic_failover(topology, False)
    if target is not None and new != target:
        raise OrderFailed(f"{name_of(topology, new)} leads now, and not {name_of(topology, target)}")
    return SwitchedOver(name_of(topology, old), name_of(topology, new), took_ms)


async def _is_paused(topology: Topology) -> bool:
    replies = await asked(
        topology.sentinel_addresses, "SENTINEL", "MASTER", topology.group, password=topology.password
    )
    return any(int(pairs(each).get("quorum", 0)) >= PAUSE_QUORUM for each in replies.values())


async def _chief(topology: Topology) -> tuple[Address, bool]:
    """Return the Sentinel that shall do it, and whether it is ours: those know SENTINEL VOTERS."""
    addresses, password = topology.sentinel_addresses, topology.password
    for words, is_ours in (("VOTERS", True), ("MASTER", False)):
        replies = await asked(addresses, "SENTINEL", words, topology.group, password=password)
        for each in addresses:
            if each in replies:
                return each, is_ours
    raise OrderFailed("no Sentinel answers")


async def _replaced(topology: Topology, chief: Address, old: Address, deadline: float) -> Address:
    """Have a Sentinel replace the primary; return who leads when most Sentinels say so."""
    await _ask_failover(topology, chief, deadline)
    sentinels, password = topology.sentinel_addresses, topology.password
    while True:
        # Whoever is named may be fenced by a leader that comes after, and yet another be named.
        new = await named_primary(sentinels, topology.group, password)
        if new not in (None, old) and await _leads(new, password):
            return new
        if time.monotonic() > deadline:
            why = "still leads" if new in (None, old) else f"was replaced, but {new} takes no writes"
            raise OrderFailed(f"{name_of(topology, old)} {why}: not done in time")
        await asyncio.sleep(POLL_S)


async def _ask_failover(topology: Topology, chief: Address, deadline: float) -> None:
    """Have a Sentinel begin; one that still ends the failover before is waited for."""
    try:
        async with connected(chief, topology.password) as wire:
            while True:
                try:
                    await wire.ask("SENTINEL", "FAILOVER", topology.group)
                    return
                except Refused as refusal:
                    if not str(refusal).startswith("INPROG") or time.monotonic() > deadline:
                        raise
                await asyncio.sleep(IN_PROGRESS_POLL_S)
    except WireError as error:
        raise OrderFailed(str(error)) from error
    except Refused as refusal:
        raise OrderFailed(f"{name_of(topology, chief)} refuses: {refusal}") from refusal


async def _without_loss(topology: Topology, chief: Address, old: Address, deadline: float) -> Address:
    """Have a stock Sentinel replace the primary while writes to that wait, until it follows the new one."""
    await until(
        lambda: _has_candidate(topology, chief),
        deadline - time.monotonic(),
        f"{name_of(topology, chief)} is busy, or knows no replica that could lead",
    )
    hold_ms = int((deadline - time.monotonic()) * 1000)
    try:
        async with connected(old, topology.password) as wire:
            await wire.ask("CLIENT", "PAUSE", hold_ms, "WRITE")
            try:
                end = int(info_fields(str(await wire.ask("INFO", "replication")))["master_repl_offset"])
                behind = f"a replica of {name_of(topology, old)} does not get what it has, nothing was done"
                await until(lambda: _have_all(topology, old, end), CATCH_UP_LIMIT_S, behind)
                new = await _replaced(topology, chief, old, deadline)
                await wire.ask("REPLICAOF", new.host, new.port)
            finally:
                with contextlib.suppress(WireError, Refused):
                    await wire.ask("CLIENT", "UNPAUSE")
            await wire.ask("CLIENT", "KILL", "TYPE", "normal")  # as Sentinels do: readers, too, shall move on
    except (WireError, Refused) as error:
        raise OrderFailed(f"{name_of(topology, old)} cannot hand over without loss: {error}") from error
    return new


async def _has_candidate(topology: Topology, sentinel: Address) -> bool:
    """Tell whether a Sentinel is through with its last failover, and has heard from a replica since."""
    ask = ("SENTINEL", "MASTER", topology.group), ("SENTINEL", "REPLICAS", topology.group)
    primary, replicas = [await asked([sentinel], *words, password=topology.password) for words in ask]
    known = replicas.get(sentinel)
    heard = [
        each.get("flags") == "slave" and each.get("master-link-status") == "ok"
        for each in map(pairs, known if isinstance(known, list) else [])
    ]
    return any(heard) and "failover" not in pairs(primary.get(sentinel)).get("flags", "failover")


async def _have_all(topology: Topology, primary: Address, offset: int) -> bool:
    """Tell whether all replicas that are attached to a primary hold its stream up to an offset."""
    others = [address for _, address in topology.data if address != primary]
    replies = await asked(others, "INFO", "replication", password=topology.password)
    told = [info_fields(str(each)) for each in replies.values()]
    attached = [each for each in told if each.get("master_link_status") == "up"]
    return bool(attached) and all(int(each["slave_repl_offset"]) >= offset for each in attached)


async def _prefer(topology: Topology, target: Address) -> Callable[[], Awaitable[None]]:
    """Make one replica the one that Sentinels choose; return what undoes it."""
    password = topology.password
    before = await asked([target], "CONFIG", "GET", "replica-priority", password=password)
    told = before.get(target)
    if not isinstance(told, list) or len(told) != 2:
        raise OrderFailed(f"{name_of(topology, target)} does not answer")

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
        await until(is_known, PRIORITY_WAIT_S, "the Sentinels have not noticed the preferred replica")
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
        raise OrderFailed(f"{name_of(topology, target)} leads already, or is no member")
    old = by_id[chosen.primary_id].address
    began = time.monotonic()
    try:
        async with connected(target, topology.password) as wire:
            await wire.ask("CLUSTER", "FAILOVER")
    except (WireError, Refused) as error:
        raise OrderFailed(str(error)) from error
    await until(
        lambda: _leads(target, topology.password), limit_s, f"{name_of(topology, old)} still leads its shard"
    )
    took_ms = (time.monotonic() - began) * 1000
    return SwitchedOver(name_of(topology, old), name_of(topology, target), took_ms)


