"""Nodes that come and go: a new cluster, a node more, a node less.

Each of these can be said again after it was stopped half-way: what is done already is seen and left.

How to read it: `create`, `join`, `leave`; `fresh` says whether a node may be taken in; `check` and
`candidate` ask that of nodes before anything is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from holdfast.cluster.jobs.contact import Contact, ask_view
from holdfast.cluster.jobs.placement import Layout
from holdfast.cluster.jobs.remote import Access, Line, NodeLost, Refusal, Refused
from holdfast.cluster.jobs.topology import Picture, View

Tell = Callable[[str], None]
PAUSE_S = 0.1
SETTLE_S = 60.0


class NotFresh(Exception):
    """A node that should be taken in has keys, slots or other friends."""


class DidNotSettle(Exception):
    """The nodes did not agree in time."""


async def create(nodes: Mapping[str, tuple[str, int]], layout: Layout, access: Access, tell: Tell) -> Picture:
    """Make a cluster of nodes (address: host and port). Raises NotFresh, DidNotSettle, NodeLost, Refused."""
    lines: dict[str, Line] = {}
    try:
        for address, (host, port) in nodes.items():
            lines[address] = await Line.open(host, port, access)
        views = await _fresh_views(lines, nodes, layout)
        tell("giving slots to primaries")
        for address in layout.primaries:
            if not views[address].me.ranges:
                first, last = layout.ranges[address]
                await lines[address].ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for number, address in enumerate(nodes, 1):
            # Fails on a node that has an epoch already (a second run): no harm.
            await lines[address].ask_all([["CLUSTER", "SET-CONFIG-EPOCH", number]])
        await meet(lines, nodes, views, tell)
        tell("making replicas")
        for replica, primary in layout.replicas.items():
            if views[replica].me.primary_id != views[primary].myself:
                await lines[replica].ask("CLUSTER", "REPLICATE", views[primary].myself)
        contact = await Contact.open([next(iter(nodes.values()))], access)
        try:
            tell("waiting until all agree and every replica is in step")
            return await settled(contact, len(nodes))
        finally:
            await contact.close()
    finally:
        for line in lines.values():
            await line.close()


async def check(nodes: Mapping[str, tuple[str, int]], layout: Layout, access: Access) -> None:
    """Ask nodes whether `create` may begin. Raises NotFresh, NodeLost, Refused."""
    lines: dict[str, Line] = {}
    try:
        for address, (host, port) in nodes.items():
            lines[address] = await Line.open(host, port, access)
        await _fresh_views(lines, nodes, layout)
    finally:
        for line in lines.values():
            await line.close()


async def _fresh_views(
    lines: Mapping[str, Line], nodes: Mapping[str, tuple[str, int]], layout: Layout
) -> dict[str, View]:
    views = {address: await ask_view(line, nodes[address][0]) for address, line in lines.items()}
    ours = {view.myself for view in views.values()}
    if len(ours) < len(nodes):
        raise NotFresh("a node was given twice")
    for address, line in lines.items():
        await fresh(line, views[address], ours, layout.ranges.get(address))
    return views


async def candidate(contact: Contact, picture: Picture, host: str, port: int) -> View:
    """Return the view of a node to be taken in, or that is in. Raises NotFresh, NodeLost, Refused."""
    line = await Line.open(host, port, contact.access)
    try:
        view = await ask_view(line, host)
        if view.myself not in picture.nodes:
            await fresh(line, view, {view.myself}, members=set(picture.nodes))
        return view
    finally:
        await line.close()


async def fresh(
    line: Line, view: View, ours: set[str], ranges: tuple[int, int] | None = None,
    *, members: set[str] | None = None,
) -> None:  # fmt: skip
    """Raise NotFresh unless a node is empty and knows nobody but `ours`; slots only as planned.

    `members`: of the cluster that it is to join, which does not know it.
    """
    known = {name for name, node in view.nodes.items() if "handshake" not in node.flags}
    strangers = known - ours
    if strangers and strangers <= (members or set()):
        raise NotFresh(f"{line.address} was taken out while it was away: {reset_words(line.address)}")
    if strangers:
        raise NotFresh(
            f"{line.address} is in a cluster with {len(strangers)} other nodes: remove it there first "
            f"(where they have forgotten it: {reset_words(line.address)})"
        )
    if view.me.ranges and view.me.ranges != (ranges,):
        raise NotFresh(f"{line.address} has slots already")
    if await line.ask("DBSIZE") and not view.me.ranges and view.me.is_primary:
        raise NotFresh(f"{line.address} has keys: FLUSHALL it first, if nobody needs them")


def reset_words(address: str) -> str:
    """Say how a node becomes as new; what it holds is lost."""
    host, _, port = address.rpartition(":")
    return (
        f"redis-cli -h {host} -p {port} CLUSTER RESET HARD makes it as new (FLUSHALL first where it has keys)"
    )


async def meet(
    lines: Mapping[str, Line], nodes: Mapping[str, tuple[str, int]], views: Mapping[str, View], tell: Tell
) -> None:
    """Introduce nodes to the first of them until every one knows all. Raises DidNotSettle."""
    tell("introducing the nodes to each other")
    first, *others = lines
    host, port = nodes[first]

    async def know_all() -> bool:
        views = [await ask_view(line, nodes[address][0]) for address, line in lines.items()]
        everybody = {view.myself for view in views}
        return all(everybody <= set(view.nodes) for view in views)

    for address in others:
        await lines[address].ask("CLUSTER", "MEET", host, port, views[first].me.bus_port)
    await _until(know_all, "not every node has heard of all others")


async def join(contact: Contact, host: str, port: int, primary: str, tell: Tell) -> str:
    """Take a node in, as replica of a primary (its id) or without slots; return its id.

    Raises as `create`.
    """
    line = await Line.open(host, port, contact.access)
    try:
        view = await ask_view(line, host)
        picture = await contact.survey()
        seed = next(node for node in picture.primaries if node.ranges)
        if view.myself in picture.nodes:
            tell(f"{line.address} is in the cluster already")
        else:
            await fresh(line, view, {view.myself}, members=set(picture.nodes))
            await line.ask("CLUSTER", "MEET", seed.host, seed.port, seed.bus_port)

            async def is_known() -> bool:
                now = await contact.survey()
                known = await ask_view(line, host)
                return all(view.myself in each.nodes for each in now.views.values()) and set(
                    now.views
                ) <= set(known.nodes)

            tell(f"waiting until every node knows {line.address}")
            await _until(is_known, f"not every node has heard of {line.address}")
        contact.addresses.setdefault(view.myself, (host, port))
        if await _state_is_ok(contact, seed.id):
            # A node that has just learnt whose the slots are refuses requests for a while.
            await _until(lambda: _state_is_ok(contact, view.myself), f"{line.address} serves nobody")
        if primary and (await ask_view(line, host)).me.primary_id != primary:
            await line.ask("CLUSTER", "REPLICATE", primary)
            tell("waiting until it is in step with its primary")

            async def in_step() -> bool:
                return await _link_is_up(line)

            await _until(in_step, f"{line.address} has no link to its primary")
        return view.myself
    finally:
        await line.close()


async def leave(contact: Contact, name: str, heirs: Mapping[str, str], tell: Tell) -> None:
    """Take a node out that serves no slot: its replicas go to others, all forget it, and it is as new.

    `heirs`: replica: the primary that it follows from now on. Raises Refused, NodeLost, DidNotSettle.
    """
    picture = await contact.survey()
    for replica, primary in heirs.items():
        view = picture.views.get(replica)
        if view is not None and view.me.primary_id != primary and not view.me.ranges:
            tell(f"{view.me.address} follows {picture.nodes[primary].address} now")
            await (await contact.line(replica)).ask("CLUSTER", "REPLICATE", primary)

    async def follows_nobody() -> bool:
        now = await contact.survey()
        return not any(node.primary_id == name for view in now.views.values() for node in view.nodes.values())

    await _until(follows_nobody, "somebody still follows the node")
    waited = [replica for replica in heirs if replica in picture.views]

    async def in_step() -> bool:
        return all([await _is_linked(contact, replica) for replica in waited])

    await _until(in_step, "its replicas have no link to their new primaries")
    tell("telling every node to forget it")
    for other in picture.views:
        if other != name:
            (reply,) = await (await contact.line(other)).ask_all([["CLUSTER", "FORGET", name]])
            if isinstance(reply, Refusal) and "Unknown node" not in reply:
                raise Refused(picture.nodes[other].address, "CLUSTER FORGET", reply)
    if name in picture.views:
        await (await contact.line(name)).ask("CLUSTER", "RESET", "HARD")


async def settled(contact: Contact, count: int) -> Picture:
    """Return a picture in which `count` nodes agree and every replica has its link. Raises DidNotSettle."""
    seen: list[Picture] = []

    async def agree() -> bool:
        picture = await contact.survey()
        seen[:] = [picture]
        if len(picture.views) < count or any(len(view.nodes) < count for view in picture.views.values()):
            return False
        if any(view.owners != picture.owners for view in picture.views.values()):
            return False
        replicas = [name for name, view in picture.views.items() if not view.me.is_primary]
        links = await asyncio.gather(*(_is_linked(contact, name) for name in replicas))
        states = await asyncio.gather(*(_state_is_ok(contact, name) for name in picture.views))
        return all(links) and all(states)

    await _until(agree, "the nodes do not agree")
    return seen[0]


async def _is_linked(contact: Contact, name: str) -> bool:
    return await _link_is_up(await contact.line(name))


async def _link_is_up(line: Line) -> bool:
    told = await line.ask("INFO", "replication")
    return isinstance(told, bytes) and b"master_link_status:up" in told


async def _state_is_ok(contact: Contact, name: str) -> bool:
    told = await (await contact.line(name)).ask("CLUSTER", "INFO")
    return isinstance(told, bytes) and b"cluster_state:ok" in told


async def _until(condition: Callable[[], Awaitable[bool]], failure: str) -> None:
    """Ask until it is so. Nodes tell nobody what they have heard: there is no event to await."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLE_S
    while True:
        try:
            if await condition():
                return
        except NodeLost as error:
            failure = str(error)
        except Refused as error:
            if error.reply.code != "LOADING":
                raise
            failure = str(error)  # a new replica takes its primary's data
        if loop.time() > until:
            raise DidNotSettle(f"{failure} after {SETTLE_S:g} s")
        await asyncio.sleep(PAUSE_S)
