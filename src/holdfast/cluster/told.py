"""Who has taken in what we told: pings to some nodes, and which of them were answered.

What it is: the proof that a node knows what our header said at a moment. Messages of one connection
are read in their order, and each PING is answered; so as many PONGs as PINGs on the connection that
it went out on mean that it was read. What it is not: a count of arrivals: a PONG that answers an older
ping, or that comes over a connection opened since, proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.cluster import messages, outgoing
from holdfast.cluster.model import NEVER_MS, Link, Node, View

AGAIN_MS = 50


class Told:
    """Pings that went out."""

    def __init__(self) -> None:
        self._pings: dict[Node, tuple[Link, int]] = {}
        """By node: the connection, and how many pings had gone over it then."""
        self._told_ms: dict[Node, int] = {}

    def tell(self, view: View, nodes: Iterable[Node], now_ms: int) -> None:
        """Ping those that were not told over their present connection."""
        for each in nodes:
            link = each.link
            if each.is_myself or link is None or not link.is_up:
                continue
            if each not in self._pings or self._pings[each][0] is not link:
                outgoing.ping(view, link, messages.PING, now_ms)
                self._pings[each] = link, link.pings
                self._told_ms[each] = now_ms

    def has_answered(self, node: Node) -> bool:
        """Return whether a node has taken in what it was told."""
        link, count = self._pings.get(node, (None, 0))
        return link is not None and node.link is link and link.pongs >= count

    def has_reported(self, node: Node, about: Node) -> bool:
        """Return whether a node has called another one down since it was told."""
        return about.failure_reports.get(node, NEVER_MS) >= self._told_ms.get(node, 0)

    def forget(self, node: Node, now_ms: int) -> None:
        """Let a node that has answered be told again, if that is a while ago."""
        if self.has_answered(node) and now_ms - self._told_ms[node] >= AGAIN_MS:
            del self._pings[node]
