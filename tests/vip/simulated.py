"""Agents of a virtual address under the simulator, beside unchanged nodes and Sentinels.

What this is: a kernel that keeps an address's lifetime even while its agent is stopped,
and a group with an agent a host. What it is not: assertions.

How to read it: `Kernels` is the truth about who has the address; `Agents` runs the agents.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from holdfast.node.vip import VipAgent
from holdfast.server.address_lease import KERNEL_LATE_MS
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.sim import World
from holdfast.vip.gate import GATE_LATE_MS
from holdfast.vip.settings import AddressSettings, Settings, read_settings
from tests.sentinel.simulated import PORT, SimulatedGroup


class Kernels:
    """Which hosts have the address, each until a time; overlaps are kept as faults."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.until: dict[str, float] = {}
        self.overlaps: list[str] = []
        self.takings: list[tuple[float, str]] = []

    def holders(self) -> list[str]:
        """Return the hosts that answer for the address now."""
        return sorted(name for name, until in self.until.items() if until > self.world.now)

    def add(self, name: str, valid_s: float) -> None:
        """Give a host the address for so long."""
        others = [each for each in self.holders() if each != name]
        if others:
            self.overlaps.append(f"{self.world.now:.3f}: {name} beside {others}")
        if name not in self.holders():
            self.takings.append((self.world.now, name))
        self.until[name] = self.world.now + valid_s


class SimAddresses:
    """`holdfast.vip.interface.Addresses` of one simulated host, as late to take it away as Linux may be."""

    def __init__(self, kernels: Kernels, name: str, has_gate: bool) -> None:
        self._kernels, self._name = kernels, name
        self.grain_ms, self.late_ms = (1, GATE_LATE_MS) if has_gate else (1000, KERNEL_LATE_MS)

    async def add(self, left_ms: int) -> None:
        """Add or renew."""
        self._kernels.add(self._name, (left_ms // self.grain_ms * self.grain_ms + self.late_ms) / 1000)

    async def remove(self) -> bool:
        """Take it away."""
        return self._kernels.until.pop(self._name, 0) > self._kernels.world.now

    async def announce(self) -> None:
        """Nobody listens here."""


class NoHooks:
    """Runs nothing."""

    async def run(self, words: tuple[str, ...], settings: AddressSettings, event: str) -> str:
        """Succeed."""
        return ""


class Agents:
    """One agent beside each of the nodes named, with the group's Sentinels as voters."""

    def __init__(
        self,
        group: SimulatedGroup,
        names: list[str],
        follow: str = "primary",
        gateless: Sequence[str] = (),
    ) -> None:
        """Start them; `gateless`: hosts whose kernels know lifetimes of whole seconds only."""
        self.world, self.group, self.follow, self.gateless = group.world, group, follow, gateless
        self.kernels = Kernels(group.world)
        self.log: list[str] = []
        self.agents: dict[str, VipAgent] = {}
        for name in names:
            self.world.start(name, self._program(name), name=f"agent-{name}")

    def _settings(self, name: str) -> Settings:
        address = self.world.hosts[name].interface.addresses[0]
        voters = [self.world.hosts[each].interface.addresses[0] for each in sorted(self.group.sentinels)]
        return read_settings(
            f"""
            [[address]]
            name = "cache"
            addresses = ["10.99.0.100/24"]
            interface = "eth0"
            follow = "{self.follow}"
            server = "{address}:7000"
            sentinels = [{", ".join(f'"{each}:{PORT}"' for each in voters)}]
            """,
            "agent.toml",
        )

    def _program(self, name: str) -> Callable[[Host], Awaitable[object]]:
        async def main(host: Host) -> None:
            log = Log(
                host.clock,
                host.disk,
                host.pid,
                lambda line: self.log.append(f"{self.world.now:.3f} {name} {line.decode().strip()}"),
                path="",
            )
            addresses = SimAddresses(self.kernels, name, name not in self.gateless)
            agent = VipAgent(self._settings(name), host, log, lambda _: addresses, NoHooks())
            self.agents[name] = agent
            await agent.start()
            await self.world.loop.create_future()

        return main
