"""One drill from beginning to end.

What it is: the order of events. First all must be well; then clients write and read for a
while; then something breaks; then they go on until all is well again; then they stop, and every
write that was acknowledged is looked for. What it is not: the terminal, or the page.

How to read it: `drill`, which raises `DrillFailed` if it could not be done, and returns a
`Report` whatever it found.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.ops import control
from holdfast.ops.drill import faults, phases
from holdfast.ops.drill.faults import CannotBreak, Fault, Injected
from holdfast.ops.drill.report import Report, made_of
from holdfast.ops.drill.workload import Workload
from holdfast.ops.happenings import Happening, Repeated
from holdfast.ops.leadership import asked
from holdfast.ops.picture import Health, Picture, take
from holdfast.ops.topology import Form, Topology
from holdfast.ops.watch import listen
from holdfast.ops.wire import WireError, pairs

POLL_S = 0.05
LOOK_S = 0.01
"""How often the nodes of a cluster are looked at: phases are known as exactly as that."""
STEADY_WRITES = 30
BEGIN_LIMIT_S = 15.0


class DrillFailed(Exception):
    """The drill could not be done; the text says why."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How much, and how long."""

    writers: int = 4
    readers: int = 2
    before_s: float = 1.0
    after_s: float = 1.0
    recovery_limit_s: float = 60.0


async def drill(topology: Topology, fault: Fault, scope: Scope, tell: Callable[[str], None]) -> Report:
    """Break something under load; return what happened. Raises `DrillFailed`."""
    reason = faults.refusal(fault, topology)
    if reason:
        raise DrillFailed(reason)
    picture = await _healthy(topology)
    run = f"{os.getpid()}-{int(time.time())}"
    workload = Workload(topology, run, scope.writers, scope.readers)
    heard: list[Happening] = []
    all_heard = asyncio.Event()
    listening = asyncio.create_task(listen(topology, heard.append, all_heard, LOOK_S))
    try:
        async with asyncio.timeout(BEGIN_LIMIT_S):
            await all_heard.wait()
            workload.start()
            began = time.time()
            tell(f"{scope.writers} writers and {scope.readers} readers at work")
            while not workload.all_write(STEADY_WRITES, began):
                await asyncio.sleep(POLL_S)
        await asyncio.sleep(scope.before_s)  # what is usual is measured, too
        tell(faults.FAULTS[fault])
        injected = await faults.inject(fault, topology, workload.writers[0].register)
        fault_at = injected.at
        is_told = fault is Fault.SWITCHOVER or (topology.own is not None and fault is not Fault.PARTITION)
        if not is_told:  # by a supervisor or by Sentinels
            heard.append(Happening(fault_at, "drill", injected.what))
        healing = asyncio.ensure_future(injected.heal()) if injected.heal else None
        if healing is not None and not is_told:
            healing.add_done_callback(lambda _: heard.append(Happening(time.time(), "drill", "it is back")))
        broken_at = time.time() if fault in (Fault.SWITCHOVER, Fault.ROLLING) else fault_at
        wrong = await _recovered(topology, workload, broken_at, healing, scope.recovery_limit_s)
        tell(f"it does not become well again: {wrong}" if wrong else "all is well again")
        await asyncio.sleep(scope.after_s)
    except TimeoutError:
        seen = ", ".join(f"{text} ({count})" for text, count in workload.record.errors.most_common(3))
        raise DrillFailed(f"the clients cannot write: {seen or 'no answer'}") from None
    except CannotBreak as error:
        raise DrillFailed(str(error)) from None
    finally:
        ended_at = time.time()
        if workload.is_running:
            await workload.stop()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
    tell("looking for every acknowledged write")
    try:
        lost = await workload.count_lost()
    except WireError as error:
        raise DrillFailed(str(error)) from None
    await workload.clean()
    happenings = sorted([*heard, *await _of_supervisor(topology, fault_at)], key=lambda each: each.at)
    repeated = Repeated()
    return made_of(
        fault.value,
        injected.what,
        fault_at,
        ended_at,
        _described(topology, picture),
        await _settings(topology, scope),
        _phases(topology, happenings, injected),
        workload.writers,
        workload.readers,
        lost,
        workload.record.errors.most_common(10),
        [each for each in happenings if each.at >= fault_at - 0.5 and repeated.is_news(each)],
    )


async def _healthy(topology: Topology) -> Picture:
    """Wait until all is well, as a drill just before may still be mending. Raises `DrillFailed`."""
    deadline = time.monotonic() + BEGIN_LIMIT_S
    while (picture := await take(topology)).health is not Health.OK:
        if time.monotonic() > deadline:
            raise DrillFailed(f"not healthy before the drill: {'; '.join(picture.problems)}")
        await asyncio.sleep(POLL_S)
    return picture


async def _recovered(
    topology: Topology,
    workload: Workload,
    since: float,
    healing: asyncio.Future[None] | None,
    limit_s: float,
) -> str:
    """Wait until all members that come back are well and all writers write; return what is still wrong."""
    wrong = ""
    try:
        async with asyncio.timeout(limit_s):
            if healing is not None:
                await healing
            while True:
                picture = await take(topology)
                wrong = "; ".join(picture.problems) or "not all clients can write"
                all_write = workload.all_write(STEADY_WRITES, max(since, time.time() - 1.0))
                # What has no supervisor of ours and does not heal is not started again by us.
                is_well = picture.health is Health.OK or (
                    topology.own is None and healing is None and picture.health is Health.DEGRADED
                )
                if all_write and is_well:
                    return ""
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return wrong


async def _of_supervisor(topology: Topology, since: float) -> list[Happening]:
    if topology.own is None:
        return []
    try:
        told = await control.request(topology.own, "status")
    except (control.NotRunning, control.RequestFailed):
        return []
    return [Happening(at, source, text) for at, source, text in told["happenings"] if at >= since - 0.5]


def _phases(topology: Topology, happenings: list[Happening], injected: Injected) -> dict[str, float]:
    if topology.form is Form.CLUSTER:
        return phases.from_looks(happenings, injected.at, str(injected.primary), len(topology.data))
    return phases.from_events(happenings, injected.at)


def _described(topology: Topology, picture: Picture) -> str:
    version = next((each.version for each in picture.rows if each.version), "")
    parts = [f"{len(topology.data)} data nodes ({version})"]
    if topology.sentinels:
        parts.append(f"{len(topology.sentinels)} Sentinels")
    if topology.form is Form.CLUSTER:
        parts.append(f"a cluster of {len(picture.leaders)} shards")
    if topology.proxies:
        parts.append("one stable port")
    return ", ".join(parts)


async def _settings(topology: Topology, scope: Scope) -> list[tuple[str, str]]:
    found = [("writers", str(scope.writers)), ("readers", str(scope.readers))]
    password = topology.password
    if topology.sentinels:
        replies = await asked(
            topology.sentinel_addresses, "SENTINEL", "MASTER", topology.group, password=password
        )
        told = next((pairs(each) for each in replies.values()), {})
        found.append(("down-after-milliseconds", told.get("down-after-milliseconds", "?")))
        found.append(("quorum", told.get("quorum", "?")))
    addresses = [address for _, address in topology.data]
    for name in ("min-replicas-to-ack", "min-replicas-to-write", "appendonly", "cluster-node-timeout"):
        replies = await asked(addresses, "CONFIG", "GET", name, password=password)
        values = {str(each[1]) for each in replies.values() if isinstance(each, list) and len(each) == 2}
        if values and (name != "cluster-node-timeout" or topology.form is Form.CLUSTER):
            found.append((name, ", ".join(sorted(values))))
    return found
