"""A virtual address on simulated hosts: the kernel that keeps it, and an unchanged agent a host.

What this is: `Kernels`, the truth about who has the address, which a host keeps for its lifetime even
while its agent is stopped, and loses with its power; `Agents`, the program of each agent. What it is
not: decisions (`holdfast.vip`).

How to read it: `Kernels.holders` answers, `overlaps` are faults. A new connection to the address
leads to whoever took it last; those that exist stay where they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from holdfast.node.vip import VipAgent
from holdfast.server.address_lease import KERNEL_LATE_MS
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.sim.nodes import PORT
from holdfast.sim.sentinels import SENTINEL_PORT
from holdfast.sim.world import World
from holdfast.vip.gate import GATE_LATE_MS
from holdfast.vip.settings import AddressSettings, Settings, read_settings


class Kernels:
    """Which hosts have the address, each until a time; overlaps are kept as faults."""

    def __init__(self, world: World, address: str = "") -> None:
        """Begin with nobody. `address`: packets to it are to follow its holder."""
        self.world = world
        self.address = address
        self.until: dict[str, float] = {}
        self.overlaps: list[str] = []
        self.takings: list[tuple[float, str]] = []

    def holders(self) -> list[str]:
        """Return the hosts that answer for the address now."""
        hosts, now = self.world.hosts, self.world.now
        self.until = {name: until for name, until in self.until.items() if not hosts[name].interface.down}
        return sorted(name for name, until in self.until.items() if until > now)

    def add(self, name: str, valid_s: float) -> None:
        """Give a host the address for so long."""
        holders = self.holders()
        others = [each for each in holders if each != name]
        if others:
            self.overlaps.append(f"{self.world.now:.3f}: {name} beside {others}")
        if name not in holders:
            self.takings.append((self.world.now, name))
            self.world.record(name, "takes the virtual address")
        self.until[name] = self.world.now + valid_s
        self._route(None)
        self.world.loop.push(self.until[name], self._route, None)

    def remove(self, name: str) -> bool:
        """Take it from a host; tell whether it had it."""
        had = self.until.pop(name, 0.0) > self.world.now
        self._route(None)
        return had

    def _route(self, _: None) -> None:
        """Let packets go to whoever took the address last and has it still."""
        if self.address:
            holders = self.holders()
            latest = next((name for _, name in reversed(self.takings) if name in holders), None)
            interface = self.world.hosts[latest].interface if latest is not None else None
            self.world.network.move_address(self.address, interface)


class SimAddresses:
    """`holdfast.vip.interface.Addresses` of one simulated host, as late to take it away as Linux may be."""

    def __init__(self, kernels: Kernels, name: str, has_gate: bool = True) -> None:
        """Be the interface of the host `name`, whose kernel has a packet filter or none."""
        self._kernels, self._name = kernels, name
        self.grain_ms, self.late_ms = (1, GATE_LATE_MS) if has_gate else (1000, KERNEL_LATE_MS)

    async def add(self, left_ms: int) -> None:
        """Add or renew."""
        self._kernels.add(self._name, (left_ms // self.grain_ms * self.grain_ms + self.late_ms) / 1000)

    async def remove(self) -> bool:
        """Take it away."""
        return self._kernels.remove(self._name)

    async def announce(self) -> None:
        """Nobody listens here: packets find their way."""


class NoHooks:
    """Runs nothing: there are no other programs in a simulated machine."""

    async def run(self, words: tuple[str, ...], settings: AddressSettings, event: str) -> str:
        """Succeed."""
        return ""


class Agents:
    """One agent beside each of the nodes named, with the Sentinels as voters."""

    def __init__(
        self, world: World, address: str, names: Sequence[str], sentinels: Sequence[str], *,
        follow: str = "primary", port: int = PORT, gateless: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Start the processes `agent-NAME`; the address stands beside the primary, or a living proxy.

        `port`: of the server beside each; `gateless`: hosts whose kernels know whole seconds only.
        """
        self.world = world
        self.follow, self.port, self.gateless = follow, port, gateless
        self.log: list[str] = []
        self.kernels = Kernels(world, address)
        self.latest: dict[str, VipAgent] = {}
        """Host to the agent that runs there, or ran last."""
        self._voters = [world.host(each).interface.addresses[0] for each in sentinels]
        for name in names:
            world.start(name, self._program(name), name=f"agent-{name}")

    def state(self, name: str) -> str:
        """Return how the agent of a host stands, in one word."""
        if not self.world.processes[f"agent-{name}"].running or name not in self.latest:
            return "ended"
        return self.latest[name].keepers[0].machine.state.value

    def _settings(self, name: str) -> Settings:
        server = self.world.hosts[name].interface.addresses[0]
        return read_settings(
            f"""
            [[address]]
            name = "cache"
            addresses = ["{self.kernels.address}/24"]
            interface = "eth0"
            follow = "{self.follow}"
            server = "{server}:{self.port}"
            sentinels = [{", ".join(f'"{each}:{SENTINEL_PORT}"' for each in self._voters)}]
            """,
            "agent.toml",
        )

    def _program(self, name: str) -> Callable[[Host], Awaitable[object]]:
        async def main(host: Host) -> None:
            def tell(line: bytes) -> None:
                self.log.append(f"{self.world.now:.3f} {name} {line.decode().strip()}")

            log = Log(host.clock, host.disk, host.pid, tell, path="")
            addresses = SimAddresses(self.kernels, name, name not in self.gateless)
            agent = VipAgent(self._settings(name), host, log, lambda _: addresses, NoHooks())
            self.latest[name] = agent
            await agent.start()
            await self.world.loop.create_future()

        return main
