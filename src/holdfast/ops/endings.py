"""Tells the Sentinels that a node has ended: nobody knows it better than who holds its pidfd.

What it is: for each data node the run id of its process, asked for once it answers; and, when
that process has ended, one word to all Sentinels (SENTINEL EXITED), so that they need neither
suspect nor wait for its lease to end. What it is not: the watching (`child`). Where a report is
lost nothing is but time.

How to read it: `began` and `ended`, which the supervisor calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast.ops.leadership import asked
from holdfast.ops.model import Deployment, Engine
from holdfast.ops.plan import Kind, Planned
from holdfast.ops.starting import Slot
from holdfast.ops.wire import info_fields

ASK_AGAIN_S = 0.1


class Endings:
    """What the Sentinels of a deployment are told of the processes of one host."""

    def __init__(self, deployment: Deployment, everything: Sequence[Planned]) -> None:
        self._deployment = deployment
        self._sentinels = [each.address for each in everything if each.kind is Kind.SENTINEL]
        self._run_ids: dict[int, str] = {}
        """By pid, of those that run."""
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._telling: set[asyncio.Task[object]] = set()

    def began(self, slot: Slot) -> None:
        """Ask a process for its run id as soon as it answers."""
        is_ours = self._deployment.engine is Engine.HOLDFAST and self._deployment.cluster is None
        if slot.child is not None and slot.planned.is_data and is_ours and self._sentinels:
            pid = slot.child.pid
            self._tasks[pid] = asyncio.create_task(self._learn(slot.planned, pid))

    async def _learn(self, planned: Planned, pid: int) -> None:
        password = self._deployment.password
        while pid not in self._run_ids:
            replies = await asked([planned.address], "INFO", "server", password=password)
            fields = info_fields(str(replies.get(planned.address, "")))
            if fields.get("process_id") == str(pid) and fields.get("run_id"):
                self._run_ids[pid] = fields["run_id"]
            else:
                await asyncio.sleep(ASK_AGAIN_S)

    def ended(self, pid: int) -> None:
        """Tell all Sentinels that the process with this pid, which was ours, is gone; wait for none."""
        task = self._tasks.pop(pid, None)
        if task is not None:
            task.cancel()
        run_id = self._run_ids.pop(pid, "")
        if run_id:
            name, password = self._deployment.name, self._deployment.password
            words = ("SENTINEL", "EXITED", name, run_id)
            telling = asyncio.create_task(asked(self._sentinels, *words, password=password))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    def stop(self) -> None:
        """Ask and tell nobody any more."""
        for each in (*self._tasks.values(), *self._telling):
            each.cancel()
        self._tasks.clear()
