"""What is wrong with a cluster, and how each shard stands. Pure.

How to read it: `examine` lists findings, the gravest first; `shards` describes shard by shard;
`promise` says what an acknowledgement is worth there. The facts of a node beyond CLUSTER NODES
come as `Facts`, read from its INFO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from holdfast.cluster.jobs.runs import Runs
from holdfast.cluster.jobs.topology import SLOTS, Node, Picture, View, expand, written


class Gravity(IntEnum):
    """How bad a finding is."""

    ERROR = 0
    """Requests fail, or could be answered wrongly."""
    WARNING = 1
    """One more fault would be an error."""
    NOTE = 2


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    gravity: Gravity
    kind: str
    text: str


@dataclass(frozen=True)
class Facts:
    """What a node's INFO tells."""

    is_ours: bool
    version: str
    keys: int
    memory_bytes: int
    offset: int
    """Replication offset, of either role."""
    link: str
    """A replica's link to its primary: up, down; empty for a primary."""
    ack_needed: int
    ack_promise: str
    may_be_promoted: bool
    cluster_state: str


def facts_from(info: Mapping[str, str], cluster_info: Mapping[str, str], no_failover: str) -> Facts:
    """Read INFO, CLUSTER INFO and cluster-replica-no-failover."""
    role = info.get("role", "")
    keys = info.get("db0", "keys=0").partition("keys=")[2].partition(",")[0]
    return Facts(
        # The position of a node in the acknowledgement's terms is told by ours alone.
        is_ours="fence_epoch" in info,
        version=info.get("valkey_version") or info.get("redis_version", ""),
        keys=int(keys or 0),
        memory_bytes=int(info.get("used_memory", 0)),
        offset=int(info.get("slave_repl_offset" if role == "slave" else "master_repl_offset", 0)),
        link=info.get("master_link_status", "") if role == "slave" else "",
        ack_needed=int(info.get("ack_needed", 0)),
        ack_promise=info.get("ack_promise", ""),
        may_be_promoted=no_failover != "yes",
        cluster_state=cluster_info.get("cluster_state", ""),
    )


@dataclass(frozen=True)
class Replica:
    """A replica in a shard."""

    node: Node
    lag_bytes: int | None
    """Bytes of the stream that it does not have yet; None: unknown."""
    state: str
    """up, down, unreachable."""


@dataclass(frozen=True)
class Shard:
    """A primary and who follows it."""

    primary: Node
    slots: int
    keys: int | None
    replicas: tuple[Replica, ...]
    promise: str
    open_slots: int


def examine(picture: Picture, facts: Mapping[str, Facts]) -> list[Finding]:
    """List what is wrong, the gravest first."""
    found: list[Finding] = []

    def add(gravity: Gravity, kind: str, text: str) -> None:
        found.append(Finding(gravity, kind, text))

    for name, why in picture.unreachable.items():
        node = picture.nodes.get(name)
        serves = node is not None and picture.slot_count_of(name) > 0
        where = _name(picture, name)
        text = f"{where}: {why.removeprefix(f'{where}: ')}"
        add(Gravity.ERROR if serves else Gravity.WARNING, "unreachable", text)
    uncovered = expand(picture.owners.without(SLOTS))
    if uncovered:
        add(Gravity.ERROR, "uncovered", f"{len(uncovered)} slots are served by nobody: {written(uncovered)}")
    for names, slots in _together(picture.claims).items():
        who = " and ".join(_name(picture, name) for name in names)
        add(Gravity.ERROR, "two-owners", f"{who} each say that slots {written(slots)} are theirs")
    _examine_marks(picture, found)
    _examine_views(picture, found)
    for name, each in facts.items():
        if each.cluster_state == "fail":
            add(Gravity.ERROR, "state", f"{_name(picture, name)} says the cluster is down")
        if each.link == "down":
            add(Gravity.WARNING, "link", f"{_name(picture, name)} has no link to its primary")
    epochs: dict[int, list[str]] = {}
    for primary in picture.primaries:
        if primary.ranges:
            epochs.setdefault(primary.epoch, []).append(primary.address)
    for epoch, addresses in epochs.items():
        if len(addresses) > 1:
            add(
                Gravity.WARNING,
                "epochs",
                f"{' and '.join(addresses)} have the same configuration epoch {epoch}",
            )
    for primary in picture.primaries:
        replicas = picture.replicas_of(primary.id)
        if primary.ranges and not [each for each in replicas if each.id in picture.views]:
            add(Gravity.WARNING, "no-replica", f"{primary.address} has no replica")
        for replica in replicas:
            if replica.host == primary.host and len({node.host for node in picture.nodes.values()}) > 1:
                add(
                    Gravity.NOTE,
                    "same-host",
                    f"{replica.address} shares the host of its primary {primary.address}",
                )
        if not primary.ranges:
            add(Gravity.NOTE, "empty", f"{primary.address} is a primary without slots")
    return sorted(found, key=lambda finding: finding.gravity)


def shards(picture: Picture, facts: Mapping[str, Facts]) -> list[Shard]:
    """Describe every shard, in the order of slots."""
    leads = list(picture.primaries)
    known = {node.id for node in leads}
    owners = {owner for _, _, owner in picture.owners.runs}
    leads += [picture.nodes[name] for name in sorted(owners - known) if name in picture.nodes]
    described = []
    for primary in leads:
        own = facts.get(primary.id)
        replicas = []
        for node in picture.replicas_of(primary.id):
            theirs = facts.get(node.id)
            state = "unreachable" if theirs is None else theirs.link or "up"
            lag = max(0, own.offset - theirs.offset) if own and theirs and state == "up" else None
            replicas.append(Replica(node, lag, state))
        view = picture.views.get(primary.id)
        described.append(Shard(
            primary, picture.slot_count_of(primary.id), own.keys if own else None, tuple(replicas),
            promise(primary, [each.node for each in replicas], facts),
            len(view.migrating) + len(view.importing) if view else 0,
        ))  # fmt: skip
    return described


def promise(primary: Node, replicas: list[Node], facts: Mapping[str, Facts]) -> str:
    """Say what an acknowledged write is worth in a shard, and what takes the promise away.

    See docs/acknowledgement.md: a stock primary gives no promise; a stock replica that may be
    promoted takes it away, since it knows no fence and nobody asks it what it holds.
    """
    own = facts.get(primary.id)
    if own is None:
        return "unknown: the primary does not answer"
    if not own.is_ours:
        return "none: the primary is a stock node"
    if not own.ack_needed:
        return "none: min-replicas-to-ack is 0"
    stock = [
        node.address
        for node in replicas
        if node.id in facts and not facts[node.id].is_ours and facts[node.id].may_be_promoted
    ]
    if stock:
        return f"taken away by stock replicas that may be promoted: {', '.join(stock)}"
    return f"{own.ack_promise or 'kept'} (min-replicas-to-ack {own.ack_needed})"


def _examine_marks(picture: Picture, found: list[Finding]) -> None:
    for way, sign in (("migrating", "to"), ("importing", "from")):
        for name, view in picture.views.items():
            marks: Mapping[int, str] = view.migrating if way == "migrating" else view.importing
            by_other: dict[str, list[int]] = {}
            for slot, other in marks.items():
                by_other.setdefault(other, []).append(slot)
            for other, slots in by_other.items():
                text = f"{_name(picture, name)}: {way} {written(slots)} {sign} {_name(picture, other)}"
                found.append(Finding(Gravity.WARNING, "open", text))


def _examine_views(picture: Picture, found: list[Finding]) -> None:
    for name, view in picture.views.items():
        if view.owners != picture.owners:
            wrong = [slot for slot in range(SLOTS) if view.owners.get(slot) != picture.owners.get(slot)]
            text = f"{_name(picture, name)} sees other owners of {len(wrong)} slots: {written(wrong)}"
            found.append(Finding(Gravity.WARNING, "disagree", text))
        strangers = [other for other in picture.views if other not in view.nodes]
        if strangers:
            who = ", ".join(_name(picture, each) for each in strangers)
            text = f"{_name(picture, name)} does not know {who}"
            found.append(Finding(Gravity.WARNING, "strangers", text))
        _examine_flags(picture, view, found)


def _examine_flags(picture: Picture, view: View, found: list[Finding]) -> None:
    for node in view.nodes.values():
        if node.id in picture.views and node.is_failed:
            text = f"{view.me.address} holds {node.address} for dead, and it answers"
            found.append(Finding(Gravity.WARNING, "suspected", text))


def _together(claims: Runs[tuple[str, ...]]) -> dict[tuple[str, ...], list[int]]:
    """Return the slots that more than one claims, by who does."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for first, last, names in claims.runs:
        if len(names) > 1:
            groups.setdefault(names, []).extend(range(first, last + 1))
    return groups


def _name(picture: Picture, name: str) -> str:
    node = picture.nodes.get(name)
    return node.address if node is not None else name[:8] or "nobody"
