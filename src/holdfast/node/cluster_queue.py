"""Effects of a cluster's decisions in their order, the disk first.

What it is: `EffectQueue`, which writes nodes.conf and runs what an event asked for when the file is
where it has to be. While it is on its way to the disk clients are served, and what later events
ask for waits behind it; an order waits for nobody (`at_once`): what it writes includes all that
went before. Where the file cannot be written nothing leaves: others will think this node down, and
rightly so; and so it is where the disk hangs for long. What it is not: what an effect does
(`cluster_effects`).

How to read it: `run`, then how the file is written: beside the loop, now, soon, or a line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.cluster import effects as todo
from holdfast.cluster.model import View
from holdfast.cluster.nodes_file import claim_line, slot_lines, text_of
from holdfast.cluster.store import NodesStore

if TYPE_CHECKING:
    from holdfast.node.server import ServerNode

SAVE_SOON_S = 0.3
"""How long nodes.conf may lag behind what no promise hangs on."""
ADDED_MOST = 1 << 18
"""How many bytes of single lines nodes.conf may have behind its text."""
WAITING_MOST = 10_000
"""How many events' effects wait for the disk: with each go some messages, of a few kilobytes."""
Batch = list[todo.Effect]
"""What one event asked for; `Persist` stands first."""


class EffectQueue:
    """What waits to be run, and the file that it waits for."""

    def __init__(
        self,
        node: ServerNode,
        view: View,
        perform: Callable[[Batch, bool], None],
        changed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """Run batches by `perform(batch, may send)`; `changed` is called when the view may have changed.

        `lost` is called instead while that waits for the disk: slots that went are not served meanwhile.
        """
        self._node, self._view = node, view
        self._perform, self._changed, self._lost = perform, changed, lost
        self.store = NodesStore(node.host.disk, node.configuration.path("cluster-config-file"), node.host.pid)
        self.is_open = False
        """Taking part; when that ends, what comes from the disk is passed over."""
        self.is_stale = True
        """nodes.conf was written since the last telling: an address may be another one."""
        self._save_timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        """nodes.conf on its way to the disk."""
        self._waiting: list[Batch] = []
        """What is behind it, an entry an event; empty where nobody waits for the file."""
        self._covered = 0
        """How many of these the text includes that is being written."""
        self._runs = False

    def close(self) -> None:
        """Write what is not written yet, and end."""
        self.is_open = False
        self.save_now()
        if self._writing is not None:
            self._writing.cancel()

    @property
    def waits_for_disk(self) -> bool:
        """Whether the view has what has to be on disk and is not: nobody heard of it, or is served by it."""
        return bool(self._waiting) or self._view.must_sync

    def run(self, *, at_once: bool = False) -> None:
        """Run what waits, in order; `at_once`: when this returns it has been run."""
        if self._runs:
            return
        self._runs = True
        try:
            if at_once and self._waiting:
                self._overtake()
            is_written = True
            while is_written and (batch := self._view.take_effects()):
                if self._waiting:
                    self._waiting.append(batch)
                    if len(self._waiting) > WAITING_MOST:
                        self._wait_no_longer()
                else:
                    is_written = self._begin_batch(batch, at_once)  # if not, the next event tries it again
            if is_written and not (self._waiting and self._view.is_ok):
                self._changed()
            else:
                self._lost()
        finally:
            self._runs = False

    def _begin_batch(self, batch: list[todo.Effect], at_once: bool) -> bool:
        """Run one event's effects, or have them wait for the disk; return whether they could be stood by."""
        may_send = True
        if isinstance(batch[0], todo.Persist):
            self.is_stale = True
            if batch[0].claimed and not at_once and self._may_add():
                self._begin_adding(batch, batch[0].claimed)
                return True
            if batch[0].synced and not at_once:
                self._begin_writing([batch])
                return True
            if batch[0].synced:
                may_send = self._persist(True)
            else:
                self.save_soon()
        self._perform(batch, may_send)
        return may_send

    # ---- nodes.conf ----

    def _begin_writing(self, batches: list[Batch]) -> None:
        """Write the view as it is now; these effects wait for it. A write that nobody waits for gives way."""
        self._cancel_saving()
        if self._writing is not None:
            self._writing.cancel()
        self._waiting, self._covered = batches, len(batches)
        self._writing = self._node.loop.create_task(self._write(text_of(self._view)))

    def _begin_adding(self, batch: Batch, claimed: int) -> None:
        """Write a line about a claim behind the file, and fsync it; these effects wait for it.

        Clients wait for this one: a new file costs twice as much, with the fsync of its directory.
        """
        self._waiting, self._covered = [batch], 1
        if self._writing is not None:
            self._writing.cancel()
        self._writing = self._node.loop.create_task(self._add(claim_line(self._view, claimed)))
        self.save_soon()

    async def _add(self, line: str) -> None:
        try:
            is_newest = await self.store.add_later(line)
        except OSError:
            self._writing = None
            if self.is_open:
                self._begin_writing(self._waiting)  # half a line may stand there
            return
        self._writing = None
        if is_newest and self.is_open:
            self._release(True)

    def _may_add(self) -> bool:
        return self.store.is_named and not self.store.is_torn and self.store.added_bytes <= ADDED_MOST

    async def _write(self, text: str) -> None:
        is_newest = is_written = True
        try:
            is_newest = await self.store.write_later(text)
        except OSError as error:
            self._warn_unwritten(error)
            is_written = False
        self._writing = None
        if is_newest and self.is_open:
            self._release(is_written)

    def _release(self, may_send: bool) -> None:
        """Run what has waited for the disk, up to what has to wait for it again."""
        batches, self._waiting = self._waiting, []
        if not may_send and not batches:
            self._view.save()
        self._runs = True
        try:
            for number, batch in enumerate(batches):
                if number >= self._covered and may_send and isinstance(batch[0], todo.Persist):
                    if batch[0].synced:
                        self._begin_writing(batches[number:])
                        break
                    self.save_soon()
                self._perform(batch, may_send)
        finally:
            self._runs = False
        if may_send:
            self.run()

    def _wait_no_longer(self) -> None:
        """Let nothing leave of what waits, as where the file cannot be written: the disk hangs."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        self._node.log.warning("The cluster configuration file is not written: the disk does not answer")
        batches, self._waiting = self._waiting, []
        for batch in batches:
            self._perform(batch, False)

    def _overtake(self) -> None:
        """Write what is known now: it includes what is on its way."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        may_send = self._persist(True)
        batches, self._waiting = self._waiting, []
        for batch in batches:
            self._perform(batch, may_send)

    def save_soon(self) -> None:
        """Write the file when nobody waits: nothing hangs on it."""
        if self._save_timer is None:
            self._save_timer = self._node.loop.call_later(SAVE_SOON_S, self._save_idly)

    def _save_idly(self) -> None:
        self._save_timer = None
        if self._waiting:
            self.save_soon()
        else:
            self._begin_writing([])

    def save_now(self) -> None:
        """Write what changed a while ago, if it was not written since."""
        if self._save_timer is not None and not self._persist(False):
            self._view.save()

    def add_lines(self, slots: int) -> bool:
        """Write lines about slots behind the file; false: the file has to be replaced, now.

        A new file costs some ten times as much, and is made soon, for all that was added.
        """
        if self._view.must_sync or self._waiting or self.store.added_bytes > ADDED_MOST:
            return False
        try:
            self.store.add(slot_lines(self._view, slots))
        except OSError:
            return False
        if self._writing is not None:
            self._writing.cancel()  # it lacks the line
            self._writing = None
        self.save_soon()
        return True

    def _cancel_saving(self) -> None:
        if self._save_timer is not None:
            self._save_timer.cancel()
            self._save_timer = None

    def _persist(self, synced: bool) -> bool:
        self._cancel_saving()
        try:
            self.store.write(text_of(self._view), synced)
        except OSError as error:
            self._warn_unwritten(error)
            return False
        return True

    def _warn_unwritten(self, error: OSError) -> None:
        self._node.log.warning(f"The cluster configuration file cannot be written: {error}")
