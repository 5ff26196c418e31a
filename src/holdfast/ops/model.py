"""A deployment as a value: which processes there shall be, where, and how they are set.

What it is: frozen values and the rules that every one of them keeps. What it is not: the
file (`deployment_file`), or the configuration files of the processes (`plan`).

How to read it: `Deployment`, then `problems`, which lists what is wrong with one in words.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

PORT_MAX = 65535
SENTINEL_PORTS_AFTER = 20_000
"""Sentinels listen this far behind the stable port: 6379 gives 26379, as everybody expects."""
CLUSTER_BUS_AFTER = 10_000
Wrong = Callable[[str, str], None]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Engine(Enum):
    """Whose program the data nodes run."""

    HOLDFAST = "holdfast"
    REDIS = "redis"
    VALKEY = "valkey"


class Persistence(Enum):
    """What a data node keeps on disk."""

    SNAPSHOT = "snapshot"
    LOG = "log"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Host:
    """Where processes run. `namespace` is a Linux network namespace; empty: the machine's own network."""

    name: str
    address: str
    namespace: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside this machine can reach it."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return self.address == "localhost"


@dataclass(frozen=True, slots=True)
class ClusterShape:
    """So many primaries, each with so many replicas."""

    shards: int
    replicas: int

    def __str__(self) -> str:
        """As it is written: 3x1."""
        return f"{self.shards}x{self.replicas}"

    @staticmethod
    def parse(text: str) -> ClusterShape:
        """Read "3x1". Raises ValueError."""
        found = re.fullmatch(r"(\d{1,4})x(\d{1,2})", text)
        if found is None:
            raise ValueError(f"a cluster is written as SHARDSxREPLICAS, such as 3x1, not {text!r}")
        return ClusterShape(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process runs, if that is said and not left to the order of hosts and ports."""

    host: str = ""
    port: int = 0


HERE = Host("here", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Deployment:
    """All that is said about a deployment; the defaults are those of `holdfast up`."""

    name: str = "mymaster"
    """What Sentinels call the data set."""
    engine: Engine = Engine.HOLDFAST
    port: int = 6379
    """The stable port, which the proxy listens on. Other ports are counted from it."""
    data: str = "holdfast-data"
    password: str = ""
    replicas: int = 2
    sentinels: int = 3
    cluster: ClusterShape | None = None
    """None: one primary, replicas and Sentinels."""
    proxy: bool = True
    persistence: Persistence = Persistence.SNAPSHOT
    down_after_ms: int = 2000
    """For how long a node must be silent to be called down. A crash is seen at once, whatever this is."""
    min_replicas_to_ack: int = 0
    hosts: tuple[Host, ...] = (HERE,)
    places: tuple[tuple[str, Place], ...] = ()
    """By name of the process."""
    options: tuple[tuple[str, str], ...] = field(default=())
    """Directives of redis.conf for every data node."""

    @property
    def data_nodes(self) -> int:
        """How many data nodes there are."""
        if self.cluster is not None:
            return self.cluster.shards * (1 + self.cluster.replicas)
        return 1 + self.replicas

    @property
    def quorum(self) -> int:
        """How many Sentinels must agree: a majority."""
        return self.sentinels // 2 + 1

    @property
    def process_names(self) -> tuple[str, ...]:
        """All processes, in the order in which they are numbered."""
        names = [f"node-{number}" for number in range(1, self.data_nodes + 1)]
        if self.cluster is None:
            names += [f"sentinel-{number}" for number in range(1, self.sentinels + 1)]
        return (*names, "proxy") if self.has_proxy else tuple(names)

    @property
    def has_proxy(self) -> bool:
        """Whether there is a stable port: a cluster has none yet."""
        return self.proxy and self.cluster is None

    def place_of(self, name: str) -> tuple[Host, int]:
        """Return host and port of a process. Processes of a kind are dealt to the hosts in turn."""
        said = dict(self.places).get(name, Place())
        kind, _, digits = name.partition("-")
        index = int(digits) - 1 if digits else 0
        host = next((each for each in self.hosts if each.name == said.host), None)
        return host or self.hosts[index % len(self.hosts)], said.port or self._port(kind, index)

    def _port(self, kind: str, index: int) -> int:
        if kind == "proxy":
            return self.port
        if kind == "node":
            return self.port + 1 + index
        above = self.port + SENTINEL_PORTS_AFTER
        return (above if above + self.sentinels <= PORT_MAX else self.port - SENTINEL_PORTS_AFTER) + index


def problems(deployment: Deployment) -> list[tuple[str, str]]:
    """Return what is wrong with a deployment: the setting's name and a sentence; empty: nothing."""
    found: list[tuple[str, str]] = []

    def wrong(setting: str, sentence: str) -> None:
        found.append((setting, sentence))

    if not NAME.fullmatch(deployment.name):
        wrong("name", f"{deployment.name!r} is no name: letters, digits, dots, dashes")
    if not 1 <= deployment.port <= PORT_MAX:
        wrong("port", f"{deployment.port} is no TCP port")
    _check_shape(deployment, wrong)
    if deployment.down_after_ms < 100:
        wrong("down-after-ms", "at least 100: a busy machine is silent for that long")
    most = deployment.cluster.replicas if deployment.cluster else deployment.replicas
    if not 0 <= deployment.min_replicas_to_ack <= most:
        wrong("min-replicas-to-ack", f"between 0 and the {most} replicas that there are")
    if deployment.min_replicas_to_ack and deployment.engine is not Engine.HOLDFAST:
        wrong("min-replicas-to-ack", f"{deployment.engine.value}-server has no acknowledged writes")
    _check_hosts(deployment, wrong)
    if any(word in deployment.password for word in ('"', "\\", "\n", "\r", " ")):
        wrong("password", "blanks, quotes and backslashes cannot be in it")
    if not found:
        _check_ports(deployment, wrong)
    return found


def _check_shape(deployment: Deployment, wrong: Wrong) -> None:
    cluster = deployment.cluster
    if cluster is not None:
        if cluster.shards < 3:
            wrong("cluster", "a cluster needs 3 shards at least, or no majority can agree on a failure")
        return
    if not 0 <= deployment.replicas <= 100:
        wrong("replicas", "between 0 and 100")
    if deployment.sentinels < 0 or deployment.sentinels > 99:
        wrong("sentinels", "between 0 and 99")
    if deployment.replicas and not deployment.sentinels:
        wrong("sentinels", "replicas without Sentinels: nobody would promote one; give at least 1, better 3")
    if deployment.sentinels and not deployment.replicas:
        wrong("sentinels", "Sentinels without replicas have nothing to promote: set sentinels = 0 too")


def _check_hosts(deployment: Deployment, wrong: Wrong) -> None:
    names = [each.name for each in deployment.hosts]
    if len(set(names)) < len(names) or not names:
        wrong("hosts", "each host needs a name of its own")
    for each in deployment.hosts:
        try:
            ipaddress.ip_address(each.address)
        except ValueError:
            wrong("hosts", f"{each.name}: {each.address!r} is no IP address")
        if not each.is_loopback and not deployment.password and not each.namespace:
            wrong("password", f"host {each.name} can be reached from other machines: set a password")
    known = deployment.process_names
    for name, place in deployment.places:
        if name not in known:
            wrong(f"processes.{name}", f"there is no such process: {', '.join(known)}")
        elif place.host and place.host not in names:
            wrong(f"processes.{name}", f"host {place.host!r} is not among {', '.join(names)}")


def _check_ports(deployment: Deployment, wrong: Wrong) -> None:
    taken: dict[tuple[str, int], str] = {}
    for name in deployment.process_names:
        host, port = deployment.place_of(name)
        ports = [port]
        if deployment.cluster is not None and name.startswith("node-"):
            ports.append(port + CLUSTER_BUS_AFTER)
        for each in ports:
            if not 1 <= each <= PORT_MAX:
                wrong("port", f"{name} would need port {each}, which is none")
            elif (host.address, each) in taken:
                wrong("port", f"{name} and {taken[host.address, each]} would both need port {each}")
            taken[host.address, each] = name
