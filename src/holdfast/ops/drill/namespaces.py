"""Hosts of a drill as Linux network namespaces on one bridge, so that a cable can be pulled.

What it is: three hosts and a place for clients, made with `ip`, which needs root. Cutting takes
a host off the bridge: its packets vanish, in both directions, while every process lives and
every interface is up. What it is not: a change of the machine's own network, which is not touched.

How to read it: `make` and `remove` frame a drill; `cut` and `mend` are used inside of it, from
within the namespace of the bridge.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass

from holdfast.ops.topology import Topology

SUBNET = "10.213.77"
CLIENTS = f"{SUBNET}.254"
BRIDGE = "bridge"


class NoNamespaces(Exception):
    """They cannot be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Network:
    """Namespaces by host address; the clients' own, with the bridge in it."""

    clients: str
    hosts: tuple[tuple[str, str], ...]


def are_there(topology: Topology) -> bool:
    """Tell whether a deployment runs in such namespaces, and we are in that of the bridge."""
    return all(os.path.exists(f"/sys/class/net/{port_of(address.host)}") for _, address in topology.data)


def port_of(address: str) -> str:
    """Return the name of the bridge's port towards a host (15 characters at most)."""
    return f"v{address}"


async def make(count: int) -> Network:
    """Make a bridge and so many hosts. Raises `NoNamespaces`."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise NoNamespaces("a partition needs network namespaces, and those need root")
    if shutil.which("ip") is None:
        raise NoNamespaces("a partition needs the command ip (Debian: iproute2)")
    mark = f"holdfast-{os.getpid()}"
    network = Network(f"{mark}-c", tuple((f"{SUBNET}.{n}", f"{mark}-{n}") for n in range(1, count + 1)))
    try:
        await _ip("netns", "add", network.clients)
        inside = ("-n", network.clients)
        await _ip(*inside, "link", "set", "lo", "up")
        await _ip(*inside, "link", "add", BRIDGE, "type", "bridge")
        await _ip(*inside, "addr", "add", f"{CLIENTS}/24", "dev", BRIDGE)
        await _ip(*inside, "link", "set", BRIDGE, "up")
        for address, name in network.hosts:
            await _ip("netns", "add", name)
            port = port_of(address)
            await _ip(*inside, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            await _ip(*inside, "link", "set", port, "master", BRIDGE, "up")
            await _ip("-n", name, "link", "set", "lo", "up")
            await _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            await _ip("-n", name, "link", "set", "eth0", "up")
    except NoNamespaces:
        await remove(network)
        raise
    return network


async def remove(network: Network) -> None:
    """Remove everything that `make` made."""
    for name in (*(name for _, name in network.hosts), network.clients):
        try:
            await _ip("netns", "del", name)
        except NoNamespaces:
            pass


async def cut(address: str) -> None:
    """Take a host off the bridge."""
    await _ip("link", "set", port_of(address), "nomaster")


async def mend(address: str) -> None:
    """Put a host back."""
    await _ip("link", "set", port_of(address), "master", BRIDGE)


async def _ip(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "ip", *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        raise NoNamespaces(f"ip {' '.join(words)}: {said.decode(errors='replace').strip()}")
