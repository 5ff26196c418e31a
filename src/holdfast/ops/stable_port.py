"""Keeps the stable port pointed at whoever leads.

What it is: asks the Sentinels, at once when one of them says +switch-master and every second
besides, and has the proxy read its file again. What it is not: the proxy, or a safety: a node
that must not lead refuses writes, whoever sends them.

How to read it: `StablePort.run`.
"""

from __future__ import annotations

import asyncio

from holdfast.ops.files_on_disk import Directory
from holdfast.ops.happenings import Happening
from holdfast.ops.leadership import asked, named_primary
from holdfast.ops.plan import Planned
from holdfast.ops.proxy_place import pointed_at
from holdfast.ops.topology import Topology
from holdfast.ops.wire import Address

LOOK_S = 1.0
AGAIN_S = 0.02
RELOAD_LIMIT_S = 2.0


class StablePort:
    """The proxy of this host, and where it points."""

    def __init__(self, proxy: Planned, topology: Topology, directory: Directory) -> None:
        self._proxy, self._topology, self._directory = proxy, topology, directory
        self._news = asyncio.Event()

    def heard(self, happening: Happening) -> None:
        """Take an event of a Sentinel."""
        if happening.event == "+switch-master":
            self._news.set()

    async def run(self) -> None:
        """Follow the leader until cancelled."""
        there = self._topology
        while True:
            self._news.clear()
            named = await named_primary(there.sentinel_addresses, there.group, there.password)
            done = named is None or await self._point_at(named)
            try:
                async with asyncio.timeout(LOOK_S if done and not self._news.is_set() else AGAIN_S):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _point_at(self, primary: Address) -> bool:
        """Point the proxy there, if it is not already; False: it has not taken it."""
        before = self._directory.read_text(self._proxy.file_path)
        after = pointed_at(before or self._proxy.file_text, primary)
        if after == before:
            return True
        self._directory.write_text(self._proxy.file_path, after)
        replies = await asked(
            [self._proxy.address],
            "PROXY",
            "RELOAD",
            password=self._topology.password,
            timeout_s=RELOAD_LIMIT_S,
        )
        return bool(replies)
