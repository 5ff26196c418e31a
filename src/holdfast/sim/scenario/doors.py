"""Steps and conditions about the doors to a group: proxies, a virtual address, and who writes through them.

What this is: the part of the vocabulary for what stands between clients and nodes. What it is not:
cuts and kills; those are the same for all hosts and processes (an agent's process is `agent-HOST`).

How to read it: the steps, then the conditions, then the lines that are printed after each step.
"""

from __future__ import annotations

from holdfast.engine.digest import digest_of_value
from holdfast.sim.addresses import Agents
from holdfast.sim.scenario.conditions import CONDITIONS, shown
from holdfast.sim.scenario.form import ScenarioError, positive, seconds, settings
from holdfast.sim.scenario.stage import Stage
from holdfast.sim.scenario.vocabulary import STEPS
from holdfast.sim.sentinels import GROUP, SENTINEL_PORT
from holdfast.sim.swarm.checks import NO_SUCH_KEY
from holdfast.sim.writer import Writer


@STEPS.form("proxy {name:NEW}[ with {words:TEXT}]")
def proxy(stage: Stage, name: str, words: str | None = None) -> None:
    """Start a proxy that asks the Sentinels there are, with further directives of its file."""
    _need_sentinels(stage)
    stage.proxies.start(name, stage.history.sentinels, settings(words))


@STEPS.form("virtual address {address:KEY} on {names:HOSTS}")
def virtual_address(stage: Stage, address: str, names: str) -> None:
    """Start an agent on each of these hosts; the address is to stand beside the primary."""
    _need_sentinels(stage)
    if stage.agents is not None:
        raise ScenarioError("there is a virtual address already")
    stage.agents = Agents(stage.world, address, names.split(", "), stage.history.sentinels)


@STEPS.form("writer {name:NEW} at {rate:NUMBER} a second through {door:KEY}")
def writer(stage: Stage, name: str, rate: str, door: str) -> None:
    """Start a client that writes keys through a host or an address."""
    known = {*stage.world.hosts, *([stage.agents.kernels.address] if stage.agents else [])}
    if door not in known:
        raise ScenarioError(f"there is no {door!r} to write through: there are {', '.join(sorted(known))}")
    client = stage.writers[name] = Writer(stage.world, name, door, positive(rate, "a rate"))
    stage.world.start(name, client.main)


@STEPS.form("stop writer {name:HOST}")
def stop_writer(stage: Stage, name: str) -> str:
    """Let it end after its present request; say what came of it."""
    client = _writer(stage, name)
    client.stopping = True
    stage.await_true(lambda: not stage.world.processes[name].running, 60.0)
    return client.summary()


@STEPS.form("hand over")
def hand_over(stage: Stage) -> str:
    """Let a Sentinel see to a planned failover."""
    _need_sentinels(stage)
    return shown(stage.ask(stage.history.sentinels[0], "SENTINEL", "FAILOVER", GROUP, port=SENTINEL_PORT))


@STEPS.form("freeze {name:HOST}")
def freeze(stage: Stage, name: str) -> None:
    """Stop every process of a machine; its kernel goes on."""
    for process in stage.world.hosts[name].processes.values():
        process.pause()


@STEPS.form("thaw {name:HOST}")
def thaw(stage: Stage, name: str) -> None:
    """Let every process of a machine go on."""
    for process in stage.world.hosts[name].processes.values():
        process.resume()


# ---- conditions ----


@CONDITIONS.form("{name:HOST} sends to {node:NODE}")
def sends_to(stage: Stage, name: str, node: str) -> bool:
    """The proxy's primary is that node."""
    return stage.nodes.name_of(stage.proxies.primary_of(name) or "") == node


@CONDITIONS.form("{name:HOST} has met no error")
def no_error(stage: Stage, name: str) -> bool:
    """Every request of the writer so far was answered, and well."""
    return not _writer(stage, name).errors


@CONDITIONS.form("{name:HOST} has met {count:COUNT} errors at most")
def few_errors(stage: Stage, name: str, count: str) -> bool:
    """So many requests of the writer had no good answer."""
    return sum(_writer(stage, name).errors.values()) <= int(count)


@CONDITIONS.form("{name:HOST} has waited {time:TIME} at most")
def waited(stage: Stage, name: str, time: str) -> bool:
    """No answer took the writer longer."""
    return _writer(stage, name).longest_wait_s <= seconds(time)


@CONDITIONS.form("{node:NODE} holds all that {name:HOST} wrote")
def holds_all(stage: Stage, node: str, name: str) -> bool:
    """Every write that the writer was told of as done is there."""
    served = stage.nodes.serving(node)
    return served is not None and not any(
        digest_of_value(served.engine, 0, key.encode()) == NO_SUCH_KEY for key in _writer(stage, name).written
    )


@CONDITIONS.form("nobody has the address")
def nobody_has_address(stage: Stage) -> bool:
    """No kernel answers for it."""
    return not _agents(stage).kernels.holders()


@CONDITIONS.form("{name:HOST} has the address")
def has_address(stage: Stage, name: str) -> bool:
    """Its kernel, and no other, answers for the virtual address."""
    return _agents(stage).kernels.holders() == [name]


@CONDITIONS.form("the address never had two holders")
def never_two(stage: Stage) -> bool:
    """No host took it while another had it."""
    return not _agents(stage).kernels.overlaps


# ---- what is printed ----


def door_lines(stage: Stage) -> list[str]:
    """Return a line for each proxy, for the virtual address and for each writer."""
    lines = []
    for name in stage.proxies.latest:
        primary = stage.proxies.primary_of(name)
        sends = f"sends to {stage.nodes.name_of(primary)}" if primary else "holds what comes"
        lines.append(f"{name}: proxy, {'ended' if primary is None else sends}")
    if stage.agents is not None:
        holders = ", ".join(stage.agents.kernels.holders()) or "nobody"
        states = ", ".join(f"{name} {stage.agents.state(name)}" for name in stage.agents.latest)
        lines.append(f"address: {holders} ({states})")
    lines += [f"{name}: {client.summary()}" for name, client in stage.writers.items()]
    return lines


def _need_sentinels(stage: Stage) -> None:
    if not stage.history.sentinels:
        raise ScenarioError("there are no Sentinels yet to ask for the primary")


def _writer(stage: Stage, name: str) -> Writer:
    if name not in stage.writers:
        raise ScenarioError(f"{name!r} is no writer")
    return stage.writers[name]


def _agents(stage: Stage) -> Agents:
    if stage.agents is None:
        raise ScenarioError("there is no virtual address")
    return stage.agents
