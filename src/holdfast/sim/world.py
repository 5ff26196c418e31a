"""A world: one seed, everything that follows from it, and the faults done to it.

What this is: the owner of loop, network, hosts and event log, with one method for
each word of the scenario vocabulary. What it is not: a scenario, a swarm or a
checker; they are built on this.

How to read it: `run` and `run_until` let virtual time pass, from outside; everything
else acts at once, from outside or from a coroutine that `run` drives (the *driver*,
which lives on a host of its own named `driver`, and is never blocked). All luck comes
from `luck(name)`, generators seeded by the world's seed and a name, so that one more
draw in one place changes nothing in another.

The event log has one line an event, `seconds host event`, and is the same, byte for
byte, whenever the seed and the program are. With `trace=True` it holds every
connection and every delivery too (length and CRC of the bytes), which is how
determinism is tested.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from holdfast.sim.clock import HostClock
from holdfast.sim.host import Main, SimHost, SimProcess
from holdfast.sim.life import Life
from holdfast.sim.loop import SimLoop
from holdfast.sim.network import Network

DRIVER = "driver"
POLL_SECONDS = 0.01

T = TypeVar("T")


class Unmet(AssertionError):
    """What `run_until` waited for did not come true in time."""


class World:
    """Everything that one seed unfolds into."""

    def __init__(self, seed: int | str, *, trace: bool = False) -> None:
        """Make a world at virtual time zero, with no hosts."""
        self.seed = seed
        self.log: list[str] = []
        self.errors: list[tuple[str, str, BaseException | None]] = []
        """Exceptions that nobody in a process caught: process, message, exception."""
        self.lives: list[Life] = []
        self.hosts: dict[str, SimHost] = {}
        self.processes: dict[str, SimProcess] = {}
        self.loop = SimLoop()
        self.network = Network(self.loop, self.luck("network"))
        self.loop.network = self.network
        self.loop.module_luck = self.luck("module").getstate()
        self.loop.error_handler = self.report_error
        driver = self.network.add(DRIVER, "10.255.255.1")
        self.loop.world_life = Life(DRIVER, self.loop, driver, HostClock(self.loop))
        self.loop.life = self.loop.world_life
        self.lives.append(self.loop.world_life)
        if trace:
            self.network.log = self.network.log_bytes = self.record

    def __enter__(self) -> Self:
        """Return itself; leaving closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def luck(self, name: str) -> random.Random:
        """Return a generator of its own for `name`."""
        return random.Random(f"{self.seed}/{name}")

    # Log

    def record(self, who: str, event: str) -> None:
        """Write a line into the event log."""
        self.log.append(f"{self.loop.now:.6f} {who} {event}")

    def log_bytes(self) -> bytes:
        """Return the event log as it would be written to a file."""
        return "".join(f"{line}\n" for line in self.log).encode()

    def report_error(self, life: Life, message: str, error: BaseException | None) -> None:
        """Note an exception that nobody caught."""
        self.errors.append((life.name, message, error))
        self.record(life.name, f"error: {type(error).__name__ if error is not None else message}")

    def failed_tasks(self) -> list[tuple[str, BaseException]]:
        """Return the exceptions of ended tasks that nobody has asked for, with their processes."""
        return [
            (life.name, error)
            for life in self.lives
            if not life.dead
            for task in life.tasks
            if task.done() and task._log_traceback and (error := task.exception()) is not None
        ]

    # Letting time pass

    @property
    def now(self) -> float:
        """Virtual time in seconds."""
        return self.loop.now

    def run(self, what: float | Coroutine[Any, Any, T]) -> T:
        """Let so many seconds pass, or let a coroutine of the driver run to its end and return its result."""
        if isinstance(what, int | float):
            moment = self.loop.now + what
            self.loop.push(moment, self._stop_at, None)
            self.loop.run_forever()
            return None  # type: ignore[return-value]
        result: T = self.loop.run_until_complete(what)
        return result

    def _stop_at(self, _: None) -> None:
        self.loop.stop()

    def run_until(
        self, condition: Callable[[], bool], within: float, *, what: str = "the condition"
    ) -> float:
        """Let time pass until `condition()` holds; return when; raise Unmet after `within` seconds."""
        loop = self.loop
        end = loop.now + within
        met = condition()

        def poll(_: None) -> None:
            nonlocal met
            met = condition()
            if met or loop.now >= end:
                loop.stop()
            else:
                loop.push(min(loop.now + POLL_SECONDS, end), poll, None)

        if not met:
            loop.push(min(loop.now + POLL_SECONDS, end), poll, None)
            loop.run_forever()
        if not met:
            raise Unmet(f"{what} did not hold within {within} s")
        return loop.now

    def close(self) -> None:
        """End everything; coroutines are closed now, in order, when nothing they do can matter."""
        if self.loop.is_closed():
            return
        for life in self.lives:
            life.die(silently=True)
        self.loop.close()
        for life in self.lives:
            self.loop.life = life
            for task in life.tasks:
                if not task.done():
                    with suppress(BaseException):  # a dead program's cleanup may fail as it likes
                        task.get_coro().close()
            life.tasks.clear()
        self.lives.clear()

    # Hosts and processes

    def host(self, name: str, address: str | None = None) -> SimHost:
        """Return the host `name`; add it if it is new."""
        host = self.hosts.get(name)
        if host is None:
            host = self.hosts[name] = SimHost(self, self.network.add(name, address))
        return host

    def process(self, name: str) -> SimProcess:
        """Return a process by the name it was started under."""
        return self.processes[name]

    def start(self, host: str, main: Main | None = None, *, name: str | None = None) -> SimProcess:
        """Start `main` as process `name` of `host` (by default the host's name); without `main`, again."""
        process_name = name if name is not None else host
        process = self.processes.get(process_name)
        if main is not None:
            if process is not None and process.running:
                raise RuntimeError(f"{process_name} runs already")
            if process is None:
                process = SimProcess(self, self.host(host), process_name, main)
                self.processes[process_name] = process
                process.host.processes[process_name] = process
            process.main = main
        if process is None:
            raise KeyError(f"no process {process_name!r} was ever started")
        process.start()
        return process

    def kill(self, name: str) -> None:
        """Kill a process; the kernel closes its sockets."""
        self.processes[name].kill()

    def pause(self, name: str) -> None:
        """Stop a process; its sockets stay open."""
        self.processes[name].pause()

    def resume(self, name: str) -> None:
        """Let a paused process go on."""
        self.processes[name].resume()

    def restart(self, name: str) -> None:
        """Kill a process if it runs, and start it again."""
        self.processes[name].restart()

    def terminate(self, name: str) -> None:
        """Send SIGTERM to a process."""
        self.processes[name].terminate()

    def power_loss(self, name: str) -> None:
        """Switch a host off: its processes end, nobody is told, its disk keeps what is durable."""
        host = self.hosts[name]
        if host.interface.down:
            return
        host.interface.down = True
        for process in host.processes.values():
            process.lose_power()
        changed = host.disk.lose_power()
        self.record(name, "power lost" + (f", lost or torn: {', '.join(changed)}" if changed else ""))

    def power_on(self, name: str, *, start: bool = True) -> None:
        """Switch a host on again, and start its processes."""
        host = self.hosts[name]
        if not host.interface.down:
            return
        self.record(name, "power on")
        host.clock.reboot()
        self.network.host_up(host.interface)
        if start:
            for process in host.processes.values():
                process.start()

    # Network

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Drop in silence what `one` sends to `other`, and the reverse unless `one_way`."""
        self.record(one, f"cut {'to' if one_way else 'from'} {other}")
        self.network.cut(one, other)
        if not one_way:
            self.network.cut(other, one)

    def heal(self, one: str, other: str) -> None:
        """Let packets pass between two hosts again, both ways."""
        self.record(one, f"healed with {other}")
        self.network.heal(one, other)
        self.network.heal(other, one)

    def heal_all(self) -> None:
        """Heal every cut."""
        self.record(DRIVER, "healed all")
        self.network.heal_all()

    def partition(self, side: list[str], other_side: list[str]) -> None:
        """Cut every host of one side from every host of the other."""
        for one in side:
            for other in other_side:
                self.cut(one, other)

    def reset(self, one: str, other: str) -> None:
        """Reset all connections between two hosts."""
        self.record(one, f"connections with {other} reset")
        self.network.reset(one, other)

    def break_after(self, one: str, other: str, size_bytes: int) -> None:
        """Reset the connection that carries this byte from `one` to `other`, counted from now, behind it."""
        if size_bytes < 1:
            raise ValueError("a connection breaks behind a byte")
        self.record(one, f"the connection that carries byte {size_bytes} to {other} will break")
        self.network.link(one, other).breaks_in_bytes = size_bytes

    def half_open(self, one: str, other: str) -> None:
        """Drop in silence, for good, what is sent on present connections of two hosts; new ones work."""
        self.record(one, f"connections with {other} half-open")
        self.network.drop_connections(one, other)

    def set_link(
        self,
        one: str,
        other: str,
        *,
        latency: float | None = None,
        jitter: float | None = None,
        loss: float | None = None,
        bytes_per_second: float | None = None,
    ) -> None:
        """Change both directions between two hosts (seconds, likelihood, bytes; None leaves as it is)."""
        settings = (
            ("latency", latency),
            ("jitter", jitter),
            ("loss", loss),
            ("bytes_per_second", bytes_per_second),
        )
        changed = [(field, value) for field, value in settings if value is not None]
        self.record(one, f"link with {other}: " + ", ".join(f"{field} {value}" for field, value in changed))
        for link in (self.network.link(one, other), self.network.link(other, one)):
            for field, value in changed:
                setattr(link, field, value)

    def slow_reader(self, name: str, bytes_per_second: float) -> None:
        """Let a process read so slowly from each connection (0: as fast as it can)."""
        life = self.processes[name].life
        if life is not None:
            self.record(name, f"reads {bytes_per_second} bytes a second")
            life.read_bytes_per_second = bytes_per_second

    def move_address(self, address: str, host: str | None) -> None:
        """Give a (virtual) address to a host; connections that exist are not touched."""
        self.record(host or DRIVER, f"address {address} {'taken' if host else 'given up'}")
        self.network.move_address(address, self.network.interfaces[host] if host else None)

    # Clocks

    def drift(self, host: str, rate: float) -> None:
        """Let a host's clock run at `rate` from now on (1.0 is true)."""
        self.record(host, f"clock rate {rate}")
        self.hosts[host].clock.drift(rate)

    def jump(self, host: str, seconds: float) -> None:
        """Move a host's wall clock."""
        self.record(host, f"wall clock jumps {seconds:+} s")
        self.hosts[host].clock.jump(seconds)

    # Disks

    def fill_disk(self, host: str, *, free_bytes: int | None = 0) -> None:
        """Leave a disk only `free_bytes` of room (None: unlimited again)."""
        disk = self.hosts[host].disk
        self.record(
            host, "disk has room again" if free_bytes is None else f"disk has {free_bytes} bytes left"
        )
        disk.capacity_bytes = None if free_bytes is None else disk.used_bytes() + free_bytes

    def slow_disk(self, host: str, sync_seconds: float) -> None:
        """Let each sync of a disk take so long."""
        self.record(host, f"disk syncs in {sync_seconds} s")
        self.hosts[host].disk.sync_seconds = sync_seconds

    def fail_syncs(self, host: str, failing: bool = True) -> None:
        """Let each sync of a disk raise EIO, or not any more."""
        self.record(host, "disk syncs fail" if failing else "disk syncs work")
        self.hosts[host].disk.syncs_fail = failing

    def read_only_disk(self, host: str, read_only: bool = True) -> None:
        """Refuse all changes of a disk (EROFS), or not any more."""
        self.record(host, "disk read-only" if read_only else "disk writable")
        self.hosts[host].disk.read_only = read_only

    def flip_bits(self, host: str, path: str, count: int = 1) -> None:
        """Flip bits of a file."""
        offsets = self.hosts[host].disk.flip_bits(path, count)
        self.record(host, f"bits flipped in {path} at {', '.join(map(str, offsets))}")

    def power_loss_in(self, host: str, operations: int) -> None:
        """Lose power in place of the `operations`-th change of the disk from now on."""
        self.record(host, f"power will be lost at disk operation {operations}")
        self.hosts[host].disk.power_loss_in = operations
