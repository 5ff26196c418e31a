"""Who leads: asked of the Sentinels, or of the nodes of a cluster.

What it is: a few questions over the wire, together and with short patience. What it is not:
a view of everything (`topology`).

How to read it: `named_primary` for Sentinels; `still_leads` for clusters.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from holdfast.ops.wire import Address, Refused, WireError, ask
from holdfast.sentinel.reply_reader import Reply

PATIENCE_S = 0.5


async def asked(
    addresses: Iterable[Address], *words: object, password: str = "", timeout_s: float = PATIENCE_S
) -> dict[Address, Reply]:
    """Ask many the same; return the replies of those that gave one."""

    async def one(address: Address) -> tuple[Address, Reply | Exception]:
        try:
            return address, await ask(address, *words, password=password, timeout_s=timeout_s)
        except (WireError, Refused) as error:
            return address, error

    answers = await asyncio.gather(*(one(each) for each in addresses))
    return {address: reply for address, reply in answers if not isinstance(reply, Exception)}


async def named_primary(sentinels: Sequence[Address], group: str, password: str = "") -> Address | None:
    """Return whom most of all Sentinels name, dead ones counted; None: no majority answers alike."""
    replies = await asked(sentinels, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", group, password=password)
    named = Counter(
        Address(str(reply[0]), int(str(reply[1])))
        for reply in replies.values()
        if isinstance(reply, list) and len(reply) == 2
    )
    if not named:
        return None
    address, votes = named.most_common(1)[0]
    return address if votes > len(sentinels) // 2 else None


class ClusterNode:
    """A line of CLUSTER NODES (https://redis.io/commands/cluster-nodes/)."""

    def __init__(self, line: str) -> None:
        words = line.split()
        self.id = words[0]
        where = words[1].partition(",")[0].partition("@")[0]
        host, _, port = where.rpartition(":")
        self.address = Address(host, int(port))
        self.flags = frozenset(words[2].split(","))
        self.primary_id = "" if words[3] == "-" else words[3]
        self.config_epoch = int(words[6])
        self.is_linked = words[7] == "connected"
        self.slots = tuple(each for each in words[8:] if not each.startswith("["))

    @property
    def is_primary(self) -> bool:
        """Whether it is one of the primaries."""
        return "master" in self.flags

    @property
    def is_failed(self) -> bool:
        """Whether a majority has called it failed."""
        return "fail" in self.flags

    @property
    def slot_count(self) -> int:
        """How many slots it owns."""
        return sum(_slots_in(each) for each in self.slots)


def _slots_in(text: str) -> int:
    first, dash, last = text.partition("-")
    return int(last) - int(first) + 1 if dash else 1


def cluster_nodes(reply: Reply) -> list[ClusterNode]:
    """Read CLUSTER NODES; nodes whose address is not known yet are left out."""
    lines = str(reply).splitlines()
    return [ClusterNode(each) for each in lines if len(each.split()) >= 8 and ":0@" not in each.split()[1]]


def still_leads(nodes: Sequence[ClusterNode], address: Address) -> bool | None:
    """Tell whether a node leads its shard, by the view of another; None: it is not known there."""
    own = next((each for each in nodes if each.address == address), None)
    return None if own is None else own.is_primary and bool(own.slots)
