"""The end of a node: SHUTDOWN, SIGTERM and SIGINT.

A primary that Sentinels of ours watch first hands over (`shutdown-failover`; not with NOW).
Then, as in Redis: a shutdown waits for replicas that lag (not with NOW; at most
shutdown-timeout seconds; writes are paused meanwhile, and SHUTDOWN ABORT calls it
off), then saves where there are save points or SAVE asks for it, and gives up if
that fails, unless FORCE says not to. Saving and replicas are doors of the node.

How to read it: `Shutdown.begin` starts `_run`, which is the order of events.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.server.pauses import FOR_EVER_MS, SHUTDOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.server.node import Node

REPLICAS_POLL_S = 0.01


@dataclass(frozen=True)
class Manner:
    """How a node is to end."""

    save: bool = False
    nosave: bool = False
    now: bool = False
    force: bool = False

    @staticmethod
    def of_words(words: frozenset[str]) -> Manner:
        """Read `shutdown-on-sigint` and `shutdown-on-sigterm`."""
        return Manner("save" in words, "nosave" in words, "now" in words, "force" in words)


class Shutdown:
    """The shutdown of one node; at most one is under way."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._task: asyncio.Task[None] | None = None
        self._may_abort = False
        self._told: list[Callable[[str], None]] = []
        self.deadline_ms = 0
        """When the wait for replicas ends (milliseconds since 1970); 0: none is under way."""

    @property
    def under_way(self) -> bool:
        """Whether the node is about to end."""
        return self._task is not None

    def begin(self, manner: Manner, failed: Callable[[str], None] | None = None) -> None:
        """Begin to end; `failed` is called with an error text if the node goes on after all."""
        if failed is not None:
            self._told.append(failed)
        if self._task is None:
            self._node.log.notice("User requested shutdown...")
            self._task = self._node.loop.create_task(self._run(manner))

    def abort(self) -> bool:
        """Call off a shutdown that still waits for replicas; False: there is none."""
        if self._task is None or not self._may_abort:
            return False
        self._task.cancel()
        self._go_on("ERR Errors trying to SHUTDOWN. Check logs.")
        self._node.log.notice("Shutdown manually aborted.")
        return True

    async def _run(self, manner: Manner) -> None:
        node = self._node
        await self._hand_over(manner)
        await self._wait_for_replicas(manner)
        problem = await self._save(manner)
        if problem and not manner.force:
            node.log.warning(f"Error trying to save the DB, can't exit: {problem}")
            self._go_on("ERR Errors trying to SHUTDOWN. Check logs.")
            return
        for prepare in node.doors.before_shutdown:
            await prepare()
        node.log.warning("Redis is now ready to exit, bye bye...")
        await node.stop()

    async def _hand_over(self, manner: Manner) -> None:
        """Let another lead first, where Sentinels of ours watch (`shutdown-failover`)."""
        node, doors = self._node, self._node.doors
        seconds = node.configuration["shutdown-timeout"]
        if manner.now or not seconds or not node.configuration["shutdown-failover"] or not doors.leave():
            return
        node.log.notice("Handing over to a replica before shutting down.")
        until_us = node.host.clock.boot_us() + seconds * 1_000_000
        self._may_abort = True
        while not doors.has_left() and node.host.clock.boot_us() < until_us:
            await asyncio.sleep(REPLICAS_POLL_S)
        self._may_abort = False

    async def _wait_for_replicas(self, manner: Manner) -> None:
        node = self._node
        seconds = node.configuration["shutdown-timeout"]
        if manner.now or not seconds or not node.doors.replicas_lag():
            return
        self.deadline_ms = node.host.clock.wall_us() // 1000 + seconds * 1000
        node.client_pauses.begin(SHUTDOWN, FOR_EVER_MS, everything=False)
        node.log.notice("Waiting for replicas before shutting down.")
        self._may_abort = True
        while node.doors.replicas_lag() and node.host.clock.wall_us() // 1000 < self.deadline_ms:
            await asyncio.sleep(REPLICAS_POLL_S)
        self._may_abort = False

    async def _save(self, manner: Manner) -> str:
        save = self._node.doors.save_at_shutdown
        if manner.nosave or save is None or not (manner.save or self._node.configuration["save"]):
            return ""
        self._node.log.notice("Saving the final RDB snapshot before exiting.")
        return await save(manner.save)

    def _go_on(self, error: str) -> None:
        self._task = None
        self._may_abort = False
        self.deadline_ms = 0
        self._node.client_pauses.end(SHUTDOWN)
        self._node.doors.stay()
        told, self._told = self._told, []
        for tell in told:
            tell(error)
