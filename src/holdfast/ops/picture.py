"""How a deployment is at one moment: a row for each member, and what is wrong in words.

What it is: questions to all members at once, and a pure reading of the answers. What it is
not: the screen (`holdfast.cli.screen`), or what happened before (`happenings`).

How to read it: `Picture` and `Row` are what others see; `take` asks; `data_row` and
`judge` are the reading.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum

from holdfast.ops.leadership import asked
from holdfast.ops.topology import Form, Topology
from holdfast.ops.wire import Address, info_fields, pairs
from holdfast.sentinel.reply_reader import Reply


class Health(Enum):
    """How the whole is."""

    OK = "ok"
    DEGRADED = "degraded"
    """Clients can write; the next failure may not be survived."""
    DOWN = "down"
    """Clients cannot write to at least a part of the keys."""


@dataclass(frozen=True, slots=True)
class Row:
    """One member. Sizes in bytes; None: it does not tell."""

    name: str
    address: str
    kind: str
    role: str = ""
    health: str = "down"
    follows: str = ""
    offset: int | None = None
    lag: int | None = None
    keys: int | None = None
    memory: int | None = None
    operations: int | None = None
    """A second."""
    version: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.health == "ok"


@dataclass(frozen=True, slots=True)
class Picture:
    """All members at one moment. `at` is in seconds since 1970."""

    at: float
    form: Form
    group: str
    rows: tuple[Row, ...]
    leaders: tuple[str, ...]
    health: Health
    problems: tuple[str, ...]
    is_paused: bool = False
    """Automatic failover is switched off."""

    def as_json(self) -> dict[str, object]:
        """Return it as values that JSON has."""
        return {
            "at": round(self.at, 3),
            "form": self.form.value,
            "group": self.group,
            "health": self.health.value,
            "problems": list(self.problems),
            "leaders": list(self.leaders),
            "automatic_failover": not self.is_paused,
            "members": [asdict(each) for each in self.rows],
        }


PAUSE_QUORUM = 1000
"""Added to a Sentinel's quorum by `holdfast pause`: no number of Sentinels reaches it."""


async def take(topology: Topology, timeout_s: float = 0.5) -> Picture:
    """Ask all members how they are."""
    password = topology.password
    data = [address for _, address in topology.data]
    proxies = [address for _, address in topology.proxies]
    infos, masters, pongs = await asyncio.gather(
        asked(data, "INFO", password=password, timeout_s=timeout_s),
        asked(
            topology.sentinel_addresses,
            "SENTINEL",
            "MASTER",
            topology.group,
            password=password,
            timeout_s=timeout_s,
        ),
        asked(proxies, "PING", password=password, timeout_s=timeout_s),
    )
    paused_by_cluster = (
        await asked(data, "CONFIG", "GET", "cluster-replica-no-failover", password=password)
        if topology.form is Form.CLUSTER
        else {}
    )
    return read(topology, infos, masters, pongs, paused_by_cluster, time.time())


def read(
    topology: Topology,
    infos: Mapping[Address, Reply],
    masters: Mapping[Address, Reply],
    pongs: Mapping[Address, Reply],
    no_failover: Mapping[Address, Reply],
    at: float,
) -> Picture:
    """Read the answers: pure."""
    names = topology.names
    fields = {address: info_fields(str(reply)) for address, reply in infos.items()}
    ends = {
        address: int(each.get("master_repl_offset", 0))
        for address, each in fields.items()
        if each.get("role") == "master"
    }
    rows = [data_row(name, address, fields.get(address), ends, names) for name, address in topology.data]
    leaders = tuple(each.name for each in rows if each.role == "primary" and each.health != "down")
    told = {address: pairs(reply) for address, reply in masters.items()}
    for name, address in topology.sentinels:
        rows.append(_sentinel_row(name, address, told.get(address), names))
    for name, address in topology.proxies:
        answers = "ok" if address in pongs else "down"
        rows.append(Row(name, str(address), "proxy", "stable port", answers))
    health, problems = judge(topology.form, rows)
    quorums = [int(each.get("quorum", 0)) for each in told.values()]
    switches = [each[1] for each in no_failover.values() if isinstance(each, list) and len(each) == 2]
    is_paused = any(each >= PAUSE_QUORUM for each in quorums) or (bool(switches) and set(switches) == {"yes"})
    return Picture(at, topology.form, topology.group, tuple(rows), leaders, health, problems, is_paused)


def data_row(
    name: str,
    address: Address,
    fields: Mapping[str, str] | None,
    ends: Mapping[Address, int],
    names: Mapping[str, str],
) -> Row:
    """Read INFO of a data node; None: it did not answer."""
    if fields is None:
        return Row(name, str(address), "data")
    is_replica = fields.get("role") == "slave"
    standing = fields.get("standing", "")
    role = "replica" if is_replica else "primary"
    follows, lag, health = "", None, "ok"
    offset = int(fields.get("slave_repl_offset" if is_replica else "master_repl_offset", 0))
    if is_replica:
        upstream = Address(fields.get("master_host", ""), int(fields.get("master_port", "0") or 0))
        follows = names.get(str(upstream), str(upstream))
        lag = max(0, ends[upstream] - offset) if upstream in ends else None
        if fields.get("master_link_status") != "up":
            syncing = fields.get("master_sync_in_progress") == "1"
            health = "copying" if syncing else "not attached"
    if fields.get("loading") == "1":
        health = "loading"
    elif standing in ("fenced", "candidate"):
        role = standing
        health = "waits for a leader"
    keys = sum(
        int(value.partition("keys=")[2].partition(",")[0] or 0)
        for field, value in fields.items()
        if field.startswith("db") and field[2:].isdigit()
    )
    product = "holdfast" if standing else "valkey" if "valkey_version" in fields else "redis"
    version = fields.get(f"{product}_version", "")
    return Row(
        name,
        str(address),
        "data",
        role,
        health,
        follows,
        offset,
        lag,
        keys,
        int(fields.get("used_memory", 0)),
        int(fields.get("instantaneous_ops_per_sec", 0)),
        f"{product} {version}".strip(),
    )


def _sentinel_row(
    name: str, address: Address, told: Mapping[str, str] | None, names: Mapping[str, str]
) -> Row:
    if told is None:
        return Row(name, str(address), "sentinel", "Sentinel")
    where = f"{told.get('ip')}:{told.get('port')}"
    flags = told.get("flags", "")
    health = "sees it down" if "down" in flags else "fails over" if "failover" in flags else "ok"
    return Row(name, str(address), "sentinel", "Sentinel", health, names.get(where, where))


def judge(form: Form, rows: Sequence[Row]) -> tuple[Health, tuple[str, ...]]:
    """Return how the whole is, and why."""
    problems = [f"{_named(each)} {_predicate(each.health)}" for each in rows if not each.is_ok]
    data = [each for each in rows if each.kind == "data"]
    primaries = [each for each in data if each.role == "primary" and each.is_ok]
    if form is not Form.CLUSTER and len(primaries) > 1:
        problems.append(f"more than one primary: {', '.join(each.name for each in primaries)}")
    sentinels = [each for each in rows if each.kind == "sentinel"]
    named = {each.follows for each in sentinels if each.is_ok}
    if len(named) > 1:
        problems.append(f"the Sentinels do not agree who leads: {', '.join(sorted(named))}")
    living = sum(each.health != "down" for each in sentinels)
    if sentinels and living <= len(sentinels) // 2:
        problems.append(f"{living} of {len(sentinels)} Sentinels: no majority, no failover")
    proxies = [each for each in rows if each.kind == "proxy"]
    proxy_gone = bool(proxies) and not any(each.is_ok for each in proxies)
    covered = bool(primaries) and (form is not Form.CLUSTER or _each_shard_has_one(data))
    if not covered or proxy_gone:
        return Health.DOWN, tuple(problems or ["nobody leads"])
    return (Health.DEGRADED if problems else Health.OK), tuple(problems)


def _named(row: Row) -> str:
    return row.name if row.address in row.name else f"{row.name} ({row.address})"


def _predicate(health: str) -> str:
    return health if health.partition(" ")[0] in ("fails", "sees", "waits") else f"is {health}"


def _each_shard_has_one(data: Sequence[Row]) -> bool:
    """Whether no replica follows a primary that is gone."""
    living = {each.name for each in data if each.role == "primary" and each.is_ok}
    return all(each.follows in living for each in data if each.role == "replica")
