"""The stage: a world with nodes, clients, managers and judges, on which steps act.

What this is: what a scenario has set up so far. What it is not: the words for it
(`vocabulary`).

How to read it: `start_node`, `start_manager`, `start_clients`; `mend` undoes all faults.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from holdfast.node.server import ServerNode
from holdfast.replication.promotion import choose_promotion
from holdfast.sim.addresses import Agents
from holdfast.sim.client import Client, ReplyError, connect
from holdfast.sim.nodes import PORT, Adapt, Nodes
from holdfast.sim.proxies import Proxies
from holdfast.sim.sentinels import AdaptSentinel, Sentinels
from holdfast.sim.swarm import files
from holdfast.sim.swarm.checks import Checks, Promise
from holdfast.sim.swarm.history import History
from holdfast.sim.swarm.manager import Choose, Epochs, Manager
from holdfast.sim.swarm.observers import observe
from holdfast.sim.swarm.sentinel_checks import Elections
from holdfast.sim.swarm.slot_mover import SlotMover
from holdfast.sim.swarm.workload import Workload
from holdfast.sim.world import World
from holdfast.sim.writer import Writer

WATCH_SECONDS = 0.2
ANSWER_SECONDS = 30.0
USUAL_SYNC_SECONDS = 0.001


class Broken(AssertionError):
    """A judge has found a promise broken."""


class Unmet(AssertionError):
    """What was expected does not hold."""


class Stage:
    """What a scenario plays on."""

    def __init__(
        self,
        seed: int | str,
        *,
        adapt: tuple[Adapt, ...] = (),
        adapt_sentinels: tuple[AdaptSentinel, ...] = (),
        choose: Choose = choose_promotion,
        trace: bool = False,
    ) -> None:
        """Make an empty world. `adapt…` and `choose` put deliberate faults in (`swarm.mutations`)."""
        self.world = World(seed, trace=trace)
        self.history = History()
        self.epochs = Epochs()
        self.nodes = Nodes(self.world, (*adapt, self._observe))
        self.checks = Checks(self.nodes, self.history, self.epochs, Promise())
        self.managers: dict[str, Manager] = {}
        self.elections = Elections(self._object)
        self.sentinels = Sentinels(self.world, (*adapt_sentinels, self.elections.observe))
        self.by_address = False
        """Nodes are told of each other by address, as Sentinels do it."""
        self.behind: dict[str, str] = {}
        self.clients: list[Workload] = []
        self.movers: dict[str, SlotMover] = {}
        self.proxies = Proxies(self.world)
        self.agents: Agents | None = None
        """Who keeps the virtual address, where there is one."""
        self.writers: dict[str, Writer] = {}
        self.answer: Any = None
        self._choose = choose
        self._connections: dict[tuple[str, str], Client] = {}
        self._is_watching = False

    def _observe(self, name: str, node: ServerNode) -> None:
        observe(self.checks, name, node, orders=self.by_address)

    def _object(self, violation: str) -> None:
        self.checks.object(violation)

    def close(self) -> None:
        """End the world."""
        self.world.close()

    # ---- setting up ----

    def start_node(self, name: str, upstream: str | None, settings: dict[str, str]) -> None:
        """Start a node, as a replica of `upstream` if one is named."""
        if upstream is not None:
            where = self.world.host(upstream).interface.addresses[0] if self.by_address else upstream
            settings = {"replicaof": f"{where} {PORT}", **settings}
            if "replicaof" in self.nodes.settings.get(upstream, {}):
                self.behind[name] = upstream
        elif not self.history.primary:
            self.history.primary = name
        self.nodes.start(name, settings)

    def start_manager(self, name: str) -> None:
        """Start a manager of all nodes there are."""
        manager = Manager(
            name, self.world, list(self.nodes.settings), self.history, self.epochs,
            behind=self.behind, promoted=self.checks.promoted, choose=self._choose,
        )  # fmt: skip
        self.managers[name] = manager
        self.world.start(name, manager.main)

    def start_sentinels(self, count: int, down_after_ms: int, lease_ms: int | None = None) -> None:
        """Start s1, s2 ... around the nodes there are; clients ask them for the primary."""
        self.history.sentinels = [f"s{number}" for number in range(1, count + 1)]
        self.checks.sentinels = self.sentinels
        for name in self.history.sentinels:
            self.sentinels.start(name, self.history.primary, count // 2 + 1, down_after_ms, lease_ms)

    def start_clients(self, count: int, rate: float, make: type[Workload] = Workload) -> None:
        """Start so many clients, each on a host of its own, and the judges."""
        self.checks.promise = self.promise()
        for _ in range(count):
            name = f"c{len(self.clients) + 1}"
            client = make(name, self.nodes, self.history, rate)
            self.clients.append(client)
            self.world.start(name, client.main)
        self.watch()

    def promise(self) -> Promise:
        """Return what the settings of the nodes promise together."""
        all_settings = list(self.nodes.settings.values())
        needed = min(int(each.get("min-replicas-to-ack", "0")) for each in all_settings)
        strict = all(each.get("min-replicas-to-ack-strict", "yes") == "yes" for each in all_settings)
        in_cluster = any(each.get("cluster-enabled") == "yes" for each in all_settings)
        managed = bool(self.managers or self.sentinels.names) or in_cluster
        keeps = needed > 0 and strict and managed
        always = all(
            each.get("appendonly") == "yes" and each.get("appendfsync") == "always" for each in all_settings
        )
        reads = all(each.get("ack-reads") == "linearizable" for each in all_settings)
        return Promise(keeps, always and not managed, keeps and reads, needed, not managed)

    def watch(self) -> None:
        """Let the judges look again and again from now on."""
        if not self._is_watching:
            self._is_watching = True
            self._look(None)

    def _look(self, _: None) -> None:
        self.checks.watch()
        if self.checks.violations:
            self.world.loop.stop()
        self.world.loop.push(self.world.now + WATCH_SECONDS, self._look, None)

    # ---- time ----

    def pass_until(self, moment: float) -> None:
        """Let time pass. Raises `Broken` as soon as a judge objects."""
        self.world.run(max(0.0, moment - self.world.now))
        self.raise_if_broken()

    def raise_if_broken(self) -> None:
        """Raise `Broken` if a judge has objected."""
        if self.checks.violations:
            raise Broken(self.checks.violations[0])

    def await_true(self, condition: Callable[[], bool], within: float) -> bool:
        """Let time pass until something holds; tell whether it came to hold."""
        try:
            self.world.run_until(lambda: bool(self.checks.violations) or condition(), within)
        except AssertionError:
            self.raise_if_broken()  # a judge stopped the loop before the condition was looked at again
            return False
        self.raise_if_broken()
        return condition()

    # ---- speaking ----

    def ask(self, name: str, *words: object, lane: str = "driver", port: int = PORT) -> Any:
        """Send a command to a node and wait for the answer; an error is returned, never raised."""
        try:
            self.answer = self.world.run(self._ask(lane, name, words, port))
        except RuntimeError:  # a judge has stopped the loop
            self.raise_if_broken()
            raise
        return self.answer

    async def _ask(self, lane: str, name: str, words: tuple[object, ...], port: int) -> Any:
        try:
            client = self._connections.get((lane, name))
            if client is None or client.is_closed:
                client = self._connections[(lane, name)] = await connect(name, port, within=5)
            return await client.ask(*words, within=ANSWER_SECONDS)
        except (OSError, TimeoutError) as error:
            return ReplyError(f"{type(error).__name__} ({error})")

    # ---- ends of faults ----

    def kill(self, name: str) -> None:
        """Kill a node or another process, and look at what it leaves on disk."""
        if self.nodes.runs(name) or name not in self.nodes.settings:
            self.world.kill(name)
            self._crashed(name)

    def power_loss(self, name: str) -> None:
        """Switch a machine off, and look at what is left on its disk."""
        self.world.power_loss(name)
        self._crashed(name)

    def _crashed(self, name: str) -> None:
        if name in self.nodes.settings:
            self.checks.crashed(name)
        elif name in self.sentinels.names:
            self.checks.sentinel_crashed(name)

    def start_again(self, name: str) -> None:
        """Start what has ended, with power if there was none; a torn log is mended as an operator would."""
        host = self.world.processes[name].host
        self.world.power_on(host.name, start=False)
        if not self.world.processes[name].running:
            try:
                dropped = files.mend_tail(host.disk)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                self.world.record(name, "no room to mend the append-only file: it is not started")
                return
            if dropped:
                self.world.record(name, f"{dropped} torn bytes cut off the append-only file")
            self.nodes.latest.pop(name, None)
            for lane, host_name in list(self._connections):
                if host_name == name:
                    del self._connections[(lane, host_name)]
            self.world.start(name)
        for other, process in host.processes.items():
            if other != name and not process.running:
                process.start()

    def mend(self) -> None:
        """End every fault: links, pauses, power, disks, clocks; start what has ended."""
        world = self.world
        world.heal_all()
        for name, host in world.hosts.items():
            if host.disk.capacity_bytes is not None:
                world.fill_disk(name, free_bytes=None)
            if host.disk.syncs_fail:
                world.fail_syncs(name, False)
            if host.disk.sync_seconds > USUAL_SYNC_SECONDS:
                world.slow_disk(name, USUAL_SYNC_SECONDS)
            if host.clock.rate != 1.0:
                world.drift(name, 1.0)
        for name in list(world.processes):
            world.resume(name)
            if name in self.nodes.settings or name in self.sentinels.names:
                self.start_again(name)
