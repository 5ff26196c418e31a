"""Simulated machines and the processes that run on them.

What this is: `SimHost`, a machine with its place on the network, its disk and its
clock; `SimProcess`, a program on it that can be started, killed, paused, resumed and
restarted; `ProcessHost`, what the program is handed (`holdfast.server.host.Host`).
What it is not: the vocabulary of a scenario (`world`), which calls what is here.

How to read it: a process is a name and a `main(host)`; each start makes a new `Life`
with luck of its own, drawn from the world's seed, the name and the number of the
start. When `main` returns, the rest of its tasks is cancelled and awaited, as
`asyncio.run` does, and the kernel closes the sockets.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from holdfast.server.host import Clock, Disk, Host
from holdfast.sim.clock import HostClock
from holdfast.sim.disk import SimDisk
from holdfast.sim.life import Life

if TYPE_CHECKING:
    from holdfast.sim.network import Interface
    from holdfast.sim.world import World

FIRST_PID = 1000

Main = Callable[[Host], Awaitable[object]]


class ProcessHost:
    """The machine as one life of a process sees it."""

    can_fork = False

    def __init__(self, host: SimHost, luck: random.Random, pid: int) -> None:
        """Show `host` to the process `pid`."""
        self.name = host.name
        self.clock: Clock = host.clock
        self.disk: Disk = host.disk
        self.random = luck
        self.pid = pid


class SimHost:
    """A machine: name, address, clock, disk, processes."""

    can_fork = False
    pid = 1

    def __init__(self, world: World, interface: Interface) -> None:
        """Make a machine that is switched on."""
        loop = world.loop
        self.world = world
        self.interface = interface
        self.name = interface.name
        self.random = world.luck(f"host/{self.name}")
        self.clock = HostClock(loop, float(self.random.randrange(100, 1_000_000)))
        self.disk = SimDisk(loop, world.luck(f"disk/{self.name}"))
        self.disk.power_fails = lambda: world.power_loss(self.name)
        self.processes: dict[str, SimProcess] = {}
        self._pids = FIRST_PID

    @property
    def address(self) -> str:
        """The address at which others reach this host."""
        return self.interface.addresses[0]

    def next_pid(self) -> int:
        """Return a process id that was not given before."""
        self._pids += 1
        return self._pids


class SimProcess:
    """A program on a host."""

    def __init__(self, world: World, host: SimHost, name: str, main: Main) -> None:
        """Make a process; `start` starts it."""
        self.world = world
        self.host = host
        self.name = name
        self.main = main
        self.life: Life | None = None
        self.starts = 0
        self.outcome: object = None
        """What `main` returned, the exception that ended it, or None while it runs or if it was killed."""
        self._ended: list[asyncio.Future[None]] = []

    @property
    def running(self) -> bool:
        """Whether the process exists (it may be paused)."""
        return self.life is not None and not self.life.dead

    @property
    def paused(self) -> bool:
        """Whether the process is stopped by `pause`."""
        return self.life is not None and self.life.paused

    def start(self) -> None:
        """Run `main` from its beginning in a new life."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        if self.host.interface.down:
            raise RuntimeError(f"{self.host.name} has no power")
        self.starts += 1
        self.outcome = None
        world = self.world
        life = Life(self.name, world.loop, self.host.interface, self.host.clock)
        life.exit_handler = self._exited
        self.life = life
        world.lives.append(life)
        luck = world.luck(f"process/{self.name}/{self.starts}")
        process_host = ProcessHost(self.host, luck, self.host.next_pid())
        world.record(self.name, "started" if self.starts == 1 else "restarted")
        world.loop.create_task(self._run_main(process_host), name=self.name, context=life.context.copy())

    async def _run_main(self, process_host: ProcessHost) -> None:
        life = self.life
        assert life is not None
        outcome: object
        try:
            outcome = await self.main(process_host)
        except asyncio.CancelledError as error:
            outcome = error
        except Exception as error:
            outcome = error
            if not life.dead:
                self.world.report_error(life, "main() failed", error)
        if life.dead:
            return
        own = asyncio.current_task()
        others = [task for task in life.tasks if task is not own and not task.done()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._end(life, "exited", outcome)

    def _exited(self, error: BaseException | None) -> None:
        if self.life is not None and not self.life.dead:
            self._end(self.life, "exited", error)

    def _end(self, life: Life, how: str, outcome: object, *, silently: bool = False) -> None:
        self.outcome = outcome
        what = f"{how}: {type(outcome).__name__}" if isinstance(outcome, BaseException) else how
        self.world.record(self.name, what)
        life.die(silently=silently)
        waiting, self._ended = self._ended, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def kill(self) -> None:
        """End it at once (SIGKILL): nothing of it runs again, the kernel closes its sockets."""
        if self.running and self.life is not None:
            self._end(self.life, "killed", None)

    def lose_power(self) -> None:
        """End it with its machine: nobody is told."""
        if self.running and self.life is not None:
            self._end(self.life, "lost power", None, silently=True)

    def pause(self) -> None:
        """Stop it (SIGSTOP)."""
        if self.life is not None and self.running and not self.life.paused:
            self.world.record(self.name, "paused")
            self.life.pause()

    def resume(self) -> None:
        """Let it go on (SIGCONT): everything that waited happens late."""
        if self.life is not None and self.running and self.life.paused:
            self.world.record(self.name, "resumed")
            self.life.resume()

    def terminate(self, number: int = signal.SIGTERM) -> None:
        """Send a signal: its handler runs, or it dies if it has none."""
        life = self.life
        if life is None or life.dead:
            return
        handler = life.signal_handlers.get(int(number))
        if handler is None:
            self._end(life, f"killed by signal {int(number)}", None)
        else:
            self.world.record(self.name, f"got signal {int(number)}")
            callback, arguments = handler
            self.world.loop.call_soon(callback, *arguments, context=life.context.copy())

    def restart(self) -> None:
        """Kill it if it runs, and start it again."""
        self.kill()
        self.start()

    async def wait(self) -> object:
        """Wait until it has ended; return its outcome."""
        if self.running:
            future: asyncio.Future[None] = self.world.loop.create_future()
            self._ended.append(future)
            await future
        return self.outcome
