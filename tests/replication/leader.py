"""A leader by hand: fences nodes, chooses by the common rule, promotes, lets the rest follow.

What this is: what a Sentinel will do, over any way of asking a node (simulated or a
process). What it is not: an election.

How to read it: `lead` is the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.replication.fence import FenceReport
from holdfast.replication.orders import read_report
from holdfast.replication.promotion import FetchFirst, Promote, choose_promotion

Ask = Callable[..., Any]
"""ask(name, *words) -> reply; raises ConnectionError where the node is away."""


def lead(
    ask: Ask, epoch: int, addresses: Mapping[str, tuple[str, int]], known: set[str], pause: Callable[[], None]
) -> str:
    """Fail over among these nodes in this epoch; return the name of the new primary."""
    names: dict[str, str] = {}
    while True:
        reports: list[FenceReport] = []
        for name in addresses:
            try:
                words = [word.decode() for word in ask(name, "HOLDFAST", "FENCE", epoch, "leader")]
            except (OSError, ConnectionError):
                continue
            report = read_report(words)
            names[report.node_id] = name
            reports.append(report)
        choice = choose_promotion(epoch, "leader", reports, known | set(names))
        if isinstance(choice, Promote):
            assert not choice.may_lose_writes, choice
            chosen = names[choice.node_id]
            assert ask(chosen, "HOLDFAST", "PROMOTE", epoch, "leader", *choice.position) in ("OK", b"OK")
            for name in names.values():
                if name != chosen:
                    host, port = addresses[chosen]
                    ask(name, "HOLDFAST", "FOLLOW", epoch, "leader", host, port, choice.node_id)
            return chosen
        assert isinstance(choice, FetchFirst), choice
        host, port = addresses[names[choice.source]]
        words = ("FETCH", epoch, "leader", host, port, choice.source, *choice.position)
        ask(names[choice.node_id], "HOLDFAST", *words)
        pause()
