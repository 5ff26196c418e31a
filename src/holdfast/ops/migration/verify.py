"""Compares two data sets: how many keys, and what is in them.

What it is: counts of every database, and the content of a sample of keys (or of all), read by
the commands of their type, so that another encoding of the same value is no difference. What
it is not: a digest command, which not every server offers.

How to read it: `differences` returns sentences; empty: equal.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from holdfast.ops.migration.copying import Nodes
from holdfast.ops.migration.feed import Key
from holdfast.sentinel.reply_reader import Reply, ReplyError

READ_BY: dict[str, tuple[str, tuple[object, ...]]] = {
    "string": ("GET", ()),
    "list": ("LRANGE", (0, -1)),
    "set": ("SMEMBERS", ()),
    "hash": ("HGETALL", ()),
    "zset": ("ZRANGE", (0, -1, "WITHSCORES")),
    "stream": ("XRANGE", ("-", "+")),
}
BATCH = 200
TOLD_MAX = 5


async def sizes(nodes: Nodes, databases: Sequence[int]) -> dict[int, int]:
    """Return how many keys each database has."""
    found = {}
    for database in databases:
        replies = [(await nodes.ask(each, database, [("DBSIZE",)]))[0] for each in nodes.primaries]
        found[database] = sum(int(str(each)) for each in replies if not isinstance(each, ReplyError))
    return found


async def differences(
    source: Nodes, target: Nodes, databases: Sequence[int], keys: Sequence[Key], sample: int
) -> list[str]:
    """Compare counts, and the contents of so many of the keys (0: of all)."""
    found = []
    ours, theirs = await sizes(source, databases), await sizes(target, databases)
    for database in databases:
        if ours[database] != theirs[database]:
            found.append(f"database {database}: {ours[database]} keys there, {theirs[database]} here")
    chosen = list(keys) if not sample or sample >= len(keys) else random.sample(list(keys), sample)
    for database in databases:
        names = [name for number, name in chosen if number == database]
        for place in range(0, len(names), BATCH):
            part = names[place : place + BATCH]
            there, here = await _contents(source, database, part), await _contents(target, database, part)
            for key, one, other in zip(part, there, here, strict=True):
                if one != other:
                    found.append(f"{key!r} differs")
                    if len(found) >= TOLD_MAX:
                        return found
    return found


async def _contents(nodes: Nodes, database: int, keys: Sequence[str]) -> list[object]:
    kinds = await nodes.ask_each(database, [(key, ("TYPE", key)) for key in keys])
    asked = []
    for key, kind in zip(keys, kinds, strict=True):
        command, rest = READ_BY.get(str(kind), ("EXISTS", ()))
        asked.append((key, (command, key, *rest)))
    replies = await nodes.ask_each(database, asked)
    ends = await nodes.ask_each(database, [(key, ("PEXPIRETIME", key)) for key in keys])
    return [
        (str(kind), _unordered(str(kind), reply), str(end))
        for kind, reply, end in zip(kinds, replies, ends, strict=True)
    ]


def _unordered(kind: str, reply: Reply) -> object:
    """Return a value without the order that means nothing."""
    if kind == "set" and isinstance(reply, list):
        return frozenset(map(str, reply))
    if kind == "hash" and isinstance(reply, list):
        return frozenset(zip(map(str, reply[::2]), map(str, reply[1::2]), strict=True))
    return str(reply)
