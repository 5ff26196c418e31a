"""How `holdfast cluster` speaks: tables for people, plain values for programs.

How to read it: `status_table` and `status_json` say the same; so do `moves_table`/`moves_json`, and
`outcome_words`/`outcome_json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from holdfast.cluster.jobs.balance import Move
from holdfast.cluster.jobs.health import Facts, Finding, Shard
from holdfast.cluster.jobs.mending import Remedy
from holdfast.cluster.jobs.mover import Outcome
from holdfast.cluster.jobs.placement import Layout
from holdfast.cluster.jobs.topology import Picture, compress, written

COLORS = ("red", "yellow", "dim")
SHOWN_BYTES = 1 << 20
SHOWN_RANGES = 4
"""Of slots, where people read; programs get all."""


def status_table(picture: Picture, shards: Sequence[Shard]) -> Table:
    """Return shard by shard: who leads, what it holds, who follows and how far behind."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("primary", "slots", "ranges", "keys", "epoch", "replicas (bytes behind)"):
        is_number = name in ("slots", "keys", "epoch")
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for shard in shards:
        gone = shard.primary.id in picture.unreachable
        replicas = [
            f"{each.node.address} ({each.lag_bytes:,})" if each.lag_bytes is not None
            else f"{each.node.address} [red]{each.state}[/]"
            for each in shard.replicas
        ]  # fmt: skip
        table.add_row(
            shard.primary.address + (" [red]down[/]" if gone else ""),
            f"{shard.slots:,}" + (f" [yellow]{shard.open_slots} open[/]" if shard.open_slots else ""),
            brief(picture.slots_of(shard.primary.id)),
            "?" if shard.keys is None else f"{shard.keys:,}", str(shard.primary.epoch),
            "\n".join(replicas) or "-",
        )  # fmt: skip
    return table


def promise_words(shards: Sequence[Shard]) -> list[str]:
    """Say what an acknowledged write is worth, shards of the same kind together."""
    groups: dict[str, list[str]] = {}
    for shard in shards:
        if shard.slots:
            groups.setdefault(shard.promise, []).append(shard.primary.address)
    everywhere = len(groups) == 1
    return [
        f"acknowledgement promise: {promise}" + ("" if everywhere else f" ({', '.join(addresses)})")
        for promise, addresses in groups.items()
    ]


def finding_words(found: Sequence[Finding]) -> list[str]:
    """Return findings as marked-up lines."""
    return [
        f"[{COLORS[each.gravity]}]{each.gravity.name.lower():8}[/]{_plain(each.text)}" for each in found
    ] or ["[green]ok[/]      nothing is wrong"]


def status_json(
    picture: Picture, shards: Sequence[Shard], found: Sequence[Finding], facts: Mapping[str, Facts]
) -> dict[str, Any]:
    """Return what `status` knows."""
    return {
        "slots_covered": len(picture.owners),
        "shards": [
            {
                "primary": shard.primary.address,
                "id": shard.primary.id,
                "slots": shard.slots,
                "ranges": [list(ends) for ends in compress(picture.slots_of(shard.primary.id))],
                "open_slots": shard.open_slots,
                "keys": shard.keys,
                "epoch": shard.primary.epoch,
                "reachable": shard.primary.id in picture.views,
                "holdfast": facts[shard.primary.id].is_ours if shard.primary.id in facts else None,
                "acknowledgement": shard.promise,
                "replicas": [
                    {"address": each.node.address, "id": each.node.id,
                     "state": each.state, "lag_bytes": each.lag_bytes}
                    for each in shard.replicas
                ],
            }
            for shard in shards
        ],
        "findings": [
            {"gravity": each.gravity.name.lower(), "kind": each.kind, "text": each.text} for each in found
        ],
    }  # fmt: skip


def moves_table(picture: Picture, moves: Sequence[Move]) -> Table:
    """Return what goes where."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("from", "to", "slots", "ranges"):
        table.add_column(name, justify="right" if name == "slots" else "left", overflow="fold")
    for move in moves:
        table.add_row(
            address(picture, move.source),
            address(picture, move.target),
            f"{len(move.slots):,}",
            brief(move.slots),
        )
    return table


def moves_json(picture: Picture, moves: Sequence[Move]) -> list[dict[str, Any]]:
    """Return the same for programs."""
    return [
        {
            "from": address(picture, move.source),
            "from_id": move.source,
            "to": address(picture, move.target),
            "to_id": move.target,
            "slots": len(move.slots),
            "ranges": [list(ends) for ends in compress(move.slots)],
        }
        for move in moves
    ]


def remedies_table(picture: Picture, remedies: Sequence[Remedy]) -> Table:
    """Return remedies, those of neighbouring slots together."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("slots", "ranges", "what", "at", "to", "what could be lost"):
        table.add_column(name, justify="right" if name == "slots" else "left", overflow="fold")
    for (kind, node, target, risk), slots in _grouped(remedies).items():
        table.add_row(
            f"{len(slots):,}", brief(slots), kind,
            address(picture, node), address(picture, target) if target else "",
            f"[red]{_plain(risk)}[/]" if risk else "nothing",
        )  # fmt: skip
    return table


def remedies_json(picture: Picture, remedies: Sequence[Remedy]) -> list[dict[str, Any]]:
    """Return the same for programs."""
    return [
        {"what": kind, "at": address(picture, node), "to": address(picture, target) if target else None,
         "ranges": [list(ends) for ends in compress(slots)], "risk": risk or None}
        for (kind, node, target, risk), slots in _grouped(remedies).items()
    ]  # fmt: skip


def layout_table(layout: Layout) -> Table:
    """Return a new cluster's shards."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("primary", "slots", "replicas"):
        table.add_column(name, overflow="fold")
    for primary in layout.primaries:
        first, last = layout.ranges[primary]
        followers = [name for name, each in layout.replicas.items() if each == primary]
        table.add_row(primary, f"{first}-{last}", ", ".join(followers) or "-")
    return table


def layout_json(layout: Layout) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "shards": [
            {"primary": primary, "slots": list(layout.ranges[primary]),
             "replicas": [name for name, each in layout.replicas.items() if each == primary]}
            for primary in layout.primaries
        ],
        "warnings": list(layout.warnings),
    }  # fmt: skip


def outcome_words(outcome: Outcome) -> str:
    """Say how a job went."""
    tally = outcome.tally
    size = f"{tally.bytes / SHOWN_BYTES:,.1f} MiB"
    text = f"{tally.slots:,} slots with {tally.keys:,} keys ({size}) moved in {outcome.seconds:.2f} s"
    if tally.longest_piece_ms:
        text += f"; the longest piece took {tally.longest_piece_ms:.1f} ms"
    if tally.keys_replaced:
        text += f"; {tally.keys_replaced:,} keys were at both ends, and are at one now"
    return text + "."


def outcome_json(picture: Picture, outcome: Outcome) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        **asdict(outcome.tally),
        "seconds": round(outcome.seconds, 3),
        "open_slots": outcome.open_slots,
        "complete": outcome.is_complete,
        "cancelled": outcome.cancelled,
        "fault": str(outcome.fault) if outcome.fault else None,
        "left": moves_json(picture, outcome.left),
    }


def brief(slots: Sequence[int]) -> str:
    """Return the first ranges of slots, and how many more there are."""
    ranges = written(slots).split(",")
    more = len(ranges) - SHOWN_RANGES
    return " ".join(ranges[:SHOWN_RANGES]) + (f" and {more} more" if more > 0 else "")


def address(picture: Picture, name: str) -> str:
    """Return a node's address, or the beginning of its id where nobody knows it."""
    node = picture.nodes.get(name)
    return node.address if node is not None else name[:8]


def _grouped(remedies: Sequence[Remedy]) -> dict[tuple[str, str, str, str], list[int]]:
    groups: dict[tuple[str, str, str, str], list[int]] = {}
    for each in remedies:
        risk = each.risk.replace(f"slot {each.slot}", "them")
        groups.setdefault((each.kind.value, each.node, each.target, risk), []).append(each.slot)
    return groups


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
