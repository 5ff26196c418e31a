"""Carries keys from one deployment to another, as they are at that moment.

What it is: DUMP and RESTORE in batches, with the time at which a key expires; a key that is gone
is removed. What it is not: the choice of keys (`run`, `feed`).

How to read it: `Nodes` finds the node that a key belongs to; `Copier.copy` does one batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from holdfast.engine.slots import slot_of_key
from holdfast.ops.leadership import ClusterNode
from holdfast.ops.migration.feed import Key
from holdfast.ops.wire import Address, Wire
from holdfast.sentinel.reply_reader import Reply, ReplyError

LONG_S = 30.0


class CopyFailed(Exception):
    """A key cannot be carried over; the text says which and why."""


def slot_of(key: str) -> int:
    """Return the slot of a key (https://redis.io/docs/reference/cluster-spec/#hash-tags)."""
    return slot_of_key(key.encode("utf-8", "surrogateescape"))


class Nodes:
    """The primaries of a deployment: one, or those of a cluster by slot."""

    def __init__(self, single: Address | None, cluster: Sequence[ClusterNode], password: str) -> None:
        self._single, self._password = single, password
        self._owners: dict[int, Address] = {}
        for each in cluster:
            for first, last in each.ranges:
                self._owners.update(dict.fromkeys(range(first, last + 1), each.address))
        self._wires: dict[Address, Wire] = {}

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over slots."""
        return self._single is None

    @property
    def primaries(self) -> list[Address]:
        """All primaries, each once."""
        return [self._single] if self._single is not None else list(dict.fromkeys(self._owners.values()))

    def owner(self, key: str) -> Address:
        """Return who serves a key. Raises `CopyFailed`."""
        if self._single is not None:
            return self._single
        owner = self._owners.get(slot_of(key))
        if owner is None:
            raise CopyFailed(f"slot {slot_of(key)} belongs to nobody")
        return owner

    async def ask(self, address: Address, database: int, commands: list[tuple[object, ...]]) -> list[Reply]:
        """Send commands to one primary; return their replies. Raises `WireError`."""
        wire = self._wires.get(address)
        if wire is None:
            wire = self._wires[address] = await Wire.open(address, self._password, LONG_S)
        if self.is_cluster:
            return await wire.pipeline(commands)
        return (await wire.pipeline([("SELECT", database), *commands]))[1:]

    async def ask_each(self, database: int, keyed: Sequence[tuple[str, tuple[object, ...]]]) -> list[Reply]:
        """Send a command for each key to its primary; return replies in the order of the keys."""
        by_owner: dict[Address, list[int]] = defaultdict(list)
        for place, (key, _) in enumerate(keyed):
            by_owner[self.owner(key)].append(place)
        replies: list[Reply] = [None] * len(keyed)
        for address, places in by_owner.items():
            told = await self.ask(address, database, [keyed[place][1] for place in places])
            for place, reply in zip(places, told, strict=True):
                replies[place] = reply
        return replies

    def close(self) -> None:
        """End all connections."""
        for each in self._wires.values():
            each.close()
        self._wires.clear()


class Copier:
    """Copies from one deployment to another."""

    def __init__(self, source: Nodes, target: Nodes) -> None:
        self._source, self._target = source, target

    async def copy(self, keys: Sequence[Key]) -> None:
        """Make keys on the target what they are on the source. Raises `CopyFailed` and `WireError`."""
        by_database: dict[int, list[str]] = defaultdict(list)
        for database, key in keys:
            by_database[database].append(key)
        for database, names in by_database.items():
            if database and self._target.is_cluster:
                raise CopyFailed(f"a cluster has no database {database}, which the source uses")
            await self._copy(database, names)

    async def _copy(self, database: int, names: list[str]) -> None:
        asked = [(key, ("DUMP", key)) for key in names] + [(key, ("PEXPIRETIME", key)) for key in names]
        replies = await self._source.ask_each(database, asked)
        orders: list[tuple[str, tuple[object, ...]]] = []
        for key, dump, ends in zip(names, replies[: len(names)], replies[len(names) :], strict=True):
            for reply in (dump, ends):
                if isinstance(reply, ReplyError):
                    raise CopyFailed(f"{key!r} cannot be read: {reply}")
            if dump is None:
                orders.append((key, ("UNLINK", key)))
            else:
                at_ms = max(0, int(str(ends)))
                orders.append((key, ("RESTORE", key, at_ms, dump, "REPLACE", "ABSTTL")))
        for (key, _), reply in zip(orders, await self._target.ask_each(database, orders), strict=True):
            if isinstance(reply, ReplyError):
                raise CopyFailed(f"{key!r} cannot be written: {reply}")
