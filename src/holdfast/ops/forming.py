"""How processes that have never met become a deployment, and when it is ready.

What it is: the first epoch for nodes of ours, the first meeting of a cluster, and the question
what is still missing. What it is not: starting processes (`supervisor`).

How to read it: `what_is_missing` defines "ready": clients can write, and one failure would be
survived.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from holdfast.ops.leadership import asked, cluster_nodes, ids_at, named_primary
from holdfast.ops.model import Deployment
from holdfast.ops.plan import FIRST_EPOCH, Kind, Planned, remembered_primary
from holdfast.ops.wire import Address, Refused, connected, info_fields, pairs

SLOTS = 16384
POLL_S = 0.02
FIRST_LEADER = "up"
Complain = Callable[[], None]
"""Raises when waiting longer cannot help."""


async def until_answers(address: Address, password: str, complain: Complain) -> None:
    """Wait until a node answers PING."""
    while not await asked([address], "PING", password=password):
        complain()
        await asyncio.sleep(POLL_S)


async def give_first_epoch(address: Address, password: str, complain: Complain) -> None:
    """Make the first primary lead by an order, so that it knows it is managed.

    From then on a restart makes it a candidate, which takes no writes until the Sentinels
    decide (rules 16 and 20 of the acknowledgement promise): one that was emptied cannot lead.
    """
    await until_answers(address, password, complain)
    async with connected(address, password) as wire:
        while True:
            fields = info_fields(str(await wire.ask("INFO", "replication")))
            epoch, standing = int(fields.get("fence_epoch", "0")), fields.get("standing")
            if epoch > FIRST_EPOCH or (epoch == FIRST_EPOCH and standing == "primary"):
                return
            try:
                report = pairs(await wire.ask("HOLDFAST", "FENCE", FIRST_EPOCH, FIRST_LEADER))
                position = (report["position-epoch"], report["position-offset"])
                await wire.ask("HOLDFAST", "PROMOTE", FIRST_EPOCH, FIRST_LEADER, *position)
            except Refused:  # a lease of the time before has to run out first, or a Sentinel was faster
                complain()
                await asyncio.sleep(POLL_S)


def remembered_leader(texts: Sequence[str]) -> Address | None:
    """Return the primary that the Sentinels' files name, the newest configuration first."""
    found = [each for each in map(remembered_primary, texts) if each is not None]
    return max(found)[1] if found else None


# ---- a cluster ----


async def form_cluster(deployment: Deployment, everything: Sequence[Planned], complain: Complain) -> None:
    """Give slots and epochs, let all meet, attach the replicas; what is done already is left alone."""
    assert deployment.cluster is not None
    nodes = [each for each in everything if each.is_data]
    for each in nodes:
        await until_answers(each.address, deployment.password, complain)
    shards = deployment.cluster.shards
    primaries, replicas = nodes[:shards], nodes[shards:]
    password = deployment.password
    for number, each in enumerate(primaries):
        async with connected(each.address, password) as wire:
            known = cluster_nodes(await wire.ask("CLUSTER", "NODES"))
            if any(one.slots for one in known if "myself" in one.flags):
                continue
            first, last = SLOTS * number // shards, SLOTS * (number + 1) // shards - 1
            await wire.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            await wire.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    async with connected(primaries[0].address, password) as wire:
        for each in nodes[1:]:
            await wire.ask("CLUSTER", "MEET", each.address.host, each.address.port)
    await _all_know_all([each.address for each in nodes], password, complain)
    for each, primary in pairs_of(primaries, replicas):
        async with connected(primary.address, password) as wire:
            primary_id = str(await wire.ask("CLUSTER", "MYID"))
        async with connected(each.address, password) as wire:
            await _replicate(wire.ask, primary_id, complain)


def pairs_of(
    primaries: Sequence[Planned], replicas: Sequence[Planned]
) -> list[tuple[Planned, Planned]]:
    """Return each replica with its primary, so that copies of a shard are on as many hosts as can be."""
    shards = len(primaries)
    hosts = [{each.host} for each in primaries]
    found: list[tuple[Planned, Planned]] = []
    for first in range(0, len(replicas), shards):
        several = replicas[first : first + shards]

        def together(shift: int, several: Sequence[Planned] = several) -> int:
            return sum(each.host in hosts[(place + shift) % shards] for place, each in enumerate(several))

        shift = min(range(shards), key=together)
        for place, each in enumerate(several):
            shard = (place + shift) % shards
            hosts[shard].add(each.host)
            found.append((each, primaries[shard]))
    return found


async def rejoin(address: Address, others: Sequence[Address], password: str) -> str:
    """Bring a node that has lost its nodes.conf back into its cluster, as a replica.

    It is a new node now: its old id is forgotten, it meets the others, and it follows the
    primary that has the fewest replicas. Returns whom it follows, empty if nothing was lost.
    """
    await until_answers(address, password, _nothing)
    async with connected(address, password) as wire:
        if len(cluster_nodes(await wire.ask("CLUSTER", "NODES"))) > 1:
            return ""
        own_id = str(await wire.ask("CLUSTER", "MYID"))
        views = await asked(others, "CLUSTER", "NODES", password=password)
        if not views:
            return ""
        member, view = next(iter(views.items()))
        known = cluster_nodes(view)
        for old_id in {each for reply in views.values() for each in ids_at(reply, address)} - {own_id}:
            await asked(views, "CLUSTER", "FORGET", old_id, password=password)
        await wire.ask("CLUSTER", "MEET", member.host, member.port)
        copies = Counter(each.primary_id for each in known if each.address != address)
        primaries = [each for each in known if each.is_primary and each.slots and not each.is_failed]
        primary = min(primaries, key=lambda each: copies[each.id])
        await _replicate(wire.ask, primary.id, _nothing)
        return str(primary.address)


def _nothing() -> None:
    """Wait on."""


async def _replicate(ask: Callable[..., object], primary_id: str, complain: Complain) -> None:
    while True:
        try:
            await ask("CLUSTER", "REPLICATE", primary_id)  # type: ignore[misc]
        except Refused:
            complain()
            await asyncio.sleep(POLL_S)
        else:
            return


async def _all_know_all(addresses: Sequence[Address], password: str, complain: Complain) -> None:
    while True:
        views = await asked(addresses, "CLUSTER", "NODES", password=password)
        known = [
            [each for each in cluster_nodes(reply) if not each.flags & {"handshake", "noaddr"}]
            for reply in views.values()
        ]
        if len(known) == len(addresses) and all(len(each) == len(addresses) for each in known):
            return
        complain()
        await asyncio.sleep(POLL_S)


# ---- ready ----


async def what_is_missing(deployment: Deployment, everything: Sequence[Planned]) -> str:
    """Return the first thing that is not as it should be, in words; empty: ready."""
    data = [each for each in everything if each.is_data]
    password = deployment.password
    replies = await asked([each.address for each in data], "INFO", "replication", password=password)
    infos = {address: info_fields(str(reply)) for address, reply in replies.items()}
    silent = [each.name for each in data if each.address not in infos]
    if silent:
        return f"{', '.join(silent)} does not answer"
    leading = [each for each in data if infos[each.address].get("role") == "master"]
    wanted = deployment.cluster.shards if deployment.cluster else 1
    if len(leading) != wanted:
        return f"{len(leading)} primaries, not {wanted}"
    for each in data:
        fields = infos[each.address]
        if each in leading and fields.get("standing", "primary") != "primary":
            return f"{each.name} takes no writes yet: {fields['standing']}"
        if each not in leading and fields.get("master_link_status") != "up":
            return f"{each.name} has not copied its primary yet"
    if deployment.cluster is not None:
        missing = await _cluster_missing(data, password)
    else:
        missing = await _sentinels_missing(deployment, everything, leading[0].address)
    if missing:
        return missing
    proxies = [each for each in everything if each.kind is Kind.PROXY]
    answers = await asked([each.address for each in proxies], "GET", "", password=password)
    return "the proxy does not answer" if len(answers) < len(proxies) else ""


async def _sentinels_missing(deployment: Deployment, everything: Sequence[Planned], leader: Address) -> str:
    sentinels = [each.address for each in everything if each.kind is Kind.SENTINEL]
    if not sentinels:
        return ""
    if await named_primary(sentinels, deployment.name, deployment.password) != leader:
        return "the Sentinels do not name the primary yet"
    masters = await asked(sentinels, "SENTINEL", "MASTER", deployment.name, password=deployment.password)
    for reply in masters.values():
        told = pairs(reply)
        if int(told.get("num-other-sentinels", 0)) < len(sentinels) - 1:
            return "the Sentinels do not know each other yet"
        if int(told.get("num-slaves", 0)) < deployment.replicas:
            return "the Sentinels do not know the replicas yet"
    return "a Sentinel does not answer" if len(masters) < len(sentinels) else ""


async def _cluster_missing(data: Sequence[Planned], password: str) -> str:
    states = await asked([each.address for each in data], "CLUSTER", "INFO", password=password)
    for each in data:
        if info_fields(str(states.get(each.address, ""))).get("cluster_state") != "ok":
            return f"{each.name} does not yet see a working cluster"
    return ""
