"""The agent of virtual addresses: decisions, voters, kernel and hooks wired into one object.

What it is: for each address one machine, a beat, a conversation with every voter, one with
the local server, and a worker that runs effects in their order. What it is not: decisions
(`holdfast.vip.decision`), the process (`holdfast.cli.vip`).

How to read it: `VipAgent` holds a `Keeper` an address; `Keeper.start` names its tasks;
`_run_effects` is the contract on effects: what takes the address away never waits for a
hook or a voter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from holdfast.server.address_lease import LIFETIME_LEASE_MS
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.vip import announce, decision
from holdfast.vip.asking import Heard, LocalServer, Voter
from holdfast.vip.decision import Machine, State
from holdfast.vip.interface import Addresses, Hooks
from holdfast.vip.settings import AddressSettings, Settings

BEAT_S = 0.02
POLL_MS = 100
"""Between two questions who the primary is, while nothing else is asked."""
HURRY_MS, HURRIED_MS = 2000, 15
"""For so long, and so often, it is asked after the local server has begun to lead."""


class Keeper:
    """One address on one host."""

    def __init__(
        self, settings: AddressSettings, host: Host, log: Log, addresses: Addresses, hooks: Hooks
    ) -> None:
        self.settings, self.host, self._log = settings, host, log
        self._addresses, self._hooks = addresses, hooks
        self.agent = f"{host.name}/{host.random.getrandbits(32):08x}"
        lease_ms = max(settings.lease_ms, LIFETIME_LEASE_MS if addresses.grain_ms > 1 else 0)
        self.voters = [
            Voter(each, settings, self.agent, self.now_ms, lease_ms=lease_ms, late_ms=addresses.late_ms)
            for each in settings.sentinels
        ]
        self._server = LocalServer(settings)
        names = tuple(each.name for each in self.voters)
        self.machine = Machine(
            names,
            lease_ms,
            host.random,
            follows_primary=settings.follow == "primary",
            grain_ms=addresses.grain_ms,
        )
        self.history: list[tuple[int, str, str]] = []
        """The last changes: milliseconds since 1970, event, words."""
        self._asks = {each: asyncio.Event() for each in names}
        self._gives_back: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._side_tasks: set[asyncio.Task[None]] = set()
        self._announcing: asyncio.Task[None] | None = None
        self._kernel = asyncio.Lock()
        """One change at a time, so that no renewal in flight brings a removed address back."""

    def now_ms(self) -> int:
        """Return milliseconds of the clock that never goes back and counts suspension."""
        return self.host.clock.boot_us() // 1000

    async def start(self) -> None:
        """Remove a leftover, then begin. Raises OSError where the address cannot be changed."""
        if await self._addresses.remove():
            self._told("leftover", "an address left from before was removed")
        for each in self.voters:
            self._tasks.append(asyncio.create_task(self._follow_voter(each)))
        self._tasks.append(asyncio.create_task(self._follow_server()))
        self._tasks.append(asyncio.create_task(self._beat()))

    async def stop(self) -> None:
        """Let go of the address, give the votes back, end."""
        self.machine.stop()
        self._run_effects()
        while self._side_tasks:
            await asyncio.gather(*self._side_tasks)
        for task in (*self._tasks, *([self._announcing] if self._announcing else ())):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._gives_back:
            await asyncio.gather(*(each.give_back() for each in self.voters))
        for each in self.voters:
            await each.close()
        await self._server.close()

    # ---- tasks ----

    async def _beat(self) -> None:
        while True:
            self.machine.look(self.now_ms())
            self._run_effects()
            await asyncio.sleep(BEAT_S)

    async def _follow_server(self) -> None:
        led_since_ms = 0
        while True:
            is_alive, word = await self._server.check()
            now_ms = self.now_ms()
            self.machine.server(is_alive, word, now_ms)
            self._run_effects()
            pause_ms = self.settings.check_ms
            if is_alive and self.machine.follows_primary and not self.machine.is_wanted(now_ms):
                led_since_ms = (led_since_ms or now_ms) if await self._server.leads() else 0
                if led_since_ms and now_ms - led_since_ms < HURRY_MS:
                    # It was promoted: the Sentinels will name it in a moment.
                    pause_ms = min(pause_ms, HURRIED_MS)
                    for each in self._asks.values():
                        each.set()
            else:
                led_since_ms = 0
            await asyncio.sleep(pause_ms / 1000)

    async def _follow_voter(self, voter: Voter) -> None:
        asked = self._asks[voter.name]
        while True:
            if voter.name in self._gives_back:
                self._gives_back.discard(voter.name)
                await voter.give_back()
            wants_vote = asked.is_set() and self.machine.state not in (State.STANDBY, State.LEAVING)
            asked.clear()
            is_holder = self.machine.state is State.HOLDING
            heard = await voter.ask(wants_vote, is_holder)
            self._take(voter.name, heard, wants_vote)
            self._run_effects()
            if not asked.is_set():
                try:
                    await asyncio.wait_for(asked.wait(), POLL_MS / 1000)
                except TimeoutError:
                    continue

    def _take(self, voter: str, heard: Heard | str, wants_vote: bool) -> None:
        now_ms = self.now_ms()
        if isinstance(heard, str):
            self.machine.unheard(voter, heard)
            return
        if self.machine.follows_primary:
            self.machine.named_primary(voter, heard.primary, heard.is_ours, heard.sent_ms)
        if heard.is_stock:
            self.machine.answered_stock(voter, heard.is_ours, heard.sent_ms, now_ms)
        elif heard.grant is not None and wants_vote:
            self.machine.answered(voter, *heard.grant, heard.sent_ms, now_ms)
        self.machine.look(now_ms)

    # ---- effects ----

    def _run_effects(self) -> None:
        """Start what the machine has decided, in its order; what takes time ends in an event of its own."""
        while self.machine.effects:
            effects, self.machine.effects = self.machine.effects, []
            for effect in effects:
                match effect:
                    case decision.Ask():
                        for each in self._asks.values():
                            each.set()
                    case decision.GiveBack():
                        self._gives_back.update(self._asks)
                        for each in self._asks.values():
                            each.set()
                    case decision.Prepare():
                        self._aside(self._prepare())
                    case decision.AddAddress(left_ms, is_new):
                        self._aside(self._add(left_ms, is_new))
                    case decision.RemoveAddress():
                        self._aside(self._remove())
                    case decision.Announce():
                        self._announcing = asyncio.create_task(self._announce())
                    case decision.Tell(event, text):
                        self._told(event, text)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)

    async def _prepare(self) -> None:
        if self.settings.before_acquire:
            problem = await self._hooks.run(self.settings.before_acquire, self.settings, "before-acquire")
            if problem:
                self._told("hook-failed", problem)
                self.machine.refused(problem, self.now_ms())
                self._run_effects()
                return
        self.machine.prepared(self.now_ms())
        self._run_effects()

    async def _add(self, left_ms: int, is_new: bool) -> None:
        async with self._kernel:
            if self.machine.state not in (State.TAKING, State.HOLDING):
                return
            # What was decided may have waited; the kernel must not count from now what was counted then.
            left_ms = min(left_ms, self.machine.lease.ends_ms() - self.now_ms())
            try:
                if left_ms >= self._addresses.grain_ms:
                    await self._addresses.add(left_ms)
                elif is_new:
                    self.machine.add_failed("the lease ran out meanwhile")
            except OSError as error:
                self.machine.add_failed(str(error))
            else:
                if is_new:
                    self.machine.added(self.now_ms())
        self._run_effects()

    async def _remove(self) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None
        while self.machine.state is State.LEAVING:
            try:
                async with self._kernel:
                    await self._addresses.remove()
            except OSError as error:
                self._told("remove-failed", f"{error}; its lifetime ends it")
                await asyncio.sleep(BEAT_S)
                continue
            self.machine.removed(self.now_ms())
        self._run_effects()

    async def _announce(self) -> None:
        passed_ms = 0
        for at_ms in announce.PAUSES_MS:
            await asyncio.sleep((at_ms - passed_ms) / 1000)
            passed_ms = at_ms
            try:
                await self._addresses.announce()
            except OSError as error:
                self._told("announce-failed", str(error))

    def _told(self, event: str, text: str) -> None:
        self._log.notice(f"{self.settings.name}: {event}: {text}")
        self.history = [*self.history[-19:], (self.host.clock.wall_us() // 1000, event, text)]
        words = {"acquired": self.settings.after_acquire, "released": self.settings.after_release}.get(event)
        if words:
            self._aside(self._run_hook(words, "after-acquire" if event == "acquired" else "after-release"))

    async def _run_hook(self, words: tuple[str, ...], event: str) -> None:
        problem = await self._hooks.run(words, self.settings, event)
        if problem:
            self._told("hook-failed", problem)

    def status(self) -> dict[str, object]:
        """Return the state with its reasons, as JSON has it."""
        now_ms = self.now_ms()
        return {
            "name": self.settings.name,
            "addresses": [str(each) for each in self.settings.addresses],
            "interface": self.settings.interface,
            "agent": self.agent,
            "lease_ms": self.machine.lease.length_ms,
            "kernel_late_ms": self._addresses.late_ms,
            "state": self.machine.state.value,
            "lease_left_ms": max(0, self.machine.lease.ends_ms() - now_ms),
            "server": f"{self.settings.server[0]}:{self.settings.server[1]}",
            "server_alive": self.machine.server_alive,
            "reasons": self.machine.reasons(now_ms),
            "events": [{"time_ms": at, "event": event, "text": text} for at, event, text in self.history],
        }


class VipAgent:
    """All addresses of one host, and the port that tells how they stand."""

    def __init__(
        self,
        settings: Settings,
        host: Host,
        log: Log,
        addresses: Callable[[AddressSettings], Addresses],
        hooks: Hooks,
    ) -> None:
        self._settings = settings
        self.keepers: Sequence[Keeper] = [
            Keeper(each, host, log, addresses(each), hooks) for each in settings.addresses
        ]
        self._status: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin. Raises OSError."""
        if self._settings.status is not None:
            self._status = await asyncio.start_server(self._tell_status, *self._settings.status)
        for each in self.keepers:
            await each.start()

    async def stop(self) -> None:
        """Let go of all addresses, and end."""
        for each in self.keepers:
            await each.stop()
        if self._status is not None:
            self._status.close()

    async def _tell_status(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Write the status as one JSON text, then close."""
        writer.write(json.dumps([each.status() for each in self.keepers]).encode() + b"\n")
        writer.close()
