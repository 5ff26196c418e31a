"""From a deployment to processes: names, addresses, command lines, configuration files.

What it is: pure. The same deployment gives the same plan. What it is not: starting anything
(`supervisor`), or what a process writes into its files later; `sentinel_file` shows how a
Sentinel's own state is kept when its file is written anew.

How to read it: `Planned` is one process, `plan` makes all of them; then a function a kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from holdfast.ops import proxy_place
from holdfast.ops.model import Deployment, Engine, Host, Persistence
from holdfast.ops.wire import Address

FIRST_EPOCH = 1
"""Given to the first primary by `up` itself, so that a restarted one is a candidate from the outset."""
STATE_WORDS = frozenset(
    (
        "myid",
        "monitor",
        "config-epoch",
        "leader-epoch",
        "current-epoch",
        "known-replica",
        "known-slave",
        "known-sentinel",
    )
)
"""Sentinel's lines that are its memory, not our settings."""


class Kind(Enum):
    """What a process is."""

    DATA = "data"
    SENTINEL = "sentinel"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Programs:
    """How the programs are called on this machine."""

    server: tuple[str, ...]
    sentinel: tuple[str, ...]
    proxy: tuple[str, ...]
    redis: tuple[str, ...] = ("redis-server",)
    valkey: tuple[str, ...] = ("valkey-server",)

    def of_engine(self, engine: Engine) -> tuple[str, ...]:
        """Return what runs a data node."""
        return {Engine.HOLDFAST: self.server, Engine.REDIS: self.redis, Engine.VALKEY: self.valkey}[engine]


@dataclass(frozen=True, slots=True)
class Planned:
    """One process. Paths are absolute."""

    name: str
    kind: Kind
    host: Host
    address: Address
    words: tuple[str, ...]
    directory: str
    file_name: str
    file_text: str
    is_memory: bool = field(default=False)
    """The process writes state into its file: what stands in `STATE_WORDS` is kept."""

    @property
    def is_data(self) -> bool:
        """Whether it holds keys."""
        return self.kind is Kind.DATA

    @property
    def file_path(self) -> str:
        """Where its file is."""
        return f"{self.directory}/{self.file_name}"


def plan(deployment: Deployment, programs: Programs, identity: str, primary: str = "") -> tuple[Planned, ...]:
    """Return all processes. `identity` is the deployment's own; `primary` the name of the node that leads."""
    primary = primary or "node-1"
    made = []
    for name in deployment.process_names:
        if name.startswith("node-"):
            made.append(_data_node(deployment, programs, name, primary))
        elif name.startswith("sentinel-"):
            made.append(_sentinel(deployment, programs, name, primary, identity))
        else:
            made.append(_proxy(deployment, programs, primary))
    return tuple(made)


def on_host(planned: Sequence[Planned], host: str) -> tuple[Planned, ...]:
    """Return what runs on one host; empty name: everything."""
    return tuple(each for each in planned if not host or each.host.name == host)


def address_of(deployment: Deployment, name: str) -> Address:
    """Return where a process listens."""
    host, port = deployment.place_of(name)
    return Address(host.address, port)


def _words(host: Host, program: Sequence[str], path: str) -> tuple[str, ...]:
    inside = ("ip", "netns", "exec", host.namespace) if host.namespace else ()
    return (*inside, *program, path)


def _data_node(deployment: Deployment, programs: Programs, name: str, primary: str) -> Planned:
    host, port = deployment.place_of(name)
    directory = f"{deployment.data}/{name}"
    lines = [
        f"port {port}",
        f"bind {host.address}",
        f"dir {directory}",
        "daemonize no",
        f"protected-mode {'yes' if host.is_loopback else 'no'}",
        "repl-diskless-sync yes",
        "repl-diskless-sync-delay 0",
        *_persistence(deployment.persistence),
    ]
    if deployment.password:
        lines += [f'requirepass "{deployment.password}"', f'masterauth "{deployment.password}"']
    if deployment.cluster is not None:
        lines += [
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            f"cluster-node-timeout {deployment.down_after_ms}",
        ]
    elif name != primary:
        leader = address_of(deployment, primary)
        lines.append(f"replicaof {leader.host} {leader.port}")
    if deployment.min_replicas_to_ack:
        lines.append(f"min-replicas-to-ack {deployment.min_replicas_to_ack}")
    lines += [f"{option} {value}" for option, value in deployment.options]
    program = programs.of_engine(deployment.engine)
    return Planned(
        name,
        Kind.DATA,
        host,
        Address(host.address, port),
        _words(host, program, f"{directory}/node.conf"),
        directory,
        "node.conf",
        _text(lines),
    )


def _persistence(persistence: Persistence) -> list[str]:
    if persistence is Persistence.NONE:
        return ['save ""', "appendonly no"]
    if persistence is Persistence.LOG:
        return ['save ""', "appendonly yes", "appendfsync everysec"]
    return ["save 3600 1 300 100 60 10000", "appendonly no"]


def _sentinel(deployment: Deployment, programs: Programs, name: str, primary: str, identity: str) -> Planned:
    host, port = deployment.place_of(name)
    directory = f"{deployment.data}/{name}"
    group, leader = deployment.name, address_of(deployment, primary)
    lines = [
        f"port {port}",
        f"bind {host.address}",
        f"dir {directory}",
        "daemonize no",
        *([f'requirepass "{deployment.password}"'] if deployment.password else []),
        f"sentinel myid {sentinel_id(identity, name)}",
        f"sentinel monitor {group} {leader.host} {leader.port} {deployment.quorum}",
        f"sentinel down-after-milliseconds {group} {deployment.down_after_ms}",
        f"sentinel failover-timeout {group} {max(10_000, deployment.down_after_ms * 3)}",
        f"sentinel parallel-syncs {group} 1",
        *([f"sentinel auth-pass {group} {deployment.password}"] if deployment.password else []),
        f"sentinel current-epoch {FIRST_EPOCH}",
        f"sentinel config-epoch {group} {FIRST_EPOCH}",
    ]
    for other in deployment.process_names:
        there = address_of(deployment, other)
        if other.startswith("node-") and other != primary:
            lines.append(f"sentinel known-replica {group} {there.host} {there.port}")
        elif other.startswith("sentinel-") and other != name:
            lines.append(
                f"sentinel known-sentinel {group} {there.host} {there.port} {sentinel_id(identity, other)}"
            )
    return Planned(
        name,
        Kind.SENTINEL,
        host,
        Address(host.address, port),
        _words(host, programs.sentinel, f"{directory}/sentinel.conf"),
        directory,
        "sentinel.conf",
        _text(lines),
        is_memory=True,
    )


def _proxy(deployment: Deployment, programs: Programs, primary: str) -> Planned:
    host, port = deployment.place_of("proxy")
    directory, listens = f"{deployment.data}/proxy", Address(host.address, port)
    path = f"{directory}/{proxy_place.FILE_NAME}"
    text = proxy_place.proxy_file(deployment, listens, address_of(deployment, primary))
    inside = ("ip", "netns", "exec", host.namespace) if host.namespace else ()
    words = (*inside, *programs.proxy, *proxy_place.arguments(path))
    return Planned("proxy", Kind.PROXY, host, listens, words, directory, proxy_place.FILE_NAME, text)


def _text(lines: Sequence[str]) -> str:
    head = "# Written by `holdfast up` at every start: change holdfast.toml instead."
    return "\n".join([head, *lines]) + "\n"


def sentinel_id(identity: str, name: str) -> str:
    """Return the id of a Sentinel: known beforehand, so that all know each other from the first moment."""
    return hashlib.sha1(f"{identity}/{name}".encode(), usedforsecurity=False).hexdigest()


def sentinel_file(wanted: str, present: str) -> str:
    """Return a Sentinel's file with our settings and its own memory, if it has any."""
    kept = [line for line in present.splitlines() if _is_state(line)]
    if not any(line.split()[1] == "monitor" for line in kept):
        return wanted
    told = {tuple(line.split()[1:5]) for line in kept}
    ours = [line for line in wanted.splitlines() if not _is_state(line)]
    fresh = [
        line
        for line in wanted.splitlines()
        if _is_state(line) and line.split()[1] == "known-sentinel" and not _is_told(line, told)
    ]
    # Settings of a primary are understood only behind its monitor line, which Sentinel reads first anyway.
    return "\n".join([*ours, *kept, *fresh]) + "\n"


def _is_told(line: str, told: set[tuple[str, ...]]) -> bool:
    return tuple(line.split()[1:5]) in told


def _is_state(line: str) -> bool:
    words = line.split()
    return len(words) > 1 and words[0] == "sentinel" and words[1] in STATE_WORDS


def remembered_primary(text: str) -> tuple[int, Address] | None:
    """Return the configuration epoch and the primary that a Sentinel's file names; None: none."""
    epoch, found = 0, None
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["sentinel", "monitor"] and len(words) == 6:
            found = Address(words[3], int(words[4]))
        elif words[:2] == ["sentinel", "config-epoch"] and len(words) == 4:
            epoch = int(words[3])
    return None if found is None else (epoch, found)
