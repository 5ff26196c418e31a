"""How many keys a stock primary holds: asked over a connection of its own.

What this is: one question, put while the replication link waits. A stock primary names
no position, so the number of its keys is what tells a primary that came back empty.

What this is not: the decision (`empty_primary`).

How to read it: `count_keys`; INFO keyspace is the one answer that covers all databases.
"""

from __future__ import annotations

import asyncio

from holdfast.replication.upstream_link import encode

ANSWER_MOST_BYTES = 1 << 20


async def count_keys(host: str, port: int, user: str, password: str) -> int:
    """Return the number of keys in all databases. Raises `OSError`, or `ValueError` on an odd answer."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        if password:
            words = (b"AUTH", user.encode(), password.encode()) if user else (b"AUTH", password.encode())
            writer.write(encode(words))
            await reader.readline()
        writer.write(encode((b"INFO", b"keyspace")))
        head = await reader.readline()
        if head[:1] != b"$" or not head[1:].strip().isdigit() or int(head[1:]) > ANSWER_MOST_BYTES:
            raise ValueError(f"unexpected answer to INFO: {head[:100]!r}")
        text = (await reader.readexactly(int(head[1:]) + 2)).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        raise ValueError("the connection ended") from error
    finally:
        writer.close()
    return keys_in(text)


def keys_in(info: str) -> int:
    """Add up the keys of an INFO keyspace section. Raises `ValueError` on an odd line."""
    count = 0
    for line in info.splitlines():
        name, _, fields = line.partition(":")
        if name.startswith("db") and name[2:].isdigit():
            count += int(fields.partition(",")[0].removeprefix("keys="))
    return count
