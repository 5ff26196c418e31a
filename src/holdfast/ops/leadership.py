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
    def is_missed(self) -> bool:
        """Whether it is called failed, or does not answer whoever told this."""
        return bool(self.flags & {"fail", "fail?"})

    @property
    def first_slot(self) -> int:
        """The lowest slot that it owns; -1: it owns none."""
        return min((first for first, _ in self.ranges), default=-1)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The slots that it owns: first and last of each run."""
        runs = (each.partition("-") for each in self.slots)
        return [(int(first), int(last or first)) for first, _, last in runs]

    def owns(self, slot: int) -> bool:
        """Tell whether it owns a slot."""
        return any(first <= slot <= last for first, last in self.ranges)


def cluster_nodes(reply: Reply) -> list[ClusterNode]:
    """Read CLUSTER NODES; nodes whose address is not known yet are left out."""
    lines = str(reply).splitlines()
    return [ClusterNode(each) for each in lines if len(each.split()) >= 8 and ":0@" not in each.split()[1]]


def ids_at(reply: Reply, address: Address) -> list[str]:
    """Return, of CLUSTER NODES, the ids at an address, and those that have lost theirs to another node."""
    found = [each.id for each in cluster_nodes(reply) if each.address == address]
    lines = (each.split() for each in str(reply).splitlines())
    return found + [words[0] for words in lines if len(words) >= 8 and "noaddr" in words[2].split(",")]


def still_leads(nodes: Sequence[ClusterNode], address: Address) -> bool | None:
    """Tell whether a node leads its shard, by the view of another; None: it is not known there."""
    own = next((each for each in nodes if each.address == address), None)
    return None if own is None else own.is_primary and bool(own.slots)
