"""What a drill can break, how it is done, and how it is healed.

What it is: one function a fault, over the supervisor's socket for our own deployments, and
over the wire for others. What it is not: what follows from it (`run`).

How to read it: `FAULTS` is the list; `inject` does one and returns what it did, with a way to
heal it where it does not heal by itself.

A partition is not a stopped process: packets vanish while both sides live. That needs network
namespaces, so it is done only to deployments that run in them (`namespaces`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from holdfast.engine.slots import slot_of_key
from holdfast.ops import control
from holdfast.ops.drill import namespaces
from holdfast.ops.leadership import named_primary
from holdfast.ops.orders import OrderFailed, cluster_view
from holdfast.ops.picture import Health, take
from holdfast.ops.shard_changes import owner_of
from holdfast.ops.switchover import switch_over
from holdfast.ops.topology import Form, Topology
from holdfast.ops.wire import Address, Refused, WireError, connected

POLL_S = 0.02
HEAL_AFTER_S = 0.5
"""A stopped or cut-off primary comes back so long after another leads."""
HEALTHY_LIMIT_S = 30.0


class Fault(Enum):
    """What is broken."""

    KILL = "kill"
    PAUSE = "pause"
    PARTITION = "partition"
    SWITCHOVER = "switchover"
    RESTART_EMPTY = "restart-empty"
    KILL_SENTINEL = "kill-sentinel"
    ROLLING = "rolling"


FAULTS = {
    Fault.KILL: "the primary's process is killed (SIGKILL)",
    Fault.PAUSE: "the primary is stopped (SIGSTOP), and goes on after another leads",
    Fault.PARTITION: "the primary's host is cut off from the network, and comes back after another leads",
    Fault.SWITCHOVER: "the primary hands over to a replica",
    Fault.RESTART_EMPTY: "the primary is killed and comes back with an empty disk",
    Fault.KILL_SENTINEL: "a Sentinel is killed",
    Fault.ROLLING: "every data node is restarted, one after the other, the primary last",
}
HARMLESS = frozenset((Fault.SWITCHOVER,))
"""What can be done to anybody's deployment without losing data."""


class CannotBreak(Exception):
    """This fault cannot be made here; the text says why."""


@dataclass(frozen=True, slots=True)
class Injected:
    """What was done, and when, in seconds since 1970. `heal` None: it heals by itself."""

    what: str
    primary: Address
    """Who led the keys of the drill until then."""
    at: float
    heal: Callable[[], Awaitable[None]] | None = None


async def victim_of(topology: Topology, key: str) -> Address:
    """Return the primary that serves a key. Raises `CannotBreak`."""
    if topology.form is Form.SENTINEL:
        named = await named_primary(topology.sentinel_addresses, topology.group, topology.password)
        if named is None:
            raise CannotBreak("no majority of the Sentinels names a primary")
        return named
    if topology.form is Form.ALONE:
        return topology.data[0][1]
    try:
        owner = owner_of(await cluster_view(topology), slot_of_key(key.encode()))
    except (WireError, Refused, OrderFailed) as error:
        raise CannotBreak(str(error)) from error
    if owner is None:
        raise CannotBreak("nobody serves the keys of the drill")
    return owner.address


def refusal(fault: Fault, topology: Topology) -> str:
    """Return why a fault cannot be made to a deployment, whatever is allowed; empty: it can."""
    if fault is Fault.KILL_SENTINEL and not topology.sentinels:
        return "there is no Sentinel"
    if fault in (Fault.SWITCHOVER, Fault.ROLLING) and topology.form is Form.ALONE:
        return "there is no replica that could take over"
    if fault is Fault.PARTITION and (topology.own is None or not namespaces.are_there(topology)):
        return "its processes share one network: a partition needs a deployment in network namespaces"
    if topology.own is None and fault in (Fault.RESTART_EMPTY, Fault.ROLLING):
        return "only the supervisor of a deployment can restart its processes"
    return ""


async def inject(fault: Fault, topology: Topology, key: str) -> Injected:
    """Break something. Raises `CannotBreak`."""
    try:
        primary = await victim_of(topology, key)
        name, at = topology.names[str(primary)], time.time()
        if fault is Fault.SWITCHOVER:
            done = await switch_over(topology, _replica_in_shard(await cluster_replicas(topology, primary)))
            return Injected(f"{done.old} handed over to {done.new}", primary, at)
        if fault is Fault.ROLLING:
            return Injected(await _rolling(topology, primary), primary, at)
        if fault is Fault.PARTITION:
            await namespaces.cut(primary.host)
            return Injected(
                f"the host of {name} ({primary.host}) was cut off from the network",
                primary,
                at,
                lambda: _back(topology, primary, key, lambda: namespaces.mend(primary.host)),
            )
        if topology.own is not None:
            return await _to_ours(fault, topology, primary, name, key)
        return await _to_others(fault, topology, primary, name)
    except (OrderFailed, control.NotRunning, control.RequestFailed, WireError, Refused) as error:
        raise CannotBreak(str(error)) from error


def _replica_in_shard(replicas: list[Address]) -> str:
    return str(replicas[0]) if replicas else ""


async def cluster_replicas(topology: Topology, primary: Address) -> list[Address]:
    """Return the replicas of a primary, where it is one of a cluster."""
    if topology.form is not Form.CLUSTER:
        return []
    nodes = await cluster_view(topology)
    own = next((each for each in nodes if each.address == primary), None)
    return [each.address for each in nodes if own is not None and each.primary_id == own.id]


async def _to_ours(fault: Fault, topology: Topology, primary: Address, name: str, key: str) -> Injected:
    directory = topology.own
    assert directory is not None

    async def order(do: str, process: str, **fields: Any) -> float:
        return float((await control.request(directory, do, process=process, **fields))["at"])

    if fault is Fault.KILL:
        at = await order("signal", name, signal="KILL")
        return Injected(f"{name} was killed", primary, at)
    if fault is Fault.RESTART_EMPTY:
        at = await order("restart", name, crash=True, empty=True)
        return Injected(f"{name} was killed, and its disk emptied before it came back", primary, at)
    if fault is Fault.KILL_SENTINEL:
        sentinel = topology.sentinels[0][0]
        at = await order("signal", sentinel, signal="KILL")
        return Injected(f"{sentinel} was killed", primary, at)

    async def go_on() -> None:
        await order("signal", name, signal="CONT")

    at = await order("signal", name, signal="STOP")
    return Injected(f"{name} was stopped", primary, at, lambda: _back(topology, primary, key, go_on))


async def _back(topology: Topology, old: Address, key: str, heal: Callable[[], Awaitable[None]]) -> None:
    """Heal as soon as another leads, and a little later."""
    try:
        async with asyncio.timeout(HEALTHY_LIMIT_S):
            while True:
                try:
                    if await victim_of(topology, key) != old:
                        break
                except CannotBreak:
                    pass
                await asyncio.sleep(POLL_S)
            await asyncio.sleep(HEAL_AFTER_S)
    except TimeoutError:
        pass
    finally:
        await heal()


async def _to_others(fault: Fault, topology: Topology, primary: Address, name: str) -> Injected:
    """Break what has no supervisor of ours; it was said that it may lose data."""
    target = topology.sentinels[0][1] if fault is Fault.KILL_SENTINEL else primary
    at = time.time()
    if fault is Fault.PAUSE:
        async with connected(target, topology.password, timeout_s=1.0) as wire:
            try:
                await wire.ask("DEBUG", "SLEEP", 10, timeout_s=0.2)
            except WireError:
                return Injected(f"{name} sleeps for 10 s (DEBUG SLEEP)", primary, at)
            raise CannotBreak(f"{name} did not sleep")
    async with connected(target, topology.password) as wire:
        with_words = ("SHUTDOWN",) if fault is Fault.KILL_SENTINEL else ("SHUTDOWN", "NOSAVE", "NOW", "FORCE")
        try:
            await wire.ask(*with_words)
        except WireError:
            pass  # that it is gone is the answer
    what = f"{topology.names[str(target)]} was shut down ({' '.join(with_words)})"
    return Injected(what, primary, at)


async def _rolling(topology: Topology, primary: Address) -> str:
    """Restart replicas, hand over, restart the old primary; each only when all is well."""
    directory = topology.own
    assert directory is not None
    picture = await take(topology)
    leaders = {each.name for each in picture.rows if each.role == "primary"}
    replicas = [name for name, _ in topology.data if name not in leaders]
    for name in replicas:
        await _restart_one(topology, name)
    for name in sorted(leaders):
        address = topology.address(name)
        successors = await cluster_replicas(topology, address)
        done = await switch_over(topology, _replica_in_shard(successors))
        await _until_healthy(topology)
        await _restart_one(topology, done.old)
    return f"{', '.join((*replicas, *sorted(leaders)))} were restarted one after the other"


async def _restart_one(topology: Topology, name: str) -> None:
    directory = topology.own
    assert directory is not None
    before = (await control.request(directory, "status"))["processes"][name]["pid"]
    await control.request(directory, "restart", process=name)
    while (await control.request(directory, "status"))["processes"][name]["pid"] in (0, before):
        await asyncio.sleep(POLL_S)
    await _until_healthy(topology)


async def _until_healthy(topology: Topology) -> None:
    try:
        async with asyncio.timeout(HEALTHY_LIMIT_S):
            while (picture := await take(topology)).health is not Health.OK:
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise CannotBreak(f"not healthy in time: {'; '.join(picture.problems)}") from None
