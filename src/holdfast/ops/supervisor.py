"""Runs the processes of a deployment on this host: starts, watches, starts again, stops in order.

What it is: the acting part. How a data node starts is `starting`'s; a process is
a `Child`. What it is not: the screen, or the view of the whole deployment (`watch`).

How to read it: `start`, `wait_ready`, `stop` are its life; `_keep` is the life of one
process. What other commands may ask of it: `answers`.

A supervisor that dies leaves its children running; the next one finds them by pid and start
time in run.json and goes on with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence

from holdfast.ops import forming, rules
from holdfast.ops.child import Child, how_it_ended
from holdfast.ops.endings import Endings
from holdfast.ops.files_on_disk import Directory
from holdfast.ops.happenings import Happening
from holdfast.ops.leadership import asked
from holdfast.ops.model import Deployment, Engine
from holdfast.ops.plan import Kind, Planned, sentinel_file
from holdfast.ops.starting import Slot, Starter, State, is_taken
from holdfast.ops.wire import info_fields

READY_POLL_S = 0.02
STOP_LIMIT_S = 30.0
HAPPENINGS_KEPT = 1000
STEADY_AFTER_S = 1.0
"""A process that ended at its start is believed only after so long."""


class CannotStart(Exception):
    """The deployment does not come up; the text says why."""


class Supervisor:
    """The processes of one deployment on one host."""

    def __init__(
        self,
        deployment: Deployment,
        everything: Sequence[Planned],
        mine: Sequence[Planned],
        directory: Directory,
        tell: Callable[[Happening], None],
    ) -> None:
        self.deployment, self.everything, self.directory = deployment, tuple(everything), directory
        self.slots = {each.name: Slot(each) for each in mine}
        self.happenings: deque[Happening] = deque(maxlen=HAPPENINGS_KEPT)
        self._tell_others = tell
        self.is_stopping = False
        self.stop_wanted = asyncio.Event()
        self._starter = Starter(deployment, everything, self.slots, directory, self.tell)
        self._endings = Endings(deployment, everything)

    # ---- its life ----

    async def start(self) -> None:
        """Start everything at once; nothing waits for another but a primary that must not lead.

        Raises `CannotStart` when somebody else has one of the addresses.
        """
        self._remember_shape()
        children = self.directory.read("run.json").get("children", {})
        for slot in self.slots.values():
            pid, ticks = children.get(slot.planned.name, (0, 0))
            slot.child = Child.adopt(pid, ticks)
            if slot.child is not None:
                slot.was_found = slot.was_started = True
                self.tell(slot.planned.name, f"runs already (process {pid}), found again")
        to_start = [slot.planned for slot in self.slots.values() if slot.child is None]
        for program in sorted({each.words[0] for each in to_start}):
            if shutil.which(program) is None:
                raise CannotStart(f"{program} is not installed, or not to be found on PATH")
        taken = [each for each in to_start if is_taken(each)]
        if taken:
            shown = ", ".join(f"{each.address} ({each.name})" for each in taken)
            raise CannotStart(f"in use by somebody else: {shown}; give another --port")
        for slot in self.slots.values():
            slot.keeper = asyncio.create_task(self._keep_always(slot), name=slot.planned.name)

    async def wait_ready(self, limit_s: float) -> None:
        """Return when clients can work and a failure would be survived. Raises `CannotStart`."""
        missing = "nothing answers yet"
        try:
            async with asyncio.timeout(limit_s):
                if self._starter.is_first:
                    await self._form()
                while missing := self._unsteady() or await forming.what_is_missing(
                    self.deployment, self.everything
                ):
                    self._complain_of_dead()
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError:
            raise CannotStart(f"not ready after {limit_s:g} s: {missing}") from None
        self._starter.is_first = False
        self._remember_shape()

    async def stop(self) -> None:
        """Stop all in the order in which nothing is lost."""
        if self.is_stopping:
            return
        self.is_stopping = self._starter.is_stopping = True
        data = [each for each in self.slots.values() if each.planned.is_data]
        is_whole = len(self.slots) == len(self.everything)
        if is_whole or not await self._can_hand_over():
            password = self.deployment.password
            addresses = [each.planned.address for each in data]
            await asked(addresses, "CONFIG", "SET", "shutdown-failover", "no", password=password)
        for kind in rules.STOP_ORDER:
            if kind is Kind.SENTINEL and not is_whole:
                await self._end(await self._leading(data))  # it hands over, with the votes of ours
            await self._end([each for each in self.slots.values() if each.planned.kind is kind])
        self._endings.stop()
        leading = await self._leading(data)
        await self._end(leading)
        await self._end([each for each in data if each not in leading])
        for slot in self.slots.values():
            for task in (slot.keeper, slot.follower):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
        self.directory.write("run.json", {"supervisor": 0, "children": {}})

    def tell(self, source: str, text: str) -> None:
        """Note that something happened."""
        happening = Happening(time.time(), source, text)
        self.happenings.append(happening)
        self._tell_others(happening)

    # ---- one process ----

    async def _keep_always(self, slot: Slot) -> None:
        """Keep a process, whatever goes wrong with the keeping: a full disk, a reply that is none."""
        while not self.is_stopping:
            try:
                await self._keep(slot)
            except Exception as error:  # whatever it is, the others go on, and it is tried again
                slot.failures += 1
                self.tell(slot.planned.name, f"cannot be looked after: {error}")
                await asyncio.sleep(rules.pause_before_start_s(slot.failures))

    async def _keep(self, slot: Slot) -> None:
        name = slot.planned.name
        loop = asyncio.get_running_loop()
        while not self.is_stopping:
            slot.since = loop.time()
            if slot.child is None:
                words, leader = await self._starter.how_to_start(slot)
                if self.is_stopping:
                    return
                try:
                    self._write_file(slot.planned)
                    slot.child = Child.spawn(words, slot.planned.directory, self.directory.log_path(name))
                except OSError as error:
                    slot.failures += 1
                    slot.note = f"cannot be started: {error.strerror}: {words[0]}"
                    self.tell(name, slot.note)
                    await asyncio.sleep(rules.pause_before_start_s(slot.failures))
                    continue
                slot.was_started, slot.since = True, loop.time()
                slot.follower = asyncio.create_task(self._starter.after_start(slot, leader))
            slot.state, slot.note = State.RUNNING, ""
            self._remember_children()
            self._endings.began(slot)
            await slot.child.ended.wait()
            pid, status, slot.child = slot.child.pid, slot.child.status, None
            slot.state = State.ENDED
            if not self.is_stopping:
                self._endings.ended(pid)
            self._remember_children()
            if self.is_stopping:
                return
            slot.failures = slot.failures + 1 if loop.time() - slot.since < rules.HEALTHY_AFTER_S else 1
            slot.restarts += 1
            pause_s = rules.pause_before_start_s(slot.failures)
            slot.ending = how_it_ended(status)
            slot.note = f"{slot.ending}; starts again in {pause_s:g} s"
            self.tell(name, slot.note)
            if slot.is_emptied_next:
                slot.is_emptied_next = False
                self.directory.empty(name)
                self.tell(name, "its disk is empty now")
            await asyncio.sleep(pause_s)

    def _write_file(self, planned: Planned) -> None:
        self.directory.prepare(planned.name)
        text = planned.file_text
        if planned.is_memory:
            text = sentinel_file(text, self.directory.read_text(planned.file_path))
        self.directory.write_text(planned.file_path, text)

    # ---- the whole ----

    async def _form(self) -> None:
        """Make a deployment of processes that have never seen each other."""
        deployment = self.deployment
        here = [each.planned for each in self.slots.values() if each.planned.is_data]
        if deployment.cluster is not None:
            if len(self.slots) == len(self.everything) or "node-1" in self.slots:
                await forming.form_cluster(deployment, self.everything, self._complain_of_dead)
        elif deployment.engine is Engine.HOLDFAST and deployment.sentinels:
            for each in here:
                if each.name == "node-1":
                    await forming.give_first_epoch(each.address, deployment.password, self._complain_of_dead)

    def _unsteady(self) -> str:
        """Return which of our processes does not stay up: another may answer at its address."""
        now = asyncio.get_running_loop().time()
        for name, slot in self.slots.items():
            if slot.child is None or (slot.failures and now - slot.since < STEADY_AFTER_S):
                return f"{name} {slot.note or 'does not stay up'}"
        return ""

    def _complain_of_dead(self) -> None:
        """Raise `CannotStart` if a process does not stay up: waiting longer would not help."""
        for name, slot in self.slots.items():
            if slot.failures >= 3:
                lines = self.directory.read_text(self.directory.log_path(name)).splitlines()
                tail = "\n".join(f"  {each}" for each in lines[-5:])
                why = f"{name} does not stay up, it {slot.ending}" if slot.ending else f"{name} {slot.note}"
                raise CannotStart(f"{why}\n{tail}".rstrip())

    async def _can_hand_over(self) -> bool:
        """Tell whether another host could take over: most Sentinels answer, and a data node elsewhere."""
        password = self.deployment.password
        sentinels = [each.address for each in self.everything if each.kind is Kind.SENTINEL]
        elsewhere = [each.address for each in self.everything if each.is_data and each.name not in self.slots]
        voters = await asked(sentinels, "PING", password=password)
        return len(voters) > len(sentinels) // 2 and bool(await asked(elsewhere, "PING", password=password))

    async def _leading(self, slots: Sequence[Slot]) -> list[Slot]:
        running = {each.planned.address: each for each in slots if each.child is not None}
        replies = await asked(running, "INFO", "replication", password=self.deployment.password)
        return [
            running[address]
            for address, reply in replies.items()
            if info_fields(str(reply)).get("role") == "master"
        ]

    async def _end(self, slots: Sequence[Slot]) -> None:
        """End processes together, gently, then not so gently."""
        children = [(each, each.child) for each in slots if each.child is not None]
        for _, child in children:
            child.send(signal.SIGCONT)
            child.send(signal.SIGTERM)

        async def one(slot: Slot, child: Child) -> None:
            if not await child.wait(STOP_LIMIT_S):
                self.tell(slot.planned.name, f"has not ended after {STOP_LIMIT_S:g} s: it is killed")
                child.send(signal.SIGKILL)
                await child.ended.wait()
            self.tell(slot.planned.name, "stopped")

        await asyncio.gather(*(one(slot, child) for slot, child in children))

    def _remember_children(self) -> None:
        children = {
            name: [slot.child.pid, slot.child.ticks]
            for name, slot in self.slots.items()
            if slot.child is not None
        }
        self.directory.write("run.json", {"supervisor": os.getpid(), "children": children})

    def _remember_shape(self) -> None:
        shape = {each.name: str(each.address) for each in self.everything}
        self.directory.write(
            "deployment.json",
            {
                "name": self.deployment.name,
                "engine": self.deployment.engine.value,
                "cluster": str(self.deployment.cluster or ""),
                "password": self.deployment.password,
                "processes": shape,
                "formed": not self._starter.is_first,
            },
        )
