"""One migration from beginning to end.

    attach      every primary of the source is followed: what changes from now on is known
    copy        all keys are carried over, as they are
    follow      what changed meanwhile is carried over again, until little is left
    hold        writes to the source wait (CLIENT PAUSE), the last changes are carried over
    verify      counts of all databases, contents of a sample
    hand over   the source refuses writes from now on, so that nobody writes to the old place

If anything goes wrong before the last step, the source goes on as if nothing had been.

How to read it: `migrate`. Raises `MigrationFailed`; `Differs` when the verification failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.ops.leadership import asked, named_primary
from holdfast.ops.migration.copying import Copier, CopyFailed, Nodes
from holdfast.ops.migration.feed import Feed, Key
from holdfast.ops.migration.verify import differences, sizes
from holdfast.ops.orders import OrderFailed, cluster_view
from holdfast.ops.topology import Form, Topology
from holdfast.ops.wire import Refused, WireError, info_fields

BATCH = 500
SCAN_COUNT = 1000
LITTLE = 200
"""So few changed keys are left to carry over while writes wait."""
FOLLOW_LIMIT_S = 60.0
HOLD_MS = 30_000
CLOSED = 1_000_000
"""`min-replicas-to-write` of a source that was handed over: nobody has so many replicas."""

Progress = Callable[[str, int, int], None]
"""Takes the step, how far it is and how far it goes."""


class MigrationFailed(Exception):
    """It was not done, and the source goes on; the text says why."""


class Differs(MigrationFailed):
    """The copy is not equal to the source."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved."""

    keys: int
    changed_meanwhile: int
    held_ms: float
    seconds: float
    is_closed: bool


async def migrate(
    source: Topology,
    target: Topology,
    progress: Progress,
    *,
    replace: bool = False,
    sample: int = 1000,
    hand_over: bool = True,
) -> Moved:
    """Move a live data set. `sample` keys are compared, 0: all."""
    began = time.monotonic()
    feeds: list[Feed] = []
    there: Nodes | None = None
    here: Nodes | None = None
    is_held = is_closed = False
    try:
        there, here = await _nodes(source), await _nodes(target)
        if set(there.primaries) & set(here.primaries):
            raise MigrationFailed("both are the same deployment")
        databases = await _databases(source, there)
        if not replace and any((await sizes(here, databases)).values()):
            raise MigrationFailed("the target is not empty: say --replace to overwrite keys of the same name")
        for address in there.primaries:
            feed = Feed(address, source.password)
            await feed.start()
            feeds.append(feed)
        copier = Copier(there, here)
        keys = await _copy_all(there, copier, databases, progress)
        changed = await _follow(feeds, copier, keys, progress)
        held_at = time.monotonic()
        await _tell(source, there, "CLIENT", "PAUSE", HOLD_MS, "WRITE")
        is_held = True
        changed += await _drain(source, feeds, copier, keys)
        progress("verify", 0, 1)
        wrong = await differences(there, here, databases, sorted(keys), sample)
        if wrong:
            raise Differs("; ".join(wrong))
        progress("verify", 1, 1)
        if hand_over:
            await _close(source)
            is_closed = True
        held_ms = (time.monotonic() - held_at) * 1000
        await _tell(source, there, "CLIENT", "UNPAUSE")
        is_held = False
        count = sum((await sizes(here, databases)).values())
        return Moved(count, changed, held_ms, time.monotonic() - began, is_closed)
    except (WireError, Refused, CopyFailed, OrderFailed) as error:
        raise MigrationFailed(str(error)) from error
    finally:
        for each in feeds:
            each.stop()
        if is_held and there is not None:
            await _tell(source, there, "CLIENT", "UNPAUSE")
        for nodes in (there, here):
            if nodes is not None:
                nodes.close()


async def _nodes(topology: Topology) -> Nodes:
    password = topology.password
    if topology.form is Form.CLUSTER:
        nodes = [each for each in await cluster_view(topology) if each.is_primary and each.slots]
        return Nodes(None, nodes, password)
    if topology.form is Form.ALONE:
        return Nodes(topology.data[0][1], (), password)
    named = await named_primary(topology.sentinel_addresses, topology.group, password)
    if named is None:
        raise MigrationFailed("no majority of the Sentinels names a primary")
    return Nodes(named, (), password)


async def _databases(topology: Topology, nodes: Nodes) -> list[int]:
    replies = await asked(nodes.primaries, "INFO", "keyspace", password=topology.password)
    used = {
        int(name[2:])
        for reply in replies.values()
        for name in info_fields(str(reply))
        if name.startswith("db") and name[2:].isdigit()
    }
    return sorted(used | {0})


async def _copy_all(nodes: Nodes, copier: Copier, databases: list[int], progress: Progress) -> set[Key]:
    total = sum((await sizes(nodes, databases)).values())
    keys: set[Key] = set()
    for database in databases:
        for address in nodes.primaries:
            cursor = "0"
            while True:
                scan = ("SCAN", cursor, "COUNT", SCAN_COUNT)
                (reply,) = await nodes.ask(address, database, [scan])
                if not isinstance(reply, list):
                    raise MigrationFailed(f"{address} cannot be scanned: {reply}")
                cursor, found = str(reply[0]), reply[1]
                assert isinstance(found, list)
                batch = [(database, str(each)) for each in found]
                keys.update(batch)
                for place in range(0, len(batch), BATCH):
                    await copier.copy(batch[place : place + BATCH])
                progress("copy", min(len(keys), total), total)
                if cursor == "0":
                    break
    return keys


async def _follow(feeds: list[Feed], copier: Copier, keys: set[Key], progress: Progress) -> int:
    """Carry over what changed, until little is left; return how many keys that were."""
    deadline = time.monotonic() + FOLLOW_LIMIT_S
    count = 0
    while True:
        left = sum(len(each.changed) for each in feeds)
        progress("follow", 0, left)
        if left <= LITTLE:
            return count
        count += await _carry(feeds, copier, keys)
        if time.monotonic() > deadline:
            raise MigrationFailed(
                f"the source changes faster than it can be followed: {left} keys are behind"
            )


async def _carry(feeds: list[Feed], copier: Copier, keys: set[Key]) -> int:
    count = 0
    for feed in feeds:
        if feed.error is not None:
            raise MigrationFailed(f"{feed.primary} can no longer be followed: {feed.error}")
        if feed.is_wiped:
            raise MigrationFailed("the source was flushed or its databases swapped meanwhile: begin again")
        changed, feed.changed = sorted(feed.changed), set()
        count += len(changed)
        for place in range(0, len(changed), BATCH):
            await copier.copy(changed[place : place + BATCH])
        keys.update(changed)
    return count


async def _drain(source: Topology, feeds: list[Feed], copier: Copier, keys: set[Key]) -> int:
    """Carry over the rest: writes wait, so the stream has an end, but for its heartbeats."""
    ends = {}
    for feed in feeds:
        replies = await asked([feed.primary], "INFO", "replication", password=source.password)
        ends[feed.primary] = int(info_fields(str(replies.get(feed.primary, ""))).get("master_repl_offset", 0))
    deadline = time.monotonic() + HOLD_MS / 2000
    count = 0
    while True:
        is_read = all(each.offset >= ends[each.primary] for each in feeds)
        count += await _carry(feeds, copier, keys)
        if is_read and not any(each.changed for each in feeds):
            return count
        if time.monotonic() > deadline:
            raise MigrationFailed("the last changes do not arrive in time")
        await asyncio.sleep(0.002)


async def _tell(topology: Topology, nodes: Nodes, *words: object) -> None:
    done = await asked(nodes.primaries, *words, password=topology.password, timeout_s=5.0)
    missing = [str(each) for each in nodes.primaries if each not in done]
    if missing and words[1] != "UNPAUSE":
        raise MigrationFailed(f"{', '.join(missing)} refuses {' '.join(map(str, words[:2]))}")


async def _close(topology: Topology) -> None:
    addresses = [address for _, address in topology.data]
    done = await asked(
        addresses, "CONFIG", "SET", "min-replicas-to-write", CLOSED, password=topology.password
    )
    if len(done) < len(addresses):
        missing = ", ".join(str(each) for each in addresses if each not in done)
        raise MigrationFailed(f"{missing} does not answer: it could lead the source later and take writes")
