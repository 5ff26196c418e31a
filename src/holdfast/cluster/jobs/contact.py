"""The nodes of a cluster as a job reaches them: lines by node id, and a picture of all.

How to read it: `Contact.open` finds the cluster behind any one address; `survey` asks all nodes;
`line` is a connection to one of them, opened anew when it was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast.cluster.jobs.remote import Access, Line, NodeLost, Refused
from holdfast.cluster.jobs.topology import BadView, Picture, View, parse_view


class NotACluster(Exception):
    """The node that was named is no cluster's."""


class Contact:
    """Connections to a cluster."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.addresses: dict[str, tuple[str, int]] = {}
        """Node id: where it is reached."""
        self._seed = ""
        self._lines: dict[str, Line] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._gives_whole: dict[str, bool] = {}

    @classmethod
    async def open(cls, seeds: Sequence[tuple[str, int]], access: Access) -> Contact:
        """Return the cluster that the first of the addresses to answer belongs to. Raises NodeLost, …"""
        assert seeds
        contact = cls(access)
        for place, (host, port) in enumerate(seeds):
            try:
                line = await Line.open(host, port, access)
                view = await ask_view(line, host)
            except NodeLost:
                if place + 1 == len(seeds):
                    raise
                continue
            contact._seed = view.myself
            contact.addresses[view.myself] = (host, port)
            contact._lines[view.myself] = line
            contact._learn(view)
            return contact
        raise AssertionError("unreachable")

    async def line(self, name: str) -> Line:
        """Return a connection to a node. Raises NodeLost, Refused."""
        async with self._opening.setdefault(name, asyncio.Lock()):
            held = self._lines.get(name)
            if held is None or held.is_lost:
                if name not in self.addresses:
                    raise NodeLost(name, "nobody knows its address")
                held = self._lines[name] = await Line.open(*self.addresses[name], self.access)
            return held

    async def survey(self) -> Picture:
        """Ask every node that is known for its view, and those that they know."""
        views: dict[str, View] = {}
        unreachable: dict[str, str] = {}
        while asked := [name for name in self.addresses if name not in views and name not in unreachable]:
            for name, answer in zip(asked, await asyncio.gather(*map(self._view_or_why, asked)), strict=True):
                if isinstance(answer, str):
                    unreachable[name] = answer
                elif answer.myself != name:
                    unreachable[name] = f"another node answers there: {answer.myself}"
                else:
                    views[name] = answer
                    self._learn(answer)
        if not views:
            raise NodeLost("the cluster", "no node answers: " + "; ".join(unreachable.values()))
        # A node that everybody else has forgotten (or reset) is not this cluster's.
        known = {name for view in views.values() for name in view.nodes}
        return Picture(views, {name: why for name, why in unreachable.items() if name in known})

    async def view(self, name: str) -> View:
        """Return one node's view. Raises NodeLost, Refused."""
        return await ask_view(await self.line(name), self.addresses[name][0])

    async def gives_whole(self, name: str) -> bool:
        """Return whether a node knows CLUSTER GIVE: no stock node does. Raises NodeLost, Refused."""
        if name not in self._gives_whole:
            (reply,) = await (await self.line(name)).ask_all([["COMMAND", "INFO", "cluster|give"]])
            self._gives_whole[name] = isinstance(reply, list) and any(reply)
        return self._gives_whole[name]

    async def waits_for_replicas(self, name: str) -> bool:
        """Return whether a node lets its replicas know before it claims a slot. Raises NodeLost, Refused."""
        if not await self.gives_whole(name):
            return False
        (reply,) = await (await self.line(name)).ask_all([["CONFIG", "GET", "min-replicas-to-ack"]])
        return isinstance(reply, list) and reply[1:] not in ([], [b"0"])

    async def close(self) -> None:
        """Hang up everywhere."""
        for line in self._lines.values():
            await line.close()

    def _learn(self, view: View) -> None:
        for node in view.nodes.values():
            if not node.port or node.flags & {"noaddr", "handshake"} or node.id == self._seed:
                continue  # the seed stays where we found it: its own view may have an inner address
            line = self._lines.get(node.id)
            if node.id not in self.addresses or (line is not None and line.is_lost):
                self.addresses[node.id] = (node.host, node.port)

    async def _view_or_why(self, name: str) -> View | str:
        try:
            return await self.view(name)
        except (NodeLost, Refused, BadView) as error:
            return str(error)


async def ask_view(line: Line, host: str) -> View:
    """Return the view of the node at the other end. Raises NodeLost, NotACluster, BadView."""
    try:
        text = await line.ask("CLUSTER", "NODES")
    except Refused as refused:
        if "cluster support disabled" in refused.reply:
            raise NotACluster(f"{line.address} is not a node of a cluster (cluster-enabled no)") from refused
        raise
    assert isinstance(text, bytes)
    return parse_view(text.decode("utf-8", "replace"), host)
