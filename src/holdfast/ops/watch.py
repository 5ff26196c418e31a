"""Listens to all Sentinels of a deployment and tells what they say, as happenings.

What it is: a subscription to each Sentinel that comes back by itself. What it is not: polling
of the members (`picture`).

How to read it: `listen` runs until cancelled; `Repeated` drops what several Sentinels say alike.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from holdfast.ops.happenings import Happening, in_words
from holdfast.ops.topology import Topology
from holdfast.ops.wire import Address, Refused, Wire, WireError

COME_BACK_S = 0.1
ALIKE_S = 3.0


async def listen(
    topology: Topology, tell: Callable[[Happening], None], ready: asyncio.Event | None = None
) -> None:
    """Tell every event of every Sentinel, those without a sentence too; `ready`: all are heard."""
    deaf = {name for name, _ in topology.sentinels}

    def heard(name: str) -> None:
        deaf.discard(name)
        if ready is not None and not deaf:
            ready.set()

    if not deaf:
        heard("")
    async with asyncio.TaskGroup() as group:
        for name, address in topology.sentinels:
            group.create_task(_listen_to(name, address, topology, tell, heard))


async def _listen_to(
    name: str,
    address: Address,
    topology: Topology,
    tell: Callable[[Happening], None],
    heard: Callable[[str], None],
) -> None:
    names = topology.names
    while True:
        try:
            wire = await Wire.open(address, topology.password, timeout_s=1.0)
        except (WireError, Refused):
            await asyncio.sleep(COME_BACK_S)
            continue
        try:
            heard(name)
            async for event, payload in wire.messages("*"):
                tell(Happening(time.time(), name, in_words(event, payload, names), event, payload))
        except WireError:
            pass
        finally:
            wire.close()
        await asyncio.sleep(COME_BACK_S)


class Repeated:
    """Remembers what was said lately, so that three Sentinels make one line."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def is_news(self, happening: Happening) -> bool:
        """Tell whether it was not said within the last seconds; votes of each Sentinel are news."""
        if not happening.text:
            return False
        said = happening.text if happening.event else f"{happening.source} {happening.text}"
        last = self._said.get(said, 0.0)
        self._said[said] = happening.at
        return happening.at - last > ALIKE_S
