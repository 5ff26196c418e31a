"""Which nodes a deployment has: found from any one address of it, or read from our own directory.

What it is: the members and their names, for a Sentinel group, a cluster, or a lone primary with
its replicas. What it is not: how they are (`picture`).

How to read it: `find` asks one node and says what it is a part of; `own` reads a directory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from holdfast.ops.files_on_disk import Directory
from holdfast.ops.leadership import asked, cluster_nodes
from holdfast.ops.wire import Address, Refused, Wire, WireError, connected, info_fields, pairs

DEFAULT_GROUP = "mymaster"


class Form(Enum):
    """How a failure is answered."""

    SENTINEL = "Sentinel"
    CLUSTER = "cluster"
    ALONE = "nobody"


class NotFound(Exception):
    """Nothing answers there, or it is no part of a deployment; the text says which."""


@dataclass(frozen=True, slots=True)
class Topology:
    """The members of a deployment."""

    form: Form
    group: str
    data: tuple[tuple[str, Address], ...]
    """Name and address, the primary first where that was asked of Sentinels."""
    sentinels: tuple[tuple[str, Address], ...] = ()
    proxies: tuple[tuple[str, Address], ...] = ()
    password: str = field(default="", repr=False)
    own: Directory | None = None
    """Where it stands, if it is ours."""

    @property
    def names(self) -> dict[str, str]:
        """Address as text -> name."""
        return {str(address): name for name, address in (*self.data, *self.sentinels, *self.proxies)}

    @property
    def sentinel_addresses(self) -> list[Address]:
        """Where the Sentinels are."""
        return [address for _, address in self.sentinels]

    def address(self, name: str) -> Address:
        """Return the address of a member, by name or address. Raises `NotFound`."""
        members = dict((*self.data, *self.sentinels, *self.proxies))
        if name in members:
            return members[name]
        for each in members.values():
            if str(each) == name:
                return each
        raise NotFound(f"no member is called {name!r}: {', '.join(members)}")


def own(directory: Directory) -> Topology:
    """Read the deployment that runs, or ran, in a directory. Raises `NotFound`."""
    shape = directory.read("deployment.json")
    processes = shape.get("processes")
    if not isinstance(processes, dict):
        raise NotFound(f"no deployment in {directory.path}: start one with `holdfast up`, or name an address")
    members = [(name, Address.parse(text)) for name, text in processes.items()]

    def of_kind(kind: str) -> tuple[tuple[str, Address], ...]:
        return tuple((name, address) for name, address in members if name.partition("-")[0] == kind)

    sentinels = of_kind("sentinel")
    form = Form.CLUSTER if shape.get("cluster") else Form.SENTINEL if sentinels else Form.ALONE
    return Topology(
        form,
        str(shape.get("name", DEFAULT_GROUP)),
        of_kind("node"),
        sentinels,
        of_kind("proxy"),
        str(shape.get("password", "")),
        directory,
    )


async def find(address: Address, password: str = "", group: str = "") -> Topology:
    """Ask a node what it is a part of. Raises `NotFound`."""
    try:
        async with connected(address, password) as wire:
            fields = info_fields(str(await wire.ask("INFO")))
            mode = fields.get("redis_mode", "standalone")
            if mode == "sentinel":
                return await _of_sentinel(wire, address, password, group)
            if mode == "cluster":
                nodes = cluster_nodes(await wire.ask("CLUSTER", "NODES"))
                data = tuple((str(each), each) for each in sorted(each.address for each in nodes))
                return Topology(Form.CLUSTER, "cluster", data, password=password)
    except (WireError, Refused) as error:
        raise NotFound(str(error)) from error
    return await _of_lone_nodes(address, fields, password)


async def _of_sentinel(wire: Wire, address: Address, password: str, group: str) -> Topology:
    reply = await wire.ask("SENTINEL", "MASTERS")
    masters = [pairs(each) for each in reply] if isinstance(reply, list) else []
    names = [each.get("name", "") for each in masters]
    wanted = group or (DEFAULT_GROUP if DEFAULT_GROUP in names else next(iter(names), ""))
    if wanted not in names:
        raise NotFound(f"Sentinel {address} watches {', '.join(names) or 'nothing'}, not {wanted!r}")
    primary = masters[names.index(wanted)]
    told = await wire.ask("SENTINEL", "REPLICAS", wanted)
    replicas = [pairs(each) for each in told] if isinstance(told, list) else []
    told = await wire.ask("SENTINEL", "SENTINELS", wanted)
    others = [pairs(each) for each in told] if isinstance(told, list) else []
    leading, *following = [Address(each["ip"], int(each["port"])) for each in (primary, *replicas)]
    data = [leading, *sorted(following)]
    sentinels = [address, *sorted(Address(each["ip"], int(each["port"])) for each in others)]
    return Topology(
        Form.SENTINEL,
        wanted,
        tuple((str(each), each) for each in dict.fromkeys(data)),
        tuple((f"sentinel {each}", each) for each in sentinels),
        password=password,
    )


async def _of_lone_nodes(address: Address, fields: dict[str, str], password: str) -> Topology:
    top = address
    if fields.get("role") == "slave":
        top = Address(fields.get("master_host", ""), int(fields.get("master_port", "0")))
        replies = await asked([top], "INFO", "replication", password=password)
        fields = info_fields(str(replies.get(top, "")))
    replicas = []
    for name, value in fields.items():
        if name.startswith("slave") and name[5:].isdigit():
            told = dict(each.partition("=")[::2] for each in value.split(","))
            replicas.append(Address(told.get("ip", ""), int(told.get("port", "0"))))
    data = tuple((str(each), each) for each in dict.fromkeys((top, *replicas)))
    return Topology(Form.ALONE, "", data, password=password)
