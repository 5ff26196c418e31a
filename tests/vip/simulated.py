"""Agents of a virtual address under the simulator, beside unchanged nodes and Sentinels.

What this is: a group with an agent a host, for an address that follows the primary or a proxy. What
it is not: assertions, or the kernels that keep the address (`holdfast.sim.addresses`).

How to read it: `Agents` runs the agents.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from holdfast.node.vip import VipAgent
from holdfast.server.host import Host
from holdfast.server.log import Log
from holdfast.sim.addresses import Kernels, NoHooks, SimAddresses
from holdfast.vip.settings import Settings, read_settings
from tests.sentinel.simulated import PORT, SimulatedGroup


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
